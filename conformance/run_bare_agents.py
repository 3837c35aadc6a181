#!/usr/bin/env python3
"""Runs the agents that have no operating system: the stub domain under QEMU, the microcontroller emulated.

Each is built, held to its size, and decides for workloads: the same state as the agent in the orchestrator to the
bit, what is outside the model denied and told in words, and nothing allowed once the agent is dead. The figures
that it prints are wall-clock time on this machine under emulation.

`localities` runs the nginx of the corpus and every attack with the agent on an emulated board, which takes long; `bench` is
what `cargo xtask bench agents --boards` calls.
"""

import argparse
import contextlib
import json
import os
import re
import select
import signal
import socket
import struct
import subprocess
import sys
import tempfile
import time
import tty
from pathlib import Path

from quixote_cli import default_binary

ROOT = Path(__file__).resolve().parent.parent
IMAGE_MAX = 2 << 20
BOOT_MAX_MS = 1000
BUILD_LIMIT_S = 500
RUN_LIMIT_S = 240
ALL_LIMIT_S = 7200
# In the place of an attack's name.
EVERY = "all"
# Board: QEMU's machine, RAM, where the starter leaves the secret, coefficients that must fit.
BOARDS = {
    "lm3s6965evb": (64 << 10, 0x2000_0000 + (64 << 10) - 128, 1000),
    "mps2-an385": (256 << 10, 0x2000_0000 + (256 << 10) - 128, 5000),
}
# The board with room for the coefficients of any service.
ATTACKED = "mps2-an385"
# As in agents/mcu/boards/*/memory.x.
STACKS = {"lm3s6965evb": 11776, "mps2-an385": 24 << 10}
# At least so much of it must never have been used.
STACK_SPARE = 512
# What one run shows besides the files it is told to read.
OWN_EVENTS = 20


class Failure(Exception):
    """What went wrong, in a sentence."""


def check(holds, what):
    if not holds:
        raise Failure(what)


def build(*arguments):
    done = subprocess.run(
        [ROOT / "agents/build.sh", *arguments], stdout=subprocess.PIPE, text=True, timeout=BUILD_LIMIT_S
    )
    check(done.returncode == 0, f"agents/build.sh {' '.join(arguments)} failed")
    image, size, digest = done.stdout.split()
    print(f"{' '.join(arguments)}: {size} octets, sha256 {digest}")
    return Path(image)


class Bench:
    """A place with keys, models and records of its own."""

    def __init__(self, home, binary):
        self.home, self.binary, self.key = Path(home), binary, None
        self.home.mkdir(exist_ok=True)
        places = {"QUIXOTE_STATE_DIR": "state", "QUIXOTE_RUNTIME_DIR": "run", "QUIXOTE_TRUST_DIR": "trust"}
        self.environment = {**os.environ, **{name: f"{home}/{place}" for name, place in places.items()}, "HOME": str(home)}

    def quixote(self, *arguments):
        return subprocess.run(
            [self.binary, *arguments], env=self.environment, cwd=self.home, capture_output=True, text=True,
            timeout=RUN_LIMIT_S,
        )

    def summary(self, verb, tma, name, *arguments):
        out = self.home / f"{name}.json"
        done = self.quixote(verb, "--tma", tma, "--name", name, "--summary", out, *arguments)
        check(out.exists(), f"{verb} {name}: exit {done.returncode}: {done.stderr}")
        return json.loads(out.read_text()), done

    def learn(self, tma, name, *command):
        model = self.home / f"{name}.model"
        summary, _ = self.summary("learn", tma, name, "-o", model, "--runs", "1", "--", *command)
        return model, summary

    def within(self, name):
        """A place of its own in this one, for another agent."""
        return Bench(self.home / name, self.binary)

    def keygen(self):
        """From now on models are signed, with this key."""
        self.key = self.home / "models.key"
        done = self.quixote("model", "keygen", "-o", self.key)
        check(done.returncode == 0, f"keygen: {done.stderr}")

    def enforcing(self, tma, name, model):
        """The command line; signs the model where there is a key."""
        line = ["--tma", tma, "--name", name, "--summary", self.home / f"{name}.json"]
        if not self.key:
            return [*line, "--allow-unsigned", model, "--"]
        done = self.quixote("model", "sign", "--key", self.key, model)
        check(done.returncode == 0, f"sign: {done.stderr}")
        return [*line, model, "--"]

    def enforce(self, tma, name, model, *command):
        line = self.enforcing(tma, name, model)
        started = time.monotonic()
        done = self.quixote("enforce", *line, *command)
        out = self.home / f"{name}.json"
        check(out.exists(), f"enforce {name}: exit {done.returncode}: {done.stderr}")
        summary = json.loads(out.read_text())
        return summary, done, time.monotonic() - started


