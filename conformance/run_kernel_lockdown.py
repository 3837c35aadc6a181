#!/usr/bin/env python3
"""What `quixote kernel load --lockdown` and `enforce --shield` hold against root outside; in a virtual machine.

    cargo xtask vm --kernel 6.1 --kernel 6.12 -- /usr/bin/python3 conformance/run_kernel_lockdown.py

Every act is first done where nothing is locked, and has to succeed there; the same act then has to fail with EPERM (or
with EACCES, where the kernel makes that of it). `--json FILE` writes what was found.
"""

import argparse
import ctypes
import errno
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent / "kernel_lockdown"))

import acts  # noqa: E402

FOLDER = Path("/tmp/kernel_lockdown")
REFUSED = {errno.EPERM, errno.EACCES}
PATIENCE = 1800  # seconds for what takes some on an idle machine: emulation on a busy one is that slow

INJECTED = """
#include <fcntl.h>
__attribute__((constructor)) static void injected(void) { open("/tmp/kernel_lockdown/injected", O_CREAT | O_WRONLY, 0600); }
"""


class Failed(Exception):
    pass


class Namespaces:
    """Orchestrators that this test has started."""

    def __init__(self, quixote):
        self.quixote = quixote
        self.environment = {**os.environ, "HOME": str(FOLDER), "XDG_RUNTIME_DIR": str(FOLDER)}

    def command(self, *words, timeout=2 * PATIENCE, **options):
        """The status and the text of one command."""
        done = subprocess.run(
            [options.pop("program", self.quixote), *words],
            env={**self.environment, **options.pop("environment", {})},
            cwd=FOLDER, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=timeout, check=False, **options,
        )
        return done.returncode, done.stdout

    def learn(self):
        """The workload waits for a word on a pipe with a name."""
        os.mkfifo(FOLDER / "pipe")
        (FOLDER / "workload").write_text(f"read word < {FOLDER}/pipe\n")
        words = [self.quixote, "learn", "--quiet", "--source", "kernel", "-o", "waits.model", "--", "/bin/sh", "workload"]
        learner = subprocess.Popen(words, cwd=FOLDER, env=self.environment, stdout=subprocess.DEVNULL, stderr=subprocess.STDOUT)
        (FOLDER / "pipe").write_text("word\n")
        if learner.wait(PATIENCE) != 0:
            raise Failed("the workload could not be learned")

    def start(self, name, *options, ends_after=None):
        """An orchestrator and its workload's process, once that waits; so much processor time may end the orchestrator."""
        words = [self.quixote, "enforce", "--quiet", "--source", "kernel", "--allow-unsigned", "--name", name,
                 *options, "waits.model", "--", "/bin/sh", "workload"]
        with (FOLDER / f"{name}.log").open("w") as log:
            timer = (lambda: signal.setitimer(signal.ITIMER_PROF, ends_after)) if ends_after else None
            orchestrator = subprocess.Popen(words, cwd=FOLDER, env=self.environment, stdin=subprocess.DEVNULL, stdout=log,
                                            stderr=log, preexec_fn=timer, start_new_session=True)
        until = time.monotonic() + PATIENCE
        while time.monotonic() < until and orchestrator.poll() is None:
            child = child_of(orchestrator.pid)
            if child and waits(child):
                return orchestrator, child
            time.sleep(0.2)
        raise Failed(f"{name} did not start: {(FOLDER / f'{name}.log').read_text()}")

    def end(self, *running):
        (FOLDER / "pipe").write_text("word\n" * len(running))
        for orchestrator, _ in running:
            if orchestrator.wait(PATIENCE) != 0:
                raise Failed(f"an orchestrator ended with status {orchestrator.returncode}")


def status_of(pid):
    return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()


def child_of(parent):
    for entry in Path("/proc").iterdir():
        try:
            if entry.name.isdigit() and int(status_of(entry.name)[1]) == parent:
                return int(entry.name)
        except OSError:
            continue
    return None


def waits(pid):
    """Whether the shell has come to its pipe: it sleeps, and is no copy of the orchestrator any more."""
    return (Path(f"/proc/{pid}/comm").read_text().strip() == "sh" and status_of(pid)[0] == "S"
            and stays_asleep(pid))


def processor_time(pid):
    return sum(map(int, status_of(pid)[11:13])) / os.sysconf("SC_CLK_TCK")


