# Another identity.
def attack():
    checked(libc.setresuid(1, 1, 1))
    return f"now uid {os.getuid()}"


result = in_child(attack)
