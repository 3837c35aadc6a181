#!/usr/bin/env python3
"""Seeds the corpus of `references`: a small input for each job, its code in front."""

import gzip
import hashlib
import io
import json
import pathlib
import sqlite3
import tarfile
import tempfile

FOLDER = pathlib.Path(__file__).resolve().parent / "corpus" / "references"
KEYLESS = FOLDER.parents[2] / "references/tests/testdata/sigstore/attestation.sigstore.json"
DIGEST = "ab" * 32


def tar(files):
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.PAX_FORMAT) as archive:
        for name, octets in files:
            entry = tarfile.TarInfo(name)
            entry.size = len(octets)
            archive.addfile(entry, io.BytesIO(octets))
        link = tarfile.TarInfo("usr/bin/link")
        link.type, link.linkname = tarfile.SYMTYPE, "a" * 120
        archive.addfile(link)
    return buffer.getvalue().rstrip(b"\0") + b"\0" * 1024


def ar(members):
    octets = b"!<arch>\n"
    for name, contents in members:
        octets += f"{name:<16}{0:<12}{0:<6}{0:<6}{'100644':<8}{len(contents):<10}`\n".encode() + contents
        octets += b"\n" * (len(contents) % 2)
    return octets


def rpm_header(region, entries):
    index, data = b"", b""
    word = lambda *numbers: b"".join(number.to_bytes(4, "big", signed=number < 0) for number in numbers)
    for tag, kind, count, value in entries:
        data += b"\0" * (-len(data) % {3: 2, 4: 4, 5: 8}.get(kind, 1))
        index += word(tag, kind, len(data), count)
        data += value
    count = len(entries) + 1
    index = word(region, 7, len(data), 16) + index
    data += word(region, 7, -16 * count, 16)
    return bytes.fromhex("8eade80100000000") + word(count, len(data)) + index + data


def rpm_database(header):
    """One page size, one row, no log; the writer's version, of no meaning, is zeroed."""
    with tempfile.TemporaryDirectory() as folder:
        path = pathlib.Path(folder) / "rpmdb.sqlite"
        database = sqlite3.connect(path)
        database.execute("PRAGMA page_size = 512")
        database.execute("CREATE TABLE 'Packages' (hnum INTEGER PRIMARY KEY, blob BLOB NOT NULL)")
        database.execute("INSERT INTO Packages VALUES (1, ?)", (header[8:],))
        database.commit()
        database.close()
        octets = bytearray(path.read_bytes())
    octets[92:100] = bytes(8)
    return len(octets).to_bytes(8, "little") + bytes(octets)


def little(number):
    return number.to_bytes(4, "little")


def ima_record(template, fields, pcr=10, violation=False):
    data = b"".join(little(len(field)) + field for field in fields)
    digest = bytes(20) if violation else hashlib.sha1(data).digest()
    return little(pcr) + digest + little(len(template)) + template + little(len(data)) + data


def ima_line(template, fields, words):
    data = b"".join(little(len(field)) + field for field in fields)
    return b" ".join([b"10", hashlib.sha1(data).hexdigest().encode(), template, *words]) + b"\n"