def suite_program():
    """The suite's program: what the workspace's tests have built, unless a source is newer."""
    program = Path(os.environ.get("CARGO_TARGET_DIR", ROOT / "target"), "debug/agent-conformance")
    sources = [path for crate in ("core", "protocol", "orchestrator", "conformance/agents") for path in (ROOT / crate).rglob("*.rs")]
    if not program.exists() or program.stat().st_mtime < max(path.stat().st_mtime for path in sources):
        line = ["cargo", "build", "--quiet", "--package", "agent-conformance", "--bin", "agent-conformance"]
        check(subprocess.run(line, cwd=ROOT, timeout=BUILD_LIMIT_S).returncode == 0, "the suite does not build")
    return program


def suite(bench, tma, *arguments):
    """The suite of conformance/agents: vectors, recordings, claimed identities, hostile peers; what it printed."""
    done = subprocess.run(
        [suite_program(), "--tma", tma, *arguments], env=bench.environment, capture_output=True, text=True,
        timeout=RUN_LIMIT_S,
    )
    print(done.stdout, end="")
    check(done.returncode == 0, f"the suite does not hold: {done.stderr}")
    return done.stdout


def files(home, count):
    """A program that reads so many files, one event each, in one process."""
    folder = Path(home, f"files-{count}")
    folder.mkdir()
    for number in range(count):
        (folder / f"f{number:05}").write_text("x")
    script = f"import os\nfor name in sorted(os.listdir({str(folder)!r})): open({str(folder)!r} + '/' + name).close()"
    return ["/usr/bin/python3", "-S", "-E", "-s", "-c", script]


def hold(bench, tma, count):
    """A workload of `count` distinct events: learned here, enforced there; then one that is outside the model."""
    workload = files(bench.home, count)
    model, learned = bench.learn("orchestrator", f"files-{count}", *workload)
    enforced, done, seconds = bench.enforce(tma, f"enforced-{count}", model, *workload)
    counts = enforced["counts"]
    check(done.returncode == 0 and counts["denied"] == 0, f"a modeled run was denied: {enforced} {done.stderr}")
    check(enforced["state"] == learned["state"], f"another state: {enforced['state']}, not {learned['state']}")
    events = counts["events"]
    print(f"{tma}: {events} events of {count} files enforced in {seconds:.2f} s, {events / seconds:.0f} verdicts/s")
    refused, done, _ = bench.enforce(tma, f"refused-{count}", model, "/usr/bin/python3", "-S", "-E", "-s", "-c", "open('/etc/hosts')")
    check(refused["counts"]["denied"] > 0, f"what is outside the model was allowed: {refused}")
    check(refused["state"] != learned["state"], "a violation left the state as it was")
    told = json.loads(bench.quixote("show", f"refused-{count}", "forensics", "--json").stdout)
    check(any("/etc/hosts" in json.dumps(one) for one in told), f"the violation is not told: {told}")
    return model, workload


def fails_closed(bench, tma, model, kill):
    """The agent dies in the middle of a run: nothing is allowed any more."""
    marker = bench.home / "go"
    script = f"import os,time\nwhile not os.access({str(marker)!r}, os.F_OK): time.sleep(0.01)\nopen('/etc/hosts')"
    workload = ["/usr/bin/python3", "-S", "-E", "-s", "-c", script]
    marker.write_text("x")
    model, _ = bench.learn("orchestrator", "waits", *workload)
    marker.unlink()
    line = [bench.binary, "enforce", *bench.enforcing(tma, "killed", model)]
    with subprocess.Popen(
        [*line, *workload], env=bench.environment, cwd=bench.home, stderr=subprocess.PIPE, text=True
    ) as run:
        kill(run)
        marker.write_text("x")
        _, told = run.communicate(timeout=RUN_LIMIT_S)
        check(run.returncode != 0, "the workload went on without an agent")
        check("agent" in told, f"the loss of the agent was not told: {told}")
    marker.unlink()


