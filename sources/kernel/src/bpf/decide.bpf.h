/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * What happens to an event that has been written down.
 */
#ifndef QUIXOTE_DECIDE_H
#define QUIXOTE_DECIDE_H

#define EPERM 1
#define EAGAIN 11
#define ENOMEM 12
#define SIGKILL_BIT (1ul << 8)
#define CAP_SYS_ADMIN 21
#define POLLS_MAX (1 << 23)
#define BPRM_COMMITTED_CREDS 1

/* Who acts, and what an event needs. */
struct actor {
	struct task *task;
	struct scratch *s;
	struct namespace *ns;
};

/* A task's namespace. With one that is nobody's or killed the task ends, and goes no further. */
static __always_inline struct namespace *living(struct task *task)
{
	__u32 slot = task->slot;
	struct namespace *ns = bpf_map_lookup_elem(&namespaces, &slot);

	if (ns && (ns->mode == MODE_UNUSED || (ns->flags & NAMESPACE_KILLED))) {
		bpf_send_signal(9);
		return NULL;
	}
	return ns;
}

/* A task without memory or namespace is refused everything. */
static __always_inline int enter(struct actor *a, struct task *task)
{
	a->task = task;
	a->s = bpf_task_storage_get(&scratches, bpf_get_current_task_btf(), 0, 0);
	a->ns = living(task);
	return a->s && a->ns ? 1 : -EPERM;
}

/* The acting task's entry; 0 for a task outside every namespace. */
static __always_inline int begin(struct actor *a)
{
	struct task *task = own_entry();

	return task ? enter(a, task) : 0;
}

/* Two words before 6.3, one since (kernel commit f122a08b197d): the same octets. */
static __always_inline __u64 effective_capabilities(const struct cred *cred)
{
	return *(const __u64 *)((const void *)cred + bpf_core_field_offset(struct cred, cap_effective));
}

/* 0 without credentials: no task is, but kernels that tag such pointers want it tested. */
static __noinline int write_coe(struct scratch *s, const struct cred *cred)
{
	__u8 *coe = s->message.coe;
	__u32 *ids = (__u32 *)(coe + 1);

	if (!cred)
		return 0;
	coe[0] = ENCODING_VERSION;
	ids[0] = cred->uid.val;
	ids[1] = cred->euid.val;
	ids[2] = cred->suid.val;
	ids[3] = cred->fsuid.val;
	ids[4] = cred->gid.val;
	ids[5] = cred->egid.val;
	ids[6] = cred->sgid.val;
	ids[7] = cred->fsgid.val;
	*(__u64 *)(coe + 33) = effective_capabilities(cred);
	return 1;
}

static __always_inline const struct cred *own_credentials(void)
{
	return bpf_get_current_task_btf()->cred;
}

static __always_inline int has_capability(const struct cred *cred, int capability)
{
	return cred && (effective_capabilities(cred) >> capability & 1);
}

static __noinline int write_message(struct task *task, struct scratch *s, __u32 type, __u32 kind)
{
	struct message *m = &s->message;
	__u64 id = bpf_get_current_pid_tgid();

	m->type = type;
	m->kind = kind;
	m->process = task->process;
	m->pid = id >> 32;
	m->tid = id;
	m->flags &= HAS_TARGET | TARGET_INSIDE | EFFECT | WANTS_DIGEST |
		    NAMES_SOURCE;
	m->cell_length = s->length;
	__builtin_memcpy(m->parent_id, task->parent_id, 32);
	__builtin_memcpy(m->task_id, task->task_id, 32);
	return 0;
}

/* The message with its cell, over the namespace's ring; without an orchestrator nobody is told. */
static __always_inline int put_on_ring(struct task *task, struct scratch *s, struct namespace *ns)
{
	__u32 slot = task->slot, length = s->length;
	void *ring = bpf_map_lookup_elem(&rings, &slot);

	if (ns->flags & NAMESPACE_ORPHANED)
		return 0;
	if (!ring || length > CELL_MAX)
		return -1;
	return bpf_ringbuf_output(ring, &s->message, sizeof(struct message) + length, 0);
}

static __noinline int send(struct task *task, struct scratch *s, struct namespace *ns)
{
	return put_on_ring(task, s, ns);
}

