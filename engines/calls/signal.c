/* The signal that an engine intercepts calls by (SIGSYS, SIGILL), and the guest's illusion that it is free.
 *
 * It must never be blocked or ignored: the kernel would kill the task at its next such call. So every mask
 * the guest sets loses the bit on its way to the kernel, and the engine remembers that the guest wanted it. What the
 * guest reads back holds it again, in the frames of its handlers too: those are entered through handler_entry. */
#include <linux/errno.h>
#include <linux/signal.h>

#include "context.h"
#include "calls.h"

#define CONTEXT_MASK(uc) (*(uint64_t *)&(uc)->uc_sigmask)

#define UNBLOCKABLE ((1ull << (SIGKILL - 1)) | (1ull << (SIGSTOP - 1)))

/* Threads (tids) that blocked the own signal, as they believe. Few ever do for longer than a fork. */
#define BLOCKED 64
static int blocked_tid[BLOCKED];
static int blocked_pid[BLOCKED];
static int blocked_count;

/* A forked child has its parent's table: what is there of another process was inherited by its one thread. */
static int find_blocked(int tid)
{
	int pid = (int)SYS0(getpid);

	for (int i = 0; i < BLOCKED; i++) {
		int owner = __atomic_load_n(&blocked_tid[i], __ATOMIC_RELAXED);

		if (owner && (owner == tid || blocked_pid[i] != pid))
			return i;
	}
	return -1;
}

bool own_signal_blocked(void)
{
	if (!front_end.own_signal || !__atomic_load_n(&blocked_count, __ATOMIC_RELAXED))
		return false;
	return find_blocked((int)SYS0(gettid)) >= 0;
}

static void deliver_pending(void)
{
	if (engine.own_signal_pending) {
		engine.own_signal_pending = false;
		(void)SYS3(tgkill, SYS0(getpid), SYS0(gettid), front_end.own_signal);
	}
}

void own_signal_block(bool block)
{
	int tid, i;

	if (!block && !__atomic_load_n(&blocked_count, __ATOMIC_RELAXED))
		return;
	tid = (int)SYS0(gettid);
	i = find_blocked(tid);
	if (block && i < 0) {
		for (i = 0; i < BLOCKED; i++) {
			int none = 0;

			if (__atomic_compare_exchange_n(&blocked_tid[i], &none, tid, false, __ATOMIC_ACQ_REL,
							__ATOMIC_RELAXED)) {
				blocked_pid[i] = (int)SYS0(getpid);
				__atomic_add_fetch(&blocked_count, 1, __ATOMIC_ACQ_REL);
				return;
			}
		}
	} else if (!block && i >= 0) {
		__atomic_store_n(&blocked_tid[i], 0, __ATOMIC_RELEASE);
		__atomic_sub_fetch(&blocked_count, 1, __ATOMIC_ACQ_REL);
		deliver_pending();
	}
}

/* The own signal, but not for a call: somebody sent it, or the guest itself did what raises it. */
static void guest_signal(int signo, siginfo_t *info, struct ucontext *uc)
{
	const struct process *p = process_current();
	void *handler = p->own_signal_action.handler;
	struct kernel_sigaction dfl = { .handler = SIG_DFL };
	bool forced = info->si_code > 0; /* by the kernel: can be neither blocked nor ignored */

	if (own_signal_blocked() && !forced) {
		engine.own_signal_pending = true;
		return;
	}
	if (handler == (void *)SIG_IGN && !forced)
		return;
	if (handler == (void *)SIG_DFL || handler == (void *)SIG_IGN || own_signal_blocked()) {
		(void)SYS4(rt_sigaction, signo, &dfl, NULL, 8);
		(void)SYS3(tgkill, SYS0(getpid), SYS0(gettid), signo);
		return;
	}
	if (p->own_signal_action.flags & SA_SIGINFO)
		((void (*)(int, siginfo_t *, void *))handler)(signo, info, uc);
	else
		((void (*)(int))handler)(signo);
}

static void on_signal(int signo, siginfo_t *info, void *context)
{
	struct ucontext *uc = context;
	unsigned long ip;
	struct call c;
	answer_fn *answer;
	long result;

	c.context = uc;
	if (!front_end.fetch(info, &c, &answer)) {
		guest_signal(signo, info, uc);
		return;
	}
	ip = c.ip;
	result = answer(&c);
	context_set_ip(uc, c.ip);
	/* A call that sent the guest elsewhere (a gate) leaves its registers alone. */
	if (c.ip == ip) {
		context_set_result(uc, result);
		patch_site(&c);
	}
}