def children(pid):
    listed = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    return {int(child): Path(f"/proc/{child}/comm").read_text().strip() for child in listed}


def kill_machine(run):
    """Kills the machine once its workload runs."""
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        with contextlib.suppress(OSError):
            found = children(run.pid)
            machine = [pid for pid, name in found.items() if name.startswith("qemu")]
            if machine and any(name.startswith("python") for name in found.values()):
                return os.kill(machine[0], signal.SIGKILL)
        time.sleep(0.02)
    raise Failure("the machine or its workload did not start")


def stubdomain(bench):
    image = build("stubdomain")
    check(image.stat().st_size < IMAGE_MAX, "the image is 2 MiB or more")
    tma = f"vm:{image}"
    started = time.monotonic()
    _, done = bench.learn(tma, "ls", "/bin/ls", "/")
    print(f"boot, one run of ls learned, and the end of it: {time.monotonic() - started:.2f} s")
    _, here = bench.learn("orchestrator", "ls-here", "/bin/ls", "/")
    check(done["state"] == here["state"], "the same run has another state")
    # The emulator's own start is in it, other work of this machine is not.
    booted = re.search(r"(\d+) ms of it processor time", suite(bench, tma))
    check(int(booted[1]) < BOOT_MAX_MS, f"the machine took {booted[1]} ms of processor time to boot")
    model, _ = hold(bench, tma, 1000)
    fails_closed(bench, tma, model, kill_machine)
    changed = bench.home / "image"
    changed.write_bytes(image.read_bytes())
    check(bench.quixote("learn", "--tma", f"vm:{changed}", "-o", "a.model", "--runs", "1", "--", "/bin/true").returncode == 0, "a copy of the image does not boot")
    changed.write_bytes(image.read_bytes() + b"x")
    refused = bench.quixote("learn", "--tma", f"vm:{changed}", "-o", "b.model", "--runs", "1", "--", "/bin/true")
    check(refused.returncode != 0 and "not the pinned one" in refused.stderr, f"an exchanged image was booted: {refused.stderr}")


class Board:
    """An emulated board on a serial line: a terminal that the emulator opened."""

    def __init__(self, bench, board, firmware):
        _, place, _ = BOARDS[board]
        given, self.monitor = bench.home / f"{board}.given", bench.home / f"{board}.monitor"
        given.write_bytes(b"quixote-tma-seed" + os.urandom(64))
        self.monitor.unlink(missing_ok=True)
        self.said = tempfile.TemporaryFile("w+")
        line = ["qemu-system-arm", "-machine", board, "-nodefaults", "-no-user-config", "-display", "none", "-no-reboot", "-S"]
        line += ["-kernel", firmware, "-device", f"loader,file={given},addr={place:#x},force-raw=on"]
        line += ["-chardev", "pty,id=tma", "-serial", "chardev:tma", "-monitor", f"unix:{self.monitor},server=on,wait=off"]
        self.machine = subprocess.Popen(line, stdout=self.said, stderr=self.said)

    def __enter__(self):
        deadline = time.monotonic() + 60
        while not self.monitor.exists():
            check(self.machine.poll() is None and time.monotonic() < deadline, f"qemu-system-arm does not start: {self.end()}")
            time.sleep(0.02)
        line = re.search(r"tma: filename=pty:(/dev/\S+)", self.ask("info chardev"))[1]
        # Held open as a real line is there whether it is used or not; and nothing is echoed.
        self.line = os.open(line, os.O_RDWR | os.O_NOCTTY)
        tty.setraw(self.line)
        self.ask("cont")
        check(select.select([self.line], [], [], 60)[0], "the board does not say that it is up")
        check(os.read(self.line, 1) == b"\0", "the board says something else than that it is up")
        self.tma = f"serial:{line}"
        return self

    def __exit__(self, kind, *_):
        if kind:
            print(f"the board when that happened: {self.end()}", file=sys.stderr)
        self.machine.kill()
        self.machine.wait()
        os.close(self.line)
        self.said.close()

    def end(self):
        """Whether the emulator has ended, and its words."""
        self.said.seek(0)
        return f"exit {self.machine.poll()}, {self.said.read()!r}"

    def ask(self, question):
        """The answer of the emulator's monitor."""
        prompt = b"(qemu) "
        with self.connected() as line:
            said = b""
            while said.count(prompt) < 1:
                said += line.recv(4096)
            line.sendall(f"{question}\n".encode())
            while said.count(prompt) < 2 or not said.endswith(prompt):
                said += line.recv(4096)
        return said.decode()

    def connected(self):
        """A connection to the monitor, whose socket exists a moment before it listens."""
        deadline = time.monotonic() + 60
        while True:
            line = socket.socket(socket.AF_UNIX)
            line.settimeout(60)
            try:
                line.connect(str(self.monitor))
                return line
            except ConnectionRefusedError:
                line.close()
                check(self.machine.poll() is None and time.monotonic() < deadline, f"qemu-system-arm has no monitor: {self.end()}")
                time.sleep(0.02)

    def lamp(self):
        """The register that the lamp hangs on."""
        address = LAMPS[self.machine.args[2]]
        return int(re.search(r": 0x([0-9a-f]{8})", self.ask(f"xp /1wx {address:#x}"))[1], 16) & 1

    def stack(self):
        """The most octets of stack that were ever used: memory is zero when a board starts."""
        low, size = 0x2000_0000, STACKS[self.machine.args[2]]
        octets = self.monitor.with_suffix(".stack")
        self.ask(f'pmemsave {low:#x} {size} "{octets}"')
        return size - (len(octets.read_bytes()) - len(octets.read_bytes().lstrip(b"\0")))


