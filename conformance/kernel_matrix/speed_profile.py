"""Where the time goes: the kernel's own clock of each BPF program, while a case runs once more, its start included."""

import contextlib
import json
import subprocess
from pathlib import Path

SWITCH = Path("/proc/sys/kernel/bpf_stats_enabled")
SHOWN = 4


@contextlib.contextmanager
def switched_on():
    """The kernel counts meanwhile. To switch it rewrites its own code, which an emulated machine may die of, so once for all cases."""
    SWITCH.write_text("1")
    try:
        yield
    finally:
        SWITCH.write_text("0")


def of(configuration, case):
    """The dearest programs of a run, in microseconds a call of the case."""
    # What looking itself costs.
    idle, before = programs(), programs()
    configuration.measure(case)
    after = programs()
    spent = [spent_by(each, (idle, before, after), case.count) for each in after]
    return sorted(spent, key=lambda one: -one["micros"])[:SHOWN]


def programs():
    listed = subprocess.run(["bpftool", "prog", "-j"], capture_output=True, text=True, check=True).stdout
    return {each["id"]: each for each in json.loads(listed)}


def spent_by(program, moments, count):
    def grown(name):
        idle, before, after = (moment.get(program, {}).get(name, 0) for moment in moments)
        return max(after - before - (before - idle), 0)

    runs, micros = grown("run_cnt"), grown("run_time_ns") / 1e3
    return {"name": moments[-1][program].get("name", ""), "runs": runs / count, "micros": micros / count}
