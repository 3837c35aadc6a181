// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * Who is signalled when a descriptor becomes ready: F_SETOWN and its likes.
 *
 * By it the kernel sends SIGIO (or another signal, by F_SETSIG) in the caller's name, later and where nobody knows who
 * that was; so it is judged as that signal when it is asked for. Only F_SETOWN names the process in a register. What
 * the others point to is read here, and once more by the kernel (docs/known-holes.md).
 */
#define F_SETOWN 8
#define F_SETOWN_EX 15
#define FIOSETOWN 0x8901
#define SIOCSPGRP 0x8902
#define SIGIO 29

#define OWNER_GROUP 2

struct owner {
	int kind;
	int number;
};

/* A group is whoever is in it outside, and so is a process that is not there yet. */
static __always_inline int judge_owner(const struct owner *owner)
{
	struct task_struct *target = NULL;
	__u32 process = 0;

	if (!owner->number)
		return 0;
	BEGIN(TASK_KILL);
	if (owner->kind != OWNER_GROUP)
		target = find_task(owner->number);
	if (!target) {
		a.s->message.flags = HAS_TARGET;
		put8(a.s, TARGET_OUTSIDE_TAG);
	} else if (!put_found_target(&a, target, &process)) {
		return 0;
	}
	put32(a.s, SIGIO);
	return decide_on_other(&a, process, TASK_KILL);
}

/* Memory that cannot be read at once names nobody that could be judged. */
static __always_inline int judge_unknown_owner(void)
{
	BEGIN(TASK_KILL);
	a.s->failed = 1;
	DECIDE_NOW(TASK_KILL);
}

static __always_inline int judge_number(int number)
{
	struct owner owner = { .number = number };

	if (number < 0)
		owner.kind = OWNER_GROUP;
	return judge_owner(&owner);
}

static __always_inline int is_outside_all(void)
{
	return !own_entry();
}

SEC("lsm/file_fcntl")
int BPF_PROG(fcntl_owner, struct file *file, unsigned int command, unsigned long argument)
{
	struct owner owner = {};

	if ((command != F_SETOWN && command != F_SETOWN_EX) || is_outside_all())
		return 0;
	if (command == F_SETOWN)
		return judge_number(argument);
	if (bpf_probe_read_user(&owner, sizeof(owner), (void *)argument))
		return judge_unknown_owner();
	return judge_owner(&owner);
}

static __always_inline int judge_ioctl(unsigned int command, unsigned long argument)
{
	int number = 0;

	if ((command != FIOSETOWN && command != SIOCSPGRP) || is_outside_all())
		return 0;
	if (bpf_probe_read_user(&number, sizeof(number), (void *)argument))
		return judge_unknown_owner();
	return judge_number(number);
}

SEC("lsm/file_ioctl")
int BPF_PROG(ioctl_owner, struct file *file, unsigned int command, unsigned long argument)
{
	return judge_ioctl(command, argument);
}

/* A hook of its own for calls of the other ABI since 6.8 (kernel commit f1bb47a31dff), and in 6.1.75. */
SEC("lsm/file_ioctl_compat")
int BPF_PROG(ioctl_owner_compat, struct file *file, unsigned int command, unsigned long argument)
{
	return judge_ioctl(command, argument);
}

/* Orchestrators are signalled by nobody so, whatever was decided, and whoever asked for it. */
SEC("lsm/file_send_sigiotask")
int BPF_PROG(signal_by_file, struct task_struct *target)
{
	return is_orchestrator(BPF_CORE_READ(target, tgid)) ? -EPERM : 0;
}
