/*
 * Threads, children and a daemon try what is forbidden for as long as they live, while the orchestrator is killed.
 *
 * N is how many milliseconds to go on.
 */
#define _GNU_SOURCE
#include "race.h"

#include <fcntl.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static uint64_t end_us;

static void count_effect(bool effect)
{
	atomic_fetch_add(&board->tries, 1);
	atomic_fetch_add(effect ? &board->successes : &board->denied, 1);
}

static void attack_once(void)
{
	int fd = open(PRIVATE "file", O_RDONLY);

	count_effect(fd >= 0 && is_secret(fd));
	if (fd >= 0)
		close(fd);
	count_effect(mkdir(PRIVATE "new", 0700) == 0);
	count_effect(unlink(PRIVATE "victim") == 0);
	fd = open(GRANTED "file", O_RDONLY);
	if (fd >= 0) {
		atomic_fetch_add(&board->allowed, 1);
		close(fd);
	}
}

static void *attack(void *unused)
{
	(void)unused;
	while (now_us() < end_us)
		attack_once();
	return NULL;
}

static void start_child(bool daemon)
{
	if (fork())
		return;
	if (daemon && (setsid() < 0 || fork()))
		_exit(0);
	attack(NULL);
	_exit(0);
}

int main(int argc, char **argv)
{
	pthread_t thread;

	if (argc != 4)
		return 2;
	open_board();
	close(open(GRANTED "file", O_RDONLY));
	if (!strcmp(argv[1], "benign"))
		return 0;
	end_us = now_us() + 1000 * strtoul(argv[2], NULL, 10);
	start_child(false);
	start_child(true);
	if (pthread_create(&thread, NULL, attack, NULL))
		die("pthread_create");
	attack(NULL);
	pthread_join(thread, NULL);
	return 0;
}
