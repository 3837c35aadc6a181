# A signal to a process group outside.
os.killpg(parameters["outside_pid"], signal.SIGTERM)
result = "signal sent"
