#!/usr/bin/env python3
"""The isolated parser under its own signed model and a shield, against root outside; in a virtual machine.

    cargo xtask vm --kernel 6.1 --kernel 6.12 -- /usr/bin/python3 conformance/run_kernel_parser.py

`quixote references parse` reads a list from a pipe that this test holds, so that its parser waits in the middle of its
input. Every act on the parser is first done where nothing is locked, and has to succeed there; then under `kernel load
--lockdown` and `enforce --shield`, where it has to fail with EPERM (or EACCES), and the parser has to come to the result
that it comes to alone, with nothing denied. `--json FILE` writes what was found.
"""

import argparse
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import run_kernel_lockdown as lockdown
from run_kernel_lockdown import FOLDER
from run_kernel_lockdown import PATIENCE
from run_kernel_lockdown import Failed
from run_kernel_lockdown import acts

# Several times what is held back before the parser gets it.
LINES = [b"%064x  usr/share/%d\n" % (number, number) for number in range(6000)]
HALF = len(LINES) // 2


class Parsers:
    """Runs of `references parse`, each under an orchestrator of its own."""

    def __init__(self, place):
        self.place = place
        places = {"QUIXOTE_STATE_DIR": "state", "QUIXOTE_RUNTIME_DIR": "run", "QUIXOTE_TRUST_DIR": "trust"}
        place.environment.update({name: str(FOLDER / folder) for name, folder in places.items()})

    def prepare(self):
        """The model, signed; and what the parser says of the lines when it runs alone."""
        for words in (["model", "keygen", "-o", "test.key"],
                      ["references", "parser-model", "--source", "kernel", "--key", "test.key", "-o", "parser.model"]):
            status, text = self.place.command(*words)
            if status:
                raise Failed(f"{' '.join(words)}: {text}")
        alone = subprocess.run([self.place.quixote, *PARSE], input=b"".join(LINES), stdout=subprocess.PIPE, check=True)
        self.said = alone.stdout
        if self.said.count(b"usr/share/") != len(LINES):
            raise Failed(f"the parser alone does not read the list: {self.said[:300]}")

    def start(self, name, *options):
        return Parser(self, name, options)


PARSE = ["references", "parse", "--json", "--as", "list"]
# It is the first process of a PID namespace, to which the kernel sends no such signal without its consent, whoever asks.
BUT = {"a signal by F_SETOWN"}


class Parser:
    """One that has read half of its input, and waits for the rest."""

    def __init__(self, parsers, name, options):
        self.parsers, self.name = parsers, name
        quixote = parsers.place.quixote
        words = [quixote, "enforce", "--quiet", "--source", "kernel", "--on-violation", "deny", "--name", name,
                 "--summary", f"{name}.json", *options, "parser.model", "--", quixote, *PARSE]
        with (FOLDER / f"{name}.out").open("wb") as out, (FOLDER / f"{name}.log").open("wb") as log:
            self.orchestrator = subprocess.Popen(words, cwd=FOLDER, env=parsers.place.environment, stdin=subprocess.PIPE,
                                                 stdout=out, stderr=log, start_new_session=True)
        self.feed(LINES[:HALF])
        self.reader, self.pid = self.find()

    def feed(self, lines):
        self.orchestrator.stdin.write(b"".join(lines))
        self.orchestrator.stdin.flush()

    def find(self):
        """The workload's first process, and the parser that it has started."""
        until = time.monotonic() + PATIENCE
        while time.monotonic() < until and self.orchestrator.poll() is None:
            reader = lockdown.child_of(self.orchestrator.pid)
            parser = reader and lockdown.child_of(reader)
            if parser and acts.comm(parser) != "quixote" and lockdown.stays_asleep(parser):
                return reader, parser
            time.sleep(0.2)
        raise Failed(f"{self.name} did not start: {(FOLDER / f'{self.name}.log').read_text()}")

    def come_to_end(self):
        """Hands over the rest; what it says has to be what it says alone, and nothing may have been denied."""
        self.feed(LINES[HALF:])
        self.orchestrator.stdin.close()
        status = self.orchestrator.wait(PATIENCE)
        if status or (FOLDER / f"{self.name}.out").read_bytes() != self.parsers.said:
            raise Failed(f"{self.name}: status {status}, or another result: {(FOLDER / f'{self.name}.log').read_text()}")
        counts = json.loads((FOLDER / f"{self.name}.json").read_text())["counts"]
        if counts["denied"] or counts["losses"]:
            _, forensics = self.parsers.place.command("show", self.name, "forensics")
            raise Failed(f"{self.name}: {counts}: {(FOLDER / f'{self.name}.log').read_text()}{forensics}")

    def is_harmed(self):
        """Whether its run fails; what it is harmed by has been done."""
        self.orchestrator.stdin.close()
        return self.orchestrator.wait(PATIENCE) != 0


FATAL = {
    "SIGKILL": lambda pid: acts.signal_by_kill(pid, signal.SIGKILL),
    "cgroup.kill": acts.kill_group,
}


