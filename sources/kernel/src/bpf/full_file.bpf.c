// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * Open files: controlled, locked, received, truncated.
 */
#define FILE_IOCTL 49
#define FILE_LOCK 50
#define FILE_FCNTL 51
#define FILE_RECEIVE 52
#define FILE_TRUNCATE 53

#define TMPFILE 020000000

#define FILE_EVENT(kind)                                                                       \
	BEGIN_FULL(kind);                                                                      \
	put_opened(a.s, file, (file->f_flags & TMPFILE) ? LAST_UNNAMED : LAST_AS_IT_IS)

SEC("lsm.s/file_ioctl")
int BPF_PROG(full_file_ioctl, struct file *file, unsigned int command)
{
	FILE_EVENT(FILE_IOCTL);
	put32(a.s, command);
	DECIDE_SLEEPING(FILE_IOCTL);
}

/* A hook of its own for calls of the other ABI since 6.8 (kernel commit f1bb47a31dff), and in 6.1.75. */
SEC("lsm/file_ioctl_compat")
int BPF_PROG(full_file_ioctl_compat, struct file *file, unsigned int command)
{
	FILE_EVENT(FILE_IOCTL);
	put32(a.s, command);
	DECIDE_NOW(FILE_IOCTL);
}

SEC("lsm.s/file_lock")
int BPF_PROG(full_file_lock, struct file *file, unsigned int kind)
{
	FILE_EVENT(FILE_LOCK);
	put32(a.s, kind);
	DECIDE_SLEEPING(FILE_LOCK);
}

SEC("lsm/file_fcntl")
int BPF_PROG(full_file_fcntl, struct file *file, unsigned int command)
{
	FILE_EVENT(FILE_FCNTL);
	put32(a.s, command);
	DECIDE_NOW(FILE_FCNTL);
}

SEC("lsm.s/file_receive")
int BPF_PROG(full_file_receive, struct file *file)
{
	FILE_EVENT(FILE_RECEIVE);
	DECIDE_SLEEPING(FILE_RECEIVE);
}

/* From 6.2 on (kernel commit 3350607dc563). */
SEC("lsm/file_truncate")
int BPF_PROG(full_file_truncate, struct file *file)
{
	FILE_EVENT(FILE_TRUNCATE);
	DECIDE_NOW(FILE_TRUNCATE);
}
