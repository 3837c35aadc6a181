# A symbolic link to the secret under a name that the service writes, then read.
link = f"{parameters['workdir']}/uploads/link"
os.symlink(parameters["secret"], link)
with open(link) as file:
    result = file.read()
