# The secret by a handle, without a path.
handle = ctypes.create_string_buffer(struct.pack("<Ii", 128, 0) + bytes(128))
mount = ctypes.c_int()
checked(libc.name_to_handle_at(-100, parameters["secret"].encode(), handle, ctypes.byref(mount), 0))
root = os.open(parameters["workdir"], os.O_RDONLY | os.O_DIRECTORY)
result = os.read(checked(libc.open_by_handle_at(root, handle, os.O_RDONLY)), 200).decode()
