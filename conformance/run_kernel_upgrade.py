#!/usr/bin/env python3
"""Two builds of quixote with different programs on one kernel, one upgraded to the other under running namespaces.

    sh conformance/build_other_programs.sh    # target/xtask/quixote-other-programs
    cargo build --release --package quixote
    cargo xtask vm --cpus 1 --kernel 6.1 --kernel 6.12 -- /usr/bin/python3 conformance/run_kernel_upgrade.py

A namespace goes on under the programs that it began under, allowing and denying, while the other build loads its own, learns
and enforces under them. Namespaces of neither reach orchestrators, maps or pins of the other, whatever their models hold; the
same acts succeed outside every namespace, or the test says nothing. What nobody uses goes at the next load or unload.
"""

import argparse
import errno
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

from run_kernel_lockdown import child_of
from run_kernel_lockdown import waits

FOLDER = Path("/tmp/kernel_upgrade")
PATIENCE = 600  # seconds, of an emulated machine on a busy one
OWN, OTHER = 1, 2  # in the map of our maps

# Does what it is told to, word by word.
WORKLOAD = """
while read word < words; do
	case $word in
	good) cat good > /dev/null && echo good is allowed >> said || echo good is denied >> said ;;
	bad) cat secret > /dev/null && echo bad is allowed >> said || echo bad is denied >> said ;;
	end) exit 0 ;;
	esac
done
"""

# $1: a pipe that says on what to act, $2: where to write down what was done.
REACHES = """
read targets < "$1"
sh acts $targets > "$2" 2> "$2.log"
echo done >> "$2"
read word < "$1"
"""

ACTS = """
pid=$1 pins=$2
shift 2
kill -CONT "$pid" && echo signal
prlimit --pid "$pid" --core=0:0 && echo limit
dd if=/proc/"$pid"/mem of=/dev/null bs=1 count=0 && echo memory
bpftool map dump pinned "$pins"/maps/orchestrators && echo pinned map
for id; do
	bpftool map show id "$id" && echo "map $id"
done
mv "$pins" /sys/fs/bpf/other && mv /sys/fs/bpf/other "$pins" && echo rename
[ -z "$REMOVE" ] || rm "$pins/links/task_kill" && echo remove
mkdir /sys/fs/bpf/quixote-like && rmdir /sys/fs/bpf/quixote-like && echo directory
exit 0
"""


class Failed(Exception):
    pass


def expect(held, what):
    if not held:
        raise Failed(what)


def until(held, what):
    end = time.monotonic() + PATIENCE
    while not held():
        expect(time.monotonic() < end, f"in {PATIENCE} s: {what}")
        time.sleep(0.2)


class Build:
    """One build of quixote, in a folder of its own."""

    def __init__(self, name, program):
        self.name, self.program, self.folder = name, program.resolve(), FOLDER / name
        self.folder.mkdir(parents=True)
        own = {f"QUIXOTE_{place}_DIR": str(self.folder / place.lower()) for place in ("STATE", "RUNTIME", "TRUST")}
        self.environment = {**os.environ, **own, "HOME": str(self.folder), "REMOVE": "yes"}
        for file, text in {"workload": WORKLOAD, "reaches": REACHES, "acts": ACTS, "good": "good\n", "secret": "secret\n"}.items():
            (self.folder / file).write_text(text)
        for pipe in ("words", "targets"):
            os.mkfifo(self.folder / pipe)
        self.set, self.pins = self.status()["own_set"], Path(self.status()["pins"])

    def start(self, *words, log="log"):
        with (self.folder / log).open("w") as output:
            return subprocess.Popen([self.program, *words], cwd=self.folder, env=self.environment, stdin=subprocess.DEVNULL,
                                    stdout=output, stderr=output, start_new_session=True)

    def command(self, *words):
        status = self.start(*words, log="command.log").wait(PATIENCE)
        return status, (self.folder / "command.log").read_text()

    def done(self, *words):
        status, text = self.command(*words)
        expect(status == 0, f"{self.name}: {' '.join(words)}: status {status}: {text}")

    def status(self):
        return json.loads(self.command("kernel", "status", "--json")[1])

    def map(self, name):
        """The entries of a pinned map, as numbers."""
        dump = ["bpftool", "--json", "map", "dump", "pinned", self.pins / "maps" / name]
        entries = json.loads(subprocess.run(dump, capture_output=True, text=True, check=True).stdout)
        number = lambda octets: int.from_bytes(bytes(int(octet, 16) for octet in octets), "little")  # noqa: E731
        return {number(entry["key"]): number(entry["value"]) for entry in entries}

    def maps_entered_as(self, whose):
        return {number for number, value in self.map("own_maps").items() if value == whose}

    # Namespaces.

    def tell(self, word):
        """The last that the workload has said then."""
        before = len(self.said())
        self.write("words", word)
        until(lambda: len(self.said()) > before, f"the workload says nothing of {word}")
        return self.said()[-1]

    def write(self, pipe, line):
        """To whoever reads it; a workload that has ended does not."""
        def opened():
            try:
                return os.open(self.folder / pipe, os.O_WRONLY | os.O_NONBLOCK)
            except OSError as error:
                expect(error.errno == errno.ENXIO, f"{pipe}: {error}")
                return None

        end, writer = time.monotonic() + PATIENCE, opened()
        while writer is None:
            expect(time.monotonic() < end, f"nobody of {self.name} reads {line}: {(self.folder / 'log').read_text()}")
            time.sleep(0.2)
            writer = opened()
        os.write(writer, f"{line}\n".encode())
        os.close(writer)

    def said(self):
        """Whole lines."""
        said = self.folder / "said"
        return said.read_text().split("\n")[:-1] if said.exists() else []

    def learn(self):
        learner = self.start("learn", "--quiet", "--source", "kernel", "-o", "known.model", "--", "/bin/sh", "workload")
        expect(self.tell("good") == "good is allowed", "learning denies")
        self.write("words", "end")
        expect(learner.wait(PATIENCE) == 0, f"{self.name}: learning: {(self.folder / 'log').read_text()}")

    def enforce(self):
        words = ["--quiet", "--source", "kernel", "--allow-unsigned", "--on-violation", "deny", "known.model"]
        return self.started(self.start("enforce", *words, "--", "/bin/sh", "workload", log="enforce.log"), "enforce.log")

    def start_reaching(self):
        """A namespace in which everything is allowed."""
        words = ["--quiet", "--source", "kernel", "--anew", "-o", "reaches.model", "--", "/bin/sh", "reaches", "targets", "inside"]
        return self.started(self.start("learn", *words, log="reaches.log"), "reaches.log")

    def started(self, orchestrator, log):
        def runs():
            expect(orchestrator.poll() is None, f"{self.name} ends: {(self.folder / log).read_text()}")
            child = child_of(orchestrator.pid)
            return child and waits(child)

        until(runs, f"{self.name} does not start: {log}")
        return orchestrator

    def keeps_to_model(self):
        for word, answer in (("good", "good is allowed"), ("bad", "bad is denied")):
            said = self.tell(word)
            expect(said == answer, f"{self.name}'s namespace: {said}")

    def ends(self, orchestrator, pipe="words"):
        self.write(pipe, "end")
        expect(orchestrator.wait(PATIENCE) is not None, "it does not end")


