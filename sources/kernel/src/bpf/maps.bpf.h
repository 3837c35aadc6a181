/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Everything that outlives a call. All namespaces share these; a namespace owns a slot.
 */
#ifndef QUIXOTE_MAPS_H
#define QUIXOTE_MAPS_H

/* SHA-256 of every event's name, by code; written by build.rs from the event table. */
#define EVENTS 128
#include "event_digests.h"

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

/*
 * The acting task's entry; NULL outside every namespace. Most tasks there have no storage at all, which is a load to
 * see; the look-up is a hundred instructions, in each hook of every task of the machine.
 */
static __always_inline struct task *own_entry(void)
{
	struct task_struct *current = bpf_get_current_task_btf();

	return current->bpf_storage ? bpf_task_storage_get(&tasks, current, 0, 0) : NULL;
}

#include "scratch.bpf.h"

struct {
	__uint(type, BPF_MAP_TYPE_TASK_STORAGE);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, int);
	__type(value, struct scratch);
} scratches SEC(".maps");

struct ring {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 64 * 1024);
};

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY_OF_MAPS);
	__uint(max_entries, SLOTS);
	__type(key, __u32);
	__array(values, struct ring);
} rings SEC(".maps");

/* The number of each actor, of its slot's sequence: no other key of the slot ever has it. */
struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 8192);
	__type(key, struct actor_key);
	__type(value, __u64);
} actors SEC(".maps");

/* Events that were allowed: by the beginning of the key where the cell ends there, and by all of it. */
struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 16384);
	__uint(key_size, SHORT_KEY);
	__uint(value_size, 4);
} cache SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 4096);
	__type(key, struct key);
	__type(value, __u32);
} long_cache SEC(".maps");

/*
 * Execs of short cells that the model decided, and what each leads to. The kernel may use an entry for another key at any
 * time, after it has taken it out: who copies from it looks afterwards whether the key still has this very entry.
 */
struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 4096);
	__uint(key_size, SHORT_KEY);
	__uint(value_size, sizeof(struct led_to));
} executed SEC(".maps");

/* A model: its coefficients, and how each is known. Made whole, then neither program nor user writes it. */
struct model {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(map_flags, BPF_F_RDONLY_PROG);
	__uint(max_entries, 1);
	__uint(key_size, 32);
	__uint(value_size, 1);
};

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY_OF_MAPS);
	__uint(max_entries, SLOTS);
	__type(key, __u32);
	__array(values, struct model);
} models SEC(".maps");

/* Read by programs that do not sleep: those that do need preallocated maps before 6.4. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 1 << 16);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, struct coefficient_key);
	__type(value, __u8);
} foretold SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, SLOTS);
	__type(key, __u32);
	__type(value, struct tally);
} tallies SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 16384);
	__type(key, struct process_key);
	__type(value, __u8);
} untrusted SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 8192);
	__type(key, struct answer_key);
	__type(value, struct answer);
} answers SEC(".maps");

/*
 * The next two, and what is asserted of the map of namespaces, other sets of programs read and write as well: where
 * that changes, the version in their names does (sets.rs).
 */
_Static_assert(__builtin_offsetof(struct namespace, mode) == 0, "whether a slot is used");
_Static_assert(__builtin_offsetof(struct namespace, flags) == 8, "whether it is an orphan's");
_Static_assert(__builtin_offsetof(struct namespace, live) == 80, "how many tasks are in it");
_Static_assert(NAMESPACE_ORPHANED == 1, "the same");

/* In place of a slot: the process is of another set, or holds the lock. */
#define OTHER_SET 0xffffffffu

/* Orchestrators by process id, and the slot of each. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 4 * SLOTS);
	__type(key, __u32);
	__type(value, __u32);
} orchestrators SEC(".maps");

/* Our maps, by the kernel's id: 1 where they are of this set, 2 where of another. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 4 * SLOTS);
	__type(key, __u32);
	__type(value, __u8);
} own_maps SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_INODE_STORAGE);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, int);
	__type(value, struct content);
} contents SEC(".maps");

#endif
