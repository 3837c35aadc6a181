#!/usr/bin/env python3
"""Conformance vectors, computed apart from the code that they check.

Written from docs/spec/01-events.md and 02-model.md with hashlib alone; the event table is read from
the tables of 01-events.md. Without arguments it writes the vectors; with --check it computes them
again and compares; the exit status is 1 where a file differs.
"""

import hashlib
import ipaddress
import json
import pathlib
import re
import sys

HERE = pathlib.Path(__file__).resolve().parent
SPEC = HERE.parent.parent / "docs" / "spec" / "01-events.md"
ZERO = bytes(32)
ALL_CAPABILITIES = (1 << 41) - 1


def main():
    check = sys.argv[1:] == ["--check"]
    if sys.argv[1:] and not check:
        sys.exit("usage: make_vectors.py [--check]")
    table, names = read_spec()
    spec = Spec(table, names)
    files = {
        "events.jsonl": events(spec),
        "chains.jsonl": chains(spec),
        "states.jsonl": states(),
        "references.jsonl": references(),
    }
    stale = [name for name, lines in files.items() if not settle(HERE / name, lines, check)]
    for name, lines in files.items():
        print(f"{name}: {len(lines)} vectors" + (", DIFFERS" if name in stale else ""))
    sys.exit(1 if stale else 0)


def settle(path, lines, check):
    text = "".join(json.dumps(line, ensure_ascii=True) + "\n" for line in lines)
    if check:
        return path.exists() and path.read_text() == text
    path.write_text(text)
    return True


def read_spec():
    table, names = [], {}
    for line in SPEC.read_text().splitlines():
        row = [column.strip() for column in line.strip().strip("|").split("|")]
        if len(row) == 5 and row[0].isdigit():
            fields = [field.split(": ") for field in row[3].split(", ") if field]
            table.append((int(row[0]), row[1], fields))
        elif len(row) == 3 and re.fullmatch("[A-Z0-9_]+", row[0]) and row[2].startswith("0x"):
            names.setdefault(row[0], {})[row[1]] = int(row[2], 16)
    assert len(table) >= 100 and "FILE_SYSTEM" in names, "the spec's tables were not found"
    return table, names


# --- the encoding, from the JSON form -------------------------------------------------------


def u(number, width):
    return number.to_bytes(width, "little")


def octets(value):
    return bytes.fromhex(value["hex"]) if isinstance(value, dict) else value.encode()


def hf(*parts):
    return hashlib.sha256(b"".join(parts)).digest()


def number(value):
    return int(value, 16) if isinstance(value, str) else value


