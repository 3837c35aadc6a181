"""What a kernel measured since boot, entry by entry, against signed packages: quixote beside a second reckoning.

The list comes out of the guest as from a machine that is to be attested, and is judged here. Three sources vouch:

  packages   Debian's, by the chain from the archive's key: those that own what was measured, fetched by apt, and the kernel's;
  own        one list, signed before the boot by a key of the test's: the test's own files, what this machine made for
             itself, and what is installed in versions that no archive offers any more;
  nobody     all else, which has to be named.

The second reckoning takes the same packages apart by dpkg-deb and hashes their files with hashlib; it knows no signature.
"""

import base64
import hashlib
import io
import json
import os
import re
import shutil
import subprocess
import tarfile
from pathlib import Path

from run_upgrade import Failed
from run_upgrade import expect
from run_upgrade import run

KEYRING = "/usr/share/keyrings/debian-archive-keyring.gpg"
MERGED = ["bin", "sbin", "lib", "lib64"]
# What this machine made or configured for itself, and the guest's programs read as root.
MADE_HERE = ["/etc/ld.so.cache", "/etc/ssl/openssl.cnf"]
# What is made anew for each boot to tell the guest what to do, and so can be in no list: it has to be named.
SESSION = re.compile(r"/lower/tmp/quixote-vm-\d+/guest/(environment|guest|session)\.sh")
TAMPERED = {
    "/usr/bin/factor": "packages have another content at this path",
    "/usr/local/bin/elsewhere": "packages have this content, at another path",
    "/usr/local/bin/nobodys": "no package has it",
}


def sha256(octets):
    return hashlib.sha256(octets).hexdigest()


class Snapshot:
    """The list and the TPM of one moment."""

    def __init__(self, folder, name):
        self.ascii, self.binary = folder / f"{name}.ascii", folder / f"{name}.binary"
        self.lines = self.ascii.read_bytes().splitlines()
        self.pcr_10 = (folder / f"{name}.tpm").read_text().split()
        rows = [row.split(": ")[1] for row in (folder / f"{name}.pcrs").read_text().splitlines()]
        self.boot_aggregate = "sha256:" + sha256(b"".join(bytes.fromhex(row) for row in rows[:10]))
        # As the kernel writes it: no space in a name.
        words = [line.decode().split(" ") for line in self.lines]
        self.entries = [(row[4], row[3].removeprefix("sha256:")) for row in words]

    def files(self):
        return [entry for entry in self.entries if entry[0] != "boot_aggregate"]


def snapshots(line, folder):
    """Out of what the guest said."""
    archive = base64.b64decode(line.split()[1], validate=True)
    with tarfile.open(fileobj=io.BytesIO(archive)) as files:
        files.extractall(folder, filter="data")
    return Snapshot(folder, "boot"), Snapshot(folder, "tampered")


class Owner:
    """Signs, before the boot, what no package vouches for."""

    def __init__(self, home, binary):
        self.list, self.references = home / "own.list", home / "own.references"
        self.binary = binary

    def sign(self, signer, own):
        paths = [*own, *MADE_HERE, *module_indexes(), *no_longer_offered()]
        rows = {name: path for name, path in (named(path) for path in paths) if path.is_file()}
        text = "".join(f"{sha256(path.read_bytes())}  {name}\n" for name, path in sorted(rows.items()))
        self.list.write_text(text)
        signer.gpg("--armor", "--detach-sign", "--output", f"{self.list}.asc", self.list)
        self.references.write_text(run(self.binary, "references", "show", "--json", "--key", signer.key, self.list).stdout)


def named(path):
    """A file, and its path in the guest."""
    name, path = path if isinstance(path, tuple) else (path, path)
    return str(name), Path(path)


def module_indexes():
    """What depmod made for each kernel that may be booted."""
    for folder in cache().glob("*/files/lib/modules/*"):
        for path in folder.glob("modules.*"):
            yield f"/usr/lib/modules/{folder.name}/{path.name}", path


def cache():
    base = os.environ.get("XDG_CACHE_HOME") or Path(os.environ["HOME"]) / ".cache"
    return Path(base) / "quixote/kernels"


def installed():
    rows = run("dpkg-query", "-W", "-f", "${db:Status-Abbrev}|${Package}|${Architecture}|${Version}\n").stdout.splitlines()
    return [row.split("|")[1:] for row in rows if row.startswith("ii ")]


