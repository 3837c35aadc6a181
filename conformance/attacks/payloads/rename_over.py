# The secret takes the name of a page.
os.rename(parameters["movable"], f"{parameters['workdir']}/data/a.txt")
with open(f"{parameters['workdir']}/data/a.txt") as file:
    result = file.read()
