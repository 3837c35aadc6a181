/*
 * A sibling thread puts another object behind a descriptor's number, or nothing, while a call on it is judged.
 *
 * Both objects may be opened; only one may be acted on.
 */
#define _GNU_SOURCE
#include "programs.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

#define SWAPPED_FD 200
#define PAGE 4096

/* The granted and the private object, and the number behind which they change places. */
static int objects[2];

static void twist(unsigned which)
{
	dup3(objects[which], SWAPPED_FD, O_CLOEXEC);
}

/* As twist, with nothing behind the number in between. */
static void twist_or_close(unsigned which)
{
	close(SWAPPED_FD);
	spin_randomly();
	twist(which);
}

static void open_both(const char *granted, const char *private, int flags)
{
	objects[0] = open(granted, flags | O_CLOEXEC);
	objects[1] = open(private, flags | O_CLOEXEC);
	if (objects[0] < 0 || objects[1] < 0)
		die("open both");
	twist(0);
}

static void prepare_libraries(void)
{
	open_both(GRANTED "library", PRIVATE "library", O_RDONLY);
}

static void prepare_programs(void)
{
	open_logs();
	open_both(GRANTED "program", PRIVATE "program", O_RDONLY);
}

static void prepare_victims(void)
{
	open_both(GRANTED "victim", PRIVATE "victim", O_RDWR);
}

static void prepare_directories(void)
{
	open_both("granted", "private", O_PATH | O_DIRECTORY);
}

/* The mapped content is the effect: code that nobody has judged could run. */
static enum outcome map_executable(void)
{
	char *mapped = mmap(NULL, PAGE, PROT_READ | PROT_EXEC, MAP_PRIVATE, SWAPPED_FD, 0);

	if (mapped == MAP_FAILED)
		return refusal(errno);
	bool secret = !memcmp(mapped, SECRET, strlen(SECRET));
	munmap(mapped, PAGE);
	if (!secret)
		return OUTCOME_ALLOWED;
	/* Forbidden code is in memory; the attack has won when a judged call goes through after that. */
	atomic_fetch_add(&board->unsettled, 1);
	int fd = open(GRANTED "file", O_RDONLY);
	if (fd < 0)
		return OUTCOME_FAILED;
	close(fd);
	return OUTCOME_SUCCESS;
}

static void read_granted(void)
{
	close(open(GRANTED "file", O_RDONLY));
}

static enum outcome execute(void)
{
	return run_program(NULL, SWAPPED_FD);
}

static enum outcome open_relative(void)
{
	int fd = openat(SWAPPED_FD, "file", O_RDONLY);
	if (fd < 0)
		return refusal(errno);
	bool secret = is_secret(fd);
	close(fd);
	return secret ? OUTCOME_SUCCESS : OUTCOME_ALLOWED;
}

/* Opens anew, with rights that the object behind the number was not opened with. */
static enum outcome open_by_proc(void)
{
	int fd = open("/proc/self/fd/200", O_RDONLY);
	if (fd < 0)
		return refusal(errno);
	bool secret = is_secret(fd);
	close(fd);
	return secret ? OUTCOME_SUCCESS : OUTCOME_ALLOWED;
}

static void prepare_path_only(void)
{
	open_both(GRANTED "file", PRIVATE "file", O_PATH);
}

static enum outcome change_mode(void)
{
	struct stat found;
	enum outcome outcome = fchmod(SWAPPED_FD, 0604) < 0 ? refusal(errno) : OUTCOME_ALLOWED;

	if (!fstat(objects[1], &found) && (found.st_mode & 0777) == 0604) {
		fchmod(objects[1], 0600);
		return OUTCOME_SUCCESS;
	}
	if (outcome == OUTCOME_ALLOWED)
		fchmod(objects[0], 0600);
	return outcome;
}

static enum outcome set_attribute(void)
{
	enum outcome outcome =
		fsetxattr(SWAPPED_FD, "user.race", "1", 1, 0) < 0 ? refusal(errno) : OUTCOME_ALLOWED;

	if (fgetxattr(objects[1], "user.race", NULL, 0) >= 0) {
		fremovexattr(objects[1], "user.race");
		return OUTCOME_SUCCESS;
	}
	return outcome;
}

static enum outcome cut_file(void)
{
	struct stat found;
	enum outcome outcome = ftruncate(SWAPPED_FD, 7) < 0 ? refusal(errno) : OUTCOME_ALLOWED;

	if (!fstat(objects[1], &found) && found.st_size == 7) {
		ftruncate(objects[1], 0);
		return OUTCOME_SUCCESS;
	}
	return outcome;
}

static struct sockaddr_in loopback(uint16_t port)
{
	return (struct sockaddr_in){
		.sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)
	};
}

