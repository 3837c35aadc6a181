// SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0
/*
 * Names that are made in hooks that cannot sleep (inode_mkdir, inode_link).
 *
 * Those hooks decide by the coefficients of the map `model`, where what only a rule allows is not to
 * be found. So where the model has rules the orchestrator is told of the call as it begins, where
 * the task can wait. It works out which event the call will be, and if a rule allows that one, puts
 * its coefficient into `model` (FORETOLD) until the call is over. It decides nothing: the hook
 * computes the coefficient of what the kernel really does, and if that is another event it is not
 * there. What a call by another ABI or through a ring makes is not foretold, and so refused.
 */
#define AT_FDCWD ((__u64)-100)

static __always_inline int foretell(__u32 kind, __u64 first, __u64 second, __u64 third,
				    __u64 fourth, __u64 fifth)
{
	struct actor a = {};

	if (begin(&a) <= 0)
		return 0;
	if (a.ns->mode != MODE_ENFORCING || !(a.ns->flags & NAMESPACE_FORETELLS) ||
	    (a.ns->flags & NAMESPACE_ORPHANED))
		return 0;
	a.s->message.flags = 0;
	a.s->length = 0;
	a.s->failed = 0;
	put64(a.s, kind);
	put64(a.s, first);
	put64(a.s, second);
	put64(a.s, third);
	put64(a.s, fourth);
	put64(a.s, fifth);
	write_coe(a.s, own_credentials());
	wait_for_answer(a.task, a.s, a.ns, MESSAGE_FORETELL, kind);
	return 0;
}

static __always_inline __u64 register_of(const struct pt_regs___x86 *registers, int index)
{
	switch (index) {
	case 0:
		return BPF_CORE_READ(registers, di);
	case 1:
		return BPF_CORE_READ(registers, si);
	case 2:
		return BPF_CORE_READ(registers, dx);
	case 3:
		return BPF_CORE_READ(registers, r10);
	default:
		return BPF_CORE_READ(registers, r8);
	}
}

#define REGISTER(index) register_of(registers, index)

SEC("?fentry.s/__x64_sys_mkdir")
int BPF_PROG(foretell_mkdir, struct pt_regs___x86 *registers)
{
	return foretell(INODE_MKDIR, AT_FDCWD, REGISTER(0), REGISTER(1), 0, 0);
}

SEC("?fentry.s/__x64_sys_mkdirat")
int BPF_PROG(foretell_mkdirat, struct pt_regs___x86 *registers)
{
	return foretell(INODE_MKDIR, REGISTER(0), REGISTER(1), REGISTER(2), 0, 0);
}

SEC("?fentry.s/__x64_sys_link")
int BPF_PROG(foretell_link, struct pt_regs___x86 *registers)
{
	return foretell(INODE_LINK, AT_FDCWD, REGISTER(0), AT_FDCWD, REGISTER(1), 0);
}

SEC("?fentry.s/__x64_sys_linkat")
int BPF_PROG(foretell_linkat, struct pt_regs___x86 *registers)
{
	return foretell(INODE_LINK, REGISTER(0), REGISTER(1), REGISTER(2), REGISTER(3),
			REGISTER(4));
}