class Spec:
    def __init__(self, table, names):
        self.table, self.names = table, names
        self.codes = {name: (code, fields) for code, name, fields in table}

    def bits(self, table, items):
        named = self.names[table]
        total = 0
        for item in items:
            total |= named[item] if item in named else number(item)
        return total

    def choose(self, table, value):
        return self.names[table][value] if isinstance(value, str) else value

    def coe(self, coe):
        order = ["uid", "euid", "suid", "fsuid", "gid", "egid", "sgid", "fsgid"]
        capabilities = self.bits("CAPABILITY", coe["capabilities"])
        return b"\x01" + b"".join(u(coe[name], 4) for name in order) + u(capabilities, 8)

    def cell(self, event):
        code, fields = self.codes[event["event"]]
        cells = event["cell"].values()
        # Version 2 opens a CELL that names a file by its reference; each file's content has a tag.
        self.version = 2 if any(isinstance(v, dict) and "reference" in v for v in cells) else 1
        values = [self.value(kind, event["cell"][name]) for name, kind in fields]
        return u(self.version, 1) + u(code, 2) + b"".join(values)

    def value(self, kind, value):
        kind, table = re.fullmatch(r"(\w+)(?:\((\w+)\))?", kind).groups()
        return getattr(self, "encode_" + kind)(value, table)

    def encode_Number32(self, value, _):
        return u(value, 4)

    def encode_Number64(self, value, _):
        return u(number(value), 8)

    def encode_Mode(self, value, _):
        return u(int(value, 8), 4)

    def encode_Flags(self, value, table):
        return u(self.bits(table, value), 4)

    def encode_Flags64(self, value, table):
        return u(self.bits(table, value), 8)

    def encode_Choice(self, value, table):
        return u(self.choose(table, value), 4)

    def encode_Text(self, value, _=None):
        text = octets(value)
        assert len(text) <= 4095
        return u(len(text), 2) + text

    def encode_Path(self, place, _=None):
        magic = self.choose("FILE_SYSTEM", place["fs"])
        maker = bytes.fromhex(place.get("maker", "00" * 32))
        generalised = u(int(place.get("generalised", False)), 1)
        return self.encode_Text(place["path"]) + u(magic, 4) + generalised + maker

    def encode_File(self, file, _=None):
        owner = u(file["uid"], 4) + u(file["gid"], 4) + u(int(file["mode"], 8), 4)
        assert not ("sha256" in file and "reference" in file)
        content = bytes.fromhex(file.get("reference", file.get("sha256", "00" * 32)))
        tag = b"" if self.version == 1 else u(int("reference" in file), 1)
        return self.encode_Path(file) + owner + tag + content

    def encode_OptionalFile(self, file, _):
        return b"\x00" if file is None else b"\x01" + self.encode_File(file)

    def encode_Socket(self, socket, _):
        family = self.choose("FAMILY", socket["family"])
        kind = self.choose("SOCKET_TYPE", socket["type"])
        return u(family, 4) + u(kind, 4) + u(socket["protocol"], 4)

    def encode_Task(self, task, _):
        if isinstance(task, dict):
            return b"\x01" + bytes.fromhex(task["task"])
        return {"outside": b"\x00", "own": b"\x02"}[task]

    def encode_Ipc(self, ipc, _):
        words = [ipc["uid"], ipc["gid"], ipc["creator_uid"], ipc["creator_gid"], int(ipc["mode"], 8)]
        return b"".join(u(word, 4) for word in words)

    def encode_Digest(self, value, _):
        return bytes.fromhex(value)

    def encode_Address(self, address, _):
        if isinstance(address, str):
            return {"none": b"\x00", "any": b"\x07"}[address]
        port = address.get("port")
        port = b"\x02" if port == "ephemeral" else b"\x01" + u(port or 0, 2)
        if "inet" in address:
            return b"\x01" + ipaddress.IPv4Address(address["inet"]).packed + port
        if "inet6" in address:
            return b"\x02" + ipaddress.IPv6Address(address["inet6"]).packed + port
        if "unix" in address:
            return b"\x03" + self.encode_Path(address["unix"])
        if "abstract" in address:
            return b"\x04" + self.encode_Text(address["abstract"])
        if "netlink" in address:
            return b"\x05" + u(address["netlink"], 4)
        if "network" in address:
            network = ipaddress.ip_network(address["network"])
            packed = network.network_address.packed
            return b"\x06" + u(len(packed), 1) + packed + u(network.prefixlen, 1) + port
        other = address["other"]
        rest = bytes.fromhex(other["hex"])
        assert len(rest) <= 128
        return b"\x08" + u(self.choose("FAMILY", other["family"]), 2) + u(len(rest), 2) + rest


# --- the text form, from the JSON form ------------------------------------------------------


def word(value):
    text = octets(value)
    if text and all(0x21 <= octet <= 0x7E and octet not in b'"\\{}' for octet in text):
        return text.decode()
    return quoted(text)


def quoted(text):
    out = ""
    for octet in text:
        if octet in b'"\\':
            out += "\\" + chr(octet)
        elif 0x20 <= octet <= 0x7E:
            out += chr(octet)
        else:
            out += f"\\x{octet:02x}"
    return f'"{out}"'


