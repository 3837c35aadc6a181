// SPDX-License-Identifier: Apache-2.0 OR MIT
/*
 * One event, made on purpose: `triggers EVENT control` prepares only, `triggers EVENT act` acts too.
 *
 * The working folder is empty and on a tmpfs. Exit status: see enum verdict.
 *
 * `triggers all MODE PROGRAMS FOLDERS` does so for every event: each with the program PROGRAMS/EVENT,
 * so that it has a task identity of its own, in FOLDERS/EVENT. It prints each one's exit status.
 */
#include "triggers.h"

/* What a run came to. */
enum verdict {
	DONE = 0, /* carried out, with effect where one can be seen (control: prepared) */
	DENIED = 10, /* refused with the error of a denial, and without effect */
	DENIED_WITH_EFFECT = 11,
	NO_EFFECT = 12, /* carried out, but nothing has changed */
	OTHER_ERROR = 20,
	UNPREPARED = 77, /* what the operation needs is not to be had here */
	MISUSED = 64,
};

static const struct trigger *const groups[] = {
	file_triggers,	inode_triggers, socket_triggers, task_triggers,
	mount_triggers, ipc_triggers,	system_triggers,
};

static const struct trigger *find(const char *event)
{
	for (size_t i = 0; i < sizeof(groups) / sizeof(*groups); i++)
		for (const struct trigger *t = groups[i]; t->event; t++)
			if (!strcmp(t->event, event))
				return t;
	return NULL;
}

static int list(void)
{
	for (size_t i = 0; i < sizeof(groups) / sizeof(*groups); i++)
		for (const struct trigger *t = groups[i]; t->event; t++)
			puts(t->event);
	return DONE;
}

static int run_one(const char *event, const char *mode, const char *programs, const char *folders)
{
	char program[512], folder[512];
	int status;
	pid_t child;

	snprintf(program, sizeof(program), "%s/%s", programs, event);
	snprintf(folder, sizeof(folder), "%s/%s", folders, event);
	child = fork();
	if (child == 0) {
		if (chdir(folder) == 0)
			execl(program, event, event, mode, NULL);
		_exit(UNPREPARED);
	}
	if (child < 0 || waitpid(child, &status, 0) < 0)
		return OTHER_ERROR;
	return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

static int run_all(const char *mode, const char *programs, const char *folders)
{
	for (size_t i = 0; i < sizeof(groups) / sizeof(*groups); i++) {
		for (const struct trigger *t = groups[i]; t->event; t++) {
			printf("%s %d\n", t->event, run_one(t->event, mode, programs, folders));
			fflush(stdout);
		}
	}
	return DONE;
}

static enum verdict judge(const struct trigger *t, outcome error)
{
	int denial = t->denied ? t->denied : EPERM;
	bool effect = t->effect ? t->effect() : error == 0;

	if (error == denial)
		return effect ? DENIED_WITH_EFFECT : DENIED;
	if (error)
		return OTHER_ERROR;
	return effect ? DONE : NO_EFFECT;
}

int main(int argc, char **argv)
{
	const struct trigger *t;
	outcome error;
	bool act;

	if (argc == 2 && !strcmp(argv[1], "list"))
		return list();
	if (argc == 5 && !strcmp(argv[1], "all"))
		return run_all(argv[2], argv[3], argv[4]);
	t = argc == 3 ? find(argv[1]) : NULL;
	act = argc == 3 && !strcmp(argv[2], "act");
	if (!t || (!act && strcmp(argv[2], "control"))) {
		fprintf(stderr, "usage: triggers list | EVENT MODE | all MODE PROGRAMS FOLDERS\n");
		return MISUSED;
	}
	error = t->prepare ? t->prepare() : 0;
	if (error) {
		fprintf(stderr, "%s: preparing: %s\n", t->event, strerror(error));
		return UNPREPARED;
	}
	if (!act)
		return DONE;
	error = t->act();
	if (error)
		fprintf(stderr, "%s: %s\n", t->event, strerror(error));
	return judge(t, error);
}
