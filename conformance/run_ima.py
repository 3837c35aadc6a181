#!/usr/bin/env python3
"""`quixote references ima` against a Debian kernel with IMA and an emulated TPM, and against evmctl.

Builds and signs a package on the host as the upgrade test does, scans it, and boots the kernel on what was prepared; see
conformance/ima. What the kernel has measured since boot comes back and is judged here, entry by entry (boot_list).
Needs what `cargo xtask vm` needs, swtpm, ima-evm-utils and keyutils.
"""

import argparse
import os
import shutil
import subprocess
import sys
from pathlib import Path

import boot_list
import run_upgrade
from quixote_cli import default_binary

ROOT = Path(__file__).resolve().parent.parent
GUEST = ROOT / "conformance/ima/guest.sh"
PATHS = ["bin/greet", "lib/libgreet.so.1", "name"]
# tcb is the kernel's own policy; the machine's TPM is told to it here.
APPEND = "ima_policy=tcb tpm_tis.force=1 tpm_tis.interrupts=0"
# The kernel extends a padded SHA-1 into the banks whose hash it did not have when IMA started.
PADDED = {"6.1": ["--padded", "sha384", "--padded", "sha512"], "6.12": []}
# Packages are fetched once.
DEBS = ROOT / "target/xtask/ima-packages"


def prepare(home, out):
    binary = default_binary().resolve()
    good = run_upgrade.Signer(home, "good")
    machine = run_upgrade.Machine(home, binary, [good.key], "orchestrator")
    try:
        machine.install(machine.build("1.0-1", "a"), good)
        machine.scan()
        shutil.copytree(machine.root / "opt", out / "tree")
        shutil.copy(machine.references, out / "references.jsonl")
        (out / "order").write_text("".join(f"{run_upgrade.PLACE}/{path}\n" for path in PATHS))
        run_upgrade.run("openssl", "genpkey", "-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:2048", "-out", out / "key.pem")
        run_upgrade.run("openssl", "req", "-x509", "-new", "-key", out / "key.pem", "-subj", "/CN=test", "-days", "30",
                        "-outform", "DER", "-out", out / "cert.der")
        own = [binary, GUEST, *(path for path in out.rglob("*") if path.is_file())]
        boot_list.Owner(home, binary).sign(good, own)
    finally:
        good.stop()


def boot(command):
    """Runs it and shows what it says, but for the line that is not for people."""
    line = None
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as running:
        for said in running.stdout:
            if said.startswith("snapshots: "):
                line = said
            else:
                print(said, end="", flush=True)
    if running.returncode == 0 and line is None:
        raise run_upgrade.Failed("the guest did not say what it has measured")
    return running.returncode, line


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
        # By its path: the guest's first shell has many programs of its own, which lie where nothing is measured.
        guest = ["/bin/sh", GUEST, out, default_binary().resolve()]
        # With two emulated processors a guest may die or stand still while its kernel patches itself.
        vm = ["cargo", "xtask", "vm", "--cpus", "1", "--kernel", arguments.kernel, "--tpm", "--timeout", "1500", "--append", APPEND]
        status, line = boot([*vm, "--", *guest])
        if status == 0:
            boot_list.test(home, default_binary().resolve(), line, DEBS, PADDED[arguments.kernel])
        return status
    except run_upgrade.Failed as failure:
        print(f"FAILED: {failure}")
        return 1
    finally:
        shutil.rmtree(out)
        shutil.rmtree(home)


if __name__ == "__main__":
    sys.exit(main())
