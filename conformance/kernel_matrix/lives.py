"""Namespaces as they come and go: losses under load, orchestrators killed, many at once, many in a row."""

import json
import os
import random
import re
import shutil
import signal
import subprocess
import time
from pathlib import Path

from oracle import HookCounter

RUN_LIMIT_S = 240
STORM = 40
# More than a ring holds of what is decided without waiting.
FLOOD, FLOOD_STATUS = 2000, 7
CRASHES = 6
AT_ONCE = 10
# What a namespace may leave behind: nothing; what the kernel frees late or keeps in caches.
SLACK_KIB = 16 * 1024
SETTLE_S = 60
RARE = {"inode_mkdir": "directory", "inode_symlink": "link"}


class Lives:
    def __init__(self, folder, quixote, storm, source):
        self.folder, self.quixote, self.source = Path(folder), quixote, source
        self.work = self.folder / "work"
        self.folder.mkdir(parents=True)
        self.storm = Path(shutil.copy(storm, self.folder / "storm"))
        places = {"STATE": "state", "RUNTIME": "run", "TRUST": "trust"}
        own = {f"QUIXOTE_{name}_DIR": str(self.folder / place) for name, place in places.items()}
        self.environment = {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", **own}

    def line(self, command, *options):
        return [str(word) for word in [self.quixote, command, "--source", self.source, *options]]

    def learn(self, name, *command, **options):
        model = self.folder / f"{name}.model"
        self.fresh()
        wanted = ["--runs", "1", "--accept-rules", "none", "--name", name, "-o", model, "--", *command]
        self.check(self.line("learn", *wanted), **options)
        return model

    def enforcing(self, name, model, *command):
        return self.line("enforce", "--allow-unsigned", "--on-violation", "deny", "--name", name, model, "--", *command)

    def check(self, line, **options):
        done = subprocess.run(
            line, env=self.environment, cwd=self.work, capture_output=True, text=True, timeout=RUN_LIMIT_S, **options
        )
        if done.returncode != 0:
            raise RuntimeError(f"{' '.join(line)}: exit {done.returncode}: {done.stderr.strip()}")
        return done.stdout

    def fresh(self):
        shutil.rmtree(self.work, ignore_errors=True)
        self.work.mkdir()


def losses(lives):
    """The rare events of the record are those that the kernel counted, or each missing one is counted."""
    counter = HookCounter(list(RARE))
    counter.start()
    model = lives.learn("storm", lives.storm, STORM, preexec_fn=counter.restrict_to_caller)
    text = model.read_text()
    lost = int(re.search(r"^losses (\d+)$", text, re.MULTILINE).group(1))
    problems = []
    for hook, word in RARE.items():
        made = {path.name for path in lives.work.glob(f"{word}-*")}
        calls = counter.calls(hook)
        recorded = set(re.findall(rf" {hook} \S*/({word}-\d+-\d+)\b", text))
        if calls < len(made) or len(made) != STORM * os.cpu_count():
            problems.append(f"{hook}: {len(made)} made, the kernel counted {calls} calls")
        if recorded - made:
            problems.append(f"{hook}: recorded, but never made: {sorted(recorded - made)[:5]}")
        if len(made - recorded) > lost:
            problems.append(f"{hook}: {len(made - recorded)} of {len(made)} missing, {lost} counted as lost")
        print(f"{hook}: the kernel counted {calls}, recorded {len(recorded)}, lost {lost}")
    return problems


def overflow(lives):
    """A ring that is full, also of the end of the first process: lost events are counted, the run ends, nobody signs."""
    # The programs are loaded now, which takes long.
    lives.learn("calm", lives.storm, 0)
    model = lives.folder / "flood.model"
    lives.fresh()
    wanted = ["--runs", "1", "--accept-rules", "none", "--name", "flood", "-o", model]
    line = lives.line("learn", *wanted, "--", lives.storm, "flood", FLOOD, FLOOD_STATUS)
    with open(lives.folder / "told", "w") as told:
        running = start(lives, line, told)
    ready = wait_until((lives.work / "ready").exists)
    os.kill(running.pid, signal.SIGSTOP)
    (lives.work / "go").touch()
    ended = ready and wait_until(lambda: not processes(lives.storm))
    made = len(list(lives.work.glob("flood-*")))
    os.kill(running.pid, signal.SIGCONT)
    if not ended:
        return [f"the workload {'did not end' if ready else 'did not begin'}"]
    if not wait_until(lambda: running.poll() is not None):
        running.kill()
        return ["the orchestrator waits for a process that has ended"]
    text = model.read_text()
    recorded = len(re.findall(r" inode_mkdir \S*/flood-\d+\b", text))
    lost = int(re.search(r"^losses (\d+)$", text, re.MULTILINE).group(1))
    print(f"inode_mkdir: {made} made, {recorded} recorded, {lost} counted as lost")
    problems = [] if running.returncode == FLOOD_STATUS else [f"the run ended with {running.returncode}"]
    if made != FLOOD:
        problems.append(f"{made} of {FLOOD} directories made")
    # So are a process that was refused, the end of the first one, and perhaps that of the last one that was not refused.
    if lost - (made - recorded) not in (2, 3) or recorded == made:
        problems.append(f"{made} made, {recorded} recorded, but {lost} lost")
    if "did not fit the ring" not in (lives.folder / "told").read_text():
        problems.append("nobody was told")
    return problems + signed_all_the_same(lives, model) + nothing_left(lives)


def signed_all_the_same(lives, model):
    key = lives.folder / "key"
    subprocess.run([lives.quixote, "model", "keygen", "-o", key], env=lives.environment, check=True, capture_output=True)
    signing = [lives.quixote, "model", "sign", model, "--key", key]
    signed = subprocess.run(signing, env=lives.environment, capture_output=True, text=True)
    refused = signed.returncode != 0 and "lost events" in signed.stderr
    return [] if refused else [f"signing a model with losses: {signed.returncode}: {signed.stderr.strip()}"]


def crashes(lives):
    """An orchestrator that is killed at any moment opens nothing."""
    model = lives.learn("calm", lives.storm, 1)
    seed = int(time.time())
    chance = random.Random(seed)
    problems = []
    for number in range(CRASHES):
        lives.fresh()
        running = start(lives, lives.enforcing(f"crash{number}", model, lives.storm, "breach"))
        # Half of them while the namespace is made, half while the workload runs.
        if number % 2:
            wait_until(lambda: processes(lives.storm))
        time.sleep(chance.uniform(0, 0.5))
        os.kill(running.pid, signal.SIGKILL)
        running.wait()
        time.sleep(0.5)
        if (lives.work / "breach").exists():
            problems.append(f"crash {number} (seed {seed}): the workload did what its model does not hold")
        end_all(lives.storm)
    problems += nothing_left(lives)
    # What those left in the maps goes with the next that takes their place.
    lives.fresh()
    lives.check(lives.enforcing("after", model, lives.storm, 1))
    return problems + entries_left(lives)


def entries_left(lives):
    """What is wrong when no namespace is there: an entry of one in the maps."""
    if lives.source != "kernel":
        return []
    pins = kernel_status(lives)["pins"]
    left = {name: len(json.loads(bpftool("map", "dump", "pinned", f"{pins}/maps/{name}"))) for name in ("foretold", "untrusted")}
    return [f"{count} entries left in the map {name}" for name, count in left.items() if count]


def at_once(lives):
    """Namespaces at the same time do not disturb one another."""
    model = lives.learn("calm", lives.storm, 1)
    lives.fresh()
    running = []
    for number in range(AT_ONCE):
        running.append(start(lives, lives.enforcing(f"one{number}", model, lives.storm, "breach")))
    everywhere = wait_until(lambda: len(processes(lives.storm)) == AT_ONCE)
    problems = [] if everywhere else [f"only {len(processes(lives.storm))} of {AT_ONCE} workloads run"]
    problems += [f"namespace {n} has ended by itself" for n, one in enumerate(running) if one.poll() is not None]
    if (lives.work / "breach").exists():
        problems.append("a workload did what its model does not hold")
    if not wait_until(lambda: end_all(lives.storm) or all(one.poll() is not None for one in running)):
        problems.append("an orchestrator does not end with its workload")
    return problems + nothing_left(lives)


def in_a_row(lives, count):
    """Namespaces that have ended leave nothing behind: no map, program, link, task or memory."""
    model = lives.learn("calm", lives.storm, 0)
    one = lives.enforcing("row", model, lives.storm, 0)
    for _ in range(10):
        lives.check(one)
    before = inventory()
    for _ in range(count):
        lives.check(one)
    wait_until(lambda: left_over(before, inventory()) == [])
    after = inventory()
    print(f"{count} namespaces: before {before}, after {after}")
    return left_over(before, after)


def start(lives, line, told=subprocess.DEVNULL):
    return subprocess.Popen(
        line, env=lives.environment, cwd=lives.work, stdout=subprocess.DEVNULL, stderr=told
    )


def processes(program):
    """The ids of the processes that run a program."""
    found = []
    for entry in Path("/proc").iterdir():
        try:
            if entry.name.isdigit() and os.readlink(entry / "exe") == str(program):
                found.append(int(entry.name))
        except OSError:
            pass
    return found


def end_all(program):
    for process in processes(program):
        try:
            os.kill(process, signal.SIGKILL)
        except ProcessLookupError:
            pass


def wait_until(condition):
    """Whether it came true in time."""
    deadline = time.monotonic() + SETTLE_S
    while not condition():
        if time.monotonic() >= deadline:
            return False
        time.sleep(0.1)
    return True


def nothing_left(lives):
    """What is wrong when no workload runs any more: a namespace that is still counted."""
    if lives.source != "kernel":
        return []

    def namespaces():
        return kernel_status(lives)["namespaces"]

    return [] if wait_until(lambda: namespaces() == 0) else [f"{namespaces()} namespaces left"]


def kernel_status(lives):
    words = [lives.quixote, "kernel", "status", "--json"]
    return json.loads(subprocess.run(words, env=lives.environment, capture_output=True, text=True).stdout)


def inventory():
    meminfo = dict(line.split(":") for line in Path("/proc/meminfo").read_text().splitlines())
    kib = sum(int(meminfo[name].split()[0]) for name in ("SUnreclaim", "Percpu", "VmallocUsed", "KernelStack"))
    tasks = sum(1 for entry in Path("/proc").iterdir() if entry.name.isdigit())
    counts = {kind: len(json.loads(bpftool(kind, "list"))) for kind in ("map", "prog", "link")}
    return {**counts, "tasks": tasks, "kib": kib}


def bpftool(*words):
    return subprocess.run(["bpftool", "--json", *words], capture_output=True, text=True, check=True).stdout


def left_over(before, after):
    slack = {"tasks": 8, "kib": SLACK_KIB}
    return [
        f"{name}: {before[name]} before, {after[name]} after"
        for name in before
        if after[name] > before[name] + slack.get(name, 0)
    ]
