// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * Tasks: who belongs to a namespace, and what they do to one another and to themselves.
 */
#define TASK_KILL 13
#define PTRACE_ACCESS_CHECK 14
#define PTRACE_TRACEME 15
#define TASK_FIX_SETUID 32
#define TASK_FIX_SETGID 33
#define CAPSET 34
#define TASK_PRCTL 35
#define TASK_PRLIMIT 36
#define USERNS_CREATE 37
#define BPF_EVENT 38
#define TASK_FIX_SETGROUPS 101

#define CLONE_THREAD 0x10000
#define PTRACE_READ 1
#define PTRACE_ATTACH 2
#define PTRACE_REALCREDS 0x10

/* A child inherits all of it; a process that cannot be announced cannot be made. */
SEC("lsm/task_alloc")
int BPF_PROG(task_alloc, struct task_struct *child, unsigned long clone_flags)
{
	struct task *own, *inherited;
	struct scratch *memory;
	struct actor a = {};
	__u64 serial;
	int begun = begin(&a);

	if (begun <= 0)
		return begun;
	if (judge_clone(clone_flags))
		return -EPERM;
	own = a.task;
	memory = bpf_task_storage_get(&scratches, child, 0, BPF_LOCAL_STORAGE_GET_F_CREATE);
	inherited = bpf_task_storage_get(&tasks, child, 0, BPF_LOCAL_STORAGE_GET_F_CREATE);
	if (!memory || !inherited)
		return -ENOMEM;
	*inherited = *own;
	inherited->flags &= ~(TASK_EXEC_PENDING | TASK_SENDS_TO_ADDRESS);
	inherited->stash_kind = 0;
	if (is_untrusted(own, a.ns))
		inherited->flags |= TASK_UNTRUSTED;
	if (clone_flags & CLONE_THREAD)
		return 0;
	serial = __sync_fetch_and_add(&a.ns->processes, 1) + 1;
	inherited->process = serial;
	if (send_notice(own, a.s, a.ns, MESSAGE_FORKED, serial)) {
		count(&a.ns->dropped);
		return -EAGAIN;
	}
	return 0;
}

SEC("tp_btf/task_newtask")
int BPF_PROG(task_newtask, struct task_struct *child, unsigned long clone_flags)
{
	struct task *task = bpf_task_storage_get(&tasks, child, 0, 0);
	struct namespace *ns;
	__u32 slot;

	if (!task)
		return 0;
	slot = task->slot;
	ns = bpf_map_lookup_elem(&namespaces, &slot);
	if (ns)
		__sync_fetch_and_add(&ns->live, 1);
	return 0;
}

static __always_inline void orchestrator_ended(__u32 pid)
{
	__u32 *slot = bpf_map_lookup_elem(&orchestrators, &pid), flags;
	struct namespace *ns;

	if (!slot)
		return;
	if (*slot == OTHER_SET) {
		bpf_map_delete_elem(&orchestrators, &pid);
		return;
	}
	ns = bpf_map_lookup_elem(&namespaces, slot);
	if (!ns || ns->orchestrator != pid)
		return;
	bpf_map_delete_elem(&orchestrators, &pid);
	flags = ns->flags;
	ns->flags = flags | NAMESPACE_ORPHANED |
		    (flags & NAMESPACE_KILL_ORPHANED ? NAMESPACE_KILLED : 0);
}

SEC("tp_btf/sched_process_exit")
int BPF_PROG(sched_process_exit, struct task_struct *ended)
{
	struct task_struct *current = bpf_get_current_task_btf();
	int last = BPF_CORE_READ(current, signal, live.counter) == 0;
	struct task *task = own_entry();
	struct scratch *s;
	struct namespace *ns;
	__u32 slot;

	if (last)
		orchestrator_ended(BPF_CORE_READ(current, tgid));
	if (!task)
		return 0;
	/* The kernel cleans up after the task from here on. */
	task->flags &= ~TASK_FULL;
	slot = task->slot;
	ns = bpf_map_lookup_elem(&namespaces, &slot);
	s = bpf_task_storage_get(&scratches, current, 0, 0);
	if (!ns || !s)
		return 0;
	if (task->flags & TASK_EXEC_PENDING) {
		task->flags &= ~TASK_EXEC_PENDING;
		if (send_notice(task, s, ns, MESSAGE_FAILED, 0))
			count(&ns->dropped);
	}
	if (last && send_notice(task, s, ns, MESSAGE_EXITED, 0))
		count(&ns->dropped);
	__sync_fetch_and_sub(&ns->live, 1);
	return 0;
}

