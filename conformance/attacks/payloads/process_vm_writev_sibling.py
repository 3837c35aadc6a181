# The sibling's memory is overwritten, and read back in the same way.
class Vector(ctypes.Structure):
    _fields_ = [("base", ctypes.c_void_p), ("length", ctypes.c_size_t)]


def transfer(number, buffer):
    here = Vector(ctypes.addressof(buffer), sibling["length"])
    there = Vector(sibling["address"], sibling["length"])
    return system_call(number, sibling["pid"], ctypes.byref(here), 1, ctypes.byref(there), 1, 0)


written = transfer(machine(311, 271), ctypes.create_string_buffer(b"x" * sibling["length"]))
result = f"octets written: {written}"