def learned_and_enforced(old):
    """The namespace that lives through it all."""
    old.learn()
    enforced = old.enforce()
    old.keeps_to_model()
    expect(old.status()["other_sets"] == [], "there are other sets before there are any")
    return enforced


def loader_killed(old, new):
    """What it has begun is no set, and is gone with the next load."""
    loader = new.start("kernel", "load", log="killed.log")
    until(lambda: new.pins.exists(), "the loader does not begin")
    time.sleep(2)
    expect(loader.poll() is None, "the loader was done before it could be killed")
    loader.send_signal(signal.SIGKILL)
    loader.wait(PATIENCE)
    expect(new.pins.exists() and new.status()["programs"] == [], "half a set passes for one")
    expect(loader.pid not in old.map("orchestrators"), "the killed loader stays an orchestrator")
    old.keeps_to_model()


def loaded_beside(old, new):
    """While it is loading, the other's namespace allows and denies."""
    loader, rounds = new.start("kernel", "load", log="load.log"), 0
    while loader.poll() is None:
        old.keeps_to_model()
        rounds += 1
    expect(loader.returncode == 0, f"loading: {(new.folder / 'load.log').read_text()}")
    expect(rounds > 0, "nothing was judged while it was loading")
    print(f"  {rounds} rounds of the old namespace while the new set was loaded", flush=True)
    status = new.status()
    expect(status["own_set"] == new.set != old.set and len(status["programs"]) > 60, f"not loaded: {status}")
    others = [(other["name"], other["namespaces"]) for other in status["other_sets"]]
    expect(others == [(old.set, 1)], f"the other set is told as {others}")
    text = new.command("kernel", "status")[1]
    expect(f"of another quixote: {len(status['programs'])} attached programs, 1 namespace (set {old.set})" in text, f"told as: {text}")
    know_each_other(old, new)


def know_each_other(old, new):
    for one, other in ((old, new), (new, old)):
        own, entered = other.maps_entered_as(OWN), one.maps_entered_as(OTHER)
        expect(len(own) > 12 and own == entered, f"{one.name} knows {entered} as maps of {other.name}, which are {own}")


def used(new):
    new.learn()
    enforced = new.enforce()
    new.keeps_to_model()
    return enforced


def acts_on(victim, orchestrator):
    """What ACTS is told, and what it can print of it."""
    maps = sorted(victim.maps_entered_as(OWN))
    done = ["signal", "limit", "memory", "pinned map", *[f"map {number}" for number in maps], "rename", "directory"]
    return [str(orchestrator.pid), str(victim.pins), *map(str, maps)], done


