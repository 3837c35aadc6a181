/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * What programs and orchestrator exchange. src/wire.rs has the same layout and a test that holds
 * the two together by size; the offsets are asserted here.
 */
#ifndef QUIXOTE_WIRE_H
#define QUIXOTE_WIRE_H

#define SLOTS 1024
#define COE_SIZE 41
#define CELL_MAX 8448
#define CHUNK_MAX 256
#define KEY_CELL_MAX 364

/* What a message is. */
enum message_type {
	MESSAGE_JUDGE = 1, /* a task waits for the answer to its sequence */
	MESSAGE_TOLD = 2, /* decided in the kernel already */
	MESSAGE_FORKED = 3,
	MESSAGE_EXITED = 4,
	MESSAGE_COMMITTED = 5,
	MESSAGE_FAILED = 6, /* an exec that was allowed did not happen */
	MESSAGE_LOST = 7, /* an event could not be described */
};

/* Bits of message.flags. */
#define DENIED 1u /* MESSAGE_TOLD, MESSAGE_LOST: the kernel refused it */
#define EFFECT 2u /* changes the file system when it is allowed */
#define HAS_TARGET 4u
#define TARGET_INSIDE 8u
#define WANTS_DIGEST 16u /* of the first file: it could not be read here */
#define NAMES_SOURCE 32u /* the text of the first field is a path to be resolved */

struct message {
	__u32 type;
	__u32 kind;
	__u64 sequence;
	__u64 process;
	__u64 other; /* child of a fork, target of an event */
	__u32 pid;
	__u32 tid;
	__u32 flags;
	__u32 cell_length;
	__u8 parent_id[32];
	__u8 task_id[32];
	__u8 coefficient[32]; /* zeros where the kernel did not compute it */
	__u8 coe[48];
	__u64 born; /* WANTS_DIGEST: what the entry of the inode in `contents` has */
	__u8 cell[];
};
_Static_assert(sizeof(struct message) == 200, "wire.rs has the same");
_Static_assert(__builtin_offsetof(struct message, coe) % 8 == 0, "compared by words");
/* What is told of a process's beginning and end; many can be told at once. */
#define NOTICE_SIZE __builtin_offsetof(struct message, parent_id)
_Static_assert(NOTICE_SIZE == 48, "wire.rs has the same");

/* Who acts: identities and credentials. */
struct actor_key {
	__u32 slot;
	__u32 generation;
	__u8 parent_id[32];
	__u8 task_id[32];
	__u64 coe[6];
};

/* An exact event; what it is known by in the cache. */
struct key {
	__u32 slot;
	__u32 generation;
	__u64 actor; /* the number of its key in `actors` */
	__u32 cell_length;
	__u8 cell[KEY_CELL_MAX];
};
_Static_assert(sizeof(struct key) <= 512, "the largest key of a hash map");
/* Most cells are no longer: what is known by so much of a key costs less to look up. */
#define SHORT_CELL_MAX 140
#define SHORT_KEY (__builtin_offsetof(struct key, cell) + SHORT_CELL_MAX)

/* A coefficient that a rule allows, made known to a hook that cannot wait. */
struct coefficient_key {
	__u32 slot;
	__u32 generation;
	__u8 coefficient[32];
};

/* A process of one namespace: a later one in the same slot has the same numbers. */
struct process_key {
	__u32 slot;
	__u32 generation;
	__u64 process;
};

struct answer_key {
	__u64 slot;
	__u64 sequence;
};

/* verdict.rs has these values. */
#define VERDICT_ALLOW 0x6a5c39b2u
#define VERDICT_DENY 0x95a3c64du

#define ANSWER_CACHE 1u
#define ANSWER_UNTRUST 2u
#define ANSWER_NAMES 4u /* of an exec: `task_id` is what it leads to */

struct answer {
	__u32 verdict;
	__u32 flags;
	__u8 task_id[32];
};

/* How a model knows a coefficient. */
#define KNOWN 1u /* decides in hooks that cannot wait */
#define KNOWN_EXACTLY 2u /* no rule has a part in it: decides in every hook */

enum mode {
	MODE_UNUSED = 0,
	MODE_FREE = 1,
	MODE_SEALED = 2,
	MODE_ENFORCING = 3,
};

/* Bits of namespace.flags. */
#define NAMESPACE_ORPHANED 1u
#define NAMESPACE_KILLED 2u
#define NAMESPACE_DIGESTS 4u /* digests of all regular files that are opened */
#define NAMESPACE_UNTRUSTS 8u /* a process is untrusted after a violation */
#define NAMESPACE_KILL_ORPHANED 16u
#define NAMESPACE_COEFFICIENTS 32u /* computed here for every event, to be compared */
#define NAMESPACE_SHIELDED 64u /* out of reach of root outside, under lockdown */
#define NAMESPACE_DECIDES 128u /* hooks that can wait are decided by the model too */
#define NAMESPACE_DISTRUSTED 256u /* all its processes are untrusted */

struct namespace {
	/* Read by every event; written when the namespace changes. */
	__u32 mode;
	__u32 generation; /* of what the cache holds */
	__u32 flags;
	__u32 untrusted; /* processes in the map of that name */
	__u32 orchestrator;
	__u32 reserved;
	__u64 patience_ns;
	__u64 unused[4];
	/* Written by some events; by one that was allowed before, at most once for each file. */
	__u64 sequence; /* goes on with the slot's next namespace */
	__u64 processes; /* serial number of the last one */
	__s64 live; /* threads */
	__u64 waited;
	__u64 decided;
	__u64 denied;
	__u64 dropped; /* the ring was full */
	__u64 unjudged; /* could not be described */
	__u64 late; /* no answer in time */
	__u64 padding[7];
};
_Static_assert(sizeof(struct namespace) == 192, "wire.rs has the same");
_Static_assert(__builtin_offsetof(struct namespace, sequence) == 64, "a cache line of its own");

/* Of a slot, on one processor. */
struct tally {
	__u64 events;
	__u64 hits; /* allowed as the very same event before */
	__u64 opened; /* of those: without its path */
};

/* Bits of task.flags. */
#define TASK_UNTRUSTED 1u
#define TASK_EXEC_PENDING 2u
#define TASK_SENDS_TO_ADDRESS 4u
#define TASK_FULL 16u /* its namespace wants the events of the profile `full` */

struct task {
	__u32 slot;
	__u32 generation;
	__u64 process;
	__u32 flags;
	__u32 stash_kind;
	__u64 stash_mount;
	__u64 stash_parent;
	__u64 stash_mount_to;
	__u64 stash_parent_to;
	__u32 stash_flags;
	__u32 exec_depth;
	__u8 parent_id[32];
	__u8 task_id[32];
	__u8 pending_id[32];
	__u64 actor; /* its number, with these credentials; 0 when it has to be looked up */
	__u64 coe[6];
};
_Static_assert(sizeof(struct task) == 216, "wire.rs has the same");
_Static_assert(__builtin_offsetof(struct task, parent_id) == 64, "wire.rs has the same");

#endif
