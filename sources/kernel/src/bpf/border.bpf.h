/* SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0 */
/*
 * What no namespace may touch, whatever its model holds: orchestrators, and what the programs live in.
 * The event is judged first, so that the record has it.
 */
#ifndef QUIXOTE_BORDER_H
#define QUIXOTE_BORDER_H

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

/* A descriptor for one of our maps. Programs and links can be looked at: nothing can be done to them. */
SEC("lsm/bpf_map")
int BPF_PROG(reach_map, struct bpf_map *map)
{
	__u32 id = BPF_CORE_READ(map, id);

	if (!bpf_task_storage_get(&tasks, bpf_get_current_task_btf(), 0, 0))
		return 0;
	return bpf_map_lookup_elem(&own_maps, &id) ? -EPERM : 0;
}

#endif
