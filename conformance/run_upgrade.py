#!/usr/bin/env python3
"""A model that lives through signed upgrades, and through nothing else.

Builds packages of a program and its library in several versions, a repository for each signed by a test key, and installs
them with dpkg into a root directory of its own, which is bound to the path that the packages name in a mount namespace of
its own: the host's packages, keys and lists are neither read nor changed. The model is learned on the older version with
`--references` and signed; then, each time after a fresh scan of what is installed:

  the signed upgrade runs to the same state without a denial; a flipped octet, an unsigned build and another
  signer's build of the same version, a downgrade and an expired key are denied, and the denial says which it is.

The same upgrade under a model of plain digests is denied first, and goes through after `model rebase`.

`--tma WHERE` has all of it decided by an agent outside the orchestrator, which is told what the packages vouch for.

Last, the isolated parser is itself held to a model, which `references parser-model` makes and signs: whatever `references parse`
is fed, hostile too, it has the same state and nothing is denied; with another build in its place it is denied.
"""

import argparse
import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
import time
from pathlib import Path

from quixote_cli import default_binary
from quixote_cli import locality

PLACE = "/opt/quixote-upgrade"
PROGRAM = r"""
#include <stdio.h>
extern const char *greeting(void);
int main(int argc, char **argv) {
    FILE *file = fopen(argv[1], "r");
    char line[64] = "";
    if (!file || !fgets(line, sizeof line, file)) return 2;
    printf("%s %s (" VERSION ")\n", greeting(), line);
    return 0;
}
"""
LIBRARY = 'const char *greeting(void) { return "greetings from " VERSION; }'
WORKLOAD = f"#!/bin/sh\n{PLACE}/bin/greet {PLACE}/name\n"
IN_2020, IN_2021 = "20200101T000000", "20200601T000000"


class Failed(Exception):
    """What the test asserts does not hold."""


def run(*command, check=True, **options):
    command = [str(word) for word in command]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300, **options)
    if check and done.returncode != 0:
        raise Failed(f"{' '.join(command)}: exit {done.returncode}: {done.stdout[-800:]}{done.stderr.strip()[-800:]}")
    return done


class Signer:
    """A repository's key. One with `past` was made and used in 2020, and expired since."""

    def __init__(self, home, name, past=False):
        self.home, self.past = home / f"gpg-{name}", past
        self.home.mkdir(mode=0o700)
        self.key = home / f"{name}.asc"
        self.gpg("--quick-generate-key", f"{name} <{name}@example.invalid>", "ed25519", "sign", "1y" if past else "never")
        self.key.write_text(self.gpg("--armor", "--export").stdout)
        listing = self.gpg("--with-colons", "--list-keys").stdout.splitlines()
        self.fingerprint = next(row.split(":")[9] for row in listing if row.startswith("fpr")).lower()

    def gpg(self, *arguments):
        faked = ["--faked-system-time", IN_2020 + "!"] if self.past else []
        return run("gpg", "--homedir", self.home, "--batch", "--quiet", "--pinentry-mode", "loopback",
                   "--passphrase", "", *faked, *arguments)

    def clear_sign(self, text, path):
        path.unlink(missing_ok=True)
        unsigned = path.with_suffix(".text")
        unsigned.write_text(text)
        self.gpg("--digest-algo", "SHA256", "--clearsign", "--output", path, unsigned)
        unsigned.unlink()

    def stop(self):
        run("gpgconf", "--homedir", self.home, "--kill", "all", check=False)


