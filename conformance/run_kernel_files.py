#!/usr/bin/env python3
"""Digests of executed and mapped files, wherever the file lies and however it is changed, on the kernel that runs.

    cargo xtask vm --kernel 6.1 --kernel 6.12 -- /usr/bin/python3 conformance/run_kernel_files.py

A workload (kernel_files/workload.py) uses a file in every kind of place twice. Undisturbed, both sources learn the same coefficients with the digest
that hashlib computes, and enforcing denies nothing. Then the file is changed between the two uses, by every way that a
file changes by: the first use must go through and the second must be denied, in the kernel, in the same run.
"""

import argparse
import hashlib
import mmap
import os
import re
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

from quixote_cli import default_binary

WORKLOAD = Path(__file__).resolve().parent / "kernel_files/workload.py"
TOOL = Path("/bin/busybox")
LIMIT_S = 600


def run(*command):
    subprocess.run(command, check=True, timeout=60)


def flip(path):
    """Another last octet: the program runs as before."""
    with open(path, "r+b") as file:
        file.seek(-1, os.SEEK_END)
        last = file.read(1)
        file.seek(-1, os.SEEK_END)
        file.write(bytes([last[0] ^ 1]))


def exchange(path):
    """A changed copy takes the name."""
    shutil.copy2(path, path.with_name("changed"))
    flip(path.with_name("changed"))
    path.with_name("changed").rename(path)


def flip_with_old_times(path):
    before = os.stat(path)
    flip(path)
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))


class OpenWriter:
    """Who holds the file open for writing all the time."""

    def __init__(self, path):
        self.file = open(path, "r+b", buffering=0)

    def __call__(self, _path):
        last = os.pread(self.file.fileno(), 1, os.stat(self.file.fileno()).st_size - 1)
        os.pwrite(self.file.fileno(), bytes([last[0] ^ 1]), os.stat(self.file.fileno()).st_size - 1)


class SharedMap:
    """Who has the file mapped shared and writable, and no descriptor."""

    def __init__(self, path):
        with open(path, "r+b") as file:
            self.memory = mmap.mmap(file.fileno(), 0, mmap.MAP_SHARED)

    def __call__(self, _path):
        self.memory[-1] ^= 1


def plain(folder):
    place = folder / "place"
    place.mkdir()
    shutil.copy2(TOOL, place / "tool")
    return place / "tool"


def apart(folder):
    """On a file system of its own: the kernel calls a file without a name by its number there."""
    (folder / "place").mkdir()
    run("mount", "-t", "tmpfs", "place", folder / "place")
    shutil.copy2(TOOL, folder / "place/tool")
    return folder / "place/tool"


def linked(folder):
    tool = plain(folder)
    other = folder / "link"
    os.link(tool, other)
    return other


def bound(folder):
    (folder / "behind").mkdir()
    (folder / "place").mkdir()
    shutil.copy2(TOOL, folder / "behind/tool")
    run("mount", "--bind", folder / "behind", folder / "place")
    return folder / "behind/tool"


def mount_overlay(folder, lowers, *more):
    uppers = (f"{name}dir={folder / name}" for name in ("upper", "work"))
    options = ",".join(["lowerdir=" + ":".join(map(str, lowers)), *uppers, *more])
    run("mount", "-t", "overlay", "overlay", "-o", options, folder / "place")


def overlay(folder, layer, *more):
    """The file's own place in the layer `lower`, `bottom` below it, or `upper`."""
    for name in ("bottom", "lower", "upper", "work", "place"):
        (folder / name).mkdir()
    shutil.copy2(TOOL, folder / layer / "tool")
    mount_overlay(folder, [folder / "lower", folder / "bottom"], *more)
    return folder / layer / "tool"


def merged(folder, layer):
    overlay(folder, layer)
    return folder / "place/tool"


def metacopy(folder):
    """The upper layer has other attributes, the lower one still the content."""
    tool = overlay(folder, "lower", "metacopy=on")
    (folder / "place/tool").chmod(0o700)
    if (folder / "upper/tool").stat().st_blocks * 512 >= TOOL.stat().st_size:
        raise SystemExit("FAILED: the content was copied up as well")
    return tool


def nested(folder):
    """The lower layer is an overlay, in whose own layer the file lies."""
    for name in ("inside", "bottom", "upper", "work", "place"):
        (folder / name).mkdir()
    tool = overlay(folder / "inside", "upper")
    mount_overlay(folder, [folder / "inside/place", folder / "bottom"])
    return tool


def copy_up_and_flip_below(path):
    """Who has the lower file open reads what was copied up from then on, and maps what is below."""
    (path.parent.parent / "place/tool").chmod(0o755)
    flip(path)


def copy_up_and_flip(path):
    """Copied to the upper layer as it is, and changed there."""
    (path.parent.parent / "place/tool").chmod(0o755)
    flip(path.parent.parent / "upper/tool")


