"""Programs in memory, in a guest: the kernel keeps no digest of a file on the guest's root, and emulated hashing is slow.

    /usr/bin/python3 conformance/kernel_matrix/in_memory.py FOLDER PROGRAM|FILE...
"""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

# Where workloads find programs.
PATH = "/usr/sbin:/usr/bin:/sbin:/bin"


def keep(programs, folder):
    """Puts copies, which lie in this folder of a tmpfs, in the place of programs and of their libraries."""
    listed = subprocess.run(["ldd", *programs], stdout=subprocess.PIPE, text=True, check=True).stdout
    libraries = re.findall(r"(/\S+) \(0x", listed)
    for file in sorted({os.path.realpath(file) for file in [*programs, *libraries]}):
        copy = folder / file.replace("/", "_")
        # One that another workload wanted as well lies there already.
        if not copy.exists():
            shutil.copy(file, copy)
            subprocess.run(["mount", "--bind", copy, file], check=True)


def found(name):
    """Where a program is, a part of the compiler, or a file by its path."""
    asked = name if "/" in name else shutil.which(name, path=PATH)
    if not asked:
        line = ["gcc", f"-print-prog-name={name}"]
        asked = shutil.which(subprocess.run(line, stdout=subprocess.PIPE, text=True, check=True).stdout.strip())
    if not asked:
        sys.exit(f"{name}: no such program here")
    return asked


if __name__ == "__main__":
    kept = Path(sys.argv[1])
    kept.mkdir(exist_ok=True)
    keep([found(name) for name in sys.argv[2:]], kept)