/* One address, two kinds of socket: only a stream may be connected or bound to it. */
static void prepare_kinds(void)
{
	objects[0] = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	objects[1] = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	twist(0);
}

static enum outcome connect_socket(void)
{
	struct sockaddr_in address = loopback(GRANTED_PORT), peer;
	struct sockaddr nobody = { .sa_family = AF_UNSPEC };
	socklen_t length = sizeof(peer);
	int result = connect(SWAPPED_FD, (struct sockaddr *)&address, sizeof(address));
	/* Nobody listens: the network refuses what was allowed. */
	enum outcome outcome = result < 0 && errno != ECONNREFUSED ? refusal(errno) : OUTCOME_ALLOWED;

	if (getpeername(objects[1], (struct sockaddr *)&peer, &length) < 0)
		return outcome;
	connect(objects[1], &nobody, sizeof(nobody));
	return OUTCOME_SUCCESS;
}

static enum outcome bind_socket(void)
{
	struct sockaddr_in address = loopback(GRANTED_PORT), own = { 0 };
	socklen_t length = sizeof(own);
	int result = bind(SWAPPED_FD, (struct sockaddr *)&address, sizeof(address));
	/* EINVAL: the stream socket is bound already. */
	enum outcome outcome = result < 0 && errno != EINVAL ? refusal(errno) : OUTCOME_ALLOWED;

	if (getsockname(objects[1], (struct sockaddr *)&own, &length) < 0 || !own.sin_port)
		return outcome;
	close(objects[1]);
	objects[1] = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	return OUTCOME_SUCCESS;
}

/* Both may be bound; only the granted one may listen, or accept. */
static int bound_stream(uint16_t port)
{
	struct sockaddr_in address = loopback(port);
	int one = 1, fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
	if (fd < 0 || bind(fd, (struct sockaddr *)&address, sizeof(address)) < 0)
		die("bind");
	return fd;
}

static void bind_both(uint16_t granted, uint16_t private)
{
	objects[0] = bound_stream(granted);
	objects[1] = bound_stream(private);
	twist(0);
}

static void prepare_bound(void)
{
	bind_both(GRANTED_PORT, PRIVATE_PORT);
}

static enum outcome listen_on(void)
{
	int listens = 0;
	socklen_t length = sizeof(listens);
	enum outcome outcome = listen(SWAPPED_FD, 4) < 0 ? refusal(errno) : OUTCOME_ALLOWED;

	getsockopt(objects[1], SOL_SOCKET, SO_ACCEPTCONN, &listens, &length);
	if (!listens)
		return outcome;
	shutdown(objects[1], SHUT_RDWR); /* listens no more */
	return OUTCOME_SUCCESS;
}

static void connect_again(void)
{
	struct sockaddr_in address = loopback(WAITING_PORT);
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

	connect(fd, (struct sockaddr *)&address, sizeof(address));
}

/* Nobody comes to the granted socket, somebody waits at the private one. */
static void prepare_listening(void)
{
	bind_both(GRANTED_PORT, WAITING_PORT);
	if (listen(objects[0], 4) < 0 || listen(objects[1], 4) < 0)
		die("listen");
	connect_again();
}

static enum outcome accept_from(void)
{
	int fd = accept4(SWAPPED_FD, NULL, NULL, SOCK_CLOEXEC);

	if (fd < 0)
		return errno == EAGAIN ? OUTCOME_ALLOWED : refusal(errno);
	close(fd);
	connect_again();
	return OUTCOME_SUCCESS;
}

#define RACE(label, before, try) { .name = label, .prepare = before, .twist = twist, .attempt = try }
#define CLOSING(label, before, try) { .name = label, .prepare = before, .twist = twist_or_close, .attempt = try }

static const struct race races[] = {
	{ .name = "mmap", .prepare = prepare_libraries, .twist = twist, .attempt = map_executable, .alone = true,
	  .also = read_granted },
	RACE("execveat", prepare_programs, execute),
	RACE("openat", prepare_directories, open_relative),
	RACE("proc-self-fd", prepare_path_only, open_by_proc),
	RACE("fchmod", prepare_victims, change_mode),
	RACE("fsetxattr", prepare_victims, set_attribute),
	RACE("ftruncate", prepare_victims, cut_file),
	RACE("connect", prepare_kinds, connect_socket),
	RACE("bind", prepare_kinds, bind_socket),
	RACE("listen", prepare_bound, listen_on),
	RACE("accept", prepare_listening, accept_from),
	CLOSING("closing-openat", prepare_directories, open_relative),
	CLOSING("closing-fchmod", prepare_victims, change_mode),
	CLOSING("closing-listen", prepare_bound, listen_on),
	CLOSING("closing-accept", prepare_listening, accept_from),
};

int main(int argc, char **argv)
{
	return RACE_MAIN(argc, argv, races);
}