class Machine:
    """A private root with dpkg's database and apt's lists, and what is bound to where the packages say."""

    def __init__(self, home, binary, keys, tma):
        self.home, self.binary, self.keys, self.tma = home, binary, keys, tma
        self.root = home / "root"
        self.debs = home / "debs"
        for folder in ["var/lib/dpkg/info", "var/lib/dpkg/updates", "var/lib/apt/lists", PLACE[1:], "tmp"]:
            (self.root / folder).mkdir(parents=True)
        (self.root / "var/lib/dpkg/status").touch()
        self.debs.mkdir()
        run("mount", "-t", "tmpfs", "tmpfs", "/opt")
        Path(PLACE).mkdir(parents=True)
        run("mount", "--bind", self.root / PLACE[1:], PLACE)
        self.references = home / "references.jsonl"
        self.environment = {
            **os.environ,
            "QUIXOTE_STATE_DIR": str(home / "state"),
            "QUIXOTE_RUNTIME_DIR": str(home / "run"),
            "QUIXOTE_TRUST_DIR": str(home / "trust"),
        }
        self.workload = home / "workload.sh"
        self.workload.write_text(WORKLOAD)
        self.workload.chmod(0o755)

    def build(self, version, tag):
        """A .deb of this version; `tag` goes into the code, so that two builds of a version differ."""
        tree = self.home / f"tree-{version}-{tag}"
        (tree / "DEBIAN").mkdir(parents=True)
        for folder in ["bin", "lib"]:
            (tree / PLACE[1:] / folder).mkdir(parents=True)
        (tree / "DEBIAN/control").write_text(
            f"Package: quixote-greet\nVersion: {version}\nArchitecture: amd64\nMaintainer: Test <t@example.invalid>\n"
            "Description: a test of quixote\n")
        define = f'-DVERSION="{version} {tag}"'
        place = tree / PLACE[1:]
        library = place / "lib/libgreet.so.1"
        run("gcc", "-shared", "-fPIC", define, "-x", "c", "-", "-o", library, "-Wl,-soname,libgreet.so.1", input=LIBRARY)
        run("gcc", define, "-x", "c", "-", "-x", "none", library, f"-Wl,-rpath,{PLACE}/lib", "-o", place / "bin/greet", input=PROGRAM)
        (place / "name").write_text("you")
        for path in [place / "name", library, tree / "DEBIAN/control"]:
            path.chmod(0o644)
        path = self.home / f"quixote-greet_{version}_{tag}.deb"
        run("dpkg-deb", "--root-owner-group", "-Zxz", "-z1", "--build", tree, path)
        return path

    def install(self, deb, signer):
        """Installs a package with its repository's evidence in apt's lists; without a signer, no list has it."""
        lists = self.root / "var/lib/apt/lists"
        for old in [*lists.iterdir(), *self.debs.iterdir()]:
            old.unlink()
        version = deb.name.split("_")[1]
        shutil.copy(deb, self.debs / f"quixote-greet_{version}_amd64.deb")
        if signer:
            self.publish(lists, deb, version, signer)
        run("dpkg", "--root", self.root, "--force-downgrade", "--force-confnew", "--force-script-chrootless",
            "--log", "/dev/null", "--install", deb)

    @staticmethod
    def publish(lists, deb, version, signer):
        octets = deb.read_bytes()
        packages = (
            f"Package: quixote-greet\nVersion: {version}\nArchitecture: amd64\nFilename: pool/{deb.name}\n"
            f"Size: {len(octets)}\nSHA256: {hashlib.sha256(octets).hexdigest()}\n\n")
        index = hashlib.sha256(packages.encode()).hexdigest()
        release = (
            "Origin: Test\nSuite: test\nCodename: test\nDate: Wed, 01 Jan 2020 00:00:00 UTC\nArchitectures: amd64\n"
            f"Components: main\nSHA256:\n {index} {len(packages)} main/binary-amd64/Packages\n")
        base = "test_dists_test"
        (lists / f"{base}_main_binary-amd64_Packages").write_text(packages)
        signer.clear_sign(release, lists / f"{base}_InRelease")

    def scan(self):
        keys = [word for key in self.keys for word in ("--key", key)]
        self.references.unlink(missing_ok=True)
        os.umask(0o022)
        # Status 1 says that some package does not vouch; which, the test expects for itself.
        return run(self.binary, "references", "scan", "--root", self.root, *keys, "--packages", self.debs,
                   "-o", self.references, check=False)

    def quixote(self, *arguments, check=True):
        if arguments[0] in ("learn", "enforce"):
            arguments = [arguments[0], "--tma", self.tma, *arguments[1:]]
        return run(self.binary, *arguments, env=self.environment, cwd="/", check=check)

    def learn(self, model, *options):
        summary = self.home / "summary.json"
        self.quixote("learn", "-q", "-o", model, "--runs", "2", "--accept-rules", "all", "--summary", summary, *options,
                     "--", self.workload)
        return json.loads(summary.read_text())["learned"]

    def enforce(self, model, referred=True):
        summary = self.home / "summary.json"
        summary.unlink(missing_ok=True)
        options = ["--references", self.references] if referred else []
        done = self.quixote("enforce", "--on-violation", "deny", "--summary", summary, *options, model, "--", self.workload,
                            check=False)
        if not summary.exists():
            raise Failed(f"enforce did not run: {done.stderr}")
        return json.loads(summary.read_text()), done


