# A ring is set up; that alone is the door.
settings = ctypes.create_string_buffer(120)
result = f"ring {system_call(425, 4, settings)}"
