// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * File systems as a whole, and the quotas on them.
 */
#define QUOTA_ON 46
#define SB_REMOUNT 69
#define SB_STATFS 70

#define MS_MAGIC 0xc0ed0000ull
#define MS_MAGIC_MASK 0xffff0000ull
#define FLAGS_UNTOLD (~0ull)

static __always_inline void put_kind(struct scratch *s, struct super_block *sb)
{
	put_text(s, BPF_CORE_READ(sb, s_type, name));
}

/* The hook is told no flags: those of mount(2); other calls have none in their registers. */
static __always_inline __u64 remount_flags(void)
{
	__u64 flags;

	if (!is_in_call(MOUNT_CALL))
		return FLAGS_UNTOLD;
	flags = fourth_argument();
	return (flags & MS_MAGIC_MASK) == MS_MAGIC ? flags & ~MS_MAGIC_MASK : flags;
}

SEC("lsm.s/sb_remount")
int BPF_PROG(full_sb_remount, struct super_block *sb)
{
	BEGIN_FULL(SB_REMOUNT);
	put_kind(a.s, sb);
	put64(a.s, remount_flags());
	DECIDE_SLEEPING(SB_REMOUNT);
}

SEC("lsm.s/sb_statfs")
int BPF_PROG(full_sb_statfs, struct dentry *dentry)
{
	BEGIN_FULL(SB_STATFS);
	put_kind(a.s, dentry->d_sb);
	DECIDE_SLEEPING(SB_STATFS);
}

SEC("lsm/quota_on")
int BPF_PROG(full_quota_on, struct dentry *dentry)
{
	BEGIN_FULL(QUOTA_ON);
	put_file(a.s, dentry, guess_mount(dentry), LAST_AS_IT_IS);
	DECIDE_NOW(QUOTA_ON);
}
