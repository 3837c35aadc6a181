// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * Sockets.
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

/* A message to no address goes where a connection was judged: no event, and a server's every answer is one. */
SEC("lsm.s/socket_sendmsg")
int BPF_PROG(socket_sendmsg, struct socket *sock, struct msghdr *msg, int size)
{
	void *name = msg->msg_name;
	int length = msg->msg_namelen;
	struct task *task;
	struct sock *sk;

	if (!name || length <= 0) {
		task = own_entry();
		if (!task)
			return 0;
		if (task->flags & TASK_SENDS_TO_ADDRESS)
			sends_to_address(task, 0);
		return living(task) ? 0 : -EPERM;
	}
	BEGIN(SOCKET_SENDMSG);
	sends_to_address(a.task, 1);
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
