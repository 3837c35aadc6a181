/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * What an overlay does on its layers, for what was judged as an event on the overlay.
 */
#ifndef QUIXOTE_SEEN_H
#define QUIXOTE_SEEN_H

#define PF_IO_WORKER 0x10

/* An overlay works on its layers with its mounter's credentials. */
static __always_inline int has_other_credentials(void)
{
	struct task_struct *current = (void *)bpf_get_current_task();

	return BPF_CORE_READ(current, cred) != BPF_CORE_READ(current, real_cred);
}

/* Who uses io_uring may have given itself other credentials; its workers are of its own. */
static __always_inline int uses_io_uring(void)
{
	struct task_struct *current = (void *)bpf_get_current_task();

	return BPF_CORE_READ(current, io_uring) || (BPF_CORE_READ(current, flags) & PF_IO_WORKER);
}

/* Whether an overlay's event is under way, and this object is on another file system. */
static __always_inline int is_below(struct task *task, struct dentry *dentry)
{
	struct vfsmount *stashed = (void *)task->stash_mount;

	return task->stash_kind && stashed && has_other_credentials() &&
	       BPF_CORE_READ(stashed, mnt_sb, s_magic) == OVERLAYFS &&
	       BPF_CORE_READ(dentry, d_sb, s_magic) != OVERLAYFS;
}

#endif
