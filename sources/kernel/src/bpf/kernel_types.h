/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The few kernel types that the programs look into, relocated by CO-RE at load time. Only the
 * members that are read are declared; offsets come from the running kernel's BTF.
 */
#ifndef QUIXOTE_KERNEL_TYPES_H
#define QUIXOTE_KERNEL_TYPES_H

typedef unsigned char __u8;
typedef short __s16;
typedef unsigned short __u16;
typedef int __s32;
typedef unsigned int __u32;
typedef long long __s64;
typedef unsigned long long __u64;
typedef __u16 __be16;
typedef __u32 __be32;
typedef __u32 __wsum;
typedef __u16 umode_t;

#define PRESERVED __attribute__((preserve_access_index))

enum bpf_map_type {
	BPF_MAP_TYPE_HASH = 1,
	BPF_MAP_TYPE_ARRAY = 2,
	BPF_MAP_TYPE_PERCPU_ARRAY = 6,
	BPF_MAP_TYPE_LRU_HASH = 9,
	BPF_MAP_TYPE_ARRAY_OF_MAPS = 12,
	BPF_MAP_TYPE_RINGBUF = 27,
	BPF_MAP_TYPE_INODE_STORAGE = 28,
	BPF_MAP_TYPE_TASK_STORAGE = 29,
};

#define BPF_ANY 0
#define BPF_NOEXIST 1
#define BPF_F_NO_PREALLOC 1
#define BPF_F_RDONLY_PROG 128
#define BPF_F_MMAPABLE 1024
#define BPF_LOCAL_STORAGE_GET_F_CREATE 1

struct qstr {
	__u32 hash;
	__u32 len;
	const unsigned char *name;
} PRESERVED;

struct super_block;
struct vfsmount;
struct inode;

struct hlist_bl_node {
	struct hlist_bl_node **pprev;
} PRESERVED;

struct dentry_operations {
	void *d_dname;
} PRESERVED;

struct dentry {
	struct hlist_bl_node d_hash;
	struct dentry *d_parent;
	struct qstr d_name;
	struct inode *d_inode;
	unsigned char d_iname[32]; /* until 6.13 */
	const struct dentry_operations *d_op;
	struct super_block *d_sb;
} PRESERVED;

struct list_head {
	struct list_head *next;
} PRESERVED;

struct file_system_type {
	const char *name;
} PRESERVED;

struct super_block {
	unsigned long s_magic;
	int s_stack_depth;
	struct file_system_type *s_type;
	struct list_head s_mounts;
} PRESERVED;

typedef struct {
	__u32 val;
} kuid_t;

typedef struct {
	__u32 val;
} kgid_t;

typedef struct {
	int counter;
} atomic_t;

struct inode {
	umode_t i_mode;
	kuid_t i_uid;
	kgid_t i_gid;
	struct super_block *i_sb;
	unsigned long i_ino;
	__s64 i_size;
	__u32 i_generation;
	atomic_t i_writecount;
} PRESERVED;

struct path {
	struct vfsmount *mnt;
	struct dentry *dentry;
} PRESERVED;

struct vfsmount {
	struct dentry *mnt_root;
	struct super_block *mnt_sb;
	int mnt_flags;
} PRESERVED;

struct mnt_namespace {
	struct user_namespace *user_ns;
} PRESERVED;

struct mount {
	struct mount *mnt_parent;
	struct dentry *mnt_mountpoint;
	struct vfsmount mnt;
	struct list_head mnt_instance;
	struct mnt_namespace *mnt_ns;
} PRESERVED;

struct file {
	struct path f_path;
	struct inode *f_inode;
	unsigned int f_flags;
	unsigned int f_mode;
	void *private_data;
} PRESERVED;

typedef struct {
	__u64 val;
} kernel_cap_t;

struct user_namespace;

struct group_info {
	int ngroups;
	kgid_t gid[0];
} PRESERVED;

