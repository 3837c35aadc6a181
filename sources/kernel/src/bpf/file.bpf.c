// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * Files: opened, mapped executable, made executable.
 */
#define FILE_OPEN 2
#define MMAP_FILE 3
#define FILE_MPROTECT 4

#define O_ACCMODE 3
#define O_CREAT 0100
#define O_EXCL 0200
#define O_TRUNC 01000
#define O_APPEND 02000
#define O_DIRECTORY 0200000
#define TMPFILE 020000000
#define FMODE_EXEC 0x20 /* in f_flags */
#define FMODE_WRITE 2
#define FMODE_NOACCOUNT 0x20000000 /* opened by the kernel for itself */
#define PID_FS 0x50494446
#define HUGETLBFS 0x958458f6
#define MNT_INTERNAL 0x4000
#define PROT_EXEC 4
#define MAP_SHARED 1

#define INTENT_EXEC 256

static __always_inline __u32 intent_of(__u32 flags)
{
	__u32 access = flags & O_ACCMODE, intent = access == 0 ? 1 : access == 1 ? 2 : 3;

	if (flags & FMODE_EXEC)
		return INTENT_EXEC;
	intent |= flags & O_APPEND ? 4 : 0;
	intent |= flags & O_CREAT ? 8 : 0;
	intent |= flags & O_TRUNC ? 16 : 0;
	intent |= flags & O_EXCL ? 32 : 0;
	intent |= flags & O_DIRECTORY ? 64 : 0;
	return intent;
}

/* Who writes takes the digest away, in a namespace or not. */
static __always_inline void drop_digest(struct file *file, struct inode *inode)
{
	if (file->f_mode & FMODE_WRITE)
		bpf_inode_storage_delete(&contents, inode);
}

/*
 * The file below that an overlay opens for one of its own, which was judged. A directory of a layer
 * is known by the credentials.
 */
static __always_inline int is_backing(struct file *file)
{
	if (file->f_mode & FMODE_NOACCOUNT)
		return 1;
	return (file->f_inode->i_mode & S_IFMT) == S_IFDIR && has_other_credentials() &&
	       !uses_io_uring() && file->f_path.dentry->d_sb->s_magic != OVERLAYFS;
}

/*
 * A descriptor for a process is a file of a file system since 6.9 (kernel commit cb12fd8e0dab), opened when it is
 * made. What is done with it is judged.
 */
static __always_inline int is_pidfd(struct file *file)
{
	return file->f_path.dentry->d_sb->s_magic == PID_FS;
}

/*
 * Memory that the kernel keeps in a file of its own: shared anonymous memory, System V segments, huge pages. On those
 * mounts of the kernel only memfd_create() makes files that a program knows as such, and it names them.
 */
static __always_inline int is_nameless(struct file *file)
{
	struct dentry *dentry = BPF_CORE_READ(file, f_path.dentry);
	unsigned long magic = BPF_CORE_READ(dentry, d_sb, s_magic);
	char name[6] = {};

	if ((magic != TMPFS && magic != HUGETLBFS) ||
	    !(BPF_CORE_READ(file, f_path.mnt, mnt_flags) & MNT_INTERNAL))
		return 0;
	bpf_probe_read_kernel(name, sizeof(name), BPF_CORE_READ(dentry, d_name.name));
	return __builtin_memcmp(name, "memfd:", sizeof(name)) != 0;
}

SEC("lsm.s/file_open")
int BPF_PROG(file_open, struct file *file)
{
	struct inode *inode = file->f_inode;
	int reads, again, refused;
	__u32 flags;

	drop_digest(file, inode);
	BEGIN(FILE_OPEN);
	if (is_backing(file) || is_pidfd(file))
		return 0;
	flags = file->f_flags;
	reads = (flags & FMODE_EXEC) || (a.ns->flags & NAMESPACE_DIGESTS);
	again = !reads && !(flags & TMPFILE);
	if (again && was_opened(a.task, a.s, a.ns, file, intent_of(flags)))
		return 0;
	put_opened(a.s, file, (flags & TMPFILE) ? LAST_UNNAMED : LAST_AS_IT_IS);
	if (reads)
		put_digest(a.s, file, inode, 0);
	put32(a.s, intent_of(flags));
	refused = decide_sleeping(a.task, a.s, a.ns, FILE_OPEN);
	if (again && a.s->hit)
		keep_opened(a.task, a.s, a.ns, file, intent_of(flags));
	return refused;
}

SEC("lsm.s/mmap_file")
int BPF_PROG(mmap_file, struct file *file, unsigned long reqprot, unsigned long prot,
	     unsigned long flags)
{
	if (!((reqprot | prot) & PROT_EXEC))
		return 0;
	BEGIN(MMAP_FILE);
	if (raw_argument(ctx, 0) && !is_nameless(file)) {
		put8(a.s, 1);
		put_opened(a.s, file, LAST_AS_IT_IS);
		put_digest(a.s, file, file->f_inode, 1);
	} else {
		put8(a.s, 0);
	}
	put32(a.s, (reqprot | (prot & PROT_EXEC)) & 7);
	put32(a.s, flags & MAP_SHARED ? 1 : 2);
	DECIDE_SLEEPING(MMAP_FILE);
}

SEC("lsm/file_mprotect")
int BPF_PROG(file_mprotect, struct vm_area_struct *vma, unsigned long reqprot, unsigned long prot)
{
	struct file *file;

	if (!((reqprot | prot) & PROT_EXEC))
		return 0;
	BEGIN(FILE_MPROTECT);
	file = vma->vm_file;
	if (file && !is_nameless(file)) {
		put8(a.s, 1);
		put_file(a.s, BPF_CORE_READ(file, f_path.dentry), BPF_CORE_READ(file, f_path.mnt),
			 LAST_AS_IT_IS);
		put_kept_digest(a.s, file->f_inode);
	} else {
		put8(a.s, 0);
	}
	put32(a.s, (reqprot | (prot & PROT_EXEC)) & 7);
	DECIDE_NOW(FILE_MPROTECT);
}
