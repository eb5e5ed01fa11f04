/* udockpy-ptrace: what the ptrace engine tells the code that answers its guests' calls. */
#include <linux/audit.h>
#include <linux/errno.h>
#include <linux/mman.h>
#include <linux/seccomp.h>
#include <linux/signal.h>

#include "arch/i386/window.h"
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

/* Whether the helper of i386 programs is there, and the kernel runs it. */
static bool other_works(void)
{
	char path[PATH_MAX];
	char *const words[] = { (char *)path, (char *)"--probe", NULL };
	int status = -1;
	long child;

	if (program_other_helper(path, sizeof(path)) < 0)
		return false;
	child = SYS5(clone, SIGCHLD, 0, 0, 0, 0);
	if (child == 0) {
		(void)SYS3(execve, path, words, words + 2);
		sys_exit_group(EXIT_ENGINE);
	}
	return child > 0 && SYS4(wait4, child, &status, 0, NULL) == child && status == 0;
}

static void probe(void)
{
	int error;
	const char *step = start_tracing(&error);

	if (step)
		probe_end(step, error);
	probe_end_with("i386", other_works());
}

static const struct abi i386_abi = {
	.audit = AUDIT_ARCH_I386,
	.row = syscall_row_i386,
	.text_start = I386_LOADER_START,
	.text_end = I386_LOADER_END,
	.block = I386_LOADER_BLOCK,
};

const struct front_end front_end = {
	.name = "udockpy-ptrace",
	.traced = true,
	.answer = dispatch,
	.other = "udockpy-ptrace-i386",
	.other_abi = &i386_abi,
	.no_tracer = PTRACE_NO_TRACER,
	.intercept = intercept,
	.prepare = redirect_prepare,
	.probe = probe,
};