def out_of_reach(attacker, reaching, victim, orchestrator):
    targets, wanted = acts_on(victim, orchestrator)
    outside = subprocess.run(["/bin/sh", "acts", *targets], cwd=attacker.folder, env={**attacker.environment, "REMOVE": ""},
                             capture_output=True, text=True, check=False)
    lacks = set(wanted) - set(outside.stdout.splitlines())
    expect(not lacks, f"{lacks} does not even work outside a namespace: {outside.stderr}")
    attacker.write("targets", " ".join(targets))
    inside = attacker.folder / "inside"
    until(lambda: inside.exists() and inside.read_text().endswith("done\n"), "the acts do not end")
    expect(inside.read_text() == "done\n", f"{attacker.name}'s namespace did this to {victim.name}: {inside.read_text()}")
    text = (attacker.folder / "inside.log").read_text()
    expect(text.count("not permitted") >= len(wanted), f"not refused, but: {text}")
    expect(reaching.poll() is None and (victim.pins / "links" / "task_kill").exists(), "a pin was removed")
    print(f"  {len(wanted) + 1} acts of a namespace of {attacker.name} on {victim.name} refused", flush=True)


def crashed(new, orchestrator, old):
    """An orchestrator that is killed is forgotten by both sets."""
    expect(all(orchestrator.pid in build.map("orchestrators") for build in (old, new)), "it was never known")
    child = child_of(orchestrator.pid)
    orchestrator.send_signal(signal.SIGKILL)
    orchestrator.wait(PATIENCE)
    expect(not any(orchestrator.pid in build.map("orchestrators") for build in (old, new)), "a dead orchestrator is known")
    try:
        os.kill(child, signal.SIGKILL)
    except ProcessLookupError:
        pass  # it was ended with its orchestrator
    until(lambda: new.status()["namespaces"] == 1, "the orphan's namespace stays")


def unloaded_while_used(old, new):
    """The set that is not used goes, though a namespace of the other runs."""
    (new.pins / "links" / "task_kill").unlink()  # as `remove` in ACTS; it has to work outside
    status, text = new.command("kernel", "unload")
    expect(status != 0 and f"{old.set}, under which 2 namespaces run" in text, f"unloading: status {status}: {text}")
    expect(not new.pins.exists() and old.pins.exists(), "the wrong set was unloaded")
    expect(not old.maps_entered_as(OTHER), "the maps of what was unloaded are still known")
    old.keeps_to_model()


def gone_when_unused(old, new):
    new.done("kernel", "load")
    expect(new.pins.exists() and not old.pins.exists(), "a set that nobody uses stays")
    expect(not new.maps_entered_as(OTHER) and not new.map("orchestrators"), "it is still known to the other")
    expect(new.status()["other_sets"] == [], "it is still told")


def locked_down(old, new):
    """Under a lockdown the programs that it began with are the only ones."""
    old.done("kernel", "load", "--lockdown")
    expect(old.pins.exists() and not new.pins.exists(), "a set that is not locked stays beside one that is")
    enforce = ["enforce", "--quiet", "--source", "kernel", "--allow-unsigned", "known.model", "--", "/bin/true"]
    for words in (["kernel", "load"], enforce):
        status, text = new.command(*words)
        expect(status != 0 and old.set in text and "reboot" in text, f"{' '.join(words)}: status {status}: {text}")
    status = new.status()
    expect(status["lockdown"] and status["other_sets"][0]["name"] == old.set and not new.pins.exists(), f"told as {status}")
    enforced = old.enforce()
    old.keeps_to_model()
    old.ends(enforced)


def step(act, *arguments):
    begun = time.monotonic()
    result = act(*arguments)
    print(f"  {act.__name__}: held, in {time.monotonic() - begun:.0f} s", flush=True)
    return result


def reached_neither(old, new, living, enforced):
    reaching = {build: build.start_reaching() for build in (old, new)}
    know_each_other(old, new)
    out_of_reach(old, reaching[old], new, enforced)
    out_of_reach(new, reaching[new], old, living)
    return reaching


def run(old, new):
    expect(old.set != new.set, f"both builds have the programs {old.set}")
    living = step(learned_and_enforced, old)
    step(loader_killed, old, new)
    step(loaded_beside, old, new)
    enforced = step(used, new)
    reaching = step(reached_neither, old, new, living, enforced)
    step(crashed, new, reaching[new], old)
    new.ends(enforced)
    old.keeps_to_model()
    step(unloaded_while_used, old, new)
    old.ends(reaching[old], "targets")
    old.ends(living)
    step(gone_when_unused, old, new)
    step(locked_down, old, new)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--old", type=Path, default=Path("target/release/quixote"))
    parser.add_argument("--new", type=Path, default=Path("target/xtask/quixote-other-programs"))
    arguments = parser.parse_args()
    shutil.rmtree(FOLDER, ignore_errors=True)
    try:
        run(Build("old", arguments.old), Build("new", arguments.new))
    except Failed as error:
        print(f"kernel_upgrade: FAILED: {error}")
        return 1
    print(f"kernel_upgrade: two sets of programs beside each other on {os.uname().release}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
