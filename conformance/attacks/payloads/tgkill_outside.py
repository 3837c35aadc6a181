# A signal to a thread outside.
system_call(machine(234, 131), parameters["outside_pid"], parameters["outside_pid"], int(signal.SIGTERM))
result = "signal sent"
