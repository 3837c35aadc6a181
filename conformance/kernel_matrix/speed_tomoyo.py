"""TOMOYO beside us: it learns each case in a domain of its own (profile 1), then enforces (profile 3)."""

import os
import re
import shutil
import sys
from pathlib import Path

from speed_cases import FOLDER

POLICY = Path("/sys/kernel/security/tomoyo")
# Executing it has the kernel take the policy for loaded: `TOMOYO_trigger=` of the boot says so.
TRIGGER = FOLDER / "trigger"
SHOWN = 1500
LEARNING, ENFORCING = 1, 3
# The number of a pipe or a socket is another each time.
NUMBERED = re.compile(r"(pipe|socket):\[\d+\]")
PROFILES = """PROFILE_VERSION=20150505
0-COMMENT=disabled
0-CONFIG={ mode=disabled grant_log=no reject_log=no }
1-COMMENT=learning
1-PREFERENCE={ max_audit_log=0 max_learning_entry=8192 }
1-CONFIG={ mode=learning grant_log=no reject_log=no }
3-COMMENT=enforcing
3-PREFERENCE={ max_audit_log=64 max_learning_entry=8192 }
3-CONFIG={ mode=enforcing grant_log=no reject_log=yes }
"""


class Domains:
    """A domain begins where a case's program is executed, and holds all that it executes."""

    def enforce(self, stage):
        self.load(stage)
        for case in stage.cases:
            self.use(case, LEARNING)
            # Twice: what a first run leaves behind is found by the second.
            for _ in range(2):
                stage.perform(case, case.few)
            self.allow_any_number(case)
            self.use(case, ENFORCING)

    def load(self, stage):
        write("profile", PROFILES)
        write("manager", f"{os.path.realpath(sys.executable)}\n")
        shutil.copy("/bin/busybox", FOLDER / "busybox")
        TRIGGER.write_text(f"#!{FOLDER}/busybox true\n")
        TRIGGER.chmod(0o755)
        stage.call([TRIGGER])
        for case in stage.cases:
            write("exception_policy", f"initialize_domain {case.words(1)[0]} from any\n")
            write("exception_policy", f"keep_domain any from {domain(case)}\n")

    def use(self, case, profile):
        write("domain_policy", f"{domain(case)}\nuse_profile {profile}\n")

    def allow_any_number(self, case):
        text = (POLICY / "domain_policy").read_text()
        learned = text.partition(f"{domain(case)}\n")[2].partition("<kernel>")[0].splitlines()
        lines = [NUMBERED.sub(r"\1:[\\$]", line) for line in learned if NUMBERED.search(line)]
        write("domain_policy", "\n".join([domain(case), *lines, ""]))

    def denials(self):
        text = (POLICY / "stat").read_text()
        return int(re.search(r"violation in enforcing mode: +(\d+)", text).group(1))

    def told(self):
        """The last that was denied, in the kernel's words."""
        return (POLICY / "audit").read_text()[-SHOWN:]


def domain(case):
    """Named by the name that is executed, also where that is a symbolic link."""
    return f"<kernel> {case.words(1)[0]}"


def write(name, text):
    """One line a write: the kernel takes no more at once."""
    file = os.open(POLICY / name, os.O_WRONLY)
    try:
        for line in text.splitlines(keepends=True):
            os.write(file, line.encode())
    finally:
        os.close(file)
