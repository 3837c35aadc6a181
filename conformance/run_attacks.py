#!/usr/bin/env python3
"""Runs the attacks: each bare, where it must succeed, then against the enforced victim, where it must not.

An attack passes when bare it has its effect (an attack without an effect proves nothing), when enforced it has none,
when the first forensics record of the enforced run names the expected event and object, and when the victim still
serves a good request. `--bare` runs the controls alone. What this account or machine cannot do is skipped, counted
and told; with --ci it is a failure. `--learn-source kernel --source kernel` is for a machine whose kernel has that
source: `cargo xtask test --only kernel-attacks` runs it in a virtual one.
"""

import argparse
import base64
import contextlib
import dataclasses
import http.client
import json
import os
import re
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path
from urllib.parse import quote

import process_tree
import quixote_cli
import run_corpus
from quixote_cli import QuixoteFailed
from quixote_cli import default_binary
from quixote_cli import read_summary

ATTACKS = Path(__file__).resolve().parent / "attacks"
VICTIM = ("127.0.0.1", 18082)
PAYLOAD_PORT = 18083
LISTENER_PORT = 18084
PAYLOAD = b"HTTP/1.0 200 OK\r\n\r\necho payload ran $((40 + 2))\n"
REQUEST_LIMIT_S = 15
START_LIMIT_S = 30
# A record is fetched from the agent before the end, over a slow line where there is one.
STOP_LIMIT_S = 60
SETTLE_LIMIT_S = 1.5


@dataclasses.dataclass
class Outcome:
    """A row of the report."""

    attack: str
    result: str = "failed"
    reason: str = ""
    control: bool = False
    record: dict | None = None
    seconds: float = 0.0


class Attacker:
    """What waits outside: a server with a payload, a listener for shells, a process that is not to be touched."""

    def __init__(self, account, logs, environment):
        self.heard = b""
        self.servers = [self.serve(PAYLOAD_PORT, self.hand_out), self.serve(LISTENER_PORT, self.listen)]
        command = process_tree.as_account(account, ["/bin/sleep", "600"])
        self.outside = process_tree.Started(command, logs / "outside", environment)

    def serve(self, port, handle):
        server = socket.create_server(("127.0.0.1", port))
        threading.Thread(target=self.accept_all, args=(server, handle), daemon=True).start()
        return server

    @staticmethod
    def accept_all(server, handle):
        with contextlib.suppress(OSError):
            while True:
                connection, _ = server.accept()
                with connection:
                    connection.settimeout(5)
                    handle(connection)

    @staticmethod
    def hand_out(connection):
        connection.recv(4096)
        connection.sendall(PAYLOAD)

    def listen(self, connection):
        while chunk := connection.recv(4096):
            self.heard += chunk

    def close(self):
        for server in self.servers:
            with contextlib.suppress(OSError):
                server.shutdown(socket.SHUT_RDWR)
            server.close()
        if self.outside.running():
            self.outside.process.kill()
        self.outside.process.wait()


