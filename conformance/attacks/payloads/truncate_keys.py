# The keys are emptied without opening the file.
os.truncate(f"{parameters['workdir']}/home/.ssh/authorized_keys", 0)
result = "emptied"
