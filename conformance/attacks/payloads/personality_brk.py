# As personality_exec, by the heap: brk(2) makes it executable as well, and asks nobody.
def attack():
    checked(libc.personality(ctypes.c_ulong(0x0400000)))
    code = machine(b"\xb8\x2a\x00\x00\x00\xc3", b"\x40\x05\x80\x52\xc0\x03\x5f\xd6")
    libc.sbrk.restype = ctypes.c_void_p
    page = (libc.sbrk(ctypes.c_long(8192)) + 4095) & ~4095
    ctypes.memmove(page, code, len(code))
    return f"machine code returned {ctypes.CFUNCTYPE(ctypes.c_int)(page)()}"


result = in_child(attack)