def ima_seeds(folder):
    """The first octet says which reader: binary list, text list, digest list, signature."""
    folder.mkdir(exist_ok=True)
    digest = bytes.fromhex(DIGEST)
    hashed = [b"sha256:\0" + digest, b"/usr/bin/a\0"]
    words = [b"sha256:" + DIGEST.encode(), b"/usr/bin/a"]
    signature = bytes.fromhex("030204") + b"\1\2\3\4" + b"\0\4" + b"sign"
    tlv = lambda number, data: number.to_bytes(2, "big") + len(data).to_bytes(4, "big") + data
    head = tlv(0, b"\0\4") + tlv(1, b"\0\0\0\1")
    seeds = {
        "binary-ng": b"\1" + ima_record(b"ima-ng", hashed),
        "binary-sig": b"\1" + ima_record(b"ima-sig", [*hashed, signature]) + ima_record(b"ima-sig", [*hashed, b""]),
        "binary-violation": b"\1" + ima_record(b"ima-ng", hashed, violation=True),
        "binary-other": b"\1" + ima_record(b"ima-buf", [b"sha256:\0" + digest, b"x\0", b"buffer"]),
        "binary-sha1": b"\1" + ima_record(b"ima-ng", [b"sha1:\0" + digest[:20], b"boot_aggregate\0"]),
        "text-ng": b"\2" + ima_line(b"ima-ng", hashed, words),
        "text-sig": b"\2" + ima_line(b"ima-sig", [*hashed, signature], [*words, signature.hex().encode()]),
        "text-unsigned": b"\2" + ima_line(b"ima-sig", [*hashed, b""], words),
        "digest-list": b"\3" + head + tlv(2, tlv(0, digest) + tlv(1, b"/usr/bin/a\0")),
        "digest-list-empty": b"\3" + tlv(0, b"\0\4") + tlv(1, bytes(4)),
        "signature": b"\4" + signature,
    }
    for name, octets in seeds.items():
        (folder / f"seed-{name}").write_bytes(octets)


