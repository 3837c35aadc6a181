#!/usr/bin/python3
"""Makes a table of file system calls and prints what each returns, then what became of the tree.

Run bare and under the source: the two outputs must be equal, byte for byte.
Arguments: an empty directory of one's own, in another of one's own; optionally a sticky directory with files of others.

It runs as root too, and a source under test may be wrong: no path here may lead out of these directories.
"""
import ctypes
import errno
import os
import stat
import struct
import sys

libc = ctypes.CDLL(None, use_errno=True)
libc.syscall.restype = ctypes.c_long
CWD, NOFOLLOW, REMOVEDIR, FOLLOW, EMPTY = -100, 0x100, 0x200, 0x400, 0x1000
NR = dict(
    open=2, link=86, symlink=88, unlink=87, rename=82, mkdir=83, rmdir=84, mknod=133, chmod=90, fchmod=91,
    chown=92, fchown=93, lchown=94, truncate=76, ftruncate=77, utime=132, utimes=235, futimesat=261,
    mkdirat=258, mknodat=259, fchownat=260, unlinkat=263, renameat=264, linkat=265, symlinkat=266,
    fchmodat=268, utimensat=280, renameat2=316, fchmodat2=452, setxattr=188, lsetxattr=189,
    fsetxattr=190, removexattr=197, lremovexattr=198, fremovexattr=199, setxattrat=463,
    removexattrat=466, mount=165, umount2=166, chroot=161, pivot_root=155, move_mount=429)


def raw(argument):
    if isinstance(argument, str):
        argument = argument.encode()
    if isinstance(argument, bytes):
        return ctypes.c_char_p(argument)
    return ctypes.c_long(argument) if argument is not None else ctypes.c_void_p(None)


def is_safe(argument):
    """As root the calls would succeed: nothing outside the two directories may be named then."""
    if not isinstance(argument, (str, bytes)) or os.geteuid() != 0:
        return True
    text = os.fsdecode(argument)
    if text.startswith("/"):
        return text.startswith((HERE + "/", FOREIGN + "/", "/proc/self/fd/", "/dev/shm/x"))
    return text != ".."


def call(name, *arguments):
    if not all(map(is_safe, arguments)):
        return
    ctypes.set_errno(0)
    result = libc.syscall(ctypes.c_long(NR[name]), *[raw(a) for a in arguments])
    said = errno.errorcode.get(ctypes.get_errno(), "?") if result == -1 else result
    shown = ["ATTRIBUTE" if a is ATTRIBUTE else a if not isinstance(a, (str, bytes)) or len(a) < 60 else f"{a[:8]}..." for a in arguments]
    print(name, *[repr(a).replace(HERE, "HERE").replace(FOREIGN, "FOREIGN") for a in shown], "->", said)


def clear(directory):
    with os.scandir(directory) as entries:
        for entry in list(entries):
            if entry.is_dir(follow_symlinks=False):
                os.chmod(entry.path, 0o700)
                clear(entry.path)
                os.rmdir(entry.path)
            else:
                os.unlink(entry.path)


def fresh():
    """The same small tree for every group."""
    os.umask(0o022)
    if os.stat(HERE).st_uid == os.getuid():
        os.chmod(HERE, 0o777)
    clear(HERE)
    os.mkdir("d"); os.mkdir("d/sub"); os.mkdir("full"); os.mkdir("noexec"); os.mkdir("nowrite")
    for name in ("f", "g", "d/f", "full/x", "noexec/x", "nowrite/x"):
        with open(name, "w") as file:
            file.write(name)
    os.symlink("f", "to-f"); os.symlink("d", "to-d"); os.symlink("nowhere", "dangling"); os.symlink("loop", "loop")
    os.link("g", "g2"); os.mkfifo("p")
    os.chmod("noexec", 0o600); os.chmod("nowrite", 0o500)


def paths(call_one, up=True):
    long_name, long_path = "n" * 256, "d/" * 2100
    for path in ["f", "./f", "f/", "d", "d/", "d/.", "d/..", ".", "..", "", "new", "new/", "new/x",
                 "f/x", "to-f", "to-f/", "to-d", "to-d/", "to-d/f", "dangling", "dangling/", "loop", "loop/x",
                 "noexec/x", "noexec/new", "nowrite/x", "nowrite/new", "full", "p", "g", "d/sub/../f", "x/../f",
                 long_name, long_path, "n" * 255, "d/" + long_name, HERE + "/f", HERE + "/new", HERE + "//d//",
                 HERE + "/to-d/f", HERE + "/f/"]:
        fresh()
        if up or path != "..":
            call_one(path)
    call_one(None)


