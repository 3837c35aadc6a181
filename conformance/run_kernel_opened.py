#!/usr/bin/env python3
"""A file that is opened again and again is let through by what it was opened by, without its path being written down; then that changes.

    cargo xtask vm --kernel 6.1 --kernel 6.12 -- /usr/bin/python3 conformance/run_kernel_opened.py

The workload (kernel_files/opener.py) opens one file until the kernel source knows it, from a tmpfs and an ext4. Then the
file gets another path, or other properties, by every way that they change by, without the workload's help: the next
open has to be refused, in the same process, and when it is as before let through again.
"""

import argparse
import contextlib
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import threading
from pathlib import Path

from quixote_cli import default_binary

WORKLOAD = Path(__file__).resolve().parent / "kernel_files/opener.py"
LIMIT_S = 600
# The first is asked about, or its path has changed; the second found in the cache, all others by what was kept then. Of a new
# task the first three that are in the cache are not kept.
TIMES = 5
# Of the names of one directory, as a dentry holds them: with its last octet in the octets that only some kernels keep there, and too long.
LENGTHS = (37, 60)
MADE_AGAIN = 50
DISK_SIZE = 16 << 20


def run(*command):
    subprocess.run(command, check=True, timeout=60)


class Place:
    """A file system with the file that is opened, `above/inner/file`, on a mount in a mount."""

    def __init__(self, root, kind):
        self.root, self.kind = root, kind
        self.mount, self.moved = root / "mount", root / "moved"
        self.above = self.mount / "above"
        self.inner = self.above / "inner"
        self.file = self.inner / "file"
        self.names = [self.above / ("n" * (length - 1) + "A") for length in LENGTHS]

    def make(self):
        self.root.mkdir()
        self.mount.mkdir()
        self.moved.mkdir()
        if self.kind == "tmpfs":
            run("mount", "-t", "tmpfs", "opened", self.mount)
        else:
            with open(self.root / "disk", "wb") as disk:
                disk.truncate(DISK_SIZE)
            run("mkfs.ext4", "-q", "-F", self.root / "disk")
            run("mount", "-o", "loop", self.root / "disk", self.mount)
        self.inner.mkdir(parents=True)
        (self.mount / "elsewhere").mkdir()
        self.file.write_text("x")
        os.link(self.file, self.mount / "elsewhere/file")
        for name in self.names:
            os.link(self.file, name)
        return self

    def end(self):
        run("umount", self.mount)
        shutil.rmtree(self.root)


@contextlib.contextmanager
def renamed(old, new):
    old.rename(new)
    yield
    new.rename(old)


@contextlib.contextmanager
def mode(path):
    path.chmod(0o640)
    yield
    path.chmod(0o644)


@contextlib.contextmanager
def owner(path):
    os.chown(path, 1, -1)
    yield
    os.chown(path, 0, -1)


@contextlib.contextmanager
def moved(place):
    run("mount", "--move", place.mount, place.moved)
    yield
    run("mount", "--move", place.moved, place.mount)


@contextlib.contextmanager
def bound(place):
    run("mount", "--bind", place.inner, place.moved)
    yield
    run("umount", place.moved)


class Opener:
    """The workload under `quixote COMMAND`."""

    def __init__(self, bench, *command):
        self.log = bench.folder / "log"
        with self.log.open("wb") as errors:
            self.child = subprocess.Popen([bench.quixote, *command, "--", "/usr/bin/python3", "-I", "-S", "-B", WORKLOAD],
                                          stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=errors, text=True,
                                          env=bench.environment, cwd=bench.folder)
        self.timer = threading.Timer(LIMIT_S, self.child.kill)
        self.timer.daemon = True
        self.timer.start()

    def told(self, *words):
        self.child.stdin.write(" ".join(map(str, words)) + "\n")
        self.child.stdin.flush()
        return self.child.stdout.readline().strip()

    def opened(self, path, flags=os.O_RDONLY, directory=-1):
        return self.told(flags, directory, path)

    def end(self):
        self.child.stdin.close()
        status = self.child.wait()
        self.timer.cancel()
        return status, self.log.read_text(errors="replace")


class Bench:
    """The binary under test, and where everything lies."""

    def __init__(self, quixote, folder):
        self.quixote, self.folder = quixote, folder
        self.environment = {"PATH": os.environ["PATH"], "HOME": str(folder), "XDG_RUNTIME_DIR": str(folder)}

    def learn(self, place):
        model = self.folder / f"{place.kind}.model"
        opener = Opener(self, "learn", "--source", "kernel", "-o", model)
        for path in (place.file, *place.names):
            expect(opener.opened(path) == "opened", f"learning: {path} is not opened")
        status, log = opener.end()
        expect(status == 0 and " 0 lost" in log, f"learning ended with {status}:\n{log}")
        return model


def expect(holds, what):
    if not holds:
        raise SystemExit(f"FAILED: {what}")


