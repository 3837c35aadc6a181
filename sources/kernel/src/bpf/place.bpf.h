/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Places: a path as d_path() writes it for the orchestrator, and the file system it is on.
 *
 * bpf_d_path() may not be used in every hook and knows only the acting task's root, so the walk is
 * done here. It holds no lock: a rename or mount meanwhile shows in the sequence counts of the
 * dcache and of the mount table, and the walk begins anew.
 *
 * Names are in core's canonical form (canonical.rs): hooks that cannot wait decide by what is hashed
 * here.
 */
#ifndef QUIXOTE_PLACE_H
#define QUIXOTE_PLACE_H

#define PIPEFS 0x50495045
#define SOCKFS 0x534f434b
#define ANON_INODE_FS 0x09041934
#define OVERLAYFS 0x794c7630
#define PROCFS 0x9fa0
#define DEVPTS 0x1cd1
#define S_IFMT 00170000
#define S_IFREG 0100000
#define S_IFDIR 0040000
#define TEXT_MAX 4095
#define WALK_MAX 192
#define CLIMB_MAX 24
#define TAIL_TICKS 1000 /* a few seconds: 2^31 renames take more */
#define ATTEMPTS 8

extern const void rename_lock __ksym;
extern const void mount_lock __ksym;

/* How the last component is to be written. */
enum last {
	LAST_AS_IT_IS,
	LAST_UNNAMED, /* O_TMPFILE */
	LAST_NEW, /* not hashed yet, but not deleted either */
};

struct walk {
	struct scratch *s;
	struct dentry *dentry;
	struct dentry *root; /* of the mount */
	struct mount *mount;
	__u32 done;
};

static __always_inline __u64 names_version(void)
{
	__u32 renames = 0, mounts = 0;

	bpf_probe_read_kernel(&renames, sizeof(renames), &rename_lock);
	bpf_probe_read_kernel(&mounts, sizeof(mounts), &mount_lock);
	return (__u64)renames << 32 | mounts;
}

static __always_inline struct mount *mount_of(struct vfsmount *mnt)
{
	if (!mnt)
		return NULL;
	return (void *)mnt - bpf_core_field_offset(struct mount, mnt);
}

/*
 * Where the name of the next component towards the root is; 0 if there are too many, or it is longer than what a cell takes
 * (the names of some file systems are).
 */
static __always_inline int keep_component(struct scratch *s, const unsigned char *name,
					  __u32 length)
{
	__u32 n = s->depth;

	if (n >= DEPTH_MAX || length > CHUNK_MAX - 1)
		return 0;
	s->names[n & (DEPTH_MAX - 1)] = (__u64)name;
	s->lengths[n & (DEPTH_MAX - 1)] = length;
	s->depth = n + 1;
	return 1;
}

static __always_inline void enter_mount(struct walk *w, struct mount *mount)
{
	w->mount = mount;
	w->root = mount ? BPF_CORE_READ(mount, mnt.mnt_root) : NULL;
}

/* One step towards the root. */
static long step_up(__u32 index, struct walk *w)
{
	struct dentry *dentry = w->dentry, *parent;
	struct mount *mount = w->mount;

	if (mount && dentry == w->root) {
		struct mount *above = BPF_CORE_READ(mount, mnt_parent);

		if (above == mount) {
			w->done = 1;
			return 1;
		}
		w->dentry = BPF_CORE_READ(mount, mnt_mountpoint);
		enter_mount(w, above);
		return 0;
	}
	parent = BPF_CORE_READ(dentry, d_parent);
	if (parent == dentry) {
		w->done = 1;
		return 1;
	}
	if (!keep_component(w->s, BPF_CORE_READ(dentry, d_name.name), BPF_CORE_READ(dentry, d_name.len)))
		return 1;
	w->dentry = parent;
	return 0;
}

/*
 * The first steps of it, within the file's own mount, without a helper for every pointer: `dentry` is the kernel's to the
 * verifier. Gives where to go on.
 */
static __always_inline struct dentry *climb(struct scratch *s, struct dentry *dentry, __u64 root)
{
	for (__u32 i = 0; i < CLIMB_MAX; i++) {
		struct dentry *parent = dentry->d_parent;

		if ((__u64)dentry == root || parent == dentry)
			break;
		if (!keep_component(s, dentry->d_name.name, dentry->d_name.len))
			break;
		dentry = parent;
	}
	return dentry;
}

struct descent {
	struct scratch *s;
	enum last last;
};

