// SPDX-License-Identifier: Apache-2.0 OR MIT
/* System V IPC; each in an IPC namespace of its own, so that nothing is left over. */
#include "triggers.h"
#include <sched.h>
#include <sys/ipc.h>
#include <sys/msg.h>
#include <sys/sem.h>
#include <sys/shm.h>

enum { KEY = 0x5158 };

static int id = -1;

struct text {
	long kind;
	char octet;
};

static outcome make_segment(void)
{
	STEP(unshare(CLONE_NEWIPC));
	STEP(id = shmget(KEY, 4096, IPC_CREAT | 0600));
	return 0;
}

static outcome make_semaphores(void)
{
	STEP(unshare(CLONE_NEWIPC));
	STEP(id = semget(KEY, 1, IPC_CREAT | 0600));
	return 0;
}

static outcome make_queue(void)
{
	STEP(unshare(CLONE_NEWIPC));
	STEP(id = msgget(KEY, IPC_CREAT | 0600));
	return 0;
}

static outcome queue_message(void)
{
	struct text text = { 1, 'x' };

	return RESULT(msgsnd(id, &text, 1, IPC_NOWAIT));
}

static outcome make_message(void)
{
	outcome error = make_queue();

	return error ? error : queue_message();
}

static outcome take_message(void)
{
	struct text text;

	return RESULT(msgrcv(id, &text, 1, 0, IPC_NOWAIT));
}

static outcome look_segment_up(void)
{
	return RESULT(shmget(KEY, 0, 0));
}

static outcome control_segment(void)
{
	struct shmid_ds status;

	return RESULT(shmctl(id, IPC_STAT, &status));
}

static outcome attach_segment(void)
{
	return shmat(id, NULL, 0) == (void *)-1 ? errno : 0;
}

static outcome look_semaphores_up(void)
{
	return RESULT(semget(KEY, 0, 0));
}

static outcome control_semaphores(void)
{
	return RESULT(semctl(id, 0, GETVAL));
}

static outcome raise_semaphore(void)
{
	struct sembuf operation = { 0, 1, IPC_NOWAIT };

	return RESULT(semop(id, &operation, 1));
}

static bool is_raised(void)
{
	return semctl(id, 0, GETVAL) == 1;
}

static outcome look_queue_up(void)
{
	return RESULT(msgget(KEY, 0));
}

static outcome control_queue(void)
{
	struct msqid_ds status;

	return RESULT(msgctl(id, IPC_STAT, &status));
}

const struct trigger ipc_triggers[] = {
	{ "shm_associate", make_segment, look_segment_up },
	{ "shm_shmctl", make_segment, control_segment },
	{ "shm_shmat", make_segment, attach_segment },
	{ "sem_associate", make_semaphores, look_semaphores_up },
	{ "sem_semctl", make_semaphores, control_semaphores },
	{ "sem_semop", make_semaphores, raise_semaphore, is_raised },
	{ "msg_queue_associate", make_queue, look_queue_up },
	{ "msg_queue_msgctl", make_queue, control_queue },
	{ "msg_queue_msgsnd", make_queue, queue_message },
	/* A message that may not be taken is passed by, and the kernel has an answer of its own to who
	   may not use an object. */
	{ "msg_queue_msgrcv", make_message, take_message, NULL, ENOMSG },
	{ "ipc_permission", make_semaphores, control_semaphores, NULL, EACCES },
	{},
};