def expect(condition, what, done=None):
    if not condition:
        raise Failed(what + (f"\n--- stdout\n{done.stdout}\n--- stderr\n{done.stderr}" if done else ""))
    print(f"ok  {what}", flush=True)


def allowed(machine, model, state, what, referred=True):
    summary, done = machine.enforce(model, referred)
    expect(summary["counts"]["denied"] == 0 and done.returncode == 0, f"{what}: runs, nothing is denied", done)
    expect(state in (None, summary["state"]), f"{what}: the state is the model's", done)
    return done.stdout


def denied(machine, model, why, what):
    summary, done = machine.enforce(model)
    expect(summary["counts"]["denied"] > 0 and done.returncode != 0, f"{what}: is denied", done)
    expect(why in done.stderr, f"{what}: the denial says '{why}'", done)


def test(home, binary, tma):
    good, other = Signer(home, "good"), Signer(home, "other")
    old = Signer(home, "old", past=True)
    machine = Machine(home, binary, [good.key, other.key, old.key], tma)
    first, upgrade, downgrade = machine.build("1.0-1", "a"), machine.build("1.1-1", "a"), machine.build("0.9-1", "a")
    rebuilt = machine.build("1.1-1", "b")
    try:
        referred(machine, first, upgrade, downgrade, rebuilt, good, other, old)
        plain(machine, first, upgrade, good)
        if tma != "orchestrator":
            attested(machine, first, good)
        parser(machine)
    finally:
        for signer in (good, other, old):
            signer.stop()


def referred(machine, first, upgrade, downgrade, rebuilt, good, other, old):
    model, key = machine.home / "greet.model", machine.home / "test.key"
    machine.install(first, good)
    machine.scan()
    learned = machine.learn(model, "--references", machine.references, "--signer", old.fingerprint)
    rules = [rule["rule"] for rule in learned["rules"]]
    signers = ",".join(sorted([good.fingerprint, old.fingerprint]))
    rule = f"reference deb quixote-greet amd64 1.0-1 {signers} expired-refused"
    expect(rule in rules, "learning proposes the package and its signers")
    machine.quixote("model", "keygen", "-o", key)
    machine.quixote("model", "sign", "--key", key, model)
    explained = machine.quixote("model", "explain", model).stdout
    expect("may replace the files of quixote-greet (1.0-1 or later)" in explained, "explain says what the rule gives away")

    allowed(machine, model, learned["state"], "the version that was learned")
    machine.install(upgrade, good)
    machine.scan()
    said = allowed(machine, model, learned["state"], "the signed upgrade")
    expect("1.1-1" in said, "it is the upgrade that ran")

    library = machine.root / PLACE[1:] / "lib/libgreet.so.1"
    octets = library.read_bytes()
    library.write_bytes(octets.replace(b"greetings", b"Greetings", 1))
    denied(machine, model, "the file was changed", "one changed octet in the library")
    library.write_bytes(octets)
    allowed(machine, model, learned["state"], "the octet put back")

    machine.install(rebuilt, None)
    machine.scan()
    denied(machine, model, "no signed package that is at hand has this file", "an unsigned build of the same version")
    machine.install(rebuilt, other)
    machine.scan()
    denied(machine, model, "a key that the model does not accept", "another signer's build of the same version")
    machine.install(downgrade, good)
    machine.scan()
    denied(machine, model, "older than 1.0-1, the lowest version that the model accepts", "a downgrade")
    machine.install(upgrade, old)
    machine.scan()
    denied(machine, model, f"its key {old.fingerprint} has expired", "a package signed by a key that has expired")
    machine.references.chmod(0o666)
    done = machine.quixote("enforce", "--references", machine.references, model, "--", machine.workload, check=False)
    expect(done.returncode != 0 and "others may write these references" in done.stderr, "references that others may write are refused", done)


