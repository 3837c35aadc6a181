/*
 * A sibling thread rewrites the socket address of a call between an allowed and a forbidden one while it is judged.
 */
#define _GNU_SOURCE
#include "race.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

static struct sockaddr_in target = { .sin_family = AF_INET };
static int sender;
static int private_receiver;
static int private_listener;

/* The path of a socket, placed so that its directory is one aligned word. */
static struct {
	char padding[8 - offsetof(struct sockaddr_un, sun_path)];
	struct sockaddr_un address;
} __attribute__((aligned(8))) unix_target = { .address.sun_family = AF_UNIX };

static void twist_port(unsigned which)
{
	__atomic_store_n(&target.sin_port, htons(which ? PRIVATE_PORT : GRANTED_PORT), __ATOMIC_RELEASE);
}

static void twist_bound_port(unsigned which)
{
	__atomic_store_n(&target.sin_port, htons(which ? UNBOUND_PORT : GRANTED_PORT), __ATOMIC_RELEASE);
}

static void twist_unix(unsigned which)
{
	flip_path((struct flipped_path *)(void *)unix_target.address.sun_path, which);
}

static struct sockaddr_in loopback(uint16_t port)
{
	return (struct sockaddr_in){
		.sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)
	};
}

static int bound(int type, uint16_t port)
{
	struct sockaddr_in address = loopback(port);
	int one = 1, fd = socket(AF_INET, type | SOCK_CLOEXEC, 0);

	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
	if (fd < 0 || bind(fd, (struct sockaddr *)&address, sizeof(address)) < 0)
		die("bind");
	return fd;
}

static void prepare_target(void)
{
	target = loopback(GRANTED_PORT);
	sender = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	if (sender < 0)
		die("socket");
}

static void prepare_receivers(void)
{
	prepare_target();
	private_receiver = bound(SOCK_DGRAM, PRIVATE_PORT);
}

static void prepare_listener(void)
{
	prepare_target();
	private_listener = bound(SOCK_STREAM, PRIVATE_PORT);
	if (listen(private_listener, 128) < 0)
		die("listen");
}

/* Nobody is there at the unix names: the runner's scene has bound datagram sockets to them. */
static void prepare_unix(void)
{
	strcpy(unix_target.address.sun_path, GRANTED "socket");
	sender = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	if (sender < 0)
		die("socket");
}

static bool arrived(int fd)
{
	struct pollfd arrival = { .fd = fd, .events = POLLIN };

	return poll(&arrival, 1, 0) == 1;
}

static enum outcome connect_datagram(void)
{
	struct sockaddr_in peer;
	socklen_t length = sizeof(peer);

	if (connect(sender, (struct sockaddr *)&target, sizeof(target)) < 0)
		return refusal(errno);
	if (getpeername(sender, (struct sockaddr *)&peer, &length) < 0)
		return OUTCOME_FAULT;
	return peer.sin_port == htons(PRIVATE_PORT) ? OUTCOME_SUCCESS : OUTCOME_ALLOWED;
}

/* Nobody listens at the granted port: an allowed attempt is refused by the network, not by us. */
static enum outcome connect_stream(void)
{
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	int result = connect(fd, (struct sockaddr *)&target, sizeof(target));
	enum outcome outcome = result < 0 ? refusal(errno) : OUTCOME_FAULT;

	if (result < 0 && errno == ECONNREFUSED)
		outcome = OUTCOME_ALLOWED;
	if (arrived(private_listener)) {
		close(accept(private_listener, NULL, NULL));
		outcome = OUTCOME_SUCCESS;
	}
	close(fd);
	return outcome;
}

static enum outcome connect_unix(void)
{
	struct sockaddr_un peer = { 0 };
	socklen_t length = sizeof(peer);

	if (connect(sender, (struct sockaddr *)&unix_target.address, sizeof(unix_target.address)) < 0)
		return refusal(errno);
	if (getpeername(sender, (struct sockaddr *)&peer, &length) < 0)
		return OUTCOME_FAULT;
	return strstr(peer.sun_path, PRIVATE) ? OUTCOME_SUCCESS : OUTCOME_ALLOWED;
}

static enum outcome bind_port(void)
{
	struct sockaddr_in own = { 0 };
	socklen_t length = sizeof(own);
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	int result = bind(fd, (struct sockaddr *)&target, sizeof(target));
	enum outcome outcome = result < 0 ? refusal(errno) : OUTCOME_ALLOWED;

	if (!getsockname(fd, (struct sockaddr *)&own, &length) && own.sin_port == htons(UNBOUND_PORT))
		outcome = OUTCOME_SUCCESS;
	close(fd);
	return outcome;
}

static enum outcome bind_unix(void)
{
	int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	int result = bind(fd, (struct sockaddr *)&unix_target.address, sizeof(unix_target.address));
	enum outcome outcome = result < 0 ? refusal(errno) : OUTCOME_ALLOWED;

	close(fd);
	if (exists(PRIVATE "new")) {
		unlink(PRIVATE "new");
		return OUTCOME_SUCCESS;
	}
	if (result >= 0)
		unlink(GRANTED "new");
	return outcome;
}

static void prepare_bind_unix(void)
{
	strcpy(unix_target.address.sun_path, GRANTED "new");
}

static enum outcome sent(ssize_t result)
{
	char datagram;
	enum outcome outcome = result < 0 ? refusal(errno) : OUTCOME_ALLOWED;

	if (result < 0 && errno == ECONNREFUSED)
		outcome = OUTCOME_ALLOWED;
	if (recv(private_receiver, &datagram, 1, MSG_DONTWAIT) == 1)
		outcome = OUTCOME_SUCCESS;
	return outcome;
}

static enum outcome send_to(void)
{
	return sent(sendto(sender, "x", 1, 0, (struct sockaddr *)&target, sizeof(target)));
}

static enum outcome send_message(void)
{
	static struct iovec part = { .iov_base = "x", .iov_len = 1 };
	struct msghdr message = {
		.msg_name = &target, .msg_namelen = sizeof(target), .msg_iov = &part, .msg_iovlen = 1
	};

	return sent(sendmsg(sender, &message, 0));
}

static enum outcome send_messages(void)
{
	static struct iovec part = { .iov_base = "x", .iov_len = 1 };
	struct mmsghdr messages[2] = { 0 };

	for (int i = 0; i < 2; i++)
		messages[i].msg_hdr = (struct msghdr){
			.msg_name = &target, .msg_namelen = sizeof(target), .msg_iov = &part, .msg_iovlen = 1
		};
	return sent(sendmmsg(sender, messages, 2, 0));
}

static const struct race races[] = {
	{ .name = "connect-udp", .prepare = prepare_target, .twist = twist_port, .attempt = connect_datagram },
	{ .name = "connect-tcp", .prepare = prepare_listener, .twist = twist_port, .attempt = connect_stream },
	{ .name = "connect-unix", .prepare = prepare_unix, .twist = twist_unix, .attempt = connect_unix },
	{ .name = "bind-udp", .prepare = prepare_target, .twist = twist_bound_port, .attempt = bind_port },
	{ .name = "bind-unix", .prepare = prepare_bind_unix, .twist = twist_unix, .attempt = bind_unix },
	{ .name = "sendto", .prepare = prepare_receivers, .twist = twist_port, .attempt = send_to },
	{ .name = "sendmsg", .prepare = prepare_receivers, .twist = twist_port, .attempt = send_message },
	{ .name = "sendmmsg", .prepare = prepare_receivers, .twist = twist_port, .attempt = send_messages },
};

int main(int argc, char **argv)
{
	return RACE_MAIN(argc, argv, races);
}
