/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Files that a task opens again and again: no path has to be written down to know that the very same event was allowed.
 *
 * An entry is made when an event was found in the cache, and holds by what its file was opened. The same again is the same
 * event, since its file has the same path: it is the same inode, in memory ever since, by the same name in a
 * directory of the same number and generation; what is above has not changed, or rename_lock and mount_lock would tell.
 * That is so where no one but this kernel renames, and a number that is used again has another generation. What else the
 * event tells of is compared as it is.
 */
#ifndef QUIXOTE_OPENED_H
#define QUIXOTE_OPENED_H

#define OPENED_MAX 8
#define OPENS_BEFORE 3 /* of what a task opens, before anything is kept for it: most end soon */
#define NAME_WORDS 4 /* with the octet of zero behind it; a longer name is not kept */
#define PROPERTIES_SIZE 81 /* put_properties() */

#define TMPFS 0x01021994
#define EXT4 0xef53
#define XFS 0x58465342
#define BTRFS 0x9123683e

/* A file as it was opened, and by whom. */
struct opened {
	__u64 inode; /* in `inodes`; 0: an entry that holds nothing */
	__u64 dentry;
	__u64 parent;
	__u64 directory;
	__u32 directory_generation;
	__u32 intent;
	__u64 mount;
	__u64 version; /* of names and mounts */
	__u64 until; /* in ticks: it is the same version, not the same number again */
	__u64 name[NAME_WORDS];
	__u32 name_hash;
	__u32 name_length;
	__u64 actor;
	__u32 generation;
	__u32 uid;
	__u32 gid;
	__u32 mode;
};

struct all_opened {
	struct opened opened[OPENED_MAX];
};

struct {
	__uint(type, BPF_MAP_TYPE_TASK_STORAGE);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, int);
	__type(value, struct all_opened);
} files_opened SEC(".maps");

/* A number that no other inode has, nor the same one when it has left memory and come back. */
struct {
	__uint(type, BPF_MAP_TYPE_INODE_STORAGE);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, int);
	__type(value, __u64);
} inodes SEC(".maps");

static __always_inline int is_renamed_here_alone(unsigned long magic)
{
	return magic == TMPFS || magic == EXT4 || magic == XFS || magic == BTRFS;
}

static __always_inline struct opened *place_of(struct dentry *dentry, __u64 flags)
{
	struct all_opened *all = bpf_task_storage_get(&files_opened, bpf_get_current_task_btf(), 0, flags);

	return all ? &all->opened[dentry->d_name.hash % OPENED_MAX] : 0;
}

/* Of an inline name, which another dentry in the same memory may have left there. */
static __always_inline int has_inline_name(struct dentry *dentry)
{
	return (__u64)dentry->d_name.name == (__u64)&dentry->d_iname[0] && dentry->d_name.len < 8 * NAME_WORDS;
}

static __always_inline __u64 word_of_name(struct dentry *dentry, __u32 word)
{
	return *(__u64 *)&dentry->d_iname[8 * word];
}

/* Whether this kernel has what is needed. */
static __always_inline int knows_opened(void)
{
	return bpf_core_field_exists(((struct dentry *)0)->d_iname);
}

/*
 * Whether the event of opening this was found in the cache before. The version is looked at last: if it is the same, nothing was
 * renamed from when the entry was made until then.
 */
static __noinline int was_opened(struct task *task, struct scratch *s, struct namespace *ns,
				 struct file *file, __u32 intent)
{
	struct dentry *dentry = file->f_path.dentry, *parent;
	struct inode *inode = dentry->d_inode;
	struct opened *opened;
	__u64 *number, differ = 0;

	if (!knows_opened() || s->opens <= OPENS_BEFORE)
		return 0;
	opened = place_of(dentry, 0);
	if (!opened || !opened->inode || opened->dentry != (__u64)dentry ||
	    opened->mount != (__u64)file->f_path.mnt || opened->intent != intent ||
	    opened->generation != ns->generation)
		return 0;
	if (opened->uid != inode->i_uid.val || opened->gid != inode->i_gid.val ||
	    opened->mode != inode->i_mode || !dentry->d_hash.pprev)
		return 0;
	parent = dentry->d_parent;
	inode = parent->d_inode;
	if (opened->parent != (__u64)parent || opened->directory != inode->i_ino ||
	    opened->directory_generation != inode->i_generation)
		return 0;
	if (!has_inline_name(dentry) || opened->name_hash != dentry->d_name.hash ||
	    opened->name_length != dentry->d_name.len)
		return 0;
	for (int word = 0; word < NAME_WORDS; word++)
		differ |= opened->name[word] ^ word_of_name(dentry, word);
	if (differ)
		return 0;
	number = bpf_inode_storage_get(&inodes, file->f_inode, 0, 0);
	if (!number || opened->inode != *number)
		return 0;
	if (!write_coe(s, own_credentials()) || opened->actor != actor_of(task, s, ns) || is_untrusted(task, ns))
		return 0;
	if (bpf_jiffies64() >= opened->until || opened->version != names_version())
		return 0;
	tally(task, TALLY_OPENED);
	return 1;
}

/*
 * Keeps by what the event that was just found in the cache was opened: generation, actor and properties are those of the
 * event, since each may be another by now.
 */
static __noinline int keep_opened(struct task *task, struct scratch *s, struct namespace *ns,
				  struct file *file, __u32 intent)
{
	struct dentry *dentry = file->f_path.dentry, *parent;
	struct opened *opened;
	__u64 *number, fresh;
	struct inode *inode;
	__u32 properties;

	if (!knows_opened() || (s->opens <= OPENS_BEFORE && ++s->opens <= OPENS_BEFORE))
		return 0;
	parent = dentry->d_parent;
	if (s->unhashed || parent == dentry || !is_renamed_here_alone(dentry->d_sb->s_magic) ||
	    !has_inline_name(dentry))
		return 0;
	number = bpf_inode_storage_get(&inodes, file->f_inode, 0, BPF_LOCAL_STORAGE_GET_F_CREATE);
	opened = place_of(dentry, BPF_LOCAL_STORAGE_GET_F_CREATE);
	if (!number || !opened)
		return 0;
	opened->inode = 0;
	if (!*number) {
		fresh = (__u64)(task->slot + 1) << 48 | (__sync_fetch_and_add(&ns->sequence, 1) + 1);
		__sync_val_compare_and_swap(number, 0, fresh);
	}
	opened->dentry = (__u64)dentry;
	opened->parent = (__u64)parent;
	for (int word = 0; word < NAME_WORDS; word++)
		opened->name[word] = word_of_name(dentry, word);
	opened->name_hash = dentry->d_name.hash;
	opened->name_length = dentry->d_name.len;
	opened->mount = (__u64)file->f_path.mnt;
	opened->version = s->version;
	opened->until = bpf_jiffies64() + TAIL_TICKS;
	opened->actor = s->key.actor;
	opened->generation = s->key.generation;
	opened->intent = intent;
	properties = s->length - PROPERTIES_SIZE - sizeof(intent);
	/* The verifier has to see this bound on what is added. */
	asm volatile("" : "+r"(properties));
	if (properties > CELL_MAX)
		return 0;
	opened->uid = *(__u32 *)(s->cell + properties + 37);
	opened->gid = *(__u32 *)(s->cell + properties + 41);
	opened->mode = *(__u32 *)(s->cell + properties + 45);
	inode = parent->d_inode;
	opened->directory = inode->i_ino;
	opened->directory_generation = inode->i_generation;
	if (opened->version == names_version())
		opened->inode = *number;
	return 0;
}

#endif
