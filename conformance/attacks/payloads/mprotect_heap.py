# Machine code on the heap: `return 42`.
code = machine(b"\xb8\x2a\x00\x00\x00\xc3", b"\x40\x05\x80\x52\xc0\x03\x5f\xd6")
libc.valloc.restype = ctypes.c_void_p
page = libc.valloc(ctypes.c_size_t(65536))
ctypes.memmove(page, code, len(code))
checked(libc.mprotect(ctypes.c_void_p(page), ctypes.c_size_t(4096), mmap.PROT_READ | mmap.PROT_WRITE | mmap.PROT_EXEC))
result = f"machine code returned {ctypes.CFUNCTYPE(ctypes.c_int)(page)()}"
