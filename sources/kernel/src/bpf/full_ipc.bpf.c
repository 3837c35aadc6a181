// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * System V IPC. The kernel holds the object's lock in these hooks.
 */
#define SHM_ASSOCIATE 71
#define SHM_SHMCTL 72
#define SHM_SHMAT 73
#define SEM_ASSOCIATE 74
#define SEM_SEMCTL 75
#define SEM_SEMOP 76
#define MSG_QUEUE_ASSOCIATE 77
#define MSG_QUEUE_MSGCTL 78
#define MSG_QUEUE_MSGSND 79
#define MSG_QUEUE_MSGRCV 80
#define IPC_PERMISSION 81

#define NOBODY 0xffffffffu

/* Ipc; all ones where a call is about no object (IPC_INFO and its like). */
static __noinline int put_ipc(struct scratch *s, struct kern_ipc_perm *ipc)
{
	put32(s, ipc ? BPF_CORE_READ(ipc, uid.val) : NOBODY);
	put32(s, ipc ? BPF_CORE_READ(ipc, gid.val) : NOBODY);
	put32(s, ipc ? BPF_CORE_READ(ipc, cuid.val) : NOBODY);
	put32(s, ipc ? BPF_CORE_READ(ipc, cgid.val) : NOBODY);
	put32(s, ipc ? BPF_CORE_READ(ipc, mode) : NOBODY);
	return 0;
}

/* The object is the first argument, which may be missing. */
#define IPC_EVENT(kind)                                                                        \
	BEGIN_FULL(kind);                                                                      \
	put_ipc(a.s, (struct kern_ipc_perm *)raw_argument(ctx, 0))

#define IPC_HOOK(hook, kind)                                                                   \
	SEC("lsm/" #hook)                                                                      \
	int BPF_PROG(full_##hook, struct kern_ipc_perm *ipc, int number)                       \
	{                                                                                      \
		IPC_EVENT(kind);                                                               \
		put32(a.s, number);                                                            \
		DECIDE_NOW(kind);                                                              \
	}

IPC_HOOK(shm_associate, SHM_ASSOCIATE)
IPC_HOOK(shm_shmctl, SHM_SHMCTL)
IPC_HOOK(sem_associate, SEM_ASSOCIATE)
IPC_HOOK(sem_semctl, SEM_SEMCTL)
IPC_HOOK(msg_queue_associate, MSG_QUEUE_ASSOCIATE)
IPC_HOOK(msg_queue_msgctl, MSG_QUEUE_MSGCTL)

SEC("lsm/shm_shmat")
int BPF_PROG(full_shm_shmat, struct kern_ipc_perm *ipc, char *address, int flags)
{
	IPC_EVENT(SHM_SHMAT);
	put32(a.s, flags);
	DECIDE_NOW(SHM_SHMAT);
}

SEC("lsm/sem_semop")
int BPF_PROG(full_sem_semop, struct kern_ipc_perm *ipc, void *operations, unsigned int count, int alter)
{
	IPC_EVENT(SEM_SEMOP);
	put32(a.s, alter);
	DECIDE_NOW(SEM_SEMOP);
}

SEC("lsm/msg_queue_msgsnd")
int BPF_PROG(full_msg_queue_msgsnd, struct kern_ipc_perm *ipc, void *message, int flags)
{
	IPC_EVENT(MSG_QUEUE_MSGSND);
	put32(a.s, flags);
	DECIDE_NOW(MSG_QUEUE_MSGSND);
}

/* Who sends to a process that waits takes the message in its name: the target is who receives. */
SEC("lsm/msg_queue_msgrcv")
int BPF_PROG(full_msg_queue_msgrcv, struct kern_ipc_perm *ipc, void *message,
	     struct task_struct *target, long kind, int mode)
{
	IPC_EVENT(MSG_QUEUE_MSGRCV);
	put_target_or_own(&a, target);
	put64(a.s, kind);
	put32(a.s, mode);
	DECIDE_NOW(MSG_QUEUE_MSGRCV);
}

SEC("lsm/ipc_permission")
int BPF_PROG(full_ipc_permission, struct kern_ipc_perm *ipc, short access)
{
	IPC_EVENT(IPC_PERMISSION);
	put32(a.s, (__u16)access);
	DECIDE_NOW(IPC_PERMISSION);
}
