// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * Names and attributes.
 *
 * The inode hooks are told no mount, so each path hook, which the kernel calls just before, leaves
 * it in the task's entry. An inode event without one, while an overlay's is under way, is the
 * overlay's work on the layer below.
 */
#define INODE_CREATE 16
#define INODE_MKDIR 17
#define INODE_MKNOD 18
#define INODE_SYMLINK 19
#define INODE_LINK 20
#define INODE_UNLINK 21
#define INODE_RMDIR 22
#define INODE_RENAME 23
#define INODE_SETATTR 24

#define ATTR_MODE 1
#define ATTR_UID 2
#define ATTR_GID 4
#define ATTR_SIZE 8
#define ATTR_ATIME 16
#define ATTR_MTIME 32
#define ATTR_FORCE (1 << 9)
#define ATTR_OPEN (1 << 15)
#define ATTR_TOUCH (1 << 17)
#define TIMES_NOW 64
#define LEFT_ALONE 0xffffffffu

static __always_inline void stash(__u32 kind, const struct path *dir)
{
	struct task *task = own_entry();

	if (!task)
		return;
	task->stash_kind = kind;
	task->stash_mount = (__u64)BPF_CORE_READ(dir, mnt);
	task->stash_parent = (__u64)BPF_CORE_READ(dir, dentry);
}

