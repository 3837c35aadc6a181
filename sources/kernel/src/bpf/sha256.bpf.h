/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * SHA-256, FIPS 180-4, over octets that lie in map memory.
 */
#ifndef QUIXOTE_SHA256_H
#define QUIXOTE_SHA256_H

static const __u32 round_constant[64] = {
	0x428a2f98, 0x71374491, 0xb5c0fbcf, 0xe9b5dba5, 0x3956c25b, 0x59f111f1, 0x923f82a4, 0xab1c5ed5,
	0xd807aa98, 0x12835b01, 0x243185be, 0x550c7dc3, 0x72be5d74, 0x80deb1fe, 0x9bdc06a7, 0xc19bf174,
	0xe49b69c1, 0xefbe4786, 0x0fc19dc6, 0x240ca1cc, 0x2de92c6f, 0x4a7484aa, 0x5cb0a9dc, 0x76f988da,
	0x983e5152, 0xa831c66d, 0xb00327c8, 0xbf597fc7, 0xc6e00bf3, 0xd5a79147, 0x06ca6351, 0x14292967,
	0x27b70a85, 0x2e1b2138, 0x4d2c6dfc, 0x53380d13, 0x650a7354, 0x766a0abb, 0x81c2c92e, 0x92722c85,
	0xa2bfe8a1, 0xa81a664b, 0xc24b8b70, 0xc76c51a3, 0xd192e819, 0xd6990624, 0xf40e3585, 0x106aa070,
	0x19a4c116, 0x1e376c08, 0x2748774c, 0x34b0bcb5, 0x391c0cb3, 0x4ed8aa4a, 0x5b9cca4f, 0x682e6ff3,
	0x748f82ee, 0x78a5636f, 0x84c87814, 0x8cc70208, 0x90befffa, 0xa4506ceb, 0xbef9a3f7, 0xc67178f2,
};

#define ROTATE(x, n) (((x) >> (n)) | ((x) << (32 - (n))))

/* One block of 16 words in s->words. Not static: so the verifier looks at it once a program. */
__noinline int sha256_block(struct scratch *s)
{
	__u32 a, b, c, d, e, f, g, h;

	if (!s)
		return 0;
	for (int i = 16; i < 64; i++) {
		__u32 x = s->words[i - 15], y = s->words[i - 2];
		__u32 s0 = ROTATE(x, 7) ^ ROTATE(x, 18) ^ (x >> 3);
		__u32 s1 = ROTATE(y, 17) ^ ROTATE(y, 19) ^ (y >> 10);

		s->words[i] = s->words[i - 16] + s0 + s->words[i - 7] + s1;
	}
	a = s->hash[0], b = s->hash[1], c = s->hash[2], d = s->hash[3];
	e = s->hash[4], f = s->hash[5], g = s->hash[6], h = s->hash[7];
	for (int i = 0; i < 64; i++) {
		__u32 s1 = ROTATE(e, 6) ^ ROTATE(e, 11) ^ ROTATE(e, 25);
		__u32 t1 = h + s1 + ((e & f) ^ (~e & g)) + round_constant[i] + s->words[i];
		__u32 s0 = ROTATE(a, 2) ^ ROTATE(a, 13) ^ ROTATE(a, 22);
		__u32 t2 = s0 + ((a & b) ^ (a & c) ^ (b & c));

		h = g, g = f, f = e, e = d + t1;
		d = c, c = b, b = a, a = t1 + t2;
	}
	s->hash[0] += a, s->hash[1] += b, s->hash[2] += c, s->hash[3] += d;
	s->hash[4] += e, s->hash[5] += f, s->hash[6] += g, s->hash[7] += h;
	return 0;
}

static __always_inline void sha256_init(struct scratch *s)
{
	s->hash[0] = 0x6a09e667, s->hash[1] = 0xbb67ae85, s->hash[2] = 0x3c6ef372, s->hash[3] = 0xa54ff53a;
	s->hash[4] = 0x510e527f, s->hash[5] = 0x9b05688c, s->hash[6] = 0x1f83d9ab, s->hash[7] = 0x5be0cd19;
}

/* Blocks of `octets`, whose room ends `bound` octets on; the padding is there already. */
static __always_inline void sha256_at(struct scratch *s, const __u8 *octets)
{
	bpf_probe_read_kernel(s->words, 64, octets);
	for (int i = 0; i < 16; i++)
		s->words[i] = __builtin_bswap32(s->words[i]);
	sha256_block(s);
}

/* The digest in the order of octets, to `out` in map memory. */
static __always_inline void sha256_take(struct scratch *s, __u8 *out)
{
	for (int i = 0; i < 8; i++)
		s->hash[i] = __builtin_bswap32(s->hash[i]);
	__builtin_memcpy(out, s->hash, 32);
}

static long sha256_cell_block(__u32 i, struct scratch **context)
{
	struct scratch *s = *context;
	__u32 at = i * 64;

	if (at > CELL_MAX + CHUNK_MAX - 64)
		return 1;
	sha256_at(s, s->cell + at);
	return 0;
}

/* HF(CELL), left in s->hash. */
static __noinline int sha256_cell(struct scratch *s)
{
	__u32 length = s->length, blocks, end;

	if (length > CELL_MAX)
		return -1;
	__builtin_memset(s->cell + length, 0, 128);
	s->cell[length] = 0x80;
	blocks = (length + 9 + 63) / 64;
	end = blocks * 64 - 8;
	if (end > CELL_MAX + CHUNK_MAX - 8)
		return -1;
	*(__u64 *)(s->cell + end) = __builtin_bswap64((__u64)length * 8);
	sha256_init(s);
	bpf_loop(blocks, sha256_cell_block, &s, 0);
	return 0;
}

/* HF of the first `length` octets of s->digest_input, at most 160; left in s->hash. */
static __noinline int sha256_input(struct scratch *s, __u32 length)
{
	__u32 end;

	if (length > 160)
		return -1;
	__builtin_memset(s->digest_input + length, 0, 72);
	s->digest_input[length] = 0x80;
	end = ((length + 9 + 63) / 64) * 64 - 8;
	if (end > 248)
		return -1;
	*(__u64 *)(s->digest_input + end) = __builtin_bswap64((__u64)length * 8);
	sha256_init(s);
	sha256_at(s, s->digest_input);
	if (length + 9 > 64)
		sha256_at(s, s->digest_input + 64);
	if (length + 9 > 128)
		sha256_at(s, s->digest_input + 128);
	return 0;
}

#endif