/* Whom the orchestrator must be asked about; when enforcing, everything else is refused. */
static __noinline int is_untrusted(struct task *task, struct namespace *ns)
{
	struct process_key key = {
		.slot = task->slot,
		.generation = task->generation,
		.process = task->process,
	};

	if ((task->flags & TASK_UNTRUSTED) || (ns->flags & NAMESPACE_DISTRUSTED))
		return 1;
	if (!ns->untrusted)
		return 0;
	if (!bpf_map_lookup_elem(&untrusted, &key))
		return 0;
	task->flags |= TASK_UNTRUSTED;
	return 1;
}

/*
 * The number that the map has for the key in `s`, or 0. The kernel may use an entry for another key while it is read; then
 * the key has none afterwards, or one with another number.
 */
static __always_inline __u64 number_in_map(struct scratch *s)
{
	__u64 *entry = bpf_map_lookup_elem(&actors, &s->actor_key), number;

	if (!entry)
		return 0;
	number = *entry;
	entry = bpf_map_lookup_elem(&actors, &s->actor_key);
	return entry && *entry == number ? number : 0;
}

static __noinline __u64 look_up_actor(struct task *task, struct scratch *s, struct namespace *ns)
{
	struct actor_key *key = &s->actor_key;
	__u64 number;

	task->actor = 0;
	key->slot = task->slot;
	key->generation = task->generation;
	__builtin_memcpy(key->parent_id, task->parent_id, 32);
	__builtin_memcpy(key->task_id, task->task_id, 32);
	__builtin_memcpy(key->coe, s->message.coe, sizeof(key->coe));
	__builtin_memcpy(task->coe, s->message.coe, sizeof(task->coe));
	number = number_in_map(s);
	if (!number) {
		s->actor_number = __sync_fetch_and_add(&ns->sequence, 1) + 1;
		bpf_map_update_elem(&actors, key, &s->actor_number, BPF_NOEXIST);
		/* Another task may have been first. */
		number = number_in_map(s) ?: s->actor_number;
	}
	task->actor = number;
	return number;
}

/* Stands for the task's identities, which an exec alone changes, and the credentials of the event. */
static __always_inline __u64 actor_of(struct task *task, struct scratch *s, struct namespace *ns)
{
	const __u64 *coe = (const __u64 *)s->message.coe;
	__u64 differ = 0;

	for (int word = 0; word < 6; word++)
		differ |= coe[word] ^ task->coe[word];
	return task->actor && !differ ? task->actor : look_up_actor(task, s, ns);
}

/* Writes the exact key of the event; 0 if the event is too long to have one. */
static __noinline int write_key(struct task *task, struct scratch *s, struct namespace *ns)
{
	struct key *key = &s->key;
	__u32 length = s->length;

	if (length > sizeof(key->cell))
		return 0;
	__builtin_memset(key->cell, 0, SHORT_CELL_MAX);
	if (length > SHORT_CELL_MAX)
		__builtin_memset(key->cell + SHORT_CELL_MAX, 0, sizeof(key->cell) - SHORT_CELL_MAX);
	bpf_probe_read_kernel(key->cell, length, s->cell);
	key->slot = task->slot;
	key->generation = ns->generation;
	key->actor = actor_of(task, s, ns);
	key->cell_length = length;
	return 1;
}

/* Whether the event of the key was allowed before. */
static __noinline int was_allowed(struct scratch *s)
{
	if (s->key.cell_length <= SHORT_CELL_MAX)
		return bpf_map_lookup_elem(&cache, &s->key) != 0;
	return bpf_map_lookup_elem(&long_cache, &s->key) != 0;
}

static __noinline int remember(struct scratch *s)
{
	__u32 yes = 1;

	if (s->key.cell_length <= SHORT_CELL_MAX)
		return bpf_map_update_elem(&cache, &s->key, &yes, BPF_ANY);
	return bpf_map_update_elem(&long_cache, &s->key, &yes, BPF_ANY);
}

