#!/usr/bin/env python3
"""Runs the races: an attacker inside the workload changes what is judged while it is judged.

Each race is run three times. The control runs it bare, or under a supervisor that looks and lets the kernel look
again: there it must win, so that losing means something. Then the benign half is learned, and the race is run under
`quixote enforce`, where it must not win once, nor meet a result that the kernel alone would not have given. Last, the
orchestrator is killed at random moments.

The counts are for CI, and those of races that are an exec a try are small; --full makes 100,000 of each,
and 1,000 where each try waits for a signal. `--bare` runs
the controls alone. A workload that was killed because what ran was not what was judged is started again with the rest.
"""

import argparse
import dataclasses
import json
import os
import random
import shutil
import socket
import stat
import struct
import subprocess
import sys
import time
from pathlib import Path

import process_tree
from quixote_cli import default_binary

RACES = Path(__file__).resolve().parent / "races"
FULL_TRIES = 100_000
CONTROL_TRIES = 5_000
CONTROL_PATIENCE_S = 30  # a round takes milliseconds, as long as which the machine may be busy with something else
# So often a race is run in which only one side was seen.
ROUNDS = 16
KILLS = 15
FULL_KILLS = 200
RUN_LIMIT_S = 30
RESTART_LIMIT_S = 4
FULL_LIMIT_S = 3600
BOARD = struct.Struct("9Q")
COUNTS = ("tries", "successes", "allowed", "denied", "failed", "faults", "unsettled", "interrupted", "finished")
PIDS = 'echo 400 > /proc/sys/kernel/pid_max; exec "$@"'


@dataclasses.dataclass
class Outcome:
    """A row of the report."""

    race: str
    result: str = "failed"
    reason: str = ""
    control: int = 0
    tries: int = 0
    successes: int = 0
    allowed: int = 0
    denied: int = 0
    failed: int = 0
    faults: int = 0
    unsettled: int = 0
    interrupted: int = 0
    kills: int = 0
    seconds: float = 0.0


class Failure(Exception):
    """The race could not be run as it must be."""


class Programs:
    """The attacks, compiled."""

    def __init__(self, folder):
        self.folder = folder
        folder.mkdir(parents=True, exist_ok=True)
        for name in ("rewrite_path", "rewrite_address", "swap_names", "exhaust_fds", "reuse_pid", "storm_signals"):
            self.compile(name, ["-pthread"], "race.c")
        for name in ("rewrite_exec", "swap_program", "swap_fd"):
            self.compile(name, ["-pthread"], "programs.c", "race.c")
        for name in ("naive", "outlive", "reader"):
            self.compile(name, ["-pthread"], "race.c")
        self.compile("swapper", [])
        self.marker("granted", "g", "a granted-program")
        self.marker("private", "F", "a private-program")

    def __getitem__(self, name):
        return self.folder / name

    def compile(self, name, flags, *others, output=None):
        sources = [RACES / f"{each}" for each in (f"{name}.c", *others)]
        command = ["gcc", "-O2", "-Wall", "-Wextra", "-Werror", "-static", *flags, "-o", self.folder / (output or name)]
        subprocess.run([*command, *sources], check=True)

    def marker(self, output, letter, name):
        flags = ["-nostdlib", "-fno-stack-protector", f'-DLETTER="{letter}"', f'-DPROGRAM_NAME="{name}"']
        self.compile("marker", flags, output=output)


