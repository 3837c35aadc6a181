// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * The events of the profile `full`: a set of programs of its own, loaded beside those of main.bpf.c
 * when the first namespace wants them, with the same maps. Who runs none has none of these in its
 * hooks; a namespace of another profile pays one look-up and one test.
 *
 * Each program's name is `full_` and its event's. Those whose hook can sleep without holding what
 * others wait for ask the orchestrator; the others are decided by the model's coefficients.
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
#include "call.bpf.h"
#include "seen.bpf.h"
#include "target.bpf.h"
#include "address.bpf.h"

/* What happens while one of our programs reads a file is not the task's act. */
static __always_inline int begin_full(struct actor *a)
{
	struct task *task = own_entry();
	int begun;

	if (!task || !(task->flags & TASK_FULL))
		return 0;
	begun = enter(a, task);
	if (begun > 0 && a->s->reading)
		return 0;
	return begun;
}

#define BEGIN_FULL(kind)                                                                       \
	struct actor a = {};                                                                   \
	int begun = begin_full(&a);                                                            \
                                                                                               \
	if (begun <= 0)                                                                        \
		return begun;                                                                  \
	a.s->message.flags = 0;                                                                \
	open_cell(a.s, kind)

#include "full_file.bpf.c"
#include "full_inode.bpf.c"
#include "full_mount.bpf.c"
#include "full_socket.bpf.c"
#include "full_task.bpf.c"
#include "full_ipc.bpf.c"
#include "full_system.bpf.c"
#include "full_tun.bpf.c"

char LICENSE[] SEC("license") = "GPL";
