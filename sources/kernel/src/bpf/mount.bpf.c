// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * Mounts and roots.
 */
#define SB_MOUNT 27
#define SB_UMOUNT 28
#define MOVE_MOUNT 29
#define SB_PIVOTROOT 30
#define PATH_CHROOT 31

#define MS_REMOUNT 32
#define MS_BIND 4096
#define MS_MOVE 8192

/* The hook of mount(2) stands before the kernel's own check: what that refuses is no event. */
static __always_inline int may_mount(void)
{
	struct task_struct *current = (void *)bpf_get_current_task();
	const struct cred *cred = own_credentials();

	return has_capability(cred, CAP_SYS_ADMIN) ||
	       BPF_CORE_READ(cred, user_ns) != BPF_CORE_READ(current, nsproxy, mnt_ns, user_ns);
}

static __always_inline void put_path(struct scratch *s, const struct path *path)
{
	put_place(s, BPF_CORE_READ(path, dentry), BPF_CORE_READ(path, mnt), LAST_AS_IT_IS);
}

static __always_inline void put_text_or_none(struct scratch *s, const char *text)
{
	if (text)
		put_text(s, text);
	else
		put16(s, 0);
}

SEC("lsm.s/sb_mount")
int BPF_PROG(sb_mount, const char *source, const struct path *path, const char *kind,
	     unsigned long flags)
{
	BEGIN(SB_MOUNT);
	if (!may_mount())
		return 0;
	put_text_or_none(a.s, (const char *)raw_argument(ctx, 0));
	put_path(a.s, path);
	put_text_or_none(a.s, (const char *)raw_argument(ctx, 2));
	put64(a.s, flags);
	/* Where it names a path, the orchestrator says which: never known by this alone. */
	if (flags & (MS_BIND | MS_MOVE) && !(flags & MS_REMOUNT))
		a.s->message.flags = NAMES_SOURCE;
	DECIDE_SLEEPING(SB_MOUNT);
}

SEC("lsm.s/sb_umount")
int BPF_PROG(sb_umount, struct vfsmount *mnt, int flags)
{
	int decided;

	BEGIN(SB_UMOUNT);
	put_place(a.s, BPF_CORE_READ(mnt, mnt_root), mnt, LAST_AS_IT_IS);
	put32(a.s, flags);
	decided = decide_sleeping(a.task, a.s, a.ns, SB_UMOUNT);
	/* With its last mount the programs' pins would go. */
	return BPF_CORE_READ(mnt, mnt_sb, s_magic) == BPF_FS ? -EPERM : decided;
}

SEC("lsm/move_mount")
int BPF_PROG(move_mount, const struct path *from, const struct path *to)
{
	BEGIN(MOVE_MOUNT);
	put_path(a.s, from);
	put_path(a.s, to);
	DECIDE_NOW(MOVE_MOUNT);
}

SEC("lsm/sb_pivotroot")
int BPF_PROG(sb_pivotroot, const struct path *old, const struct path *new)
{
	BEGIN(SB_PIVOTROOT);
	put_path(a.s, new);
	put_path(a.s, old);
	DECIDE_NOW(SB_PIVOTROOT);
}

SEC("lsm/path_chroot")
int BPF_PROG(path_chroot, const struct path *path)
{
	BEGIN(PATH_CHROOT);
	put_path(a.s, path);
	DECIDE_NOW(PATH_CHROOT);
}