/* Digits of a number of procfs or devpts, at most. */
#define NUMBER_MAX 9

/* What a name is, if it is no number. */
enum name {
	NAME_OTHER = -1,
	NAME_PROC = -2,
	NAME_TASK = -3,
	NAME_FD = -4, /* fd, fdinfo */
	NAME_MAP_FILES = -5,
};

#define IS_NAME(s, word)                                                                       \
	((s)->name_length == sizeof(word) - 1 &&                                               \
	 !__builtin_memcmp((s)->name, word, sizeof(word) - 1))

/* The number that the name in `s` is, or what else it is. Global: the verifier looks at it once. */
__noinline int look_at_name(struct scratch *s)
{
	int number = 0;

	if (!s || s->name_length == 0)
		return NAME_OTHER;
	if (IS_NAME(s, "proc"))
		return NAME_PROC;
	if (IS_NAME(s, "task"))
		return NAME_TASK;
	if (IS_NAME(s, "fd") || IS_NAME(s, "fdinfo"))
		return NAME_FD;
	if (IS_NAME(s, "map_files"))
		return NAME_MAP_FILES;
	for (__u32 i = 0; i < NUMBER_MAX; i++) {
		/* The verifier has to see this bound, whatever the compiler knows. */
		asm volatile("" : "+r"(i));
		if (i > 0 && i == s->name_length)
			return number;
		if (s->name[i & (NAME_MAX - 1)] < '0' || s->name[i & (NAME_MAX - 1)] > '9')
			return NAME_OTHER;
		number = number * 10 + (s->name[i & (NAME_MAX - 1)] - '0');
	}
	return s->name_length == NUMBER_MAX ? number : NAME_OTHER;
}

static __always_inline int name_of(struct scratch *s, __u32 component)
{
	__u32 length = s->lengths[component & (DEPTH_MAX - 1)];

	if (length >= NAME_MAX)
		return NAME_OTHER;
	s->name_length = length;
	bpf_probe_read_kernel(s->name, length & (NAME_MAX - 1),
			      (void *)s->names[component & (DEPTH_MAX - 1)]);
	return look_at_name(s);
}

/* A component of procfs, if no two good runs share it; whether it was one. */
static __noinline int put_of_process(struct scratch *s, __u32 component)
{
	int before = s->before, name = name_of(s, component);

	s->before = name;
	if (before == NAME_PROC && name >= 0) {
		s->in_process = 1;
		if (name == bpf_get_current_pid_tgid() >> 32)
			put_literal(s, "self");
		else
			put_literal(s, "<pid>");
		return 1;
	}
	if (!s->in_process)
		return 0;
	if (before == NAME_MAP_FILES)
		put_literal(s, "<range>");
	else if (before == NAME_TASK && name >= 0)
		put_literal(s, "<tid>");
	else if (before == NAME_FD && name >= 0)
		put_literal(s, "<n>");
	else
		return 0;
	return 1;
}

static long step_down(__u32 index, struct descent *d)
{
	struct scratch *s = d->s;
	__u32 n = s->depth - 1 - index;

	put8(s, '/');
	if (n == 0 && d->last == LAST_UNNAMED) {
		put_literal(s, "#tmpfile");
		return 0;
	}
	if (s->file_system == PROCFS && put_of_process(s, n))
		return s->failed != 0;
	if (s->file_system == DEVPTS && n == 0 && name_of(s, n) >= 0) {
		put_literal(s, "<n>");
		return s->failed != 0;
	}
	put_octets(s, (void *)s->names[n & (DEPTH_MAX - 1)], s->lengths[n & (DEPTH_MAX - 1)]);
	return s->failed != 0;
}

/* The path of an object whose file system gives it a name of its own. */
static __noinline int put_anonymous(struct scratch *s, struct dentry *dentry)
{
	unsigned long magic = BPF_CORE_READ(dentry, d_sb, s_magic);

	if (magic == PIPEFS) {
		put_literal(s, "pipe:");
		return 0;
	}
	if (magic == SOCKFS) {
		put_literal(s, "socket:");
		return 0;
	}
	if (magic == ANON_INODE_FS)
		put_literal(s, "anon_inode:");
	else
		put8(s, '/');
	put_octets(s, BPF_CORE_READ(dentry, d_name.name), BPF_CORE_READ(dentry, d_name.len));
	if (magic != ANON_INODE_FS)
		put_literal(s, " (deleted)");
	return 0;
}

