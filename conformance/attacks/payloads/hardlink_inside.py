# A second name for the secret.
link = f"{parameters['workdir']}/uploads/link"
os.link(parameters["secret"], link)
with open(link) as file:
    result = file.read()
