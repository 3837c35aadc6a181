/*
 * What the races for an exec share: the two logs that programs leave their letters in, and running one.
 */
#ifndef PROGRAMS_H
#define PROGRAMS_H

/* Inherited by every program that is run: a letter here says that its code ran. */
#define RAN "ran"
#define RAN_FD 100
/* Opened by the program itself, a judged call: a letter here says that it was let through. */
#define PROOF "proof"

#define PRIVATE_LETTER 'F'
#define PRIVATE_NAME "a private-program"

#ifndef LETTER
#include "race.h"

void open_logs(void);
/* Runs `path`, or the program behind `fd` when there is no path, and looks what has come of it. */
enum outcome run_program(const char *path, int fd);
#endif

#endif
