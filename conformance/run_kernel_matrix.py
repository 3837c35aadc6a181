#!/usr/bin/env python3
"""One allow and one deny test for every event of the event table, in a virtual machine.

    cargo xtask vm -- /usr/bin/python3 conformance/run_kernel_matrix.py hooks TRIGGERS

    ... run_kernel_matrix.py decisions TRIGGERS --quixote target/release/quixote

`hooks`: every trigger is run bare, and must reach the kernel's hook by the kernel's own count. This
is what makes the allow and deny tests worth something. `decisions`: every trigger's act succeeds under
a model that holds it, and fails without effect under one that does not.
"""

import argparse
import json
import subprocess
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent / "kernel_matrix"))

from bench import Bench  # noqa: E402
from decisions import DENIED  # noqa: E402
from decisions import DONE  # noqa: E402
from decisions import Decisions  # noqa: E402
from decisions import without_acts  # noqa: E402
from oracle import HookCounter  # noqa: E402

FOLDER = "/tmp/kernel_matrix"
NOT_MODELED = Path(__file__).parent / "kernel_matrix/not_modeled.json"
SOURCES_DIFFER = Path(__file__).parent / "kernel_matrix/sources_differ.json"
MISSING_HOOKS = Path(__file__).parent / "kernel_matrix/missing_hooks.json"
TRIGGER_LIMIT_S = 30


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("test", choices=["hooks", "decisions", "sources"])
    parser.add_argument("triggers", type=Path)
    parser.add_argument("--quixote", type=Path, default=Path("target/release/quixote"))
    parser.add_argument("--source", choices=["kernel", "portable"], default="kernel")
    parser.add_argument("--only", action="append", default=[])
    arguments = parser.parse_args()
    arguments.triggers = arguments.triggers.resolve()
    events = select(arguments.triggers, arguments.only)
    if arguments.test == "hooks":
        return test_hooks(arguments.triggers, events)
    if arguments.test == "sources":
        return test_sources(arguments, events)
    return test_decisions(arguments, events)


def select(triggers, only):
    listed = subprocess.run([triggers, "list"], capture_output=True, text=True, check=True).stdout.split()
    unknown = [event for event in only if event not in listed]
    if unknown:
        raise SystemExit(f"no trigger for {', '.join(unknown)}")
    return [event for event in listed if not only or event in only]


def test_hooks(triggers, events):
    bench, counter = Bench(FOLDER), HookCounter(events)
    failures = missing_as_documented(counter.missing, events)
    for event in events:
        problem = reaches_its_hook(bench, counter, triggers, event)
        print(f"{event:24} {problem or 'reaches its hook'}", flush=True)
        failures += [f"{event}: {problem}"] if problem else []
    for failure in failures:
        print(f"FAILED {failure}")
    print(f"{len(events)} triggers, {len(counter.missing)} without a hook in this kernel, {len(failures)} failed")
    return 1 if failures else 0


def test_decisions(arguments, events):
    profile = "full" if arguments.source == "kernel" else "core"
    quixote = arguments.quixote.resolve()
    decisions = Decisions(Bench(FOLDER), quixote, arguments.triggers, events, arguments.source, profile)
    control, prepared = decisions.learn("control")
    full, acted = decisions.learn("act")
    allowed, forensics = decisions.enforce("allow", full)
    denying = without_acts(full, control, events)
    denied, denials = decisions.enforce("deny", denying)
    failures = [f"control: {event}: status {status}" for event, status in prepared.items() if status != DONE]
    failures += [f"learning: {event}: status {status}" for event, status in acted.items() if status != DONE]
    failures += [f"allow: {event}: status {status}" for event, status in allowed.items() if status != DONE]
    failures += [f"allow: {event} in the forensics" for event in forensics]
    modeled = [event for event in events if denied[event] == DENIED and event in denials]
    failures += [
        f"deny: {event}: status {status}, {'' if event in denials else 'not '}in the forensics"
        for event, status in denied.items()
        if event not in modeled and status != DONE
    ]
    failures += not_modeled_as_documented([event for event in events if denied[event] == DONE], events, decisions)
    for failure in failures:
        print(f"FAILED {failure}")
    print(f"{len(events)} events: {len(modeled)} allowed and denied, {len(failures)} failures")
    return 1 if failures else 0


