"""Where `speed.py` performs a case: the commands, the processor that they have, servers and their clients."""

import os
import re
import shutil
import signal
import socket
import subprocess
import time

import speed_cases
from speed_cases import FOLDER

RUN_LIMIT_S = 600
START_LIMIT_S = 120
POLL_S = 0.05
SHOWN = 2000


class Failed(Exception):
    """A case cannot be measured."""


class Stage:
    """Runs commands; what is measured is alone on the last processor, if there are two."""

    def __init__(self, micro, client, quixote):
        speed_cases.lay_out(micro, client)
        self.cases = speed_cases.all_cases()
        self.quixote = quixote
        # Whether the programs that are loaded have asked for the digest of each file that is executed.
        self.digests_known = False
        last = os.cpu_count() - 1
        self.pin = [shutil.copy("/bin/busybox", FOLDER / "taskset"), hex(1 << last)]
        os.sched_setaffinity(0, set(range(last)) or {0})
        places = {"STATE": "state", "RUNTIME": "run", "TRUST": "trust"}
        own = {f"QUIXOTE_{name}_DIR": str(FOLDER / place) for name, place in places.items()}
        self.environment = {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", **own}

    def perform(self, case, count, before=()):
        """The seconds that `count` calls take; `before` are the words of what the case runs under."""
        line = [*before, *self.pin, *case.words(count)]
        if case.client is None:
            return seconds(self.call(line))
        server = self.start(line)
        if not self.listens(case, server):
            raise Failed(f"{shown(line)}: does not listen: {output_of(server)}")
        try:
            return seconds(self.call(case.client(count)))
        finally:
            self.stop(case, server)

    def performs_outside(self, case, before=()):
        """Whether an act that is no part of the case takes effect."""
        line = [*before, *self.pin, *case.outside]
        server = self.start(line)
        if case.client is None:
            server.communicate(timeout=RUN_LIMIT_S)
            return server.returncode == 0
        if not self.listens(case, server):
            server.communicate(timeout=RUN_LIMIT_S)
            return False
        self.stop(case, server)
        return True

    def listens(self, case, server):
        """Whether a server comes so far; not, when it ends before."""
        deadline = time.monotonic() + START_LIMIT_S
        while time.monotonic() < deadline:
            if server.poll() is not None:
                return False
            if is_written(case.pid_file) and answers(case.port):
                return True
            time.sleep(POLL_S)
        server.kill()
        raise Failed(f"{case.name}: neither listens nor ends")

    def stop(self, case, server):
        os.kill(int(case.pid_file.read_text()), signal.SIGTERM)
        out, _ = server.communicate(timeout=RUN_LIMIT_S)
        if server.returncode != 0:
            raise Failed(f"{case.name}: exit {server.returncode}: {out[-SHOWN:]}")

    def start(self, line):
        words = [str(word) for word in line]
        return subprocess.Popen(
            words, env=self.environment, cwd=FOLDER, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT, text=True,
        )

    def call(self, line, text=None):
        words = [str(word) for word in line]
        done = subprocess.run(
            words, env=self.environment, cwd=FOLDER, capture_output=True, text=True, input=text, timeout=RUN_LIMIT_S
        )
        if done.returncode != 0:
            raise Failed(f"{shown(line)}: exit {done.returncode}: {(done.stdout + done.stderr)[-SHOWN:].strip()}")
        return done.stdout


def is_written(path):
    return path.exists() and path.stat().st_size > 0


def answers(port):
    with socket.socket() as own:
        return own.connect_ex(("127.0.0.1", port)) == 0


def output_of(server):
    return server.communicate(timeout=RUN_LIMIT_S)[0][-SHOWN:]


def seconds(output):
    return float(re.search(r"seconds ([0-9.]+)", output).group(1))


def shown(line):
    return " ".join(str(word) for word in line)
