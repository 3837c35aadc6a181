#!/usr/bin/env python3
"""The promise: a workload has the same state under both sources, to the bit; in a virtual machine.

    cargo xtask vm --timeout 3000 -- /usr/bin/python3 conformance/run_kernel_corpus.py --only backup

Every workload of the corpus is learned under the portable source until a run shows nothing new, then in the kernel
under the same rules. It passes when both models have the same coefficients, when the portable one is enforced in the
kernel and the kernel's portably, both without a denial, when nothing was lost, and when the workload's own results are
right every time. Under the kernel source a workload of an ordinary account is started by root with `--user`. With
`--container` the portable source runs in a container without privileges, for the accounts that are not root.
"""

import argparse
import dataclasses
import json
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

import process_tree
import quixote_cli
import run_corpus
from quixote_cli import Quixote
from quixote_cli import QuixoteFailed
from quixote_cli import default_binary
from run_corpus import Failure

sys.path.insert(0, str(Path(__file__).parent / "kernel_matrix"))

import in_memory  # noqa: E402

LOGS = Path("/var/tmp/quixote-kernel-corpus-logs")
KEPT = Path("/dev/shm/quixote-kernel-corpus")
MORE_LEARN_RUNS = 7
# So many differing events of each model are kept in the report; all are in the logs.
SHOWN = 5
OTHER = {"portable": "kernel", "kernel": "portable"}


@dataclasses.dataclass
class Row:
    """What came of a workload on a kernel."""

    workload: str
    kernel: str
    container: bool = False
    result: str = "failed"
    reason: str = ""
    coefficients: dict = dataclasses.field(default_factory=dict)
    states: dict = dataclasses.field(default_factory=dict)
    learned_runs: dict = dataclasses.field(default_factory=dict)
    differ: dict = dataclasses.field(default_factory=dict)
    enforced: dict = dataclasses.field(default_factory=dict)
    seconds: float = 0.0


class Promise(run_corpus.Conformance):
    """The phases of one workload."""

    def __init__(self, bench, options, row):
        self.bench, self.options, self.row = bench, options, row
        self.outcome = run_corpus.Outcome(bench.workload.name)
        self.logs = bench.logs
        home = run_corpus.WORKDIRS / "models"
        home.mkdir(parents=True, exist_ok=True)
        self.sides = {
            source: Quixote(options.quixote, home / f"{bench.workload.name}-{source}", bench.workload.account,
                            bench.environment, source, options.container and source == "portable")
            for source in OTHER
        }

    def all_phases(self):
        rules = None
        for source in ("portable", "kernel"):
            self.learn_under(source, rules)
            rules = rules_of(self.sides[source].model)
        problems = self.compare()
        # Each side signs and uses the other's model from here on.
        for source, side in self.sides.items():
            shutil.copy(side.model, self.logs / f"{source}.model")
        for source in ("portable", "kernel"):
            problems += self.enforce_elsewhere(source)
        if problems:
            raise Failure("; ".join(problems))

    def learn_under(self, source, rules):
        side = self.sides[source]
        for number in range(1, self.options.learn_runs + MORE_LEARN_RUNS + 1):
            label = f"learn-{source}-{number}"
            summary = self.modeled_run(label, side, lambda *arguments: side.learn(*arguments, rules=rules))
            if summary["losses"]:
                raise Failure(f"{label}: {summary['losses']} events were lost")
            learned = summary["learned"]
            self.row.learned_runs[source] = number
            self.row.coefficients[source] = learned["coefficients"]
            self.row.states[source] = learned["state"]
            if number >= self.options.learn_runs and learned["convergence"]["outlook"] != "varying":
                return
        raise Failure(f"learn: not converged under the {source} source after {number} runs")

    def compare(self):
        """What is wrong with the two models: that they are not the same."""
        events = {source: coefficients_of(side.model) for source, side in self.sides.items()}
        for source, own in events.items():
            alone = [own[each] for each in sorted(set(own) - set(events[OTHER[source]]), key=own.get)]
            (self.logs / f"only-{source}.txt").write_text("".join(f"{line}\n" for line in alone))
            if alone:
                self.row.differ[source] = {"count": len(alone), "first": alone[:SHOWN]}
        same = self.row.states["portable"] == self.row.states["kernel"]
        if same == bool(self.row.differ):
            return ["states and coefficients do not agree about each other"]
        counts = ", ".join(f"{each['count']} only under {source}" for source, each in self.row.differ.items())
        return [f"the models differ: {counts}"] if self.row.differ else []

    def enforce_elsewhere(self, learned):
        """The model of one source in force under the other; what is wrong with that."""
        where = OTHER[learned]
        label, side = f"enforce-{learned}-in-{where}", self.sides[where]
        side.take(self.logs / f"{learned}.model")
        side.sign()
        counts = {"violations": None, "denied": None, "losses": None}
        self.row.enforced[f"{learned} model, {where} source"] = counts
        problems = []
        try:
            summary = self.modeled_run(label, side, side.enforce)
        except Failure as failure:
            problems, summary = [str(failure)], quixote_cli.read_summary(side.home / f"{label}.summary.json")
        if summary is not None:
            counts.update({name: summary[name] for name in counts})
            counts["events"] = summary["events"]
            if any(summary[name] for name in ("violations", "denied", "losses")):
                name = f"corpus-{self.bench.workload.folder.name}-{label}"
                records = side.forensics(name)
                (self.logs / f"{label}.forensics.json").write_text(json.dumps(records, indent=1))
                first = records[0]["event"] if records else "no record"
                problems.append(f"{label}: {summary['denied']} denied, {summary['losses']} lost; first: {first}")
        return problems


