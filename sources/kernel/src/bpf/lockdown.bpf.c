// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * The lockdown: what also root outside every namespace cannot do, from now on until the next boot.
 *
 * A second set of programs beside the one of main.bpf.c, loaded when it is asked for and never taken away: the pins
 * that it lies in are among what it holds. docs/decisions/0014-lockdown.md says against whom, and what is not held.
 *
 *   keep.bpf.c   who a keeper is, and that it stays what it was recorded as
 *   reach.bpf.c  tasks, maps and programs that others do not reach, and what nobody may do any more
 *   pinned.bpf.c the pins, and the mount that they are in
 */
#include "kernel_types.h"
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_core_read.h>
#include <bpf/bpf_tracing.h>
#include "wire.h"
#include "call.bpf.h"
#include "pins.bpf.h"
#include "keepers.bpf.h"
#include "keep.bpf.c"
#include "reach.bpf.c"
#include "pinned.bpf.c"

char LICENSE[] SEC("license") = "GPL";
