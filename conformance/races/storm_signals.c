/*
 * Signals come all the time while calls are judged. A call that does not block is never done twice, so that making
 * what it made itself does not fail with EEXIST. Where the handlers restart calls it never says EINTR either; where
 * they do not (-interrupted), it may in the moment before the supervisor has picked it up, when nothing has been
 * judged or done: trying again must find it so. A call that blocks is interrupted, or goes on where the handler asks
 * for it. What differs from that is a fault.
 */
#define _GNU_SOURCE
#include "race.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#define STORM_US 150
#define FIFO GRANTED "fifo"
#define LISTENER GRANTED "listener"

static int listener;
static volatile sig_atomic_t signals;

static void strike(int signal)
{
	(void)signal;
	signals++;
}

static void handle(int signal, int flags)
{
	struct sigaction action = { .sa_handler = strike, .sa_flags = flags };

	sigaction(signal, &action, NULL);
}

static void start_timer(int signal, long interval_us)
{
	struct sigevent event = { .sigev_notify = SIGEV_SIGNAL, .sigev_signo = signal };
	struct itimerspec interval = { { 0, interval_us * 1000 }, { 0, interval_us * 1000 } };
	timer_t timer;

	if (timer_create(CLOCK_MONOTONIC, &event, &timer) || timer_settime(timer, 0, &interval, NULL))
		die("timer");
}

static void start_restarting_storm(void)
{
	handle(SIGUSR1, SA_RESTART);
	start_timer(SIGUSR1, STORM_US);
}

static bool may_interrupt;

static void start_interrupting_storm(void)
{
	may_interrupt = true;
	handle(SIGUSR2, 0);
	start_timer(SIGUSR2, STORM_US + 40);
}

/* Both kinds of handlers, all the time. */
static void start_both_storms(void)
{
	start_restarting_storm();
	start_interrupting_storm();
}

static bool try_again(int result)
{
	if (result >= 0 || errno != EINTR || !may_interrupt)
		return false;
	atomic_fetch_add(&board->interrupted, 1);
	return true;
}

/* A call as often as it is interrupted before anything was done. */
#define UNINTERRUPTED(call)                    \
	({                                     \
		int result_;                   \
		do                             \
			result_ = (call);      \
		while (try_again(result_));    \
		result_;                       \
	})

static enum outcome whole(int result)
{
	if (result >= 0)
		return OUTCOME_ALLOWED;
	fprintf(stderr, "fault: %s\n", strerror(errno));
	return OUTCOME_FAULT;
}

static enum outcome open_file(void)
{
	int fd = UNINTERRUPTED(open(GRANTED "file", O_RDONLY));
	enum outcome outcome = whole(fd);

	if (fd >= 0)
		close(fd);
	return outcome;
}

static enum outcome both(int first, int second)
{
	return whole(first) == OUTCOME_ALLOWED ? whole(second) : OUTCOME_FAULT;
}

static enum outcome make_directory(void)
{
	int made = UNINTERRUPTED(mkdir(GRANTED "new", 0700));

	return made < 0 ? whole(made) : both(made, UNINTERRUPTED(rmdir(GRANTED "new")));
}

static enum outcome create_file(void)
{
	int fd = UNINTERRUPTED(open(GRANTED "new", O_WRONLY | O_CREAT | O_EXCL, 0600));

	if (fd < 0)
		return whole(fd);
	close(fd);
	return whole(UNINTERRUPTED(unlink(GRANTED "new")));
}

static enum outcome make_link(void)
{
	int made = UNINTERRUPTED(link(GRANTED "file", GRANTED "new"));

	return made < 0 ? whole(made) : whole(UNINTERRUPTED(unlink(GRANTED "new")));
}

static enum outcome move_file(void)
{
	int moved = UNINTERRUPTED(rename(GRANTED "victim", GRANTED "new"));

	return moved < 0 ? whole(moved) : whole(UNINTERRUPTED(rename(GRANTED "new", GRANTED "victim")));
}

/* What must be interrupted: a handler without SA_RESTART, and nothing that would end the wait. */
static enum outcome interrupted(int result)
{
	if (result < 0 && errno == EINTR)
		return OUTCOME_ALLOWED;
	fprintf(stderr, "fault: not interrupted: %s\n", result < 0 ? strerror(errno) : "done");
	if (result >= 0)
		close(result);
	return OUTCOME_FAULT;
}

