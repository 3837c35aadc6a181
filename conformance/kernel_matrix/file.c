// SPDX-License-Identifier: Apache-2.0 OR MIT
/* Open files, and memory mapped from them. */
#include "triggers.h"
#include <sys/file.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/socket.h>

static int fd = -1;
static void *memory;

static outcome make_file(void)
{
	STEP(fd = open("file", O_RDWR | O_CREAT, 0600));
	return RESULT(write(fd, "12345678", 8));
}

static outcome open_file(void)
{
	return RESULT(open("file", O_RDONLY));
}

static outcome map_memory(void)
{
	memory = mmap(NULL, 4096, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	return memory == MAP_FAILED ? errno : 0;
}

static outcome map_executable(void)
{
	void *place = mmap(NULL, 4096, PROT_READ | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	return place == MAP_FAILED ? errno : 0;
}

static outcome make_executable(void)
{
	return RESULT(mprotect(memory, 4096, PROT_READ | PROT_EXEC));
}

static bool is_executable(void)
{
	char line[256];
	bool found = false;
	FILE *maps = fopen("/proc/self/maps", "r");

	while (maps && fgets(line, sizeof(line), maps))
		found |= strtoul(line, NULL, 16) == (unsigned long)memory && strstr(line, "r-xp");
	if (maps)
		fclose(maps);
	return found;
}

static outcome control_device(void)
{
	int waiting;

	return RESULT(ioctl(fd, FIONREAD, &waiting));
}

static outcome lock_file(void)
{
	return RESULT(flock(fd, LOCK_EX | LOCK_NB));
}

static outcome control_descriptor(void)
{
	return RESULT(fcntl(fd, F_SETOWN, getpid()));
}

static bool owner_is_set(void)
{
	return fcntl(fd, F_GETOWN) == getpid();
}

static outcome truncate_file(void)
{
	return RESULT(ftruncate(fd, 4));
}

static bool is_truncated(void)
{
	return lseek(fd, 0, SEEK_END) == 4;
}

static int pair[2];

union control {
	char octets[CMSG_SPACE(sizeof(int))];
	struct cmsghdr aligned;
};

static void describe(struct msghdr *message, struct iovec *vector, union control *control)
{
	static char octet = 'x';

	vector->iov_base = &octet;
	vector->iov_len = 1;
	memset(message, 0, sizeof(*message));
	message->msg_iov = vector;
	message->msg_iovlen = 1;
	message->msg_control = control->octets;
	message->msg_controllen = sizeof(control->octets);
}

static outcome send_file(void)
{
	union control control = {};
	struct msghdr message;
	struct iovec vector;
	struct cmsghdr *header;
	outcome error = make_file();

	if (error)
		return error;
	STEP(socketpair(AF_UNIX, SOCK_STREAM, 0, pair));
	describe(&message, &vector, &control);
	header = CMSG_FIRSTHDR(&message);
	header->cmsg_level = SOL_SOCKET;
	header->cmsg_type = SCM_RIGHTS;
	header->cmsg_len = CMSG_LEN(sizeof(int));
	memcpy(CMSG_DATA(header), &fd, sizeof(int));
	return RESULT(sendmsg(pair[0], &message, 0));
}

/* A refused descriptor is left out of the message; the call itself succeeds. */
static outcome receive_file(void)
{
	union control control = {};
	struct msghdr message;
	struct iovec vector;

	describe(&message, &vector, &control);
	STEP(recvmsg(pair[1], &message, 0));
	return CMSG_FIRSTHDR(&message) ? 0 : EPERM;
}

const struct trigger file_triggers[] = {
	{ "file_open", make_file, open_file },
	{ "mmap_file", NULL, map_executable },
	{ "file_mprotect", map_memory, make_executable, is_executable },
	{ "file_ioctl", make_file, control_device },
	{ "file_lock", make_file, lock_file },
	{ "file_fcntl", make_file, control_descriptor, owner_is_set },
	{ "file_truncate", make_file, truncate_file, is_truncated },
	{ "file_receive", send_file, receive_file },
	{},
};
