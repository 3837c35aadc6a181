// SPDX-License-Identifier: Apache-2.0 OR MIT
/*
 * Micro-cases of `cargo xtask bench`: one kind of call, many times.
 *
 * Usage: micro CASE COUNT FILE, or micro run COUNT PROGRAM ARGUMENT... Prints "seconds S" for the
 * loop alone, so that starting the program, or what runs it, is no part of the figure.
 */
#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static const char *file;
static char **program;
static struct sockaddr_in address;
static int listener;

static void fail(const char *what)
{
	perror(what);
	exit(1);
}

static void open_close(void)
{
	int fd = open(file, O_RDONLY);

	if (fd < 0 || close(fd))
		fail("open");
}

static void stat_only(void)
{
	struct stat st;

	if (stat(file, &st))
		fail("stat");
}

static void read_only(void)
{
	static int fd = -1;
	char octet;

	if (fd < 0)
		fd = open(file, O_RDONLY);
	if (pread(fd, &octet, 1, 0) < 0)
		fail("read");
}

static void pipe_through(void)
{
	int ends[2];
	char octet = 'x';

	if (pipe(ends) || write(ends[1], &octet, 1) != 1 || read(ends[0], &octet, 1) != 1)
		fail("pipe");
	close(ends[0]);
	close(ends[1]);
}

static void run(char **words)
{
	int status;
	pid_t pid = fork();

	if (pid < 0)
		fail("fork");
	if (!pid) {
		execv(words[0], words);
		_exit(127);
	}
	if (waitpid(pid, &status, 0) != pid)
		fail("wait");
	if (status) {
		fprintf(stderr, "%s: status %#x\n", words[0], status);
		exit(1);
	}
}

static void fork_exec(void)
{
	static char *words[] = { "/bin/true", NULL };

	run(words);
}

static void run_program(void)
{
	run(program);
}

static int stream_socket(void)
{
	int fd = socket(AF_INET, SOCK_STREAM, 0);

	if (fd < 0)
		fail("socket");
	return fd;
}

/* Accepted at once by the same thread, so that no backlog fills; reset, so that no port waits. */
static void connect_close(void)
{
	struct linger reset = { .l_onoff = 1 };
	int peer, fd = stream_socket();

	setsockopt(fd, SOL_SOCKET, SO_LINGER, &reset, sizeof(reset));
	if (connect(fd, (struct sockaddr *)&address, sizeof(address)))
		fail("connect");
	peer = accept(listener, NULL, NULL);
	if (peer < 0 || close(fd) || close(peer))
		fail("accept");
}

static void start_listening(int port)
{
	int on = 1;

	listener = stream_socket();
	address.sin_family = AF_INET;
	address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	address.sin_port = htons(port);
	setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
	if (bind(listener, (struct sockaddr *)&address, sizeof(address)) || listen(listener, 8))
		fail("listen");
}

static double now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec + t.tv_nsec / 1e9;
}

static const struct {
	const char *name;
	void (*call)(void);
} cases[] = {
	{ "open", open_close },
	{ "stat", stat_only },
	{ "read", read_only },
	{ "pipe", pipe_through },
	{ "exec", fork_exec },
	{ "run", run_program },
	{ "connect", connect_close },
};

static void measure(void (*call)(void), long count)
{
	double start = now();

	for (long i = 0; i < count; i++)
		call();
	printf("seconds %.6f\n", now() - start);
}

int main(int argc, char **argv)
{
	if (argc < 4)
		return 2;
	file = argv[3];
	program = argv + 3;
	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		if (strcmp(cases[i].name, argv[1]))
			continue;
		/* For connect, the third argument is the port. */
		if (cases[i].call == connect_close)
			start_listening(atoi(file));
		/* What a program reads from the disk the first time is not its own cost. */
		if (cases[i].call == run_program)
			run_program();
		measure(cases[i].call, atol(argv[2]));
		return 0;
	}
	return 2;
}
