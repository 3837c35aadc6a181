# Another root directory.
def attack():
    os.chroot(parameters["workdir"])
    return "in another root" if os.path.exists("/uploads/plugin.bin") else "not"


result = in_child(attack)