struct cred {
	kuid_t uid;
	kgid_t gid;
	kuid_t suid;
	kgid_t sgid;
	kuid_t euid;
	kgid_t egid;
	kuid_t fsuid;
	kgid_t fsgid;
	kernel_cap_t cap_effective;
	struct user_namespace *user_ns;
	struct group_info *group_info;
} PRESERVED;

struct fs_struct {
	int umask;
	struct path root;
	struct path pwd;
} PRESERVED;

struct nsproxy {
	struct mnt_namespace *mnt_ns;
} PRESERVED;

typedef struct {
	unsigned long sig[1];
} sigset_t;

struct sigpending {
	sigset_t signal;
} PRESERVED;

struct signal_struct {
	atomic_t live;
	struct sigpending shared_pending;
} PRESERVED;

struct thread_info {
	__u32 status;
} PRESERVED;

struct pid;
struct bpf_local_storage;

struct pid_link {
	struct pid_link *next, **pprev;
};

struct task_struct {
	unsigned int flags;
	struct thread_info thread_info;
	struct pid *thread_pid;
	struct pid_link pid_links[4];
	struct bpf_local_storage *bpf_storage;
	int pid;
	int tgid;
	const struct cred *cred;
	const struct cred *real_cred;
	struct fs_struct *fs;
	struct nsproxy *nsproxy;
	struct signal_struct *signal;
	struct sigpending pending;
	struct task_struct *group_leader;
	void *io_uring;
} PRESERVED;

struct linux_binprm {
	struct file *file;
	struct cred *cred;
} PRESERVED;

struct vm_area_struct {
	struct file *vm_file;
} PRESERVED;

struct iattr {
	unsigned int ia_valid;
	umode_t ia_mode;
	kuid_t ia_uid;
	kgid_t ia_gid;
} PRESERVED;

struct sockaddr {
	__u16 sa_family;
} PRESERVED;

struct in6_addr {
	__u8 octets[16];
};

struct sock_common {
	__u16 skc_family;
	__be32 skc_rcv_saddr;
	struct in6_addr skc_v6_rcv_saddr;
} PRESERVED;

struct sock {
	struct sock_common __sk_common;
	__u16 sk_protocol;
	__u16 sk_type;
	struct socket *sk_socket;
} PRESERVED;

struct socket {
	short type;
	struct sock *sk;
} PRESERVED;

struct ipv6_pinfo {
	struct in6_addr saddr;
} PRESERVED;

struct inet_sock {
	struct sock sk;
	__be32 inet_saddr;
	__be16 inet_sport;
	struct ipv6_pinfo *pinet6;
} PRESERVED;

struct sockaddr_un {
	__u16 sun_family;
} PRESERVED;

struct unix_address {
	int len;
	struct sockaddr_un name[0];
} PRESERVED;

struct unix_sock {
	struct sock sk;
	struct unix_address *addr;
	struct path path;
} PRESERVED;

struct msghdr {
	void *msg_name;
	int msg_namelen;
} PRESERVED;

struct key_type {
	const char *name;
} PRESERVED;

struct key___kernel {
	struct key_type *type;
} PRESERVED;

struct perf_event_attr {
	__u32 type;
} PRESERVED;

struct perf_event {
	struct perf_event_attr attr;
} PRESERVED;

struct kernel_siginfo;
struct mnt_idmap;
union bpf_attr;

enum bpf_prog_type {
	BPF_PROG_TYPE_UNSPEC,
};

struct bpf_map {
	enum bpf_map_type map_type;
	__u32 value_size;
	__u32 id;
} PRESERVED;

struct bpf_prog_aux {
	__u32 id;
} PRESERVED;

struct bpf_prog {
	enum bpf_prog_type type;
	struct bpf_prog_aux *aux;
} PRESERVED;

struct kern_ipc_perm {
	kuid_t uid;
	kgid_t gid;
	kuid_t cuid;
	kgid_t cgid;
	umode_t mode;
} PRESERVED;

struct rlimit {
	unsigned long rlim_cur;
	unsigned long rlim_max;
} PRESERVED;

struct sk_buff {
	unsigned int len;
	unsigned char *data;
} PRESERVED;

#endif