class Text:
    def __init__(self, spec):
        self.spec = spec

    def coe(self, coe):
        def ids(*names):
            found = [coe[name] for name in names]
            return str(found[0]) if len(set(found)) == 1 else ",".join(map(str, found))

        bits = self.spec.bits("CAPABILITY", coe["capabilities"])
        caps = self.capabilities(bits, coe["capabilities"])
        uids = ids("uid", "euid", "suid", "fsuid")
        return f"uid={uids} gid={ids('gid', 'egid', 'sgid', 'fsgid')} caps={caps}"

    def cell(self, event):
        _, fields = self.spec.codes[event["event"]]
        words = [event["event"]]
        for name, kind in fields:
            words.append(name + "=" + getattr(self, kind.split("(")[0])(event["cell"][name]))
        return " ".join(words)

    def capabilities(self, bits, items):
        missing = [name for name in self.spec.names["CAPABILITY"] if name not in items]
        if bits & ~ALL_CAPABILITIES or len(missing) > 20:
            return self.Flags(items)
        return "all" + "".join(f"-{name}" for name in missing)

    def Flags(self, items):
        return "|".join(
            hex(number(item)) if isinstance(item, int) or item.startswith("0x") else item
            for item in items
        ) or "none"

    Flags64 = Flags

    def Number32(self, value):
        return str(number(value))

    Number64 = Number32

    def Mode(self, value):
        return value

    Digest = Mode

    def Choice(self, value):
        return str(value)

    def Text(self, value):
        return word(value)

    def origin(self, place):
        text = " generalised" if place.get("generalised") else ""
        return text + (f" made-by:{place['maker']}" if "maker" in place else "")

    def fs(self, place):
        return place["fs"] if isinstance(place["fs"], str) else hex(place["fs"])

    def Path(self, place):
        return f"{word(place['path'])}{{{self.fs(place)}{self.origin(place)}}}"

    def File(self, file):
        digest = f" sha256:{file['sha256']}" if "sha256" in file else ""
        owner = f" {file['uid']}:{file['gid']} {file['mode']}"
        digest += f" reference:{file['reference']}" if "reference" in file else ""
        return f"{word(file['path'])}{{{self.fs(file)}{owner}{self.origin(file)}{digest}}}"

    def OptionalFile(self, file):
        return "none" if file is None else self.File(file)

    def Socket(self, socket):
        return f"{socket['family']}/{socket['type']}/{socket['protocol']}"

    def Task(self, task):
        return "task:" + task["task"] if isinstance(task, dict) else task

    def Ipc(self, ipc):
        creator = f"{ipc['creator_uid']}:{ipc['creator_gid']}"
        return f"{ipc['uid']}:{ipc['gid']}/{creator}/{ipc['mode']}"

    def Address(self, address):
        if isinstance(address, str):
            return address
        port = "*" if address.get("port") == "ephemeral" else str(address.get("port"))
        if "inet" in address:
            return f"{address['inet']}:{port}"
        if "inet6" in address:
            return f"[{address['inet6']}]:{port}"
        if "unix" in address:
            place = address["unix"]
            if octets(place["path"]).startswith(b"@"):
                return f"unix:{quoted(octets(place['path']))}{{{self.fs(place)}{self.origin(place)}}}"
            return "unix:" + self.Path(place)
        if "abstract" in address:
            return "unix:@" + word(address["abstract"])
        if "netlink" in address:
            return "netlink:" + hex(address["netlink"])
        if "network" in address:
            host, prefix = address["network"].split("/")
            return f"[{host}]/{prefix}:{port}" if ":" in host else f"{host}/{prefix}:{port}"
        return f"other:{address['other']['family']}:{address['other']['hex']}"


# --- the vectors ----------------------------------------------------------------------------

