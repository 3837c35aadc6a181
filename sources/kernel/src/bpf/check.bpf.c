// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * Never attached: writes down an event that stands in a map, field by field, with the pen and the
 * digests of the other sets, so that they can be held to the conformance vectors on a running
 * kernel. examples/kernel_check.rs fills the map and compares.
 */
#include "kernel_types.h"
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_core_read.h>
#include <bpf/bpf_tracing.h>
#include "wire.h"
#include "maps.bpf.h"
#include "sha256.bpf.h"
#include "pen.bpf.h"
#include "place.bpf.h"
#include "decide.bpf.h"
#include "address.bpf.h"

#define STROKES_MAX 96
#define TEXTS_SIZE (4 * 4096)
#define CRED_SIZE 512

enum stroke_type {
	STROKE_8 = 1,
	STROKE_16 = 2,
	STROKE_32 = 3,
	STROKE_64 = 4,
	STROKE_TEXT = 5, /* from `texts` on, to a NUL */
	STROKE_OCTETS = 6,
	STROKE_ID = 7,
	STROKE_UNGENERALISED = 8,
	STROKE_PORT = 9, /* in the order of the network */
	STROKE_UNIX = 10, /* `struct sockaddr_un` after the family */
};

struct stroke {
	__u32 type;
	__u32 count;
	__u64 value;
	__u8 octets[CHUNK_MAX];
};

struct check_input {
	__u32 kind;
	__u32 strokes_count;
	__u32 ids[8]; /* uid, euid, suid, fsuid, the same of the group */
	__u64 capabilities;
	__u8 parent_id[32];
	__u8 task_id[32];
	struct stroke strokes[STROKES_MAX];
	__u8 texts[TEXTS_SIZE];
};

struct check_output {
	__u8 coefficient[32];
	__u8 coe[48];
	__u32 length;
	__u32 failed;
};

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct check_input);
} check_inputs SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct check_output);
} check_outputs SEC(".maps");

struct check_memory {
	struct scratch scratch;
	__u8 cred[CRED_SIZE];
};

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct check_memory);
} check_memories SEC(".maps");

struct writing {
	struct scratch *s;
	struct check_input *input;
};

static long write_stroke(__u32 i, struct writing *w)
{
	struct scratch *s = w->s;
	struct stroke *stroke;

	if (i >= STROKES_MAX)
		return 1;
	stroke = &w->input->strokes[i];
	switch (stroke->type) {
	case STROKE_8:
		put8(s, stroke->value);
		break;
	case STROKE_16:
		put16(s, stroke->value);
		break;
	case STROKE_32:
		put32(s, stroke->value);
		break;
	case STROKE_64:
		put64(s, stroke->value);
		break;
	case STROKE_TEXT: {
		__u64 at = stroke->value;

		if (at > TEXTS_SIZE - 4096)
			return 1;
		put_text(s, (const char *)w->input->texts + at);
		break;
	}
	case STROKE_OCTETS:
		put_octets(s, stroke->octets, stroke->count);
		break;
	case STROKE_ID:
		put_id(s, stroke->octets);
		break;
	case STROKE_UNGENERALISED:
		put_zeros(s, 1 + 32);
		break;
	case STROKE_PORT:
		put_port(s, stroke->value);
		break;
	case STROKE_UNIX:
		put_unix_address(s, stroke->octets, stroke->count);
		break;
	default:
		s->failed = 1;
	}
	return s->failed != 0;
}

/* A `struct cred` of this kernel's layout. */
#define put_cred(memory, field, octets, from)                                                  \
	do {                                                                                   \
		__u32 at = bpf_core_field_offset(struct cred, field);                          \
                                                                                               \
		if (at <= CRED_SIZE - octets)                                                  \
			__builtin_memcpy((memory)->cred + at, from, octets);                   \
	} while (0)

SEC("syscall")
int check_event(void *context)
{
	__u32 zero = 0;
	struct check_input *input = bpf_map_lookup_elem(&check_inputs, &zero);
	struct check_output *output = bpf_map_lookup_elem(&check_outputs, &zero);
	struct check_memory *memory = bpf_map_lookup_elem(&check_memories, &zero);
	struct writing w = { .input = input };
	struct scratch *s;

	if (!input || !output || !memory)
		return 1;
	s = &memory->scratch;
	w.s = s;
	open_cell(s, input->kind);
	bpf_loop(input->strokes_count, write_stroke, &w, 0);
	put_cred(memory, uid, 4, &input->ids[0]);
	put_cred(memory, euid, 4, &input->ids[1]);
	put_cred(memory, suid, 4, &input->ids[2]);
	put_cred(memory, fsuid, 4, &input->ids[3]);
	put_cred(memory, gid, 4, &input->ids[4]);
	put_cred(memory, egid, 4, &input->ids[5]);
	put_cred(memory, sgid, 4, &input->ids[6]);
	put_cred(memory, fsgid, 4, &input->ids[7]);
	put_cred(memory, cap_effective, 8, &input->capabilities);
	write_coe(s, (void *)memory->cred);
	output->failed = s->failed;
	output->length = s->length;
	__builtin_memcpy(output->coe, s->message.coe, 48);
	if (write_coefficient(s, input->kind, input->parent_id, input->task_id,
			      s->message.coefficient))
		return 2;
	__builtin_memcpy(output->coefficient, s->message.coefficient, 32);
	return 0;
}

char LICENSE[] SEC("license") = "GPL";
