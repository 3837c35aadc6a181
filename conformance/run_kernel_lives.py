#!/usr/bin/env python3
"""Namespaces under the kernel source as they come and go; in a virtual machine.

    cargo xtask vm -- /usr/bin/python3 conformance/run_kernel_lives.py STORM --quixote target/release/quixote
"""

import argparse
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent / "kernel_matrix"))

import lives  # noqa: E402

FOLDER = "/tmp/kernel_lives"


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("storm", type=Path)
    parser.add_argument("--quixote", type=Path, default=Path("target/release/quixote"))
    parser.add_argument("--source", choices=["kernel", "portable"], default="kernel")
    parser.add_argument("--row", type=int, default=30, help="namespaces in a row (1000 for the long run)")
    parser.add_argument("--only", action="append", default=[])
    arguments = parser.parse_args()
    place = lives.Lives(FOLDER, arguments.quixote.resolve(), arguments.storm.resolve(), arguments.source)
    tests = {
        "losses": lambda: lives.losses(place),
        "overflow": lambda: lives.overflow(place),
        "crashes": lambda: lives.crashes(place),
        "at_once": lambda: lives.at_once(place),
        "in_a_row": lambda: lives.in_a_row(place, arguments.row),
    }
    failed = 0
    for name, test in tests.items():
        if arguments.only and name not in arguments.only:
            continue
        problems = test()
        for problem in problems:
            print(f"FAILED {name}: {problem}")
        print(f"{name}: {'failed' if problems else 'passed'}", flush=True)
        failed += bool(problems)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
