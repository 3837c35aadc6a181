#!/usr/bin/env python3
"""`quixote references ima` against a Debian kernel with IMA and an emulated TPM, and against evmctl.

Builds and signs a package on the host as the upgrade test does, scans it, and boots the kernel on what was prepared; see
conformance/ima. Needs what `cargo xtask vm` needs, swtpm, ima-evm-utils and keyutils.
"""

import argparse
import os
import shutil
import subprocess
import sys
from pathlib import Path

import run_upgrade
from quixote_cli import default_binary

ROOT = Path(__file__).resolve().parent.parent
PATHS = ["bin/greet", "lib/libgreet.so.1", "name"]
# tcb is the kernel's own policy; the machine's TPM is told to it here.
APPEND = "ima_policy=tcb tpm_tis.force=1 tpm_tis.interrupts=0"


def prepare(home, out):
    good = run_upgrade.Signer(home, "good")
    machine = run_upgrade.Machine(home, default_binary().resolve(), [good.key])
    try:
        machine.install(machine.build("1.0-1", "a"), good)
        machine.scan()
    finally:
        good.stop()
    shutil.copytree(machine.root / "opt", out / "tree")
    shutil.copy(machine.references, out / "references.jsonl")
    (out / "order").write_text("".join(f"{run_upgrade.PLACE}/{path}\n" for path in PATHS))
    run_upgrade.run("openssl", "genpkey", "-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:2048", "-out", out / "key.pem")
    run_upgrade.run("openssl", "req", "-x509", "-new", "-key", out / "key.pem", "-subj", "/CN=test", "-days", "30",
                    "-outform", "DER", "-out", out / "cert.der")


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--kernel", default="6.12")
    parser.add_argument("--inside", nargs=2, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.inside:
        prepare(*map(Path, arguments.inside))
        return 0
    # Inside the checkout: the guest has a /tmp of its own.
    out = ROOT / "target" / f"ima-{os.getpid()}"
    home = Path("/tmp") / f"quixote-ima-{os.getpid()}"
    for folder in (out, home):
        folder.mkdir(parents=True, mode=0o700)
    try:
        subprocess.run(["unshare", "--mount", sys.executable, __file__, "--inside", home, out], check=True)
        guest = ["sh", "conformance/ima/guest.sh", str(out), str(default_binary().resolve())]
        # With two emulated processors a guest may die or stand still while its kernel patches itself.
        vm = ["cargo", "xtask", "vm", "--cpus", "1", "--kernel", arguments.kernel, "--tpm", "--timeout", "240", "--append", APPEND]
        return subprocess.run([*vm, "--", *guest], cwd=ROOT).returncode
    finally:
        shutil.rmtree(out)
        shutil.rmtree(home)


if __name__ == "__main__":
    sys.exit(main())
