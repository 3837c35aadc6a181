# A socket that hears every packet of the machine.
with socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(3)) as raw:
    result = f"packet socket family {raw.getsockopt(socket.SOL_SOCKET, 39)}"
