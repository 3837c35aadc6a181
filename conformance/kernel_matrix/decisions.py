"""Allow and deny for every event, under `quixote enforce --source kernel`.

All triggers run in one namespace, each as a program of its own and so with a task identity of its
own. The model that allows holds what they did; the model that denies is the same without the one
event that each trigger is for.
"""

import json
import os
import subprocess

DONE, DENIED = 0, 10
RUN_LIMIT_S = 900


class Decisions:
    """The models of one machine, and runs under them."""

    def __init__(self, bench, quixote, triggers, events, source, profile="core"):
        self.bench, self.quixote, self.events, self.source = bench, quixote, events, source
        self.profile = profile
        self.home = bench.folder / f"quixote-{source}"
        self.home.mkdir()
        self.programs = bench.folder / "programs"
        self.link_programs(triggers)
        places = {"STATE": "state", "RUNTIME": "run", "TRUST": "trust"}
        own = {f"QUIXOTE_{name}_DIR": str(self.home / place) for name, place in places.items()}
        self.environment = {**bench.environment, **own}

    def link_programs(self, triggers):
        if self.programs.exists():
            return
        self.programs.mkdir()
        first = self.programs / "all"
        first.write_bytes(triggers.read_bytes())
        first.chmod(0o755)
        for event in self.events:
            os.link(first, self.programs / event)

    def learn(self, mode):
        """The lines of a model of all triggers, each one's preparation or its act as well."""
        model = self.home / f"{mode}.model"
        options = ["--runs", "1", "--accept-rules", "none", "--source", self.source, "-o", model, "--name", mode]
        options += ["--profile", self.profile]
        outcomes = self.run("learn", options, mode)
        return model.read_text().splitlines(keepends=True), outcomes

    def lines_of(self, event):
        """The lines of a model of one trigger's act that are its own event; coefficients and all."""
        model = self.home / f"{event}.model"
        options = ["--runs", "1", "--accept-rules", "none", "--source", self.source, "-o", model, "--name", event]
        folder = self.bench.fresh()
        program = self.programs / event
        self.call("learn", [*options, "--", program, event, "act"], folder, any_status=True)
        lines = model.read_text().splitlines() if model.exists() else []
        return sorted(line for line in lines if line.split()[4:5] == [event] and len(line.split()[0]) == 64)

    def missing(self):
        """The events that are not judged here, since this kernel lacks their hook."""
        return json.loads(self.call("kernel", ["status", "--json"]))["missing_hooks"]

    def enforce(self, name, lines):
        """What each trigger's act came to under a model, and the events that were denied."""
        model = self.home / f"{name}.model"
        model.write_text("".join(lines))
        options = ["--allow-unsigned", "--source", self.source, "--on-violation", "deny", "--name", name, model]
        outcomes = self.run("enforce", options, "act")
        shown = self.call("show", [name, "forensics", "--json"])
        return outcomes, [event["name"] for event in json.loads(shown)]

    def run(self, command, options, mode):
        folder = self.bench.fresh(*self.events)
        output = self.call(command, [*options, "--", self.programs / "all", "all", mode, self.programs, folder])
        return {event: int(status) for event, status in (line.split() for line in output.splitlines())}

    def call(self, command, options, folder=None, any_status=False):
        line = [str(word) for word in [self.quixote, command, *options]]
        done = subprocess.run(
            line, env=self.environment, cwd=folder or self.home, capture_output=True, text=True, timeout=RUN_LIMIT_S
        )
        if done.returncode != 0 and not any_status:
            raise RuntimeError(f"{' '.join(line)}: exit {done.returncode}: {done.stderr.strip()}")
        return done.stdout


def without_acts(full, control, events):
    """The model's lines, but for each trigger's own event where only its act made it."""
    prepared = set(control)
    return [line for line in full if line in prepared or not is_act(line, events)]


def is_act(line, events):
    # coefficient, program.digest, credentials, when, event, fields
    words = line.split()
    if len(words) < 5 or len(words[0]) != 64:
        return False
    program = words[1].rsplit(".", 1)[0]
    # The program of an exec's event is the one that was executed.
    return words[4] in events and program == {"bprm_committed_creds": "true"}.get(words[4], words[4])
