# /usr/bin/wc is allowed below the service's shell; the service itself never runs it.
result = in_child(lambda: os.execv("/usr/bin/wc", ["wc", "-l", f"{parameters['workdir']}/data/a.txt"]))