def offered():
    """The versions that apt's indexes name, by package."""
    versions = {}
    for row in run("apt-cache", "madison", *sorted({row[0] for row in installed()})).stdout.splitlines():
        package, version, where = (word.strip() for word in row.split("|"))
        if where.endswith("Packages"):
            versions.setdefault(package, set()).add(version)
    return versions


def no_longer_offered():
    """Programs, libraries and their locales of the packages whose version is in no index."""
    known = offered()
    for package, architecture, version in installed():
        if version in known.get(package, ()):
            continue
        for path in run("dpkg-query", "-L", f"{package}:{architecture}" if architecture != "all" else package).stdout.splitlines():
            path = Path(path).resolve()
            place = str(path).startswith(("/usr/bin/", "/usr/sbin/", "/usr/lib/"))
            read = os.access(path, os.X_OK) or ".so" in path.name or "/locale/" in str(path)
            if place and path.is_file() and read:
                yield path


class Packages:
    """The packages that own what was measured, and what a scan of the guest's system finds of them."""

    def __init__(self, home, binary, names, debs):
        self.debs, self.references = debs, home / "packages.references"
        self.debs.mkdir(parents=True, exist_ok=True)
        owners = sorted({owner for name in names for owner in owners_of(name)})
        self.files = [self.fetch(*owner) for owner in owners]
        self.files = [path for path in self.files if path]
        root = self.guest_root(home / "system")
        # Only these: what else lies in the folder is of another run.
        mine = home / "vouching"
        mine.mkdir()
        for path in self.files:
            (mine / path.name).symlink_to(path)
        scanned = run(binary, "references", "scan", "--root", root, "--key", KEYRING, "--packages", mine, "-o", self.references,
                      check=False)
        expect(scanned.returncode in (0, 1), "the guest's system is scanned", scanned)

    def fetch(self, package, version):
        """The package's file, or nothing where no archive has the version any more."""
        escaped = version.replace(":", "%3a")
        found = list(self.debs.glob(f"{package}_{escaped}_*.deb"))
        if not found:
            apt = ["-qq", "-o", "Acquire::Retries=5", "-o", "APT::Sandbox::User=root"]
            run("apt-get", *apt, "download", f"{package}={version}", cwd=self.debs, check=False)
            found = list(self.debs.glob(f"{package}_{escaped}_*.deb"))
        return found[0] if found else None

    def guest_root(self, root):
        """This machine's packages, and the kernel's as if it were installed: the guest has its modules."""
        dpkg = root / "var/lib/dpkg"
        dpkg.mkdir(parents=True)
        (root / "var/lib/apt").mkdir()
        for name in MERGED:
            (root / name).symlink_to(f"usr/{name}")
        for name in ["diversions", "statoverride"]:
            shutil.copy(Path("/var/lib/dpkg") / name, dpkg)
        (root / "var/lib/apt/lists").symlink_to("/var/lib/apt/lists")
        status = Path("/var/lib/dpkg/status").read_text()
        for path in self.files:
            if path.name.startswith("linux-image-"):
                fields = run("dpkg-deb", "--field", path, "Package", "Version", "Architecture").stdout
                status += f"\n{fields.rstrip()}\nStatus: install ok installed\n"
        (dpkg / "status").write_text(status)
        return root

    def contents(self):
        """Path and SHA-256 of every file, by other programs."""
        found = set()
        for path in self.files:
            with subprocess.Popen(["dpkg-deb", "--fsys-tarfile", path], stdout=subprocess.PIPE) as unpacked:
                with tarfile.open(fileobj=unpacked.stdout, mode="r|") as archive:
                    for member in archive:
                        if member.isreg():
                            name = re.sub(f"^/({'|'.join(MERGED)})/", r"/usr/\1/", member.name.removeprefix("."))
                            found.add((name.replace(" ", "_"), sha256(archive.extractfile(member).read())))
            if unpacked.returncode != 0:
                raise Failed(f"dpkg-deb cannot unpack {path}")
        return found


def owners_of(name):
    """Package and version, as dpkg has them installed, or the kernel's as apt offers it."""
    module = re.match(r"/usr/lib/modules/([^/]+)/", name)
    if module:
        package = f"linux-image-{module[1]}"
        rows = run("apt-cache", "madison", package).stdout.splitlines()
        return [(package, rows[0].split("|")[1].strip())] if rows else []
    for spelled in [name, name.removeprefix("/usr")]:
        done = run("dpkg-query", "-S", spelled, check=False)
        rows = [row for row in done.stdout.splitlines() if not row.startswith("diversion ")]
        if done.returncode == 0 and rows:
            package = rows[0].split(": ")[0].split(", ")[0]
            version = run("dpkg-query", "-W", "-f", "${Version}", package).stdout
            return [(package.split(":")[0], version)]
    return []


