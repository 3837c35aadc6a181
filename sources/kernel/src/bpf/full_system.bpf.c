// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * The kernel itself: modules asked for, BPF, capabilities.
 */
#define KERNEL_MODULE_REQUEST 40
#define BPF_MAP 91
#define BPF_PROG_EVENT 92
#define CAPABLE 93

#define CAP_DAC_OVERRIDE 1
#define CAP_DAC_READ_SEARCH 2

SEC("lsm.s/kernel_module_request")
int BPF_PROG(full_kernel_module_request, char *name)
{
	BEGIN_FULL(KERNEL_MODULE_REQUEST);
	put_text(a.s, name);
	DECIDE_SLEEPING(KERNEL_MODULE_REQUEST);
}

SEC("lsm.s/bpf_map")
int BPF_PROG(full_bpf_map, struct bpf_map *map)
{
	BEGIN_FULL(BPF_MAP);
	put32(a.s, BPF_CORE_READ(map, map_type));
	put32(a.s, BPF_CORE_READ(map, value_size));
	DECIDE_SLEEPING(BPF_MAP);
}

SEC("lsm.s/bpf_prog")
int BPF_PROG(full_bpf_prog, struct bpf_prog *prog)
{
	BEGIN_FULL(BPF_PROG_EVENT);
	put32(a.s, BPF_CORE_READ(prog, type));
	DECIDE_SLEEPING(BPF_PROG_EVENT);
}

/* access(2) asks for them with credentials of the real user; before 6.4 also where these would be the task's own. */
static __always_inline int is_asked_by_access(int capability)
{
	return (capability == CAP_DAC_OVERRIDE || capability == CAP_DAC_READ_SEARCH) &&
	       (is_in_call(ACCESS_CALL) || is_in_call(FACCESSAT) || is_in_call(FACCESSAT2));
}

/*
 * Capabilities that the kernel itself would refuse come to no hook. What else is asked for with other credentials than the
 * task's is asked for by the kernel: an overlay that reads on its layers what it has not in memory.
 */
SEC("lsm/capable")
int BPF_PROG(full_capable, const struct cred *cred, void *user_ns, int capability,
	     unsigned int options)
{
	if (has_other_credentials() && !uses_io_uring() && !is_asked_by_access(capability))
		return 0;
	BEGIN_FULL(CAPABLE);
	put32(a.s, capability);
	put32(a.s, options);
	DECIDE_NOW(CAPABLE);
}
