# Attach, read the secret word by word, detach.
PEEKDATA, ATTACH, DETACH = 2, 16, 17


def ptrace(request, address=0):
    libc.ptrace.restype = ctypes.c_long
    ctypes.set_errno(0)
    word = libc.ptrace(ctypes.c_long(request), ctypes.c_long(sibling["pid"]), ctypes.c_void_p(address), ctypes.c_void_p(0))
    if word == -1 and ctypes.get_errno():
        raise OSError(ctypes.get_errno(), "ptrace")
    return word


def attack():
    ptrace(ATTACH)
    os.waitpid(sibling["pid"], 0x40000000)
    words = [ptrace(PEEKDATA, sibling["address"] + offset) for offset in range(0, sibling["length"], 8)]
    ptrace(DETACH)
    return b"".join(struct.pack("<q", word) for word in words)[: sibling["length"]].decode()


result = in_child(attack)
