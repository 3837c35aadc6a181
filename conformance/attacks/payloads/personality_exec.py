# An execution domain in which memory that can be read can be executed.
def attack():
    checked(libc.personality(ctypes.c_ulong(0x0400000)))
    code = machine(b"\xb8\x2a\x00\x00\x00\xc3", b"\x40\x05\x80\x52\xc0\x03\x5f\xd6")
    memory = mmap.mmap(-1, 4096, mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS, mmap.PROT_READ | mmap.PROT_WRITE)
    memory.write(code)
    start = ctypes.addressof(ctypes.c_char.from_buffer(memory))
    return f"machine code returned {ctypes.CFUNCTYPE(ctypes.c_int)(start)()}"


result = in_child(attack)
