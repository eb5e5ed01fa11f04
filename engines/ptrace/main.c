/* udockpy-ptrace: what the ptrace engine tells the code that answers its guests' calls. */
#include <linux/errno.h>
#include <linux/mman.h>
#include <linux/seccomp.h>

#include "launch/report.h"
#include "loader/loader.h"
#include "ptrace.h"

/* Whether a call really comes to us: the kernel would change nothing here and say 0. Under an engine of an outer
 * udockpy the filter, for one, is accepted and not installed. */
static bool is_redirected(void)
{
	return guest_call3(__NR_mprotect, LOADER_START, 4096, PROT_READ) != 0;
}

/* Returns NULL or the step that failed, with *ret_error set. */
static const char *start_tracing(int *ret_error)
{
	bool filtered = filter_install(SECCOMP_RET_TRACE) >= 0;

	*ret_error = tracer_start(filtered);
	if (*ret_error < 0)
		return "trace";
	*ret_error = -ENOSYS;
	return is_redirected() ? NULL : "redirect";
}

static void intercept(void)
{
	int error;
	const char *step = start_tracing(&error);

	if (step)
		die(EXIT_ENGINE, "engine ptrace", step, error,
		    "this node does not let users trace their own processes: use --engine auto");
}

static int prepare(const struct resume_state *state)
{
	return state->flags & EXEC_FLAG_GO ? redirect_use_stacks() : 0;
}

static void probe(void)
{
	int error;
	const char *step = start_tracing(&error);

	probe_end(step, step ? error : 0);
}

const struct front_end front_end = {
	.name = "udockpy-ptrace",
	.traced = true,
	.no_tracer = "the guest is traced already: for a debugger or strace inside use --engine userns",
	.intercept = intercept,
	.prepare = prepare,
	.probe = probe,
};
