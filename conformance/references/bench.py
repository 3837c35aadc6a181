#!/usr/bin/env python3
"""References: quixote beside rpm and dpkg, in one run, in shuffled order.

RPM: 1,000 of Debian's packages, rebuilt as RPM and signed, in an rpm database; `quixote references scan` with the parser in this process, one
warm parser process a signer, and one process a package, beside `rpm -qa --dump`. The sets of paths and digests
have to be the same. Debian: a sample of the packages of this machine that apt still offers, downloaded once and kept in
target/xtask; every file verified, beside `dpkg --verify` and `debsums -as` of the same packages. Every run has to end as it
should, and to say the same each time.
"""

import argparse
import json
import os
import pathlib
import random
import re
import shutil
import statistics
import subprocess
import sys
import tempfile
import time

SIGNER = "bench@example.invalid"


def run(command, **more):
    return subprocess.run(command, check=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE, **more)


# Of a path that rpmbuild takes as it is written.
PLAIN = re.compile(r"/[A-Za-z0-9._+@/:,~=-]+")
LARGEST = 1_000_000


def offered(count):
    """Packages that apt offers and that are not large, the same ones as long as the archive is: `name=version`."""
    names, fields = {}, {}
    for line in run(["apt-cache", "dumpavail"]).stdout.decode(errors="replace").splitlines() + [""]:
        if line:
            name, _, value = line.partition(": ")
            fields[name] = value
            continue
        if int(fields.get("Size", LARGEST)) < LARGEST and fields.get("Essential") != "yes":
            names[fields["Package"]] = fields["Version"]
        fields = {}
    chosen = sorted(names.items())
    random.Random(1).shuffle(chosen)
    assert len(chosen) >= count, "apt offers too few packages; run apt-get update"
    return chosen[:count]


def unpack_debs(folder, packages):
    """The contents of so many of Debian's packages, and the list of each one's files."""
    debs, root = folder / "debs", folder / "contents"
    debs.mkdir()
    root.mkdir()
    names = [f"{name}={version}" for name, version in offered(packages)]
    for start in range(0, len(names), 100):
        run(["apt-get", "download", "-qq", "-o", "APT::Sandbox::User=root", *names[start:start + 100]], cwd=debs)
    lists = {}
    for deb in sorted(debs.glob("*.deb")):
        run(["dpkg-deb", "--extract", str(deb), str(root)])
        rows = run(["dpkg-deb", "--contents", str(deb)]).stdout.decode(errors="replace").splitlines()
        paths = {row.split(None, 5)[5].partition(" -> ")[0].partition(" link to ")[0][1:].rstrip("/")
                 for row in rows if not row.startswith("d")}
        lists[deb.name.split("_")[0]] = sorted(path for path in paths if PLAIN.fullmatch(path))
        deb.unlink()
    # A file that another package has replaced by a directory, say, is no file of this one any more.
    there = lambda path: os.path.isfile(f"{root}{path}") or os.path.islink(f"{root}{path}")
    return root, {name: [path for path in paths if there(path)] for name, paths in lists.items()}


def make_contents(folder, packages, files):
    """As many files as are asked for in every package, each a line long."""
    root, lists = folder / "contents", {}
    for package in range(packages):
        place = root / f"usr/share/p{package}"
        place.mkdir(parents=True)
        for file in range(files):
            (place / f"file-{file}").write_text(f"{package} {file}\n")
        lists[f"p{package}"] = [f"/usr/share/p{package}/file-{file}" for file in range(files)]
    return root, lists


def make_key(folder, key_type, key, environment):
    kind = {"rsa4096": "Key-Type: RSA\nKey-Length: 4096", "rsa2048": "Key-Type: RSA\nKey-Length: 2048",
            "eddsa": "Key-Type: EDDSA\nKey-Curve: ed25519"}[key_type]
    text = f"%no-protection\n{kind}\nKey-Usage: sign\nName-Email: {SIGNER}\nExpire-Date: 0\n"
    run(["gpg", "--batch", "--gen-key"], input=text.encode(), env=environment)
    run(["gpg", "--batch", "--armor", "--output", str(key), "--export", SIGNER], env=environment)