class Range:
    """The victim, started afresh for every shot."""

    def __init__(self, bench):
        self.bench = bench
        self.workload = bench.workload
        self.workdir = self.workload.workdir

    def shoot(self, attack, label, wrap):
        """One attack; whether it had its effect, and whether the victim serves on."""
        self.bench.prepare(self.bench.logs / f"{label}.prepare")
        self.plant(attack.get("before"))
        attacker = Attacker(self.workload.account, self.bench.logs, self.bench.environment)
        started = process_tree.Started(wrap(self.workload.modeled()), self.bench.logs / label, self.bench.environment)
        try:
            self.await_victim(started)
            response = self.request(attack["request"], attacker)
            effect = self.had_effect(attack["effect"], response, attacker)
            (self.bench.logs / f"{label}.response").write_text(response)
            return effect, self.fetch("GET", "/") == "nothing to see"
        finally:
            self.stop(started)
            attacker.close()
            process_tree.end_leftovers()
            self.unmount()

    def plant(self, step):
        """What somebody did to the victim's files before."""
        if not step:
            return
        verb, name = step.split()
        path = self.workdir / name
        {"flip": flip_byte, "shebang": change_shebang, "symlink": self.link_to_secret, "hardlink": self.name_secret}[verb](path)

    def link_to_secret(self, path):
        path.unlink()
        path.symlink_to(self.secret)

    def name_secret(self, path):
        path.unlink()
        path.hardlink_to(self.workdir / "private/shadow")

    @property
    def secret(self):
        return Path("/etc/shadow") if self.workload.account == "root" else self.workdir / "private/shadow"

    def await_victim(self, started):
        deadline = time.monotonic() + self.bench.patience * START_LIMIT_S
        while time.monotonic() < deadline and started.running():
            if self.fetch("GET", "/") == "nothing to see":
                return
            # Asking takes time from who is to answer, on an emulated machine most of it.
            time.sleep(self.bench.patience * 0.05)
        raise run_corpus.Failure(f"the victim does not serve: {run_corpus.last_line(started)}")

    def request(self, request, attacker):
        if "payload" in request:
            code = (ATTACKS / "payloads/prelude.py").read_text()
            code += (ATTACKS / f"payloads/{request['payload']}.py").read_text()
            return self.fetch("POST", "/eval", json.dumps({"code": code, "parameters": self.parameters(attacker)}))
        path = request["path"].replace("{secret}", str(self.secret))
        path = path.replace("{payload_url}", f"http://127.0.0.1:{PAYLOAD_PORT}/")
        return self.fetch("POST" if "body" in request else "GET", quote(path, safe="/?=&"), request.get("body"))

    def parameters(self, attacker):
        return {
            "workdir": str(self.workdir),
            "secret": str(self.secret),
            "movable": str(self.workdir / "private/shadow"),
            "outside_pid": attacker.outside.process.pid,
            "listener_port": LISTENER_PORT,
            "intruder": base64.b64encode((self.workdir / "attacker/intruder").read_bytes()).decode(),
        }

    def fetch(self, method, path, body=None):
        """The response's text; empty when there is none, which is what a victim that was killed answers."""
        connection = http.client.HTTPConnection(*VICTIM, timeout=self.bench.patience * REQUEST_LIMIT_S)
        try:
            connection.request(method, path, body)
            return connection.getresponse().read().decode(errors="replace")
        except (OSError, http.client.HTTPException):
            return ""
        finally:
            connection.close()

    def had_effect(self, effect, response, attacker):
        if "response" in effect:
            return re.search(effect["response"], response) is not None
        if "file" in effect:
            path = self.workdir / effect["file"]
            return path.exists() and re.search(effect["contains"], path.read_text()) is not None
        if "listener" in effect:
            return settles(lambda: re.search(effect["listener"].encode(), attacker.heard), self.bench.patience * SETTLE_LIMIT_S)
        if "outside_dead" in effect:
            return settles(lambda: not attacker.outside.running(), self.bench.patience * SETTLE_LIMIT_S)
        raise run_corpus.Failure(f"unknown effect: {effect}")

    def stop(self, started):
        if started.running():
            orders = os.open(self.workdir / "orders", os.O_RDWR)
            os.write(orders, b"stop\n")
            with contextlib.suppress(subprocess.TimeoutExpired):
                started.process.wait(self.bench.patience * STOP_LIMIT_S)
            os.close(orders)
        if started.running():
            started.process.kill()
            started.process.wait()

    def unmount(self):
        mounted = [line.split()[4] for line in Path("/proc/self/mountinfo").read_text().splitlines()]
        for target in [path for path in mounted if path.startswith(f"{self.workdir}/")]:
            subprocess.run(["umount", "-l", target], check=False)


def settles(condition, limit_s):
    """What takes effect a moment after the response."""
    deadline = time.monotonic() + limit_s
    while time.monotonic() < deadline:
        if condition():
            return True
        time.sleep(0.02)
    return bool(condition())


def flip_byte(path):
    content = path.read_bytes()
    assert content.count(b"version A") == 1, path
    path.write_bytes(content.replace(b"version A", b"version @"))


def change_shebang(path):
    path.write_text(path.read_text().replace("#!/bin/sh", "#!/bin/bash", 1))


class Trial:
    """Control and enforced run of every attack."""

    def __init__(self, options):
        workload = run_corpus.Workload(ATTACKS, options.account)
        self.options = options
        self.bench = run_corpus.Bench(workload, options.logs, options.patience)
        self.range = Range(self.bench)
        self.corpus_outcome = run_corpus.Outcome(workload.name)
        self.quixote = None

    def learn(self):
        """The victim's model, by its users, as any other workload's; and that it does not stand in its own way."""
        phases = run_corpus.Conformance(self.bench, self.options.quixote, self.options, self.corpus_outcome)
        phases.all_phases()
        self.quixote = phases.quixote

    def run(self, attack):
        outcome = Outcome(attack["name"])
        began = time.monotonic()
        try:
            outcome.reason = self.why_not_here(attack)
            if outcome.reason:
                outcome.result = "skipped"
            else:
                self.both_runs(attack, outcome)
        except (run_corpus.Failure, QuixoteFailed, OSError, subprocess.SubprocessError) as error:
            outcome.reason = str(error)
        outcome.seconds = round(time.monotonic() - began, 1)
        return outcome

    def why_not_here(self, attack):
        """Why this account or machine cannot do it; empty when it can."""
        if attack.get("needs_root") and self.options.account != "root":
            return "needs root"
        return ""

    def both_runs(self, attack, outcome):
        account = self.options.account
        effect, _ = self.range.shoot(
            attack, f"{attack['name']}.control", lambda command: process_tree.as_account(account, command)
        )
        outcome.control = effect
        if not effect:
            outcome.reason = "the control had no effect: the attack itself does not work here"
        elif self.quixote is None:
            outcome.result = "control"
        else:
            self.enforced(attack, outcome)

    def enforced(self, attack, outcome):
        name = f"attack-{attack['name']}"
        summary = self.quixote.home / f"{name}.summary.json"
        effect, serves = self.range.shoot(
            attack, f"{attack['name']}.enforced", lambda command: self.quixote.enforce(summary, command, name)
        )
        records = self.quixote.forensics(name)
        (self.bench.logs / f"{attack['name']}.forensics.json").write_text(json.dumps(records, indent=1))
        outcome.record = records[0] if records else None
        outcome.reason = verdict(attack, effect, serves, records, read_summary(summary))
        outcome.result = "failed" if outcome.reason else "stopped"


