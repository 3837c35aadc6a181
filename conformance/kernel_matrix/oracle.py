"""The kernel's own count of calls of its security hooks, by kprobes through tracefs.

Nothing of Quixote takes part: this is what tests of the kernel source compare it with.
"""

import os
from pathlib import Path

TRACING = Path("/sys/kernel/tracing")
GROUP = "quixote_oracle"

# Where the kernel's function is not named as the hook.
FUNCTIONS = {"settime": "security_settime64", "userns_create": "security_create_user_ns"}


class HookCounter:
    """Counts calls of `security_HOOK` by one process and all that it forks."""

    def __init__(self, hooks):
        functions = kernel_functions()
        self.missing = [hook for hook in hooks if function(hook) not in functions]
        for hook in hooks:
            if hook not in self.missing:
                probe(hook)
        (TRACING / f"events/{GROUP}/enable").write_text("1")
        (TRACING / "options/event-fork").write_text("1")

    def restrict_to_caller(self):
        """To be called in the process itself, before its exec."""
        (TRACING / "set_event_pid").write_text(str(os.getpid()))

    def start(self):
        """Forgets all calls so far."""
        (TRACING / "trace").write_text("")

    def calls(self, hook):
        """The number of calls since `start`."""
        lines = (TRACING / "trace").read_text().splitlines()
        if any("LOST" in line for line in lines):
            raise RuntimeError("the trace has lost events")
        return sum(1 for line in lines if f" {hook}: (" in line)


def function(hook):
    """The kernel's function that calls all security modules for a hook."""
    return FUNCTIONS.get(hook, f"security_{hook}")


def kernel_functions():
    """The names of all functions of the running kernel and its modules."""
    with open("/proc/kallsyms") as symbols:
        return {line.split()[2] for line in symbols}


def probe(hook):
    events = os.open(TRACING / "kprobe_events", os.O_WRONLY | os.O_APPEND)
    os.write(events, f"p:{GROUP}/{hook} {function(hook)}\n".encode())
    os.close(events)