def build(folder, root, lists, environment):
    """One build with a subpackage for each package: a thousand builds would take an hour."""
    spec = ["%global debug_package %{nil}", "Name: top", "Version: 1", "Release: 1", "Summary: s", "License: MIT",
            "AutoReqProv: no", "%description", "d", "%install", f"cp -a {root}/. %{{buildroot}}/"]
    for name, paths in lists.items():
        (folder / f"{name}.files").write_text("".join(f'"{path}"\n' for path in paths))
        spec += [f"%package -n {name}", "Summary: s", "AutoReqProv: no", f"%description -n {name}", "d",
                 f"%files -n {name} -f {folder}/{name}.files"]
    (folder / "bench.spec").write_text("\n".join(spec) + "\n")
    defines = [f"_topdir {folder}/top", "_binary_payload w0.ufdio", "__os_install_post %{nil}",
               "_unpackaged_files_terminate_build 0", "_build_id_links none"]
    run(["rpmbuild", "-bb", "--quiet", *[word for define in defines for word in ("-D", define)], str(folder / "bench.spec")],
        env=environment)
    built = sorted(str(path) for path in (folder / "top/RPMS").glob("*/*.rpm"))
    assert len(built) == len(lists), (len(built), len(lists))
    return built


def make_packages(folder, packages, files, key_type):
    """Kept for the next run. `files` is None for those of Debian's packages."""
    key, root, database = folder / "key.asc", folder / "root", f"_dbpath {folder}/root/var/lib/rpm"
    if (folder / "done").exists():
        return key, root, database
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    home = folder / "gnupg"
    home.mkdir(mode=0o700)
    environment = dict(os.environ, GNUPGHOME=str(home), LC_ALL="C")
    make_key(folder, key_type, key, environment)
    contents, lists = make_contents(folder, packages, files) if files else unpack_debs(folder, packages)
    built = build(folder, contents, lists, environment)
    run(["rpmsign", "-D", f"_gpg_name {SIGNER}", "-D", "__gpg /usr/bin/gpg", "--addsign", *built],
        env=environment)
    run(["rpmkeys", "-D", database, "--import", str(key)])
    run(["rpm", "-D", database, "-i", "--justdb", "--nodeps", "--force", "--ignorearch", *built])
    run(["gpgconf", "--kill", "all"], env=environment)
    for left in ("top", "contents", "debs"):
        shutil.rmtree(folder / left, ignore_errors=True)
    (folder / "done").touch()
    return key, root, database


def timed(command, codes=(0,)):
    start = time.monotonic()
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    took = time.monotonic() - start
    if done.returncode not in codes:
        raise SystemExit(f"{' '.join(command[:4])}: exit {done.returncode}: {done.stderr.decode()[-500:]}")
    return took, done


def measure(commands, runs, codes=(0,)):
    """Seconds of every run of every command, in shuffled order after one run of each that is not counted."""
    first = {name: timed(command, codes)[1] for name, command in commands.items()}
    plan = [name for name in commands for _ in range(runs)]
    random.shuffle(plan)
    figures = {name: [] for name in commands}
    for name in plan:
        took, done = timed(commands[name], codes)
        if (done.returncode, done.stdout) != (first[name].returncode, first[name].stdout):
            raise SystemExit(f"{name} does not say the same every time")
        figures[name].append(took)
    return figures


TABLES = []


def report(title, figures, peer):
    rows = [f"{title}", "", f"| command | median s | quartiles | of {peer} |", "| --- | --- | --- | --- |"]
    base = statistics.median(figures[peer])
    for name, all_of_it in figures.items():
        middle = statistics.median(all_of_it)
        low, _, high = statistics.quantiles(all_of_it, n=4)
        rows.append(f"| `{name}` | {middle:.3f} | {low:.3f} to {high:.3f} | {middle / base:.2f} |")
    TABLES.append("\n".join(rows) + "\n")
    print(f"\n{TABLES[-1]}", flush=True)


def same_set(quixote, database):
    rows = set()
    for line in run(["rpm", "-D", database, "-qa", "--dump"]).stdout.decode().splitlines():
        fields = line.split(" ")
        if len(fields) > 4 and fields[3].strip("0"):
            rows.add((fields[0], fields[3]))
    ours = set()
    for line in run(quixote + ["--json"]).stdout.decode().splitlines():
        record = json.loads(line)
        ours.add((record["path"], record["digest"].split(":")[1]))
    assert rows == ours, f"the sets differ: {len(rows)} and {len(ours)}"
    print(f"the same {len(ours)} paths and digests", flush=True)
    return len(ours)


