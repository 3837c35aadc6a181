/* SPDX-License-Identifier: Apache-2.0 OR MIT */
/* A trigger: the shortest program that makes one event, and shows whether it took effect. */
#ifndef TRIGGERS_H
#define TRIGGERS_H

#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/types.h>
#include <sys/wait.h>
#include <unistd.h>

/* What a trigger's functions answer: 0, or the error number of what failed. */
typedef int outcome;

struct trigger {
	/* The event's name in core's table. */
	const char *event;
	/* What must be there first; may be missing. Runs in the control as well. */
	outcome (*prepare)(void);
	/* The operation. */
	outcome (*act)(void);
	/* Whether the operation took effect; missing where its result is all there is. */
	bool (*effect)(void);
	/* The error of a denial where the kernel does not pass EPERM on; 0 for EPERM. */
	int denied;
};

/* Each file's triggers, ended by an entry without a name. */
extern const struct trigger file_triggers[];
extern const struct trigger inode_triggers[];
extern const struct trigger socket_triggers[];
extern const struct trigger task_triggers[];
extern const struct trigger mount_triggers[];
extern const struct trigger ipc_triggers[];
extern const struct trigger system_triggers[];

/* 0 or errno, of a system call's result. */
#define RESULT(call) ((call) < 0 ? errno : 0)
/* Returns from the caller when a step of its preparation fails. */
#define STEP(call)                    \
	do {                          \
		if ((call) < 0)       \
			return errno; \
	} while (0)

#endif