static __always_inline int is_anonymous(struct dentry *dentry)
{
	const struct dentry_operations *operations = BPF_CORE_READ(dentry, d_op);

	return operations && BPF_CORE_READ(operations, d_dname) &&
	       BPF_CORE_READ(dentry, d_parent) == dentry;
}

/* All components from `dentry` on; 0 if there are too many. */
static __always_inline int go_up(struct scratch *s, struct dentry *dentry, struct vfsmount *mnt)
{
	struct walk up = { .s = s, .dentry = dentry };

	enter_mount(&up, mount_of(mnt));
	bpf_loop(WALK_MAX, step_up, &up, 0);
	return up.done;
}

/* Writes the components. */
static __always_inline void go_down(struct scratch *s, enum last last)
{
	struct descent down = { .s = s, .last = last };

	s->before = NAME_OTHER;
	s->in_process = 0;
	if (s->depth == 0) {
		put8(s, '/');
		return;
	}
	bpf_loop(s->depth, step_down, &down, 0);
	if (last == LAST_AS_IT_IS && s->unhashed)
		put_literal(s, " (deleted)");
}

/* The octets of a path, without its length. */
static __noinline int walk(struct scratch *s, struct dentry *dentry, struct vfsmount *mnt,
			   enum last last)
{
	if (is_anonymous(dentry))
		return put_anonymous(s, dentry);
	s->depth = 0;
	s->file_system = BPF_CORE_READ(dentry, d_sb, s_magic);
	s->unhashed = !BPF_CORE_READ(dentry, d_hash.pprev);
	if (go_up(s, dentry, mnt))
		go_down(s, last);
	else
		s->failed = 1;
	return 0;
}

/*
 * The components above a mount, as the last walk found them; 0 if it does not know. A mount holds what it is mounted on, and
 * nothing of that has another name unless the version is another.
 */
static __always_inline int add_tail(struct scratch *s, __u64 mount)
{
	if (s->tail_mount != mount || s->tail_version != s->version ||
	    bpf_jiffies64() >= s->tail_until)
		return 0;
	for (__u32 i = 0; i < TAIL_MAX && i < s->tail_depth; i++) {
		if (!keep_component(s, (void *)s->tail_names[i], s->tail_lengths[i]))
			return 0;
	}
	return 1;
}

/* Keeps for the next walk what lies above the first `own` components. */
static __always_inline void keep_tail(struct scratch *s, __u64 mount, __u32 own)
{
	__u32 count = s->depth - own;

	s->tail_mount = 0;
	if (count > TAIL_MAX)
		return;
	for (__u32 i = 0; i < TAIL_MAX && i < count; i++) {
		s->tail_names[i] = s->names[(own + i) & (DEPTH_MAX - 1)];
		s->tail_lengths[i] = s->lengths[(own + i) & (DEPTH_MAX - 1)];
	}
	s->tail_depth = count;
	s->tail_version = s->version;
	s->tail_until = bpf_jiffies64() + TAIL_TICKS;
	s->tail_mount = mount;
}

/* As walk(), of a `dentry` and `mnt` that a hook is given, or that are reached from there without a helper. */
static __noinline int walk_directly(struct scratch *s, struct dentry *dentry, struct vfsmount *mnt,
				    enum last last)
{
	const struct dentry_operations *operations = dentry->d_op;
	__u64 root = (__u64)mnt->mnt_root;
	__u32 own;

	if (operations && operations->d_dname && dentry->d_parent == dentry)
		return put_anonymous(s, dentry);
	s->depth = 0;
	s->file_system = dentry->d_sb->s_magic;
	s->unhashed = !dentry->d_hash.pprev;
	dentry = climb(s, dentry, root);
	own = s->depth;
	if ((__u64)dentry != root || !add_tail(s, (__u64)mnt)) {
		if (!go_up(s, dentry, mnt)) {
			s->failed = 1;
			return 0;
		}
		if ((__u64)dentry == root)
			keep_tail(s, (__u64)mnt, own);
	}
	go_down(s, last);
	return 0;
}

/* A mount of the file system in the acting task's mount namespace. */
struct search {
	struct list_head *at;
	struct list_head *head;
	struct mnt_namespace *namespace;
	struct mount *found;
};

