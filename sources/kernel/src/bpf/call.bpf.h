/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The system call that the acting task is in: its number and its arguments as it made it.
 *
 * Registers only, which nobody changes during a call; never what they point to. For events whose
 * hook is not told what `core` names.
 */
#ifndef QUIXOTE_CALL_H
#define QUIXOTE_CALL_H

#define TS_COMPAT 2

struct pt_regs___x86 {
	unsigned long bx, cx, dx, si, di, r10, orig_ax;
} PRESERVED;

struct pt_regs___arm64 {
	__u64 regs[31];
	__u64 orig_x0;
	__s32 syscallno;
} PRESERVED;

/* A call's number by architecture: x86-64, i386, and the table that newer ones share. */
struct call_number {
	__u32 x86_64, i386, generic;
};

#define ADD_KEY ((struct call_number){ 248, 286, 217 })
#define REQUEST_KEY ((struct call_number){ 249, 287, 218 })
#define KEYCTL ((struct call_number){ 250, 288, 219 })
#define SYSLOG_CALL ((struct call_number){ 103, 103, 116 })
#define PERF_EVENT_OPEN_CALL ((struct call_number){ 298, 336, 241 })
#define ADJTIMEX ((struct call_number){ 159, 124, 171 })
#define CLOCK_ADJTIME ((struct call_number){ 305, 343, 266 })
#define CLOCK_ADJTIME64 ((struct call_number){ 305, 405, 266 })
#define UNSHARE ((struct call_number){ 272, 310, 97 })
/* The newer table has no access(2): a number that is no call's. */
#define ACCESS_CALL ((struct call_number){ 21, 33, 0xffff })
#define FACCESSAT ((struct call_number){ 269, 307, 48 })
#define FACCESSAT2 ((struct call_number){ 439, 439, 439 })
#define MOUNT_CALL ((struct call_number){ 165, 21, 40 })

static __always_inline int is_compat(struct task_struct *current)
{
	return BPF_CORE_READ(current, thread_info.status) & TS_COMPAT;
}

static __always_inline int is_in_call(struct call_number number)
{
	struct task_struct *current = bpf_get_current_task_btf();
	struct pt_regs___arm64 *arm = (void *)bpf_task_pt_regs(current);
	struct pt_regs___x86 *x86 = (void *)arm;
	__u32 now;

	if (!bpf_core_field_exists(x86->orig_ax))
		return (__u32)BPF_CORE_READ(arm, syscallno) == number.generic;
	/* x32 has the numbers of x86-64, with a bit. */
	now = BPF_CORE_READ(x86, orig_ax) & ~0x40000000u;
	return now == (is_compat(current) ? number.i386 : number.x86_64);
}

/* The first or the second. */
static __always_inline __u64 call_argument(int index)
{
	struct task_struct *current = bpf_get_current_task_btf();
	struct pt_regs___arm64 *arm = (void *)bpf_task_pt_regs(current);
	struct pt_regs___x86 *x86 = (void *)arm;

	if (!bpf_core_field_exists(x86->orig_ax))
		return index ? BPF_CORE_READ(arm, regs[1]) : BPF_CORE_READ(arm, orig_x0);
	if (is_compat(current))
		return index ? BPF_CORE_READ(x86, cx) : BPF_CORE_READ(x86, bx);
	return index ? BPF_CORE_READ(x86, si) : BPF_CORE_READ(x86, di);
}

/* The fourth. */
static __always_inline __u64 fourth_argument(void)
{
	struct task_struct *current = bpf_get_current_task_btf();
	struct pt_regs___arm64 *arm = (void *)bpf_task_pt_regs(current);
	struct pt_regs___x86 *x86 = (void *)arm;

	if (!bpf_core_field_exists(x86->orig_ax))
		return BPF_CORE_READ(arm, regs[3]);
	return is_compat(current) ? BPF_CORE_READ(x86, si) : BPF_CORE_READ(x86, r10);
}

#endif
