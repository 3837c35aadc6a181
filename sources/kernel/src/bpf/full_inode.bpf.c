// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * Attributes, as they are read. What an overlay reads on its layers is no event of the task.
 */
#define INODE_GETATTR 83
#define INODE_GETXATTR 84
#define INODE_LISTXATTR 85
#define INODE_KILLPRIV 86

/* What is read with other credentials than the task's is read by the kernel for itself. */
static __always_inline int is_layer(struct dentry *dentry)
{
	return has_other_credentials() && !uses_io_uring() &&
	       BPF_CORE_READ(dentry, d_sb, s_magic) != OVERLAYFS;
}

/* The object; `mount` is 0 where the hook is told none. Whether it is an event. */
static __always_inline int put_object(struct actor *a, struct dentry *dentry, __u64 mount)
{
	if (is_layer(dentry))
		return 0;
	if (!mount)
		mount = (__u64)guess_mount(dentry);
	put_file(a->s, dentry, (void *)mount, LAST_AS_IT_IS);
	return 1;
}

SEC("lsm.s/inode_getattr")
int BPF_PROG(full_inode_getattr, const struct path *path)
{
	BEGIN_FULL(INODE_GETATTR);
	if (!put_object(&a, BPF_CORE_READ(path, dentry), (__u64)BPF_CORE_READ(path, mnt)))
		return 0;
	DECIDE_SLEEPING(INODE_GETATTR);
}

SEC("lsm.s/inode_getxattr")
int BPF_PROG(full_inode_getxattr, struct dentry *dentry, const char *name)
{
	BEGIN_FULL(INODE_GETXATTR);
	if (!put_object(&a, dentry, 0))
		return 0;
	put_text(a.s, name);
	DECIDE_SLEEPING(INODE_GETXATTR);
}

/* ACLs are read by a hook of their own since 6.2 (kernel commit 72b2c0e2ea3d). */
SEC("lsm/inode_get_acl")
int BPF_PROG(full_inode_get_acl, void *mapping, struct dentry *dentry, const char *name)
{
	BEGIN_FULL(INODE_GETXATTR);
	if (!put_object(&a, dentry, 0))
		return 0;
	put_text(a.s, name);
	DECIDE_NOW(INODE_GETXATTR);
}

SEC("lsm/inode_listxattr")
int BPF_PROG(full_inode_listxattr, struct dentry *dentry)
{
	BEGIN_FULL(INODE_LISTXATTR);
	if (!put_object(&a, dentry, 0))
		return 0;
	DECIDE_NOW(INODE_LISTXATTR);
}

SEC("lsm/inode_killpriv")
int BPF_PROG(full_inode_killpriv, void *mapping, struct dentry *dentry)
{
	BEGIN_FULL(INODE_KILLPRIV);
	if (!put_object(&a, dentry, 0))
		return 0;
	DECIDE_NOW(INODE_KILLPRIV);
}
