"""What root outside every namespace tries under a lockdown, by system calls.

An act raises OSError where the kernel refuses it, and returns where it was done.
"""

import ctypes
import errno
import fcntl
import mmap
import os
import resource
import signal
import struct
import subprocess
import time
from pathlib import Path

LIBC = ctypes.CDLL(None, use_errno=True)
PINS = Path("/sys/fs/bpf/quixote-none")  # those of the program under test: the runner says which
TRACING = Path("/sys/kernel/tracing")
GROUPS = Path("/tmp/lockdown_groups")
COPIES = Path("/run/quixote-own")

# x86-64
RT_SIGQUEUEINFO, TGKILL, PROCESS_VM_READV, PROCESS_VM_WRITEV, BPF = 129, 234, 310, 311, 321
PERF_EVENT_OPEN, PIDFD_SEND_SIGNAL, PIDFD_OPEN, PIDFD_GETFD = 298, 424, 434, 438
PTRACE_DETACH, PTRACE_SEIZE = 17, 0x4206
F_SETSIG, F_SETOWN = 10, 8
MNT_DETACH = 2

PROG_GET_NEXT_ID, MAP_GET_NEXT_ID, PROG_BY_ID, MAP_BY_ID, OBJ_GET, INFO, PROG_LOAD = 11, 12, 13, 14, 7, 15, 5
MAP_CREATE, OBJ_PIN, RAW_TRACEPOINT_OPEN = 0, 6, 17
F_GET_SEALS, ALL_SEALS = 1034, 0xF
TRACING_TYPES = {"kprobe": 2, "tracepoint": 5, "perf event": 7, "raw tracepoint": 17}
SOCKET_FILTER = 1
BREAKPOINT = b"\xcc"
MARK = 0x51C0


def checked(result):
    if result < 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))
    return result


def call(number, *arguments):
    return checked(LIBC.syscall(ctypes.c_long(number), *[ctypes.c_long(value) for value in arguments]))


# Signals. To be stopped does no lasting harm, so that it can be tried where it works.


def signal_by_kill(pid, number=signal.SIGSTOP):
    os.kill(pid, number)


def signal_by_thread(pid):
    call(TGKILL, pid, pid, signal.SIGSTOP)


def signal_by_descriptor(pid):
    descriptor = call(PIDFD_OPEN, pid, 0)
    try:
        call(PIDFD_SEND_SIGNAL, descriptor, signal.SIGSTOP, 0, 0)
    finally:
        os.close(descriptor)


def signal_by_queue(pid):
    information = ctypes.create_string_buffer(struct.pack("iii", signal.SIGSTOP, 0, -1), 128)
    call(RT_SIGQUEUEINFO, pid, signal.SIGSTOP, ctypes.addressof(information))


def signal_by_file(pid):
    """The owner of a pipe gets SIGSTOP when it can be read; nobody is told whether that was refused."""
    reader, writer = os.pipe()
    fcntl.fcntl(reader, F_SETSIG, signal.SIGSTOP)
    fcntl.fcntl(reader, F_SETOWN, pid)
    fcntl.fcntl(reader, fcntl.F_SETFL, os.O_ASYNC | os.O_NONBLOCK)
    os.write(writer, b"x")
    time.sleep(0.5)
    os.close(reader)
    os.close(writer)
    if not is_stopped(pid):
        raise OSError(errno.EPERM, "it was not stopped")


def is_stopped(pid):
    return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] in "Tt"


def go_on(pid):
    os.kill(pid, signal.SIGCONT)


# Looking and reaching into a process.


def trace(pid):
    LIBC.ptrace.argtypes = [ctypes.c_long] * 4
    checked(LIBC.ptrace(PTRACE_SEIZE, pid, 0, 0))
    os.kill(pid, signal.SIGSTOP)
    time.sleep(0.5)
    LIBC.ptrace(PTRACE_DETACH, pid, 0, 0)
    go_on(pid)


def address_of(pid):
    """Eight octets of its stack that can be written."""
    maps = Path(f"/proc/{pid}/maps").read_text().splitlines()
    stack = next(line for line in maps if line.endswith("[stack]"))
    return int(stack.split("-")[1].split()[0], 16) - 8


