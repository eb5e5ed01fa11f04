/* The last step: the guest's environment, working directory and program. */
#include <linux/errno.h>
#include <linux/resource.h>

#include "launch/report.h"
#include "str.h"
#include "userns.h"

#define DEFAULT_PATH "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
#define STATE_FD_MAX 4095 /* fork(2) copies the table of descriptors up to the highest */
#define NUMBERS_MAX (PLAN_GROUPS_MAX * 11 + 1)

/* Moves `fd` to a number that no program of the guest uses: beyond the soft limit of open files, where the kernel
 * itself would refuse it one. Returns the new number, or `fd` where there is no room. */
static long move_beyond(long fd, unsigned n)
{
	struct rlimit64 limit = { 0 }, lifted;
	uint64_t wanted;

	(void)SYS4(prlimit64, 0, RLIMIT_NOFILE, NULL, &limit);
	wanted = (limit.rlim_cur < STATE_FD_MAX ? limit.rlim_cur : STATE_FD_MAX) + n;
	if (wanted >= limit.rlim_max || sys_fcntl((int)wanted, F_GETFD, 0) != -EBADF)
		return fd;
	lifted = limit;
	lifted.rlim_cur = limit.rlim_max;
	(void)SYS4(prlimit64, 0, RLIMIT_NOFILE, &lifted, NULL);
	if (sys_dup3((int)fd, (int)wanted, 0) == (long)wanted) {
		(void)sys_close((int)fd);
		fd = (long)wanted;
	}
	(void)SYS4(prlimit64, 0, RLIMIT_NOFILE, &limit, NULL);
	return fd;
}

void command_hand_over(struct command *command, int fd, char ret_name[PROC_FD_MAX])
{
	long moved = move_beyond(fd, command->n_handed_over++);

	(void)sys_fcntl((int)moved, F_SETFD, 0);
	(void)proc_fd(ret_name, (int)moved);
}

/* Opens `path` for the identity helper inside, where it has no name, and writes how it is called there. */
static int open_state(struct command *command, const char *path, char ret_name[PROC_FD_MAX],
		      struct failure *ret_failure)
{
	long fd = sys_openat(AT_FDCWD, path, O_RDWR | O_CREAT, 0600);

	if (fd == -EACCES || fd == -EROFS) /* of an image in somebody else's store */
		fd = sys_openat(AT_FDCWD, path, O_RDONLY, 0);
	if (fd < 0)
		return fail(ret_failure, STEP_STATE, path, fd);
	command_hand_over(command, (int)fd, ret_name);
	return 0;
}

int command_open(const struct plan *plan, struct command *ret_command, struct failure *ret_failure)
{
	static const char by_fd[] = "/proc/self/fd/";
	uint64_t fd;
	long r = 0;

	*ret_command = (struct command){ .helper = -1 };
	if (!plan->identity_helper)
		return 0;
	r = sys_openat(AT_FDCWD, plan->identity_helper, O_PATH | O_CLOEXEC, 0);
	if (r < 0)
		return fail(ret_failure, STEP_HELPER, plan->identity_helper, r);
	ret_command->helper = (int)r;
	r = plan->fakedb ? open_state(ret_command, plan->fakedb, ret_command->fakedb, ret_failure) : 0;
	if (r == 0 && plan->cache)
		r = open_state(ret_command, plan->cache, ret_command->cache, ret_failure);
	/* The descriptor itself: a lock is its. */
	if (plan->hold && str_has_prefix(plan->hold, by_fd, sizeof(by_fd) - 1) &&
	    str_to_u64(plan->hold + sizeof(by_fd) - 1, &fd))
		command_hand_over(ret_command, (int)fd, ret_command->hold);
	return (int)r;
}

/* ---- the environment ---- */

static bool defines(const char *entry, const char *name)
{
	size_t n = strlen(name);

	return str_has_prefix(entry, name, n) && entry[n] == '=';
}

static char *definition(const char *name, const char *value)
{
	size_t size = strlen(name) + strlen(value) + 2;
	char *text = map_memory(size);
	long n;

	if (!text)
		return NULL;
	n = str_copy(text, size, name);
	n = str_append(text, size, (size_t)n, "=");
	(void)str_append(text, size, (size_t)n, value);
	return text;
}

/* Removes every entry of `name`; returns the new count. */
static size_t env_remove(char **env, size_t n, const char *name)
{
	size_t kept = 0;

	for (size_t i = 0; i < n; i++)
		if (!defines(env[i], name))
			env[kept++] = env[i];
	return kept;
}

