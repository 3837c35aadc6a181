"""Processes that are started for a test, and nothing of them left afterwards.

Daemons leave their session and their parent, so a process group is not enough: this process becomes the child
subreaper, every orphan comes back to it, and whatever is still below it at the end is ended by its id.
"""

import ctypes
import os
import select
import signal
import subprocess
import time
from pathlib import Path

PR_SET_CHILD_SUBREAPER = 36
PATH = "/usr/local/sbin:/usr/sbin:/usr/bin:/sbin:/bin"


def become_subreaper():
    """Must be called once, before anything is started."""
    if ctypes.CDLL(None, use_errno=True).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) != 0:
        raise OSError(ctypes.get_errno(), "prctl(PR_SET_CHILD_SUBREAPER)")


def clean_environment(home):
    """The same for every run: what a model depends on must not come from who runs the test."""
    return {"PATH": PATH, "HOME": str(home), "LANG": "C.UTF-8", "TZ": "UTC", "USER": "quixote-test"}


def as_account(account, command):
    """`command` under `account`; only root can change it."""
    command = [str(part) for part in command]
    if os.geteuid() != 0 or account == "root":
        return command
    return ["setpriv", f"--reuid={account}", f"--regid={account}", "--init-groups", "--", *command]


class Started:
    """A process in its own session, its output in files."""

    def __init__(self, command, log, environment, directory="/"):
        self.log = Path(log)
        self.log.parent.mkdir(parents=True, exist_ok=True)
        self.command = command
        self.began = time.monotonic()
        with open(f"{log}.out", "wb") as out, open(f"{log}.err", "wb") as err:
            self.process = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=err,
                env=environment,
                cwd=directory,
                start_new_session=True,
            )

    def wait(self, limit_s):
        """The exit status, or None when the time is over; then the process is ended."""
        left = max(0.0, self.began + limit_s - time.monotonic())
        if not self.ended_within(left):
            self.process.kill()
            self.process.wait()
            return None
        return self.process.wait()

    def ended_within(self, limit_s):
        """Whether it has ended, told at once; subprocess's own wait with a limit looks 20 times a second."""
        if self.process.poll() is not None:
            return True
        handle = os.pidfd_open(self.process.pid)
        try:
            return bool(select.select([handle], [], [], limit_s)[0])
        finally:
            os.close(handle)

    def running(self):
        return self.process.poll() is None

    def output(self):
        return Path(f"{self.log}.out").read_text(errors="replace")

    def errors(self):
        return Path(f"{self.log}.err").read_text(errors="replace")


def descendants(pid=None):
    """Every live process below `pid` (this one), zombies left out."""
    found, todo = [], [pid or os.getpid()]
    while todo:
        for child in children(todo.pop()):
            todo.append(child)
            if state(child) not in ("Z", "X", None):
                found.append(child)
    return found


def children(pid):
    found = []
    for task in Path(f"/proc/{pid}/task").glob("*/children"):
        try:
            found += [int(word) for word in task.read_text().split()]
        except OSError:
            pass
    return found


def state(pid):
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return None


def name(pid):
    try:
        return Path(f"/proc/{pid}/comm").read_text().strip()
    except OSError:
        return "?"


def end_leftovers(grace_s=2.0):
    """Ends what is left below this process and says what it was."""
    deadline, pause_s = time.monotonic() + grace_s, 0.001
    while descendants() and time.monotonic() < deadline:
        time.sleep(pause_s)
        pause_s = min(2 * pause_s, 0.05)
    left = [name(pid) for pid in descendants()]
    for _ in range(50):
        pids = descendants()
        for pid in pids:
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                pass
        reap()
        if not pids:
            break
        time.sleep(0.05 if left else 0.001)
    return left


def reap():
    try:
        while os.waitpid(-1, os.WNOHANG)[0] > 0:
            pass
    except ChildProcessError:
        pass
