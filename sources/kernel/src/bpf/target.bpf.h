/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The process that an event is about, if it is another one.
 */
#ifndef QUIXOTE_TARGET_H
#define QUIXOTE_TARGET_H

#define TARGET_OUTSIDE_TAG 0
#define TARGET_TASK_TAG 1
#define TARGET_OWN_TAG 2

static __always_inline int is_orchestrator(__u32 process)
{
	return bpf_map_lookup_elem(&orchestrators, &process) != NULL;
}

/* Writes the target of an event and returns whether it is another process. */
static __always_inline int put_target(struct actor *a, struct task_struct *target)
{
	struct task *other;

	if (BPF_CORE_READ(target, tgid) == bpf_get_current_pid_tgid() >> 32)
		return 0;
	other = bpf_task_storage_get(&tasks, target, 0, 0);
	a->s->message.flags = HAS_TARGET;
	if (!other || other->slot != a->task->slot || other->generation != a->task->generation) {
		put8(a->s, TARGET_OUTSIDE_TAG);
		return 1;
	}
	put8(a->s, TARGET_TASK_TAG);
	put_id(a->s, other->task_id);
	a->s->message.flags |= TARGET_INSIDE;
	a->s->message.other = other->process;
	return 1;
}

/* Orchestrators are out of reach, whatever is decided. */
static __always_inline int decide_on_other(struct actor *a, __u32 process, __u32 kind)
{
	int decided = decide_now(a->task, a->s, a->ns, kind);

	return is_orchestrator(process) ? -EPERM : decided;
}

#endif
