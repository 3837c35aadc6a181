// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * The pins stay: their names, and the mount that keeps their file system alive.
 *
 * That mount goes with any that it is below (MNT_DETACH), with a peer of its parent where the same directory is
 * unmounted, and with the directory that it stands on, removed in a mount namespace that does not have it.
 */
#define MOUNTS_MAX 64
#define PARENTS_MAX 32
#define LOCKING "lockdown-begins"

struct mount___group {
	int mnt_group_id;
} PRESERVED;

struct search {
	__u64 at; /* list entry of a mount of the pins' super block */
	__u64 end;
	struct mount *found;
};

static long look_at_mount(__u32 index, struct search *s)
{
	struct mount *mount;

	if (!s->at || s->at == s->end)
		return 1;
	mount = (void *)s->at - bpf_core_field_offset(struct mount, mnt_instance);
	if ((__u64)BPF_CORE_READ(mount, mnt_ns) == home_namespace) {
		s->found = mount;
		return 1;
	}
	s->at = (__u64)BPF_CORE_READ(mount, mnt_instance.next);
	return 0;
}

/* The oldest mount of the pins' file system at home: it is never unmounted, so it stays that. */
static __noinline struct mount *find_home(void)
{
	struct super_block *super = (void *)home_super;
	struct search s = {};

	s.end = home_super + bpf_core_field_offset(struct super_block, s_mounts);
	s.at = (__u64)BPF_CORE_READ(super, s_mounts.next);
	bpf_loop(MOUNTS_MAX, look_at_mount, &s, 0);
	return s.found;
}

struct ascent {
	struct mount *at;
	struct mount *unmounted; /* or NULL */
	struct dentry *place; /* what it stands on, where that reaches others; or NULL */
	__u32 met;
};

static long climb(__u32 index, struct ascent *a)
{
	struct mount *at = a->at, *parent = BPF_CORE_READ(at, mnt_parent);

	if (at == a->unmounted)
		a->met = 1;
	if (!parent || parent == at)
		return 1;
	if (a->place && BPF_CORE_READ(at, mnt_mountpoint) == a->place)
		a->met = 1;
	a->at = parent;
	return a->met;
}

/* Whether the pins' mount would go. One that is not found, or is too deep, is a reason to refuse. */
static __noinline int would_lose_pins(struct mount *unmounted, struct dentry *place)
{
	struct ascent a = { .unmounted = unmounted, .place = place };

	a.at = find_home();
	if (!a.at)
		return 1;
	if (bpf_loop(PARENTS_MAX, climb, &a, 0) >= PARENTS_MAX)
		return 1;
	return a.met;
}

SEC("lsm/sb_umount")
int BPF_PROG(hold_mount, struct vfsmount *mnt, int flags)
{
	struct mount *mount = (void *)mnt - bpf_core_field_offset(struct mount, mnt);
	struct mount *parent = BPF_CORE_READ(mount, mnt_parent);
	struct mount___group *shared = (void *)parent;
	struct dentry *place = NULL;

	if (!home_super)
		return 0;
	if (BPF_CORE_READ(shared, mnt_group_id))
		place = BPF_CORE_READ(mount, mnt_mountpoint);
	return refuse_if(would_lose_pins(mount, place));
}

SEC("lsm/inode_unlink")
int BPF_PROG(hold_pin, struct inode *dir, struct dentry *dentry)
{
	return refuse_if(home_super && is_pin(dentry));
}

SEC("lsm/inode_rmdir")
int BPF_PROG(hold_directory, struct inode *dir, struct dentry *dentry)
{
	if (!home_super)
		return 0;
	return refuse_if(is_pin(dentry) || would_lose_pins(NULL, dentry));
}

/* The loader's last act before the lockdown, and the first that is refused after it. */
static __always_inline void begin_lockdown(struct dentry *dentry)
{
	struct task_struct *current = (void *)bpf_get_current_task();
	/* One more than it takes, or a longer name that begins like it would pass for it. */
	char name[sizeof(LOCKING) + 1] = {};

	bpf_probe_read_kernel_str(name, sizeof(name), BPF_CORE_READ(dentry, d_name.name));
	if (__builtin_memcmp(name, LOCKING, sizeof(LOCKING)))
		return;
	home_namespace = (__u64)BPF_CORE_READ(current, nsproxy, mnt_ns);
	home_super = (__u64)BPF_CORE_READ(dentry, d_sb);
}

SEC("lsm/inode_rename")
int BPF_PROG(hold_name, struct inode *old_dir, struct dentry *old, struct inode *new_dir,
	     struct dentry *new)
{
	if (!home_super) {
		if (is_pin(old))
			begin_lockdown(old);
		return 0;
	}
	return refuse_if(is_pin(old) || is_pin(new) || would_lose_pins(NULL, new));
}
