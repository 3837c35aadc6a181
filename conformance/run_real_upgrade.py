#!/usr/bin/env python3
"""A model that lives through a security update of Debian's own, as apt installs it.

Everything happens in a root of its own: an overlay over this system, in a mount namespace of its own, so that apt and dpkg
are the real ones and nothing of this system is changed. There `quixote references capture --install-hook` has apt keep
evidence. A package is installed in the version of the stable release, a model of its program is learned with
`--references auto` and signed; then apt installs the version of the security archive, and the model is enforced with
`--references auto`: the same state, nothing denied. One changed octet is denied, and so is the older version put back.

The package is the first of CANDIDATES of which apt offers two versions.
"""

import argparse
import json
import os
import subprocess
import sys
import time
from pathlib import Path

from quixote_cli import default_binary
from run_upgrade import Failed
from run_upgrade import expect
from run_upgrade import run

# Packages that make the program, and the program with its arguments, in the order of preference: few and small
# packages without a service of their own.
DOCUMENT = "/tmp/document.xml"
CANDIDATES = [
    (["libexpat1", "expat"], ["/usr/bin/xmlwf", DOCUMENT], "usr/lib/x86_64-linux-gnu/libexpat.so.1"),
    (["libxml2", "libxml2-utils"], ["/usr/bin/xmllint", "--noout", DOCUMENT], "usr/lib/x86_64-linux-gnu/libxml2.so.2"),
    (["libjq1", "jq"], ["/usr/bin/jq", "-n", "1"], "usr/lib/x86_64-linux-gnu/libjq.so.1"),
    (["libarchive13", "libarchive-tools"], ["/usr/bin/bsdtar", "-cf", "/dev/null", DOCUMENT],
     "usr/lib/x86_64-linux-gnu/libarchive.so.13"),
]
APT = ["-q", "-y", "-o", "APT::Sandbox::User=root", "-o", "DPkg::Lock::Timeout=300", "-o", "Dpkg::Use-Pty=0"]
APT += ["-o", "Acquire::Retries=5"]
KEYRING = "/usr/share/keyrings/debian-archive-keyring.gpg"


class System:
    """An overlay over this system, and what is run in it."""

    def __init__(self, binary):
        self.home = Path("/mnt/quixote-real-upgrade")
        run("mount", "-t", "tmpfs", "tmpfs", "/mnt")
        self.home.mkdir()
        self.root = self.home / "root"
        for name in ["upper", "work", "root"]:
            (self.home / name).mkdir()
        layers = f"lowerdir=/,upperdir={self.home}/upper,workdir={self.home}/work"
        run("mount", "-t", "overlay", "overlay", "-o", layers, self.root)
        for name in ["proc", "sys", "dev"]:
            run("mount", "--rbind", f"/{name}", self.root / name)
        run("mount", "-t", "tmpfs", "tmpfs", self.root / "tmp")
        program = self.root / "usr/bin/quixote"
        for name in ["quixote", "quixote-tma"]:
            if (binary.parent / name).exists():
                (self.root / "usr/bin" / name).write_bytes((binary.parent / name).read_bytes())
                (self.root / "usr/bin" / name).chmod(0o755)
        self.program = f"/{program.relative_to(self.root)}"
        (self.root / DOCUMENT[1:]).write_text("<a><b>text</b></a>\n")
        # This system's own evidence and hook, if it has any, are no part of the test.
        run("rm", "-rf", self.root / "var/lib/quixote", self.root / "etc/apt/apt.conf.d/90quixote-references")
        # Nothing is started or stopped by a package's scripts.
        policy = self.root / "usr/sbin/policy-rc.d"
        policy.write_text("#!/bin/sh\nexit 101\n")
        policy.chmod(0o755)

    def run(self, *command, check=True):
        return run("chroot", self.root, *command, check=check, env={**os.environ, "LC_ALL": "C", "DEBIAN_FRONTEND": "noninteractive"})

    def quixote(self, *arguments, check=True):
        return self.run(self.program, *arguments, check=check)

    def offered(self, package):
        """The versions that Debian's archives offer, oldest first."""
        rows = [row.split("|") for row in self.run("apt-cache", "madison", package, check=False).stdout.splitlines()]
        versions = {row[1].strip() for row in rows if "/debian" in row[2] and "Packages" in row[2]}
        ordered = []
        for version in versions:
            place = sum(run("dpkg", "--compare-versions", other, "lt", version, check=False).returncode == 0 for other in versions)
            ordered.append((place, version))
        return [version for _, version in sorted(ordered)]

    def install(self, packages, version):
        pinned = [f"{package}={version}" for package in packages]
        return self.run("apt-get", "install", *APT, "--no-install-recommends", "--allow-downgrades", *pinned)

    def enforce(self, model, command):
        summary = self.root / "tmp/summary.json"
        summary.unlink(missing_ok=True)
        done = self.quixote("enforce", "--on-violation", "deny", "--references", "auto", "--summary", "/tmp/summary.json",
                            model, "--", *command, check=False)
        expect(summary.exists(), "enforce ran", done)
        return json.loads(summary.read_text()), done


