#!/usr/bin/env python3
"""The guest's part of `cargo xtask bench kernel`: the configurations that one boot can have.

Prints a JSON object a line: `machine`, each `sample`, and with --explain `profile` and `memory`. The order is
random: in every round each configuration once, in each all cases. Whatever cannot be measured ends it.
"""

import argparse
import json
import os
import random
from pathlib import Path

import speed_memory
import speed_profile
from speed_configurations import KINDS
from speed_stage import Stage

PROFILED = ("attached", "enforcing")


def tell(kind, **what):
    print(json.dumps({"kind": kind, **what}), flush=True)


def prove(configurations, cases):
    for configuration in configurations.values():
        configuration.prepare()
        for case in cases:
            configuration.prove(case)


def measure(configurations, cases, runs, chance):
    for _ in range(runs):
        for name in chance.sample(list(configurations), len(configurations)):
            configurations[name].prepare()
            for case in chance.sample(cases, len(cases)):
                tell("sample", **sample(name, configurations[name], case))


def sample(name, configuration, case):
    seconds, counts = configuration.measure(case)
    return {"case": case.name, "configuration": name, "micros": seconds * 1e6 / case.count, **counts}


def explain(configurations, cases):
    """What tells why a bar is missed."""
    with speed_profile.switched_on():
        for name in PROFILED:
            configurations[name].prepare()
            for case in cases:
                tell("profile", case=case.name, configuration=name, programs=speed_profile.of(configurations[name], case))
    tell("memory", **speed_memory.per_namespace(configurations["enforcing"]))


def parse_arguments():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    for name in ("--micro", "--client", "--quixote"):
        parser.add_argument(name, type=lambda text: Path(text).resolve(), required=True)
    parser.add_argument("--runs", type=int, required=True)
    parser.add_argument("--seed", type=int, required=True)
    parser.add_argument("--clock", choices=("wall", "instructions"), default="wall", help="what the machine's clock counts")
    parser.add_argument("--only", action="append", metavar="CASE", help="may be repeated")
    parser.add_argument("--explain", action="store_true", help="profiles of programs, memory of namespaces")
    parser.add_argument("configurations", nargs="+", choices=KINDS, metavar="CONFIGURATION")
    return parser.parse_args()


def main():
    arguments = parse_arguments()
    tell("machine", kernel=os.uname().release, processors=os.cpu_count(), clock=arguments.clock)
    stage = Stage(arguments.micro, arguments.client, arguments.quixote)
    stage.cases = [case for case in stage.cases if not arguments.only or case.name in arguments.only]
    for case in stage.cases:
        # What a program makes the first time only, and what it reads from the disk.
        stage.perform(case, 1)
    configurations = {name: KINDS[name](stage) for name in arguments.configurations}
    prove(configurations, stage.cases)
    measure(configurations, stage.cases, arguments.runs, random.Random(arguments.seed))
    if arguments.explain:
        explain(configurations, stage.cases)


if __name__ == "__main__":
    os.umask(0o022)
    main()
