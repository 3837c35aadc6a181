# The secret by /proc/PID/mem.
with open(f"/proc/{sibling['pid']}/mem", "rb", buffering=0) as memory:
    result = os.pread(memory.fileno(), sibling["length"], sibling["address"]).decode()
