// SPDX-License-Identifier: Apache-2.0 OR MIT
/* Processes: what one does to itself or to another. */
#include "triggers.h"
#include <grp.h>
#include <linux/capability.h>
#include <linux/ioprio.h>
#include <sched.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/resource.h>

enum { NICE = 5, GROUP = 4242 };

static pid_t child = -1;

/* A child that waits until it is killed, or until we are gone. */
static void wait_for_death(int ready)
{
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	/* Whoever reads our output must not wait for the child. */
	close(STDOUT_FILENO);
	close(STDERR_FILENO);
	close(ready);
	for (;;)
		pause();
}

/* Answers when the child cannot be left behind any more. */
static outcome make_child(void)
{
	int ready[2];
	char nothing;

	STEP(pipe(ready));
	STEP(child = fork());
	if (child == 0) {
		close(ready[0]);
		wait_for_death(ready[1]);
	}
	close(ready[1]);
	return RESULT(read(ready[0], &nothing, 1));
}

/* Runs in a child, whose status says what its act gave. */
static outcome in_child(outcome (*act)(void))
{
	int status;
	pid_t doer;

	STEP(doer = fork());
	if (doer == 0)
		_exit(act());
	STEP(waitpid(doer, &status, 0));
	return WIFEXITED(status) ? WEXITSTATUS(status) : ECHILD;
}

static outcome run_program(void)
{
	execl("/bin/true", "true", NULL);
	return errno;
}

static outcome execute(void)
{
	return in_child(run_program);
}

static outcome send_signal(void)
{
	return RESULT(kill(child, SIGTERM));
}

static bool has_ended(void)
{
	siginfo_t info = {};

	for (int i = 0; i < 200 && !info.si_pid; i++) {
		if (waitid(P_PID, child, &info, WEXITED | WNOHANG | WNOWAIT) < 0)
			return false;
		if (!info.si_pid)
			usleep(1000);
	}
	return info.si_pid == child;
}

static outcome attach(void)
{
	return RESULT(ptrace(PTRACE_SEIZE, child, 0, 0));
}

static bool is_traced(void)
{
	return ptrace(PTRACE_INTERRUPT, child, 0, 0) == 0;
}

static outcome ask_to_be_traced(void)
{
	return RESULT(ptrace(PTRACE_TRACEME, 0, 0, 0));
}

static outcome be_traced(void)
{
	return in_child(ask_to_be_traced);
}

static outcome set_user(void)
{
	return RESULT(setresuid(-1, 65534, -1));
}

static bool user_is_set(void)
{
	return geteuid() == 65534;
}

static outcome set_group(void)
{
	return RESULT(setresgid(-1, 65534, -1));
}

static bool group_is_set(void)
{
	return getegid() == 65534;
}

static outcome set_groups(void)
{
	gid_t group = GROUP;

	return RESULT(setgroups(1, &group));
}

static bool groups_are_set(void)
{
	gid_t groups[64];

	return getgroups(64, groups) == 1 && groups[0] == GROUP;
}

static struct __user_cap_header_struct header = { .version = _LINUX_CAPABILITY_VERSION_3 };
static struct __user_cap_data_struct capabilities[2];

static outcome know_capabilities(void)
{
	return RESULT(syscall(SYS_capget, &header, capabilities));
}

static outcome drop_capability(void)
{
	capabilities[0].effective &= ~(1u << CAP_NET_RAW);
	return RESULT(syscall(SYS_capset, &header, capabilities));
}

static outcome read_capabilities(void)
{
	header.pid = child;
	return RESULT(syscall(SYS_capget, &header, capabilities));
}

static outcome set_process_option(void)
{
	return RESULT(prctl(PR_SET_DUMPABLE, 0));
}

static bool option_is_set(void)
{
	return prctl(PR_GET_DUMPABLE) == 0;
}

static outcome limit_child(void)
{
	struct rlimit limit;

	return RESULT(prlimit(child, RLIMIT_CORE, NULL, &limit));
}

static outcome limit_self(void)
{
	struct rlimit limit = { 4096, 4096 };

	return RESULT(setrlimit(RLIMIT_CORE, &limit));
}

static bool is_limited(void)
{
	struct rlimit limit;

	return getrlimit(RLIMIT_CORE, &limit) == 0 && limit.rlim_cur == 4096;
}

static outcome move_child(void)
{
	return RESULT(setpgid(child, child));
}

static outcome read_process_group(void)
{
	return RESULT(getpgid(child));
}

static outcome read_session(void)
{
	return RESULT(getsid(child));
}

static outcome set_nice(void)
{
	return RESULT(setpriority(PRIO_PROCESS, child, NICE));
}

static bool nice_is_set(void)
{
	return getpriority(PRIO_PROCESS, child) == NICE;
}

static outcome set_io_priority(void)
{
	int priority = IOPRIO_PRIO_VALUE(IOPRIO_CLASS_BE, 3);

	return RESULT(syscall(SYS_ioprio_set, IOPRIO_WHO_PROCESS, child, priority));
}

static outcome read_io_priority(void)
{
	return RESULT(syscall(SYS_ioprio_get, IOPRIO_WHO_PROCESS, child));
}

static outcome set_scheduler(void)
{
	struct sched_param parameters = {};

	return RESULT(sched_setscheduler(child, SCHED_BATCH, &parameters));
}

static outcome read_scheduler(void)
{
	return RESULT(sched_getscheduler(child));
}

const struct trigger task_triggers[] = {
	{ "bprm_committed_creds", NULL, execute },
	{ "task_kill", make_child, send_signal, has_ended },
	{ "ptrace_access_check", make_child, attach, is_traced },
	{ "ptrace_traceme", NULL, be_traced },
	{ "task_fix_setuid", NULL, set_user, user_is_set },
	{ "task_fix_setgid", NULL, set_group, group_is_set },
	{ "task_fix_setgroups", NULL, set_groups, groups_are_set },
	{ "capset", know_capabilities, drop_capability },
	{ "capget", make_child, read_capabilities },
	{ "task_prctl", NULL, set_process_option, option_is_set },
	{ "task_prlimit", make_child, limit_child },
	{ "task_setrlimit", NULL, limit_self, is_limited },
	{ "task_setpgid", make_child, move_child },
	{ "task_getpgid", make_child, read_process_group },
	{ "task_getsid", make_child, read_session },
	{ "task_setnice", make_child, set_nice, nice_is_set },
	{ "task_setioprio", make_child, set_io_priority },
	{ "task_getioprio", make_child, read_io_priority },
	{ "task_setscheduler", make_child, set_scheduler },
	{ "task_getscheduler", make_child, read_scheduler },
	{},
};
