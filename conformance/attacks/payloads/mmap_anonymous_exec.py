# Fresh memory that is writable and executable from the start.
code = machine(b"\xb8\x2a\x00\x00\x00\xc3", b"\x40\x05\x80\x52\xc0\x03\x5f\xd6")
memory = mmap.mmap(-1, 4096, mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS, mmap.PROT_READ | mmap.PROT_WRITE | mmap.PROT_EXEC)
memory.write(code)
start = ctypes.addressof(ctypes.c_char.from_buffer(memory))
result = f"machine code returned {ctypes.CFUNCTYPE(ctypes.c_int)(start)()}"
