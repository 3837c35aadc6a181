# A program of the service's becomes setuid.
path = f"{parameters['workdir']}/uploads/plugin.bin"
os.chmod(path, 0o4755)
result = "setuid bit set" if os.stat(path).st_mode & 0o4000 else "not set"