def times_known():
    """How many opens the programs have known without their path, in the namespaces that use a slot now or were its last."""
    # tally of wire.h, its third word, on every processor.
    (pinned,) = Path("/sys/fs/bpf").glob("**/tallies")
    dump = subprocess.run(["bpftool", "map", "dump", "pinned", pinned, "-j"], capture_output=True, text=True, check=True).stdout
    values = [each["value"] for row in json.loads(dump) for each in row["values"]]
    return sum(int.from_bytes(bytes(int(octet, 16) for octet in value[16:24]), "little") for value in values)


def known(opener, path):
    answers = [opener.opened(path) for _ in range(TIMES)]
    expect(answers == ["opened"] * TIMES, f"what the model holds: {answers}")


def known_without_path(opener, path):
    before = times_known()
    known(opener, path)
    expect(times_known() - before >= TIMES - 2, f"the path of {path} was written down each time")


def try_changes(opener, place):
    """The names of the changes, each of which was refused."""
    known(opener, place.file)
    inner, elsewhere = (int(opener.told("hold", path)) for path in (place.inner, place.mount / "elsewhere"))
    changes = {
        "file renamed": (renamed(place.file, place.inner / "other"), "other", inner),
        "directory renamed": (renamed(place.inner, place.above / "other"), "file", inner),
        "directory above renamed": (renamed(place.above, place.mount / "other"), "file", inner),
        "mount moved": (moved(place), "file", inner),
        "bound elsewhere": (bound(place), place.moved / "file", -1),
        "link elsewhere": (contextlib.nullcontext(), "file", elsewhere),
        "mode": (mode(place.file), place.file, -1),
        "owner": (owner(place.file), place.file, -1),
    }
    for name, (change, path, directory) in changes.items():
        known_without_path(opener, place.file)
        with change:
            answer = opener.opened(path, directory=directory)
            expect(answer == "refused", f"{place.kind}, {name}: {answer}")
        known(opener, place.file)
    expect(opener.opened(place.file, os.O_RDWR) == "refused", f"{place.kind}: for writing")
    known(opener, place.file)
    return [*changes, "for writing"]


def make_again(opener, place):
    """Directories and names go and come, by which memory is used again; nothing is renamed, and the inode stays."""
    keep = place.mount / "elsewhere/file"
    # The counts of a namespace begin with it.
    known(opener, place.file)
    before = times_known()
    for number in range(MADE_AGAIN):
        known(opener, place.file)
        place.file.unlink()
        place.inner.rmdir()
        other = place.above / f"again{number}"
        other.mkdir()
        os.link(keep, other / "file")
        answer = opener.opened(other / "file")
        expect(answer == "refused", f"{place.kind}, made again as {other}: {answer}")
        (other / "file").unlink()
        other.rmdir()
        place.inner.mkdir()
        os.link(keep, place.file)
    expect(times_known() - before >= MADE_AGAIN * (TIMES - 2), f"{place.kind}: its path was written down each time")


def exchange_names(opener, place):
    """Two names of one file that begin alike, in one directory, the one after the other; such names are not kept."""
    before = times_known()
    for name in place.names:
        other = name.with_name(name.name[:-1] + "B")
        for _ in range(MADE_AGAIN):
            known(opener, name)
            name.unlink()
            os.link(place.mount / "elsewhere/file", other)
            answer = opener.opened(other)
            expect(answer == "refused", f"{place.kind}, {len(name.name)} octets: {answer}")
            other.unlink()
            os.link(place.mount / "elsewhere/file", name)
    expect(times_known() == before, f"{place.kind}: a long name was kept")


def attempt(bench, kind):
    place = Place(bench.folder / kind, kind).make()
    model = bench.learn(place)
    enforce = ["enforce", "--source", "kernel", "--allow-unsigned", "--on-violation", "deny", model]
    opener = Opener(bench, *enforce)
    changes = try_changes(opener, place)
    opener.end()
    opener = Opener(bench, *enforce)
    make_again(opener, place)
    exchange_names(opener, place)
    status, log = opener.end()
    denied = int(re.search(r"(\d+) denied", log).group(1))
    expect(status == 0 and denied == (1 + len(LENGTHS)) * MADE_AGAIN, f"ended with {status}:\n{log}")
    place.end()
    print(f"{kind}: {', '.join(changes)}, made again and exchanged {MADE_AGAIN} times: every open refused", flush=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quixote", type=Path, default=default_binary())
    arguments = parser.parse_args()
    folder = Path(tempfile.mkdtemp(prefix="quixote-opened."))
    run("modprobe", "-a", "loop", "ext4")
    run("mount", "--make-rprivate", "/")
    for kind in ("tmpfs", "ext4"):
        attempt(Bench(arguments.quixote.resolve(), folder), kind)
    shutil.rmtree(folder)
    print(f"kernel_opened: on {os.uname().release}")


if __name__ == "__main__":
    sys.exit(main())
