/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Content digests: computed by IMA, kept with the inode.
 *
 * One that is kept stands for the content only while nobody has the file open for writing; an open
 * for writing by anybody drops it (file.bpf.c), and size and times must be the same. For a file of an
 * overlay all of these are looked at where its content is: who writes there does not come by here.
 */
#ifndef QUIXOTE_DIGEST_H
#define QUIXOTE_DIGEST_H

#define HASH_ALGO_SHA256 4

/* Up to 6.6 and from 6.11 the times have other names (kernel commits 12cd44023651, 3aa63a569c64). */
struct inode___old {
	struct {
		__s64 tv_sec;
		long tv_nsec;
	} i_mtime, i_ctime;
} PRESERVED;

struct inode___split {
	__s64 i_mtime_sec, i_ctime_sec;
	__u32 i_mtime_nsec, i_ctime_nsec;
} PRESERVED;

struct inode___middle {
	struct {
		__s64 tv_sec;
		long tv_nsec;
	} __i_mtime, __i_ctime;
} PRESERVED;

static __always_inline void times_of(struct inode *inode, struct content *content)
{
	struct inode___old *old = (void *)inode;
	struct inode___split *split = (void *)inode;
	struct inode___middle *middle = (void *)inode;

	if (bpf_core_field_exists(split->i_mtime_sec)) {
		content->modified[0] = BPF_CORE_READ(split, i_mtime_sec);
		content->modified[1] = BPF_CORE_READ(split, i_mtime_nsec);
		content->changed[0] = BPF_CORE_READ(split, i_ctime_sec);
		content->changed[1] = BPF_CORE_READ(split, i_ctime_nsec);
	} else if (bpf_core_field_exists(old->i_mtime)) {
		content->modified[0] = BPF_CORE_READ(old, i_mtime.tv_sec);
		content->modified[1] = BPF_CORE_READ(old, i_mtime.tv_nsec);
		content->changed[0] = BPF_CORE_READ(old, i_ctime.tv_sec);
		content->changed[1] = BPF_CORE_READ(old, i_ctime.tv_nsec);
	} else {
		content->modified[0] = BPF_CORE_READ(middle, __i_mtime.tv_sec);
		content->modified[1] = BPF_CORE_READ(middle, __i_mtime.tv_nsec);
		content->changed[0] = BPF_CORE_READ(middle, __i_ctime.tv_sec);
		content->changed[1] = BPF_CORE_READ(middle, __i_ctime.tv_nsec);
	}
	content->size = BPF_CORE_READ(inode, i_size);
}

static __always_inline int same_content(const struct content *a, const struct content *b)
{
	return a->size == b->size && a->modified[0] == b->modified[0] &&
	       a->modified[1] == b->modified[1] && a->changed[0] == b->changed[0] &&
	       a->changed[1] == b->changed[1];
}

/* The digest goes where put_file() has left zeros: the last 32 octets. */
static __always_inline void set_digest(struct scratch *s, const __u8 *digest)
{
	__u32 n = s->length;

	if (n < 32 || n > CELL_MAX) {
		s->failed = 1;
		return;
	}
	__builtin_memcpy(s->cell + n - 32, digest, 32);
}

static __always_inline int read_digest(struct scratch *s, struct file *file)
{
	long algorithm;

	s->reading = 1;
	algorithm = bpf_ima_file_hash(file, s->content.digest, 32);
	s->reading = 0;
	return algorithm == HASH_ALGO_SHA256;
}

/* From 6.13 on, where an overlay keeps more than its file below (struct ovl_file). */
struct file___counted {
	int f_ref;
} PRESERVED;

/*
 * An overlay's inode (fs/overlayfs/ovl_entry.h). The overlay is a module: where it came after these programs, its types are
 * not known. The stack of layers moved from the inode to its entry with 6.5 (kernel commit 0af950f57fef).
 */
#define OVL_UPPERDATA_BIT (1ul << 3)

struct ovl_path {
	struct dentry *dentry;
} PRESERVED;

struct ovl_entry {
	unsigned int __numlower;
	struct ovl_path __lowerstack[0];
} PRESERVED;

struct ovl_inode {
	unsigned long flags;
	struct inode vfs_inode;
	struct dentry *__upperdentry;
	struct ovl_entry *oe;
} PRESERVED;

struct ovl_inode___old {
	struct inode *lowerdata;
	struct ovl_path lowerpath;
} PRESERVED;