# Name: how the place is made (it answers the path that is changed), what changes it.
PLACES = {
    "exec-write": (plain, flip),
    "exec-times": (plain, flip_with_old_times),
    "exec-rename": (plain, exchange),
    "exec-link": (linked, flip),
    "exec-bind": (bound, flip),
    "exec-lower-copied-up": (lambda folder: merged(folder, "lower"), flip),
    "exec-upper": (lambda folder: merged(folder, "upper"), flip),
    "exec-upper-beneath": (lambda folder: overlay(folder, "upper"), flip),
    "exec-lower-beneath": (lambda folder: overlay(folder, "lower"), flip),
    "exec-bottom-beneath": (lambda folder: overlay(folder, "bottom"), flip),
    "exec-lower-times-beneath": (lambda folder: overlay(folder, "lower"), flip_with_old_times),
    "exec-upper-writer-beneath": (lambda folder: overlay(folder, "upper"), OpenWriter),
    "exec-upper-shared-beneath": (lambda folder: overlay(folder, "upper"), SharedMap),
    "exec-copied-up-beneath": (lambda folder: overlay(folder, "lower"), copy_up_and_flip),
    "exec-metacopy-beneath": (metacopy, flip),
    "exec-nested-beneath": (nested, flip),
    "held-copied-up-beneath": (lambda folder: overlay(folder, "lower"), copy_up_and_flip_below),
    "map-write": (plain, flip),
    "map-truncate": (plain, lambda path: os.truncate(path, 8192)),
    "map-open-writer": (plain, OpenWriter),
    "map-shared-writer": (plain, SharedMap),
    "map-upper-beneath": (lambda folder: overlay(folder, "upper"), flip),
    "map-upper-shared-beneath": (lambda folder: overlay(folder, "upper"), SharedMap),
    "map-lower-beneath": (lambda folder: overlay(folder, "lower"), flip),
    "chroot": (plain, flip),
    "namespace": (plain, flip),
    "memfd": (plain, flip),
    "unnamed": (apart, flip),
    "deleted": (plain, flip),
}


# The portable source refuses to mount there: the path would lie in memory that it cannot hold still.
KERNEL_ONLY = {"namespace"}


class Bench:
    """The places, made anew for every run, and the binary under test."""

    def __init__(self, quixote, folder):
        self.quixote = quixote
        self.folder = folder
        self.environment = {"PATH": os.environ["PATH"], "HOME": str(folder), "XDG_RUNTIME_DIR": str(folder)}

    def make(self, names):
        root = self.folder / "files"
        subprocess.run(["umount", "--recursive", root], stderr=subprocess.DEVNULL, timeout=60)
        shutil.rmtree(root, ignore_errors=True)
        root.mkdir()
        run("mount", "-t", "tmpfs", "files", root)
        os.mkfifo(root / "go")
        (root / "places").write_text(" ".join(names))
        changed = {}
        for name in names:
            (root / name).mkdir()
            make, change = PLACES[name]
            path = make(root / name)
            changed[name] = (path, change(path) if isinstance(change, type) else change)
        return root, changed

    def lines(self, names, *command, tamper=False):
        """What the workload says of each place, under `quixote COMMAND`."""
        root, changed = self.make(names)
        command = [self.quixote, *command, "--", "/usr/bin/python3", WORKLOAD, root]
        log = self.folder / "log"
        with log.open("wb") as errors:
            child = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=errors, text=True, env=self.environment, cwd=self.folder)
            timer = threading.Timer(LIMIT_S, child.kill)
            timer.start()
            for name in names:
                path, change = changed[name]
                if not self.wait_for_reader(root / "go", child):
                    break
                if tamper:
                    change(path)
                self.release()
            output = child.communicate()[0]
            timer.cancel()
        return child.returncode, output.splitlines(), log.read_text(errors="replace")

    def wait_for_reader(self, fifo, child):
        """Whether the workload has come to the point between two uses; its pipe is then open for us."""
        while child.poll() is None:
            try:
                self.pipe = os.open(fifo, os.O_WRONLY | os.O_NONBLOCK)
                return True
            except OSError:
                time.sleep(0.02)
        return False

    def release(self):
        os.close(self.pipe)
        # The reader has to be gone before the next place opens the same pipe.
        time.sleep(0.2)


def events(model):
    return {line for line in model.read_text().splitlines() if re.match(r"[0-9a-f]{64} ", line)}


def expect(holds, what):
    if not holds:
        raise SystemExit(f"FAILED: {what}")


def learn(bench, source, names):
    """What `source` learns of places that nobody changes."""
    model = bench.folder / f"{source}.model"
    model.unlink(missing_ok=True)
    status, lines, log = bench.lines(names, "learn", "--source", source, "-o", model)
    expect(status == 0 and " 0 lost" in log, f"learning under {source} ended with {status}:\n{log}")
    expect(lines == [f"{name} runs runs" for name in names], f"{source}: {lines}")
    return model


