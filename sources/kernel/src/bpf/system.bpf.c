// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * The kernel itself: what it loads, keys, quotas, its log, its clock, io_uring.
 */
#define PERF_EVENT_OPEN 39
#define KERNEL_LOAD_DATA 41
#define KERNEL_READ_FILE 42
#define KEY_ALLOC 43
#define KEY_PERMISSION 44
#define QUOTACTL 45
#define SYSLOG 47
#define SETTIME 48
#define URING_ALLOWED 95

#define CAP_SYS_TIME 25
#define CLOCK_REALTIME 0
#define NO_OPERATION 0xffffffffu
#define NAME_OF_RING "[io_uring]"

/*
 * perf_event_open(2), where what was asked for has been copied: its own hook stands before that. Others
 * that make events of this kind (a tracer's breakpoints, a child that inherits) do so in other calls.
 */
SEC("lsm/perf_event_alloc")
int BPF_PROG(perf_event_alloc, struct perf_event *event)
{
	BEGIN(PERF_EVENT_OPEN);
	if (!is_in_call(PERF_EVENT_OPEN_CALL))
		return 0;
	put32(a.s, BPF_CORE_READ(event, attr.type));
	DECIDE_NOW(PERF_EVENT_OPEN);
}

SEC("lsm/kernel_load_data")
int BPF_PROG(kernel_load_data, int what)
{
	BEGIN(KERNEL_LOAD_DATA);
	put32(a.s, what);
	DECIDE_NOW(KERNEL_LOAD_DATA);
}

SEC("lsm.s/kernel_read_file")
int BPF_PROG(kernel_read_file, struct file *file, int what)
{
	BEGIN(KERNEL_READ_FILE);
	put8(a.s, 1);
	put_file(a.s, file->f_path.dentry, file->f_path.mnt, LAST_AS_IT_IS);
	put_digest(a.s, file, file->f_inode, 1);
	put32(a.s, what);
	DECIDE_SLEEPING(KERNEL_READ_FILE);
}

/* keyctl(2) by its operation; request_key(2), and whatever else uses a key, has none. */
static __always_inline __u32 key_operation(void)
{
	return is_in_call(KEYCTL) ? (__u32)call_argument(0) : NO_OPERATION;
}

static __always_inline int is_keyring(struct key___kernel *key)
{
	char name[8] = {};

	bpf_probe_read_kernel_str(name, sizeof(name), BPF_CORE_READ(key, type, name));
	return !__builtin_memcmp(name, "keyring", 8);
}

/*
 * add_key(2) is one event, by the type of the key: where it is made, or where one that is there gets
 * another payload. Its look at the keyring, and a keyring that comes into being for it (with flags
 * of its own), are none.
 */
SEC("lsm/key_alloc")
int BPF_PROG(key_alloc, struct key___kernel *key, const struct cred *cred, unsigned long flags)
{
	BEGIN(KEY_ALLOC);
	if (is_in_call(ADD_KEY)) {
		if (is_keyring(key) && flags)
			return 0;
		put_text(a.s, BPF_CORE_READ(key, type, name));
		DECIDE_NOW(KEY_ALLOC);
	}
	open_cell(a.s, KEY_PERMISSION);
	put32(a.s, key_operation());
	DECIDE_NOW(KEY_PERMISSION);
}

SEC("lsm/key_permission")
int BPF_PROG(key_permission)
{
	/* The lowest bit says whether the key is possessed. */
	struct key___kernel *key = (void *)(raw_argument(ctx, 0) & ~1ull);

	BEGIN(KEY_PERMISSION);
	if (is_in_call(ADD_KEY)) {
		if (is_keyring(key))
			return 0;
		open_cell(a.s, KEY_ALLOC);
		put_text(a.s, BPF_CORE_READ(key, type, name));
		DECIDE_NOW(KEY_ALLOC);
	}
	put32(a.s, key_operation());
	DECIDE_NOW(KEY_PERMISSION);
}

SEC("lsm/quotactl")
int BPF_PROG(quotactl, int command, int kind)
{
	BEGIN(QUOTACTL);
	put32(a.s, command);
	put32(a.s, kind);
	DECIDE_NOW(QUOTACTL);
}

/* The files that show the log are judged when they are opened. */
SEC("lsm.s/syslog")
int BPF_PROG(syslog, int kind)
{
	BEGIN(SYSLOG);
	if (!is_in_call(SYSLOG_CALL))
		return 0;
	put32(a.s, kind);
	DECIDE_SLEEPING(SYSLOG);
}

SEC("lsm.s/settime")
int BPF_PROG(settime)
{
	BEGIN(SETTIME);
	put32(a.s, CLOCK_REALTIME);
	DECIDE_SLEEPING(SETTIME);
}

/* Adjusting a clock has no hook but this: the capability is asked for where it changes something. */
SEC("lsm/capable")
int BPF_PROG(adjust_time, const struct cred *cred, void *user_ns, int capability)
{
	if (capability != CAP_SYS_TIME)
		return 0;
	BEGIN(SETTIME);
	if (is_in_call(ADJTIMEX))
		put32(a.s, CLOCK_REALTIME);
	else if (is_in_call(CLOCK_ADJTIME) || is_in_call(CLOCK_ADJTIME64))
		put32(a.s, call_argument(0));
	else
		return 0;
	DECIDE_NOW(SETTIME);
}

/*
 * Setting up an io_uring: the hook of that name came with 6.16 (kernel commit c6ad9fdbd44b). A ring has always
 * been an anonymous inode with a name of its own.
 */
SEC("lsm/inode_init_security_anon")
int BPF_PROG(make_ring, struct inode *inode, const struct qstr *name)
{
	char text[16] = {};

	BEGIN(URING_ALLOWED);
	bpf_probe_read_kernel_str(text, sizeof(text), BPF_CORE_READ(name, name));
	if (__builtin_memcmp(text, NAME_OF_RING, sizeof(NAME_OF_RING)))
		return 0;
	DECIDE_NOW(URING_ALLOWED);
}