D1, D2 = hf(b"one").hex(), hf(b"two").hex()
ROOT = {"uid": 0, "euid": 0, "suid": 0, "fsuid": 0, "gid": 0, "egid": 0, "sgid": 0, "fsgid": 0}
SOCKET = {"family": "inet", "type": "stream", "protocol": 6}
LONG = "/" + "x" * 4094
NOT_UTF8 = {"hex": "2f746d702fff"}
PATHS = [
    {"path": "/etc/passwd", "fs": "ext4"},
    {"path": "", "fs": "none"},
    {"path": NOT_UTF8, "fs": "tmpfs"},
    {"path": '/tmp/a "b" {c}\\\n\t=,|', "fs": "tmpfs"},
    {"path": "/home/\u00e9/\u65e5\u672c", "fs": 0xFFFFFFFF},
    {"path": "pipe:", "fs": "pipefs"},
    {"path": "/tmp/*", "fs": "tmpfs", "generalised": True},
    {"path": "/tmp/*", "fs": "tmpfs", "generalised": True, "maker": D1},
    {"path": "/tmp/*", "fs": "tmpfs"},
]
LONG_PATH = {"path": LONG, "fs": "xfs"}
TEXTS = ["name", "", NOT_UTF8, 'a "quoted\\" name', "none", "@", {"hex": "ff" * 4}, "\u0000"]
OWNER = {"uid": 0, "gid": 0, "mode": "100644"}
ONES = {"uid": 0xFFFFFFFF, "gid": 0xFFFFFFFF, "mode": "37777777777"}
FILES = [dict(path, **OWNER) for path in PATHS]
FILES += [
    dict(PATHS[0], **ONES),
    dict(PATHS[0], **OWNER, sha256=D2),
    dict(PATHS[7], **OWNER, sha256=D2),
    dict(path="none", fs="ext4", **OWNER),
]
REFERRED = [
    dict(PATHS[0], **OWNER, reference=D2),
    dict(PATHS[7], **ONES, reference="ff" * 32),
]
ADDRESSES = [
    {"inet": "127.0.0.1", "port": 80},
    {"inet": "255.255.255.255", "port": 65535},
    {"inet": "0.0.0.0", "port": "ephemeral"},
    {"inet6": "::1", "port": 443},
    {"inet6": "2001:db8::ff00:42:8329", "port": 0},
    {"inet6": "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", "port": "ephemeral"},
    {"unix": {"path": "/run/x.sock", "fs": "tmpfs"}},
    {"unix": {"path": "@looks-abstract", "fs": "tmpfs"}},
    {"unix": {"path": "/run/*", "fs": "tmpfs", "generalised": True, "maker": D1}},
    {"abstract": "name"},
    {"abstract": ""},
    {"abstract": {"hex": "00ff20"}},
    {"netlink": 0},
    {"netlink": 0xFFFFFFFF},
    {"network": "10.0.0.0/8", "port": 443},
    {"network": "0.0.0.0/0", "port": "ephemeral"},
    {"network": "192.0.2.1/32", "port": 1},
    {"network": "fd00::/8", "port": 443},
    {"network": "::/0", "port": "ephemeral"},
    {"other": {"family": "packet", "hex": "0003"}},
    {"other": {"family": 65535, "hex": "ff" * 128}},
    {"other": {"family": "unspec", "hex": ""}},
    "any",
    "none",
]
IPC = {"uid": 1, "gid": 2, "creator_uid": 3, "creator_gid": 4, "mode": "600"}
ONES_IPC = dict.fromkeys(IPC, 0xFFFFFFFF) | {"mode": "37777777777"}