/* The digests of the cell and of who acts, where bind() takes them from. */
static __always_inline int digest_parts(struct scratch *s)
{
	if (sha256_cell(s))
		return -1;
	sha256_take(s, s->message.coefficient); /* HF(CELL) for now */
	__builtin_memcpy(s->digest_input, s->message.coe, COE_SIZE);
	sha256_input(s, COE_SIZE);
	sha256_take(s, s->digest_input + 96);
	__builtin_memcpy(s->digest_input + 128, s->message.coefficient, 32);
	return 0;
}

/* Binds the parts to identities: a coefficient, or the identity that an exec leads to. */
static __always_inline int bind(struct scratch *s, __u32 kind, const __u8 *parent_id,
				const __u8 *task_id, __u8 *out)
{
	if (kind >= EVENTS)
		return -1;
	bpf_probe_read_kernel(s->digest_input, 32, (void *)&event_digest[kind]);
	__builtin_memcpy(s->digest_input + 32, parent_id, 32);
	__builtin_memcpy(s->digest_input + 64, task_id, 32);
	sha256_input(s, 160);
	sha256_take(s, out);
	return 0;
}

static __always_inline int write_coefficient(struct scratch *s, __u32 kind, const __u8 *parent_id,
					     const __u8 *task_id, __u8 *out)
{
	return digest_parts(s) ? -1 : bind(s, kind, parent_id, task_id, out);
}

struct waiting {
	struct answer_key key;
	struct scratch *s;
	__u64 until;
	__u64 nothing;
	__u32 outcome;
};

enum outcome {
	OUTCOME_NONE,
	OUTCOME_ANSWERED,
	OUTCOME_LATE,
	OUTCOME_KILLED,
};

static __always_inline int is_dying(struct task_struct *task)
{
	return (BPF_CORE_READ(task, pending.signal.sig[0]) |
		BPF_CORE_READ(task, signal, shared_pending.signal.sig[0])) &
	       SIGKILL_BIT;
}

/* Looks for the answer, and lets others run: reading a task's memory may reschedule. */
static long look_for_answer(__u32 index, struct waiting *w)
{
	struct task_struct *current = bpf_get_current_task_btf();
	struct answer *answer = bpf_map_lookup_elem(&answers, &w->key);

	if (answer) {
		w->s->answer = *answer;
		w->outcome = OUTCOME_ANSWERED;
		return 1;
	}
	if (is_dying(current)) {
		w->outcome = OUTCOME_KILLED;
		return 1;
	}
	if (bpf_ktime_get_ns() > w->until) {
		w->outcome = OUTCOME_LATE;
		return 1;
	}
	bpf_copy_from_user_task(&w->nothing, 8, (void *)8, current, 0);
	return 0;
}

static __always_inline void count(__u64 *counter)
{
	__sync_fetch_and_add(counter, 1);
}

/* How an event was known. */
#define TALLY_HIT 1 /* allowed before as the very same */
#define TALLY_OPENED 2 /* that, by what its file was opened by */

/* An event, and how it was known: what is counted most is counted by processor. */
static __noinline int tally(struct task *task, int known)
{
	__u32 slot = task->slot;
	struct tally *tally = bpf_map_lookup_elem(&tallies, &slot);

	if (!tally)
		return 0;
	count(&tally->events);
	if (known)
		count(&tally->hits);
	if (known == TALLY_OPENED)
		count(&tally->opened);
	return 0;
}

/* How the namespace's model knows a coefficient; 0 if it does not. */
static __noinline __u32 known_as(struct task *task, const __u8 *coefficient)
{
	__u32 slot = task->slot;
	void *model = bpf_map_lookup_elem(&models, &slot);
	__u8 *known = model ? bpf_map_lookup_elem(model, coefficient) : 0;

	return known ? *known : 0;
}

/*
 * An event that could not be described: a loss, refused where the mode refuses. An exec is refused in every mode: it
 * leads to no identity.
 */
static __noinline int unjudged(struct task *task, struct scratch *s, struct namespace *ns,
			       __u32 kind)
{
	int refused = ns->mode == MODE_ENFORCING || kind == BPRM_COMMITTED_CREDS;

	count(&ns->unjudged);
	s->message.flags = 0;
	s->length = 0;
	write_message(task, s, MESSAGE_LOST, kind);
	s->message.flags |= refused ? DENIED : 0;
	if (send(task, s, ns))
		count(&ns->dropped);
	if (!refused)
		return 0;
	count(&ns->denied);
	return -EPERM;
}

