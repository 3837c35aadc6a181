# The kernel itself is asked to send the signal, when a pipe becomes readable.
F_SETOWN, F_SETSIG, F_GETFL, F_SETFL, O_ASYNC = 8, 10, 3, 4, 0o20000
reader, writer = os.pipe()
checked(libc.fcntl(reader, F_SETSIG, int(signal.SIGTERM)))
checked(libc.fcntl(reader, F_SETOWN, parameters["outside_pid"]))
checked(libc.fcntl(reader, F_SETFL, libc.fcntl(reader, F_GETFL) | O_ASYNC))
os.write(writer, b"x")
result = "written"
