"""What an idle namespace costs in kernel memory: several of them, beside as many idle programs without."""

import json
import re
import subprocess
import time
from pathlib import Path

from speed_cases import FOLDER
from speed_stage import Failed

NAMESPACES = 8
COMMAND = ["/bin/busybox", "sleep", "100000"]
START_LIMIT_S = 300
KINDS = ("Slab", "KernelStack", "PageTables")
SETTLE_S = 3
DROPS = 4
# The slots, and each namespace's own.
MODELS = ("models", "quixote_model")
SHOWN = 6
PAGE_KIB = 4


def per_namespace(namespace):
    """KiB a namespace, by kind; `namespace` is the configuration that enforces."""
    model = FOLDER / "idle.model"
    stage = namespace.stage
    namespace.prepare()
    learn = namespace.run("learn", "--runs", "1", "--accept-rules", "none", "-o", model)
    stage.call([*learn, COMMAND[0], "sleep", "1"])
    words = [stage.quixote, "enforce", "--source", "kernel", "--allow-unsigned"]
    lines = [[*words, "--name", f"idle{number}", model, "--", *COMMAND] for number in range(NAMESPACES)]
    # What the kernel keeps of those that have ended is in both; what earlier ones left behind, in neither.
    with_running(stage, lines, NAMESPACES)
    held = with_running(stage, lines, NAMESPACES)
    plain = with_running(stage, [COMMAND] * NAMESPACES, 0)
    grown = {kind: (held[kind] - plain.get(kind, 0)) / NAMESPACES for kind in held}
    return {kind: grown.pop(kind) for kind in ("maps", *KINDS)} | {"caches": dearest(grown)}


def dearest(caches):
    """The slab caches that grew most."""
    names = sorted(caches, key=lambda name: -caches[name])[:SHOWN]
    return [{"name": name, "kib": caches[name]} for name in names]


def with_running(stage, lines, namespaces):
    """What the kernel holds while these commands are idle."""
    before = idle_programs()
    running = [stage.start(line) for line in lines]
    try:
        await_programs(running, before + len(lines), namespaces)
        time.sleep(SETTLE_S)
        return held()
    finally:
        end(running)


def idle_programs():
    return len(idle_ids())


def idle_ids():
    found = subprocess.run(["pgrep", "-x", "-f", " ".join(COMMAND)], capture_output=True, text=True)
    return [int(line) for line in found.stdout.split()]


def await_programs(running, wanted, namespaces):
    deadline = time.monotonic() + START_LIMIT_S
    while idle_programs() < wanted:
        if time.monotonic() > deadline or any(each.poll() is not None for each in running):
            raise Failed(f"{namespaces} idle namespaces do not come up")
        time.sleep(0.5)


def held():
    """In KiB, when nothing is left that the kernel would give back."""
    # What was given back is free only after a grace period.
    for _ in range(DROPS):
        subprocess.run(["sync"], check=True)
        Path("/proc/sys/vm/drop_caches").write_text("3")
        time.sleep(1)
    text = Path("/proc/meminfo").read_text()
    kinds = {kind: int(re.search(rf"^{kind}: +(\d+) kB", text, re.M).group(1)) for kind in KINDS}
    return {"maps": maps(), **kinds, **slabs()}


def slabs():
    """By cache."""
    rows = [line.split() for line in Path("/proc/slabinfo").read_text().splitlines()[2:]]
    return {f"cache {row[0]}": int(row[-2]) * int(row[5]) * PAGE_KIB for row in rows}


def maps():
    """Of all BPF maps but the models', which are not a namespace's own cost."""
    listed = json.loads(subprocess.run(["bpftool", "map", "-j"], capture_output=True, text=True, check=True).stdout)
    return sum(int(each["bytes_memlock"]) for each in listed if each.get("name") not in MODELS) / 1024


def end(running):
    for process in idle_ids():
        subprocess.run(["kill", str(process)], check=True)
    for each in running:
        each.communicate(timeout=START_LIMIT_S)