def open_memory(pid):
    os.close(os.open(f"/proc/{pid}/mem", os.O_RDWR))


def read_environment(pid):
    Path(f"/proc/{pid}/environ").read_bytes()


def reach_memory(pid, number, address):
    """What is written is what a new stack ends with: eight zeros."""
    here = ctypes.create_string_buffer(8)
    vectors = [ctypes.create_string_buffer(struct.pack("QQ", at, 8), 16) for at in (ctypes.addressof(here), address)]
    call(number, pid, ctypes.addressof(vectors[0]), 1, ctypes.addressof(vectors[1]), 1, 0)


def take_descriptor(pid):
    descriptor = call(PIDFD_OPEN, pid, 0)
    try:
        os.close(call(PIDFD_GETFD, descriptor, 0, 0))
    finally:
        os.close(descriptor)


def open_namespace(pid):
    os.close(os.open(f"/proc/{pid}/ns/net", os.O_RDONLY))


def seals_of_program(pid):
    """The seals on the file that it was executed from, and that file's name."""
    program = os.open(f"/proc/{pid}/exe", os.O_RDONLY)
    try:
        return fcntl.fcntl(program, F_GET_SEALS), os.readlink(f"/proc/{pid}/exe")
    finally:
        os.close(program)


def limit(pid):
    soft, hard = resource.prlimit(pid, resource.RLIMIT_CORE)
    resource.prlimit(pid, resource.RLIMIT_CORE, (0, hard))
    del soft


def count_events(pid):
    os.close(perf_event(1, 1, pid, -1))


# What the kernel is told to do to processes, files and groups.


def perf_event(kind, config, pid, cpu, config1=0, config2=0):
    attribute = struct.pack("<IIQQQQQIIQQ", kind, 112, config, 0, 0, 0, 1, 0, 0, config1, config2)
    buffer = ctypes.create_string_buffer(attribute, 112)
    return call(PERF_EVENT_OPEN, ctypes.addressof(buffer), pid, cpu, -1, 0)


def probe(file, offset):
    kind = int(Path("/sys/bus/event_source/devices/uprobe/type").read_text())
    path = ctypes.create_string_buffer(os.fsencode(file))
    return perf_event(kind, 0, -1, 0, ctypes.addressof(path), offset)


def probe_by_perf(file):
    os.close(probe(file, entry_of(file)[1]))


def entry_of(file):
    """The address of an ELF file's first instruction, which can be probed, and where that is in the file."""
    with open(file, "rb") as program:
        header = program.read(64)
        entry, table = struct.unpack_from("<QQ", header, 24)
        size, count = struct.unpack_from("<HH", header, 54)
        program.seek(table)
        for _ in range(count):
            kind, flags, offset, address, _, length = struct.unpack_from("<IIQQQQ", program.read(size))
            if kind == 1 and flags & 1 and address <= entry < address + length:
                return entry, offset + entry - address
    raise RuntimeError(f"{file} has no first instruction")


def code_of(pid):
    """Where a process has the first instruction of its program, and where that is in the file."""
    _, offset = entry_of(f"/proc/{pid}/exe")
    for line in Path(f"/proc/{pid}/maps").read_text().splitlines():
        addresses, access, at = line.split()[:3]
        first, end = (int(word, 16) for word in addresses.split("-"))
        into = offset - int(at, 16)
        if "x" in access and 0 <= into < end - first:
            return first + into, offset
    raise RuntimeError("its first instruction is not mapped")


def probe_process(pid, at, offset):
    """What the process would execute there is the kernel's breakpoint meanwhile."""
    descriptor = probe(f"/proc/{pid}/exe", offset)
    try:
        there = octets_at(pid, at, 1)
        if there != BREAKPOINT:
            raise RuntimeError(f"a probe leaves the code as it is, {there.hex()}: the test says nothing")
    finally:
        os.close(descriptor)


def octets_at(pid, address, count):
    with open(f"/proc/{pid}/mem", "rb", buffering=0) as memory:
        memory.seek(address)
        return memory.read(count)


