/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * What the programs are pinned in.
 */
#ifndef QUIXOTE_PINS_H
#define QUIXOTE_PINS_H

#define BPF_FS 0xcafe4a11
#define PIN_DEPTH 6

/* Whether a dentry of bpffs is our directory, or in it. */
static __noinline int is_pin(struct dentry *dentry)
{
	if (BPF_CORE_READ(dentry, d_sb, s_magic) != BPF_FS)
		return 0;
	for (int i = 0; i < PIN_DEPTH; i++) {
		char name[9] = {};

		bpf_probe_read_kernel_str(name, sizeof(name), BPF_CORE_READ(dentry, d_name.name));
		if (!__builtin_memcmp(name, "quixote-", 8))
			return 1;
		dentry = BPF_CORE_READ(dentry, d_parent);
	}
	return 0;
}

#endif
