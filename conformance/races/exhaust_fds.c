/*
 * Descriptors and notifications run out: the table is full when a descriptor is to be handed over, hundreds of
 * threads wait to be judged at once. What fails may not fail open.
 */
#define _GNU_SOURCE
#include "race.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#define CROWD 300
#define SMALL_TABLE 32

static enum outcome read_path(const char *path)
{
	int fd = open(path, O_RDONLY);
	if (fd < 0)
		return refusal(errno);
	bool secret = is_secret(fd);
	close(fd);
	return secret ? OUTCOME_SUCCESS : OUTCOME_ALLOWED;
}

static void shrink_table(void)
{
	struct rlimit limit = { SMALL_TABLE, SMALL_TABLE };

	if (setrlimit(RLIMIT_NOFILE, &limit) < 0)
		die("setrlimit");
}

static void fill_table(int *filled)
{
	*filled = 0;
	while (*filled < SMALL_TABLE && dup(STDERR_FILENO) >= 0)
		(*filled)++;
}

static void empty_table(void)
{
	for (int fd = STDERR_FILENO + 1; fd < SMALL_TABLE; fd++)
		close(fd);
}

/* Full: nothing may be had, and the error is the table's. Emptied: the granted file is there again. */
static enum outcome open_with_full_table(void)
{
	int filled;

	fill_table(&filled);
	int fd = open(GRANTED "file", O_RDONLY);
	if (fd >= 0 || errno != EMFILE)
		return OUTCOME_FAULT;
	if (!benign && (fd = open(PRIVATE "file", O_RDONLY)) >= 0 && is_secret(fd))
		return OUTCOME_SUCCESS;
	empty_table();
	if (!benign && random_number() % 2)
		return read_path(PRIVATE "file");
	enum outcome outcome = read_path(GRANTED "file");
	return outcome == OUTCOME_ALLOWED ? outcome : OUTCOME_FAULT;
}

static uint64_t share;

static void *crowd_member(void *unused)
{
	(void)unused;
	for (uint64_t i = 0; i < share; i++) {
		bool private = random_number() % 2;
		enum outcome outcome = read_path(private ? PRIVATE "file" : GRANTED "file");
		if (private ? outcome == OUTCOME_ALLOWED : outcome != OUTCOME_ALLOWED)
			outcome = OUTCOME_FAULT;
		count(outcome);
	}
	return NULL;
}

/* One attempt is a crowd that comes all at once; the loop's own count of it is one allowed try more. */
static enum outcome open_in_crowd(void)
{
	static pthread_t crowd[CROWD];
	int size = 0;

	if (benign)
		return read_path(GRANTED "file");
	share = 34;
	while (size < CROWD && !pthread_create(&crowd[size], NULL, crowd_member, NULL))
		size++;
	for (int i = 0; i < size; i++)
		pthread_join(crowd[i], NULL);
	return size == CROWD ? OUTCOME_ALLOWED : OUTCOME_FAILED;
}

/* Pointers to nowhere, paths without an end, descriptors that are none: an error, and nothing else. */
static enum outcome pass_nonsense(void)
{
	static const char *const paths[] = { NULL, (char *)8, (char *)-1, (char *)(1ul << 60) };
	static const int fds[] = { -1, 31, 1 << 20, -100, 0x7fffffff };

	if (benign)
		return read_path(GRANTED "file");
	const char *path = paths[random_number() % 4];
	int fd = fds[random_number() % 5];
	int result;
	switch (random_number() % 6) {
	case 0:
		result = open(path, O_RDONLY);
		break;
	case 1:
		result = fchmod(fd, 0777);
		break;
	case 2:
		result = rename(path, GRANTED "new");
		break;
	case 3:
		result = openat(fd, "file", O_RDONLY | (fd == AT_FDCWD ? O_DIRECTORY : 0));
		break;
	case 4:
		result = ftruncate(fd, 0);
		break;
	default:
		result = unlink(path);
	}
	if (result >= 0)
		return OUTCOME_FAULT;
	return errno == EFAULT || errno == EBADF || errno == ENOENT || errno == EPERM ? OUTCOME_ALLOWED
										      : OUTCOME_FAULT;
}

static const struct race races[] = {
	{ .name = "full-table", .prepare = shrink_table, .attempt = open_with_full_table },
	{ .name = "crowd", .attempt = open_in_crowd },
	{ .name = "nonsense", .attempt = pass_nonsense },
};

int main(int argc, char **argv)
{
	return RACE_MAIN(argc, argv, races);
}
