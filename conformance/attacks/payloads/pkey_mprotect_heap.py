# As mprotect_heap, by the other system call that does the same.
code = machine(b"\xb8\x2a\x00\x00\x00\xc3", b"\x40\x05\x80\x52\xc0\x03\x5f\xd6")
libc.valloc.restype = ctypes.c_void_p
page = libc.valloc(ctypes.c_size_t(65536))
ctypes.memmove(page, code, len(code))
system_call(machine(329, 288), page, 4096, mmap.PROT_READ | mmap.PROT_WRITE | mmap.PROT_EXEC, -1)
result = f"machine code returned {ctypes.CFUNCTYPE(ctypes.c_int)(page)()}"