def variants(spec, kind):
    """Values of a type; the first is the ordinary one."""
    kind, table = re.fullmatch(r"(\w+)(?:\((\w+)\))?", kind).groups()
    names = list(spec.names.get(table, {}))
    bits = [name for name in names if spec.names[table][name]]
    width = 64 if kind == "Flags64" else 32
    rest = ((1 << width) - 1) & ~sum(spec.names[table][name] for name in bits) if bits else 0
    rest = rest if rest < 1 << 53 else hex(rest)
    return {
        "Number32": [1, 0, 0xFFFFFFFF],
        "Number64": [1, 0, (1 << 53) - 1, "0x20000000000000", "0xffffffffffffffff"],
        "Mode": ["100644", "0", "37777777777"],
        "Flags": [bits[:1], [], bits[:2], bits + [rest]],
        "Flags64": [bits[:1], [], bits[:2], bits + [rest]],
        "Choice": [*names[:2], 0xFFFFFFFE],
        "Text": TEXTS,
        "Path": PATHS,
        "File": FILES,
        "OptionalFile": [*FILES, None],
        "Socket": [
            SOCKET,
            {"family": "unix", "type": "seqpacket", "protocol": 0},
            {"family": 0xFFFFFFFF, "type": 0xFFFFFFFF, "protocol": 0xFFFFFFFF},
        ],
        "Address": ADDRESSES,
        "Task": [{"task": D1}, "own", "outside"],
        "Ipc": [IPC, ONES_IPC],
        "Digest": [D1, "00" * 32, "ff" * 32],
    }[kind]


def coes(spec):
    capabilities = list(spec.names["CAPABILITY"])
    rest = hex(((1 << 64) - 1) & ~ALL_CAPABILITIES)
    distinct = dict(zip(ROOT, range(1, 9)))
    return [
        {**ROOT, "capabilities": []},
        {**ROOT, "capabilities": capabilities},
        {**distinct, "capabilities": ["chown", "net_bind_service"]},
        {**ROOT, "capabilities": capabilities[:-1]},
        {**ROOT, "capabilities": capabilities[20:]},
        {**ROOT, "capabilities": capabilities[21:]},
        {**dict.fromkeys(ROOT, 0xFFFFFFFF), "capabilities": capabilities + [rest]},
    ]


def event_vector(spec, name, coe, event, parent, task):
    coe_encoding, cell_encoding = spec.coe(coe), spec.cell(event)
    digests = hf(coe_encoding), hf(cell_encoding)
    return {
        "name": name,
        "coe": coe,
        "event": event,
        "coe_text": Text(spec).coe(coe),
        "text": Text(spec).cell(event),
        "coe_encoding": coe_encoding.hex(),
        "cell_encoding": cell_encoding.hex(),
        "coe_digest": digests[0].hex(),
        "cell_digest": digests[1].hex(),
        "ptask_id": parent.hex(),
        "task_id": task.hex(),
        "coefficient": hf(hf(event["event"].encode()), parent, task, *digests).hex(),
    }


def events(spec):
    lines = []
    credentials = coes(spec)
    parent, task = hf(b"parent"), hf(b"task")

    def add(name, coe, event, ids=(parent, task)):
        lines.append(event_vector(spec, name, coe, event, *ids))

    for code, event, fields in spec.table:
        plain = {name: variants(spec, kind)[0] for name, kind in fields}
        ordinary = {"event": event, "cell": plain}
        add(f"{event}: ordinary", credentials[0], ordinary, (ZERO, ZERO))
        for index, coe in enumerate(credentials):
            add(f"{event}: credentials {index}", coe, ordinary)
        for name, kind in fields:
            odd = variants(spec, kind)[1:]
            odd += long_values(kind) if code <= 27 else []
            for index, value in enumerate(odd):
                cell = {"event": event, "cell": {**plain, name: value}}
                add(f"{event}: {name} {index}", credentials[0], cell)
            for index, value in enumerate(REFERRED if kind.endswith("File") else []):
                cell = {"event": event, "cell": {**plain, name: value}}
                add(f"{event}: {name} by reference {index}", credentials[0], cell)
    return lines


def long_values(kind):
    """The longest path of 4095 octets, once for each event that files are acted on with."""
    return {
        "Path": [LONG_PATH],
        "File": [dict(LONG_PATH, **OWNER)],
        "OptionalFile": [dict(LONG_PATH, **OWNER)],
        "Text": [LONG],
        "Address": [{"unix": LONG_PATH}],
    }.get(kind, [])


