// SPDX-License-Identifier: Apache-2.0 OR MIT
/*
 * The client of servers in `cargo xtask bench kernel`: one request, many times, on one connection.
 *
 * Usage: client PORT COUNT REQUEST ANSWER. ANSWER is what every answer begins with. The first
 * answer, read until the server is silent, says how long all others have to be. A tenth of the
 * requests go before, not measured. Prints "seconds S" for the COUNT requests that are.
 */
#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

#define SILENCE_US 500000
#define WAIT_S 60

static int fd;
static const char *request;
static const char *beginning;
static size_t answer_length;

static void fail(const char *what)
{
	perror(what);
	exit(1);
}

static void wait_at_most(long seconds, long micros)
{
	struct timeval limit = { .tv_sec = seconds, .tv_usec = micros };

	if (setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit)))
		fail("SO_RCVTIMEO");
}

static void connect_to(int port)
{
	struct sockaddr_in address = {
		.sin_family = AF_INET,
		.sin_port = htons(port),
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK),
	};
	int on = 1;

	fd = socket(AF_INET, SOCK_STREAM, 0);
	if (fd < 0 || connect(fd, (struct sockaddr *)&address, sizeof(address)))
		fail("connect");
	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
}

static void check(const char *answer, size_t length)
{
	size_t wanted = strlen(beginning);

	if (length < wanted || memcmp(answer, beginning, wanted)) {
		fprintf(stderr, "not the answer: %.*s\n", (int)length, answer);
		exit(1);
	}
}

static void ask(void)
{
	size_t length = strlen(request);

	if (write(fd, request, length) != (ssize_t)length)
		fail("write");
}

/* As many octets as asked for, or all that come until the server is silent. */
static size_t hear(char *answer, size_t most)
{
	size_t length = 0;

	while (length < most) {
		ssize_t more = read(fd, answer + length, most - length);

		if (more <= 0)
			break;
		length += more;
	}
	return length;
}

static void once(void)
{
	char answer[4096];

	ask();
	if (hear(answer, answer_length) != answer_length)
		fail("the answer is too short");
	check(answer, answer_length);
}

static void first(void)
{
	char answer[4096];

	ask();
	wait_at_most(WAIT_S, 0);
	if (hear(answer, 1) != 1)
		fail("no answer");
	wait_at_most(0, SILENCE_US);
	answer_length = 1 + hear(answer + 1, sizeof(answer) - 1);
	check(answer, answer_length);
	wait_at_most(WAIT_S, 0);
}

static double now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec + t.tv_nsec / 1e9;
}

int main(int argc, char **argv)
{
	double start;
	long count;

	if (argc != 5)
		return 2;
	count = atol(argv[2]);
	request = argv[3];
	beginning = argv[4];
	connect_to(atoi(argv[1]));
	first();
	for (long i = 0; i < count / 10; i++)
		once();
	start = now();
	for (long i = 0; i < count; i++)
		once();
	printf("seconds %.6f\n", now() - start);
	return 0;
}
