# The victim's own interpreter again, with other arguments.
result = in_child(lambda: os.execv("/proc/self/exe", ["python3", "-c", "print('executed', 'again')"]))