/* As put_target, of a task that the kernel's index of pids has. */
static __always_inline int put_found_target(struct actor *a, struct task_struct *target,
					    __u32 *process)
{
	struct task *other;

	*process = BPF_CORE_READ(target, tgid);
	if (*process == bpf_get_current_pid_tgid() >> 32)
		return 0;
	other = entry_of(a->task, target);
	a->s->message.flags = HAS_TARGET;
	if (!other || BPF_PROBE_READ(other, slot) != a->task->slot ||
	    BPF_PROBE_READ(other, generation) != a->task->generation) {
		put8(a->s, TARGET_OUTSIDE_TAG);
		return 1;
	}
	put8(a->s, TARGET_TASK_TAG);
	put_octets(a->s, (void *)other + __builtin_offsetof(struct task, task_id), 32);
	a->s->message.flags |= TARGET_INSIDE;
	a->s->message.other = BPF_PROBE_READ(other, process);
	return 1;
}

/* The same of a task that is known by its number only, and by its credentials. */
static __always_inline int put_numbered_target(struct actor *a, __u32 number,
					       const struct cred *credentials, __u32 *process)
{
	struct task_struct *target = find_task(number);

	if (!target || BPF_CORE_READ(target, real_cred) != credentials) {
		a->s->failed = 1;
		return 1;
	}
	return put_found_target(a, target, process);
}

/* The hook is told credentials, the call whose they are. */
SEC("lsm/task_prlimit")
int BPF_PROG(task_prlimit, const struct cred *cred, const struct cred *target, unsigned int flags)
{
	__u32 process = 0;

	BEGIN(TASK_PRLIMIT);
	if (!put_numbered_target(&a, call_argument(0), target, &process))
		return 0;
	put32(a.s, flags);
	return decide_on_other(&a, process, TASK_PRLIMIT);
}

SEC("lsm/task_kill")
int BPF_PROG(task_kill, struct task_struct *target, struct kernel_siginfo *info, int signal,
	     const struct cred *cred)
{
	BEGIN(TASK_KILL);
	/* SEND_SIG_PRIV, or with kept credentials: from the kernel, not from a task. */
	if (raw_argument(ctx, 1) <= 1 || raw_argument(ctx, 3))
		return 0;
	if (!put_target(&a, target))
		return 0;
	put32(a.s, signal);
	return decide_on_other(&a, BPF_CORE_READ(target, tgid), TASK_KILL);
}

/* What procfs asks to show a process is no event of `core`; its memory is. */
SEC("lsm/ptrace_access_check")
int BPF_PROG(ptrace_access_check, struct task_struct *child, unsigned int mode)
{
	if (!(mode & (PTRACE_ATTACH | PTRACE_REALCREDS)))
		return 0;
	BEGIN(PTRACE_ACCESS_CHECK);
	if (!put_target(&a, child))
		return 0;
	put32(a.s, mode & PTRACE_ATTACH ? 2 : 1);
	return decide_on_other(&a, BPF_CORE_READ(child, tgid), PTRACE_ACCESS_CHECK);
}

SEC("lsm/ptrace_traceme")
int BPF_PROG(ptrace_traceme, struct task_struct *parent)
{
	BEGIN(PTRACE_TRACEME);
	if (!put_target(&a, parent))
		return 0;
	DECIDE_NOW(PTRACE_TRACEME);
}

SEC("lsm/task_fix_setuid")
int BPF_PROG(task_fix_setuid, struct cred *new, const struct cred *old, int flags)
{
	BEGIN(TASK_FIX_SETUID);
	put32(a.s, BPF_CORE_READ(new, uid.val));
	put32(a.s, BPF_CORE_READ(new, euid.val));
	put32(a.s, BPF_CORE_READ(new, suid.val));
	put32(a.s, BPF_CORE_READ(new, fsuid.val));
	put32(a.s, flags);
	DECIDE_NOW(TASK_FIX_SETUID);
}

