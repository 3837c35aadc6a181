#!/usr/bin/env python3
"""What each program costs the kernel's verifier, beside what it cost when that was recorded; in a virtual machine.

    cargo build --release --package kernel-source --examples
    cargo xtask vm --kernel 6.1 --kernel 6.12 -- /usr/bin/python3 conformance/run_kernel_cost.py

A kernel refuses a program for which it has to look at more than a million instructions, and a small change of C can
multiply that. So a program that costs more than a quarter above its record fails, and so does one without a record, or
a record without its program. `--print` prints the kernel's part of the record instead, to be put into
`verifier_cost.json` when a change of it is meant.
"""

import argparse
import json
import os
import re
import subprocess
import sys
from pathlib import Path

RECORD = Path(__file__).with_name("verifier_cost.json")
LIMIT = 1_000_000  # BPF_COMPLEXITY_LIMIT_INSNS
TOLERATED = 1.25


def series():
    """6.12 of 6.12.117+deb12-amd64: what the record goes by."""
    return re.match(r"\d+\.\d+", os.uname().release)[0]


def problems(costs, recorded):
    for program in sorted(set(costs) | set(recorded)):
        if program not in recorded:
            yield f"{program} has no record: it costs {costs[program]}"
        elif program not in costs:
            yield f"{program} is recorded, and was not loaded"
        elif costs[program] > TOLERATED * recorded[program]:
            yield f"{program} costs {costs[program]}, and cost {recorded[program]}"


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--program", type=Path, default=Path("target/release/examples/kernel_cost"))
    parser.add_argument("--print", action="store_true")
    options = parser.parse_args()
    measured = subprocess.run([options.program], stdout=subprocess.PIPE, check=True, text=True).stdout
    costs = {program: verified for program, (verified, _) in json.loads(measured).items()}
    if options.print:
        print(json.dumps({series(): costs}, indent=1, sort_keys=True))
        return 0
    found = list(problems(costs, json.loads(RECORD.read_text()).get(series(), {})))
    for problem in found:
        print(f"kernel_cost: FAILED: {problem}")
    dearest = max(costs, key=costs.get)
    print(f"kernel_cost: {len(costs)} programs, {sum(costs.values())} instructions looked at, {dearest} the most with "
          f"{costs[dearest]} ({100 * costs[dearest] // LIMIT}% of the limit), on {os.uname().release}")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
