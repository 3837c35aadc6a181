# The same by F_SETOWN_EX, which names the process in memory.
F_SETOWN_EX, F_SETSIG, F_GETFL, F_SETFL, O_ASYNC = 15, 10, 3, 4, 0o20000
reader, writer = os.pipe()
checked(libc.fcntl(reader, F_SETSIG, int(signal.SIGTERM)))
checked(libc.fcntl(reader, F_SETOWN_EX, struct.pack("<ii", 1, parameters["outside_pid"])))
checked(libc.fcntl(reader, F_SETFL, libc.fcntl(reader, F_GETFL) | O_ASYNC))
os.write(writer, b"x")
result = "written"
