/* udockpy-trap: what the trap engine tells the code that answers its guests' calls. */
#include <linux/seccomp.h>

#include "launch/report.h"
#include "trap.h"

static void intercept(void)
{
	int r = filter_install(SECCOMP_RET_TRAP);

	if (r < 0)
		die(EXIT_ENGINE, "engine trap: seccomp filter", NULL, r,
		    "this node does not let users install seccomp filters: try another --engine");
}

static int prepare(const struct resume_state *state)
{
	process_first()->sigsys_action.handler = state->sigsys_ignored ? (void *)1 : NULL;
	if (state->sigsys_blocked)
		sigsys_block(true);
	return signal_install();
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
	.prepare = prepare,
	.probe = probe,
	.signal = signal_answer,
	.sigsys_blocked = sigsys_blocked,
};
