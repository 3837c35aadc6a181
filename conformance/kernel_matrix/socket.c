// SPDX-License-Identifier: Apache-2.0 OR MIT
/* Sockets, on loopback and in the working folder only. */
#include "triggers.h"
#include <arpa/inet.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/un.h>

enum { PORT = 7011 };

static int ours = -1;
static int peer = -1;
static struct sockaddr_in internet = { .sin_family = AF_INET };
static struct sockaddr_un local = { .sun_family = AF_UNIX, .sun_path = "socket" };

#define INTERNET ((struct sockaddr *)&internet)
#define LOCAL ((struct sockaddr *)&local)

static outcome make_stream(void)
{
	internet.sin_port = htons(PORT);
	internet.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	STEP(ours = socket(AF_INET, SOCK_STREAM, 0));
	return RESULT(setsockopt(ours, SOL_SOCKET, SO_REUSEADDR, &(int){ 1 }, sizeof(int)));
}

static outcome make_bound(void)
{
	outcome error = make_stream();

	return error ? error : RESULT(bind(ours, INTERNET, sizeof(internet)));
}

static outcome make_listening(void)
{
	outcome error = make_bound();

	return error ? error : RESULT(listen(ours, 4));
}

static outcome make_peer(void)
{
	outcome error = make_listening();

	if (error)
		return error;
	STEP(peer = socket(AF_INET, SOCK_STREAM, 0));
	return 0;
}

static outcome make_connected(void)
{
	outcome error = make_peer();

	return error ? error : RESULT(connect(peer, INTERNET, sizeof(internet)));
}

static outcome create(void)
{
	return RESULT(socket(AF_INET6, SOCK_DGRAM, 0));
}

static outcome create_pair(void)
{
	int pair[2];

	return RESULT(socketpair(AF_UNIX, SOCK_SEQPACKET, 0, pair));
}

static outcome give_address(void)
{
	return RESULT(bind(ours, INTERNET, sizeof(internet)));
}

static bool has_address(void)
{
	struct sockaddr_in name = {};
	socklen_t length = sizeof(name);

	return getsockname(ours, (struct sockaddr *)&name, &length) == 0 && name.sin_port != 0;
}

static outcome connect_peer(void)
{
	return RESULT(connect(peer, INTERNET, sizeof(internet)));
}

static bool is_connected(void)
{
	struct sockaddr_in name = {};
	socklen_t length = sizeof(name);

	return getpeername(peer, (struct sockaddr *)&name, &length) == 0;
}

static outcome begin_listening(void)
{
	return RESULT(listen(ours, 4));
}

static bool is_listening(void)
{
	int listens = 0;
	socklen_t length = sizeof(listens);

	return getsockopt(ours, SOL_SOCKET, SO_ACCEPTCONN, &listens, &length) == 0 && listens;
}

static outcome accept_connection(void)
{
	return RESULT(accept(ours, NULL, NULL));
}

static outcome make_datagram(void)
{
	outcome error = make_stream();

	if (error)
		return error;
	STEP(ours = socket(AF_INET, SOCK_DGRAM, 0));
	STEP(bind(ours, INTERNET, sizeof(internet)));
	STEP(peer = socket(AF_INET, SOCK_DGRAM, 0));
	return 0;
}

static outcome send_datagram(void)
{
	return RESULT(sendto(peer, "x", 1, 0, INTERNET, sizeof(internet)));
}

/* Without receiving, which would be an event of its own. */
static bool has_arrived(void)
{
	struct pollfd waiting = { .fd = ours, .events = POLLIN };

	return poll(&waiting, 1, 0) == 1;
}

static outcome make_datagram_sent(void)
{
	outcome error = make_datagram();

	return error ? error : send_datagram();
}

static outcome receive_message(void)
{
	char octet;

	return RESULT(recv(ours, &octet, 1, 0));
}

static bool was_received(void)
{
	return !has_arrived();
}

static outcome read_own_address(void)
{
	struct sockaddr_in name = {};
	socklen_t length = sizeof(name);

	return RESULT(getsockname(ours, (struct sockaddr *)&name, &length));
}

static outcome read_peer_address(void)
{
	struct sockaddr_in name = {};
	socklen_t length = sizeof(name);

	return RESULT(getpeername(peer, (struct sockaddr *)&name, &length));
}

static outcome set_option(void)
{
	return RESULT(setsockopt(ours, SOL_SOCKET, SO_KEEPALIVE, &(int){ 1 }, sizeof(int)));
}

static bool option_is_set(void)
{
	int value = 0;
	socklen_t length = sizeof(value);

	return getsockopt(ours, SOL_SOCKET, SO_KEEPALIVE, &value, &length) == 0 && value;
}

static outcome shut_down(void)
{
	return RESULT(shutdown(peer, SHUT_WR));
}

static outcome make_local(int type)
{
	STEP(ours = socket(AF_UNIX, type, 0));
	STEP(bind(ours, LOCAL, sizeof(local)));
	if (type == SOCK_STREAM)
		STEP(listen(ours, 4));
	STEP(peer = socket(AF_UNIX, type, 0));
	return 0;
}

static outcome make_local_stream(void)
{
	return make_local(SOCK_STREAM);
}

static outcome make_local_datagram(void)
{
	return make_local(SOCK_DGRAM);
}

static outcome connect_local(void)
{
	return RESULT(connect(peer, LOCAL, sizeof(local)));
}

static bool is_connected_locally(void)
{
	return write(peer, "x", 1) == 1;
}

/* A send to a connected peer names no address: only unix_may_send sees it, not socket_sendmsg. */
static outcome send_locally(void)
{
	return RESULT(connect(peer, LOCAL, sizeof(local)));
}

static outcome make_netlink(void)
{
	STEP(ours = socket(AF_NETLINK, SOCK_RAW, NETLINK_ROUTE));
	return 0;
}

static outcome send_netlink(void)
{
	struct {
		struct nlmsghdr header;
		struct rtgenmsg general;
	} request = {
		.header = { .nlmsg_len = sizeof(request),
			    .nlmsg_type = RTM_GETLINK,
			    .nlmsg_flags = NLM_F_REQUEST | NLM_F_DUMP },
		.general = { .rtgen_family = AF_UNSPEC },
	};

	return RESULT(send(ours, &request, sizeof(request), 0));
}

const struct trigger socket_triggers[] = {
	{ "socket_create", NULL, create },
	{ "socket_socketpair", NULL, create_pair },
	{ "socket_bind", make_stream, give_address, has_address },
	{ "socket_connect", make_peer, connect_peer, is_connected },
	{ "socket_listen", make_bound, begin_listening, is_listening },
	{ "socket_accept", make_connected, accept_connection },
	{ "socket_sendmsg", make_datagram, send_datagram, has_arrived },
	{ "socket_recvmsg", make_datagram_sent, receive_message, was_received },
	{ "socket_getsockname", make_bound, read_own_address },
	{ "socket_getpeername", make_connected, read_peer_address },
	{ "socket_setsockopt", make_stream, set_option, option_is_set },
	{ "socket_shutdown", make_connected, shut_down },
	{ "unix_stream_connect", make_local_stream, connect_local, is_connected_locally },
	{ "unix_may_send", make_local_datagram, send_locally },
	{ "netlink_send", make_netlink, send_netlink, has_arrived },
	{},
};
