# A socket that forges packets.
with socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_ICMP) as raw:
    result = f"raw socket type {raw.getsockopt(socket.SOL_SOCKET, socket.SO_TYPE)}"
