# The memory of a process outside the namespace.
with open(f"/proc/{parameters['outside_pid']}/maps") as maps:
    start = int(maps.readline().partition("-")[0], 16)
with open(f"/proc/{parameters['outside_pid']}/mem", "rb", buffering=0) as memory:
    result = f"read outside: {os.pread(memory.fileno(), 4, start)[1:4].decode()}"
