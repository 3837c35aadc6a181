"""What triggers need of the machine besides themselves: a module, a file system with quotas, TUN."""

import lzma
import os
import shutil
import subprocess
from pathlib import Path

# Small, without dependencies, and used by nothing else here.
MODULES = ["dummy", "ifb"]
# Loaded on demand by a trigger.
ON_DEMAND = "phonet"
DISK_SIZE = 8 << 20
# The header and the empty tree of a quota file: magic, version, then grace times, flags, blocks.
QUOTA_FILE = b"".join(
    number.to_bytes(4, "little") for number in (0xD9C01F11, 1, 604800, 604800, 0, 2, 0, 0)
).ljust(2048, b"\0")


class Bench:
    """The machine made ready for every trigger; to be used in a virtual machine only."""

    def __init__(self, folder):
        self.folder = Path(folder)
        self.folder.mkdir(parents=True)
        self.work = self.folder / "work"
        for module in ("tun", "loop", "ext4", "quota_v2"):
            run("modprobe", module)
        modules = [self.unpacked_module(name) for name in MODULES]
        self.disk = self.quota_disk()
        self.environment = {
            "PATH": "/usr/sbin:/usr/bin:/sbin:/bin",
            "TRIGGER_MODULE": str(modules[0]),
            "TRIGGER_MODULE_2": str(modules[1]),
            "TRIGGER_DISK": self.disk,
        }

    def unpacked_module(self, name):
        packed = Path(f"/lib/modules/{os.uname().release}/kernel/drivers/net/{name}.ko")
        target = self.folder / packed.name
        if packed.exists():
            shutil.copy(packed, target)
        else:
            target.write_bytes(lzma.decompress(Path(f"{packed}.xz").read_bytes()))
        return target

    def quota_disk(self):
        image, place = self.folder / "disk.img", self.folder / "place"
        with open(image, "wb") as file:
            file.truncate(DISK_SIZE)
        run("mkfs.ext4", "-q", "-F", image)
        device = run("losetup", "--find", "--show", image).strip()
        place.mkdir()
        run("mount", "-t", "ext4", device, place)
        (place / "aquota.user").write_bytes(QUOTA_FILE)
        run("umount", place)
        return device

    def fresh(self, *names):
        """Undoes what triggers may have left; an empty working folder, or one for each name in it."""
        for module in [*MODULES, ON_DEMAND]:
            if Path(f"/sys/module/{module}").exists():
                run("modprobe", "-r", module)
        # A trigger's mounts are in its own mount namespace, but for this one.
        for mount in self.work.glob("**/disk"):
            if os.path.ismount(mount):
                run("umount", mount)
        shutil.rmtree(self.work, ignore_errors=True)
        for folder in [self.work, *(self.work / name for name in names)]:
            folder.mkdir()
        return self.work


def run(*command):
    done = subprocess.run([str(word) for word in command], capture_output=True, text=True, timeout=120)
    if done.returncode != 0:
        raise RuntimeError(f"{' '.join(str(word) for word in command)}: {done.stderr.strip()}")
    return done.stdout
