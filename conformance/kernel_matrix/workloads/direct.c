// SPDX-License-Identifier: Apache-2.0 OR MIT
/*
 * Acts on files by ways that pass by a filter of system calls: a ring, the gate and the numbers of other
 * ABIs, a file handle.
 *
 *     direct WAY ACT PATH [WAY ACT PATH]...
 *
 * WAY is plain, uring, i386, x32 or handle; ACT is read, remove or make (a directory). Prints what it has read, or that
 * it is done, and ends with the first error's number (0 when all went well).
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <linux/io_uring.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#define X32 0x40000000
#define I386_OPEN 5
#define I386_UNLINK 10
#define I386_MKDIR 39

enum act { READ, REMOVE, MAKE };

static long checked(long value)
{
	return value < 0 ? -errno : value;
}

static long by_plain(enum act act, const char *path)
{
	switch (act) {
	case READ:
		return checked(syscall(SYS_open, path, O_RDONLY, 0));
	case REMOVE:
		return checked(syscall(SYS_unlink, path));
	default:
		return checked(syscall(SYS_mkdir, path, 0700));
	}
}

static long by_x32(enum act act, const char *path)
{
	switch (act) {
	case READ:
		return checked(syscall(X32 | SYS_open, path, O_RDONLY, 0));
	case REMOVE:
		return checked(syscall(X32 | SYS_unlink, path));
	default:
		return checked(syscall(X32 | SYS_mkdir, path, 0700));
	}
}

/* The gate of i386 takes 32 bits of each register. */
static long gate(long number, const char *path, long second)
{
	long value;

	__asm__ volatile("int $0x80"
			 : "=a"(value)
			 : "a"(number), "b"(path), "c"(second), "d"(0L)
			 : "r8", "r9", "r10", "r11", "memory");
	return (int)value;
}

static long by_i386(enum act act, const char *path)
{
	char *low = mmap(NULL, 4096, PROT_READ | PROT_WRITE,
			 MAP_PRIVATE | MAP_ANONYMOUS | MAP_32BIT, -1, 0);

	if (low == MAP_FAILED)
		return -errno;
	strncpy(low, path, 4095);
	switch (act) {
	case READ:
		return gate(I386_OPEN, low, O_RDONLY);
	case REMOVE:
		return gate(I386_UNLINK, low, 0);
	default:
		return gate(I386_MKDIR, low, 0700);
	}
}

static long by_handle(enum act act, const char *path)
{
	struct {
		struct file_handle head;
		unsigned char octets[MAX_HANDLE_SZ];
	} handle = { .head.handle_bytes = MAX_HANDLE_SZ };
	int mount_id, at;
	long value;

	if (act != READ)
		return -EOPNOTSUPP;
	if (name_to_handle_at(AT_FDCWD, path, &handle.head, &mount_id, 0))
		return -errno;
	at = open(".", O_RDONLY | O_DIRECTORY);
	if (at < 0)
		return -errno;
	value = checked(open_by_handle_at(at, &handle.head, O_RDONLY));
	close(at);
	return value;
}

/* One entry, one completion. */
static long by_uring(enum act act, const char *path)
{
	struct io_uring_params p = {};
	int ring = syscall(SYS_io_uring_setup, 1, &p);
	struct io_uring_sqe *sqe;
	struct io_uring_cqe *cqe;
	char *sq, *cq;
	long value;

	if (ring < 0)
		return -errno;
	sq = mmap(NULL, p.sq_off.array + p.sq_entries * 4, PROT_READ | PROT_WRITE,
		  MAP_SHARED | MAP_POPULATE, ring, IORING_OFF_SQ_RING);
	cq = mmap(NULL, p.cq_off.cqes + p.cq_entries * sizeof(*cqe), PROT_READ | PROT_WRITE,
		  MAP_SHARED | MAP_POPULATE, ring, IORING_OFF_CQ_RING);
	sqe = mmap(NULL, p.sq_entries * sizeof(*sqe), PROT_READ | PROT_WRITE,
		   MAP_SHARED | MAP_POPULATE, ring, IORING_OFF_SQES);
	if (sq == MAP_FAILED || cq == MAP_FAILED || sqe == MAP_FAILED)
		return -errno;
	memset(sqe, 0, sizeof(*sqe));
	sqe->fd = AT_FDCWD;
	sqe->addr = (uintptr_t)path;
	switch (act) {
	case READ:
		sqe->opcode = IORING_OP_OPENAT;
		sqe->open_flags = O_RDONLY;
		break;
	case REMOVE:
		sqe->opcode = IORING_OP_UNLINKAT;
		break;
	default:
		sqe->opcode = IORING_OP_MKDIRAT;
		sqe->len = 0700;
	}
	*(unsigned *)(sq + p.sq_off.array) = 0;
	__atomic_store_n((unsigned *)(sq + p.sq_off.tail), 1, __ATOMIC_RELEASE);
	if (syscall(SYS_io_uring_enter, ring, 1, 1, IORING_ENTER_GETEVENTS, NULL, 0) < 0)
		return -errno;
	cqe = (struct io_uring_cqe *)(cq + p.cq_off.cqes);
	value = cqe->res;
	close(ring);
	return value;
}

static const struct {
	const char *name;
	long (*go)(enum act act, const char *path);
} ways[] = {
	{ "plain", by_plain }, { "uring", by_uring }, { "i386", by_i386 },
	{ "x32", by_x32 },     { "handle", by_handle },
};

static long go(const char *way, const char *act, const char *path)
{
	enum act what = !strcmp(act, "read") ? READ : !strcmp(act, "remove") ? REMOVE : MAKE;
	char content[256];
	ssize_t length;
	long value = -EINVAL;

	for (unsigned i = 0; i < sizeof(ways) / sizeof(ways[0]); i++)
		if (!strcmp(way, ways[i].name))
			value = ways[i].go(what, path);
	if (value < 0)
		return value;
	if (what != READ) {
		printf("%s %s: done\n", way, act);
		return 0;
	}
	length = read(value, content, sizeof(content));
	close(value);
	printf("%s read: %.*s", way, length < 0 ? 0 : (int)length, content);
	return 0;
}

int main(int count, char **words)
{
	long first = 0;

	for (int i = 1; i + 2 < count; i += 3) {
		long value = go(words[i], words[i + 1], words[i + 2]);

		if (value < 0)
			fprintf(stderr, "%s %s: %s\n", words[i], words[i + 1], strerror(-value));
		if (value < 0 && !first)
			first = -value;
	}
	return first;
}
