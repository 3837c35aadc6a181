// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * Tasks that only their orchestrator reaches, maps and programs that only keepers have, and what nobody may do any more.
 */
#define SIGKILL 9
#define SIGCONT 18
#define BPF_PROG_LOAD 5
#define CAP_SYS_ADMIN 21
#define CAP_PERFMON 38
#define TRACEFS 0x74726163
#define CGROUP_FS 0x27e0eb
#define CGROUP2_FS 0x63677270

enum prog_type {
	PROG_KPROBE = 2,
	PROG_TRACEPOINT = 5,
	PROG_PERF_EVENT = 7,
	PROG_RAW_TRACEPOINT = 17,
	PROG_RAW_TRACEPOINT_WRITABLE = 24,
	PROG_TRACING = 26,
	PROG_EXT = 28,
	PROG_LSM = 29,
};

struct fown_struct;

/* Our programs, by the kernel's id. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 1024);
	__type(key, __u32);
	__type(value, __u8);
} own_programs SEC(".maps");

/* Maps that keepers made, by address: they have no id yet. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 4 * SLOTS);
	__type(key, __u64);
	__type(value, __u8);
} made_maps SEC(".maps");

/* An orphan can be ended: nobody else does it, and it fails closed. */
static __always_inline int is_end_of_orphan(struct task_struct *target, int signal)
{
	struct namespace *ns = shield_of(target);

	return signal == SIGKILL && ns && (ns->flags & NAMESPACE_ORPHANED) && !is_keeper(target);
}

/* To be continued harms nobody, and a shell has to after a stop. What the kernel itself sends does not come here. */
SEC("lsm/task_kill")
int BPF_PROG(reach_signal, struct task_struct *target, struct kernel_siginfo *info, int signal,
	     const struct cred *cred)
{
	__u64 given = 0;

	bpf_probe_read_kernel(&given, sizeof(given), (void *)ctx + 8);
	if (given <= 1 || signal == 0 || signal == SIGCONT)
		return 0;
	if (!is_out_of_reach(target) || is_end_of_orphan(target, signal))
		return 0;
	return -EPERM;
}

/* Who acts is not known: it is sent when something happens to a file. */
SEC("lsm/file_send_sigiotask")
int BPF_PROG(reach_by_file, struct task_struct *target, struct fown_struct *owner, int signal)
{
	return refuse_if(home_super && (is_keeper(target) || shield_of(target) != NULL));
}

/* Tracing, /proc/PID/mem and what else procfs shows of a process, process_vm_*, pidfd_getfd, kcmp. */
SEC("lsm/ptrace_access_check")
int BPF_PROG(reach_task, struct task_struct *target, unsigned int mode)
{
	return refuse_if(is_out_of_reach(target));
}

/* prlimit(2) with a new limit. */
SEC("lsm/task_setrlimit")
int BPF_PROG(reach_limit, struct task_struct *target, unsigned int resource)
{
	return refuse_if(is_out_of_reach(target));
}

/* A descriptor for a map, by id, by pin, or because it is new. */
SEC("lsm/bpf_map")
int BPF_PROG(reach_own_map, struct bpf_map *map)
{
	__u32 id = BPF_CORE_READ(map, id);
	__u64 address = (__u64)map;

	if (may_have_own())
		return 0;
	if (bpf_map_lookup_elem(&own_maps, &id) || bpf_map_lookup_elem(&made_maps, &address))
		return -EPERM;
	return 0;
}

static __always_inline int note_map(struct bpf_map *map)
{
	__u64 address = (__u64)map;
	__u8 yes = 1;

	if (!home_super || !is_keeper(bpf_get_current_task_btf()))
		return 0;
	return bpf_map_update_elem(&made_maps, &address, &yes, BPF_ANY) ? -ENOMEM : 0;
}

static __always_inline int forget_map(struct bpf_map *map)
{
	__u64 address = (__u64)map;

	if (home_super)
		bpf_map_delete_elem(&made_maps, &address);
	return 0;
}

SEC("lsm/bpf_map_alloc_security")
int BPF_PROG(note_map_old, struct bpf_map *map)
{
	return note_map(map);
}