LAMPS = {"lm3s6965evb": 0x4002_5004, "mps2-an385": 0x4002_8000}


def footprint(firmware):
    """Octets of flash and of static RAM, without the stack, by the program headers."""
    octets = firmware.read_bytes()
    offset, size, count = struct.unpack_from("<I", octets, 28)[0], *struct.unpack_from("<HH", octets, 42)
    flash = memory = 0
    for index in range(count):
        kind, _, virtual, _, in_file, in_memory, _, _ = struct.unpack_from("<8I", octets, offset + index * size)
        if kind == 1:
            flash += in_file
            memory += in_memory if virtual >= 0x2000_0000 else 0
    return flash, memory


def mcu(bench, board, attacks, with_suite):
    firmware = build("mcu", board)
    flash, memory = footprint(firmware)
    ram, _, coefficients = BOARDS[board]
    print(f"mcu {board}: {flash} octets of flash, {memory} of {ram} octets of RAM without the stack")
    place = bench.within(f"{board}-suite")
    if with_suite:
        with Board(place, board, firmware) as device:
            provision(place, device.tma)
            suite(place, device.tma)
            stack(board, device)
    if attacks:
        with Board(place, board, firmware) as device:
            attack(place, device.tma, attacks)
            stack(board, device)
    place = bench.within(f"{board}-decides")
    with Board(place, board, firmware) as device:
        decides(place, device, coefficients)
        stack(board, device)
        fails_closed(place, device.tma, None, lambda run: kill_board(run, device.machine))


def attack(bench, tma, names):
    """A service, learned and enforced by the agent, and attacks on it."""
    chosen = [] if EVERY in names else [word for name in names for word in ("--only", name)]
    runner("run_attacks.py", bench, tma, "--ci", "--learn-runs", "1", *chosen, limit_s=RUN_LIMIT_S if chosen else ALL_LIMIT_S)


def runner(script, bench, tma, *arguments, limit_s=ALL_LIMIT_S):
    """One of the runners of services, with its agent there."""
    line = [sys.executable, ROOT / "conformance" / script, "--quixote", bench.binary, "--tma", tma, *arguments]
    done = subprocess.run(line, timeout=limit_s)
    check(done.returncode == 0, f"{script} {' '.join(arguments)}: does not hold with --tma {tma}")


