// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * What no LSM hook is for, and the portable source holds by its filter: kernel namespaces that are made, and
 * execution domains.
 */
#define NAMESPACE_CREATE 96
#define PERSONALITY 99

/* But for a user namespace, which has a hook. */
#define KINDS_OF_NAMESPACES 0x6e020080u
#define CLONE_NEWUSER 0x10000000
#define PERSONA_ASKED_FOR 0xffffffffu

static __always_inline int judge_namespaces(__u32 kinds)
{
	BEGIN(NAMESPACE_CREATE);
	put32(a.s, kinds);
	DECIDE_NOW(NAMESPACE_CREATE);
}

/* What the kernel is going to refuse is no event; in a new user namespace it refuses nothing. */
static __always_inline int judge_clone(unsigned long flags)
{
	__u32 kinds = flags & KINDS_OF_NAMESPACES;

	if (!kinds || !(flags & CLONE_NEWUSER || has_capability(own_credentials(), CAP_SYS_ADMIN)))
		return 0;
	return judge_namespaces(kinds);
}

/*
 * unshare(2) asks for the capability right before it makes them. Whoever else asks for it may do so while an
 * event of ours is half written, so the call is looked at first.
 */
SEC("lsm/capable")
int BPF_PROG(unshare_namespaces, const struct cred *cred, void *user_ns, int capability)
{
	__u32 kinds;

	if (capability != CAP_SYS_ADMIN)
		return 0;
	if (!own_entry() || !is_in_call(UNSHARE))
		return 0;
	kinds = call_argument(0) & KINDS_OF_NAMESPACES;
	return kinds ? judge_namespaces(kinds) : 0;
}

static __always_inline int judge_persona(void)
{
	__u32 persona = call_argument(0);

	if (!persona || persona == PERSONA_ASKED_FOR)
		return 0;
	BEGIN(PERSONALITY);
	put32(a.s, persona);
	DECIDE_NOW(PERSONALITY);
}

/*
 * With one, the heap that brk(2) makes is executable, and no hook is told. Nor can the call be refused: Debian's kernels
 * are built without error injection. So who may not is killed where the call begins, and never comes back from it.
 */
#define PERSONALITY_PROGRAM(name, function)                                                    \
	SEC("fentry/" function)                                                                \
	int BPF_PROG(name)                                                                     \
	{                                                                                      \
		if (judge_persona())                                                           \
			bpf_send_signal(9);                                                    \
		return 0;                                                                      \
	}

PERSONALITY_PROGRAM(personality, "__x64_sys_personality")
PERSONALITY_PROGRAM(personality_ia32, "__ia32_sys_personality")
PERSONALITY_PROGRAM(personality_arm64, "__arm64_sys_personality")
