# A process outside the namespace is stopped and looked into.
def attack():
    checked(libc.ptrace(ctypes.c_long(16), ctypes.c_long(parameters["outside_pid"]), None, None))
    os.waitpid(parameters["outside_pid"], 0x40000000)
    return "attached outside"


result = in_child(attack)
