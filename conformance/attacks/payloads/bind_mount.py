# The secret is mounted over a file that the service may read.
page = f"{parameters['workdir']}/data/a.txt"
checked(libc.mount(parameters["secret"].encode(), page.encode(), None, ctypes.c_ulong(4096), None))
with open(page) as file:
    result = file.read()
