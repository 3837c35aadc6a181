/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * What the orchestrator is told of processes.
 */
#ifndef QUIXOTE_NOTICE_H
#define QUIXOTE_NOTICE_H

/* A message that ends before identities; without an orchestrator nobody is told. */
static __noinline int send_notice(struct task *task, struct scratch *s, struct namespace *ns,
				  __u32 type, __u64 other)
{
	__u32 slot = task->slot;
	void *ring = bpf_map_lookup_elem(&rings, &slot);

	if (ns->flags & NAMESPACE_ORPHANED)
		return 0;
	s->message.flags = 0;
	s->length = 0;
	write_message(task, s, type, 0);
	s->message.other = other;
	if (!ring)
		return -1;
	return bpf_ringbuf_output(ring, &s->message, NOTICE_SIZE, 0);
}

#endif