class Scene:
    """Where a race is run: what is granted, what is private, and what is exchanged."""

    def __init__(self, root, programs):
        self.root = root
        shutil.rmtree(root, ignore_errors=True)
        root.mkdir(parents=True)
        self.sockets = []
        for side, content in (("granted", "PUBLIC"), ("private", "SECRET")):
            self.side(root / side, side, content, programs)
        os.mkfifo(root / "granted/fifo", 0o600)
        # Where a socket is bound later: taking the name away is then part of what is learned.
        (root / "granted/listener").touch(0o600)
        shutil.copy(programs["reader"], root / "granted/reader")
        self.exchanged(programs)
        for name in ("ran", "proof"):
            (root / name).touch(0o600)
        self.clear_board()

    def side(self, folder, side, content, programs):
        for name in ("folder", "deep"):
            (folder / name).mkdir(parents=True)
        for name, text in (("file", content), ("victim", ""), ("library", content.ljust(4096))):
            (folder / name).write_text(text)
            (folder / name).chmod(0o600)
        shutil.copy(programs[side], folder / "program")
        self.script(folder / "script", folder / "program")
        bound = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        bound.bind(str(folder / "socket"))
        self.sockets.append(bound)

    def exchanged(self, programs):
        swap, images = self.root / "swap", self.root / "images"
        (swap / "folder").mkdir(parents=True)
        images.mkdir()
        (swap / "entry").write_text("PUBLIC")
        (swap / "entry.link").symlink_to("../private/file")
        (swap / "folder/file").write_text("PUBLIC")
        (swap / "folder/victim").touch(0o600)
        (swap / "folder.link").symlink_to("../private")
        for name in ("program", "interpreter"):
            shutil.copy(programs["granted"], swap / name)
            shutil.copy(programs["private"], swap / f"{name}.other")
        shutil.copy(programs["granted"], swap / "written")
        for side in ("granted", "private"):
            shutil.copy(programs[side], images / side)
        self.script(swap / "interpreted", swap / "interpreter")
        self.script(swap / "script", self.root / "granted/program")
        self.script(swap / "script.other", self.root / "private/program")

    @staticmethod
    def script(path, interpreter):
        path.write_text(f"#!{interpreter}\n")
        path.chmod(0o755)

    def clear_board(self):
        (self.root / "board").write_bytes(bytes(BOARD.size))

    def board(self):
        return dict(zip(COUNTS, BOARD.unpack((self.root / "board").read_bytes())))

    def damage(self):
        """What of the private side is not as it was, seen from outside; empty when all is well."""
        private = self.root / "private"
        if (private / "file").read_text() != "SECRET" or stat.S_IMODE((private / "file").stat().st_mode) != 0o600:
            return "private/file was changed"
        if (private / "new").exists() or not (private / "victim").exists() or not (private / "folder").exists():
            return "a name was made in private/, or taken away"
        if "F" in (self.root / "proof").read_text():
            return "a private program left its proof"
        return ""

    def close(self):
        for each in self.sockets:
            each.close()


