/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Content digests: computed by IMA, kept with the inode.
 *
 * One that is kept stands for the content only while nobody has the file open for writing; an open
 * for writing by anybody drops it (file.bpf.c), and size and times must be the same. For a file of an
 * overlay all of these are looked at where its content is: who writes there does not come by here. Times
 * stand still for a tick of the clock, so there they must have been the same for a while before the content is read.
 */
#ifndef QUIXOTE_DIGEST_H
#define QUIXOTE_DIGEST_H

#define HASH_ALGO_SHA256 4
#define SETTLING_NS 40000000ull /* two ticks of the slowest clock */

enum {
	CONTENT_UNKNOWN,
	CONTENT_KEPT,
	CONTENT_CHANGING, /* by one task alone */
};

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

/*
 * An overlay's inode (fs/overlayfs/ovl_entry.h). The overlay is a module: where it came after these programs, its types are
 * not known. The stack of layers moved from the inode to its entry with 6.5 (kernel commit 0af950f57fef).
 */
enum ovl_inode_flag {
	OVL_UPPERDATA = 3,
};

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

/* What an overlay's file has, from 6.13 on; before, the file below itself (kernel commit 18e48d0e2c7b). */
struct ovl_file {
	struct file *realfile;
} PRESERVED;

struct file___counted {
	int f_ref;
} PRESERVED;

static __always_inline int has_upper_data(struct ovl_inode *overlay)
{
	return bpf_core_enum_value_exists(enum ovl_inode_flag, OVL_UPPERDATA) &&
	       BPF_CORE_READ(overlay, flags) >>
			       bpf_core_enum_value(enum ovl_inode_flag, OVL_UPPERDATA) & 1;
}

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
		return has_upper_data(overlay) ? BPF_CORE_READ(upper, d_inode) : 0;
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

/* The file below that an overlay's has open, of whose content a mapping is. */
static __always_inline struct inode *below_inode(struct file *file)
{
	struct file___counted *counted = (void *)file;
	void *below = BPF_CORE_READ(file, private_data);

	if (below && bpf_core_field_exists(counted->f_ref))
		below = bpf_core_type_exists(struct ovl_file) ?
				BPF_CORE_READ((struct ovl_file *)below, realfile) :
				0;
	return below ? BPF_CORE_READ((struct file *)below, f_inode) : 0;
}

/*
 * The inode that holds the content. None: it is not known, or lies on a file system that itself lies on another. A file
 * that was opened before its content was copied up is read from one layer and mapped from another: that fails.
 */
static __always_inline struct inode *content_inode(struct scratch *s, struct file *file,
						   struct inode *inode)
{
	struct super_block *sb = BPF_CORE_READ(inode, i_sb);
	struct inode *below, *layer;

	if (BPF_CORE_READ(sb, s_magic) == OVERLAYFS) {
		below = below_inode(file);
		layer = layer_inode(inode);
		if (below && layer && below != layer)
			s->failed = 1;
		inode = below ? below : layer;
		if (!inode)
			return 0;
		sb = BPF_CORE_READ(inode, i_sb);
	}
	return BPF_CORE_READ(sb, s_stack_depth) ? 0 : inode;
}

static __always_inline int has_writer(struct inode *inode)
{
	return BPF_CORE_READ(inode, i_writecount.counter) > 0;
}

/*
 * What is kept is of other content, or somebody writes. Whether what is read from now on may be kept: who writes in a layer
 * takes nothing away here.
 */
static __always_inline int begin_anew(struct content *kept, const struct content *now, int in_layer)
{
	__sync_val_compare_and_swap(&kept->stage, CONTENT_KEPT, CONTENT_UNKNOWN);
	if (!in_layer)
		return 1;
	if (kept->seen && same_content(kept, now))
		return bpf_ktime_get_ns() - kept->seen > SETTLING_NS;
	if (__sync_val_compare_and_swap(&kept->stage, CONTENT_UNKNOWN, CONTENT_CHANGING) !=
	    CONTENT_UNKNOWN)
		return 0;
	kept->size = now->size;
	__builtin_memcpy(kept->modified, now->modified, sizeof(now->modified));
	__builtin_memcpy(kept->changed, now->changed, sizeof(now->changed));
	kept->seen = bpf_ktime_get_ns();
	__sync_val_compare_and_swap(&kept->stage, CONTENT_CHANGING, CONTENT_UNKNOWN);
	return 0;
}

static __always_inline void keep(struct content *kept, struct content *now, __u64 born)
{
	if (__sync_val_compare_and_swap(&kept->stage, CONTENT_UNKNOWN, CONTENT_CHANGING) !=
	    CONTENT_UNKNOWN)
		return;
	now->born = born;
	now->seen = kept->seen;
	now->stage = CONTENT_CHANGING;
	*kept = *now;
	__sync_val_compare_and_swap(&kept->stage, CONTENT_CHANGING, CONTENT_KEPT);
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
	holder = content_inode(s, file, inode);
	if (holder)
		times_of(holder, now);
	kept = bpf_inode_storage_get(&contents, inode, 0, BPF_LOCAL_STORAGE_GET_F_CREATE);
	if (!kept) {
		s->failed = 1;
		return 0;
	}
	quiet = holder && !has_writer(holder);
	if (quiet && kept->stage == CONTENT_KEPT && same_content(kept, now)) {
		__builtin_memcpy(now->digest, kept->digest, 32);
		set_digest(s, now->digest);
		return 0;
	}
	/* One birth for all who read at the same time: only a writer ends it, with the entry. */
	fresh = bpf_ktime_get_ns();
	born = __sync_val_compare_and_swap(&kept->born, 0, fresh);
	if (!born)
		born = fresh;
	/* Where the file below is not known yet, it will be when this entry is looked at again. */
	if (holder)
		quiet &= begin_anew(kept, now, holder != inode);
	if (!may_read || !read_digest(s, file)) {
		s->message.flags |= WANTS_DIGEST;
		s->message.born = born;
		return 0;
	}
	set_digest(s, now->digest);
	kept = bpf_inode_storage_get(&contents, inode, 0, 0);
	if (kept && kept->born == born && quiet && !has_writer(holder))
		keep(kept, now, born);
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
	if (!kept || kept->stage != CONTENT_KEPT || has_writer(inode) || !same_content(kept, now)) {
		s->failed = 1;
		return;
	}
	__builtin_memcpy(now->digest, kept->digest, 32);
	set_digest(s, now->digest);
}

#endif