def rpm(arguments):
    place = pathlib.Path(arguments.rpms).resolve() / f"{arguments.packages}-{arguments.files or 'debs'}-{arguments.key}"
    key, root, database = make_packages(place, arguments.packages, arguments.files, arguments.key)
    scan = [arguments.quixote, "references", "scan", "--root", str(root), "--key", str(key)]
    count = same_set(scan, database)
    commands = {
        "rpm -qa --dump": ["rpm", "-D", database, "-qa", "--dump"],
        "references scan": scan,
        "references scan --isolation none": scan + ["--isolation", "none"],
        "references scan --isolation package": scan + ["--isolation", "package"],
    }
    origin = "made" if arguments.files else "rebuilt from Debian's"
    title = f"RPM: {arguments.packages} packages {origin}, {count} files, signed by {arguments.key}; signatures verified by both"
    report(title, measure(commands, arguments.runs), "rpm -qa --dump")


def sample(folder, megaoctets):
    """Package files of what is installed, as apt offers it: the same sample every time, about so large."""
    listing = run(["dpkg-query", "-W", "-f", "${db:Status-Abbrev}|${binary:Package}|${Version}|${Architecture}|${Installed-Size}\n"])
    rows = [row.split("|")[1:] for row in listing.stdout.decode().splitlines() if row.startswith("ii")]
    # What is in no index any more cannot be had.
    offered = run(["apt-cache", "madison", *[row[0].split(":")[0] for row in rows]]).stdout.decode().splitlines()
    offered = {tuple(word.strip() for word in row.split("|")[:2]) for row in offered}
    rows = sorted(row for row in rows if (row[0].split(":")[0], row[1]) in offered)
    random.Random(1).shuffle(rows)
    folder.mkdir(parents=True, exist_ok=True)
    names, missing, left = [], [], megaoctets << 10
    for binary, version, arch, size in rows:
        name = binary.split(":")[0]
        # Kibioctets as installed; a very large package would be the only one.
        if int(size or 0) > left // 4:
            continue
        left -= int(size or 0)
        names.append(binary)
        if not (folder / f"{name}_{version.replace(':', '%3a')}_{arch}.deb").exists():
            missing.append(f"{name}:{arch}={version}" if arch != "all" else f"{name}={version}")
    if missing:
        run(["apt-get", "download", "-qq", "-o", "APT::Sandbox::User=root", *missing], cwd=folder)
    assert len(names) >= 20, "apt offers too little of what is installed; run apt-get update"
    return names


def deb(arguments, folder):
    debs = pathlib.Path(arguments.debs)
    names = sample(debs, arguments.megaoctets)
    references = folder / "references"
    # Status 1: the packages that are not in the sample do not vouch.
    took, done = timed([arguments.quixote, "references", "scan", "--packages", str(debs), "-o", str(references)], (0, 1))
    # What is in the folder and not in the sample any more is measured by nobody.
    wanted = {name.split(":")[0] for name in names}
    lines = references.read_text().splitlines(True)
    references.write_text("".join(line for line in lines if json.loads(line)["package"] in wanted))
    print(f"\nscan of the package files: {took:.1f} s; {done.stdout.decode().strip()}", flush=True)
    commands = {
        "references verify": [arguments.quixote, "references", "verify", "--references", str(references)],
        "dpkg --verify": ["dpkg", "--verify", *names],
        "debsums -as": ["debsums", "-as", *names],
    }
    title = f"Debian: {len(names)} installed packages, {len(references.read_text().splitlines())} files"
    report(title, measure(commands, arguments.deb_runs, (0, 1, 2)), "dpkg --verify")


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quixote", default="target/release/quixote")
    parser.add_argument("--packages", type=int, default=1000)
    parser.add_argument("--files", type=int, help="make packages of so many files, rather than rebuild Debian's")
    parser.add_argument("--key", choices=["rsa2048", "rsa4096", "eddsa"], default="rsa2048")
    parser.add_argument("--runs", type=int, default=10)
    parser.add_argument("--deb-runs", type=int, default=5)
    parser.add_argument("--rpms", default="target/xtask/bench-rpms", help="the database of made packages is kept here")
    parser.add_argument("--debs", default="target/xtask/bench-debs", help="package files of what is installed here are kept here")
    parser.add_argument("--megaoctets", type=int, default=300, help="so much of them, as installed")
    parser.add_argument("--markdown", help="write the tables here as well")
    parser.add_argument("--only", choices=["rpm", "deb"])
    arguments = parser.parse_args()
    print(f"kernel {os.uname().release}, {os.cpu_count()} processors")
    with tempfile.TemporaryDirectory() as folder:
        if arguments.only != "deb":
            rpm(arguments)
        if arguments.only != "rpm":
            deb(arguments, pathlib.Path(folder))
    if arguments.markdown:
        pathlib.Path(arguments.markdown).write_text("\n".join(TABLES))
    return 0


if __name__ == "__main__":
    sys.exit(main())
