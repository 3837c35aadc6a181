# A connection without connect(2).
with socket.socket() as connection:
    connection.sendto(b"sent without connect\n", 0x20000000, ("127.0.0.1", parameters["listener_port"]))
result = "sent"
