# Root in a user namespace of one's own.
def attack():
    checked(libc.unshare(0x10000000))
    return f"capabilities {capabilities()}"


def capabilities():
    class Header(ctypes.Structure):
        _fields_ = [("version", ctypes.c_uint32), ("pid", ctypes.c_int)]

    data = (ctypes.c_uint32 * 6)()
    checked(libc.capget(ctypes.byref(Header(0x20080522, 0)), data))
    return "in a user namespace" if os.getuid() == 65534 and data[0] else "none"


result = in_child(attack)
