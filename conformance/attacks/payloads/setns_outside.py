# The namespaces of a process outside are entered by its descriptor.
def attack():
    checked(libc.setns(os.pidfd_open(parameters["outside_pid"]), 0x00020000))
    return "entered another mount namespace"


result = in_child(attack)
