# The upload that the service always makes, of a program this time; then it is run.
def attack():
    path = f"{parameters['workdir']}/uploads/plugin.bin"
    with open(path, "wb") as file:
        file.write(base64.b64decode(parameters["intruder"]))
    os.execv(path, [path])


result = in_child(attack)