def chains(spec):
    """Execs of one process, without forks: every link with the identity before and after it."""
    lines = []
    credentials = coes(spec)
    programs = [["/bin/sh"], ["/bin/sh", "/bin/ls"], ["/bin/ls"], ["/bin/sh"] * 4]
    for number_of_chain, chain in enumerate(programs):
        parent = task = ZERO
        for link, program in enumerate(chain):
            file = dict(path=program, fs="ext4", uid=0, gid=0, mode="100755", sha256=D1)
            event = {"event": "bprm_committed_creds", "cell": {"file": file, "script": None}}
            coe = credentials[link % len(credentials)]
            digests = hf(spec.coe(coe)), hf(spec.cell(event))
            parent, task = task, hf(hf(b"bprm_committed_creds"), task, ZERO, *digests)
            name = f"chain {number_of_chain}, link {link}"
            line = event_vector(spec, name, coe, event, parent, task)
            lines.append({"chain": number_of_chain, "link": link, **line})
    return lines


def states():
    lists = {
        "nothing": [],
        "one": [hf(b"a")],
        "ascending": sorted(hf(bytes([n])) for n in range(8)),
        "descending": sorted((hf(bytes([n])) for n in range(8)), reverse=True),
        "repeated": [hf(b"a"), hf(b"b"), hf(b"a"), hf(b"a")],
        "zeros and ones": [b"\xff" * 32, ZERO],
        "hundred": [hf(b"coefficient", bytes([n])) for n in range(100)],
    }
    platforms = {
        "none": (ZERO, ZERO),
        "base": (hf(b"nonce"), ZERO),
        "aggregate": (ZERO, hf(b"aggregate")),
        "both": (hf(b"nonce"), hf(b"aggregate")),
    }
    lines = []
    for name, coefficients in lists.items():
        for platform, (base, aggregate) in platforms.items():
            lines.append({
                "name": f"{name}, platform {platform}",
                "base": base.hex(),
                "aggregate": aggregate.hex(),
                "coefficients": [coefficient.hex() for coefficient in coefficients],
                "measurement": fold(base, aggregate, coefficients).hex(),
                "state": fold(base, aggregate, sorted(set(coefficients))).hex(),
            })
    return lines


def references():
    """Reference rules: the text in a model, and what stands in a CELL for them."""
    key, other = "9fed2bcbdcd29cdf762678cbaed4b06f473041fa", "ed25519:" + "0f" * 32
    rules = [
        ("deb", "nginx", "amd64", "1.22.1-9", [key], "expired-refused"),
        ("deb", "nginx", "amd64", "1:2.0~rc1-1", [key], "expired-accepted"),
        ("deb", "nginx", "all", None, [key], "expired-refused"),
        ("deb", "nginx", "amd64", "1.22.1-9", [other, key], "expired-refused"),
        ("rpm", "nginx", "amd64", "1.22.1-9", [key], "expired-refused"),
        ("x" * 255, "!~", '"', "\\", [str(n) for n in range(64)], "expired-refused"),
    ]
    lines = []
    for kind, package, architecture, minimum, signers, expired in rules:
        signers = sorted(signers)
        text = f"reference {kind} {package} {architecture} {minimum or '*'} "
        parts = [kind, package, architecture, *signers]
        parts = [u(len(part), 2) + part.encode() for part in parts]
        preimage = b"\x01" + b"".join(parts[:3]) + u(len(signers), 2) + b"".join(parts[3:])
        lines.append({
            "format": kind,
            "package": package,
            "architecture": architecture,
            "minimum": minimum,
            "signers": signers,
            "expired": expired,
            "text": text + ",".join(signers) + " " + expired,
            "identity": hf(preimage).hex(),
        })
    return lines


def fold(base, aggregate, coefficients):
    value = ZERO
    for coefficient in [aggregate, *coefficients]:
        value = hf(value, hf(base, coefficient))
    return value


if __name__ == "__main__":
    main()
