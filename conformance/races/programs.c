#define _GNU_SOURCE
#include "programs.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

struct log {
	int fd;
	off_t seen;
};

static struct log ran, proof;
static char stack[65536] __attribute__((aligned(16)));

static void open_log(struct log *log, const char *path, int fd)
{
	int opened = open(path, O_RDWR | O_APPEND);

	if (opened < 0 || dup3(opened, fd, fd == RAN_FD ? 0 : O_CLOEXEC) < 0)
		die(path);
	close(opened);
	log->fd = fd;
	log->seen = lseek(fd, 0, SEEK_END);
}

void open_logs(void)
{
	open_log(&ran, RAN, RAN_FD);
	open_log(&proof, PROOF, RAN_FD + 1);
}

/* Whether a forbidden program has left its letter since the last look. */
static bool marked(struct log *log)
{
	char letter;
	bool found = false;

	while (pread(log->fd, &letter, 1, log->seen) == 1) {
		log->seen++;
		found |= letter == PRIVATE_LETTER;
	}
	return found;
}

struct program {
	const char *path;
	int fd;
};

static int become(void *argument)
{
	static char *argv[] = { "program", NULL };
	static char *envp[] = { NULL };
	const struct program *program = argument;

	if (program->path)
		execve(program->path, argv, envp);
	else
		syscall(SYS_execveat, program->fd, "", argv, envp, AT_EMPTY_PATH);
	_exit(errno == EPERM ? 99 : 98);
}

/* The child shares memory and descriptors with the sibling, until it has executed. */
enum outcome run_program(const char *path, int fd)
{
	struct program program = { path, fd };
	int status;
	pid_t pid = clone(become, stack + sizeof(stack), CLONE_VM | CLONE_VFORK | CLONE_FILES | SIGCHLD, &program);

	if (pid < 0)
		return OUTCOME_FAILED;
	if (waitpid(pid, &status, 0) != pid)
		return OUTCOME_FAILED;
	bool forbidden_ran = marked(&ran);
	if (marked(&proof))
		return OUTCOME_SUCCESS;
	if (forbidden_ran) {
		atomic_fetch_add(&board->unsettled, 1);
		return OUTCOME_FAILED;
	}
	if (!WIFEXITED(status) || WEXITSTATUS(status) == 98)
		return OUTCOME_FAILED;
	return WEXITSTATUS(status) == 99 ? OUTCOME_DENIED : OUTCOME_ALLOWED;
}