def value_of(path, name):
    try:
        return os.getxattr(path, name)
    except OSError as error:
        return error.errno


def tree():
    for directory, names, files in sorted(os.walk(".")):
        for name in sorted(names + files):
            path = os.path.join(directory, name)
            try:
                found = os.lstat(path)
            except PermissionError:
                print(" ", path, "is not ours to see")
                continue
            old = found.st_mtime_ns if found.st_mtime_ns < 10**18 else "now"
            link = os.readlink(path) if stat.S_ISLNK(found.st_mode) else ""
            attributes = [(n, value_of(path, n)) for n in os.listxattr(path)] if not link else []
            size = 0 if stat.S_ISDIR(found.st_mode) else found.st_size
            print(" ", path[:40], oct(found.st_mode), found.st_nlink, found.st_uid, found.st_gid, size, old, link, attributes)


def making():
    for umask in (0o022, 0o077, 0):
        fresh(); os.umask(umask)
        call("mkdir", "m", 0o7777); call("mknod", "r", 0o104755, 0); call("mknod", "r2", 0o666, 7)
        call("mknod", "fifo", 0o10666, 5); call("mknod", "sock", 0o140777, 0); call("mknod", "c", 0o20666, 0x103)
        call("mknod", "white", 0o20600, 0); call("mknod", "b", 0o60600, 0x103); call("mknod", "dir", 0o40755, 0)
        call("mknod", "bad", 0o170000, 0); call("mknod", "bad", 0o120777, 0); call("symlink", "any where", "s")
        call("symlink", "", "s2"); call("symlink", "t", ""); call("symlink", "t" * 4095, "s3"); call("symlink", "t" * 4096, "s4")
        tree()
    paths(lambda path: call("mkdirat", CWD, path, 0o755))
    paths(lambda path: call("mknodat", CWD, path, 0o100644, 0))
    paths(lambda path: call("mknodat", CWD, path, 0o10644, 0))
    paths(lambda path: call("symlinkat", "target", CWD, path))
    paths(lambda path: call("link", "f", path))
    paths(lambda path: call("link", path, "new-link"))
    paths(lambda path: call("linkat", CWD, path, CWD, "new-link", FOLLOW))
    fresh()
    f, d, o = os.open("f", os.O_RDONLY), os.open("d", os.O_RDONLY), os.open("to-f", os.O_PATH | os.O_NOFOLLOW)
    call("linkat", f, "", CWD, "by-empty", EMPTY); call("linkat", f, "", CWD, "x", 0); call("linkat", CWD, "f", d, "in-d", 0)
    call("linkat", d, "f", CWD, "from-d", 0); call("linkat", CWD, "f", CWD, "x", 1); call("linkat", f, "f", CWD, "x", 0)
    call("linkat", 99, "f", CWD, "x", 0); call("linkat", CWD, f"/proc/self/fd/{o}", CWD, "link-to-link", FOLLOW)
    unnamed = os.open(".", os.O_TMPFILE | os.O_RDWR, 0o640)
    call("linkat", CWD, f"/proc/self/fd/{unnamed}", CWD, "named", FOLLOW)
    call("link", "to-f", "l1"); call("linkat", CWD, "to-f", CWD, "l2", FOLLOW); call("link", "d", "l3"); call("link", "p", "l4")
    call("mkdirat", d, "in", 0o700); call("mkdirat", f, "in", 0o700); call("mkdirat", 99, "in", 0o700); call("mkdirat", 99, HERE + "/abs", 0o700)
    tree(); [os.close(fd) for fd in (f, d, o, unnamed)]
    fresh(); os.mkdir("acl")
    acl = struct.pack("<I", 2) + b"".join(struct.pack("<HHI", *e) for e in [(1, 7, 2**32 - 1), (4, 5, 2**32 - 1), (32, 2, 2**32 - 1)])
    try:
        os.setxattr("acl", "system.posix_acl_default", acl); print("acl set")
    except OSError as error:
        print("acl", error.errno)
    os.umask(0o077); call("mkdir", "acl/d", 0o777); call("mknod", "acl/f", 0o100666, 0)
    call("open", "acl/o", os.O_CREAT | os.O_WRONLY, 0o666); tree()
    os.mkdir("gone"); gone = os.open("gone", os.O_RDONLY); os.rmdir("gone")
    call("mkdirat", gone, "x", 0o700); call("mknodat", gone, "x", 0o100600, 0); call("unlinkat", gone, "x", 0); os.close(gone)


