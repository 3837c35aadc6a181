#!/usr/bin/env python3
"""Others' BPF LSM programs at one hook, as many as are asked for, until its standard input ends.

    python3 conformance/hold_hook.py file_open 38

They let everything through. Prints `held` when all are attached.
"""

import ctypes
import os
import shutil
import struct
import subprocess
import sys
import tempfile
from pathlib import Path

# bpf(2)
SYS_BPF = {"x86_64": 321, "aarch64": 280}[os.uname().machine]
BPF_OBJ_GET = 7
BPF_RAW_TRACEPOINT_OPEN = 17
ATTRIBUTES = 128
BPFFS = Path("/sys/fs/bpf")
SOURCE = """
#define SECTION(name) __attribute__((section(name), used))
SECTION("license") char _license[] = "GPL";
"""
PROGRAM = 'SECTION("lsm/{hook}") int held_{number}(void *ctx) {{ return 0; }}\n'


def source(hook, count):
    return SOURCE + "".join(PROGRAM.format(hook=hook, number=number) for number in range(count))


def bpf(command, attributes):
    libc = ctypes.CDLL(None, use_errno=True)
    given = ctypes.create_string_buffer(attributes, ATTRIBUTES)
    result = libc.syscall(SYS_BPF, command, given, ATTRIBUTES)
    if result < 0:
        raise OSError(ctypes.get_errno(), f"bpf({command}): {os.strerror(ctypes.get_errno())}")
    return result


def attach(pin):
    name = ctypes.create_string_buffer(bytes(pin))
    program = bpf(BPF_OBJ_GET, struct.pack("=QII", ctypes.addressof(name), 0, 0))
    return bpf(BPF_RAW_TRACEPOINT_OPEN, struct.pack("=QI", 0, program))


def load(hook, count, pins):
    with tempfile.TemporaryDirectory() as folder:
        text, compiled = Path(folder) / "held.c", Path(folder) / "held.o"
        text.write_text(source(hook, count))
        subprocess.run(["clang-19", "--target=bpf", "-O2", "-g", "-c", text, "-o", compiled], check=True)
        subprocess.run(["bpftool", "prog", "loadall", compiled, pins], check=True)


def main():
    hook, count = sys.argv[1], int(sys.argv[2])
    pins = BPFFS / f"held_{os.getpid()}"
    try:
        load(hook, count, pins)
        links = [attach(pin) for pin in pins.iterdir()]
    finally:
        shutil.rmtree(pins, ignore_errors=True)
    if len(links) != count:
        raise SystemExit(f"bpftool loaded {len(links)} programs of {count}")
    print("held", flush=True)
    sys.stdin.read()


if __name__ == "__main__":
    main()