def localities(bench, board):
    """The service of the corpus and every attack, with the agent on an emulated board."""
    firmware = build("mcu", board)
    with Board(bench, board, firmware) as device:
        # A line belongs to one account, an agent to one orchestrator's key: one account.
        runner("run_corpus.py", bench, device.tma, "--ci", "--only", "nginx@root")
        stack(board, device)
    with Board(bench, board, firmware) as device:
        attack(bench, device.tma, [EVERY])
        stack(board, device)


def measure(bench, rounds, also):
    """What a verdict costs in each locality, the emulated boards beside the others: `cargo xtask bench agents --boards`."""
    image = build("stubdomain")
    with contextlib.ExitStack() as devices:
        places = ["orchestrator", "process", f"vm:{image}", *also]
        for board in sorted(BOARDS):
            device = devices.enter_context(Board(bench, board, build("mcu", board)))
            provision(bench, device.tma)
            places.append(f"{board}={device.tma}")
        program = bench.binary.parent / "agent-bench"
        done = subprocess.run([program, "--rounds", str(rounds), *places], env=bench.environment, timeout=ALL_LIMIT_S)
        check(done.returncode == 0, f"{program} failed")


def decides(bench, device, coefficients):
    """A real workload; as many coefficients as must fit, all used; models that its own key signed, and no others."""
    bench.keygen()
    provision(bench, device.tma, "--model-key", f"{bench.key}.pub")
    learned = bench.learn(device.tma, "ls", "/bin/ls", "/")[1]
    here = bench.learn("orchestrator", "ls-here", "/bin/ls", "/")[1]
    check(learned["state"] == here["state"], "the same run has another state")
    check(device.lamp() == 0, "the lamp is lit without a violation")
    unsigned = bench.home / "ls.model"
    done = bench.quixote("enforce", "--tma", device.tma, "--name", "unsigned", "--allow-unsigned", unsigned, "--", "/bin/ls", "/")
    check(done.returncode != 0 and not done.stdout, f"the agent enforced what nobody signed: {done.stderr}")
    hold(bench, device.tma, coefficients - OWN_EVENTS)
    check(device.lamp() == 1, "the lamp is not lit by a violation")


def provision(bench, tma, *arguments):
    done = bench.quixote("provision", "--tma", tma, *arguments)
    check(done.returncode == 0, f"provision: {done.stderr}")


def stack(board, device):
    used, there = device.stack(), STACKS[board]
    print(f"mcu {board}: {used} of {there} octets of stack used")
    check(used + STACK_SPARE <= there, "the stack is nearly used up")


def kill_board(run, machine):
    """Kills the board once the workload that it decides for runs."""
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        with contextlib.suppress(OSError):
            if any(name.startswith("python") for name in children(run.pid).values()):
                return machine.kill()
        time.sleep(0.02)
    raise Failure("the workload did not start")


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("agent", choices=["stubdomain", "mcu", "localities", "bench"])
    parser.add_argument("--quixote", type=Path, default=default_binary())
    parser.add_argument("--board", action="append", choices=sorted(BOARDS), help="all, unless named")
    parser.add_argument("--attack", action="append", default=[], metavar="NAME", help=f"also run this attack, or all, with the agent on {ATTACKED}")
    parser.add_argument("--rounds", type=int, default=5, help="of bench")
    parser.add_argument("--also", action="append", default=[], metavar="WHERE", help="a further locality of bench")
    parser.add_argument("--no-suite", action="append", default=[], metavar="BOARD", help="leave out the suite on this board, to save its time")
    parser.add_argument("--build-also", action="append", default=[], metavar="BOARD", help="build firmware that no emulator runs")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="quixote-bare-", dir="/var/tmp") as home:
        bench = Bench(home, arguments.quixote.resolve())
        try:
            if arguments.agent == "stubdomain":
                stubdomain(bench)
            elif arguments.agent == "localities":
                localities(bench, ATTACKED)
            elif arguments.agent == "bench":
                measure(bench, arguments.rounds, arguments.also)
            else:
                for board in arguments.board or sorted(BOARDS):
                    mcu(bench, board, arguments.attack if board == ATTACKED else [], board not in arguments.no_suite)
                for board in arguments.build_also:
                    build("mcu", board)
        except Failure as failure:
            print(f"FAILED: {failure}", file=sys.stderr)
            return 1
    print(f"{arguments.agent}: ok")
    return 0


if __name__ == "__main__":
    sys.exit(main())