def test_sources(arguments, events):
    """Each trigger's event has the same coefficient under both sources."""
    known, not_modeled = (json.loads(path.read_text()) for path in (SOURCES_DIFFER, NOT_MODELED))
    events = [event for event in events if event not in not_modeled["kernel"]]
    bench = Bench(FOLDER)
    sources = [Decisions(bench, arguments.quixote.resolve(), arguments.triggers, events, source)
               for source in ("kernel", "portable")]
    differ = {}
    for event in events:
        lines = [decisions.lines_of(event) for decisions in sources]
        if lines[0] != lines[1] or not lines[0]:
            differ[event] = lines
        print(f"{event:24} {'differs' if event in differ else 'the same'}", flush=True)
    wrong = sorted(set(differ) ^ {event for event in known if event in events})
    for event in wrong:
        print(f"FAILED {event}: {differ.get(event, 'the same, but documented as different')}")
    print(f"{len(events) - len(differ)} events have the same coefficient under both sources, {len(differ)} differ")
    return 1 if wrong or len(differ) == len(events) else 0


def not_modeled_as_documented(found, events, decisions):
    """The events that a source does not hold yet are known by name; another one is a finding."""
    missing, lacked = decisions.missing(), json.loads(MISSING_HOOKS.read_text())[kernel_series()]
    if set(missing) - set(lacked):
        return [f"{sorted(set(missing) - set(lacked))} are not judged, but {MISSING_HOOKS.name} says that the hooks are there"]
    documented = json.loads(NOT_MODELED.read_text())["kernel"] + missing
    documented = [event for event in documented if event in events]
    if sorted(found) == sorted(documented):
        return []
    return [f"not held: {sorted(set(found) - set(documented))}; held, but {NOT_MODELED.name} says not: "
            f"{sorted(set(documented) - set(found))}"]


def missing_as_documented(missing, events):
    """The hooks that a kernel lacks are known by name; another one is a finding."""
    series = kernel_series()
    documented = [event for event in json.loads(MISSING_HOOKS.read_text())[series] if event in events]
    if sorted(missing) == sorted(documented):
        return []
    return [f"Linux {series} lacks {sorted(missing)}, and {MISSING_HOOKS.name} says {sorted(documented)}"]


def kernel_series():
    release = Path("/proc/sys/kernel/osrelease").read_text().strip()
    return ".".join(release.split(".")[:2])


def reaches_its_hook(bench, counter, triggers, event):
    """What is wrong, or None: acting calls the hook more often than preparing alone."""
    # The first run of a program opens what later ones find in memory; so a second look counts.
    for _ in range(2):
        calls = {}
        for mode in ("control", "act"):
            counter.start()
            problem = run_trigger(bench, counter, triggers, event, mode)
            if problem:
                return problem
            calls[mode] = counter.calls(event)
        if calls["act"] > calls["control"] or event in counter.missing:
            return None
    return f"hook called {calls['control']} times in preparing, {calls['act']} times with the act"


def run_trigger(bench, counter, triggers, event, mode):
    """What is wrong with the run, or None."""
    done = subprocess.run(
        [triggers, event, mode],
        cwd=bench.fresh(),
        env=bench.environment,
        preexec_fn=counter.restrict_to_caller,
        capture_output=True,
        text=True,
        timeout=TRIGGER_LIMIT_S,
    )
    return f"{mode} ended with {done.returncode}: {done.stderr.strip()}" if done.returncode else None


if __name__ == "__main__":
    sys.exit(main())
