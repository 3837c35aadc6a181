/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The entry of a task that a hook does not hand over: found by its pid, as the kernel found it.
 *
 * Helpers want a pointer that the verifier trusts, and before 6.2 there is no way from a pid to one. So
 * the kernel's own index of pids and the task's storage are read. Called in the hook only, where the
 * kernel holds the task.
 */
#ifndef QUIXOTE_OTHER_TASK_H
#define QUIXOTE_OTHER_TASK_H

#define INDEX_BITS 6
#define INDEX_LEVELS 6
#define STORAGES_MAX 32

struct hlist_node {
	struct hlist_node *next;
} PRESERVED;

struct hlist_head {
	struct hlist_node *first;
} PRESERVED;

struct xa_node {
	unsigned char shift;
	void *slots[64];
} PRESERVED;

struct xarray {
	void *xa_head;
} PRESERVED;

struct idr {
	struct xarray idr_rt;
} PRESERVED;

struct pid_namespace {
	struct idr idr;
} PRESERVED;

struct upid {
	int nr;
	struct pid_namespace *ns;
} PRESERVED;

struct pid {
	unsigned int level;
	struct hlist_head tasks[4];
	struct upid numbers[1];
} PRESERVED;

struct bpf_local_storage_data {
	void *smap;
	__u8 data[0];
} PRESERVED;

struct bpf_local_storage_elem {
	struct hlist_node snode;
	struct bpf_local_storage_data sdata;
} PRESERVED;

struct bpf_local_storage {
	struct hlist_head list;
} PRESERVED;

struct index_walk {
	__u64 entry;
	__u32 number;
};

/* One level down the index; an inner node is marked in the lowest bits. */
static long step_in_index(__u32 index, struct index_walk *w)
{
	struct xa_node *node = (void *)(w->entry - 2);
	__u32 at;

	if ((w->entry & 3) != 2)
		return 1;
	at = w->number >> BPF_CORE_READ(node, shift);
	if (index == 0 && at >> INDEX_BITS) {
		w->entry = 0;
		return 1;
	}
	at &= (1 << INDEX_BITS) - 1;
	bpf_probe_read_kernel(&w->entry, 8,
			      (void *)node + bpf_core_field_offset(struct xa_node, slots) + at * 8);
	return 0;
}

/* A task by its number in the acting task's pid namespace. */
static __noinline struct task_struct *find_task(__u32 number)
{
	struct task_struct *current = (void *)bpf_get_current_task();
	struct pid *own = BPF_CORE_READ(current, thread_pid), *found;
	struct upid *numbers = (void *)own + bpf_core_field_offset(struct pid, numbers);
	struct pid_namespace *ns;
	struct index_walk w = { .number = number };
	struct hlist_node *node;

	numbers = (void *)numbers +
		  BPF_CORE_READ(own, level) * bpf_core_type_size(struct upid);
	ns = BPF_CORE_READ(numbers, ns);
	w.entry = (__u64)BPF_CORE_READ(ns, idr.idr_rt.xa_head);
	bpf_loop(INDEX_LEVELS, step_in_index, &w, 0);
	if (!w.entry || (w.entry & 3))
		return NULL;
	found = (void *)w.entry;
	node = BPF_CORE_READ(found, tasks[0].first);
	if (!node)
		return NULL;
	return (void *)node - bpf_core_field_offset(struct task_struct, pid_links);
}

struct storage_walk {
	struct hlist_node *at;
	void *map;
	struct task *found;
};

static long look_at_storage(__u32 index, struct storage_walk *w)
{
	struct bpf_local_storage_elem *element;
	struct hlist_node *at = w->at;

	if (!at)
		return 1;
	element = (void *)at - bpf_core_field_offset(struct bpf_local_storage_elem, snode);
	if (BPF_CORE_READ(element, sdata.smap) == w->map) {
		w->found = (void *)element +
			   bpf_core_field_offset(struct bpf_local_storage_elem, sdata) +
			   bpf_core_field_offset(struct bpf_local_storage_data, data);
		return 1;
	}
	w->at = BPF_CORE_READ(at, next);
	return 0;
}

/* A task's entry, to be read as kernel memory; `own` is the acting task's, of the same map. */
static __noinline struct task *entry_of(struct task *own, struct task_struct *other)
{
	struct bpf_local_storage *storage = BPF_CORE_READ(other, bpf_storage);
	struct storage_walk w = {};

	if (!storage)
		return NULL;
	bpf_probe_read_kernel(&w.map, 8,
			      (void *)own - bpf_core_field_offset(struct bpf_local_storage_data, data));
	w.at = BPF_CORE_READ(storage, list.first);
	bpf_loop(STORAGES_MAX, look_at_storage, &w, 0);
	return w.found;
}

#endif