class Trial:
    """Control, learning and enforced run of each race."""

    def __init__(self, options):
        self.options = options
        self.programs = Programs(options.work / "programs")
        self.environment = {
            **process_tree.clean_environment(options.work),
            "XDG_STATE_HOME": str(options.work / "state"),
            "XDG_CONFIG_HOME": str(options.work / "config"),
        }

    def run(self, race):
        outcome = Outcome(f"{race['program']} {race['case']}")
        began = time.monotonic()
        try:
            outcome.control = self.control(race)
            outcome.result = "control"
            if not self.options.bare:
                self.enforced(race, outcome)
        except (Failure, OSError, subprocess.SubprocessError) as error:
            outcome.result, outcome.reason = "failed", str(error)
        outcome.seconds = round(time.monotonic() - began, 1)
        return outcome

    def scene(self, race):
        return Scene(self.options.work / race["program"] / race["case"], self.programs)

    def control(self, race):
        """After how many tries the race was won where it can be; never is a failure."""
        kind, scene = race["control"], self.scene(race)
        wrap = [] if kind in ("bare", "faultless") else [self.programs["naive"], kind]
        until = time.monotonic() + CONTROL_PATIENCE_S
        while True:
            board, log = self.once(race, scene, wrap, race.get("control_tries", CONTROL_TRIES), "control")
            won = board["tries"] if board["faults" if kind == "emulate" else "successes"] else 0
            if kind == "faultless":
                self.expect_faultless(board, log)
                break
            if won:
                break
            if time.monotonic() > until:
                raise Failure(f"the control ({kind}) never won in {CONTROL_PATIENCE_S} s of {board['tries']} tries: the race proves nothing")
        scene.close()
        return won

    @staticmethod
    def expect_faultless(board, log):
        if board["faults"] or not board["finished"]:
            raise Failure(f"bare, it is not faultless either: {log.errors()[-200:]}")

    def enforced(self, race, outcome):
        scene = self.scene(race)
        model = self.options.work / f"{race['program']}-{race['case']}.model"
        name = f"race-{race['program']}-{race['case']}"
        self.learn(race, scene, model, name)
        wrap = [self.options.quixote, "enforce", "--allow-unsigned", "--on-violation", "deny", "--quiet"]
        wrap += ["--name", name, "--summary", f"{model}.summary", model, "--"]
        self.until_tried(race, scene, wrap, outcome)
        outcome.reason = outcome.reason or verdict(race, outcome, scene)
        outcome.result = "failed" if outcome.reason else "held"
        scene.close()

    def learn(self, race, scene, model, name):
        options = ["--anew", "-o", model, "--runs", "1", "--accept-rules", "none", "--quiet", "--name", f"{name}-learn"]
        wrap = [self.options.quixote, "learn", *options, "--"]
        board, log = self.once(race, scene, wrap, 0, "learn", "benign")
        if not board["finished"]:
            raise Failure(f"the benign half did not end under learn: {log.errors()[-300:]}")

    def until_tried(self, race, scene, wrap, outcome):
        """Starts what was killed again, until there were tries enough or the time is over."""
        wanted, rounds = self.wanted(race), 0
        limit_s = FULL_LIMIT_S if self.options.full else RESTART_LIMIT_S
        deadline = time.monotonic() + limit_s
        while outcome.tries < wanted and (not outcome.kills or time.monotonic() < deadline):
            left = -(-(wanted - outcome.tries) // race.get("tries_per_attempt", 1))
            rounds += 1
            board, log = self.once(race, scene, wrap, left, f"enforced{outcome.kills}")
            for field in COUNTS[:-1]:
                setattr(outcome, field, getattr(outcome, field) + board[field])
            if not board["finished"]:
                outcome.kills += 1
            if outcome.kills > 3 and not outcome.tries:
                outcome.reason = f"it does not run: {log.errors()[-300:]}"
                break
            if log.timed_out:
                outcome.reason = f"it hung for {RUN_LIMIT_S} s after {board['tries']} tries"
                break
            if rounds < ROUNDS and one_sided(race, outcome):
                # On a busy machine the two may not have met: as many tries again.
                wanted += self.wanted(race)

    def wanted(self, race):
        if self.options.tries:
            return self.options.tries
        return race.get("full_tries", FULL_TRIES) if self.options.full else race["tries"]

    def once(self, race, scene, wrap, tries, label, half="race"):
        """One run; what stands on the board after it."""
        scene.clear_board()
        swapper = None
        command = [*wrap, self.programs[race["program"]], half, tries, race["case"]]
        if race.get("small_pids"):
            command = small_pids(command)
        if "swap" in race and half == "race":
            swapper = subprocess.Popen([self.programs["swapper"], *race["swap"]], cwd=scene.root)
        try:
            log_path = scene.root.parent / f"{race['case']}.{label}"
            log = process_tree.Started([str(part) for part in command], log_path, self.environment, scene.root)
            log.timed_out = log.wait(FULL_LIMIT_S if self.options.full else RUN_LIMIT_S) is None
        finally:
            if swapper:
                swapper.kill()
                swapper.wait()
            process_tree.end_leftovers(0.2)
        return scene.board(), log

    def kill_orchestrator(self):
        """Kills the orchestrator at random moments; nothing that is forbidden may happen afterwards."""
        race = {"program": "outlive", "case": "killed"}
        outcome = Outcome("outlive orchestrator killed")
        began = time.monotonic()
        try:
            self.outlive(race, outcome)
        except (Failure, OSError) as error:
            outcome.result, outcome.reason = "failed", str(error)
        outcome.seconds = round(time.monotonic() - began, 1)
        return outcome

    def outlive(self, race, outcome):
        scene = self.scene(race)
        board, _ = self.once(race, scene, [], 50, "control")
        outcome.control = board["tries"] if board["successes"] else 0
        if not outcome.control:
            raise Failure("bare, it had no effect")
        scene.close()
        if self.options.bare:
            outcome.result = "control"
            return
        scene = self.scene(race)
        model = self.options.work / "outlive.model"
        self.learn_outlive(race, scene, model)
        for number in range(self.options.kills or (FULL_KILLS if self.options.full else KILLS)):
            self.kill_once(scene, model, number, outcome)
        outcome.reason = scene.damage() or ("IT TOOK EFFECT" if outcome.successes else "")
        if not outcome.reason and outcome.failed:
            outcome.reason = f"granted calls went through after the kill in {outcome.failed} runs"
        outcome.result = "failed" if outcome.reason else "held"
        scene.close()

    def learn_outlive(self, race, scene, model):
        options = ["--anew", "-o", model, "--runs", "1", "--accept-rules", "none", "--quiet", "--name", "outlive-learn"]
        _, log = self.once(race, scene, [self.options.quixote, "learn", *options, "--"], 0, "learn", "benign")
        if log.process.returncode != 0:
            raise Failure(f"the benign half did not end under learn: {log.errors()[-300:]}")

    def kill_once(self, scene, model, number, outcome):
        scene.clear_board()
        command = [self.options.quixote, "enforce", "--allow-unsigned", "--on-violation", "deny", "--quiet"]
        command += ["--name", f"outlive-{number}", model, "--", self.programs["outlive"], "race", 700, "killed"]
        log = scene.root.parent / f"killed.{number}"
        run = process_tree.Started([str(part) for part in command], log, self.environment, scene.root)
        await_tries(scene, run)
        time.sleep(random.uniform(0, 0.25))
        run.process.kill()
        run.process.wait()
        time.sleep(0.02)
        allowed = scene.board()["allowed"]
        time.sleep(0.15)
        board = scene.board()
        outcome.tries += board["tries"]
        outcome.successes += board["successes"]
        outcome.denied += board["denied"]
        outcome.allowed += board["allowed"]
        outcome.failed += board["allowed"] != allowed
        outcome.kills += 1
        process_tree.end_leftovers(0)


def await_tries(scene, run):
    deadline = time.monotonic() + 10
    while not scene.board()["tries"]:
        if not run.running() or time.monotonic() > deadline:
            raise Failure(f"it does not run: {run.errors()[-300:]}")
        time.sleep(0.005)


def small_pids(command):
    """In a pid namespace of its own, whose pids come round soon."""
    user = [] if os.geteuid() == 0 else ["--map-root-user"]
    return ["unshare", *user, "--pid", "--fork", "--mount-proc", "--kill-child", "sh", "-c", PIDS, "sh", *command]


def verdict(race, outcome, scene):
    """Why it is not good enough; empty when it is."""
    if outcome.successes:
        return "IT TOOK EFFECT"
    if scene.damage():
        return f"IT TOOK EFFECT: {scene.damage()}"
    if outcome.faults:
        return f"{outcome.faults} results that the kernel would not have given"
    return one_sided(race, outcome)


def one_sided(race, outcome):
    """What never happened in a race that has two sides; empty when both did."""
    if outcome.kills:
        return ""
    if not outcome.allowed and race["program"] != "reuse_pid":
        return "nothing was allowed: the race was none"
    if not outcome.denied and race["control"] not in ("faultless", "emulate"):
        return "nothing was denied: the race was none"
    return ""


def row(outcome):
    cells = [f"{outcome.race:30} {outcome.result:8} {outcome.control:8} {outcome.tries:8} {outcome.successes:5}"]
    cells.append(f"{outcome.allowed:8} {outcome.denied:8} {outcome.failed:7} {outcome.faults:6} {outcome.unsettled:6} {outcome.interrupted:6}")
    cells.append(f"{outcome.kills:5} {outcome.seconds:6} {outcome.reason}")
    return " ".join(cells)


HEAD = (
    f"{'race':30} {'result':8} {'won by':>8} {'tries':>8} {'won':>5} {'allowed':>8} {'denied':>8} {'failed':>7} "
    f"{'faults':>6} {'unsett':>6} {'eintr':>6} {'kills':>5} {'s':>6} reason"
)


def parse_options():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quixote", type=Path, default=default_binary(), help="the binary under test")
    parser.add_argument("--bare", action="store_true", help="the controls alone")
    parser.add_argument("--only", action="append", metavar="WORD", help="races whose name has it; may be repeated")
    parser.add_argument("--full", action="store_true", help=f"{FULL_TRIES:,} tries of each")
    parser.add_argument("--tries", type=int, help="so many of each")
    parser.add_argument("--kills", type=int, help=f"how often the orchestrator is killed; {KILLS}, or {FULL_KILLS} with --full")
    parser.add_argument("--work", type=Path, default=Path("/tmp/quixote-races"), help="scenes, models and logs")
    parser.add_argument("--json", type=Path, help="write the report here as well")
    return parser.parse_args()


def main():
    options = parse_options()
    options.quixote = options.quixote.resolve()
    process_tree.become_subreaper()
    trial = Trial(options)
    chosen = lambda name: not options.only or any(word in name for word in options.only)
    print(HEAD)
    outcomes = []
    for race in json.loads((RACES / "races.json").read_text()):
        if chosen(f"{race['program']} {race['case']}"):
            outcomes.append(trial.run(race))
            print(row(outcomes[-1]), flush=True)
    if chosen("outlive"):
        outcomes.append(trial.kill_orchestrator())
        print(row(outcomes[-1]), flush=True)
    counts = {result: sum(each.result == result for each in outcomes) for result in ("held", "control", "failed")}
    print(" ".join(f"{result}: {count}" for result, count in counts.items()), f"logs: {options.work}")
    if options.json:
        options.json.write_text(json.dumps([dataclasses.asdict(each) for each in outcomes], indent=1) + "\n")
    sys.exit(1 if counts["failed"] or not outcomes else 0)


if __name__ == "__main__":
    main()
