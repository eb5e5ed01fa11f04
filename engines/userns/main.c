/* udockpy-userns: runs a command in a user and mount namespace in which the guest's tree is "/".
 *
 *   udockpy-userns [--args FD] WORD... -- COMMAND [ARG...]     (the words of core/plan.h)
 *   udockpy-userns --probe                                     (one line of JSON: does this node allow it?)
 *
 * Unless a process namespace is asked for there is no second process: this one becomes the command. */
#include <linux/errno.h>

#include "launch/report.h"
#include "str.h"
#include "userns.h"

#define ARENA_SIZE (16 * 1024 * 1024) /* of the words of --args; only touched pages cost anything */

int helper_main(long *stack);

static int run(const struct plan *plan, char *const *envp)
{
	static struct command command;
	struct identity identity;
	struct failure failure;

	identity_plan(plan, &identity);
	if (command_open(plan, &command, &failure) < 0 ||
	    identity_enter(&identity, plan->map_subuids, envp, &failure) < 0)
		die_of(&failure);
	if (plan->map_subuids && !identity.subuids)
		report("cannot use the ranges of /etc/subuid and /etc/subgid", NULL, 0,
		       "newuidmap or newgidmap refused or is missing; going on with a single id");
	if (namespaces_enter(plan, &failure) < 0 ||
	    (plan->unshare_pid && pid_namespace_enter(&failure) < 0) || mount_guest(plan, &command, &failure) < 0 ||
	    identity_assume(plan, &identity, &failure) < 0)
		die_of(&failure);
	command_exec(plan, &command, envp);
}

int helper_main(long *stack)
{
	static struct plan plan;
	struct plan_error error;
	char **argv = (char **)(stack + 1);
	char **envp = argv + stack[0] + 1;
	char *arena;

	if (stack[0] >= 2 && str_eq(argv[1], "--probe"))
		return probe(envp);
	arena = map_memory(ARENA_SIZE);
	if (!arena)
		die(EXIT_UDOCKPY, "cannot start", "udockpy-userns", -ENOMEM, NULL);
	if (plan_parse(argv, arena, ARENA_SIZE, &plan, &error) < 0)
		die(EXIT_UDOCKPY, error.word ? error.word : "plan", error.message, 0, NULL);
	report_probe_memory(plan.probe_memory);
	if (!plan.rootfs)
		die(EXIT_UDOCKPY, "--rootfs", "the root directory is missing", 0, NULL);
	return run(&plan, envp);
}
