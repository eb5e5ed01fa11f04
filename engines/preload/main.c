/* udockpy-preload: what the preload engine tells the code that answers its guests' calls. */
#include <linux/errno.h>
#include <linux/mman.h>
#include <linux/signal.h>

#include "calls/calls.h"
#include "context.h"
#include "launch/report.h"
#include "preload.h"

long preload_answer(struct call *c);

/* What comes before the dispatch: calls that change which code there is; and clone, which a filter lets through. */
long preload_answer(struct call *c)
{
	switch (c->nr) {
	case __NR_mmap:
	case __NR_munmap:
	case __NR_mprotect:
	case __NR_mremap: return map_answer(c);
	case __NR_clone: return call_concerned(&native_abi, c) ? dispatch(c) : call_at_gate(c);
	default: return dispatch(c);
	}
}

/* An instruction that makes a system call with the numbers of 32-bit programs: none that we answer. */
static long answer_foreign(struct call *c)
{
	(void)c;
	return -ENOSYS;
}

static bool fetch(const struct siginfo *info, struct call *c, answer_fn **ret_answer)
{
	const unsigned char *ip;

	if (info->si_code <= 0)
		return false;
	context_get(c->context, &c->nr, c->arg, &c->ip, &c->sp);
	ip = (const unsigned char *)c->ip;
	if (ip[0] != MARK || (ip[1] != 0x05 && ip[1] != 0x34 && ip[1] != 0x80))
		return false;
	c->ip += 2;
	*ret_answer = ip[1] == 0x05 ? preload_answer : answer_foreign;
	return true;
}

static void intercept(void)
{
	/* Nothing to ask the kernel for: each program is rewritten when it is loaded. */
}

static int prepare(const struct resume_state *state)
{
	engine.patch = false;
	map_go_fd = state->flags & EXEC_FLAG_GO ? state->exe_fd : -1;
	rewrite_init();
	sitecache_open(engine.cache_path);
	return signal_install(state);
}

/* Whether memory that was written may be executed: all that the engine asks of a node. */
static void probe(void)
{
	static const unsigned char code[] = { 0xc3 }; /* ret */
	long at = sys_mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	long r = at;

	if (!sys_is_err(at)) {
		memcpy((void *)at, code, sizeof(code));
		r = SYS3(mprotect, at, 4096, PROT_READ | PROT_EXEC);
	}
	if (r >= 0)
		((void (*)(void))at)();
	probe_end("mprotect", r);
}

const struct front_end front_end = {
	.name = "udockpy-preload",
	.groups = SYSCALL_SIGNAL,
	.no_tracer = "a debugger does not work inside the preload engine: use --engine userns",
	.intercept = intercept,
	.prepare = prepare,
	.probe = probe,
	.own_signal = SIGILL,
	.fetch = fetch,
	.code_mapped = map_code,
};
