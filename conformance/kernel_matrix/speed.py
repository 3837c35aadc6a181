#!/usr/bin/env python3
"""The guest's part of `cargo xtask bench kernel`: the configurations that one boot can have.

Prints a JSON object a sample. The order is random: in every round each configuration once, in each
all cases.
"""

import argparse
import json
import os
import random
import re
import shutil
import subprocess
from pathlib import Path

FOLDER = Path("/tmp/speed")
# Case and number of calls: long enough to be measured under emulation.
CASES = {"open": 3000, "stat": 6000, "read": 10000, "pipe": 2000, "connect": 300, "exec": 60}
PORT = "7012"
RUN_LIMIT_S = 300
APPARMOR_PROFILE = """
profile quixote_speed /tmp/speed/micro flags=(attach_disconnected) {
  network,
  /tmp/speed/** r,
  /tmp/speed/micro mrix,
  /{usr/,}bin/true mrix,
  /tmp/speed/true mrix,
}
"""


class Bench:
    def __init__(self, micro, quixote):
        FOLDER.mkdir()
        self.micro = Path(shutil.copy(micro, FOLDER / "micro"))
        self.quixote = quixote
        self.file = FOLDER / "file"
        self.file.write_text("x")
        # What is executed lies on a tmpfs too, and is static.
        program = shutil.copy("/bin/busybox", FOLDER / "true")
        subprocess.run(["mount", "--bind", program, "/bin/true"], check=True)
        places = {"STATE": "state", "RUNTIME": "run", "TRUST": "trust"}
        own = {f"QUIXOTE_{name}_DIR": str(FOLDER / place) for name, place in places.items()}
        self.environment = {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", **own}

    def command(self, case, count=None):
        argument = PORT if case == "connect" else self.file
        return [self.micro, case, str(count or CASES[case]), argument]

    def model(self, case):
        """Learned once a case; in one run, because nothing varies."""
        model = FOLDER / f"{case}.model"
        if not model.exists():
            self.run("learn", "--runs", "1", "--accept-rules", "none", "-o", model, "--", *self.command(case, 3))
        return model

    def prepare(self, configuration):
        if configuration == "unloaded":
            self.run_plain("kernel", "unload")
        elif configuration in ("attached", "enforcing", "learning"):
            self.run_plain("kernel", "load")
        elif configuration == "apparmor":
            subprocess.run(["apparmor_parser", "--replace"], input=APPARMOR_PROFILE, text=True, check=True)

    def sample(self, case, configuration):
        summary = FOLDER / "summary"
        summary.unlink(missing_ok=True)
        if configuration == "enforcing":
            options = ["--allow-unsigned", "--summary", summary, self.model(case)]
            output = self.run("enforce", *options, "--", *self.command(case))
        elif configuration == "learning":
            options = ["--runs", "1", "--accept-rules", "none", "--anew", "--summary", summary]
            output = self.run("learn", *options, "-o", FOLDER / "new.model", "--", *self.command(case))
        else:
            output = self.call(self.command(case))
        seconds = float(re.search(r"seconds ([0-9.]+)", output).group(1))
        counts = json.loads(summary.read_text())["counts"] if summary.exists() else {}
        return {
            "case": case,
            "configuration": configuration,
            "micros": seconds * 1e6 / CASES[case],
            "events": counts.get("events", 0),
            "lost": counts.get("lost", counts.get("losses", 0)),
        }

    def run(self, command, *options):
        return self.call([self.quixote, command, "--source", "kernel", *options])

    def run_plain(self, *words):
        return self.call([self.quixote, *words])

    def call(self, line):
        line = [str(word) for word in line]
        done = subprocess.run(
            line, env=self.environment, cwd=FOLDER, capture_output=True, text=True, timeout=RUN_LIMIT_S
        )
        if done.returncode != 0:
            raise RuntimeError(f"{' '.join(line)}: exit {done.returncode}: {done.stderr.strip()}")
        return done.stdout


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--micro", type=Path, required=True)
    parser.add_argument("--quixote", type=Path, required=True)
    parser.add_argument("--runs", type=int, required=True)
    parser.add_argument("--seed", type=int, required=True)
    parser.add_argument("configurations", nargs="+")
    arguments = parser.parse_args()
    bench = Bench(arguments.micro.resolve(), arguments.quixote.resolve())
    chance = random.Random(arguments.seed)
    for _ in range(arguments.runs):
        for configuration in chance.sample(arguments.configurations, len(arguments.configurations)):
            bench.prepare(configuration)
            for case in chance.sample(list(CASES), len(CASES)):
                print(json.dumps(bench.sample(case, configuration)), flush=True)


if __name__ == "__main__":
    os.umask(0o022)
    main()