struct telling {
	struct task *task;
	struct scratch *s;
	struct namespace *ns;
	__u64 until;
	__u32 outcome;
};

/* Until the ring has room: reading a task's memory may reschedule. */
static long try_to_send(__u32 index, struct telling *t)
{
	struct task_struct *current = bpf_get_current_task_btf();
	__u64 nothing;

	/* Not called, since the stack of the whole chain is small. */
	if (!put_on_ring(t->task, t->s, t->ns)) {
		t->outcome = OUTCOME_ANSWERED;
		return 1;
	}
	if (is_dying(current)) {
		t->outcome = OUTCOME_KILLED;
		return 1;
	}
	if (bpf_ktime_get_ns() > t->until) {
		t->outcome = OUTCOME_LATE;
		return 1;
	}
	bpf_copy_from_user_task(&nothing, 8, (void *)8, current, 0);
	return 0;
}

/* Puts a message on the ring, when there is room; how that ended. Sleeps. */
static __always_inline __u32 send_waiting(struct task *task, struct scratch *s,
					  struct namespace *ns)
{
	struct telling t = { .task = task, .s = s, .ns = ns };

	t.until = bpf_ktime_get_ns() + ns->patience_ns;
	bpf_loop(POLLS_MAX, try_to_send, &t, 0);
	return t.outcome;
}

/* Nobody is told of an event in time: it is refused. */
static __always_inline int untold(struct namespace *ns, __u32 outcome)
{
	if (outcome != OUTCOME_KILLED)
		count(&ns->dropped);
	count(&ns->denied);
	return -EPERM;
}

/* Asks the orchestrator and waits. Sleeps. */
static __noinline int ask(struct task *task, struct scratch *s, struct namespace *ns, __u32 kind)
{
	struct waiting w = { .s = s };
	__u32 sent;

	if (ns->flags & NAMESPACE_ORPHANED) {
		count(&ns->denied);
		return -EPERM;
	}
	w.key.slot = task->slot;
	w.key.sequence = __sync_fetch_and_add(&ns->sequence, 1) + 1;
	write_message(task, s, MESSAGE_JUDGE, kind);
	s->message.sequence = w.key.sequence;
	sent = send_waiting(task, s, ns);
	if (sent != OUTCOME_ANSWERED)
		return untold(ns, sent);
	count(&ns->waited);
	w.until = bpf_ktime_get_ns() + ns->patience_ns;
	bpf_loop(POLLS_MAX, look_for_answer, &w, 0);
	if (w.outcome != OUTCOME_ANSWERED) {
		if (w.outcome != OUTCOME_KILLED)
			count(&ns->late);
		count(&ns->denied);
		return -EPERM;
	}
	bpf_map_delete_elem(&answers, &w.key);
	if (s->answer.flags & ANSWER_UNTRUST)
		task->flags |= TASK_UNTRUSTED;
	if (s->answer.flags & ANSWER_NAMES)
		__builtin_memcpy(task->pending_id, s->answer.task_id, 32);
	if (s->answer.verdict == VERDICT_ALLOW)
		return s->answer.flags & ANSWER_CACHE ? 1 : 0;
	count(&ns->denied);
	return -EPERM;
}

/*
 * What the model knows exactly is allowed without asking; the orchestrator is told before it takes
 * effect, in the order of the ring. Sleeps.
 */
static __noinline int allow_known(struct task *task, struct scratch *s, struct namespace *ns,
				  __u32 kind)
{
	__u32 sent;

	count(&ns->decided);
	write_message(task, s, MESSAGE_TOLD, kind);
	sent = send_waiting(task, s, ns);
	return sent == OUTCOME_ANSWERED ? 0 : untold(ns, sent);
}

/* What only the orchestrator can find out of an event. */
#define TO_BE_COMPLETED (HAS_TARGET | WANTS_DIGEST | NAMES_SOURCE)