static long look_at_mount(__u32 index, struct search *search)
{
	struct list_head *at = search->at;
	struct mount *mount;

	if (at == search->head || !at)
		return 1;
	mount = (void *)at - bpf_core_field_offset(struct mount, mnt_instance);
	if (BPF_CORE_READ(mount, mnt_ns) == search->namespace) {
		search->found = mount;
		return 1;
	}
	search->at = BPF_CORE_READ(at, next);
	return 0;
}

/*
 * Hooks that are told no mount: the one by which the file system is seen in the mount namespace.
 * Where there are several, the working directory's.
 */
static __noinline struct vfsmount *guess_mount(struct dentry *dentry)
{
	struct task_struct *task = (void *)bpf_get_current_task();
	struct super_block *sb = BPF_CORE_READ(dentry, d_sb);
	struct vfsmount *pwd = BPF_CORE_READ(task, fs, pwd.mnt);
	struct search search = {};

	if (BPF_CORE_READ(pwd, mnt_sb) == sb)
		return pwd;
	search.head = (void *)sb + bpf_core_field_offset(struct super_block, s_mounts);
	search.at = BPF_CORE_READ(sb, s_mounts.next);
	search.namespace = BPF_CORE_READ(task, nsproxy, mnt_ns);
	bpf_loop(64, look_at_mount, &search, 0);
	if (!search.found)
		return NULL;
	return (void *)search.found + bpf_core_field_offset(struct mount, mnt);
}

static __always_inline int put_steady(struct scratch *s, struct dentry *dentry,
				      struct vfsmount *mnt, enum last last, int directly)
{
	__u32 start = s->length, failed = s->failed, length;

	if (start > CELL_MAX) {
		s->failed = 1;
		return 0;
	}
	for (int attempt = 0; attempt < ATTEMPTS; attempt++) {
		s->version = names_version();
		s->length = start + 2;
		s->failed = failed;
		/* Once: the verifier looks at every way through it. */
		if (directly && attempt == 0)
			walk_directly(s, dentry, mnt, last);
		else
			walk(s, dentry, mnt, last);
		if (!(s->version & 0x100000001ull) && s->version == names_version())
			goto steady;
	}
	s->failed = 1;
	return 0;
steady:
	length = s->length - start - 2;
	if (s->failed || length > TEXT_MAX) {
		s->failed = 1;
		return 0;
	}
	*(__u16 *)(s->cell + start) = length;
	return 1;
}

/* Place; not of every set of programs. */
__attribute__((unused)) static __noinline int put_place(struct scratch *s, struct dentry *dentry, struct vfsmount *mnt,
				enum last last)
{
	if (!put_steady(s, dentry, mnt, last, 0))
		return 0;
	put32(s, BPF_CORE_READ(dentry, d_sb, s_magic));
	put_zeros(s, 1 + 32); /* generalised, maker */
	return 0;
}

/* What follows the path in a File: what a Place has, owner, mode, digest; no digest is zeros. */
static __always_inline void put_properties(struct scratch *s, __u32 magic, __u32 uid, __u32 gid,
					   __u32 mode)
{
	__u32 n = s->length;

	if (n > CELL_MAX) {
		s->failed = 1;
		return;
	}
	*(__u32 *)(s->cell + n) = magic;
	__builtin_memset(s->cell + n + 4, 0, 1 + 32);
	*(__u32 *)(s->cell + n + 37) = uid;
	*(__u32 *)(s->cell + n + 41) = gid;
	*(__u32 *)(s->cell + n + 45) = mode;
	__builtin_memset(s->cell + n + 49, 0, 32);
	s->length = n + 81;
}

/* File. */
static __noinline int put_file(struct scratch *s, struct dentry *dentry, struct vfsmount *mnt,
			       enum last last)
{
	struct inode *inode = BPF_CORE_READ(dentry, d_inode);

	if (put_steady(s, dentry, mnt, last, 0))
		put_properties(s, BPF_CORE_READ(dentry, d_sb, s_magic),
			       BPF_CORE_READ(inode, i_uid.val), BPF_CORE_READ(inode, i_gid.val),
			       BPF_CORE_READ(inode, i_mode));
	return 0;
}

/* File of one that is being used, as a hook is given it. */
static __noinline int put_opened(struct scratch *s, struct file *file, enum last last)
{
	struct dentry *dentry = file->f_path.dentry;
	struct inode *inode = dentry->d_inode;

	if (put_steady(s, dentry, file->f_path.mnt, last, 1))
		put_properties(s, dentry->d_sb->s_magic, inode->i_uid.val, inode->i_gid.val,
			       inode->i_mode);
	return 0;
}

#endif
