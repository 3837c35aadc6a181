"""Where the time goes: the kernel's own clock of each BPF program, while a case runs once more."""

import json
import subprocess
from pathlib import Path

SWITCH = Path("/proc/sys/kernel/bpf_stats_enabled")
SHOWN = 4


def of(configuration, case):
    """The dearest programs of a run, in microseconds a call of the case."""
    SWITCH.write_text("1")
    try:
        before = programs()
        configuration.measure(case)
        after = programs()
    finally:
        SWITCH.write_text("0")
    spent = [difference(after[each], before.get(each), case.count) for each in after]
    return sorted(spent, key=lambda one: -one["micros"])[:SHOWN]


def programs():
    listed = subprocess.run(["bpftool", "prog", "-j"], capture_output=True, text=True, check=True).stdout
    return {each["id"]: each for each in json.loads(listed)}


def difference(after, before, count):
    def grown(name):
        return after.get(name, 0) - (before or {}).get(name, 0)

    runs, micros = grown("run_cnt"), grown("run_time_ns") / 1e3
    return {"name": after.get("name", ""), "runs": runs / count, "micros": micros / count}
