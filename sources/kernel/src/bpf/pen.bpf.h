/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Writes a CELL in the canonical encoding of core/src/encode.rs. What does not fit marks the event
 * as failed: it is then a loss, which denies when enforcing.
 */
#ifndef QUIXOTE_PEN_H
#define QUIXOTE_PEN_H

#define ENCODING_VERSION 1

static __always_inline void put8(struct scratch *s, __u8 value)
{
	__u32 n = s->length;

	if (n > CELL_MAX) {
		s->failed = 1;
		return;
	}
	s->cell[n] = value;
	s->length = n + 1;
}

static __always_inline void put16(struct scratch *s, __u16 value)
{
	__u32 n = s->length;

	if (n > CELL_MAX) {
		s->failed = 1;
		return;
	}
	*(__u16 *)(s->cell + n) = value;
	s->length = n + 2;
}

static __noinline int put32(struct scratch *s, __u32 value)
{
	__u32 n = s->length;

	if (n > CELL_MAX) {
		s->failed = 1;
		return 0;
	}
	*(__u32 *)(s->cell + n) = value;
	s->length = n + 4;
	return 0;
}

static __noinline int put64(struct scratch *s, __u64 value)
{
	__u32 n = s->length;

	if (n > CELL_MAX) {
		s->failed = 1;
		return 0;
	}
	*(__u64 *)(s->cell + n) = value;
	s->length = n + 8;
	return 0;
}

/* Zeros, at most CHUNK_MAX; `count` is a constant. */
static __always_inline void put_zeros(struct scratch *s, __u32 count)
{
	__u32 n = s->length;

	if (n > CELL_MAX) {
		s->failed = 1;
		return;
	}
	__builtin_memset(s->cell + n, 0, count);
	s->length = n + count;
}

static __always_inline void put_id(struct scratch *s, const __u8 *id)
{
	__u32 n = s->length;

	if (n > CELL_MAX) {
		s->failed = 1;
		return;
	}
	__builtin_memcpy(s->cell + n, id, 32);
	s->length = n + 32;
}

/* Octets of kernel memory, at most CHUNK_MAX - 1. */
static __noinline int put_octets(struct scratch *s, const void *from, __u32 count)
{
	__u32 n = s->length;

	if (n > CELL_MAX || count > CHUNK_MAX - 1) {
		s->failed = 1;
		return 0;
	}
	if (bpf_probe_read_kernel(s->cell + n, count & (CHUNK_MAX - 1), from)) {
		s->failed = 1;
		return 0;
	}
	s->length = n + count;
	return 0;
}

#define LITERAL_MAX 32

/* A constant text, at most LITERAL_MAX octets. */
#define put_literal(s, text)                                                                   \
	do {                                                                                   \
		static const char literal[LITERAL_MAX] = text;                                 \
		put_octets(s, literal, sizeof(text) - 1);                                      \
	} while (0)

/* A text that ends with a NUL in kernel memory: Text. */
static __noinline int put_text(struct scratch *s, const char *text)
{
	__u32 n = s->length;
	long read;

	if (n > CELL_MAX - 4098) {
		s->failed = 1;
		return 0;
	}
	read = bpf_probe_read_kernel_str(s->cell + n + 2, 4096, text);
	if (read < 1 || read > 4096) {
		s->failed = 1;
		return 0;
	}
	*(__u16 *)(s->cell + n) = read - 1;
	s->length = n + 2 + read - 1;
	return 0;
}

static __always_inline void put_decimal(struct scratch *s, __u64 value)
{
	__u64 scale = 10000000000000000000ull;
	__u32 begun = 0;

	for (int i = 0; i < 20; i++) {
		__u64 digit = value / scale;

		value -= digit * scale;
		scale /= 10;
		if (digit || begun || i == 19) {
			begun = 1;
			put8(s, '0' + digit);
		}
	}
}

static __always_inline void open_cell(struct scratch *s, __u32 kind)
{
	s->length = 0;
	s->failed = 0;
	put8(s, ENCODING_VERSION);
	put16(s, kind);
}

#endif
