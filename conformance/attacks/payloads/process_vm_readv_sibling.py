# The secret without opening or attaching to anything.
class Vector(ctypes.Structure):
    _fields_ = [("base", ctypes.c_void_p), ("length", ctypes.c_size_t)]


target = ctypes.create_string_buffer(sibling["length"])
here = Vector(ctypes.addressof(target), sibling["length"])
there = Vector(sibling["address"], sibling["length"])
system_call(machine(310, 270), sibling["pid"], ctypes.byref(here), 1, ctypes.byref(there), 1, 0)
result = target.raw.decode()