def stays_asleep(pid):
    before = status_of(pid)[11:13]
    time.sleep(1)
    return status_of(pid)[0] == "S" and status_of(pid)[11:13] == before


class Ledger:
    """What every act came to, in both settings."""

    def __init__(self):
        self.rows = {}

    def attempt(self, setting, name, act, *arguments):
        try:
            act(*arguments)
            outcome = "done"
        except OSError as error:
            outcome = errno.errorcode.get(error.errno, str(error.errno))
        self.rows.setdefault(name, {})[setting] = outcome
        print(f"  {setting:10} {name}: {outcome}", flush=True)
        return outcome == "done"

    def take_open(self, path):
        found = json.loads(path.read_text())
        if found["kernel"] != os.uname().release:
            raise Failed(f"{path} is of the kernel {found['kernel']}")
        self.rows = {name: {"open": row["open"]} for name, row in found["acts"].items() if "open" in row}

    def problems(self):
        names = {errno.errorcode[number] for number in REFUSED}
        for name, row in self.rows.items():
            if row.get("open") != "done":
                yield f"'{name}' does not even work where nothing is locked: {row.get('open')}"
            locked = [setting for setting in row if setting != "open"]
            if not locked:
                yield f"'{name}' was not tried where it is locked"
            for setting in locked:
                if row[setting] not in names:
                    yield f"'{name}' ({setting}): {row[setting]}"


GENTLE = {
    "kill(2)": acts.signal_by_kill,
    "tgkill(2)": acts.signal_by_thread,
    "pidfd_send_signal(2)": acts.signal_by_descriptor,
    "rt_sigqueueinfo(2)": acts.signal_by_queue,
    "a signal by F_SETOWN": acts.signal_by_file,
    "ptrace(2)": acts.trace,
    "opening /proc/PID/mem": acts.open_memory,
    "reading /proc/PID/environ": acts.read_environment,
    "pidfd_getfd(2)": acts.take_descriptor,
    "prlimit(2)": acts.limit,
    "perf_event_open(2) on it": acts.count_events,
    "cgroup.freeze": acts.freeze_group,
}


def signal_by_portable(place, pid):
    """The portable source sends signals on behalf of its workload."""
    words = ["learn", "--quiet", "--anew", "--source", "portable", "-o", "stops.model", "--", "/bin/kill", "-STOP", str(pid)]
    place.command(*words)
    acts.refuse_unless(acts.is_stopped(pid), "stopping it")


def on_process(ledger, place, setting, pid, address, but=()):
    for name, act in GENTLE.items():
        if name in but:
            continue
        ledger.attempt(setting, name, act, pid)
        acts.go_on(pid)
    ledger.attempt(setting, "a signal by the portable source", signal_by_portable, place, pid)
    acts.go_on(pid)
    for name, number in (("process_vm_readv(2)", acts.PROCESS_VM_READV), ("process_vm_writev(2)", acts.PROCESS_VM_WRITEV)):
        ledger.attempt(setting, name, acts.reach_memory, pid, number, address)


def on_kernel(ledger, setting, program):
    """Whatever is running."""
    for name, kind in acts.TRACING_TYPES.items():
        ledger.attempt(setting, f"loading a {name} program", acts.load_program, kind)
    ledger.attempt(setting, "a probe by perf_event_open(2)", acts.probe_by_perf, program)
    for name in ("uprobe_events", "dynamic_events"):
        ledger.attempt(setting, f"a probe by {name}", acts.probe_by_file, name, program)


def on_maps(ledger, setting, maps, programs):
    for number in maps:
        ledger.attempt(setting, f"a map by its id ({number})", acts.open_by_id, acts.MAP_BY_ID, number)
    for number in programs:
        ledger.attempt(setting, f"a program by its id ({number})", acts.open_by_id, acts.PROG_BY_ID, number)
    for pin in sorted((acts.PINS / "maps").iterdir()):
        ledger.attempt(setting, f"the pinned map {pin.name}", lambda: os.close(acts.open_pin(pin)))


PIN_ACTS = {
    "renaming the pins' directory": acts.rename_pins,
    "removing a pin": acts.remove_pin,
    "renaming a pin": acts.rename_pin,
    "unmounting the pins": lambda: acts.unmount("/sys/fs/bpf", acts.MNT_DETACH),
    "unmounting what they are below": lambda: acts.unmount("/sys", acts.MNT_DETACH),
    "unmounting in a peer": acts.unmount_in_peer,
    "unmounting in a master": acts.unmount_by_master,
    "removing the mount point": acts.remove_mountpoint,
    "replacing the mount point": acts.replace_mountpoint,
}


