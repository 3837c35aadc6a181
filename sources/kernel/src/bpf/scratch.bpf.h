/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Memory of a task in which an event is written down: programs that sleep may migrate, so it is
 * not a processor's.
 */
#ifndef QUIXOTE_SCRATCH_H
#define QUIXOTE_SCRATCH_H

#define DEPTH_MAX 128
#define TAIL_MAX 8
#define SCRIPT_MAX 4300
#define NAME_MAX 16

/* A file's content, and what must be the same for it to be still that. */
struct content {
	__u8 digest[32];
	__u64 born; /* when the digest was begun */
	__u64 stage; /* CONTENT_... */
	__u64 seen; /* when size and times were first seen to be these; of a layer's file alone */
	__s64 size;
	__u64 modified[2];
	__u64 changed[2];
};

/* The identity that an exec leads to. */
struct led_to {
	__u64 serial; /* no other entry of the key in `executed` has it */
	__u8 identity[32];
};

struct scratch {
	__u32 length; /* of the cell */
	__u32 failed; /* something did not fit, or was not to be had */
	__u32 depth;
	__u32 script_length;
	__u32 hit; /* the event was allowed before as the very same */
	__u32 opens; /* such events of files that were opened */
	__u32 reading; /* a program reads a file: what happens meanwhile is not the task's act */
	__u32 in_process; /* below the directory of a process */
	__s32 before; /* what the component before is: enum name */
	__u32 name_length;
	__u8 name[NAME_MAX];
	__u32 file_system;
	__u32 unhashed; /* the last component has no name any more, or none yet */
	/* A path's components, from the last to the first. */
	__u64 names[DEPTH_MAX];
	__u8 lengths[DEPTH_MAX]; /* at most CHUNK_MAX - 1 */
	__u64 version; /* of names and mounts, when the walk began */
	/* Those of the last walk that lie above a mount: true while the version is this, and before it can be so again. */
	__u64 tail_mount;
	__u64 tail_version;
	__u64 tail_until; /* in ticks */
	__u32 tail_depth;
	__u8 tail_lengths[TAIL_MAX];
	__u64 tail_names[TAIL_MAX];
	__u32 hash[8];
	__u32 words[64];
	struct content content;
	struct coefficient_key known;
	struct answer answer;
	struct led_to led_to;
	struct actor_key actor_key;
	__u64 actor_number;
	__u8 digest_input[256];
	struct key key;
	struct message message;
	__u8 cell[CELL_MAX + CHUNK_MAX];
	__u8 script[SCRIPT_MAX]; /* the first file of an exec, as it is described */
};

/* With what the kernel adds for its own use it has to fit 16 KiB, or a task costs 32. */
_Static_assert(sizeof(struct scratch) <= 16128, "memory of a task");

#endif
