"""Programs in memory, in a guest: the kernel keeps no digest of a file on the guest's root, and emulated hashing is slow."""

import os
import re
import shutil
import subprocess


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
    """Where a program of the compiler, or any other, is."""
    asked = subprocess.run(["gcc", f"-print-prog-name={name}"], stdout=subprocess.PIPE, text=True, check=True)
    return shutil.which(asked.stdout.strip())