def programs_of(directory):
    return sorted({acts.program_behind(link) for link in directory.iterdir()})


def before(ledger, place, at_first):
    """Where nothing is locked, each act has to work."""
    orchestrator, child = running = place.start("open")
    on_process(ledger, place, "open", orchestrator.pid, acts.address_of(orchestrator.pid))
    on_process(ledger, place, "open", child, acts.address_of(child))
    on_kernel(ledger, "open", place.quixote)
    mine = [number for number in acts.ids(acts.MAP_GET_NEXT_ID) if number not in at_first]
    on_maps(ledger, "open", mine[:3], programs_of(acts.PINS / "links")[:3])
    place.end(running)
    for name, number in (("SIGTERM", signal.SIGTERM), ("SIGKILL", signal.SIGKILL)):
        orchestrator, child = place.start(f"ends_by_{name}")
        ledger.attempt("open", f"{name} to the workload", acts.signal_by_kill, child, number)
        orchestrator.wait(PATIENCE)
        orchestrator, child = place.start(f"loses_orchestrator_by_{name}")
        ledger.attempt("open", f"{name} to an orchestrator", acts.signal_by_kill, orchestrator.pid, number)
        if orchestrator.wait(PATIENCE) == -signal.SIGKILL:
            os.kill(child, signal.SIGKILL)
    orchestrator, child = place.start("ends_by_group")
    ledger.attempt("open", "cgroup.kill", acts.kill_group, orchestrator.pid)
    orchestrator.wait(PATIENCE)
    os.kill(child, signal.SIGKILL)
    # The real pins once, and with them the programs; then stand-ins of the same names.
    for name, act in PIN_ACTS.items():
        ledger.attempt("open", name, act)
        acts.mount_again()
        shutil.rmtree(acts.PINS, ignore_errors=True)
        acts.pin_stand_in()
    shutil.rmtree(acts.PINS)
    inject(place, place.quixote, {})
    if not (FOLDER / "injected").exists():
        raise Failed("a preloaded library does not even run where nothing is locked")
    (FOLDER / "injected").unlink()


def inject(place, program, environment):
    library = FOLDER / "injected.so"
    if not library.exists():
        (FOLDER / "injected.c").write_text(INJECTED)
        subprocess.run(["cc", "-shared", "-fPIC", "-o", library, FOLDER / "injected.c"], check=True)
    return place.command("kernel", "status", program=program, environment={"LD_PRELOAD": str(library), **environment})


def under_lockdown(ledger, place, at_first):
    plain, shielded = place.start("plain"), place.start("shielded", "--shield")
    on_process(ledger, place, "locked", plain[0].pid, 0x10000)
    on_process(ledger, place, "shielded", shielded[1], 0x10000)
    on_kernel(ledger, "locked", place.quixote)
    ours = [number for number in acts.ids(acts.MAP_GET_NEXT_ID) if number not in at_first]
    links = [number for name in ("links", "full-links", "lockdown") for number in programs_of(acts.PINS / name)]
    if len(ours) < 15 or len(links) < 120:
        raise Failed(f"too few maps ({len(ours)}) or programs ({len(links)}) to be tried")
    for name, numbers, command in (("map", ours, acts.MAP_BY_ID), ("program", links, acts.PROG_BY_ID)):
        opened = [number for number in numbers if not refuses(acts.open_by_id, command, number)]
        if opened:
            raise Failed(f"these {name}s can be opened by their ids: {opened}")
        print(f"  locked     {len(numbers)} {name}s by their ids: refused", flush=True)
    on_maps(ledger, "locked", [], [])
    for row, numbers, command in (("map", ours, acts.MAP_BY_ID), ("program", links, acts.PROG_BY_ID)):
        known = [name for name in ledger.rows if name.startswith(f"a {row} by its id")]
        for name, number in zip(known, numbers):
            ledger.attempt("locked", name, acts.open_by_id, command, number)
    for name, number in (("SIGTERM", signal.SIGTERM), ("SIGKILL", signal.SIGKILL)):
        ledger.attempt("locked", f"{name} to an orchestrator", acts.signal_by_kill, plain[0].pid, number)
        ledger.attempt("locked", f"{name} to an orchestrator", acts.signal_by_kill, shielded[0].pid, number)
        ledger.attempt("shielded", f"{name} to the workload", acts.signal_by_kill, shielded[1], number)
    ledger.attempt("locked", "cgroup.kill", acts.kill_group, plain[0].pid)
    ledger.attempt("shielded", "cgroup.kill", acts.kill_group, shielded[1])
    for name, act in PIN_ACTS.items():
        ledger.attempt("locked", name, act)
    place.end(plain, shielded)