int signal_install(const struct resume_state *state)
{
	struct kernel_sigaction action = {
		.handler = (void *)on_signal,
		.flags = SA_SIGINFO | SA_NODEFER | SA_ONSTACK | SA_RESTORER,
		.restorer = (void *)restore_rt,
	};
	uint64_t mask = OWN_SIGNAL_BIT;
	long r;

	process_first()->own_signal_action.handler = state->own_signal_ignored ? (void *)SIG_IGN : (void *)SIG_DFL;
	if (state->own_signal_blocked)
		own_signal_block(true);
	r = SYS4(rt_sigaction, front_end.own_signal, &action, NULL, 8);
	if (r < 0)
		return (int)r;
	return (int)SYS4(rt_sigprocmask, SIG_UNBLOCK, &mask, NULL, 8);
}

/* Whether this is a vfork child that sets the default where it is set, as posix_spawn(3) does for every signal: then it
 * needs no copy of the process, which all it does before its exec would have to look for. */
static bool is_reset(const struct kernel_sigaction *act, const struct kernel_sigaction *before)
{
	return act->handler == SIG_DFL && before->handler == SIG_DFL &&
	       __atomic_load_n(&engine_vm_shared, __ATOMIC_RELAXED);
}

static long op_sigaction(struct call *c)
{
	const struct kernel_sigaction *act = (void *)c->arg[1];
	struct kernel_sigaction *old = (void *)c->arg[2], copy;
	const struct process *p;
	int sig = (int)c->arg[0];
	uint64_t bit, act_mask = 0;
	void *handler;
	bool had;
	long r;

	if (c->arg[3] != 8 || sig < 1 || sig > 64)
		return -EINVAL;
	if (act && !guest_readable(act, sizeof(*act)))
		return -EFAULT;
	if (act) {
		copy = *act;
		act_mask = copy.mask;
	}
	bit = 1ull << (sig - 1);
	p = process_current();
	if (sig == front_end.own_signal) {
		struct kernel_sigaction before = p->own_signal_action;

		if (old && !guest_writable(old, sizeof(*old)))
			return -EFAULT;
		if (act && !is_reset(&copy, &before) && memcmp(&copy, &before, sizeof(copy)) != 0)
			process_writable()->own_signal_action = copy;
		if (old)
			*old = before;
		return 0;
	}
	handler = p->handlers[sig - 1];
	had = p->own_signal_in_mask & bit;
	if (act) {
		copy.mask &= ~OWN_SIGNAL_BIT;
		if (copy.handler != SIG_DFL && copy.handler != SIG_IGN) {
			process_writable()->handlers[sig - 1] = copy.handler;
			copy.handler = (void *)handler_entry;
		}
	}
	r = SYS4(rt_sigaction, sig, act ? &copy : NULL, old, 8);
	if (act && r >= 0 && had != !!(act_mask & OWN_SIGNAL_BIT))
		process_writable()->own_signal_in_mask ^= bit;
	if (old && r >= 0) {
		if (had)
			old->mask |= OWN_SIGNAL_BIT;
		if (old->handler == (void *)handler_entry)
			old->handler = handler;
	}
	return r;
}

void *signal_enter(int signo, void *info, struct ucontext *uc)
{
	const struct process *p = process_current();

	(void)info;
	if (own_signal_blocked())
		CONTEXT_MASK(uc) |= OWN_SIGNAL_BIT;
	else if (p->own_signal_in_mask & (1ull << (signo - 1)))
		own_signal_block(true);
	return p->handlers[signo - 1];
}

/* The mask of a trapped call is in its signal frame: a real call would be undone when the handler returns. */
static void frame_procmask(struct ucontext *uc, int how, const uint64_t *set, uint64_t *old)
{
	uint64_t mask = CONTEXT_MASK(uc);

	if (old)
		*old = mask;
	if (!set)
		return;
	if (how == SIG_BLOCK)
		mask |= *set;
	else if (how == SIG_UNBLOCK)
		mask &= ~*set;
	else
		mask = *set;
	CONTEXT_MASK(uc) = mask & ~UNBLOCKABLE;
}