def probe_by_file(name, file):
    events = os.open(TRACING / name, os.O_WRONLY | os.O_APPEND)
    try:
        os.write(events, f"p:lockdown/probe {file}:{entry_of(file)[1]:#x}\n".encode())
        os.write(events, b"-:lockdown/probe\n")
    finally:
        os.close(events)


def group_of(pid):
    group = GROUPS / f"of_{pid}"
    group.mkdir(exist_ok=True)
    (group / "cgroup.procs").write_text(str(pid))
    return group


def freeze_group(pid):
    group = group_of(pid)
    (group / "cgroup.freeze").write_text("1")
    (group / "cgroup.freeze").write_text("0")


def kill_group(pid):
    (group_of(pid) / "cgroup.kill").write_text("1")


# bpf(2).


def bpf(command, attribute):
    buffer = ctypes.create_string_buffer(attribute, 128)
    return call(BPF, command, ctypes.addressof(buffer), 128)


def ids(command):
    found, number = [], 0
    while True:
        buffer = ctypes.create_string_buffer(struct.pack("II", number, 0), 128)
        if LIBC.syscall(BPF, command, buffer, 128) < 0:
            return found
        number = struct.unpack_from("I", buffer.raw, 4)[0]
        found.append(number)


def open_by_id(command, number):
    os.close(bpf(command, struct.pack("I", number)))


def open_pin(path):
    text = ctypes.create_string_buffer(os.fsencode(path))
    return bpf(OBJ_GET, struct.pack("QII", ctypes.addressof(text), 0, 0))


def program_behind(link):
    """The id of the program that a pinned link keeps attached."""
    descriptor = open_pin(link)
    information = ctypes.create_string_buffer(64)
    bpf(INFO, struct.pack("IIQ", descriptor, 64, ctypes.addressof(information)))
    os.close(descriptor)
    return struct.unpack_from("III", information.raw)[2]


def load_program(kind):
    """A program that returns 0."""
    code = ctypes.create_string_buffer(bytes.fromhex("b700000000000000 9500000000000000"), 16)
    text = ctypes.create_string_buffer(b"GPL")
    os.close(bpf(PROG_LOAD, struct.pack("IIQQ", kind, 2, ctypes.addressof(code), ctypes.addressof(text))))


def writer(pid, address):
    """A program that writes MARK into a process as it makes a system call."""
    def line(code, registers=0, offset=0, value=0):
        return struct.pack("<BBhI", code, registers, offset, value & 0xFFFFFFFF)

    return b"".join([
        line(0x85, value=14),  # bpf_get_current_pid_tgid
        line(0x77, 0x00, value=32),
        line(0x55, 0x00, 7, pid),
        line(0x18, 0x01, value=address), line(0, value=address >> 32),
        line(0xBF, 0xA2),
        line(0x07, 0x02, value=-8),
        line(0x7A, 0x0A, -8, MARK),
        line(0xB7, 0x03, value=8),
        line(0x85, value=36),  # bpf_probe_write_user
        line(0xB7, 0x00),
        line(0x95),
    ])