def refuses(act, *arguments):
    try:
        act(*arguments)
    except OSError as error:
        return error.errno in REFUSED
    return False


def copies(place):
    """What may act is the recorded copy alone, and it stays what was recorded."""
    for name in ("quixote", "ld.so", "libc.so.6"):
        for act in (acts.write_copy, acts.map_copy, acts.truncate_copy):
            if not refuses(act, name):
                yield f"{act.__name__} of {name} is not refused"
    own = {"LD_LIBRARY_PATH": str(acts.COPIES)}
    for program, environment in ((place.quixote, {}), (acts.COPIES / "quixote", own)):
        inject(place, program, environment)
    # The first of them ran it as the ordinary program, before it went on as the copy.
    (FOLDER / "injected").unlink(missing_ok=True)
    status, text = inject(place, acts.COPIES / "quixote", own)
    if (FOLDER / "injected").exists():
        yield "a preloaded library runs in the recorded copy"
    if status:
        yield f"the recorded copy does not go on without a preloaded library: {text}"
    yield from impostors(place, own)


def impostors(place, own):
    """Whoever could choose what it does is refused what the copy is allowed."""
    copy = acts.COPIES / "quixote"
    words = ["learn", "--quiet", "--source", "kernel", "-o", "impostor.model", "--anew", "--", "/bin/true"]
    tries = {
        "the copy itself": (copy, None, True),
        "the copy under a filter of system calls": (copy, filter_calls, False),
        "the copy with another file system root of its own choice": (copy, share_root, False),
    }
    for name, (program, prepare, works) in tries.items():
        status, text = place.command(*words, program=program, environment=own, preexec_fn=prepare)
        print(f"  locked     {name}: status {status}", flush=True)
        if (status == 0) != works:
            yield f"{name}: status {status}: {text}"
    traced = subprocess.run(["strace", "-f", "-o", "/dev/null", copy, *words], cwd=FOLDER, env={**place.environment, **own},
                            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=PATIENCE, check=False)
    print(f"  locked     the copy under a tracer: status {traced.returncode}", flush=True)
    if traced.returncode == 0:
        yield "the copy under a tracer may act"


def filter_calls():
    """A filter that lets everything through, for now."""
    allow = ctypes.create_string_buffer(bytes.fromhex("060000000000ff7f"), 8)
    program = ctypes.create_string_buffer(b"\x01\0\0\0\0\0\0\0" + ctypes.addressof(allow).to_bytes(8, "little"), 16)
    if acts.LIBC.prctl(22, 2, ctypes.c_void_p(ctypes.addressof(program)), 0, 0):
        raise OSError(ctypes.get_errno(), "no filter")


def share_root():
    """Root and working directory are shared with a process that goes on."""
    clone, clone_fs, child = 56, 0x200, acts.LIBC.syscall
    if child(clone, clone_fs | signal.SIGCHLD, 0, 0, 0, 0) == 0:
        time.sleep(60)
        os._exit(0)


def full(place):
    """Namespaces of the profile `full` start under the lockdown too: their programs were loaded with it."""
    words = ["learn", "--quiet", "--source", "kernel", "--profile", "full", "--runs", "2", "-o", "full.model"]
    status, text = place.command(*words, "--", "/bin/true")
    if status:
        yield f"the profile full cannot be learned: {text}"
        return
    words = ["enforce", "--quiet", "--source", "kernel", "--allow-unsigned", "full.model", "--"]
    status, text = place.command(*words, "/bin/true")
    if status:
        yield f"a good run of the profile full is denied: status {status}: {text}"
    status, text = place.command(*words, "/bin/sh", "-c", "test -e /etc/passwd")
    print(f"  locked     what the model of the profile full does not hold: status {status}", flush=True)
    if status == 0:
        yield "what the model of the profile full does not hold is allowed"


