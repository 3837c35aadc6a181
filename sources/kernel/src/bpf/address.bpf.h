/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Sockets and their addresses. The path of a UNIX socket is judged where the kernel has resolved it;
 * in the other socket events it is no address.
 */
#ifndef QUIXOTE_ADDRESS_H
#define QUIXOTE_ADDRESS_H

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

#define AUTOBOUND 5

/* unix(7): autobind makes a name of five hexadecimal digits. In canonical form none is another. */
static __noinline int is_autobound(const __u8 *name, __u32 length)
{
	__u8 text[8] = {};

	if (length != AUTOBOUND)
		return 0;
	bpf_probe_read_kernel(text, AUTOBOUND, name);
	for (int i = 0; i < AUTOBOUND; i++)
		if (!(text[i] >= '0' && text[i] <= '9') && !(text[i] >= 'a' && text[i] <= 'f'))
			return 0;
	return 1;
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
		if (is_autobound(rest + 1, length - 1)) {
			put16(s, sizeof("<ephemeral>") - 1);
			put_literal(s, "<ephemeral>");
			return 0;
		}
		put16(s, length - 1);
		put_octets(s, rest + 1, length - 1);
		return 0;
	}
	/* A path: no address here. */
	put8(s, ADDRESS_NONE);
	return 0;
}

/* A UNIX socket's own address: a path is none. Who bound it by one was judged where it was made. */
static __noinline int put_local_unix(struct scratch *s, struct unix_sock *socket)
{
	struct unix_address *address = BPF_CORE_READ(socket, addr);

	if (!address) {
		put8(s, ADDRESS_NONE);
		return 0;
	}
	put_unix_address(s, (void *)address + bpf_core_field_offset(struct unix_address, name) + 2,
			 BPF_CORE_READ(address, len) - 2);
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

#endif