def check_seals(parser):
    """Where it can be looked at: it runs from a file in memory that nobody changes any more."""
    seals, name = acts.seals_of_program(parser.pid)
    if not name.startswith("/memfd:reference-parser") or seals & acts.ALL_SEALS != acts.ALL_SEALS:
        yield f"the parser runs from {name}, with seals {seals:#x}"
    try:
        os.close(os.open(f"/proc/{parser.pid}/exe", os.O_RDWR))
        yield "the parser's program can be opened for writing"
    except OSError as error:
        print(f"  open       the parser runs from {name}, seals {seals:#x}; writing: {error.strerror}", flush=True)


def reach(ledger, setting, parsers, parser, known):
    """All acts that do no lasting harm."""
    pid = parser.pid
    lockdown.on_process(ledger, parsers.place, setting, pid, known["address"], BUT)
    ledger.attempt(setting, "opening /proc/PID/ns/net", acts.open_namespace, pid)
    ledger.attempt(setting, "a probe in its code", acts.probe_process, pid, *known["code"])
    ledger.attempt(setting, "opening the pinned map of models", lambda: os.close(acts.open_pin(acts.PINS / "maps" / "models")))
    lockdown.on_kernel(ledger, setting, parsers.place.quixote)


def in_the_open(ledger, parsers):
    parser = parsers.start("open")
    yield from check_seals(parser)
    known = {"address": acts.address_of(parser.pid), "code": acts.code_of(parser.pid)}
    reach(ledger, "open", parsers, parser, known)
    parser.come_to_end()
    parser = parsers.start("overwritten")
    address = acts.address_of(parser.pid)
    ledger.attempt("open", "a program that writes into it", acts.write_by_program, parser.pid, address,
                   lambda: parser.feed(LINES[HALF:]))
    parser.orchestrator.stdin.close()
    parser.orchestrator.wait(PATIENCE)
    for name, act in FATAL.items():
        parser = parsers.start(f"ends_by_{name.replace('.', '_')}")
        ledger.attempt("open", name, act, parser.pid)
        if not parser.is_harmed():
            yield f"{name} does the parser no harm where nothing is locked: the test says nothing"
    parsers.known = known


def shielded(ledger, parsers):
    parser = parsers.start("shielded", "--shield")
    # Another process has other addresses; who may not reach it does not get to know them.
    reach(ledger, "shielded", parsers, parser, parsers.known)
    ledger.attempt("shielded", "a program that writes into it", acts.write_by_program, parser.pid, parsers.known["address"], bool)
    for name, act in FATAL.items():
        ledger.attempt("shielded", name, act, parser.pid)
    others = lockdown.Ledger()
    for name, act in lockdown.GENTLE.items():
        for pid in (parser.reader, parser.orchestrator.pid):
            if others.attempt("shielded", f"{name} ({pid})", act, pid):
                yield f"'{name}' reaches the parser's parent or its orchestrator"
    parser.come_to_end()


def remade(parsers):
    """Under the lockdown a model can still be made, of the program as the user knows it."""
    status, text = parsers.place.command("references", "parser-model", "--source", "kernel", "--key", "test.key", "-o", "again.model")
    if status:
        yield f"no model can be made under the lockdown: {text}"
        return
    first, again = ({line for line in (FOLDER / name).read_text().splitlines() if "bprm_committed_creds" in line}
                    for name in ("parser.model", "again.model"))
    if first != again:
        yield f"a model made under the lockdown is of other programs: {first ^ again}"


def without_full(parsers):
    """This lockdown began without the programs of the profile `full`."""
    status, text = parsers.place.command("learn", "--source", "kernel", "--profile", "full", "-o", "full.model", "--", "/bin/true")
    if status == 0 or "--profile full --lockdown" not in text:
        yield f"the programs of the profile full under a lockdown: status {status}: {text}"


def main():
    options = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    options.add_argument("--quixote", type=Path)
    options.add_argument("--json", type=Path)
    arguments = options.parse_args()
    built = [Path("target/release/quixote"), Path("target/debug/quixote")]
    quixote = arguments.quixote or next(path for path in built if path.exists())
    lockdown.prepare()
    ledger, problems = lockdown.Ledger(), []
    parsers = Parsers(lockdown.Namespaces(quixote.resolve()))
    acts.PINS = lockdown.pins_of(parsers.place)
    try:
        parsers.prepare()
        problems.extend(in_the_open(ledger, parsers))
        status, text = parsers.place.command("kernel", "load", "--lockdown")
        if status:
            raise Failed(f"locking: {text}")
        problems.extend(shielded(ledger, parsers))
        problems.extend(remade(parsers))
        problems.extend(without_full(parsers))
    except Failed as error:
        problems.append(str(error))
    problems.extend(ledger.problems())
    if arguments.json:
        arguments.json.write_text(json.dumps({"kernel": os.uname().release, "acts": ledger.rows, "problems": problems}))
    for problem in problems:
        print(f"kernel_parser: FAILED: {problem}")
    if not problems:
        print(f"kernel_parser: {len(ledger.rows)} acts reach the parser where nothing is locked and none does under a shield, "
              f"on {os.uname().release}")
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