def write_by_program(pid, address, provoke):
    code = writer(pid, address)
    held = ctypes.create_string_buffer(code, len(code))
    name, text = ctypes.create_string_buffer(b"sys_enter"), ctypes.create_string_buffer(b"GPL")
    load = struct.pack("IIQQ", TRACING_TYPES["raw tracepoint"], len(code) // 8, ctypes.addressof(held), ctypes.addressof(text))
    program = bpf(PROG_LOAD, load)
    attached = bpf(RAW_TRACEPOINT_OPEN, struct.pack("QI", ctypes.addressof(name), program))
    try:
        provoke()
        until = time.monotonic() + 60
        while octets_at(pid, address, 8) != struct.pack("<q", MARK):
            if time.monotonic() > until:
                raise RuntimeError("a program does not write into the process: the test says nothing")
            time.sleep(0.2)
    finally:
        os.close(attached)
        os.close(program)


# The pins, and the mount that they are in. What they do is undone by `mount_again`.


def run(*words):
    """A command of another program; refused is what the file system says afterwards."""
    return subprocess.run(words, capture_output=True, text=True, check=False)


def refuse_unless(done, what):
    if not done:
        raise OSError(errno.EPERM, f"{what} was refused")


def pin_stand_in():
    """A map in the place of a link."""
    (PINS / "links").mkdir(parents=True)
    text = ctypes.create_string_buffer(os.fsencode(PINS / "links" / "task_kill"))
    descriptor = bpf(MAP_CREATE, struct.pack("IIII", 2, 4, 4, 1))
    bpf(OBJ_PIN, struct.pack("QI", ctypes.addressof(text), descriptor))
    os.close(descriptor)


def rename_pins():
    os.rename(PINS, PINS.with_name("other"))
    os.rename(PINS.with_name("other"), PINS)


def remove_pin():
    os.unlink(PINS / "links" / "task_kill")


def rename_pin():
    os.rename(PINS / "links" / "task_kill", PINS.parent / "moved")
    os.unlink(PINS.parent / "moved")


def unmount(path, flags=0):
    checked(LIBC.umount2(os.fsencode(path), flags))


def unmount_in_peer():
    """In a mount namespace whose mounts are peers of ours, what is unmounted there goes here too."""
    run("unshare", "-m", "--propagation", "shared", "umount", "-l", "/sys/fs/bpf")
    refuse_unless(not PINS.exists(), "unmounting in a peer")


def unmount_by_master():
    """The same by way of a master of ours."""
    holder = subprocess.Popen(["unshare", "-m", "--propagation", "shared", "sleep", "1000"])
    while os.readlink(f"/proc/{holder.pid}/ns/mnt") == os.readlink("/proc/self/ns/mnt") or comm(holder.pid) != "sleep":
        time.sleep(0.1)
    run("mount", "--make-rslave", "/")
    run("nsenter", "-m", "-t", str(holder.pid), "umount", "-l", "/sys/fs/bpf")
    holder.kill()
    holder.wait()
    run("mount", "--make-rshared", "/")
    refuse_unless(not PINS.exists(), "unmounting in a master")


def lose_mountpoint(script):
    """
    A directory that is no mount point in another mount namespace, with all that is mounted on it in ours. It has to be
    one that can be removed: what the pins are below is moved onto such a one for as long.
    """
    run("mount", "--make-rprivate", "/")
    run("mount", "-t", "tmpfs", "tmpfs", "/mnt")
    Path("/mnt/sys").mkdir()
    moved = run("mount", "--move", "/sys", "/mnt/sys")
    if moved.returncode or not Path("/mnt/sys/fs/bpf", PINS.name).exists():
        raise RuntimeError(f"the test cannot move /sys: {moved.stderr}")
    run("unshare", "-m", "--propagation", "private", "sh", "-c", script)
    lost = not Path("/mnt/sys/fs/bpf", PINS.name).exists()
    run("mount", "--move", "/mnt/sys", "/sys")
    run("umount", "-l", "/mnt")
    run("mount", "--make-rshared", "/")
    refuse_unless(lost, "taking the mount point away")


def remove_mountpoint():
    lose_mountpoint("umount -l /mnt/sys && rmdir /mnt/sys")


def replace_mountpoint():
    lose_mountpoint("umount -l /mnt/sys && mkdir /mnt/empty && mv -T /mnt/empty /mnt/sys")


def comm(pid):
    return Path(f"/proc/{pid}/comm").read_text().strip()


def mount_again():
    """Below /sys the host's may show, so that what is there says nothing."""
    for kind, path in (("sysfs", "/sys"), ("securityfs", "/sys/kernel/security"), ("bpf", str(PINS.parent)), ("tracefs", str(TRACING))):
        if f" {path} {kind} " not in Path("/proc/self/mounts").read_text():
            run("mount", "-t", kind, kind, path)


# The recorded copies.


def write_copy(name):
    os.close(os.open(COPIES / name, os.O_WRONLY))


def map_copy(name):
    with open(COPIES / name, "r+b") as file:
        mmap.mmap(file.fileno(), 4096).close()


def truncate_copy(name):
    os.truncate(COPIES / name, 0)
