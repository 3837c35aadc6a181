/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * What no namespace may touch, whatever its model holds: orchestrators, and what the programs live in.
 * The event is judged first, so that the record has it.
 */
#ifndef QUIXOTE_BORDER_H
#define QUIXOTE_BORDER_H

#include "pins.bpf.h"

/* A descriptor for one of our maps. Programs and links can be looked at: nothing can be done to them. */
SEC("lsm/bpf_map")
int BPF_PROG(reach_map, struct bpf_map *map)
{
	__u32 id = BPF_CORE_READ(map, id);

	if (!own_entry())
		return 0;
	return bpf_map_lookup_elem(&own_maps, &id) ? -EPERM : 0;
}

#endif
