/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Who acts for Quixote under lockdown, and who is out of everybody else's reach.
 *
 * A keeper is a process that executed the recorded copy of `quixote` and has mapped nothing but recorded copies
 * since (keep.bpf.c). The mark is in task storage: inherited by threads and children, settled at every exec.
 */
#ifndef QUIXOTE_KEEPERS_H
#define QUIXOTE_KEEPERS_H

#define EPERM 1
#define ENOMEM 12

/* The super block that the pins are in; zero until the lockdown begins. In that mount namespace it stays mounted. */
__u64 home_super;
__u64 home_namespace;

struct {
	__uint(type, BPF_MAP_TYPE_TASK_STORAGE);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, int);
	__type(value, __u32);
} keepers SEC(".maps");

/* The recorded copies. */
#define OWN_PROGRAM 1
#define OWN_LIBRARY 2

struct {
	__uint(type, BPF_MAP_TYPE_INODE_STORAGE);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, int);
	__type(value, __u32);
} own_files SEC(".maps");

/* The next three are those of maps.bpf.h: loading fails where they differ. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, SLOTS);
	__type(key, __u32);
	__type(value, struct namespace);
} namespaces SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_TASK_STORAGE);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, int);
	__type(value, struct task);
} tasks SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 4 * SLOTS);
	__type(key, __u32);
	__type(value, __u8);
} own_maps SEC(".maps");

/* Spelled out: what the compiler makes of a condition and a minus is no range that the verifier of 6.12 knows. */
static __always_inline int refuse_if(int condition)
{
	barrier_var(condition);
	return condition ? -EPERM : 0;
}

static __always_inline int is_keeper(struct task_struct *task)
{
	return bpf_task_storage_get(&keepers, task, 0, 0) != NULL;
}

/* Whether the acting task may have descriptors of ours, or the lockdown has not begun. */
static __always_inline int may_have_own(void)
{
	return !home_super || is_keeper(bpf_get_current_task_btf());
}

/* The namespace of a task that is shielded. */
static __always_inline struct namespace *shield_of(struct task_struct *target)
{
	struct task *other = bpf_task_storage_get(&tasks, target, 0, 0);
	struct namespace *ns;
	__u32 slot;

	if (!other)
		return NULL;
	slot = other->slot;
	ns = bpf_map_lookup_elem(&namespaces, &slot);
	return ns && (ns->flags & NAMESPACE_SHIELDED) ? ns : NULL;
}

static __always_inline int is_in_same_namespace(struct task_struct *target)
{
	struct task *own = bpf_task_storage_get(&tasks, bpf_get_current_task_btf(), 0, 0);
	struct task *other = bpf_task_storage_get(&tasks, target, 0, 0);

	return own && other && own->slot == other->slot;
}

struct task_struct___parent {
	struct task_struct *real_parent;
} PRESERVED;

/*
 * A keeper does what its command line, and under the portable source its workload, ask for. So it reaches no more than
 * it has to: the namespace that it is the orchestrator of, and a child that has not executed anything yet.
 */
static __always_inline int is_charge(struct task_struct *target, __u32 process)
{
	struct task_struct___parent *child = (void *)target;
	struct task *entry = bpf_task_storage_get(&tasks, target, 0, 0);
	struct namespace *ns;
	__u32 slot;

	if (!entry)
		return is_keeper(target) && BPF_CORE_READ(child, real_parent, tgid) == process;
	slot = entry->slot;
	ns = bpf_map_lookup_elem(&namespaces, &slot);
	return ns && ns->orchestrator == process;
}

/* Whether the acting task must leave another alone. */
static __always_inline int is_out_of_reach(struct task_struct *target)
{
	__u32 process = bpf_get_current_pid_tgid() >> 32;
	int keeper;

	if (!home_super || BPF_CORE_READ(target, tgid) == process)
		return 0;
	keeper = is_keeper(target);
	if (!keeper && !shield_of(target))
		return 0;
	if (is_keeper(bpf_get_current_task_btf()))
		return !is_charge(target, process);
	return keeper || !is_in_same_namespace(target);
}

#endif
