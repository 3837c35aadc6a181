#!/usr/bin/env python3
"""Seeds the corpora: from the conformance vectors one input for each event and each odd form; whole sessions with an agent."""

import hashlib
import json
import pathlib
import struct

HERE = pathlib.Path(__file__).resolve().parent
VECTORS = HERE.parent / "conformance" / "vectors" / "events.jsonl"
# Events whose fields together have every type.
KINDS = {"mmap_file", "socket_connect", "task_prctl", "inode_symlink", "inode_setxattr",
         "msg_queue_msgrcv", "sb_mount"}


HEADER = b"""quixote-model 1
workload x
profile core
hash sha256
serial 7
aggregate none
base none
source portable
runs 1
events 2
losses 0
created-by q
learned-on L
rule ephemeral 32768-60999
"""


def main():
    vectors = [json.loads(line) for line in VECTORS.read_text().splitlines()]
    chosen = [v for v in vectors if v["event"]["event"] in KINDS and "credentials" not in v["name"]]
    for number, vector in enumerate(chosen):
        write("decode", number, bytes.fromhex(vector["cell_encoding"]))
        write("text", number, vector["text"].encode())
        write("json", number, json.dumps(vector["event"]).encode())
    for number, vector in enumerate(v for v in vectors if v["name"].startswith("bpf: credentials")):
        write("decode", f"coe{number}", bytes.fromhex(vector["coe_encoding"]))
        write("text", f"coe{number}", vector["coe_text"].encode())
        write("json", f"coe{number}", json.dumps(vector["coe"]).encode())
    write_sessions()


def write_sessions():
    """Whole sessions with an agent: a model is loaded, events are judged, the record is read and attested to."""
    event = bytes.fromhex("00" * 8 + "01000000" + "00" + "00" + "01") + bytes(40) + open_passwd()
    rest = [(0x10, bytes(8)), (0x11, bytes(8) + b"\1" + bytes(7)), (0x17, event), (0x17, event), (0x15, b"\2"), (0x20, b"")]
    rest += [(0x21, bytes([table]) + bytes(8)) for table in (1, 2, 3, 4)] + [(0x22, b"challenge"), (0x12, bytes(8))]
    vouched = hashlib.sha256(b"x").digest() * 3
    for name, (mode, cached, references) in {"free": (1, 1, b""), "enforcing": (3, 2, b""), "vouched": (1, 1, vouched)}.items():
        counts = (2, len(HEADER), len(references) // 96)
        load = bytes([mode, 2, cached]) + bytes(64) + struct.pack("<III", *counts)
        told = [(0x02, b""), (0x03, load), (0x08, references), (0x04, HEADER), (0x06, b"\1" * 32 + b"\2" * 32), (0x07, b""), *rest]
        told += [(0x16, b"\5" + bytes(7))] if cached == 2 else []
        told = [(kind, body) for kind, body in told if body or kind != 0x08]
        messages = [struct.pack("<HBI", 5 + len(body), kind, number) + body for number, (kind, body) in enumerate(told, 1)]
        (HERE / "corpus/agent" / f"session-{name}").write_bytes(b"".join(messages))
        if name == "vouched":
            (HERE / "corpus/orchestrator/session").write_bytes(b"".join(messages))


def open_passwd():
    vectors = (json.loads(line) for line in VECTORS.read_text().splitlines())
    return next(bytes.fromhex(v["cell_encoding"]) for v in vectors if v["event"]["event"] == "file_open")


def write(corpus, name, octets):
    folder = HERE / "corpus" / corpus
    folder.mkdir(parents=True, exist_ok=True)
    (folder / f"seed-{name}").write_bytes(octets)


if __name__ == "__main__":
    main()
