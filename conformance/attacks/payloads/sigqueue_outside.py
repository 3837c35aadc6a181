# A queued signal to a process outside.
system_call(machine(129, 138), parameters["outside_pid"], int(signal.SIGTERM), struct.pack("<iii", 15, 0, -1) + bytes(116))
result = "signal sent"
