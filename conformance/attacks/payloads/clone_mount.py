# The same by clone(2) flags.
def attack():
    before = os.readlink("/proc/self/ns/mnt")
    child = system_call(machine(56, 220), 0x00020000 | 17, 0, 0, 0, 0)
    if child == 0:
        another = os.readlink("/proc/self/ns/mnt") != before
        os.write(1, b"another mount namespace" if another else b"the same")
        os._exit(0)
    os.waitpid(child, 0)
    return ""


result = in_child(attack)