static enum outcome wait_for_writer(void)
{
	return interrupted(open(FIFO, O_RDONLY));
}

/* Signals are the main thread's alone. */
static void start_helper(pthread_t *thread, void *(*act)(void *))
{
	sigset_t all, before;

	sigfillset(&all);
	pthread_sigmask(SIG_BLOCK, &all, &before);
	if (pthread_create(thread, NULL, act, NULL))
		die("pthread_create");
	pthread_sigmask(SIG_SETMASK, &before, NULL);
}

static void *become_writer(void *unused)
{
	int fd;

	(void)unused;
	usleep(3000);
	while ((fd = open(FIFO, O_WRONLY | O_NONBLOCK)) < 0 && errno == ENXIO)
		usleep(500);
	if (fd >= 0)
		close(fd);
	return NULL;
}

static enum outcome restarted(int (*wait)(void), void *(*end_it)(void *))
{
	pthread_t thread;

	start_helper(&thread, end_it);
	int fd = wait();
	enum outcome outcome = whole(fd);
	if (fd >= 0)
		close(fd);
	pthread_join(thread, NULL);
	return outcome;
}

static int open_fifo(void)
{
	return open(FIFO, O_RDONLY);
}

static enum outcome wait_on_for_writer(void)
{
	return restarted(open_fifo, become_writer);
}

static const struct sockaddr_un address = { .sun_family = AF_UNIX, .sun_path = LISTENER };

static void prepare_listener(void)
{
	unlink(LISTENER);
	listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (bind(listener, (const struct sockaddr *)&address, sizeof(address)) < 0 || listen(listener, 0) < 0)
		die("listener");
}

static void prepare_listener_in_storm(void)
{
	prepare_listener();
	start_interrupting_storm();
}

static void prepare_listener_in_restarting_storm(void)
{
	prepare_listener();
	start_restarting_storm();
}

static enum outcome wait_for_caller(void)
{
	return interrupted(accept(listener, NULL, NULL));
}

static int connect_one(void)
{
	int fd = UNINTERRUPTED(socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));

	if (connect(fd, (const struct sockaddr *)&address, sizeof(address)) == 0)
		return fd;
	int error = errno;
	close(fd);
	errno = error;
	return -1;
}

static void *call(void *unused)
{
	(void)unused;
	usleep(3000);
	int fd = connect_one();
	if (fd >= 0)
		close(fd);
	return NULL;
}

static int accept_one(void)
{
	return accept(listener, NULL, NULL);
}

static enum outcome wait_on_for_caller(void)
{
	return restarted(accept_one, call);
}

/* One waits to be accepted, and the queue has no room for another. */
static enum outcome wait_for_room(void)
{
	static int first = -1;

	if (first < 0)
		while ((first = connect_one()) < 0 && errno == EINTR)
			;
	return interrupted(connect_one());
}

static const struct race races[] = {
	{ .name = "open", .prepare = start_restarting_storm, .attempt = open_file },
	{ .name = "mkdir", .prepare = start_restarting_storm, .attempt = make_directory },
	{ .name = "create", .prepare = start_restarting_storm, .attempt = create_file },
	{ .name = "link", .prepare = start_restarting_storm, .attempt = make_link },
	{ .name = "rename", .prepare = start_restarting_storm, .attempt = move_file },
	{ .name = "open-interrupted", .prepare = start_both_storms, .attempt = open_file },
	{ .name = "mkdir-interrupted", .prepare = start_both_storms, .attempt = make_directory },
	{ .name = "create-interrupted", .prepare = start_both_storms, .attempt = create_file },
	{ .name = "link-interrupted", .prepare = start_both_storms, .attempt = make_link },
	{ .name = "rename-interrupted", .prepare = start_both_storms, .attempt = move_file },
	{ .name = "fifo", .prepare = start_interrupting_storm, .attempt = wait_for_writer },
	{ .name = "fifo-restart", .prepare = start_restarting_storm, .attempt = wait_on_for_writer },
	{ .name = "accept", .prepare = prepare_listener_in_storm, .attempt = wait_for_caller },
	{ .name = "accept-restart", .prepare = prepare_listener_in_restarting_storm, .attempt = wait_on_for_caller },
	{ .name = "connect", .prepare = prepare_listener_in_storm, .attempt = wait_for_room },
};

int main(int argc, char **argv)
{
	return RACE_MAIN(argc, argv, races);
}
