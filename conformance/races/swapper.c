/*
 * The accomplice outside: exchanges two names for as long as it lives, at random moments.
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

int main(int argc, char **argv)
{
	if (argc != 3)
		return 2;
	for (;;) {
		struct timespec pause = { .tv_nsec = 1000 * (random() % 400) };

		renameat2(AT_FDCWD, argv[1], AT_FDCWD, argv[2], RENAME_EXCHANGE);
		nanosleep(&pause, NULL);
	}
}
