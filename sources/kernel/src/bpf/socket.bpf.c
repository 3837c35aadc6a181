// SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0
/*
 * Sockets. The path of a UNIX socket is judged where the kernel has resolved it; in the other
 * socket events it is no address.
 */
#define SOCKET_CREATE 5
#define SOCKET_SOCKETPAIR 6
#define SOCKET_BIND 7
#define SOCKET_CONNECT 8
#define SOCKET_LISTEN 9
#define SOCKET_ACCEPT 10
#define SOCKET_SENDMSG 11
#define UNIX_STREAM_CONNECT 12
#define UNIX_MAY_SEND 59

#define AF_UNSPEC 0
#define AF_UNIX 1
#define AF_INET 2
#define AF_INET6 10
#define AF_NETLINK 16
#define SOCK_DGRAM 2
#define ADDRESS_MAX 128

enum address_tag {
	ADDRESS_NONE,
	ADDRESS_INET,
	ADDRESS_INET6,
	ADDRESS_UNIX_PATH,
	ADDRESS_UNIX_ABSTRACT,
	ADDRESS_NETLINK,
	ADDRESS_NETWORK,
	ADDRESS_ANY,
	ADDRESS_OTHER,
};

#define PORT_EXACT 1

static __noinline int put_socket(struct scratch *s, struct sock *sk)
{
	put32(s, BPF_CORE_READ(sk, __sk_common.skc_family));
	put32(s, BPF_CORE_READ(sk, sk_type));
	put32(s, BPF_CORE_READ(sk, sk_protocol));
	return 0;
}

static __always_inline void put_port(struct scratch *s, __u16 network_order)
{
	put8(s, PORT_EXACT);
	put16(s, __builtin_bswap16(network_order));
}

static __noinline int put_other_address(struct scratch *s, __u32 family, const void *rest,
					__u32 length)
{
	if (length > ADDRESS_MAX) {
		s->failed = 1;
		return 0;
	}
	put8(s, ADDRESS_OTHER);
	put16(s, family);
	put16(s, length);
	put_octets(s, rest, length);
	return 0;
}

/* `struct sockaddr_un` after the family. */
static __noinline int put_unix_address(struct scratch *s, const __u8 *rest, __u32 length)
{
	__u8 first = 0;

	if (length == 0) {
		put8(s, ADDRESS_NONE);
		return 0;
	}
	bpf_probe_read_kernel(&first, 1, rest);
	if (first == 0) {
		put8(s, ADDRESS_UNIX_ABSTRACT);
		put16(s, length - 1);
		put_octets(s, rest + 1, length - 1);
		return 0;
	}
	/* A path: no address here. */
	put8(s, ADDRESS_NONE);
	return 0;
}

static __noinline int put_address(struct scratch *s, const void *address, int length)
{
	const __u8 *rest = address + 2;
	__u16 family = 0, port = 0;
	__u32 rest_length;

	if (length < 2 || length > ADDRESS_MAX) {
		put8(s, ADDRESS_NONE);
		return 0;
	}
	rest_length = length - 2;
	bpf_probe_read_kernel(&family, 2, address);
	bpf_probe_read_kernel(&port, 2, rest);
	if (family == AF_UNSPEC) {
		put8(s, ADDRESS_NONE);
	} else if (family == AF_INET && rest_length >= 6) {
		put8(s, ADDRESS_INET);
		put_octets(s, rest + 2, 4);
		put_port(s, port);
	} else if (family == AF_INET6 && rest_length >= 22) {
		put8(s, ADDRESS_INET6);
		put_octets(s, rest + 6, 16);
		put_port(s, port);
	} else if (family == AF_UNIX) {
		put_unix_address(s, rest, rest_length);
	} else if (family == AF_NETLINK) {
		__u32 groups = 0;

		if (rest_length >= 10)
			bpf_probe_read_kernel(&groups, 4, rest + 6);
		put8(s, ADDRESS_NETLINK);
		put32(s, groups);
	} else {
		put_other_address(s, family, rest, rest_length);
	}
	return 0;
}

