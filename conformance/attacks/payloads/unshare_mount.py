# A mount namespace of one's own, in which paths can be made to mean what they do not.
def attack():
    before = os.readlink("/proc/self/ns/mnt")
    checked(libc.unshare(0x00020000))
    return "another mount namespace" if os.readlink("/proc/self/ns/mnt") != before else "the same"


result = in_child(attack)