#define STASH(hook, kind)                                                                      \
	SEC("lsm/" #hook)                                                                      \
	int BPF_PROG(hook, const struct path *dir, struct dentry *dentry)                      \
	{                                                                                      \
		stash(kind, dir);                                                              \
		return 0;                                                                      \
	}

STASH(path_mkdir, INODE_MKDIR)
STASH(path_mknod, INODE_CREATE)
STASH(path_symlink, INODE_SYMLINK)
STASH(path_unlink, INODE_UNLINK)
STASH(path_rmdir, INODE_RMDIR)

SEC("lsm/path_link")
int BPF_PROG(path_link, struct dentry *old, const struct path *dir, struct dentry *new)
{
	stash(INODE_LINK, dir);
	return 0;
}

SEC("lsm/path_rename")
int BPF_PROG(path_rename, const struct path *from, struct dentry *old, const struct path *to,
	     struct dentry *new, unsigned int flags)
{
	struct task *task = own_entry();

	if (!task)
		return 0;
	stash(INODE_RENAME, from);
	task->stash_flags = flags;
	return 0;
}

SEC("lsm/path_chmod")
int BPF_PROG(path_chmod, const struct path *path)
{
	stash(INODE_SETATTR, path);
	return 0;
}

SEC("lsm/path_chown")
int BPF_PROG(path_chown, const struct path *path)
{
	stash(INODE_SETATTR, path);
	return 0;
}

SEC("lsm/path_truncate")
int BPF_PROG(path_truncate, const struct path *path)
{
	stash(INODE_SETATTR, path);
	return 0;
}

/* From 6.2 on; before, ftruncate(2) calls path_truncate (kernel commit 3350607dc563). */
SEC("?lsm/file_truncate")
int BPF_PROG(file_truncate, struct file *file)
{
	struct task *task = own_entry();

	if (!task)
		return 0;
	task->stash_kind = INODE_SETATTR;
	task->stash_mount = (__u64)file->f_path.mnt;
	task->stash_parent = (__u64)file->f_path.dentry;
	return 0;
}

enum seen {
	SEEN_BELOW, /* an overlay's work on its layer */
	SEEN_EVENT,
};

/* Finds the mount of an event in `directory` (or of the object itself). */
static __noinline enum seen find_mount(struct task *task, __u32 kind, struct dentry *directory,
				       __u64 *mount)
{
	struct vfsmount *stashed = (void *)task->stash_mount;

	if (task->stash_kind == kind && task->stash_parent == (__u64)directory) {
		*mount = (__u64)stashed;
		return SEEN_EVENT;
	}
	if (is_below(task, directory))
		return SEEN_BELOW;
	*mount = (__u64)guess_mount(directory);
	return SEEN_EVENT;
}

static __always_inline __u32 own_umask(void)
{
	struct task_struct *current = (void *)bpf_get_current_task();

	return BPF_CORE_READ(current, fs, umask);
}

#define MADE(kind, stashed_kind)                                                               \
	__u64 mount = 0;                                                                       \
	BEGIN(kind);                                                                           \
	if (find_mount(a.task, stashed_kind, BPF_CORE_READ(dentry, d_parent), &mount) ==       \
	    SEEN_BELOW)                                                                        \
		return 0;                                                                      \
	a.s->message.flags = EFFECT;                                                           \
	put_place(a.s, dentry, (void *)mount, LAST_NEW)

/* The programs' pins stay, whatever is decided. */
static __always_inline int decide_on_name(struct actor *a, struct dentry *dentry, __u32 kind)
{
	int decided = decide_sleeping(a->task, a->s, a->ns, kind);

	return is_pin(dentry) ? -EPERM : decided;
}

SEC("lsm.s/inode_create")
int BPF_PROG(inode_create, struct inode *dir, struct dentry *dentry, umode_t mode)
{
	MADE(INODE_CREATE, INODE_CREATE);
	put32(a.s, S_IFREG | (mode & 07777 & ~own_umask()));
	DECIDE_SLEEPING(INODE_CREATE);
}

SEC("lsm/inode_mkdir")
int BPF_PROG(inode_mkdir, struct inode *dir, struct dentry *dentry, umode_t mode)
{
	int decided;

	MADE(INODE_MKDIR, INODE_MKDIR);
	put32(a.s, S_IFDIR | (mode & 01777 & ~own_umask()));
	decided = decide_now(a.task, a.s, a.ns, INODE_MKDIR);
	/* By its name it would pass for a set of programs. */
	return is_pin(dentry) ? -EPERM : decided;
}

SEC("lsm.s/inode_mknod")
int BPF_PROG(inode_mknod, struct inode *dir, struct dentry *dentry, umode_t mode, unsigned int dev)
{
	__u32 kind;

	MADE(INODE_MKNOD, INODE_CREATE);
	put32(a.s, (mode & S_IFMT) | (mode & 07777 & ~own_umask()));
	kind = mode & S_IFMT;
	if (kind == 0020000 || kind == 0060000) {
		/* new_encode_dev(), as stat(2) shows it. */
		__u32 major = dev >> 20, minor = dev & 0xfffff;

		put32(a.s, (minor & 0xff) | (major << 8) | ((minor & ~0xffu) << 12));
	} else {
		put32(a.s, 0);
	}
	DECIDE_SLEEPING(INODE_MKNOD);
}

SEC("lsm.s/inode_symlink")
int BPF_PROG(inode_symlink, struct inode *dir, struct dentry *dentry, const char *target)
{
	MADE(INODE_SYMLINK, INODE_SYMLINK);
	put_text(a.s, target);
	DECIDE_SLEEPING(INODE_SYMLINK);
}

SEC("lsm.s/inode_unlink")
int BPF_PROG(inode_unlink, struct inode *dir, struct dentry *dentry)
{
	MADE(INODE_UNLINK, INODE_UNLINK);
	return decide_on_name(&a, dentry, INODE_UNLINK);
}

SEC("lsm.s/inode_rmdir")
int BPF_PROG(inode_rmdir, struct inode *dir, struct dentry *dentry)
{
	MADE(INODE_RMDIR, INODE_RMDIR);
	return decide_on_name(&a, dentry, INODE_RMDIR);
}

SEC("lsm/inode_link")
int BPF_PROG(inode_link, struct dentry *old, struct inode *dir, struct dentry *dentry)
{
	__u64 mount = 0;

	BEGIN(INODE_LINK);
	if (find_mount(a.task, INODE_LINK, BPF_CORE_READ(dentry, d_parent), &mount) == SEEN_BELOW)
		return 0;
	a.s->message.flags = EFFECT;
	put_file(a.s, old, (void *)mount, LAST_AS_IT_IS);
	put_place(a.s, dentry, (void *)mount, LAST_NEW);
	DECIDE_NOW(INODE_LINK);
}

SEC("lsm.s/inode_rename")
int BPF_PROG(inode_rename, struct inode *old_dir, struct dentry *old, struct inode *new_dir,
	     struct dentry *new)
{
	__u64 mount = 0;
	__u32 kind;

	BEGIN(INODE_RENAME);
	/* An exchange is two events, the reverse one first: its directory is the other one. */
	kind = a.task->stash_kind;
	if (kind == INODE_RENAME && (a.task->stash_flags & 2))
		mount = a.task->stash_mount;
	else if (find_mount(a.task, INODE_RENAME, BPF_CORE_READ(old, d_parent), &mount) ==
		 SEEN_BELOW)
		return 0;
	a.s->message.flags = EFFECT;
	put_place(a.s, old, (void *)mount, LAST_NEW);
	put_place(a.s, new, (void *)mount, LAST_NEW);
	put32(a.s, kind == INODE_RENAME ? a.task->stash_flags : 0);
	if (is_pin(new))
		old = new;
	return decide_on_name(&a, old, INODE_RENAME);
}

static __always_inline int setattr(struct dentry *dentry, struct iattr *attr)
{
	__u32 valid = BPF_CORE_READ(attr, ia_valid), what;
	__u64 mount = 0;

	/* Truncation by open(2) is part of that event; what the kernel forces is nobody's act. */
	if (valid & (ATTR_OPEN | ATTR_FORCE))
		return 0;
	BEGIN(INODE_SETATTR);
	if (find_mount(a.task, INODE_SETATTR, dentry, &mount) == SEEN_BELOW)
		return 0;
	/* What an overlay does next below is known by this. */
	a.task->stash_kind = ~0u;
	a.task->stash_mount = mount;
	what = valid & (ATTR_MODE | ATTR_UID | ATTR_GID | ATTR_ATIME | ATTR_MTIME);
	if (valid & ATTR_SIZE)
		what = ATTR_SIZE;
	if (valid & (ATTR_MODE | ATTR_UID | ATTR_GID))
		what &= ATTR_MODE | ATTR_UID | ATTR_GID;
	if (valid & ATTR_TOUCH)
		what |= TIMES_NOW;
	put_file(a.s, dentry, (void *)mount, LAST_AS_IT_IS);
	put32(a.s, what);
	put32(a.s, what & ATTR_MODE ? BPF_CORE_READ(attr, ia_mode) : LEFT_ALONE);
	put32(a.s, what & ATTR_UID ? BPF_CORE_READ(attr, ia_uid.val) : LEFT_ALONE);
	put32(a.s, what & ATTR_GID ? BPF_CORE_READ(attr, ia_gid.val) : LEFT_ALONE);
	DECIDE_SLEEPING(INODE_SETATTR);
}

/* The hook has had the mount's id mapping as first argument since 6.3 (kernel commit 700b7940526d). */
SEC("?lsm.s/inode_setattr")
int BPF_PROG(inode_setattr_old, struct dentry *dentry, struct iattr *attr)
{
	return setattr(dentry, attr);
}

SEC("?lsm.s/inode_setattr")
int BPF_PROG(inode_setattr_new, struct mnt_idmap *idmap, struct dentry *dentry, struct iattr *attr)
{
	return setattr(dentry, attr);
}
