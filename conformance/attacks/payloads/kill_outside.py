# A process that is no part of the namespace.
os.kill(parameters["outside_pid"], signal.SIGTERM)
result = "signal sent"
