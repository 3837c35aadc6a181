# The same by way of /proc/self/fd, without close-on-exec tricks.
def attack():
    file = os.memfd_create("intruder", 0)
    os.write(file, base64.b64decode(parameters["intruder"]))
    os.execv(f"/proc/self/fd/{file}", ["intruder"])


result = in_child(attack)