def candidate(system):
    for packages, command, library in CANDIDATES:
        versions = [system.offered(package) for package in packages]
        both = [version for version in versions[0] if all(version in others for others in versions)]
        if len(both) > 1:
            return packages, command, library, both[0], both[-1]
    return None


def test(binary):
    system = System(binary)
    chosen = candidate(system)
    if chosen is None:
        # The lists of this system may be old, or thrown away to save room.
        system.run("apt-get", "update", *APT)
        chosen = candidate(system)
    expect(chosen is not None, "apt offers two versions of a package")
    packages, command, library, older, newer = chosen
    print(f"    {' and '.join(packages)}, {older} and then {newer}", flush=True)
    system.quixote("references", "capture", "--install-hook")
    done = system.install(packages, older)
    kept = system.root / "var/lib/quixote/references/packages"
    expect(len(list(kept.glob(f"*_{older.replace(':', '%3a')}_*"))) == len(packages), "the hook kept what vouches for them", done)

    learned = system.quixote("learn", "-q", "-o", "/tmp/real.model", "--runs", "2", "--accept-rules", "all", "--references", "auto",
                             *[word for key in archives(system) for word in ("--signer", key)],
                             "--summary", "/tmp/learned.json", "--", *command)
    learned = json.loads((system.root / "tmp/learned.json").read_text())["learned"]
    rules = [rule["rule"] for rule in learned["rules"]]
    for package in packages:
        expect(any(rule.startswith(f"reference deb {package} amd64 {older} ") for rule in rules), f"a rule names {package}")
    system.quixote("model", "keygen", "-o", "/tmp/real.key")
    system.quixote("model", "sign", "--key", "/tmp/real.key", "/tmp/real.model")
    summary, done = system.enforce("/tmp/real.model", command)
    expect(summary["counts"]["denied"] == 0 and summary["state"] == learned["state"], f"{older}: enforced to the learned state", done)

    system.install(packages, newer)
    changed = system.run("dpkg-query", "-W", "-f", "${Version}\n", *packages).stdout.split()
    expect(changed == [newer] * len(packages), "apt installed the security update")
    summary, done = system.enforce("/tmp/real.model", command)
    expect(summary["counts"]["denied"] == 0 and done.returncode == 0, f"{newer}: nothing is denied", done)
    expect(summary["state"] == learned["state"], f"{newer}: the state is the same", done)

    path = (system.root / library).resolve()
    octets = path.read_bytes()
    at = octets.index(b"lib") if b"lib" in octets else len(octets) // 2
    path.write_bytes(octets[:at] + bytes([octets[at] ^ 1]) + octets[at + 1:])
    summary, done = system.enforce("/tmp/real.model", command)
    expect(summary["counts"]["denied"] > 0 and "the file was changed" in done.stderr, "one changed octet is denied and named", done)
    path.write_bytes(octets)
    rejected_downgrade(system, packages, command, older, newer)


def rejected_downgrade(system, packages, command, older, newer):
    """A model that was learned on the update does not take the older version back."""
    system.quixote("learn", "-q", "-o", "/tmp/newer.model", "--runs", "2", "--accept-rules", "all", "--references", "auto",
                   *[word for key in archives(system) for word in ("--signer", key)], "--", *command)
    system.quixote("model", "sign", "--key", "/tmp/real.key", "/tmp/newer.model")
    system.install(packages, older)
    summary, done = system.enforce("/tmp/newer.model", command)
    named = f"older than {newer}, the lowest version that the model accepts" in done.stderr
    expect(summary["counts"]["denied"] > 0 and named, "the older version put back is denied and named", done)


def archives(system):
    """The certificates of Debian's archives: the main one and security's are signed by different keys."""
    listing = system.run("gpg", "--batch", "--show-keys", "--with-colons", KEYRING).stdout.splitlines()
    primary = False
    for row in listing:
        fields = row.split(":")
        if fields[0] == "pub":
            primary = True
        elif fields[0] == "fpr" and primary:
            primary = False
            yield fields[9].lower()


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--inside", action="store_true", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if os.geteuid() != 0:
        print("FAILED: apt and dpkg need root, if only to change an overlay: run it as root")
        return 1
    if not arguments.inside:
        return subprocess.run(["unshare", "--mount", sys.executable, __file__, "--inside"]).returncode
    started = time.monotonic()
    try:
        test(default_binary().resolve())
    except (Failed, subprocess.TimeoutExpired) as failure:
        print(f"FAILED: {failure}")
        return 1
    print(f"real upgrade: all held, {time.monotonic() - started:.1f} s")
    return 0


if __name__ == "__main__":
    sys.exit(main())
