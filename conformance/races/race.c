#define _GNU_SOURCE
#include "race.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define BENIGN_TURNS 4

struct board *board;
bool benign;

static const struct race *race;
static atomic_bool over;

void open_board(void)
{
	int fd = open(BOARD, O_RDWR);
	if (fd < 0)
		die("open board");
	board = mmap(NULL, sizeof(*board), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (board == MAP_FAILED)
		die("mmap board");
	close(fd);
}

static void *sibling(void *unused)
{
	(void)unused;
	while (!benign && race->twist && !atomic_load(&over)) {
		race->twist(1);
		spin_randomly();
		race->twist(0);
		spin_randomly();
	}
	return NULL;
}

static void be_benign(void)
{
	for (int turn = 0; turn < BENIGN_TURNS; turn++) {
		count(race->attempt());
		if (race->twist_is_judged) {
			race->twist(1);
			race->twist(0);
		}
		if (race->also)
			race->also();
	}
}

static void be_malign(uint64_t tries)
{
	for (uint64_t i = 0; i < tries && !board->successes && !board->faults; i++)
		count(race->attempt());
}

/* Shows that what is denied with a sibling is allowed without. */
static void be_alone(void)
{
	if (benign)
		be_benign();
	else
		count(race->attempt());
}

static void be_with_sibling(uint64_t tries)
{
	pthread_t thread;

	if (pthread_create(&thread, NULL, sibling, NULL))
		die("pthread_create");
	if (benign)
		be_benign();
	else
		be_malign(tries);
	atomic_store(&over, true);
	pthread_join(thread, NULL);
}

static const struct race *find(const struct race *races, size_t number, const char *name)
{
	for (size_t i = 0; i < number; i++)
		if (!strcmp(races[i].name, name))
			return &races[i];
	return NULL;
}

static void report(void)
{
	printf("{\"case\": \"%s\", \"tries\": %lu, \"successes\": %lu, \"allowed\": %lu, \"denied\": %lu, "
	       "\"failed\": %lu, \"faults\": %lu, \"unsettled\": %lu, \"interrupted\": %lu}\n",
	       race->name, board->tries, board->successes, board->allowed, board->denied, board->failed,
	       board->faults, board->unsettled, board->interrupted);
}

int race_main(int argc, char **argv, const struct race *races, size_t number)
{
	if (argc != 4 || !(race = find(races, number, argv[3]))) {
		fprintf(stderr, "usage: %s benign|race N CASE\n", argv[0]);
		return 2;
	}
	benign = !strcmp(argv[1], "benign");
	open_board();
	if (race->prepare)
		race->prepare();
	if (race->twist && !race->twist_is_judged)
		race->twist(0);
	if (race->alone)
		be_alone();
	if (!race->alone || !benign)
		be_with_sibling(strtoul(argv[2], NULL, 10));
	board->finished = 1;
	report();
	return 0;
}

void count(enum outcome outcome)
{
	atomic_fetch_add(&board->tries, 1);
	switch (outcome) {
	case OUTCOME_ALLOWED:
		atomic_fetch_add(&board->allowed, 1);
		break;
	case OUTCOME_DENIED:
		atomic_fetch_add(&board->denied, 1);
		break;
	case OUTCOME_FAILED:
		atomic_fetch_add(&board->failed, 1);
		break;
	case OUTCOME_SUCCESS:
		atomic_fetch_add(&board->successes, 1);
		break;
	case OUTCOME_FAULT:
		atomic_fetch_add(&board->faults, 1);
		break;
	}
}

enum outcome refusal(int error)
{
	return error == EPERM ? OUTCOME_DENIED : OUTCOME_FAILED;
}

void flipped_path_set(struct flipped_path *path, const char *name)
{
	snprintf(path->text, sizeof(path->text), "%s%s", GRANTED, name);
}

void flip_path(struct flipped_path *path, unsigned which)
{
	uint64_t word;

	memcpy(&word, which ? PRIVATE : GRANTED, sizeof(word));
	__atomic_store_n((uint64_t *)(void *)path->text, word, __ATOMIC_RELEASE);
}

uint32_t random_number(void)
{
	static _Thread_local uint64_t state;

	if (!state)
		state = now_us() ^ (uintptr_t)&state;
	state ^= state << 13;
	state ^= state >> 7;
	state ^= state << 17;
	return state >> 16;
}

void spin(uint32_t turns)
{
	for (volatile uint32_t i = 0; i < turns; i++)
		;
}

/* From nothing to some tens of microseconds, every order of magnitude as often as the next. */
void spin_randomly(void)
{
	spin((random_number() & 0xffff) >> (random_number() % 14));
}

uint64_t now_us(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return now.tv_sec * 1000000ull + now.tv_nsec / 1000;
}

void die(const char *what)
{
	perror(what);
	exit(3);
}

bool is_secret(int fd)
{
	char content[sizeof(SECRET)] = "";

	return pread(fd, content, sizeof(content) - 1, 0) > 0 && !strcmp(content, SECRET);
}

bool exists(const char *path)
{
	struct stat found;

	return lstat(path, &found) == 0;
}