class Verifier:
    """`quixote references ima verify-list`, with what vouches and what the kernel pads."""

    def __init__(self, binary, padded):
        self.binary, self.padded = binary, padded

    def __call__(self, references, listed, *options):
        words = [word for path in references for word in ("--references", path)]
        padded = self.padded if "--pcr-value" in options else []
        done = run(self.binary, "references", "ima", "verify-list", "--json", *words, *padded, *options, listed, check=False)
        if done.returncode not in (0, 1):
            raise Failed(f"verify-list: {done.stderr}")
        return json.loads(done.stdout), done


def test(home, binary, line, debs, padded):
    """What the guest said of itself, in one line."""
    boot, tampered = snapshots(line, home)
    packages = Packages(home, binary, {name for name, _ in boot.files() + tampered.files()}, debs)
    verify = Verifier(binary, padded)
    both = [packages.references, Owner(home, binary).references]
    known = packages.contents()
    files = boot.files()
    of_packages = [entry for entry in files if entry in known]
    expect(len(of_packages) > 20 and any("/modules/" in name for name, _ in of_packages),
           f"of {len(files)} entries, files of packages are {len(of_packages)}, a module of the kernel's among them")
    settled = ["--boot-aggregate", boot.boot_aggregate]
    settled += [word for value in boot.pcr_10 for word in ("--pcr-value", value)]

    told, done = verify([packages.references], boot.binary, *settled)
    mine = sorted(entry for entry in files if entry not in known)
    named_ones = sorted((one["name"], one["digest"].removeprefix("sha256:")) for one in told["not_vouched"])
    expect(named_ones == mine and done.returncode == (1 if mine else 0),
           f"by packages alone the other {len(mine)} are named, and no more: {', '.join(name for name, _ in mine)}", done)
    expect(told["vouched"] == len(of_packages) and told["boot_aggregates"] == 1 and not told["violations"]
           and not told["pcr_differs"], f"{told['vouched']} are vouched for, the boot aggregate is the TPM's", done)

    told, done = verify(both, boot.binary, *settled)
    left = unexplained(told)
    session = sorted(name for name, _ in files if SESSION.fullmatch(name))
    expect(done.returncode == 1 and sorted(left) == session and len(session) == 3
           and told["vouched"] == len(files) - len(session) and not told["pcr_differs"],
           f"with the owner's list {told['vouched']} of {len(files)} are vouched for, the 3 files of the session named; PCR 10 is the "
           "TPM's in 4 banks", done)
    orders(home, verify, both, boot)

    told, done = verify(both, tampered.binary, "--boot-aggregate", boot.boot_aggregate)
    left = {name: why for name, why in unexplained(told).items() if name not in session}
    expect(done.returncode == 1 and left == TAMPERED,
           "a tampered program, one that lies elsewhere and one of nobody's are named, each with its reason", done)
    expect(told["vouched"] == len(tampered.files()) - len(TAMPERED) - len(session), "all else is still vouched for", done)
    told, done = verify(both, boot.binary, "--boot-aggregate", "sha256:" + "0" * 64)
    expect(done.returncode == 1 and set(unexplained(told)) == {"boot_aggregate", *session},
           "another boot aggregate is named", done)


def unexplained(told):
    return {one["name"]: one["why"] for one in told["not_vouched"]}


def orders(home, verify, both, boot):
    """The check knows no order; the PCR does, and knows a record that is missing."""
    changed = home / "changed"
    explained = [line for line in boot.lines if not SESSION.fullmatch(line.decode().split(" ")[4])]
    for what, lines in [("the rest of the list", explained), ("the same in another order", explained[::-1])]:
        changed.write_bytes(b"\n".join(lines) + b"\n")
        told, done = verify(both, changed, "--boot-aggregate", boot.boot_aggregate)
        expect(done.returncode == 0 and told["vouched"] == len(explained) - 1 and told["boot_aggregates"] == 1,
               f"{what}: all {told['vouched']} are vouched for", done)
    for what, lines in [("another order", boot.lines[::-1]), ("a record left out", boot.lines[:-1])]:
        changed.write_bytes(b"\n".join(lines) + b"\n")
        told, done = verify(both, changed, "--pcr-value", boot.pcr_10[1])
        expect(done.returncode == 1 and [one["bank"] for one in told["pcr_differs"]] == ["sha256"],
               f"{what} does not lead to the PCR", done)
