"""Executes, or maps as executable, a file in every kind of place, twice; between the two the driver may change it.

For each place one line: its name and how both times went (`runs` or `denied`).
"""

import ctypes
import mmap
import os
import sys

LIBC = ctypes.CDLL(None, use_errno=True)
NEW_MOUNTS = 0x20000
PRIVATE_AND_BELOW = 0x44000
DENIED = 77


def checked(result):
    if result != 0:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))


def apart(action):
    """In a process of its own, since a denial marks it: whether it was let through."""
    child = os.fork()
    if child == 0:
        try:
            action()
        except PermissionError:
            os._exit(DENIED)
        os._exit(1)
    status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    if status not in (0, DENIED):
        raise SystemExit(f"ended with {status}")
    return status == 0


def execute(path):
    return apart(lambda: os.execve(path, ["true"], {}))


def map_code(opened):
    def action():
        with opened() as file:
            mmap.mmap(file.fileno(), 4096, mmap.MAP_PRIVATE, mmap.PROT_READ | mmap.PROT_EXEC)
        os._exit(0)

    return apart(action)


def map_opened_anew(path):
    return map_code(lambda: open(path, "rb"))


HELD = {}


def map_held(path):
    """By a descriptor that was opened before the first use."""
    if path not in HELD:
        HELD[path] = open(path, "rb")
    return map_code(lambda: HELD[path])


def content(path):
    with open(path, "rb") as file:
        return file.read()


def in_chroot(folder):
    def action():
        os.chroot(folder)
        os.execve("/tool", ["true"], {})

    return apart(action)


def in_mount_namespace(folder):
    def action():
        octets = content(folder + "/tool")
        checked(LIBC.unshare(NEW_MOUNTS))
        checked(LIBC.mount(b"none", b"/", None, PRIVATE_AND_BELOW, None))
        checked(LIBC.mount(b"own", folder.encode(), b"tmpfs", 0, None))
        with open(folder + "/tool", "wb", opener=lambda path, flags: os.open(path, flags, 0o755)) as file:
            file.write(octets)
        os.execve(folder + "/tool", ["true"], {})

    return apart(action)


def as_memfd(folder):
    def action():
        file = os.memfd_create("tool")
        os.write(file, content(folder + "/tool"))
        os.execve(file, ["true"], {})

    return apart(action)


def without_a_name(folder):
    def action():
        writer = os.open(folder, os.O_TMPFILE | os.O_RDWR, 0o755)
        os.write(writer, content(folder + "/tool"))
        reader = os.open(f"/proc/self/fd/{writer}", os.O_RDONLY)
        os.close(writer)
        os.execve(reader, ["true"], {})

    return apart(action)


def deleted(folder):
    def action():
        copy = folder + "/copy"
        writer = os.open(copy, os.O_CREAT | os.O_WRONLY, 0o755)
        os.write(writer, content(folder + "/tool"))
        os.close(writer)
        reader = os.open(copy, os.O_RDONLY)
        os.unlink(copy)
        os.execve(reader, ["true"], {})

    return apart(action)


SPECIAL = {
    "chroot": in_chroot,
    "namespace": in_mount_namespace,
    "memfd": as_memfd,
    "unnamed": without_a_name,
    "deleted": deleted,
}


def once(name, folder):
    kind = name.split("-")[0]
    if kind in SPECIAL:
        return SPECIAL[kind](folder)
    return {"map": map_opened_anew, "held": map_held}.get(kind, execute)(folder + "/tool")


def main():
    root = sys.argv[1]
    words = {True: "runs", False: "denied"}
    for name in content(root + "/places").decode().split():
        folder = f"{root}/{name}/place"
        first = once(name, folder)
        # Opening it waits for the driver.
        content(root + "/go")
        print(name, words[first], words[once(name, folder)], flush=True)


main()