SEC("lsm/task_fix_setgid")
int BPF_PROG(task_fix_setgid, struct cred *new, const struct cred *old, int flags)
{
	BEGIN(TASK_FIX_SETGID);
	put32(a.s, BPF_CORE_READ(new, gid.val));
	put32(a.s, BPF_CORE_READ(new, egid.val));
	put32(a.s, BPF_CORE_READ(new, sgid.val));
	put32(a.s, BPF_CORE_READ(new, fsgid.val));
	put32(a.s, flags);
	DECIDE_NOW(TASK_FIX_SETGID);
}

struct group_walk {
	struct scratch *s;
	struct group_info *groups;
	__u32 start;
	__u32 last;
};

/* The kernel has sorted them. */
static long write_group(__u32 i, struct group_walk *w)
{
	__u32 group = 0;

	bpf_probe_read_kernel(&group, 4,
			      (void *)w->groups + bpf_core_field_offset(struct group_info, gid) +
				      i * 4ull);
	if (i && group == w->last)
		return 0;
	w->last = group;
	if (i)
		put8(w->s, ',');
	put_decimal(w->s, group);
	return w->s->length - w->start > TEXT_MAX;
}

/* As many as fit, as in the portable source. */
SEC("lsm/task_fix_setgroups")
int BPF_PROG(task_fix_setgroups, struct cred *new, const struct cred *old)
{
	struct group_info *groups;
	struct group_walk w = {};
	__u32 length;

	BEGIN(TASK_FIX_SETGROUPS);
	w.s = a.s;
	groups = BPF_CORE_READ(new, group_info);
	w.groups = groups;
	put16(a.s, 0);
	w.start = a.s->length;
	bpf_loop(BPF_CORE_READ(groups, ngroups), write_group, &w, 0);
	length = a.s->length - w.start;
	if (length > TEXT_MAX)
		length = TEXT_MAX;
	a.s->length = w.start + length;
	*(__u16 *)(a.s->cell + 3) = length;
	DECIDE_NOW(TASK_FIX_SETGROUPS);
}

SEC("lsm.s/capset")
int BPF_PROG(capset, struct cred *new, const struct cred *old, const kernel_cap_t *effective,
	     const kernel_cap_t *inheritable, const kernel_cap_t *permitted)
{
	__u64 sets[3] = {};

	BEGIN(CAPSET);
	bpf_probe_read_kernel(&sets[0], 8, effective);
	bpf_probe_read_kernel(&sets[1], 8, permitted);
	bpf_probe_read_kernel(&sets[2], 8, inheritable);
	put64(a.s, sets[0]);
	put64(a.s, sets[1]);
	put64(a.s, sets[2]);
	DECIDE_SLEEPING(CAPSET);
}

/* The options that core knows; the others say nothing about security. */
static __always_inline int is_judged_option(__u32 option)
{
	switch (option) {
	case 1: case 4: case 8: case 22: case 24: case 26: case 28: case 35: case 36: case 38:
	case 47: case 53: case 57: case 59: case 62: case 65: case 0x59616d61:
		return 1;
	default:
		return 0;
	}
}

SEC("lsm.s/task_prctl")
int BPF_PROG(task_prctl, int option, unsigned long arg2, unsigned long arg3, unsigned long arg4,
	     unsigned long arg5, int before)
{
	__u64 argument = arg2;

	/* ENOSYS says that nobody has handled the option yet: it goes on to the next. */
	if (before != 0 && before != -38)
		return before;
	if (!is_judged_option(option))
		return before;
	BEGIN(TASK_PRCTL);
	if (option == 0x59616d61)
		argument = arg2 != 0;
	else if (option == 35 || option == 47 || option == 22)
		argument = arg2 & 0xffffffff;
	put32(a.s, option);
	put64(a.s, argument);
	if (decide_sleeping(a.task, a.s, a.ns, TASK_PRCTL))
		return -EPERM;
	return before;
}

SEC("lsm.s/userns_create")
int BPF_PROG(userns_create, const struct cred *cred)
{
	BEGIN(USERNS_CREATE);
	DECIDE_SLEEPING(USERNS_CREATE);
}

SEC("lsm.s/bpf")
int BPF_PROG(bpf_call, int command, union bpf_attr *attr, unsigned int size)
{
	BEGIN(BPF_EVENT);
	put32(a.s, command);
	DECIDE_SLEEPING(BPF_EVENT);
}
