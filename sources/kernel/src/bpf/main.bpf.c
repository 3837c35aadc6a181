// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * The kernel source: one fixed set of LSM programs for all namespaces.
 *
 * Every program begins with the acting task's entry in the map `tasks`; who has none is outside
 * every namespace and nothing happens. For the others:
 *
 *   1. the event is written down in the canonical encoding of docs/spec/02-model.md (pen.bpf.h,
 *      place.bpf.h), in memory that belongs to the task;
 *   2. an event that was allowed before under exactly the same encoding, identity and credentials
 *      is allowed (the map `cache`);
 *   3. else its coefficient is computed here (sha256.bpf.h) and looked up in the namespace's model
 *      (the map `models`); what that knows exactly is allowed, and the orchestrator is told;
 *   4. else, where the hook can sleep, the event goes to the namespace's orchestrator over its ring
 *      and the task waits in the hook for the answer to its sequence number (decide.bpf.h). No
 *      answer in time is a denial;
 *   5. where the hook cannot sleep, what the model does not hold is refused, and the orchestrator is
 *      told.
 *
 * The events of the profile `full` are a set of programs of its own (full.bpf.c).
 *
 * The task identity is in the task's entry too: a child inherits it in task_alloc, an exec settles
 * it in bprm_committed_creds.
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
#include "digest.bpf.h"
#include "decide.bpf.h"
#include "notice.bpf.h"
#include "call.bpf.h"
#include "other_task.bpf.h"
#include "seen.bpf.h"
#include "target.bpf.h"
#include "address.bpf.h"
#include "border.bpf.h"
#include "opened.bpf.h"
#include "file.bpf.c"
#include "inode.bpf.c"
#include "attribute.bpf.c"
#include "mount.bpf.c"
#include "socket.bpf.c"
#include "guard.bpf.c"
#include "task.bpf.c"
#include "owner.bpf.c"
#include "exec.bpf.c"
#include "system.bpf.c"

#ifdef QUIXOTE_PROGRAMS_SALT
/* Nothing reads it: with it these are other programs, for a test of how sets live beside each other. */
const volatile char programs_salt[] = QUIXOTE_PROGRAMS_SALT;
#endif

char LICENSE[] SEC("license") = "GPL";
