# The secret by another road: /proc/self/root and a descriptor of a directory.
directory = os.open("/proc/self/root", os.O_PATH | os.O_DIRECTORY)
file = os.open(parameters["secret"].lstrip("/"), os.O_RDONLY, dir_fd=directory)
result = os.read(file, 200).decode()
