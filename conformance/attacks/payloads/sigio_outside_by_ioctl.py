# The same by an ioctl of sockets: this request's own connection, kept open until its other end has closed it.
FIOSETOWN, F_SETSIG, F_GETFL, F_SETFL, O_ASYNC = 0x8901, 10, 3, 4, 0o20000
name, length = ctypes.create_string_buffer(128), ctypes.c_uint32(128)
connection = next(each for each in range(3, 64) if libc.getpeername(each, name, ctypes.byref(length)) == 0)
checked(libc.fcntl(connection, F_SETSIG, int(signal.SIGTERM)))
checked(libc.ioctl(connection, ctypes.c_ulong(FIOSETOWN), struct.pack("<i", parameters["outside_pid"])))
checked(libc.fcntl(connection, F_SETFL, libc.fcntl(connection, F_GETFL) | O_ASYNC))
if os.fork() == 0:
    time.sleep(5)
    os._exit(0)
result = "waiting"
