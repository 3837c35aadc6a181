// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * Executing programs: judged in bprm_creds_from_file, where the file that will run and the
 * credentials it gets are settled and the call can still fail; settled in bprm_committed_creds.
 */

/* An exec that was allowed before and did not happen. */
static __always_inline void settle_failed(struct actor *a)
{
	if (!(a->task->flags & TASK_EXEC_PENDING))
		return;
	a->task->flags &= ~TASK_EXEC_PENDING;
	if (send_notice(a->task, a->s, a->ns, MESSAGE_FAILED, 0))
		count(&a->ns->dropped);
}

SEC("lsm.s/bprm_creds_for_exec")
int BPF_PROG(bprm_creds_for_exec, struct linux_binprm *bprm)
{
	struct actor a = {};
	int begun = begin(&a);

	if (begun <= 0)
		return begun;
	settle_failed(&a);
	a.task->exec_depth = 0;
	a.s->script_length = 0;
	return 0;
}

/* Called for the script first, then for what interprets it. The first file is kept. */
SEC("lsm.s/bprm_check_security")
int BPF_PROG(bprm_check_security, struct linux_binprm *bprm)
{
	struct file *file = bprm->file;
	struct actor a = {};
	int begun = begin(&a);
	__u32 length;

	if (begun <= 0)
		return begun;
	if (a.task->exec_depth++ > 0)
		return 0;
	a.s->length = 0;
	a.s->failed = 0;
	a.s->message.flags = 0;
	put_opened(a.s, file, LAST_AS_IT_IS);
	put_digest(a.s, file, file->f_inode, 1);
	length = a.s->length;
	if (a.s->failed || (a.s->message.flags & WANTS_DIGEST) || length > SCRIPT_MAX) {
		a.s->script_length = SCRIPT_MAX + 1;
		return 0;
	}
	bpf_probe_read_kernel(a.s->script, length, a.s->cell);
	a.s->script_length = length;
	return 0;
}

/* The File that was kept, at the end of the cell. */
static __noinline int put_script(struct scratch *s)
{
	__u32 n = s->length, length = s->script_length;

	if (n > CELL_MAX - SCRIPT_MAX || length > SCRIPT_MAX) {
		s->failed = 1;
		return 0;
	}
	if (bpf_probe_read_kernel(s->cell + n, length, s->script))
		s->failed = 1;
	s->length = n + length;
	return 0;
}

/* Whether it may be decided here; where a rule has a part in it, the answer says what it leads to. */
static __always_inline int is_decided_here(struct task *task, struct scratch *s,
					   struct namespace *ns)
{
	return !(s->message.flags & TO_BE_COMPLETED) && (ns->flags & NAMESPACE_DECIDES) &&
	       !is_untrusted(task, ns);
}

/* Copies what the exec of the key leads to; 0 if it was not decided before. */
static __always_inline int recall(struct task *task, struct scratch *s)
{
	struct led_to *entry = bpf_map_lookup_elem(&executed, &s->key);
	__u64 serial;

	if (!entry)
		return 0;
	serial = entry->serial;
	__builtin_memcpy(task->pending_id, entry->identity, 32);
	entry = bpf_map_lookup_elem(&executed, &s->key);
	return entry && entry->serial == serial;
}

static __always_inline void note_exec(struct task *task, struct scratch *s, struct namespace *ns)
{
	s->led_to.serial = __sync_fetch_and_add(&ns->sequence, 1) + 1;
	__builtin_memcpy(s->led_to.identity, task->pending_id, 32);
	bpf_map_update_elem(&executed, &s->key, &s->led_to, BPF_NOEXIST);
}

SEC("lsm.s/bprm_creds_from_file")
int BPF_PROG(bprm_creds_from_file, struct linux_binprm *bprm, const struct file *unused)
{
	struct file *file = bprm->file;
	struct namespace *ns;
	struct scratch *s;
	struct task *task;
	int here, keyed, recalled, answer;

	BEGIN(BPRM_COMMITTED_CREDS);
	task = a.task, s = a.s, ns = a.ns;
	put_opened(s, file, LAST_AS_IT_IS);
	put_digest(s, file, file->f_inode, 1);
	if (task->exec_depth > 1) {
		put8(s, 1);
		put_script(s);
	} else {
		put8(s, 0);
	}
	tally(task, 0);
	if (!write_coe(s, bprm->cred) || s->failed)
		return unjudged(task, s, ns, BPRM_COMMITTED_CREDS);
	here = is_decided_here(task, s, ns);
	keyed = here && s->length <= SHORT_CELL_MAX && write_key(task, s, ns);
	recalled = keyed && recall(task, s);
	if (recalled) {
		__builtin_memset(s->message.coefficient, 0, 32);
	} else {
		if (digest_parts(s))
			return unjudged(task, s, ns, BPRM_COMMITTED_CREDS);
		__builtin_memset(s->known.coefficient, 0, 32); /* no identity */
		bind(s, BPRM_COMMITTED_CREDS, task->task_id, s->known.coefficient, task->pending_id);
		bind(s, BPRM_COMMITTED_CREDS, task->task_id, task->pending_id,
		     s->message.coefficient);
		here = here && known_as(task, s->message.coefficient) == KNOWN_EXACTLY;
	}
	answer = here ? allow_known(task, s, ns, BPRM_COMMITTED_CREDS) :
			ask(task, s, ns, BPRM_COMMITTED_CREDS);
	if (answer < 0)
		return answer;
	if (here && keyed && !recalled)
		note_exec(task, s, ns);
	task->flags |= TASK_EXEC_PENDING;
	return 0;
}

static long try_to_tell(__u32 index, struct actor *a)
{
	struct task_struct *current = bpf_get_current_task_btf();
	__u64 nothing;

	if (!send_notice(a->task, a->s, a->ns, MESSAGE_COMMITTED, 0))
		return 1;
	bpf_copy_from_user_task(&nothing, 8, (void *)8, current, 0);
	return is_dying(current) ? 1 : 0;
}

SEC("lsm.s/bprm_committed_creds")
int BPF_PROG(bprm_committed_creds, struct linux_binprm *bprm)
{
	struct actor a = {};

	if (begin(&a) <= 0)
		return 0;
	if (!(a.task->flags & TASK_EXEC_PENDING))
		return 0;
	a.task->flags &= ~TASK_EXEC_PENDING;
	__builtin_memcpy(a.task->parent_id, a.task->task_id, 32);
	__builtin_memcpy(a.task->task_id, a.task->pending_id, 32);
	a.task->actor = 0;
	/* The orchestrator must know before the next event of the process. */
	if (bpf_loop(1 << 20, try_to_tell, &a, 0) >= 1 << 20) {
		count(&a.ns->dropped);
		bpf_send_signal(9);
	}
	return 0;
}
