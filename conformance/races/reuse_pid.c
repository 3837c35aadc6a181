/*
 * A pid is given to a new process at once: it may not be taken for the one that had it before, whose program could do
 * more, nor may a signal that was judged for the one reach the other.
 *
 * run_races.py starts it in a pid namespace of its own; the next pid is asked for by ns_last_pid, or, where that may
 * not be written, comes round by itself, because pid_max is small.
 */
#define _GNU_SOURCE
#include "race.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#define READER GRANTED "reader" /* the program that may read the private file, and waits for its standard input */
#define PID_TURNS_MAX 2000

static int last_pid = -1;
static int hold[2];

static void prepare(void)
{
	last_pid = open("/proc/sys/kernel/ns_last_pid", O_WRONLY | O_CLOEXEC);
	if (pipe2(hold, O_CLOEXEC) < 0)
		die("pipe");
	fcntl(hold[1], F_SETFL, O_NONBLOCK);
}

/* Starts the better process; with `waits` it lives until `release`. */
static pid_t start_reader(bool waits)
{
	static char *argv[] = { "reader", NULL, NULL };
	static char *envp[] = { NULL };
	pid_t pid;

	argv[1] = waits ? "wait" : NULL;
	pid = vfork();
	if (pid == 0) {
		dup2(hold[0], STDIN_FILENO);
		execve(READER, argv, envp);
		_exit(99);
	}
	return pid;
}

static void release(void)
{
	if (write(hold[1], "", 1) != 1 && errno != EAGAIN)
		die("write");
}

static void ask_for(pid_t pid)
{
	char text[16];
	int length = snprintf(text, sizeof(text), "%d", pid - 1);

	if (last_pid >= 0 && pwrite(last_pid, text, length, 0) != length)
		die("ns_last_pid");
}

/* Forks until the child has the pid that was asked for; 0 in that child. */
static pid_t fork_as(pid_t wanted)
{
	for (int turn = 0; turn < PID_TURNS_MAX; turn++) {
		ask_for(wanted);
		pid_t pid = fork();
		if (pid <= 0 && getpid() == wanted)
			return 0;
		if (pid == 0)
			_exit(0);
		if (pid == wanted)
			return pid;
		waitpid(pid, NULL, 0);
	}
	return -1;
}

static void try_to_read(void)
{
	int fd = open(PRIVATE "file", O_RDONLY);
	int error = errno;

	_exit(fd < 0 ? (error == EPERM ? 1 : 2) : is_secret(fd) ? 3 : 2);
}

static enum outcome outcome_of(pid_t pid)
{
	static const enum outcome outcomes[] = { OUTCOME_ALLOWED, OUTCOME_DENIED, OUTCOME_FAILED, OUTCOME_SUCCESS };
	int status;

	if (waitpid(pid, &status, 0) != pid || !WIFEXITED(status) || WEXITSTATUS(status) > 3)
		return OUTCOME_FAILED;
	return outcomes[WEXITSTATUS(status)];
}

/* The process that the pid had belonged to might have read. */
static enum outcome read_in_its_place(void)
{
	pid_t pid = start_reader(false);

	waitpid(pid, NULL, 0);
	if (benign)
		return OUTCOME_ALLOWED;
	pid_t heir = fork_as(pid);
	if (heir == 0)
		try_to_read();
	return heir < 0 ? OUTCOME_FAILED : outcome_of(heir);
}

static int wanted_tid;

static void *read_as_thread(void *result)
{
	enum outcome *outcome = result;

	*outcome = OUTCOME_FAILED;
	if (gettid() != wanted_tid)
		return NULL;
	int fd = open(PRIVATE "file", O_RDONLY);
	*outcome = fd < 0 ? refusal(errno) : is_secret(fd) ? OUTCOME_SUCCESS : OUTCOME_FAILED;
	if (fd >= 0)
		close(fd);
	return NULL;
}

/* As before, with a thread that gets the pid as its tid. */
static enum outcome read_in_its_place_as_thread(void)
{
	enum outcome outcome = OUTCOME_FAILED;
	pthread_t thread;

	wanted_tid = start_reader(false);
	waitpid(wanted_tid, NULL, 0);
	if (benign)
		return OUTCOME_ALLOWED;
	for (int turn = 0; turn < PID_TURNS_MAX && outcome == OUTCOME_FAILED; turn++) {
		ask_for(wanted_tid);
		if (pthread_create(&thread, NULL, read_as_thread, &outcome))
			return OUTCOME_FAILED;
		pthread_join(thread, NULL);
		if (last_pid >= 0)
			break;
	}
	return outcome;
}

static _Atomic pid_t kill_target;
static _Atomic int kill_state; /* 0: idle, 1: go, 2: done */
static _Atomic int kill_result;

/* The sibling sends the signal that is allowed for the reader; benign, so does the main thread. */
static void *killer(void *unused)
{
	(void)unused;
	for (;;) {
		while (atomic_load(&kill_state) != 1)
			;
		spin_randomly();
		atomic_store(&kill_result, kill(atomic_load(&kill_target), SIGUSR1) < 0 ? errno : 0);
		atomic_store(&kill_state, 2);
	}
	return NULL;
}

static volatile sig_atomic_t struck;

static void strike(int signal)
{
	(void)signal;
	struck = 1;
}

/* The heir waits for the signal's verdict, and says whether it was struck. */
static void be_victim(void)
{
	uint64_t end = now_us() + 3000;

	while (!struck && now_us() < end)
		sched_yield();
	_exit(struck ? 3 : 1);
}

static enum outcome kill_in_its_place(void)
{
	static bool prepared;
	static pthread_t thread;

	if (!prepared) {
		signal(SIGUSR1, strike);
		prepared = true;
		if (!benign && pthread_create(&thread, NULL, killer, NULL))
			die("pthread_create");
	}
	pid_t pid = start_reader(true);
	if (benign) {
		kill(pid, SIGUSR1); /* the reader ignores it */
		release();
		waitpid(pid, NULL, 0);
		return OUTCOME_ALLOWED;
	}
	struck = 0;
	atomic_store(&kill_target, pid);
	atomic_store(&kill_state, 1);
	release();
	waitpid(pid, NULL, 0);
	pid_t heir = fork_as(pid);
	if (heir == 0)
		be_victim();
	while (atomic_load(&kill_state) != 2)
		sched_yield();
	atomic_store(&kill_state, 0);
	enum outcome outcome = heir < 0 ? OUTCOME_FAILED : outcome_of(heir);
	if (outcome == OUTCOME_DENIED && atomic_load(&kill_result) != EPERM)
		return OUTCOME_ALLOWED; /* it hit the reader, or nobody */
	return outcome;
}

static const struct race races[] = {
	{ .name = "process", .prepare = prepare, .attempt = read_in_its_place },
	{ .name = "thread", .prepare = prepare, .attempt = read_in_its_place_as_thread },
	{ .name = "kill", .prepare = prepare, .attempt = kill_in_its_place },
};

int main(int argc, char **argv)
{
	return RACE_MAIN(argc, argv, races);
}
