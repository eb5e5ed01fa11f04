/* Does what a launch does, all of it, in processes that are thrown away: nodes refuse user namespaces at every step, so
 * only the whole sequence tells. */
#include <linux/errno.h>
#include <linux/mman.h>
#include <linux/mount.h>

#include "launch/report.h"
#include "str.h"
#include "userns.h"

/* A directory that every system has, to lay a tmpfs over; nobody else sees it. */
#define SCRATCH "/tmp"

/* Shared with the children that try. */
struct findings {
	struct failure failure;
	bool works, overlay, proc, subuids;
};

static long try_proc(const struct findings *findings)
{
	struct plan plan = { .unshare_pid = true };
	struct failure failure;

	(void)findings;
	if (namespaces_enter(&plan, &failure) < 0 || pid_namespace_enter(&failure) < 0)
		return failure.error;
	return SYS5(mount, "proc", SCRATCH "/root/proc", "proc", MS_NOSUID | MS_NODEV | MS_NOEXEC, 0);
}

static long make_scratch(void)
{
	static const char *const directories[] = { "/lower", "/upper", "/work", "/root", "/root/proc", "/root/usr" };
	char path[64];
	long r = SYS5(mount, "tmpfs", SCRATCH, "tmpfs", MS_NOSUID | MS_NODEV, "mode=0700");

	for (unsigned i = 0; r == 0 && i < sizeof(directories) / sizeof(directories[0]); i++) {
		(void)str_append(path, sizeof(path), (size_t)str_copy(path, sizeof(path), SCRATCH), directories[i]);
		r = SYS3(mkdirat, AT_FDCWD, path, 0755);
	}
	if (r == 0)
		r = SYS5(mount, SCRATCH "/root", SCRATCH "/root", 0, MS_BIND | MS_REC, 0);
	if (r == 0)
		r = SYS5(mount, "/usr", SCRATCH "/root/usr", 0, MS_BIND | MS_REC, 0);
	return r;
}

static long try_overlay(void)
{
	long lower = sys_openat(AT_FDCWD, SCRATCH "/lower", O_PATH | O_CLOEXEC, 0);
	long upper = sys_openat(AT_FDCWD, SCRATCH "/upper", O_PATH | O_CLOEXEC, 0);
	long work = sys_openat(AT_FDCWD, SCRATCH "/work", O_PATH | O_CLOEXEC, 0);

	if (lower < 0 || upper < 0 || work < 0)
		return -EMFILE;
	return mount_overlay(SCRATCH "/lower", (int)lower, (int)upper, (int)work);
}

/* In a child of its own. */
static void try_all(struct findings *findings, char *const *envp)
{
	static const struct plan plan;
	struct failure *failure = &findings->failure;
	struct identity identity;
	long pid, r;

	identity_plan(&plan, &identity);
	if (identity_enter(&identity, false, envp, failure) < 0 || namespaces_enter(&plan, failure) < 0 ||
	    mount_isolate(failure) < 0)
		return;
	r = make_scratch();
	if (r < 0) {
		(void)fail(failure, STEP_NEWROOT, SCRATCH, r);
		return;
	}
	findings->overlay = try_overlay() == 0;
	pid = fork_process();
	if (pid == 0)
		sys_exit_group(try_proc(findings) == 0 ? 0 : 1);
	findings->proc = pid > 0 && wait_for((int)pid) == 0;
	r = SYS1(chdir, SCRATCH "/root");
	if (r < 0)
		(void)fail(failure, STEP_PIVOT, NULL, r);
	else if (mount_pivot(failure) == 0)
		findings->works = true;
}

static void try_subuids(struct findings *findings, char *const *envp)
{
	static const struct plan plan = { .map_subuids = true, .pretend = true };
	struct identity identity;
	struct failure failure;

	identity_plan(&plan, &identity);
	findings->subuids = identity_enter(&identity, true, envp, &failure) == 0 && identity.subuids;
}

static size_t add(char *text, size_t size, size_t n, const char *what)
{
	long r = str_append(text, size, n, what);

	return r < 0 ? n : (size_t)r;
}

static size_t add_bool(char *text, size_t size, size_t n, const char *key, bool value)
{
	n = add(text, size, n, key);
	return add(text, size, n, value ? "true" : "false");
}

static size_t add_name(char *text, size_t size, size_t n, const char *key, const char *name)
{
	n = add(text, size, n, key);
	if (!name)
		return add(text, size, n, "null");
	n = add(text, size, n, "\"");
	n = add(text, size, n, name);
	return add(text, size, n, "\"");
}

static void print(const struct findings *findings)
{
	char text[256];
	size_t n = add_bool(text, sizeof(text), 0, "{\"works\": ", findings->works);

	n = add_name(text, sizeof(text), n, ", \"step\": ", findings->works ? NULL : step_name(findings->failure.step));
	n = add_name(text, sizeof(text), n, ", \"errno\": ",
		     findings->works ? NULL : error_name(findings->failure.error));
	n = add_bool(text, sizeof(text), n, ", \"overlay\": ", findings->overlay);
	n = add_bool(text, sizeof(text), n, ", \"proc\": ", findings->proc);
	n = add_bool(text, sizeof(text), n, ", \"subuids\": ", findings->subuids);
	n = add(text, sizeof(text), n, "}\n");
	(void)sys_write(1, text, n);
}

int probe(char *const *envp)
{
	const size_t size = sizeof(struct findings);
	long memory = sys_mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	struct findings *findings = (struct findings *)memory;
	long pid;

	if (sys_is_err(memory))
		die(EXIT_UDOCKPY, "cannot probe", NULL, memory, NULL);
	/* What stands when the child is killed on its way. */
	(void)fail(&findings->failure, STEP_PROCESS, NULL, -EIO);
	pid = fork_process();
	if (pid == 0) {
		try_all(findings, envp);
		sys_exit_group(0);
	}
	if (pid > 0)
		(void)wait_for((int)pid);
	pid = findings->works ? fork_process() : -1;
	if (pid == 0) {
		try_subuids(findings, envp);
		sys_exit_group(0);
	}
	if (pid > 0)
		(void)wait_for((int)pid);
	print(findings);
	return findings->works ? 0 : EXIT_ENGINE;
}
