/*
 * What all races share: the board that their results stand on, the loop that tries, and the sibling thread that
 * changes something meanwhile.
 *
 * Run as `ATTACK benign|race N CASE` in a scene that run_races.py has set up. `benign` does what the model is to
 * allow, `race` tries N times for what it does not, or until it has won. The board is a mapped file, so that its counts outlive a
 * workload that is killed.
 */
#ifndef RACE_H
#define RACE_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define BOARD "board"
#define GRANTED_PORT 18091
#define PRIVATE_PORT 18092
#define UNBOUND_PORT 18093 /* not to be bound */
#define WAITING_PORT 18094 /* not to be accepted from */
#define SECRET "SECRET"

/* Directories of one length, that one aligned store changes the one into the other. */
#define GRANTED "granted/"
#define PRIVATE "private/"

enum outcome {
	OUTCOME_ALLOWED,
	OUTCOME_DENIED,
	OUTCOME_FAILED,	 /* neither: the object was not there, or busy */
	OUTCOME_SUCCESS, /* of the attack: an effect that is forbidden */
	OUTCOME_FAULT,	 /* a result that the kernel alone would not have given */
};

struct board {
	_Atomic uint64_t tries;
	_Atomic uint64_t successes;
	_Atomic uint64_t allowed;
	_Atomic uint64_t denied;
	_Atomic uint64_t failed;
	_Atomic uint64_t faults;
	_Atomic uint64_t unsettled; /* forbidden code ran, but no judged call of it went through */
	_Atomic uint64_t interrupted; /* by a signal, which is permitted here; tried again */
	_Atomic uint64_t finished;
};

struct race {
	const char *name;
	void (*prepare)(void);
	/* Which of the two the sibling makes it: 0 is benign. */
	void (*twist)(unsigned which);
	/* Whether twisting is a judged act, that the model has to allow. */
	bool twist_is_judged;
	enum outcome (*attempt)(void);
	/* Whether only a process without another thread may do it: then one attempt is made before there is one. */
	bool alone;
	/* Only in the benign half: allowed acts that an attempt alone would not show. */
	void (*also)(void);
};

extern struct board *board;
extern bool benign;

int race_main(int argc, char **argv, const struct race *races, size_t count);
#define RACE_MAIN(argc, argv, races) race_main(argc, argv, races, sizeof(races) / sizeof(*(races)))

/* A path whose directory the sibling changes with one store. */
struct flipped_path {
	_Alignas(8) char text[64];
};
void flipped_path_set(struct flipped_path *path, const char *name);
void flip_path(struct flipped_path *path, unsigned which);

void open_board(void);
void count(enum outcome outcome);
enum outcome refusal(int error);
uint32_t random_number(void);
void spin(uint32_t turns);
void spin_randomly(void);
uint64_t now_us(void);
void die(const char *what);
bool is_secret(int fd);
bool exists(const char *path);

#endif
