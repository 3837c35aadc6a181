# The same with the mount calls that work on descriptors.
page = f"{parameters['workdir']}/data/a.txt".encode()
tree = system_call(428, -100, parameters["secret"].encode(), 1)
system_call(429, tree, b"", -100, page, 4)
with open(page) as file:
    result = file.read()
