#!/usr/bin/env python3
"""Runs a command in a container without privileges, whose files are those of this system; as root.

    in_container.py [--apart] ACCOUNT COMMAND...

By crun: an ordinary account, no capability, namespaces of its own for mounts, names and System V IPC, no new privileges.
Network and process ids are this system's, so that users reach a service and find its processes; with `--apart` they are
the container's own. Ends as the command does.
"""

import argparse
import grp
import json
import os
import pwd
import subprocess
import sys
import tempfile
from pathlib import Path

KINDS = ("mount", "ipc", "uts")
KINDS_APART = ("pid", "network")
CGROUPS = Path("/sys/fs/cgroup")


def configuration(user, command, kinds):
    groups = [group.gr_gid for group in grp.getgrall() if user.pw_name in group.gr_mem]
    return {
        "ociVersion": "1.0.2",
        "process": {
            "user": {"uid": user.pw_uid, "gid": user.pw_gid, "additionalGids": groups},
            "args": command,
            "cwd": os.getcwd(),
            "env": [f"{name}={value}" for name, value in os.environ.items()],
            "capabilities": {},
            "noNewPrivileges": True,
        },
        "root": {"path": "root"},
        "mounts": [{"destination": "/proc", "type": "proc", "source": "proc"}],
        "linux": {"namespaces": [{"type": kind} for kind in kinds]},
    }


def run(options):
    """In a mount namespace of our own."""
    bundle = options.bundle
    if not (CGROUPS / "cgroup.procs").exists():
        subprocess.run(["mount", "-t", "cgroup2", "cgroup2", CGROUPS], check=True)
    kinds = [*KINDS, *(KINDS_APART if options.apart else ())]
    root = bundle / "root"
    root.mkdir()
    subprocess.run(["mount", "--rbind", "/", root], check=True)
    subprocess.run(["mount", "--make-rslave", root], check=True)
    (bundle / "config.json").write_text(json.dumps(configuration(options.account, options.command, kinds)))
    crun = ["/usr/bin/crun", "--cgroup-manager=disabled", "run", "--bundle", bundle, bundle.name]
    return subprocess.run(crun).returncode


def account(name):
    try:
        return pwd.getpwnam(name)
    except KeyError:
        raise argparse.ArgumentTypeError(f"there is no account {name}") from None


def parse_options():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--apart", action="store_true", help="with a network and process ids of its own")
    parser.add_argument("--bundle", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("account", type=account)
    parser.add_argument("command", nargs=argparse.REMAINDER)
    return parser.parse_args()


def main():
    options = parse_options()
    if options.bundle:
        sys.exit(run(options))
    bundle = Path(tempfile.mkdtemp(prefix="quixote-container."))
    bundle.chmod(0o755)
    inside = ["unshare", "--mount", sys.executable, __file__, "--bundle", str(bundle), *sys.argv[1:]]
    status = subprocess.run(inside).returncode
    # Its mounts went with their namespace; were one still there, all of this system would lie below.
    (bundle / "config.json").unlink(missing_ok=True)
    for folder in (bundle / "root", bundle):
        folder.rmdir()
    sys.exit(status)


if __name__ == "__main__":
    main()
