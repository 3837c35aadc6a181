// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * Extended attributes. The value's digest is part of the event where it decides about security
 * (`security.*`, and ACLs in `system.*`); elsewhere it is data.
 */
#define INODE_SETXATTR 25
#define INODE_REMOVEXATTR 26

#define VALUE_MAX 4096
#define ACL_VERSION 2
#define ACL_ENTRIES_MAX 500
#define ACL_USER 2
#define ACL_GROUP 8
#define ACL_NO_ID 0xffffffffu

struct posix_acl_entry {
	short e_tag;
	unsigned short e_perm;
	kuid_t e_uid; /* or the group's, in the same place */
} PRESERVED;

struct posix_acl {
	unsigned int a_count;
	struct posix_acl_entry a_entries[0];
} PRESERVED;

/* The object, whose mount no hook is told; nothing for an overlay's work on its layer. */
#define ATTRIBUTE_EVENT(kind)                                                                  \
	__u64 mount = 0;                                                                       \
	BEGIN(kind);                                                                           \
	if (find_mount(a.task, kind, dentry, &mount) == SEEN_BELOW)                            \
		return 0;                                                                      \
	a.task->stash_kind = ~0u;                                                              \
	a.task->stash_mount = mount;                                                           \
	put_file(a.s, dentry, (void *)mount, LAST_AS_IT_IS)

static long sha256_value_block(__u32 i, struct scratch **context)
{
	struct scratch *s = *context;
	__u32 at = i * 64;

	if (at > SCRIPT_MAX - 64)
		return 1;
	sha256_at(s, s->script + at);
	return 0;
}

/* The digest of `length` octets in s->script, to the end of the cell. */
static __noinline int put_value_digest(struct scratch *s, __u64 length)
{
	__u32 n = s->length, last;

	if (length > VALUE_MAX || n > CELL_MAX) {
		s->failed = 1;
		return 0;
	}
	__builtin_memset(s->script + length, 0, 128);
	s->script[length] = 0x80;
	/* The last block, whose last 8 octets are the length in bits. */
	last = (length + 8) & (2 * VALUE_MAX - 64);
	*(__u64 *)(s->script + last + 56) = __builtin_bswap64(length * 8);
	sha256_init(s);
	bpf_loop(last / 64 + 1, sha256_value_block, &s, 0);
	sha256_take(s, s->cell + n);
	s->length = n + 32;
	return 0;
}

static __always_inline int decides_about_security(const char *name)
{
	char start[9] = {};

	bpf_probe_read_kernel_str(start, sizeof(start), name);
	return !__builtin_memcmp(start, "security", 8) || !__builtin_memcmp(start, "system.", 7);
}

/* `name` is the attribute's; one that begins with `security` has a dot next: there is no other. */
static __noinline int put_value(struct scratch *s, const char *name, const void *value, __u64 size)
{
	if (!decides_about_security(name)) {
		put_zeros(s, 32);
		return 0;
	}
	if (size > VALUE_MAX || (size && bpf_probe_read_kernel(s->script, size, value))) {
		s->failed = 1;
		return 0;
	}
	return put_value_digest(s, size);
}

SEC("lsm.s/inode_setxattr")
int BPF_PROG(inode_setxattr, void *mapping, struct dentry *dentry, const char *name)
{
	ATTRIBUTE_EVENT(INODE_SETXATTR);
	put_text(a.s, name);
	put_value(a.s, name, (const void *)raw_argument(ctx, 3), raw_argument(ctx, 4));
	DECIDE_SLEEPING(INODE_SETXATTR);
}

SEC("lsm/inode_removexattr")
int BPF_PROG(inode_removexattr, void *mapping, struct dentry *dentry, const char *name)
{
	ATTRIBUTE_EVENT(INODE_REMOVEXATTR);
	put_text(a.s, name);
	DECIDE_NOW(INODE_REMOVEXATTR);
}

struct acl_walk {
	struct scratch *s;
	struct posix_acl_entry *entries;
};

/* An entry as it stands in the attribute's value. */
static long write_acl_entry(__u32 i, struct acl_walk *w)
{
	struct posix_acl_entry *entry =
		(void *)w->entries + i * bpf_core_type_size(struct posix_acl_entry);
	__u32 at = 4 + i * 8, id = ACL_NO_ID;
	__u16 tag = BPF_CORE_READ(entry, e_tag);

	if (at > VALUE_MAX)
		return 1;
	if (tag == ACL_USER || tag == ACL_GROUP)
		bpf_probe_read_kernel(&id, 4,
				      (void *)entry + 4);
	*(__u16 *)(w->s->script + at) = tag;
	*(__u16 *)(w->s->script + at + 2) = BPF_CORE_READ(entry, e_perm);
	*(__u32 *)(w->s->script + at + 4) = id;
	return 0;
}

/* The digest of the attribute's value that an ACL was made from; of nothing for none. */
static __noinline int put_acl(struct scratch *s, struct posix_acl *acl)
{
	struct acl_walk w = { .s = s };
	__u32 count;

	if (!acl)
		return put_value_digest(s, 0);
	count = BPF_CORE_READ(acl, a_count);
	if (count > ACL_ENTRIES_MAX) {
		s->failed = 1;
		return 0;
	}
	w.entries = (void *)acl + bpf_core_field_offset(struct posix_acl, a_entries);
	*(__u32 *)s->script = ACL_VERSION;
	bpf_loop(count, write_acl_entry, &w, 0);
	return put_value_digest(s, 4 + count * 8);
}

/* ACLs have hooks of their own since 6.2 (kernel commit 72b2c0e2ea3d). */
SEC("?lsm/inode_set_acl")
int BPF_PROG(inode_set_acl, void *mapping, struct dentry *dentry, const char *name)
{
	ATTRIBUTE_EVENT(INODE_SETXATTR);
	put_text(a.s, name);
	put_acl(a.s, (void *)raw_argument(ctx, 3));
	DECIDE_NOW(INODE_SETXATTR);
}

SEC("?lsm/inode_remove_acl")
int BPF_PROG(inode_remove_acl, void *mapping, struct dentry *dentry, const char *name)
{
	ATTRIBUTE_EVENT(INODE_REMOVEXATTR);
	put_text(a.s, name);
	DECIDE_NOW(INODE_REMOVEXATTR);
}
