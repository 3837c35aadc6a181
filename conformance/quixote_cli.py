"""The command lines of quixote that the conformance tests use, and the records it leaves.

Everything that the tests assume about the CLI stands here.
"""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

from process_tree import as_account


IN_CONTAINER = Path(__file__).with_name("in_container.py")
# Where the agent of every run is; a runner's --tma sets it.
TMA = "orchestrator"
# Where events come from, when learning and afterwards; a runner's --learn-source and --source set them.
LEARN_SOURCE = "portable"
SOURCE = "portable"


def locality(text):
    """Where an agent runs, as an option: an image is named from anywhere."""
    kind, colon, path = text.partition(":")
    return f"vm:{Path(path).resolve()}" if kind == "vm" and colon else text


class Quixote:
    """One model of one workload of an account's, under one source: its files lie in `home`."""

    def __init__(self, binary, home, account, environment, source="portable", in_container=False):
        self.binary = Path(binary).resolve()
        self.home = Path(home)
        self.source = source
        # Workloads only: models are signed and records read outside.
        self.in_container = in_container
        # The kernel source is root's, and gives the workload the account's credentials.
        self.account = "root" if source == "kernel" else account
        self.user = ["--user", account] if account != self.account else []
        # Nothing of this machine's own models, keys and records is used or changed.
        places = {"QUIXOTE_STATE_DIR": "state", "QUIXOTE_RUNTIME_DIR": "run", "QUIXOTE_TRUST_DIR": "trust"}
        self.environment = {**environment, **{variable: f"{home}/{place}" for variable, place in places.items()}}
        self.model = self.home / "workload.model"
        self.key = self.home / "test.key"
        fresh_directory(self.home, self.account)
        if TMA.split(":")[0] in ("serial", "unix", "vsock"):
            self.run("provision", "--tma", TMA)

    def learn(self, summary, command, name, rules=None):
        """Under the proposed rules, or under `rules` and no others."""
        options = ["-o", self.model, "--runs", "1", "--accept-rules", "all" if rules is None else "none"]
        options += [word for rule in rules or [] for word in ("--rule", rule)]
        return self.run_line("learn", *options, *self.run_options(summary, name), "--", *command)

    def monitor(self, summary, command, name):
        return self.run_line("monitor", *self.run_options(summary, name), self.model, "--", *command)

    def enforce(self, summary, command, name, on_violation="deny"):
        options = ["--on-violation", on_violation, *self.run_options(summary, name)]
        return self.run_line("enforce", *options, self.model, "--", *command)

    def run_options(self, summary, name):
        return ["--name", name, "--summary", summary, "--tma", TMA, "--source", self.source, *self.user]

    def take(self, model):
        """Makes a model from elsewhere the one that is signed and used from here on."""
        shutil.copy(model, self.model)
        if os.geteuid() == 0:
            shutil.chown(self.model, self.account)

    def run_line(self, *arguments):
        if not self.in_container:
            return self.line(*arguments)
        return [str(word) for word in (sys.executable, IN_CONTAINER, self.account, self.binary, *arguments)]

    def line(self, *arguments):
        return as_account(self.account, [self.binary, *arguments])

    def sign(self):
        """Signs the model with a key made for this test, and pins that key."""
        self.run("model", "keygen", "-o", self.key)
        self.run("model", "sign", "--key", self.key, self.model)
        self.run("model", "verify", self.model)

    def explain(self):
        return self.run("model", "explain", self.model)

    def forensics(self, name):
        """The recorded violations of a run, in order; `name` is the event's, `event` its text form."""
        return json.loads(self.run("show", name, "forensics", "--json"))

    def run(self, *arguments):
        done = subprocess.run(
            self.line(*arguments), env=self.environment, capture_output=True, text=True, timeout=60, cwd="/"
        )
        if done.returncode != 0:
            shown = " ".join(str(argument) for argument in arguments)
            raise QuixoteFailed(f"quixote {shown}: exit {done.returncode}: {done.stderr.strip()}")
        return done.stdout


class QuixoteFailed(Exception):
    """quixote refused a command that the test cannot do without."""


def read_summary(path):
    """The run's summary object, its counts beside its state; None when the run left none."""
    try:
        summary = json.loads(Path(path).read_text())
        return {**summary, **summary["counts"]}
    except (OSError, ValueError, KeyError):
        return None


def fresh_directory(path, account):
    shutil.rmtree(path, ignore_errors=True)
    path.mkdir(parents=True)
    if os.geteuid() == 0:
        shutil.chown(path, account)


def default_binary():
    """$QUIXOTE, or the newest release build of this checkout."""
    if "QUIXOTE" in os.environ:
        return Path(os.environ["QUIXOTE"])
    root = Path(__file__).resolve().parent.parent
    target = Path(os.environ.get("CARGO_TARGET_DIR", root / "target"))
    return target / "release" / "quixote"
