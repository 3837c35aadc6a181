/* SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0 */
/*
 * Memory of a task in which an event is written down: programs that sleep may migrate, so it is
 * not a processor's.
 */
#ifndef QUIXOTE_SCRATCH_H
#define QUIXOTE_SCRATCH_H

#define DEPTH_MAX 128
#define SCRIPT_MAX 4300
#define NAME_MAX 16

/* A file's content, and what must be the same for it to be still that. */
struct content {
	__u8 digest[32];
	__u64 born; /* when the digest was begun */
	__u64 valid;
	__s64 size;
	__u64 modified[2];
	__u64 changed[2];
};

struct scratch {
	__u32 length; /* of the cell */
	__u32 failed; /* something did not fit, or was not to be had */
	__u32 depth;
	__u32 script_length;
	__u32 reading; /* a program reads a file: what happens meanwhile is not the task's act */
	__u32 in_process; /* below the directory of a process */
	__s32 before; /* what the component before is: enum name */
	__u32 name_length;
	__u8 name[NAME_MAX];
	__u64 components[DEPTH_MAX];
	__u32 hash[8];
	__u32 words[64];
	struct content content;
	struct coefficient_key known;
	struct answer answer;
	__u8 digest_input[256];
	struct key key;
	struct message message;
	__u8 cell[CELL_MAX + CHUNK_MAX];
	__u8 script[SCRIPT_MAX]; /* the first file of an exec, as it is described */
};

#endif