/* The inode of the layer that has the content of an overlay's file; none where that is another than has its attributes. */
static __always_inline struct inode *layer_inode(struct inode *inode)
{
	struct dentry *upper, *lower;
	struct ovl_inode___old *old;
	struct ovl_inode *overlay;
	struct ovl_entry *entry;

	if (!bpf_core_type_exists(struct ovl_inode))
		return 0;
	overlay = (void *)inode - bpf_core_field_offset(struct ovl_inode, vfs_inode);
	old = (void *)overlay;
	upper = BPF_CORE_READ(overlay, __upperdentry);
	if (upper)
		return BPF_CORE_READ(overlay, flags) & OVL_UPPERDATA_BIT ?
			       BPF_CORE_READ(upper, d_inode) :
			       0;
	if (bpf_core_field_exists(old->lowerpath)) {
		lower = BPF_CORE_READ(old, lowerdata) ? 0 : BPF_CORE_READ(old, lowerpath.dentry);
	} else {
		entry = BPF_CORE_READ(overlay, oe);
		if (BPF_CORE_READ(entry, __numlower) != 1)
			return 0;
		lower = BPF_CORE_READ(entry, __lowerstack[0].dentry);
	}
	return lower ? BPF_CORE_READ(lower, d_inode) : 0;
}

/* The inode that holds the content; of an overlay's file that is open, of the file below. None: it is not known (yet). */
static __always_inline struct inode *content_inode(struct file *file, struct inode *inode)
{
	struct file___counted *counted = (void *)file;
	struct file *below = 0;

	if (BPF_CORE_READ(inode, i_sb, s_magic) != OVERLAYFS)
		return inode;
	if (!bpf_core_field_exists(counted->f_ref))
		below = BPF_CORE_READ(file, private_data);
	return below ? BPF_CORE_READ(below, f_inode) : layer_inode(inode);
}

static __always_inline int has_writer(struct inode *inode)
{
	return BPF_CORE_READ(inode, i_writecount.counter) > 0;
}

/*
 * For hooks that can sleep; `inode` is a pointer that may be handed on to helpers.
 *
 * The entry is made before the content is read and must be the same one afterwards: who opens the
 * file for writing meanwhile has taken it away, and nobody had it open before. A file that is just
 * being opened cannot be read yet; the orchestrator does it then, and knows the inode by its entry.
 */
static __noinline int put_digest(struct scratch *s, struct file *file, struct inode *inode,
				 int may_read)
{
	struct content *now = &s->content, *kept;
	struct inode *holder;
	__u64 born, fresh;
	int quiet;

	if ((BPF_CORE_READ(inode, i_mode) & S_IFMT) != S_IFREG)
		return 0;
	holder = content_inode(file, inode);
	if (holder)
		times_of(holder, now);
	kept = bpf_inode_storage_get(&contents, inode, 0, BPF_LOCAL_STORAGE_GET_F_CREATE);
	if (!kept) {
		s->failed = 1;
		return 0;
	}
	if (kept->valid && holder && !has_writer(holder) && same_content(kept, now)) {
		__builtin_memcpy(now->digest, kept->digest, 32);
		set_digest(s, now->digest);
		return 0;
	}
	quiet = holder && !has_writer(holder);
	/* One birth for all who read at the same time: only a writer ends it, with the entry. */
	fresh = bpf_ktime_get_ns();
	born = __sync_val_compare_and_swap(&kept->born, 0, fresh);
	if (!born)
		born = fresh;
	/* Where the file below is not known yet, it will be when this entry is looked at again. */
	if (holder)
		kept->valid = 0;
	if (!may_read || !read_digest(s, file)) {
		s->message.flags |= WANTS_DIGEST;
		s->message.born = born;
		return 0;
	}
	set_digest(s, now->digest);
	kept = bpf_inode_storage_get(&contents, inode, 0, 0);
	if (!kept || kept->born != born || !quiet || has_writer(holder))
		return 0;
	now->born = born;
	now->valid = 1;
	*kept = *now;
	return 0;
}

/* The digest that is kept, for hooks that cannot sleep; none is a failure. */
static __always_inline void put_kept_digest(struct scratch *s, struct inode *inode)
{
	struct content *now = &s->content, *kept;

	if ((BPF_CORE_READ(inode, i_mode) & S_IFMT) != S_IFREG)
		return;
	times_of(inode, now);
	kept = bpf_inode_storage_get(&contents, inode, 0, 0);
	if (!kept || !kept->valid || has_writer(inode) || !same_content(kept, now)) {
		s->failed = 1;
		return;
	}
	__builtin_memcpy(now->digest, kept->digest, 32);
	set_digest(s, now->digest);
}

#endif
