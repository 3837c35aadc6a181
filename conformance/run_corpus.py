#!/usr/bin/env python3
"""Runs the corpus: learn, monitor, enforce, for every workload under every account it is meant for.

A workload passes when monitored runs give the same state to the bit with no violation and nothing lost, when the
enforced run has no denial, and when the workload's own results are right every time. Everything else fails, and a
failure makes the exit status 1. `--bare` runs the workloads without quixote, which tests the corpus itself.
"""

import argparse
import dataclasses
import json
import os
import subprocess
import sys
import time
from pathlib import Path

import process_tree
import quixote_cli
from quixote_cli import Quixote
from quixote_cli import QuixoteFailed
from quixote_cli import default_binary
from quixote_cli import read_summary

CORPUS = Path(__file__).resolve().parent / "corpus"
# Ordinary users each have their own place: what root left could not be emptied by them.
ROOM = Path("/var/tmp") if os.geteuid() == 0 else Path(f"/var/tmp/quixote-{os.geteuid()}")
WORKDIRS = ROOM / "quixote-corpus"
SOURCES = ("portable", "kernel")
LOGS = ROOM / "quixote-corpus-logs"
RUN_LIMIT_S = 240
# So many more runs a workload is learned that still shows something new after those that were asked for.
MORE_LEARN_RUNS = 7
PREPARE_LIMIT_S = 120
ENDING_LIMIT_S = 15


class Failure(Exception):
    """What went wrong in one workload, in a sentence."""


@dataclasses.dataclass
class Outcome:
    """A row of the report."""

    workload: str
    passed: bool = False
    reason: str = ""
    learned_runs: int = 0
    monitored_runs: int = 0
    states: list = dataclasses.field(default_factory=list)
    coefficients: int = 0
    events: int = 0
    violations: int = 0
    lost: int = 0
    seconds: float = 0.0


@dataclasses.dataclass(frozen=True)
class Workload:
    """A folder of the corpus under one account."""

    folder: Path
    account: str

    @property
    def name(self):
        return f"{self.folder.name}@{self.account}"

    @property
    def workdir(self):
        return WORKDIRS / self.account / self.folder.name

    @property
    def is_service(self):
        return (self.folder / "service.sh").exists()

    def script(self, name):
        return [self.folder / name, self.workdir]

    def modeled(self):
        """What quixote runs."""
        return self.script("service.sh" if self.is_service else "workload.sh")


class Bench:
    """Runs one workload again and again, each time in a fresh directory."""

    def __init__(self, workload, logs, patience=1):
        self.workload = workload
        self.patience = patience
        self.logs = logs / workload.name
        self.environment = process_tree.clean_environment(workload.workdir)

    def prepare(self, log):
        command = [str(part) for part in [*self.workload.script("prepare.sh"), self.workload.account]]
        started = process_tree.Started(command, log, preparing_environment(self.environment))
        if started.wait(self.patience * PREPARE_LIMIT_S) != 0:
            raise Failure(f"prepare.sh failed: {last_line(started)}")

    def run(self, label, wrap):
        """One run; `wrap` turns the modeled command into the command line that is started."""
        log = self.logs / label
        self.prepare(f"{log}.prepare")
        try:
            self.exercise(label, log, wrap)
        finally:
            left = process_tree.end_leftovers()
        if left:
            raise Failure(f"{label}: left running: {' '.join(left)}")

    def exercise(self, label, log, wrap):
        main = process_tree.Started(wrap(self.workload.modeled()), f"{log}.main", self.environment)
        if self.workload.is_service:
            self.expect_ok(label, "users.sh", f"{log}.users", service=main)
        status = main.wait(self.patience * RUN_LIMIT_S)
        if status != 0:
            raise Failure(f"{label}: {ended(status)}: {last_line(main)}")
        if not self.workload.is_service:
            self.expect_ok(label, "check.sh", f"{log}.check")

    def expect_ok(self, label, script, log, service=None):
        command = process_tree.as_account(self.workload.account, self.workload.script(script))
        started = process_tree.Started(command, log, self.environment)
        limit_s = self.patience * RUN_LIMIT_S
        deadline = started.began + limit_s
        while service is not None and started.running() and service.running() and time.monotonic() < deadline:
            time.sleep(0.05)
        # Users of a service that has ended have no reason to take long.
        if service is not None:
            limit_s = time.monotonic() - started.began + self.patience * ENDING_LIMIT_S
        status = started.wait(limit_s)
        if service is not None and status != 0 and not service.running() and service.process.returncode != 0:
            raise Failure(f"{label}: the service ended: {last_line(service)}")
        wanted = f"ok {self.workload.folder.name}"
        if status != 0 or wanted not in started.output().splitlines():
            raise Failure(f"{label}: {script}: {ended(status)}: {last_line(started)}")