/* For hooks that can sleep. */
static __noinline int decide_sleeping(struct task *task, struct scratch *s, struct namespace *ns,
				      __u32 kind)
{
	int keyed, whole, trusted, answer;

	s->hit = 0;
	if (s->failed || !write_coe(s, own_credentials())) {
		tally(task, 0);
		return unjudged(task, s, ns, kind);
	}
	whole = !(s->message.flags & TO_BE_COMPLETED);
	keyed = whole && !(s->message.flags & EFFECT) && write_key(task, s, ns);
	trusted = !is_untrusted(task, ns);
	s->hit = keyed && trusted && was_allowed(s);
	tally(task, s->hit);
	if (s->hit)
		return 0;
	whole = whole && trusted && (ns->flags & NAMESPACE_DECIDES);
	if (!whole && !(ns->flags & NAMESPACE_COEFFICIENTS))
		__builtin_memset(s->message.coefficient, 0, 32);
	else if (write_coefficient(s, kind, task->parent_id, task->task_id, s->message.coefficient))
		return unjudged(task, s, ns, kind);
	if (whole && known_as(task, s->message.coefficient) == KNOWN_EXACTLY) {
		answer = allow_known(task, s, ns, kind);
		if (keyed && !answer)
			remember(s);
		return answer;
	}
	answer = ask(task, s, ns, kind);
	if (answer == 1) {
		if (keyed)
			remember(s);
		return 0;
	}
	return answer;
}

/* For hooks that cannot sleep: by the model, and the orchestrator is told. */
static __noinline int decide_now(struct task *task, struct scratch *s, struct namespace *ns,
				 __u32 kind)
{
	struct coefficient_key *known = &s->known;
	int keyed, hit, enforcing, untrusted, good, in_model;

	if (s->failed || !write_coe(s, own_credentials())) {
		tally(task, 0);
		return unjudged(task, s, ns, kind);
	}
	keyed = !(s->message.flags & EFFECT) && write_key(task, s, ns);
	untrusted = is_untrusted(task, ns);
	hit = keyed && !untrusted && was_allowed(s);
	tally(task, hit);
	if (hit)
		return 0;
	if (write_coefficient(s, kind, task->parent_id, task->task_id, s->message.coefficient))
		return unjudged(task, s, ns, kind);
	known->slot = task->slot;
	known->generation = task->generation;
	__builtin_memcpy(known->coefficient, s->message.coefficient, 32);
	in_model = known_as(task, s->message.coefficient) != 0;
	good = in_model || bpf_map_lookup_elem(&foretold, known);
	enforcing = ns->mode == MODE_ENFORCING;
	if (enforcing && untrusted && (ns->flags & NAMESPACE_UNTRUSTS))
		good = 0;
	count(&ns->decided);
	write_message(task, s, MESSAGE_TOLD, kind);
	if (enforcing && !good)
		s->message.flags |= DENIED;
	if (send(task, s, ns)) {
		/* A loss that shows; what is not in the model is refused all the same. */
		count(&ns->dropped);
		keyed = 0;
	}
	if (enforcing && !good) {
		if (ns->flags & NAMESPACE_UNTRUSTS)
			task->flags |= TASK_UNTRUSTED;
		count(&ns->denied);
		return -EPERM;
	}
	/* What was foretold is allowed once: the name may be another's the next time. */
	if (keyed && !untrusted && (in_model || ns->mode == MODE_FREE))
		remember(s);
	return 0;
}

/*
 * An argument as the number it is. The verifier takes the pointers that a hook is given for good and
 * removes tests for NULL, although some hooks are given none (mmap_file, task_kill).
 */
static __always_inline __u64 raw_argument(const void *ctx, __u32 index)
{
	__u64 value = 0;

	bpf_probe_read_kernel(&value, sizeof(value), ctx + 8 * index);
	return value;
}

#define BEGIN(kind)                                                                            \
	struct actor a = {};                                                                   \
	int begun = begin(&a);                                                                 \
                                                                                               \
	if (begun <= 0)                                                                        \
		return begun;                                                                  \
	a.s->message.flags = 0;                                                                \
	open_cell(a.s, kind)

#define DECIDE_SLEEPING(kind) return decide_sleeping(a.task, a.s, a.ns, kind)
#define DECIDE_NOW(kind) return decide_now(a.task, a.s, a.ns, kind)

#endif