/* The helper's own environment with the plan's changes; NULL when there is no memory. */
static char **guest_environment(const struct plan *plan, char *const *envp)
{
	size_t n = 0;
	char **env;

	while (envp[n])
		n++;
	env = map_memory((n + plan->n_env + 1) * sizeof(*env));
	if (!env)
		return NULL;
	memcpy(env, envp, n * sizeof(*env));
	for (unsigned i = 0; i < plan->n_env; i++) {
		const char *value = plan->env[i].value;

		n = env_remove(env, n, plan->env[i].name);
		if (!value)
			continue;
		env[n] = definition(plan->env[i].name, value);
		if (!env[n++])
			return NULL;
	}
	env[n] = NULL;
	return env;
}

/* ---- the program ---- */

static char *number(char *at, uint32_t id, char *ret_text[static 1])
{
	*ret_text = at;
	at += str_from_u64(at, id);
	*at++ = '\0';
	return at;
}

/* N,N,... */
static void write_groups(const struct plan *plan, char *at)
{
	for (unsigned i = 0; i < plan->n_groups; i++) {
		if (i)
			*at++ = ',';
		at += str_from_u64(at, plan->groups[i]);
	}
	*at = '\0';
}

/* Becomes the identity helper, which delivers the pretence in a view that is the kernel's. */
static _Noreturn void exec_helper(const struct plan *plan, const struct command *command, char *const *env)
{
	static char groups[NUMBERS_MAX], ids[64];
	char **argv = map_memory((plan->n_command + 3 * COMMAND_BINDS_MAX + 21) * sizeof(*argv));
	char *at = ids;
	unsigned n = 0;

	if (!argv)
		die(EXIT_UDOCKPY, "cannot run", plan->identity_helper, -ENOMEM, NULL);
	argv[n++] = (char *)"udockpy-trap";
	if (plan->pretend)
		argv[n++] = (char *)"--pretend";
	if (plan->shared)
		argv[n++] = (char *)"--shared";
	if (*command->fakedb) {
		argv[n++] = (char *)"--fakedb";
		argv[n++] = (char *)command->fakedb;
	}
	if (*command->hold) {
		argv[n++] = (char *)"--hold";
		argv[n++] = (char *)command->hold;
	}
	if (*command->cache) {
		argv[n++] = (char *)"--cache";
		argv[n++] = (char *)command->cache;
	}
	for (unsigned i = 0; i < command->n_binds; i++) {
		argv[n++] = (char *)(command->binds[i].read_only ? "--ro-bind" : "--bind");
		argv[n++] = (char *)command->binds[i].source;
		argv[n++] = (char *)command->binds[i].target;
	}
	if (plan->has_uid) {
		argv[n++] = (char *)"--uid";
		at = number(at, plan->uid, &argv[n++]);
	}
	if (plan->has_gid) {
		argv[n++] = (char *)"--gid";
		at = number(at, plan->gid, &argv[n++]);
	}
	if (plan->has_groups) {
		write_groups(plan, groups);
		argv[n++] = (char *)"--groups";
		argv[n++] = groups;
	}
	if (plan->chdir) {
		argv[n++] = (char *)"--chdir";
		argv[n++] = (char *)plan->chdir;
	}
	argv[n++] = (char *)"--";
	memcpy(argv + n, plan->command, (plan->n_command + 1) * sizeof(*argv));
	die(EXIT_UDOCKPY, "cannot run", plan->identity_helper,
	    SYS5(execveat, command->helper, "", argv, env, AT_EMPTY_PATH),
	    "the identity helper must be an executable of this machine");
}

static _Noreturn void report_command(const char *name, long error)
{
	if (error == -ENOENT && SYS3(faccessat, AT_FDCWD, name, 0) == 0)
		error = -ELIBACC;
	die_of_command(name, error);
}

_Noreturn void command_exec(const struct plan *plan, const struct command *command, char *const *envp)
{
	char **env = guest_environment(plan, envp);
	const char *search;
	long r;

	if (!env)
		die(EXIT_UDOCKPY, "cannot set", "the environment", -ENOMEM, NULL);
	if (command->helper >= 0)
		exec_helper(plan, command, env);
	r = plan->chdir ? SYS1(chdir, plan->chdir) : 0;
	if (r < 0)
		die_of_workdir(plan->chdir, r);
	search = env_value(env, "PATH");
	report_command(plan->command[0],
		       exec_in_path(plan->command[0], search && *search ? search : DEFAULT_PATH, plan->command, env));
}