def attested(machine, first, good):
    """What an agent elsewhere signs while the workload runs: which table of packages it was told."""
    home, model = machine.home, machine.home / "attested.model"
    stop, waits, statement = home / "stop", home / "waits.sh", home / "statement"
    waits.write_text(f"#!/bin/sh\n{PLACE}/bin/greet {PLACE}/name\nwhile ! [ -e {stop} ]; do :; done\n")
    waits.chmod(0o755)
    machine.install(first, good)
    machine.scan()
    stop.touch()
    machine.quixote("learn", "-q", "-o", model, "--runs", "2", "--accept-rules", "all", "--references", machine.references, "--", waits)
    machine.quixote("model", "sign", "--key", home / "test.key", model)
    stop.unlink()
    nonce = os.urandom(16).hex()
    line = [machine.binary, "enforce", "--tma", machine.tma, "--name", "attested", "--references", machine.references, model, "--", waits]
    with subprocess.Popen(line, env=machine.environment, cwd="/", stdout=subprocess.PIPE, text=True) as running:
        expect("greetings" in running.stdout.readline(), "the workload runs, by its packages")
        machine.quixote("attest", "attested", "--nonce", nonce, "-o", statement)
        stop.touch()
    verify = ["verify-attestation", "--json", "--nonce", nonce, "--model", model]

    def verified(*options):
        done = machine.quixote(*verify, *options, statement, check=False)
        return done, json.loads(done.stdout)["agreement"]["references"] if done.stdout else "no finding"

    done, same = verified("--references", machine.references)
    expect(done.returncode == 0 and same is True, "the attestation is about this table of packages", done)
    done, same = verified()
    expect(done.returncode == 1 and same is None, "without a table to compare with, it does not hold", done)
    done, _ = verified("--allow-any-references")
    expect(done.returncode == 0, "unless the orchestrator's word is accepted for it", done)
    other = home / "other.jsonl"
    lines = machine.references.read_text().splitlines(keepends=True)
    digest = next(line for line in lines if "libgreet" in line)
    changed = re.sub(r"[0-9a-f]{64}", "0" * 64, digest, count=1)
    other.write_text("".join(changed if line == digest else line for line in lines))
    done, same = verified("--references", other)
    expect(done.returncode == 1 and same is False, "with another table it does not hold", done)


def plain(machine, first, upgrade, good):
    """A model of plain digests is carried over to the upgrade by what both versions' packages explain."""
    model, rebased = machine.home / "plain.model", machine.home / "rebased.model"
    key, before = machine.home / "test.key", machine.home / "before.jsonl"
    machine.install(first, good)
    machine.scan()
    shutil.copy(machine.references, before)
    machine.learn(model)
    machine.quixote("model", "sign", "--key", key, model)
    allowed(machine, model, None, "a model of digests on its version", referred=False)
    machine.install(upgrade, good)
    machine.scan()
    summary, done = machine.enforce(model, referred=False)
    expect(summary["counts"]["denied"] > 0, "a model of digests denies the upgrade", done)
    done = machine.quixote("model", "rebase", model, "--from", before, "--to", machine.references, "-o", rebased)
    expect("quixote-greet 1.0-1 -> 1.1-1" in done.stdout, "rebase tells which package explains it", done)
    done = machine.quixote("enforce", rebased, "--", machine.workload, check=False)
    expect(done.returncode != 0, "a rebased model counts for nothing before it is signed", done)
    machine.quixote("model", "sign", "--key", key, rebased)
    allowed(machine, rebased, None, "the rebased model on the upgrade", referred=False)


