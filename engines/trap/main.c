/* The trap engine: system calls that need translating raise SIGSYS (seccomp RET_TRAP) and are answered by a handler
 * inside the process itself. What it tells the code that answers its guests' calls. */
#include <linux/seccomp.h>
#include <linux/signal.h>

#include "calls/calls.h"
#include "context.h"
#include "launch/report.h"

#define SYS_SECCOMP 1 /* si_code of SIGSYS */

static void intercept(void)
{
	int r = filter_install(SECCOMP_RET_TRAP);

	if (r < 0)
		die(EXIT_ENGINE, "engine trap: seccomp filter", NULL, r,
		    "this node does not let users install seccomp filters: use --engine auto");
}

static bool fetch(const struct siginfo *info, struct call *c, answer_fn **ret_answer)
{
	if (info->si_code != SYS_SECCOMP)
		return false;
	context_get(c->context, &c->nr, c->arg, &c->ip, &c->sp);
	*ret_answer = dispatch;
	return true;
}

static void probe(void)
{
	probe_end("seccomp", filter_install(SECCOMP_RET_TRAP));
}

const struct front_end front_end = {
	.name = "udockpy-trap",
	.groups = SYSCALL_SIGNAL,
	.no_tracer = "a debugger does not work inside the trap engine: use --engine userns",
	.intercept = intercept,
	.prepare = signal_install,
	.probe = probe,
	.own_signal = SIGSYS,
	.fetch = fetch,
};