static long op_sigprocmask(struct call *c)
{
	const uint64_t *set = (void *)c->arg[1];
	uint64_t *old = (void *)c->arg[2], copy = 0;
	int how = (int)c->arg[0];
	bool had, wanted = false;
	long r;

	if (c->arg[3] != 8)
		return -EINVAL;
	if (set) {
		if (!guest_readable(set, 8))
			return -EFAULT;
		if (how != SIG_BLOCK && how != SIG_UNBLOCK && how != SIG_SETMASK)
			return -EINVAL;
		copy = *set & ~OWN_SIGNAL_BIT;
		wanted = *set & OWN_SIGNAL_BIT;
	}
	if (c->context && old && !guest_writable(old, 8))
		return -EFAULT;
	had = own_signal_blocked();
	/* Before the kernel lets other signals in: their handlers see the new mask. */
	if (set && (wanted || how == SIG_SETMASK))
		own_signal_block(wanted && how != SIG_UNBLOCK);
	if (c->context) {
		frame_procmask(c->context, how, set ? &copy : NULL, old);
	} else {
		r = SYS4(rt_sigprocmask, how, set ? &copy : NULL, old, 8);
		if (r < 0)
			return r; /* a bad `old`, after the mask was set */
	}
	if (old && had)
		*old |= OWN_SIGNAL_BIT;
	return 0;
}

/* Back to the mask before the handler, as the frame says: it may have been edited. */
static long op_sigreturn(struct call *c)
{
	struct ucontext *uc = context_at(c->sp);

	if (guest_readable(uc, sizeof(*uc))) {
		own_signal_block(CONTEXT_MASK(uc) & OWN_SIGNAL_BIT);
		CONTEXT_MASK(uc) &= ~OWN_SIGNAL_BIT;
	}
	c->ip = (unsigned long)gate_sigreturn;
	return 0;
}

static long op_sigpending(struct call *c)
{
	uint64_t *set = (uint64_t *)c->arg[0];
	long r = SYS2(rt_sigpending, set, c->arg[1]);

	if (r >= 0 && engine.own_signal_pending && c->arg[1] == 8)
		*set |= OWN_SIGNAL_BIT;
	return r;
}

static long op_sigsuspend(struct call *c)
{
	const uint64_t *set = (void *)c->arg[0];
	uint64_t copy;

	if (c->arg[1] != 8)
		return -EINVAL;
	if (!guest_readable(set, 8))
		return -EFAULT;
	copy = *set & ~OWN_SIGNAL_BIT;
	return SYS2(rt_sigsuspend, &copy, 8);
}

/* ppoll, epoll_pwait, epoll_pwait2: argument `arg` points to the mask, the next one is its size. */
static long op_wait_mask(struct call *c, unsigned arg)
{
	uint64_t copy;

	if (c->arg[arg]) {
		if (!guest_readable((void *)c->arg[arg], 8))
			return -EFAULT;
		copy = *(uint64_t *)c->arg[arg] & ~OWN_SIGNAL_BIT;
		c->arg[arg] = (unsigned long)&copy;
	}
	return arch_syscall6(c->nr, (long)c->arg[0], (long)c->arg[1], (long)c->arg[2], (long)c->arg[3], (long)c->arg[4],
			     (long)c->arg[5]);
}

/* pselect6, io_pgetevents: the last argument points to {mask, size}. */
static long op_wait_mask_pair(struct call *c)
{
	struct {
		uint64_t *set;
		size_t size;
	} pair;
	uint64_t copy;

	if (c->arg[5]) {
		if (!guest_readable((void *)c->arg[5], sizeof(pair)))
			return -EFAULT;
		memcpy(&pair, (void *)c->arg[5], sizeof(pair));
		if (pair.set) {
			if (!guest_readable(pair.set, 8))
				return -EFAULT;
			copy = *pair.set & ~OWN_SIGNAL_BIT;
			pair.set = &copy;
		}
		c->arg[5] = (unsigned long)&pair;
	}
	return arch_syscall6(c->nr, (long)c->arg[0], (long)c->arg[1], (long)c->arg[2], (long)c->arg[3], (long)c->arg[4],
			     (long)c->arg[5]);
}

long signal_answer(struct call *c, const struct syscall_row *row)
{
	switch (row->op) {
	case OP_SIGACTION: return op_sigaction(c);
	case OP_SIGPROCMASK: return op_sigprocmask(c);
	case OP_SIGRETURN: return op_sigreturn(c);
	case OP_SIGPENDING: return op_sigpending(c);
	case OP_SIGSUSPEND: return op_sigsuspend(c);
	case OP_PPOLL: return op_wait_mask(c, 3);
	case OP_EPOLL_PWAIT: return op_wait_mask(c, 4);
	case OP_PSELECT: return op_wait_mask_pair(c);
	default: return -ENOSYS;
	}
}
