# A program that was never in any file system, run through its descriptor.
def attack():
    file = os.memfd_create("intruder")
    os.write(file, base64.b64decode(parameters["intruder"]))
    arguments = (ctypes.c_char_p * 2)(b"intruder", None)
    environment = (ctypes.c_char_p * 1)(None)
    system_call(machine(322, 281), file, b"", arguments, environment, 0x1000)


result = in_child(attack)
