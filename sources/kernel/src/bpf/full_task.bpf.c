// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * Processes: groups, priorities, limits; also of the acting process itself. None of these hooks may
 * sleep: the kernel holds locks in them, or would make all wait that move tasks between groups.
 */
#define TASK_SETPGID 60
#define TASK_GETPGID 61
#define TASK_GETSID 62
#define TASK_SETNICE 63
#define TASK_SETIOPRIO 64
#define TASK_GETIOPRIO 65
#define TASK_SETRLIMIT 66
#define TASK_SETSCHEDULER 67
#define TASK_GETSCHEDULER 68
#define CAPGET 94

static __always_inline void put_target_or_own(struct actor *a, struct task_struct *target)
{
	if (put_target(a, target))
		return;
	put8(a->s, TARGET_OWN_TAG);
	a->s->message.flags = HAS_TARGET | TARGET_INSIDE;
	a->s->message.other = a->task->process;
}

#define TARGET_EVENT(kind)                                                                     \
	BEGIN_FULL(kind);                                                                      \
	put_target_or_own(&a, target)

/* Orchestrators may be looked at, but not be changed. */
#define DECIDE_ON_TARGET(kind) return decide_on_other(&a, BPF_CORE_READ(target, tgid), kind)

SEC("lsm/task_setpgid")
int BPF_PROG(full_task_setpgid, struct task_struct *target)
{
	TARGET_EVENT(TASK_SETPGID);
	DECIDE_ON_TARGET(TASK_SETPGID);
}

SEC("lsm/task_getpgid")
int BPF_PROG(full_task_getpgid, struct task_struct *target)
{
	TARGET_EVENT(TASK_GETPGID);
	DECIDE_NOW(TASK_GETPGID);
}

SEC("lsm/task_getsid")
int BPF_PROG(full_task_getsid, struct task_struct *target)
{
	TARGET_EVENT(TASK_GETSID);
	DECIDE_NOW(TASK_GETSID);
}

SEC("lsm/task_setnice")
int BPF_PROG(full_task_setnice, struct task_struct *target, int nice)
{
	TARGET_EVENT(TASK_SETNICE);
	put32(a.s, nice);
	DECIDE_ON_TARGET(TASK_SETNICE);
}

SEC("lsm/task_setioprio")
int BPF_PROG(full_task_setioprio, struct task_struct *target, int priority)
{
	TARGET_EVENT(TASK_SETIOPRIO);
	put32(a.s, priority);
	DECIDE_ON_TARGET(TASK_SETIOPRIO);
}

SEC("lsm/task_getioprio")
int BPF_PROG(full_task_getioprio, struct task_struct *target)
{
	TARGET_EVENT(TASK_GETIOPRIO);
	DECIDE_NOW(TASK_GETIOPRIO);
}

SEC("lsm/task_setrlimit")
int BPF_PROG(full_task_setrlimit, struct task_struct *target, unsigned int resource,
	     struct rlimit *limit)
{
	TARGET_EVENT(TASK_SETRLIMIT);
	put32(a.s, resource);
	put64(a.s, BPF_CORE_READ(limit, rlim_cur));
	put64(a.s, BPF_CORE_READ(limit, rlim_max));
	DECIDE_ON_TARGET(TASK_SETRLIMIT);
}

SEC("lsm/task_setscheduler")
int BPF_PROG(full_task_setscheduler, struct task_struct *target)
{
	TARGET_EVENT(TASK_SETSCHEDULER);
	DECIDE_ON_TARGET(TASK_SETSCHEDULER);
}

SEC("lsm/task_getscheduler")
int BPF_PROG(full_task_getscheduler, struct task_struct *target)
{
	TARGET_EVENT(TASK_GETSCHEDULER);
	DECIDE_NOW(TASK_GETSCHEDULER);
}

SEC("lsm/capget")
int BPF_PROG(full_capget, struct task_struct *target)
{
	TARGET_EVENT(CAPGET);
	DECIDE_NOW(CAPGET);
}