def parser(machine):
    """The parser under its own model: what it reads decides what it says, and not what it does."""
    model, program = machine.home / "parser.model", machine.home / "quixote"
    shutil.copy(machine.binary, program)
    made = run(program, "references", "parser-model", "--key", machine.home / "test.key", "-o", model, env=machine.environment, cwd="/")
    expect("signed" in made.stdout and model.with_name("parser.model.sig").exists(), "this build's parser has a signed model", made)
    expect("memfd_reference-parser" in model.read_text(), "the parser's own exec is in the model")
    summary = machine.home / "parser.json"

    def enforce(kind, octets):
        summary.unlink(missing_ok=True)
        source = machine.home / "input"
        source.write_bytes(octets)
        command = [machine.binary, "enforce", "--on-violation", "deny", "--summary", summary, model,
                   "--", program, "references", "parse", "--as", kind]
        with source.open("rb") as file:
            done = run(*command, env=machine.environment, cwd="/", check=False, stdin=file)
        return json.loads(summary.read_text()), done

    states = set()
    for what, kind, octets, reads in [
        ("a list", "list", b"cd" * 32 + b"  usr/lib/b\n", True),
        ("ten thousand lines", "list", b"".join(b"%064x  usr/%d\n" % (line, line) for line in range(10_000)), True),
        ("a list that climbs out", "list", b"ab" * 32 + b"  ../../etc/shadow\n", False),
        ("no list at all", "list", bytes(range(256)) * 4096, False),
        ("a package", "deb", next(machine.home.glob("*.deb")).read_bytes(), True),
        ("half a package", "deb", next(machine.home.glob("*.deb")).read_bytes()[:1000], False),
        ("no package database", "rpm-database", b"\xff" * 5000, False),
        ("no image", "oci-layer", bytes(range(256)) * 256, False),
    ]:
        told, done = enforce(kind, octets)
        expect((done.returncode == 0) == reads, f"{what}: " + ("read" if reads else "refused"), done)
        expect(told["counts"]["denied"] == 0, f"{what}: nothing is denied", done)
        states.add(told["state"])
    expect(len(states) == 1, "whatever was read, the state is the same")
    octets = bytearray(program.read_bytes())
    octets[octets.index(b"the isolated parser")] ^= 0x20
    program.unlink()
    program.write_bytes(octets)
    program.chmod(0o755)
    told, done = enforce("list", b"cd" * 32 + b"  usr/lib/b\n")
    expect(told["counts"]["denied"] > 0 and "usr/" not in done.stdout, "another build of it is denied", done)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--keep", action="store_true", help="leave the directory")
    parser.add_argument("--tma", type=locality, default="orchestrator", help="where the agent runs, as quixote has it")
    parser.add_argument("--inside", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if not arguments.inside:
        home = Path("/tmp") / f"quixote-upgrade-{os.getpid()}"
        home.mkdir(mode=0o700)
        unshare = ["unshare", "--mount"] + ([] if os.geteuid() == 0 else ["--user", "--map-root-user"])
        done = subprocess.run([*unshare, sys.executable, __file__, "--inside", home, "--tma", arguments.tma])
        if not arguments.keep:
            shutil.rmtree(home)
        return done.returncode
    started = time.monotonic()
    try:
        test(Path(arguments.inside), default_binary().resolve(), arguments.tma)
    except (Failed, subprocess.TimeoutExpired) as failure:
        print(f"FAILED: {failure}")
        return 1
    print(f"upgrade: all held, {time.monotonic() - started:.1f} s")
    return 0


if __name__ == "__main__":
    sys.exit(main())