/* The address of a UNIX socket that is bound: what it is found by. */
static __noinline int put_peer(struct scratch *s, struct unix_sock *peer)
{
	struct dentry *dentry = BPF_CORE_READ(peer, path.dentry);
	struct unix_address *address = BPF_CORE_READ(peer, addr);

	if (dentry) {
		put8(s, ADDRESS_UNIX_PATH);
		put_place(s, dentry, BPF_CORE_READ(peer, path.mnt), LAST_AS_IT_IS);
	} else if (address) {
		put_unix_address(s, (void *)address + bpf_core_field_offset(struct unix_address, name) + 2,
				 BPF_CORE_READ(address, len) - 2);
	} else {
		put8(s, ADDRESS_NONE);
	}
	return 0;
}

/* A socket's own address: of a UNIX socket the name it was bound by, if that is absolute. */
static __noinline int put_local_unix(struct scratch *s, struct unix_sock *socket)
{
	struct unix_address *address = BPF_CORE_READ(socket, addr);
	const __u8 *name;
	__u8 first = 0;

	if (!address) {
		put8(s, ADDRESS_NONE);
		return 0;
	}
	name = (void *)address + bpf_core_field_offset(struct unix_address, name) + 2;
	bpf_probe_read_kernel(&first, 1, name);
	if (first != '/') {
		put_unix_address(s, name, BPF_CORE_READ(address, len) - 2);
		return 0;
	}
	put8(s, ADDRESS_UNIX_PATH);
	put_text(s, (const char *)name);
	put32(s, 0);
	put_zeros(s, 1 + 32);
	return 0;
}

static __noinline int put_local(struct scratch *s, struct sock *sk)
{
	__u32 family = BPF_CORE_READ(sk, __sk_common.skc_family);
	struct inet_sock *inet = (void *)sk;

	if (family == AF_UNIX)
		return put_local_unix(s, (void *)sk);
	if (family == AF_INET) {
		__be32 host = BPF_CORE_READ(sk, __sk_common.skc_rcv_saddr);

		if (!host)
			host = BPF_CORE_READ(inet, inet_saddr);
		put8(s, ADDRESS_INET);
		put32(s, host);
		put_port(s, BPF_CORE_READ(inet, inet_sport));
	} else if (family == AF_INET6) {
		struct ipv6_pinfo *pinet6 = BPF_CORE_READ(inet, pinet6);
		__u64 zeros[2] = {}, host[2] = {};

		bpf_probe_read_kernel(host, 16,
				      (void *)sk +
					      bpf_core_field_offset(struct sock,
								    __sk_common.skc_v6_rcv_saddr));
		if (host[0] == zeros[0] && host[1] == zeros[1])
			bpf_probe_read_kernel(host, 16,
					      (void *)pinet6 +
						      bpf_core_field_offset(struct ipv6_pinfo,
									    saddr));
		put8(s, ADDRESS_INET6);
		put64(s, host[0]);
		put64(s, host[1]);
		put_port(s, BPF_CORE_READ(inet, inet_sport));
	} else if (family == AF_NETLINK) {
		put8(s, ADDRESS_NETLINK);
		put32(s, 0);
	} else {
		put8(s, ADDRESS_NONE);
	}
	return 0;
}

/* On a UNIX socket the peer is judged where it is found. */
static __always_inline void put_destination(struct scratch *s, struct sock *sk, const void *address,
					    int length)
{
	__u16 family = 0;

	bpf_probe_read_kernel(&family, 2, address);
	if (BPF_CORE_READ(sk, __sk_common.skc_family) == AF_UNIX || family == AF_UNSPEC)
		put8(s, ADDRESS_NONE);
	else
		put_address(s, address, length);
}

static __always_inline void sends_to_address(struct task *task, int does)
{
	if (does)
		task->flags |= TASK_SENDS_TO_ADDRESS;
	else
		task->flags &= ~TASK_SENDS_TO_ADDRESS;
}