class Conformance:
    """The phases of one workload under quixote."""

    def __init__(self, bench, binary, options, outcome):
        self.bench = bench
        self.options = options
        self.outcome = outcome
        workload = bench.workload
        home = WORKDIRS / "models" / workload.name
        WORKDIRS.mkdir(parents=True, exist_ok=True)
        self.learner = Quixote(binary, home, workload.account, bench.environment, quixote_cli.LEARN_SOURCE)
        self.quixote = self.learner
        if quixote_cli.SOURCE != quixote_cli.LEARN_SOURCE:
            home = home.with_name(f"{home.name}-{quixote_cli.SOURCE}")
            self.quixote = Quixote(binary, home, workload.account, bench.environment, quixote_cli.SOURCE)

    def all_phases(self):
        self.learn()
        if self.quixote is not self.learner:
            self.quixote.take(self.learner.model)
        self.quixote.sign()
        (self.bench.logs / "explain.txt").write_text(self.quixote.explain())
        self.monitor()
        self.enforce()

    def learn(self):
        """As users are told to: until a run shows nothing new."""
        for number in range(1, self.options.learn_runs + MORE_LEARN_RUNS + 1):
            summary = self.modeled_run(f"learn-{number}", self.learner, self.learner.learn)
            self.outcome.learned_runs = number
            self.outcome.coefficients = summary.get("coefficients", 0)
            converged = summary["learned"]["convergence"]["outlook"] != "varying"
            if number >= self.options.learn_runs and converged:
                return
        raise Failure(f"learn: not converged after {number} runs")

    def monitor(self):
        for number in range(1, self.options.runs + 1):
            summary = self.modeled_run(f"monitor-{number}", self.quixote, self.quixote.monitor)
            self.expect_clean(f"monitor-{number}", summary)
            self.outcome.monitored_runs = number
            self.outcome.events = summary.get("events", 0)
            self.outcome.states.append(summary["state"])
            if len(set(self.outcome.states)) != 1:
                raise Failure(f"monitor-{number}: another state: {summary['state']}")

    def enforce(self):
        summary = self.modeled_run("enforce", self.quixote, self.quixote.enforce)
        self.expect_clean("enforce", summary)

    def modeled_run(self, label, quixote, command_line):
        path = quixote.home / f"{label}.summary.json"
        self.bench.environment = quixote.environment
        name = f"corpus-{self.bench.workload.folder.name}-{label}"
        self.bench.run(label, lambda modeled: command_line(path, modeled, name))
        summary = read_summary(path)
        if summary is None:
            raise Failure(f"{label}: no summary was written")
        return summary

    def expect_clean(self, label, summary):
        self.outcome.violations += summary["violations"]
        self.outcome.lost += summary["losses"]
        if summary["violations"] or summary["denied"]:
            raise Failure(f"{label}: {summary['violations']} violations: {self.first_violation(label)}")
        if summary["losses"]:
            raise Failure(f"{label}: {summary['losses']} events were lost")

    def first_violation(self, label):
        records = self.quixote.forensics(f"corpus-{self.bench.workload.folder.name}-{label}")
        (self.bench.logs / f"{label}.forensics.json").write_text(json.dumps(records, indent=1))
        return json.dumps(records[0]) if records else "no record of them"


def preparing_environment(environment):
    """prepare.sh runs as whoever runs this, and may keep what it fetches."""
    kept = {key: os.environ[key] for key in ("QUIXOTE_CORPUS_CACHE", "http_proxy") if key in os.environ}
    cache = {} if os.geteuid() == 0 else {"QUIXOTE_CORPUS_CACHE": str(ROOM / "cache")}
    return {**environment, **cache, **kept, "HOME": "/"}


def ended(status):
    return "time limit" if status is None else f"exit {status}"


