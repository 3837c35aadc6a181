#!/usr/bin/env python3
"""Seeds the corpora from the conformance vectors: one input for each event and each odd form."""

import json
import pathlib

HERE = pathlib.Path(__file__).resolve().parent
VECTORS = HERE.parent / "conformance" / "vectors" / "events.jsonl"
# Events whose fields together have every type.
KINDS = {"mmap_file", "socket_connect", "task_prctl", "inode_symlink", "inode_setxattr",
         "msg_queue_msgrcv", "sb_mount"}


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


def write(corpus, name, octets):
    folder = HERE / "corpus" / corpus
    folder.mkdir(parents=True, exist_ok=True)
    (folder / f"seed-{name}").write_bytes(octets)


if __name__ == "__main__":
    main()