def refusals(place):
    status, text = place.command("kernel", "unload")
    if status == 0 or "reboot" not in text:
        yield f"unloading: status {status}: {text}"
    status, text = place.command("kernel", "status", "--json")
    if status or not json.loads(text)["lockdown"]:
        yield f"the status does not say that it is locked: {text}"
    _, text = place.command("doctor")
    if "under quixote's own lockdown" not in text:
        yield f"the doctor does not know of the lockdown: {text}"
    try:
        acts.load_program(acts.SOCKET_FILTER)
    except OSError as error:
        yield f"a socket filter, which is no tracing program, cannot be loaded: {error}"


def crash(place):
    """An orchestrator that ends leaves its namespace enforced, and nothing that cannot be ended."""
    running = place.start("before")
    ends_after = 2 + 3 * processor_time(running[0].pid)
    place.end(running)
    orchestrator, child = place.start("crashes", "--shield", ends_after=ends_after)
    if not refuses(os.kill, child, signal.SIGKILL):
        yield "a shielded task can be killed"
        return
    until = time.monotonic() + PATIENCE
    while orchestrator.poll() is None and time.monotonic() < until:
        os.kill(orchestrator.pid, signal.SIGCONT)  # the one that is let through, and gives it work
    if orchestrator.returncode != -signal.SIGPROF:
        yield f"the orchestrator was not ended by its timer: {orchestrator.returncode}"
    if not refuses(os.kill, child, signal.SIGTERM) or not refuses(acts.open_memory, child):
        yield "an orphan of a shielded namespace is within reach"
    os.kill(child, signal.SIGKILL)
    time.sleep(1)
    if Path(f"/proc/{child}").exists() and status_of(child)[0] != "Z":
        yield "an orphan of a shielded namespace cannot be ended"
    place.end(place.start("after"))


def prepare():
    shutil.rmtree(FOLDER, ignore_errors=True)
    FOLDER.mkdir()
    acts.GROUPS.mkdir(exist_ok=True)
    acts.run("mount", "-t", "cgroup2", "none", str(acts.GROUPS))
    acts.run("mount", "--make-rshared", "/")
    acts.mount_again()


def pins_of(place):
    """Where the programs of the build under test are pinned."""
    return Path(json.loads(place.command("kernel", "status", "--json")[1])["pins"])


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quixote", type=Path)
    parser.add_argument("--json", type=Path)
    parser.add_argument("--open", type=Path, help="what --json wrote of an earlier boot of the same kernel: its acts where nothing is locked are not done again")
    arguments = parser.parse_args()
    built = [Path("target/release/quixote"), Path("target/debug/quixote")]
    quixote = arguments.quixote or next(path for path in built if path.exists())
    prepare()
    ledger, place = Ledger(), Namespaces(quixote.resolve())
    acts.PINS = pins_of(place)
    at_first = set(acts.ids(acts.MAP_GET_NEXT_ID))
    problems = []
    try:
        place.learn()
        if arguments.open:
            ledger.take_open(arguments.open)
        else:
            before(ledger, place, at_first)
        status, text = place.command("enforce", "--source", "kernel", "--shield", "--allow-unsigned", "waits.model", "--", "/bin/true")
        if status == 0 or "lockdown" not in text:
            problems.append(f"a shield without a lockdown: status {status}: {text}")
        if place.command("kernel", "unload")[0]:
            raise Failed("the programs cannot be unloaded where nothing is locked")
        at_first = set(acts.ids(acts.MAP_GET_NEXT_ID))
        status, text = place.command("kernel", "load", "--lockdown", "--profile", "full")
        if status:
            raise Failed(f"locking: {text}")
        under_lockdown(ledger, place, at_first)
        for part in (full, refusals, copies, crash):
            problems.extend(part(place))
    except Failed as error:
        problems.append(str(error))
    problems.extend(ledger.problems())
    if arguments.json:
        arguments.json.write_text(json.dumps({"kernel": os.uname().release, "acts": ledger.rows, "problems": problems}))
    for problem in problems:
        print(f"kernel_lockdown: FAILED: {problem}")
    if not problems:
        print(f"kernel_lockdown: {len(ledger.rows)} acts work where nothing is locked and are refused where it is, on {os.uname().release}")
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