SEC("lsm/bpf_map_free_security")
int BPF_PROG(forget_map_old, struct bpf_map *map)
{
	return forget_map(map);
}

/* Their names since 6.9 (kernel commit a17793e5b1d0). */
SEC("lsm/bpf_map_create")
int BPF_PROG(note_map_new, struct bpf_map *map)
{
	return note_map(map);
}

SEC("lsm/bpf_map_free")
int BPF_PROG(forget_map_new, struct bpf_map *map)
{
	return forget_map(map);
}

/* With a descriptor for a program its functions could be replaced. A link of ours cannot be detached or updated. */
SEC("lsm/bpf_prog")
int BPF_PROG(reach_program, struct bpf_prog *program)
{
	__u32 id = BPF_CORE_READ(program, aux, id);

	if (may_have_own())
		return 0;
	return refuse_if(bpf_map_lookup_elem(&own_programs, &id) != NULL);
}

/* What can write into a process, answer in the kernel's stead, or stand before our programs. */
static __always_inline int is_tracing(__u32 type)
{
	switch (type) {
	case PROG_KPROBE: case PROG_TRACEPOINT: case PROG_PERF_EVENT: case PROG_RAW_TRACEPOINT:
	case PROG_RAW_TRACEPOINT_WRITABLE: case PROG_TRACING: case PROG_EXT: case PROG_LSM:
		return 1;
	default:
		return 0;
	}
}

SEC("lsm/bpf")
int BPF_PROG(reach_bpf, int command, union bpf_attr *attr, unsigned int size)
{
	__u32 type = 0;

	if (command != BPF_PROG_LOAD || !home_super)
		return 0;
	if (bpf_probe_read_kernel(&type, sizeof(type), attr))
		return -EPERM;
	return refuse_if(is_tracing(type));
}

/* A probe changes the code that it stands in; perf's own are for who has this capability. */
SEC("lsm/capable")
int BPF_PROG(reach_by_probe, const struct cred *cred, void *user_ns, int capability)
{
	if (capability != CAP_PERFMON && capability != CAP_SYS_ADMIN)
		return 0;
	if (!home_super || !is_in_call(PERF_EVENT_OPEN_CALL))
		return 0;
	return -EPERM;
}

#define IS_NAME(name, text) (!__builtin_memcmp(name, text, sizeof(text)))

/* Files by which the kernel is told to set probes, or to end or stop what is in a cgroup. */
static __always_inline int is_lever(struct file *file)
{
	unsigned long magic = BPF_CORE_READ(file, f_inode, i_sb, s_magic);
	char name[16] = {};

	if (magic != TRACEFS && magic != CGROUP_FS && magic != CGROUP2_FS)
		return 0;
	bpf_probe_read_kernel_str(name, sizeof(name),
				  BPF_CORE_READ(file, f_path.dentry, d_name.name));
	if (magic == TRACEFS)
		return IS_NAME(name, "uprobe_events") || IS_NAME(name, "dynamic_events");
	return IS_NAME(name, "cgroup.kill") || IS_NAME(name, "cgroup.freeze") ||
	       IS_NAME(name, "freezer.state");
}

/* For keepers too: they would not know what they are told to write to. */
SEC("lsm/file_open")
int BPF_PROG(reach_file, struct file *file)
{
	if (!(file->f_mode & FMODE_WRITE) || !home_super)
		return 0;
	if (bpf_inode_storage_get(&own_files, file->f_inode, 0, 0))
		return -EPERM;
	return refuse_if(is_lever(file));
}

static __always_inline int change_attributes(struct dentry *dentry)
{
	struct inode *inode = dentry->d_inode;

	if (!home_super || !inode)
		return 0;
	return refuse_if(bpf_inode_storage_get(&own_files, inode, 0, 0) != NULL);
}

SEC("lsm/inode_setattr")
int BPF_PROG(reach_attributes_old, struct dentry *dentry)
{
	return change_attributes(dentry);
}

/* Since 6.3 the mapping of the mount comes first (kernel commit 39f60c1ccee7). */
SEC("lsm/inode_setattr")
int BPF_PROG(reach_attributes_new, struct mnt_idmap *idmap, struct dentry *dentry)
{
	return change_attributes(dentry);
}
