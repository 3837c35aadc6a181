// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * Keepers: made by an exec of the recorded program, unmade by the next exec, and held to the recorded files between.
 *
 * Whoever executes it chooses arguments, environment and descriptors, as with a set-user-id program. What would let
 * them choose the code as well makes no keeper: a tracer, a filter of system calls, a file system shared with others.
 */
#define PROT_WRITE 2
#define PROT_EXEC 4
#define MAP_SHARED 1
#define MAP_TYPE 0xf
#define VM_EXEC 4
#define FMODE_WRITE 2
#define S_IFMT 00170000
#define S_IFREG 0100000
#define LSM_UNSAFE_NO_NEW_PRIVS 4

struct linux_binprm___unsafe {
	struct file *file;
	struct cred *cred;
	unsigned int unsafe;
} PRESERVED;

struct seccomp___mode {
	int mode;
} PRESERVED;

struct task_struct___seccomp {
	struct seccomp___mode seccomp;
} PRESERVED;

struct user_namespace___level {
	int level;
} PRESERVED;

struct vm_area_struct___flags {
	unsigned long vm_flags;
} PRESERVED;

static __always_inline int is_own_process(struct linux_binprm *bprm, struct task_struct *current)
{
	struct linux_binprm___unsafe *how = (void *)bprm;
	struct task_struct___seccomp *filtered = (void *)current;
	const struct cred *cred = BPF_CORE_READ(bprm, cred);
	struct user_namespace___level *users = (void *)BPF_CORE_READ(cred, user_ns);
	struct file *file = bprm->file;
	__u32 *mark = bpf_inode_storage_get(&own_files, file->f_inode, 0, 0);

	if (!mark || *mark != OWN_PROGRAM)
		return 0;
	if (BPF_CORE_READ(how, unsafe) & ~LSM_UNSAFE_NO_NEW_PRIVS)
		return 0;
	if (BPF_CORE_READ(filtered, seccomp.mode) || BPF_CORE_READ(users, level))
		return 0;
	if (BPF_CORE_READ(cred, uid.val) || BPF_CORE_READ(cred, euid.val))
		return 0;
	return !bpf_task_storage_get(&tasks, current, 0, 0);
}

/* A tracer waits meanwhile for the lock that an exec holds, and then for reach_task. */
SEC("lsm/bprm_committed_creds")
int BPF_PROG(keep_exec, struct linux_binprm *bprm)
{
	struct task_struct *current = bpf_get_current_task_btf();

	if (!home_super)
		return 0;
	if (is_own_process(bprm, current))
		/* Without memory for it the process is none, and is refused. */
		bpf_task_storage_get(&keepers, current, 0, BPF_LOCAL_STORAGE_GET_F_CREATE);
	else
		bpf_task_storage_delete(&keepers, current);
	return 0;
}

SEC("lsm/task_alloc")
int BPF_PROG(keep_child, struct task_struct *child, unsigned long clone_flags)
{
	if (!is_keeper(bpf_get_current_task_btf()))
		return 0;
	if (!bpf_task_storage_get(&keepers, child, 0, BPF_LOCAL_STORAGE_GET_F_CREATE))
		return -ENOMEM;
	return 0;
}

/* The argument as a number: the verifier takes it for never NULL. */
static __always_inline __u64 is_given(const void *ctx)
{
	__u64 value = 0;

	bpf_probe_read_kernel(&value, sizeof(value), ctx);
	return value;
}

/*
 * A keeper maps nothing private of a file but the recorded copies, or a dynamic linker could be made to load others,
 * with code or only with names that lead elsewhere in the recorded code; and no memory that others may change.
 */
SEC("lsm/mmap_file")
int BPF_PROG(keep_mapping, struct file *file, unsigned long reqprot, unsigned long prot,
	     unsigned long flags)
{
	__u64 all = reqprot | prot;

	if (!is_keeper(bpf_get_current_task_btf()))
		return 0;
	if (!is_given(ctx))
		return refuse_if(all & PROT_EXEC);
	if (bpf_inode_storage_get(&own_files, file->f_inode, 0, 0))
		return 0;
	if (all & PROT_EXEC)
		return -EPERM;
	/* Maps and rings are no regular files. */
	if ((BPF_CORE_READ(file, f_inode, i_mode) & S_IFMT) != S_IFREG)
		return 0;
	if (!(flags & MAP_SHARED) || (all & PROT_WRITE) || (file->f_mode & FMODE_WRITE))
		return -EPERM;
	return 0;
}

SEC("lsm/file_mprotect")
int BPF_PROG(keep_protection, struct vm_area_struct *vma, unsigned long reqprot, unsigned long prot)
{
	struct vm_area_struct___flags *area = (void *)vma;

	if (!((reqprot | prot) & PROT_EXEC) || !is_keeper(bpf_get_current_task_btf()))
		return 0;
	return refuse_if(!(BPF_CORE_READ(area, vm_flags) & VM_EXEC));
}
