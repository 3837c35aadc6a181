// SPDX-License-Identifier: Apache-2.0 OR MIT
/*
 * Known rare events at known times, under load on every processor.
 *
 * `storm COUNT`: a process pinned to each processor opens its folder over and over; each time after
 * LOAD opens it makes one directory and one symbolic link whose names say processor and number.
 * `storm flood COUNT STATUS`: makes `ready`, and when there is a `go` makes COUNT directories, which is decided
 * without waiting for an orchestrator, then processes until one is refused, and ends with STATUS.
 * `storm breach`: opens its folder for as long as it lives, and tries each time to make `breach`.
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

enum { LOAD = 30, FORKS_MAX = 10000 };

static void open_folder(void)
{
	int fd = open(".", O_RDONLY | O_DIRECTORY);

	if (fd >= 0)
		close(fd);
}

static int blow(int processor, int count)
{
	char name[64];
	cpu_set_t only;

	CPU_ZERO(&only);
	CPU_SET(processor, &only);
	if (sched_setaffinity(0, sizeof(only), &only) < 0)
		return 1;
	for (int i = 0; i < count; i++) {
		for (int j = 0; j < LOAD; j++)
			open_folder();
		snprintf(name, sizeof(name), "directory-%d-%d", processor, i);
		if (mkdir(name, 0700) < 0)
			return 1;
		snprintf(name, sizeof(name), "link-%d-%d", processor, i);
		if (symlink("nowhere", name) < 0)
			return 1;
	}
	return 0;
}

static int try_for_ever(void)
{
	for (;;) {
		open_folder();
		if (mkdir("breach", 0700) == 0)
			return 1;
	}
}

static int flood(int count, int status)
{
	char name[64];

	if (mkdir("ready", 0700) < 0)
		return 1;
	while (access("go", F_OK) < 0)
		usleep(1000);
	for (int i = 0; i < count; i++) {
		snprintf(name, sizeof(name), "flood-%d", i);
		if (mkdir(name, 0700) < 0)
			return 1;
	}
	/* What is told of a process is short: there may be room for it where there is none for a directory. */
	for (int i = 0; i < FORKS_MAX; i++) {
		pid_t child = fork();

		if (child < 0)
			return status;
		if (child == 0)
			_exit(0);
		waitpid(child, 0, 0);
	}
	return 1;
}

int main(int argc, char **argv)
{
	int processors = sysconf(_SC_NPROCESSORS_ONLN);
	int failed = 0;
	int status;

	if (argc == 4 && !strcmp(argv[1], "flood"))
		return flood(atoi(argv[2]), atoi(argv[3]));
	if (argc != 2)
		return 64;
	if (!strcmp(argv[1], "breach"))
		return try_for_ever();
	for (int processor = 0; processor < processors; processor++) {
		pid_t child = fork();

		if (child == 0)
			_exit(blow(processor, atoi(argv[1])));
		failed |= child < 0;
	}
	while (wait(&status) > 0)
		failed |= !WIFEXITED(status) || WEXITSTATUS(status);
	return failed;
}