def removing():
    paths(lambda path: call("unlink", path))
    paths(lambda path: call("rmdir", path))
    paths(lambda path: call("unlinkat", CWD, path, REMOVEDIR))
    fresh(); d = os.open("d", os.O_PATH)
    call("unlinkat", d, "f", 0); call("unlinkat", d, "sub", 0); call("unlinkat", d, "sub", REMOVEDIR); call("unlinkat", d, "sub", 1)
    call("unlinkat", 99, "f", 0); tree(); os.close(d)


def renaming():
    targets = ["f", "g", "g2", "d", "d/", "full", "new", "new/", "d/new", "d/sub/in", "to-f", "to-d/", "noexec/x", "nowrite/x", "nowrite/new",
               ".", "..", "", "/dev/shm/no-such-directory-of-parity/x", "dangling", "f/x", "n" * 256]
    for old in ["f", "g", "d", "d/", "d/sub", "to-f", "to-d/", "missing", "missing/", ".", "..", "", "nowrite/x", "nowrite", "f/", "full", "d/sub/.."]:
        for new in targets:
            fresh(); call("rename", old, new)
            for flags in (1, 2, 4):
                fresh(); call("renameat2", CWD, old, CWD, new, flags)
    for flags in (3, 6, 8, 2**31):
        fresh(); call("renameat2", CWD, "f", CWD, "g", flags)
    fresh(); d = os.open("d", os.O_PATH)
    call("renameat", d, "f", CWD, "moved"); call("renameat2", CWD, "full", d, "sub", 2); call("renameat", CWD, "g", 99, "x"); tree(); os.close(d)


def attributes():
    me = os.getuid()
    for umask in (0,):
        paths(lambda path: call("chmod", path, 0o6751), up=False)
        paths(lambda path: call("fchmodat2", CWD, path, 0o640, NOFOLLOW), up=False)
        paths(lambda path: call("fchmodat2", CWD, path, 0o640, EMPTY), up=False)
        paths(lambda path: call("chown", path, me, -1), up=False)
        paths(lambda path: call("lchown", path, 12345, 12345), up=False)
        paths(lambda path: call("truncate", path, 3), up=False)
        paths(lambda path: call("utimensat", CWD, path, struct.pack("<4q", 1000, 5, 2000, 6), NOFOLLOW), up=False)
        paths(lambda path: call("utimes", path, None), up=False)
        paths(lambda path: call("setxattr", path, "user.a", "value", 5, 0), up=False)
        paths(lambda path: call("lsetxattr", path, "user.a", "value", 5, 0), up=False)
        paths(lambda path: call("removexattr", path, "user.a"), up=False)
    fresh()
    f, r, o, d = os.open("f", os.O_RDWR), os.open("g", os.O_RDONLY), os.open("g", os.O_PATH), os.open("d", os.O_PATH)
    pipe, _ = os.pipe()
    for fd in (f, r, o, d, 99, -1, pipe):
        call("fchmod", fd, 0o4700); call("fchown", fd, me, -1); call("fchown", fd, -1, -1); call("ftruncate", fd, 2); call("ftruncate", fd, -2)
        call("utimensat", fd, None, struct.pack("<4q", 1, 0, 2, 0), 0); call("futimesat", fd, None, struct.pack("<4q", 1, 0, 2, 0))
        call("fsetxattr", fd, "user.b", "v", 1, 0); call("fsetxattr", fd, "user.b", "v", 1, 1); call("fremovexattr", fd, "user.b"); call("fremovexattr", fd, "user.b")
        call("fchmodat2", fd, "", 0o700, EMPTY); call("fchownat", fd, "", me, -1, EMPTY); call("utimensat", fd, "", struct.pack("<4q", 3, 0, 4, 0), EMPTY)
        call("setxattrat", fd, "", EMPTY, "user.c", ATTRIBUTE, 16); call("removexattrat", fd, "", EMPTY, "user.c")
        call("fchmodat", fd, "f", 0o600); call("fchownat", fd, "f", -1, os.getgid(), 0)
    call("utime", "f", struct.pack("<2q", 10, 20)); tree()
    call("truncate", "f", -1); call("truncate", "f", 2**62); call("truncate", "f", 100); call("chmod", "f", 0o177777)
    omit, now = 2**30 - 2, 2**30 - 1
    for times in ([1, omit, 2, omit], [1, now, 2, now], [1, now, 2, omit], [5, 0, 2, omit], [1, 10**9, 2, 0], [1, -1, 2, 0]):
        call("utimensat", CWD, "f", struct.pack("<4q", *times), 0); call("utimensat", CWD, "missing", struct.pack("<4q", *times), 0)
    call("utimensat", CWD, "f", None, 0); call("utimensat", CWD, None, None, 0); call("utimensat", CWD, "f", 8, 0); call("utimensat", CWD, "f", None, 1)
    call("utimes", "f", struct.pack("<4q", 1, 10**6, 2, 0)); call("utimes", "f", struct.pack("<4q", 1, 999999, 2, 0)); call("utime", "f", None); call("utime", "f", 8)
    call("chown", "f", -1, os.getgid()); call("chown", "f", 12345, -1); call("chown", "g", -1, 12345); call("fchownat", CWD, "f", -1, -1, 1)
    for name in ("user.x", "user.", "user", "", "n" * 255, "n" * 256, "trusted.x", "security.x", "security.capability", "system.x", "other.x", "system.posix_acl_access"):
        for value, size, flags in ((b"v", 1, 0), (b"", 0, 0), (b"v", 1, 1), (b"v", 1, 2), (b"v", 1, 4), (b"v", 65537, 0), (8, 5, 0)):
            call("setxattr", "f", name, value, size, flags)
        call("removexattr", "f", name); call("lsetxattr", "to-f", name, b"v", 1, 0); call("lremovexattr", "to-f", name); call("setxattr", "p", name, b"v", 1, 0)
    call("setxattrat", CWD, "f", 0, "user.c", ATTRIBUTE, 16); call("setxattrat", CWD, "f", 0, "user.c", ATTRIBUTE, 8); call("setxattrat", CWD, "f", 1, "user.c", ATTRIBUTE, 16)
    call("removexattrat", CWD, "f", NOFOLLOW, "user.c"); tree(); [os.close(fd) for fd in (f, r, o, d)]


