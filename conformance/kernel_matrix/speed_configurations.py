"""What `speed.py` compares. Each shows, before it is measured, that it does what its name says."""

import json
import subprocess
import time

import speed_apparmor
import speed_tomoyo
from speed_cases import FOLDER
from speed_ima import Ima
from speed_stage import Failed

QUIET = ("--runs", "1", "--accept-rules", "none")
DETACHING_POLLS, DETACHING_POLL_S = 300, 1.0
# Nobody else in the guest has any.
ATTACHED_KINDS = ("lsm", "tracing")
NO_COUNTS = {"events": 0, "cached": 0, "decided": 0, "lost": 0}


class Bare:
    """Nothing stands before the command: no module, or one that lets everything through."""

    before = ()

    def __init__(self, stage):
        self.stage = stage

    def prepare(self):
        """Once a round."""

    def prove(self, case):
        """Once a case."""
        if not self.stage.performs_outside(case, self.before):
            raise Failed(f"{case.name}: fails without being confined")

    def measure(self, case):
        """Seconds and counts of one run."""
        return self.stage.perform(case, case.count), NO_COUNTS


class Unloaded(Bare):
    """BPF LSM is active, without a program."""

    def prepare(self):
        self.stage.call([self.stage.quixote, "kernel", "unload"])
        self.stage.digests_known = False
        wait_until_detached()


class Attached(Bare):
    """The programs are attached; the case is in no namespace."""

    def prepare(self):
        self.stage.call([self.stage.quixote, "kernel", "load"])


class Namespace(Attached):
    """In a namespace whose model was learned in the same way, once a case: nothing varies."""

    command = "enforce"
    options = ()
    denies = True

    def __init__(self, stage):
        super().__init__(stage)
        self.summary = FOLDER / "summary"

    def prepare(self):
        """Programs that were loaded anew know no file's digest; what is measured is how it goes on."""
        super().prepare()
        if self.stage.digests_known:
            return
        for case in self.stage.cases:
            self.stage.perform(case, case.few, self.words(case))
        self.stage.digests_known = True

    def prove(self, case):
        performed = self.stage.performs_outside(case, self.words(case))
        counts = self.counts()
        if performed == self.denies or not counts["violations"]:
            raise Failed(f"{case.name}: {self.command} let through what was not learned: {counts}")

    def measure(self, case):
        seconds = self.stage.perform(case, case.count, self.words(case))
        counts = self.counts()
        if counts["violations"] or counts["denied"]:
            raise Failed(f"{case.name}: {self.command}: not what was learned: {counts}")
        return seconds, figures(counts)

    def words(self, case):
        return self.run(self.command, "--allow-unsigned", *self.options, self.model(case))

    def model(self, case):
        model = FOLDER / f"{case.name}.model"
        if not model.exists():
            self.stage.perform(case, case.few, self.run("learn", *QUIET, "-o", model))
            self.refuse_losses(case)
        return model

    def refuse_losses(self, case):
        if figures(self.counts())["lost"]:
            raise Failed(f"{case.name}: events were lost while learning: {self.counts()}")

    def run(self, command, *options):
        self.summary.unlink(missing_ok=True)
        return [self.stage.quixote, command, "--source", "kernel", "--summary", self.summary, *options, "--"]

    def counts(self):
        return json.loads(self.summary.read_text())["counts"]


class Sealed(Namespace):
    """What is not in the model is told, and happens."""

    command = "monitor"
    denies = False


class ProcessAgent(Namespace):
    """A process of its own decides."""

    options = ("--tma", "process")


class Learning(Namespace):
    """A model is being learned, from nothing."""

    command = "learn"

    def prove(self, case):
        if not self.stage.performs_outside(case, self.words(case)) or not self.counts()["events"]:
            raise Failed(f"{case.name}: learning denies, or sees nothing: {self.counts()}")

    def words(self, case):
        return self.run("learn", *QUIET, "--anew", "-o", FOLDER / "new.model")


class Peer(Bare):
    """Another security module, with a policy for each case."""

    def __init__(self, stage, policy):
        super().__init__(stage)
        self.policy = policy
        # Otherwise a denial would say nothing.
        for case in stage.cases:
            super().prove(case)
        policy.enforce(stage)

    def prove(self, case):
        if self.stage.performs_outside(case):
            raise Failed(f"{case.name}: the policy does not deny what it does not hold")

    def measure(self, case):
        before = self.policy.denials()
        try:
            return self.stage.perform(case, case.count), NO_COUNTS
        finally:
            if self.policy.denials() != before:
                raise Failed(f"{case.name}: the policy denied a part of it: {self.policy.told()}")


class Measured(Bare):
    """IMA measures what is executed."""

    def __init__(self, stage):
        super().__init__(stage)
        self.ima = Ima()

    def prove(self, case):
        self.stage.perform(case, case.few)
        self.ima.require(case.program)


KINDS = {
    "none": Bare,
    "unloaded": Unloaded,
    "attached": Attached,
    "sealed": Sealed,
    "enforcing": Namespace,
    "learning": Learning,
    "process-agent": ProcessAgent,
    "apparmor": lambda stage: Peer(stage, speed_apparmor.Profiles()),
    "tomoyo": lambda stage: Peer(stage, speed_tomoyo.Domains()),
    "ima": Measured,
}


def wait_until_detached():
    """The kernel detaches programs that nobody has any more one after another, and goes on to call them."""
    for _ in range(DETACHING_POLLS):
        listed = subprocess.run(["bpftool", "--json", "prog", "list"], capture_output=True, text=True, check=True)
        if not any(program["type"] in ATTACHED_KINDS for program in json.loads(listed.stdout)):
            return
        time.sleep(DETACHING_POLL_S)
    raise Failed("programs stay attached after they were unloaded")


def figures(counts):
    """What a workload did: `events` went to the agent, the others were settled in the kernel."""
    lost = counts.get("lost", counts.get("losses", 0))
    return {name: counts.get(name, 0) for name in ("events", "cached", "decided")} | {"lost": lost}