def last_line(started):
    lines = (started.errors() or started.output()).strip().splitlines()
    # quixote ends with its summary; what went wrong stands before it.
    told = [line for line in lines if not line.startswith(("  state ", "quixote: corpus-", "quixote: attack-"))]
    return told[-1] if told else "no output"


def workloads(options):
    """Those that were asked for and that this user can run."""
    chosen = []
    for folder in sorted(path.parent for path in CORPUS.glob("*/prepare.sh")):
        accounts = (folder / "accounts.txt").read_text().split()
        if os.geteuid() != 0:
            accounts = [own_account()]
        elif not options.all_accounts and not options.only:
            accounts = accounts[:1]
        chosen += [Workload(folder, account) for account in accounts]
    if options.only:
        chosen = [each for each in chosen if {each.name, each.folder.name} & set(options.only)]
    return chosen


def own_account():
    return subprocess.run(["id", "-un"], capture_output=True, text=True, check=True).stdout.strip()


def run_one(workload, options, logs):
    outcome = Outcome(workload.name)
    began = time.monotonic()
    try:
        bench = Bench(workload, logs, options.patience)
        if options.bare:
            bench.run("bare", lambda command: process_tree.as_account(workload.account, command))
        else:
            Conformance(bench, options.quixote, options, outcome).all_phases()
        outcome.passed = True
    except (Failure, QuixoteFailed, KeyError, OSError, subprocess.SubprocessError) as error:
        outcome.reason = f"{type(error).__name__}: {error}" if not isinstance(error, Failure) else str(error)
        process_tree.end_leftovers()
    outcome.seconds = round(time.monotonic() - began, 1)
    return outcome


def table(outcomes):
    head = f"{'workload':24} {'result':7} {'learn':>5} {'runs':>5} {'coeff':>7} {'events':>8} {'viol':>5} {'lost':>5} {'s':>7}  state / reason"
    rows = [head]
    for each in outcomes:
        result = "ok" if each.passed else "FAILED"
        note = (each.states[-1][:16] if each.states else "") if each.passed else each.reason
        rows.append(
            f"{each.workload:24} {result:7} {each.learned_runs:5} {each.monitored_runs:5} {each.coefficients:7} "
            f"{each.events:8} {each.violations:5} {each.lost:5} {each.seconds:7}  {note}"
        )
    return "\n".join(rows)


def parse_options():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quixote", type=Path, default=default_binary(), help="the binary under test")
    parser.add_argument("--bare", action="store_true", help="without quixote: tests the corpus itself")
    parser.add_argument("--only", action="append", metavar="NAME[@ACCOUNT]", help="may be repeated")
    parser.add_argument("--all-accounts", action="store_true", help="also as root where both make sense")
    parser.add_argument("--learn-runs", type=int, default=3, help="at least; more until a run shows nothing new")
    parser.add_argument("--runs", type=int, default=10, help="monitored runs")
    parser.add_argument("--ci", action="store_true", help="3 monitored runs")
    parser.add_argument("--logs", type=Path, default=LOGS)
    parser.add_argument("--tma", type=quixote_cli.locality, default="orchestrator", help="where the agent runs, as quixote has it")
    parser.add_argument("--learn-source", choices=SOURCES, default="portable", help="where events come from when learning")
    parser.add_argument("--source", choices=SOURCES, default="portable", help="and afterwards; `kernel` needs a kernel that has it")
    parser.add_argument("--patience", type=int, default=1, help="multiplies every limit of time, for an emulated machine")
    parser.add_argument("--json", type=Path, help="write the report here as well")
    options = parser.parse_args()
    quixote_cli.TMA = options.tma
    quixote_cli.LEARN_SOURCE, quixote_cli.SOURCE = options.learn_source, options.source
    if options.ci:
        options.runs = 3
    return options


def main():
    options = parse_options()
    process_tree.become_subreaper()
    chosen = workloads(options)
    if not chosen:
        sys.exit("no such workload")
    outcomes = []
    for workload in chosen:
        outcomes.append(run_one(workload, options, options.logs))
        print(table(outcomes[-1:]).splitlines()[1], flush=True)
    print(f"\n{table(outcomes)}\nlogs: {options.logs}")
    if options.json:
        options.json.write_text(json.dumps([dataclasses.asdict(each) for each in outcomes], indent=1) + "\n")
    sys.exit(0 if all(each.passed for each in outcomes) else 1)


if __name__ == "__main__":
    main()