def main():
    FOLDER.mkdir(parents=True, exist_ok=True)
    header = rpm_header(63, [
        (1000, 6, 1, b"name\0"), (1001, 6, 1, b"1\0"), (1002, 6, 1, b"2\0"), (1022, 6, 1, b"noarch\0"),
        (1028, 4, 1, bytes(4)), (1030, 3, 1, b"\x81\xa4"), (1035, 8, 1, DIGEST.encode() + b"\0"),
        (1036, 8, 1, b"\0"), (1037, 4, 1, bytes(4)), (1044, 6, 1, b"s\0"), (1116, 4, 1, bytes(4)),
        (1117, 8, 1, b"file\0"), (1118, 8, 1, b"/usr/\0"), (5011, 4, 1, bytes([0, 0, 0, 8])),
    ])
    control = b"Package: p\nVersion: 1\nArchitecture: all\n"
    info = b"pkgname = p\npkgver = 1\narch = all\ndatahash = " + DIGEST.encode() + b"\n"
    inputs = [
        (1, rpm_header(62, [(268, 7, 4, b"\x88\x02\x04\x00")])),
        (2, header),
        (3, rpm_database(header)),
        (4, b"-----BEGIN PGP SIGNED MESSAGE-----\nHash: SHA256\n\n- -text\nmore\n"
            b"-----BEGIN PGP SIGNATURE-----\n\niQ==\n=abcd\n-----END PGP SIGNATURE-----\n"),
        (5, b"-----BEGIN PGP SIGNATURE-----\n\niQ==\n-----END PGP SIGNATURE-----\n"),
        (6, f"Origin: o\nSHA256:\n {DIGEST} 5 main/binary-all/Packages\n".encode()),
        (7, control + f"Filename: pool/p.deb\nSize: 5\nSHA256: {DIGEST}\n\n".encode() * 1),
        (8, ar([("debian-binary", b"2.0\n"), ("control.tar", tar([("./control", control)])),
                ("data.tar", tar([("./usr/bin/p", b"program")]))])),
        (9, f"{DIGEST}  usr/bin/a\nSHA256 (b) = {DIGEST}\n".encode()),
        (10, gzip.compress(b"text", mtime=0)),
        (11, json.dumps({"config": {"digest": f"sha256:{DIGEST}"},
                         "layers": [{"digest": f"sha256:{DIGEST}"}]}).encode()),
        (12, json.dumps({"architecture": "amd64", "rootfs": {"diff_ids": [f"sha256:{DIGEST}"]}}).encode()),
        (13, tar([("usr/bin/.wh.gone", b""), ("usr/a" * 40, b"long name")])),
        (14, tar([(".PKGINFO", info), ("usr/bin/p", b"p")])),
        (15, f"#mtree\n/set type=file mode=644\n./a\\040b sha256digest={DIGEST}\n".encode()),
        (16, gzip.compress(tar([(".SIGN.RSA256.k", b"s")]), mtime=0)
             + gzip.compress(tar([(".PKGINFO", info)]), mtime=0) + gzip.compress(tar([]), mtime=0)),
        (17, gzip.compress(tar([(".PKGINFO", info)]), mtime=0)),
        (18, gzip.compress(tar([("usr/bin/p", b"p")]), mtime=0)),
        (19, json.dumps({"spdxVersion": "SPDX-2.3", "name": "n", "files": [{"fileName": "./a", "checksums": [
            {"algorithm": "SHA256", "checksumValue": DIGEST}]}]}).encode()),
        (20, json.dumps({"bomFormat": "CycloneDX", "components": [{"type": "file", "name": "a", "hashes": [
            {"alg": "SHA-256", "content": DIGEST}]}]}).encode()),
    ]
    bundle = {"mediaType": "application/vnd.dev.sigstore.bundle.v0.3+json",
              "verificationMaterial": {"publicKey": {"hint": "k"}},
              "dsseEnvelope": {"payloadType": "application/vnd.in-toto+json", "payload": "e30=",
                               "signatures": [{"sig": "MEUC"}]}}
    blob = {"mediaType": "application/vnd.dev.sigstore.bundle+json;version=0.1",
            "verificationMaterial": {"x509CertificateChain": {}},
            "messageSignature": {"messageDigest": {"algorithm": "SHA2_256", "digest": "q6ur" * 10 + "q6s="},
                                 "signature": "MEUC"}}
    spdx3 = {"@context": "https://spdx.org/rdf/3.0.1/spdx-context.jsonld", "@graph": [
        {"type": "SpdxDocument", "name": "n", "spdxId": "urn:n"},
        {"type": "software_File", "name": "./a", "verifiedUsing": [
            {"type": "Hash", "algorithm": "sha256", "hashValue": DIGEST}]}]}
    inputs += [
        ("1-files", rpm_header(62, [(268, 7, 4, b"\x88\x02\x04\x00"), (274, 8, 2, b"0302\0\0")])),
        ("19-3", json.dumps(spdx3).encode()),
        (21, tar([("oci-layout", b"{}"), ("blobs/sha256/" + DIGEST, b"blob")])),
        (22, b"%NAME%\np\n\n%VERSION%\n1-1\n\n%ARCH%\nany\n"),
        (23, json.dumps(bundle).encode()),
        ("23-blob", json.dumps(blob).encode()),
        ("23-keyless", json.dumps(json.loads(KEYLESS.read_text())).encode()),
        (24, json.dumps({"_type": "https://in-toto.io/Statement/v1", "subject": [
            {"name": "a", "digest": {"sha256": DIGEST}}]}).encode()),
    ]
    signed = {"mediaType": "application/vnd.dev.cosign.simplesigning.v1+json", "digest": f"sha256:{DIGEST}", "annotations": {
        "dev.cosignproject.cosign/signature": "MEUC", "dev.sigstore.cosign/certificate": "c"}}
    inputs += [
        ("11-index", json.dumps({"manifests": [{"digest": f"sha256:{DIGEST}", "annotations": {
            "kind": "dev.cosignproject.cosign/sigs", "org.opencontainers.image.ref.name": "t"}}]}).encode()),
        ("11-signed", json.dumps({"subject": {"digest": f"sha256:{DIGEST}"}, "config": {"digest": f"sha256:{DIGEST}"},
                                  "layers": [signed]}).encode()),
        (25, json.dumps({"critical": {"image": {"docker-manifest-digest": f"sha256:{DIGEST}"},
                                      "type": "cosign container image signature"}}).encode()),
        ("0-entry", b"\x09\x08" + b"\xff" * 8 + b"".join(little(len(word)) + word for word in [b"d" * 32, b"n", b"1", b"all", b"p"])),
        ("0-file", b"\x03\x08\x01" + b"\xff" * 12 + b"".join(little(len(word)) + word for word in [b"d" * 32, b"/usr/bin/a"])),
        ("0-octets", b"\x07\x01" + little(3) + b"sig"),
    ]
    for code, octets in inputs:
        (FOLDER / f"seed-{code}").write_bytes(bytes([int(str(code).split("-")[0])]) + octets)
    ima_seeds(FOLDER.parent / "ima")


if __name__ == "__main__":
    main()
