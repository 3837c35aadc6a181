// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * Sockets: what is received, asked and set; netlink.
 */
#define SOCKET_RECVMSG 54
#define SOCKET_GETSOCKNAME 55
#define SOCKET_GETPEERNAME 56
#define SOCKET_SETSOCKOPT 57
#define SOCKET_SHUTDOWN 58
#define NETLINK_SEND 82

#define NETLINK_HEADER 16
#define NETLINK_MESSAGES_MAX 64

#define SOCKET_EVENT(kind)                                                                     \
	BEGIN_FULL(kind);                                                                      \
	put_socket(a.s, BPF_CORE_READ(sock, sk))

SEC("lsm.s/socket_recvmsg")
int BPF_PROG(full_socket_recvmsg, struct socket *sock)
{
	SOCKET_EVENT(SOCKET_RECVMSG);
	put_local(a.s, BPF_CORE_READ(sock, sk));
	DECIDE_SLEEPING(SOCKET_RECVMSG);
}

SEC("lsm.s/socket_getsockname")
int BPF_PROG(full_socket_getsockname, struct socket *sock)
{
	SOCKET_EVENT(SOCKET_GETSOCKNAME);
	DECIDE_SLEEPING(SOCKET_GETSOCKNAME);
}

SEC("lsm.s/socket_getpeername")
int BPF_PROG(full_socket_getpeername, struct socket *sock)
{
	SOCKET_EVENT(SOCKET_GETPEERNAME);
	DECIDE_SLEEPING(SOCKET_GETPEERNAME);
}

SEC("lsm/socket_setsockopt")
int BPF_PROG(full_socket_setsockopt, struct socket *sock, int level, int option)
{
	SOCKET_EVENT(SOCKET_SETSOCKOPT);
	put32(a.s, level);
	put32(a.s, option);
	DECIDE_NOW(SOCKET_SETSOCKOPT);
}

SEC("lsm.s/socket_shutdown")
int BPF_PROG(full_socket_shutdown, struct socket *sock, int how)
{
	SOCKET_EVENT(SOCKET_SHUTDOWN);
	put32(a.s, how);
	DECIDE_SLEEPING(SOCKET_SHUTDOWN);
}

struct messages {
	struct task *task;
	struct scratch *s;
	struct namespace *ns;
	struct sock *sk;
	const void *at;
	__u32 left;
	int answer;
};

/* One send may hold several messages; each is an event, and one that is denied denies the send. */
static long judge_message(__u32 i, struct messages *m)
{
	__u32 length = 0;
	__u16 type = 0;

	if (m->left >= NETLINK_HEADER) {
		bpf_probe_read_kernel(&length, sizeof(length), m->at);
		bpf_probe_read_kernel(&type, sizeof(type), m->at + 4);
	}
	m->s->message.flags = 0;
	open_cell(m->s, NETLINK_SEND);
	put_socket(m->s, m->sk);
	put32(m->s, type);
	if (i == NETLINK_MESSAGES_MAX)
		m->s->failed = 1;
	m->answer = decide_sleeping(m->task, m->s, m->ns, NETLINK_SEND);
	length = (length + 3) & ~3u;
	if (m->answer || length < NETLINK_HEADER || length >= m->left)
		return 1;
	m->at += length;
	m->left -= length;
	return 0;
}

SEC("lsm.s/netlink_send")
int BPF_PROG(full_netlink_send, struct sock *sk, struct sk_buff *skb)
{
	struct messages m = {};

	BEGIN_FULL(NETLINK_SEND);
	m.task = a.task, m.s = a.s, m.ns = a.ns;
	m.sk = sk;
	m.at = BPF_CORE_READ(skb, data);
	m.left = BPF_CORE_READ(skb, len);
	bpf_loop(NETLINK_MESSAGES_MAX + 1, judge_message, &m, 0);
	return m.answer ? -EPERM : 0;
}