def rules_of(model):
    lines = model.read_text().splitlines()
    return [line.removeprefix("rule ") for line in lines if line.startswith("rule ")]


def coefficients_of(model):
    """Coefficient to description."""
    split = (line.split(" ", 1) for line in model.read_text().splitlines())
    return {words[0]: words[-1] for words in split if len(words[0]) == 64}


def run_one(workload, options):
    row = Row(workload.name, os.uname().release, options.container)
    began = time.monotonic()
    try:
        keep_in_memory(workload.folder / "programs.txt")
        Promise(run_corpus.Bench(workload, options.logs, options.patience), options, row).all_phases()
        row.result = "same"
    except (Failure, QuixoteFailed, KeyError, OSError, subprocess.SubprocessError) as error:
        row.reason = str(error) if isinstance(error, Failure) else f"{type(error).__name__}: {error}"
        process_tree.end_leftovers()
    row.seconds = round(time.monotonic() - began, 1)
    return row


def keep_in_memory(listed):
    """Those that a workload executes so often that hashing them each time takes longer than a hook waits."""
    if listed.exists():
        KEPT.mkdir(exist_ok=True)
        in_memory.keep([in_memory.found(name) for name in listed.read_text().split()], KEPT)


def shown(row):
    counts = row.coefficients
    return (f"{row.workload:24} {row.result:7} {counts.get('portable', 0):6} {counts.get('kernel', 0):6} "
            f"{row.seconds:8}  {row.reason or row.states['kernel'][:16]}")


def parse_options():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quixote", type=Path, default=default_binary(), help="the binary under test")
    parser.add_argument("--only", action="append", metavar="NAME[@ACCOUNT]", help="may be repeated")
    parser.add_argument("--all-accounts", action="store_true", help="also as root where both make sense")
    parser.add_argument("--container", action="store_true", help="the portable source in a container without privileges")
    parser.add_argument("--learn-runs", type=int, default=2, help="at least; more until a run shows nothing new")
    parser.add_argument("--patience", type=int, default=4, help="multiplies every limit of time")
    parser.add_argument("--logs", type=Path, default=LOGS)
    return parser.parse_args()


def main():
    options = parse_options()
    process_tree.become_subreaper()
    chosen = run_corpus.workloads(options)
    if options.container:
        chosen = [workload for workload in chosen if workload.account != "root"]
    if not chosen:
        sys.exit("no such workload")
    rows = []
    for workload in chosen:
        rows.append(run_one(workload, options))
        print(shown(rows[-1]), flush=True)
        print(f"row: {json.dumps(dataclasses.asdict(rows[-1]))}", flush=True)
        for source, differ in rows[-1].differ.items():
            print(*(f"  only {source}: {line}" for line in differ["first"]), sep="\n", flush=True)
    sys.exit(0 if all(row.result == "same" for row in rows) else 1)


if __name__ == "__main__":
    main()