def same_digests(bench, names):
    """Both sources learn the same, with the right digests."""
    kernel, portable = (events(learn(bench, source, names)) for source in ("kernel", "portable"))
    differ = "\n".join(sorted(kernel ^ portable))
    expect(kernel == portable, f"the sources differ:\n{differ}")
    digest = hashlib.sha256(TOOL.read_bytes()).hexdigest()
    wrong = [line for line in kernel if re.search(r"/tool\{|memfd:tool|\(deleted\)", line) and "sha256:" in line and digest not in line]
    expect(not wrong, f"not the digest of {TOOL}: {wrong}")
    right = sum(f"sha256:{digest}" in line for line in kernel)
    expect(right >= len(names), f"only {right} events have the digest of {TOOL}")
    print(f"same {len(kernel)} coefficients under both sources, {right} with the digest of the file", flush=True)


class Unreadable:
    """A file whose end its disk has lost, so that nobody can tell its digest."""

    SIZE, HELD, FILE = 32 << 20, 6 << 20, 12 << 20
    MAP = "import mmap, os, sys; mmap.mmap(os.open(sys.argv[1], os.O_RDONLY), 4096, mmap.MAP_PRIVATE, mmap.PROT_READ | mmap.PROT_EXEC)"

    def __init__(self, bench):
        self.bench = bench
        self.root = bench.folder / "unreadable"
        self.mount, self.disk = self.root / "mount", self.root / "disk"

    def __enter__(self):
        run("modprobe", "-a", "loop", "ext4")
        self.root.mkdir()
        run("mount", "-t", "tmpfs", "unreadable", self.root)
        self.mount.mkdir()
        with open(self.disk, "wb") as disk:
            disk.truncate(self.SIZE)
        run("mkfs.ext4", "-q", "-F", self.disk)
        self.appear()
        (self.mount / "file").write_bytes(os.urandom(self.FILE))
        return self

    def __exit__(self, *_):
        run("umount", "--recursive", self.root)

    def appear(self):
        run("mount", "-o", "loop", self.disk, self.mount)

    def lose_the_end(self):
        run("umount", self.mount)
        self.appear()
        os.truncate(self.disk, self.HELD)
        asked = ["losetup", "--noheadings", "--output", "NAME", "--associated", self.disk]
        device = subprocess.run(asked, capture_output=True, text=True, check=True, timeout=60)
        run("losetup", "--set-capacity", device.stdout.strip())

    def under(self, *words):
        command = [self.bench.quixote, *words, "--", "/usr/bin/python3", "-c", self.MAP, self.mount / "file"]
        done = subprocess.run(command, capture_output=True, text=True, env=self.bench.environment, cwd=self.bench.folder, timeout=LIMIT_S)
        return done.returncode, done.stderr


def refuse_what_has_no_digest(bench):
    """It is a loss: counted, refused when enforcing, and a model that was learned with it cannot be signed."""
    model, lossy = bench.folder / "whole.model", bench.folder / "lossy.model"
    with Unreadable(bench) as file:
        status, log = file.under("learn", "--source", "kernel", "-o", model)
        expect(status == 0 and " 0 lost" in log, f"learning a file that can be read ended with {status}:\n{log}")
        file.lose_the_end()
        status, log = file.under("enforce", "--source", "kernel", "--allow-unsigned", model)
        told = 'event="mmap_file" why="its file has no digest" denied=true' in log
        expect(status != 0 and "PermissionError" in log and " 1 lost" in log and told, f"enforcing ended with {status}:\n{log}")
        status, log = file.under("learn", "--source", "kernel", "--runs", "1", "-o", lossy)
        expect(status == 0 and " 1 lost" in log and "cannot be signed" in log, f"learning ended with {status}:\n{log}")
        expect("\nlosses 1\n" in lossy.read_text(), "the model does not say that an event was lost")
    print("a file that cannot be read: refused, and counted as lost", flush=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quixote", type=Path, default=default_binary())
    parser.add_argument("--only", action="append", choices=sorted(PLACES), help="only this place")
    arguments = parser.parse_args()
    folder = Path(tempfile.mkdtemp(prefix="quixote-files."))
    bench = Bench(arguments.quixote.resolve(), folder)
    names = arguments.only or list(PLACES)
    same_digests(bench, [name for name in names if name not in KERNEL_ONLY])
    enforce = ["enforce", "--source", "kernel", "--allow-unsigned", learn(bench, "kernel", names)]
    status, lines, log = bench.lines(names, *enforce)
    expect(status == 0 and lines == [f"{name} runs runs" for name in names], f"undisturbed: {lines}\n{log}")
    print("enforced without a denial", flush=True)
    status, lines, log = bench.lines(names, *enforce, tamper=True)
    print("\n".join(lines), flush=True)
    wrong = sorted(set(names) - {line.split()[0] for line in lines if line.endswith(" runs denied")})
    expect(not wrong, f"changed and not denied: {', '.join(wrong)}; ended with {status}\n{log}")
    subprocess.run(["umount", "--recursive", folder / "files"], timeout=60)
    if not arguments.only:
        refuse_what_has_no_digest(bench)
    shutil.rmtree(folder)
    print(f"kernel_files: {len(names)} places, every change denied on {os.uname().release}")


if __name__ == "__main__":
    sys.exit(main())
