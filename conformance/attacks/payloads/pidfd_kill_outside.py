# The same by a descriptor.
file = os.pidfd_open(parameters["outside_pid"])
signal.pidfd_send_signal(file, signal.SIGTERM)
result = "signal sent"