def foreign():
    if not FOREIGN_GIVEN:
        return
    F = FOREIGN
    for name in ("theirs", "writable", "their-dir", "set-id"):
        path = f"{F}/{name}"; fresh()
        call("unlink", path); call("rmdir", path); call("rename", path, "here"); call("rename", path, F + "/other"); call("rename", "f", path); call("rename", "d", path)
        call("renameat2", CWD, "f", CWD, path, 2); call("renameat2", CWD, path, CWD, F + "/x", 1); call("link", path, F + "/mine-" + name); call("unlink", F + "/mine-" + name); call("chmod", path, 0o777); call("chown", path, os.getuid(), -1)
        call("chown", path, -1, -1); call("truncate", path, 0); call("utimes", path, None); call("utimes", path, struct.pack("<4q", 1, 0, 2, 0))
        call("setxattr", path, "user.a", "v", 1, 0); call("removexattr", path, "user.a"); call("setxattr", path, "system.posix_acl_access", b"\2\0\0\0", 4, 0)
    call("mkdir", F + "/mine", 0o755); call("rename", F + "/mine", F + "/mine2"); call("rmdir", F + "/mine2"); call("setxattr", F, "user.a", "v", 1, 0)


def mounts():
    if os.getuid() != 0:
        fresh()
        call("mount", "none", HERE + "/d", "tmpfs", 0, None); call("mount", "none", "missing", "tmpfs", 0, None); call("umount2", HERE, 0); call("umount2", "missing", 0)
        call("chroot", HERE); call("chroot", "missing"); call("chroot", "f"); call("chroot", "noexec/x"); call("umount2", HERE, 99); call("pivot_root", HERE, HERE); call("mount", None, None, None, 0, None)


HERE = os.path.realpath(sys.argv[1])
FOREIGN_GIVEN = len(sys.argv) > 2
FOREIGN = sys.argv[2] if FOREIGN_GIVEN else "/no-foreign-files"
VALUE = ctypes.create_string_buffer(b"value")
ATTRIBUTE = struct.pack("<QII", ctypes.addressof(VALUE), 5, 0)
assert HERE.count("/") >= 3 and not os.listdir(HERE), "a directory of its own"
os.chdir(HERE)
for group in (making, removing, renaming, attributes, foreign, mounts):
    print("#", group.__name__)
    group()
