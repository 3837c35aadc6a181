#!/usr/bin/env python3
"""The kernel source's programs themselves, on the kernel that runs; in a virtual machine.

    cargo build --release --package kernel-source --examples
    cargo xtask vm --kernel 6.1 --kernel 6.12 -- /usr/bin/python3 conformance/run_kernel_check.py

Every event of the conformance vectors, written down and hashed by the programs' own encoder, comes to the vector's
coefficient. Those that only the agent forms (references, address rules, ephemeral ports) are counted apart: there must
not be more of them than are known.
"""

import argparse
import os
import re
import subprocess
import sys
from pathlib import Path

VECTORS = Path(__file__).resolve().parent / "vectors/events.jsonl"
NEVER_FORMED = 96


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--examples", type=Path, default=Path("target/release/examples"))
    arguments = parser.parse_args()
    done = subprocess.run([arguments.examples / "kernel_check", VECTORS], capture_output=True, text=True, check=False)
    print(done.stdout, end="")
    print(done.stderr, end="", file=sys.stderr)
    counts = re.search(r"^(\d+) vectors the same in the kernel, (\d+) that", done.stdout, re.MULTILINE)
    problems = [] if counts and done.returncode == 0 else [f"exit {done.returncode}"]
    if counts and int(counts[2]) != NEVER_FORMED:
        problems.append(f"{counts[2]} vectors were left out, not {NEVER_FORMED}")
    print(f"{os.uname().release}: {', '.join(problems) or 'the same'}")
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