def as_seen_by(source, attack):
    """The attack with the event and object by which this source names it, where that is another one."""
    return {**attack, **attack.get("under", {}).get(source, {})}


def verdict(attack, effect, serves, records, summary):
    """Why it is not good enough; empty when it is."""
    if effect:
        return "IT TOOK EFFECT"
    if not records:
        return "no effect, but no forensics record"
    event = records[0]["event"]
    if records[0]["name"] not in attack["events"]:
        return f"the first record is of another event: {event}"
    if not re.search(attack["object"], event, re.IGNORECASE):
        return f"the first record does not name the object: {event}"
    if summary is not None and summary.get("losses"):
        return f"{summary['losses']} events were lost"
    if not serves:
        return "the victim no longer serves"
    return ""


def table(outcomes):
    rows = [f"{'attack':28} {'control':8} {'enforced':9} {'s':>7}  by / reason"]
    for each in outcomes:
        control = "effect" if each.control else "-"
        note = each.record["name"] if each.result == "stopped" else each.reason
        rows.append(f"{each.attack:28} {control:8} {each.result:9} {each.seconds:7}  {note}")
    return "\n".join(rows)


def parse_options():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quixote", type=Path, default=default_binary(), help="the binary under test")
    parser.add_argument("--bare", action="store_true", help="the controls alone")
    parser.add_argument("--only", action="append", metavar="NAME", help="may be repeated; in that order")
    parser.add_argument("--without", action="append", default=[], metavar="NAME", help="all but this; may be repeated")
    parser.add_argument("--account", default="root" if os.geteuid() == 0 else run_corpus.own_account())
    parser.add_argument("--ci", action="store_true", help="skipped attacks are failures")
    parser.add_argument("--learn-runs", type=int, default=2)
    parser.add_argument("--runs", type=int, default=1, help="monitored runs of the good behaviour")
    parser.add_argument("--logs", type=Path, default=run_corpus.LOGS)
    parser.add_argument("--tma", type=quixote_cli.locality, default="orchestrator", help="where the agent runs, as quixote has it")
    parser.add_argument("--learn-source", choices=run_corpus.SOURCES, default="portable", help="where events come from when learning")
    parser.add_argument("--source", choices=run_corpus.SOURCES, default="portable", help="and afterwards; `kernel` needs a kernel that has it")
    parser.add_argument("--patience", type=int, default=1, help="multiplies every limit of time, for an emulated machine")
    parser.add_argument("--json", type=Path, help="write the report here as well")
    options = parser.parse_args()
    quixote_cli.TMA = options.tma
    quixote_cli.LEARN_SOURCE, quixote_cli.SOURCE = options.learn_source, options.source
    return options


def main():
    options = parse_options()
    process_tree.become_subreaper()
    attacks = json.loads((ATTACKS / "attacks.json").read_text())
    attacks = {each["name"]: as_seen_by(options.source, each) for each in attacks}
    chosen = [attacks[name] for name in options.only or attacks if name not in options.without]
    trial = Trial(options)
    if options.bare:
        trial.bench.run("bare", lambda command: process_tree.as_account(options.account, command))
    else:
        trial.learn()
    outcomes = []
    for attack in chosen:
        outcomes.append(trial.run(attack))
        print(table(outcomes[-1:]).splitlines()[1], flush=True)
    counts = {result: sum(each.result == result for each in outcomes) for result in ("stopped", "control", "skipped", "failed")}
    print(" ".join(f"{result}: {count}" for result, count in counts.items()), f"logs: {options.logs}")
    if options.json:
        options.json.write_text(json.dumps([dataclasses.asdict(each) for each in outcomes], indent=1) + "\n")
    sys.exit(1 if counts["failed"] or not outcomes or (options.ci and counts["skipped"]) else 0)


if __name__ == "__main__":
    main()
