# A System V segment that is attached as executable.
def attack():
    code = machine(b"\xb8\x2a\x00\x00\x00\xc3", b"\x40\x05\x80\x52\xc0\x03\x5f\xd6")
    segment = checked(libc.shmget(0, ctypes.c_size_t(4096), 0o1700))
    libc.shmat.restype = ctypes.c_void_p
    start = libc.shmat(segment, None, 0o100000)
    refusal = ctypes.get_errno()
    libc.shmctl(segment, 0, None)
    if start == 2**64 - 1:
        raise OSError(refusal, "shmat")
    ctypes.memmove(start, code, len(code))
    return f"machine code returned {ctypes.CFUNCTYPE(ctypes.c_int)(start)()}"


result = in_child(attack)
