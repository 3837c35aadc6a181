#!/usr/bin/env python3
"""Boots Xen in QEMU, the stub domain's image as a PVH domain of it, and runs the suite of conformance/agents over its console.

Xen and its tools are Debian's, the control domain is Debian's kernel (as `cargo xtask vm` fetched it) with an initramfs
made here. All is emulated: QEMU has nested SVM. Without smap=off the control domain dies before its first line: Xen 4.17
stops it with a page fault (#PF[0001], in create_bounce_frame) on QEMU 7.2's emulated SMAP.
"""

import argparse
import os
import re
import subprocess
import sys
from pathlib import Path

from quixote_cli import default_binary

ROOT = Path(__file__).resolve().parent.parent
PLACE = ROOT / "target/xtask/xen"
IMAGE = ROOT / "target/agents/x86_64-unknown-none/release/stubdomain"
KERNELS = Path.home() / ".cache/quixote/kernels"
PACKAGES = ["xen-hypervisor-4.17-amd64", "xen-utils-4.17", "libxenmisc4.17", "xenstore-utils", "libxenstore4", "libxengnttab1"]
PACKAGES += ["libxenevtchn1", "libxencall1", "libxenforeignmemory1", "libxendevicemodel1", "libxentoollog1", "libxentoolcore1"]
PACKAGES += ["libxenhypfs1", "libyajl2"]
PROGRAMS = [f"usr/lib/xen-4.17/bin/{name}" for name in ("xl", "xenstored", "xenconsoled", "xen-init-dom0")]
PROGRAMS += ["usr/bin/xenstore-read", "usr/bin/xenstore-ls"]
MODULES = ["xen-evtchn", "xen-privcmd", "xenfs", "xen-gntdev", "xen-gntalloc"]
FOLDERS = ["bin", "lib", "lib64", "modules", "proc", "sys", "dev", "tmp", "run", "run/xen", "run/lock", "var", "var/run"]
FOLDERS += ["var/run/xen", "var/lib", "var/lib/xen", "var/lib/xenstored", "var/lock", "var/log", "var/log/xen", "etc", "etc/xen"]
FOLDER, PROGRAM, DEVICE = 0o040755, 0o100755, 0o020600
PROCESSOR = "max,svm=on,la57=off,smap=off,smep=off"
XEN = "console=com1 com1=115200,8n1 loglvl=all guest_loglvl=all dom0_mem=1024M,max:1024M"
BOOT_LIMIT_S = 900


class Archive:
    """A cpio archive, `newc`."""

    def __init__(self):
        self.octets, self.entries, self.folders = bytearray(), 0, set()

    def add(self, name, mode, content=b"", device=(0, 0)):
        self.entries += 1
        fields = (self.entries, mode, 0, 0, 1, 0, len(content), 0, 0, *device, len(name) + 1, 0)
        self.octets += b"070701" + b"".join(b"%08x" % field for field in fields) + name.encode() + b"\0"
        self.align()
        self.octets += content
        self.align()

    def folder(self, name):
        for parent in reversed([Path(name), *Path(name).parents][:-1]):
            if str(parent) not in self.folders:
                self.folders.add(str(parent))
                self.add(str(parent), FOLDER)

    def file(self, name, path):
        self.folder(str(Path(name).parent))
        self.add(name, PROGRAM, Path(path).read_bytes())

    def align(self):
        self.octets += bytes(-len(self.octets) % 4)


def unpack():
    """The packages, unpacked and not installed."""
    tree = PLACE / "tree"
    if not (tree / PROGRAMS[0]).exists():
        PLACE.mkdir(parents=True, exist_ok=True)
        subprocess.run(["apt-get", "download", *PACKAGES], cwd=PLACE, check=True, stdout=subprocess.DEVNULL)
        for package in PLACE.glob("*.deb"):
            subprocess.run(["dpkg-deb", "-x", package, tree], check=True)
    return tree


def libraries(program, tree):
    environment = {**os.environ, "LD_LIBRARY_PATH": str(tree / "usr/lib/x86_64-linux-gnu")}
    listed = subprocess.run(["ldd", program], env=environment, capture_output=True, text=True).stdout
    for path in re.findall(r"(/\S+\.so\S*) \(", listed):
        yield f"{'lib64' if 'ld-linux' in path else 'lib'}/{Path(path).name}", os.path.realpath(path)


def initramfs(tree, modules, own):
    files = {"init": ROOT / "conformance/xen/init.sh", "agent.cfg": ROOT / "conformance/xen/agent.cfg", "image": IMAGE}
    files["bin/busybox"] = Path("/bin/busybox")
    for program in [*(tree / name for name in PROGRAMS), *own]:
        files[f"bin/{program.name}"] = program
        files.update(libraries(program, tree))
    for name in MODULES:
        files[f"modules/{name}.ko"] = next(modules.rglob(f"{name}.ko"))
    # Where the suite was built to look for them.
    for folder in ("conformance/vectors", "conformance/agents/recordings"):
        files.update({str(path)[1:]: path for path in (ROOT / folder).iterdir() if path.is_file()})
    archive = Archive()
    for folder in FOLDERS:
        archive.folder(folder)
    archive.add("dev/console", DEVICE, device=(5, 1))
    for name, path in files.items():
        archive.file(name, path)
    archive.add("TRAILER!!!", 0)
    (PLACE / "initramfs").write_bytes(archive.octets)


def boot(kernel):
    """What the machine said."""
    said = PLACE / "console.log"
    line = ["qemu-system-x86_64", "-machine", "q35", "-accel", "tcg", "-cpu", PROCESSOR, "-m", "2048", "-display", "none"]
    line += ["-nodefaults", "-no-reboot", "-serial", f"file:{said}", "-kernel", PLACE / "xen", "-append", XEN]
    line += ["-initrd", f"{kernel} console=hvc0 rdinit=/init,{PLACE / 'initramfs'}"]
    subprocess.run(line, timeout=BOOT_LIMIT_S, check=True)
    return said.read_text(errors="replace")


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quixote", type=Path, default=default_binary())
    options = parser.parse_args()
    suite = options.quixote.parent / "agent-conformance"
    kernel = next(KERNELS.glob("linux-image-6.1.*/files/boot/vmlinuz-*"), None)
    for path, mend in [(IMAGE, "agents/build.sh stubdomain"), (suite, "cargo build -p agent-conformance"), (kernel, "cargo xtask vm --kernel 6.1 -- true")]:
        if not path or not path.exists():
            sys.exit(f"{path or 'the kernel'} is missing: {mend}")
    tree = unpack()
    (PLACE / "xen").write_bytes(subprocess.run(["zcat", tree / "boot/xen-4.17-amd64.gz"], capture_output=True, check=True).stdout)
    initramfs(tree, kernel.parent.parent / "lib/modules", [options.quixote, suite])
    said = boot(kernel)
    for line in re.findall(r"^(?:xen_version|virt_caps|agent:|serial:|suite:|xl: |control).*", said, re.MULTILINE):
        print(line.rstrip())
    if "suite: holds" not in said:
        sys.exit(f"the suite does not hold under Xen; see {PLACE / 'console.log'}")


if __name__ == "__main__":
    main()
