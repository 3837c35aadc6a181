# The secret and a page exchange their names.
page = f"{parameters['workdir']}/data/a.txt"
system_call(machine(316, 276), -100, parameters["movable"].encode(), -100, page.encode(), 2)
with open(page) as file:
    result = file.read()
