# The same by clone(2) flags.
def attack():
    child = system_call(machine(56, 220), 0x10000000 | 17, 0, 0, 0, 0)
    if child == 0:
        os.write(1, f"uid {os.getuid()} in a user namespace".encode())
        os._exit(0)
    os.waitpid(child, 0)
    return ""


result = in_child(attack)
