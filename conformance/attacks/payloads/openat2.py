# The secret by openat2, whose flags lie in memory.
how = struct.pack("<QQQ", os.O_RDONLY, 0, 0)
file = system_call(437, -100, parameters["secret"].encode(), how, len(how))
result = os.read(file, 200).decode()