SEC("lsm.s/socket_create")
int BPF_PROG(socket_create, int family, int type, int protocol, int kern)
{
	if (kern)
		return 0;
	BEGIN(SOCKET_CREATE);
	put32(a.s, family);
	put32(a.s, type);
	put32(a.s, protocol);
	DECIDE_SLEEPING(SOCKET_CREATE);
}

SEC("lsm.s/socket_socketpair")
int BPF_PROG(socket_socketpair, struct socket *one, struct socket *other)
{
	BEGIN(SOCKET_SOCKETPAIR);
	put_socket(a.s, BPF_CORE_READ(one, sk));
	DECIDE_SLEEPING(SOCKET_SOCKETPAIR);
}

SEC("lsm.s/socket_bind")
int BPF_PROG(socket_bind, struct socket *sock, struct sockaddr *address, int length)
{
	BEGIN(SOCKET_BIND);
	put_socket(a.s, BPF_CORE_READ(sock, sk));
	put_address(a.s, address, length);
	DECIDE_SLEEPING(SOCKET_BIND);
}

SEC("lsm.s/socket_connect")
int BPF_PROG(socket_connect, struct socket *sock, struct sockaddr *address, int length)
{
	struct sock *sk;

	BEGIN(SOCKET_CONNECT);
	sends_to_address(a.task, 1);
	sk = BPF_CORE_READ(sock, sk);
	put_socket(a.s, sk);
	put_destination(a.s, sk, address, length);
	DECIDE_SLEEPING(SOCKET_CONNECT);
}

SEC("lsm.s/socket_listen")
int BPF_PROG(socket_listen, struct socket *sock, int backlog)
{
	struct sock *sk;

	BEGIN(SOCKET_LISTEN);
	sk = BPF_CORE_READ(sock, sk);
	put_socket(a.s, sk);
	put_local(a.s, sk);
	DECIDE_SLEEPING(SOCKET_LISTEN);
}

SEC("lsm.s/socket_accept")
int BPF_PROG(socket_accept, struct socket *sock, struct socket *newsock)
{
	struct sock *sk;

	BEGIN(SOCKET_ACCEPT);
	sk = BPF_CORE_READ(sock, sk);
	put_socket(a.s, sk);
	put_local(a.s, sk);
	DECIDE_SLEEPING(SOCKET_ACCEPT);
}

/* A message to no address goes where a connection was judged. */
SEC("lsm.s/socket_sendmsg")
int BPF_PROG(socket_sendmsg, struct socket *sock, struct msghdr *msg, int size)
{
	struct sock *sk;
	void *name;
	int length;

	BEGIN(SOCKET_SENDMSG);
	name = BPF_CORE_READ(msg, msg_name);
	length = BPF_CORE_READ(msg, msg_namelen);
	sends_to_address(a.task, name && length > 0);
	if (!name || length <= 0)
		return 0;
	sk = BPF_CORE_READ(sock, sk);
	put_socket(a.s, sk);
	put_destination(a.s, sk, name, length);
	DECIDE_SLEEPING(SOCKET_SENDMSG);
}

SEC("lsm/unix_stream_connect")
int BPF_PROG(unix_stream_connect, struct sock *sock, struct sock *other, struct sock *newsk)
{
	BEGIN(UNIX_STREAM_CONNECT);
	put_socket(a.s, sock);
	put_peer(a.s, (void *)other);
	DECIDE_NOW(UNIX_STREAM_CONNECT);
}

SEC("lsm/unix_may_send")
int BPF_PROG(unix_may_send, struct socket *sock, struct socket *other)
{
	BEGIN(UNIX_MAY_SEND);
	if (!(a.task->flags & TASK_SENDS_TO_ADDRESS))
		return 0;
	put_socket(a.s, BPF_CORE_READ(sock, sk));
	put_peer(a.s, (void *)BPF_CORE_READ(other, sk));
	DECIDE_NOW(UNIX_MAY_SEND);
}
