/* The user namespace and who its processes are: the maps of user_namespaces(7), written by ourselves for a single id or
 * by newuidmap(1) and newgidmap(1) for the ranges of /etc/subuid and /etc/subgid. */
#include <linux/capability.h>
#include <linux/errno.h>
#include <linux/prctl.h>
#include <linux/sched.h>
#include <linux/signal.h>

#include "launch/report.h"
#include "str.h"
#include "userns.h"

#define SUBIDS_TEXT (256 * 1024) /* of /etc/passwd, /etc/subuid, /etc/subgid */
#define EXTENTS_MAX 64		 /* of one map; the kernel takes 340 */
#define NUMBER_MAX 24
#define HELPER_PATH "/usr/bin:/bin:/usr/sbin:/sbin:/usr/local/bin"

void identity_plan(const struct plan *plan, struct identity *ret_identity)
{
	/* A pretended identity starts from root, whoever it pretends to be: the image's files are root's then. */
	bool root = plan->pretend && (plan->identity_helper || !plan->has_uid);
	bool root_group = plan->pretend && (plan->identity_helper || !plan->has_gid);

	ret_identity->uid = (uint32_t)SYS0(geteuid);
	ret_identity->gid = (uint32_t)SYS0(getegid);
	ret_identity->inner_uid = root ? 0 : plan->has_uid ? plan->uid : ret_identity->uid;
	ret_identity->inner_gid = root_group ? 0 : plan->has_gid ? plan->gid : ret_identity->gid;
	ret_identity->subuids = false;
	if (plan->map_subuids) {
		/* Other ids than the caller's come out of the ranges, so the caller itself is root or itself. */
		ret_identity->inner_uid = plan->pretend || plan->has_uid ? 0 : ret_identity->uid;
		ret_identity->inner_gid = plan->pretend || plan->has_gid || plan->has_uid ? 0 : ret_identity->gid;
	}
}

static long write_single_map(const char *path, uint32_t inner, uint32_t outer)
{
	char text[3 * NUMBER_MAX];
	size_t n = str_from_u64(text, inner);

	text[n++] = ' ';
	n += str_from_u64(text + n, outer);
	(void)str_copy(text + n, sizeof(text) - n, " 1\n");
	return write_text(path, text);
}

/* ---- newuidmap and newgidmap ---- */

struct extent {
	uint64_t inner, outer, count;
};

struct map {
	struct extent extents[EXTENTS_MAX];
	unsigned n;
};

/* Cuts the next field off *text at `end`; returns it, NUL-terminated. */
static char *take_field(char **text, char end)
{
	char *field = *text;
	char *p = field;

	while (*p && *p != end)
		p++;
	*text = *p ? p + 1 : p;
	*p = '\0';
	return field;
}

/* The login name of `uid` by /etc/passwd, inside `text`; NULL when it is not a local user. */
static const char *login_name(uint32_t uid, char *text)
{
	if (read_text("/etc/passwd", text, SUBIDS_TEXT) < 0)
		return NULL;
	while (*text) {
		char *line = take_field(&text, '\n');
		const char *name = take_field(&line, ':');
		uint64_t id;

		(void)take_field(&line, ':');
		if (str_to_u64(take_field(&line, ':'), &id) && id == uid)
			return name;
	}
	return NULL;
}

/* Appends `count` ids from `outer` on, leaving out the inner id `own`, which is the caller's. */
static void add_range(struct map *map, uint64_t *inner, uint64_t outer, uint64_t count, uint32_t own)
{
	while (count && map->n < EXTENTS_MAX) {
		uint64_t n = count;

		if (*inner == own)
			++*inner;
		if (*inner < own && *inner + n > own)
			n = own - *inner;
		map->extents[map->n++] = (struct extent){ *inner, outer, n };
		*inner += n;
		outer += n;
		count -= n;
	}
}

/* The map with the caller as `inner_id` and the ranges of `file` on all other ids from 0 on.
 * Returns false when there are no ranges for this user. */
static bool read_ranges(const char *file, const char *login, uint32_t uid, uint32_t outer_id, uint32_t inner_id,
			char *text, struct map *ret_map)
{
	uint64_t inner = 0;

	ret_map->extents[0] = (struct extent){ inner_id, outer_id, 1 };
	ret_map->n = 1;
	if (read_text(file, text, SUBIDS_TEXT) < 0)
		return false;
	while (*text) {
		char *line = take_field(&text, '\n');
		const char *owner = take_field(&line, ':');
		const char *first = take_field(&line, ':');
		uint64_t id, outer, count;
		bool ours = (login && str_eq(owner, login)) || (str_to_u64(owner, &id) && id == uid);

		if (ours && str_to_u64(first, &outer) && str_to_u64(line, &count))
			add_range(ret_map, &inner, outer, count, inner_id);
	}
	return ret_map->n > 1;
}

/* In a child of its own: becomes `program PID INNER OUTER COUNT...`. */
static _Noreturn void exec_map_helper(const char *program, const struct map *map, int pid, char *const *envp)
{
	static char numbers[3 * EXTENTS_MAX + 1][NUMBER_MAX];
	static char *argv[3 * EXTENTS_MAX + 3];
	const char *search = env_value(envp, "PATH");
	unsigned n = 0;
	long fd = sys_openat(AT_FDCWD, "/dev/null", O_RDWR | O_CLOEXEC, 0);

	/* Its words would stand beside our own message about the same thing. */
	if (fd >= 0)
		(void)sys_dup3((int)fd, 2, 0);
	numbers[0][str_from_u64(numbers[0], (uint64_t)pid)] = '\0';
	for (unsigned i = 0; i < map->n; i++) {
		const uint64_t values[] = { map->extents[i].inner, map->extents[i].outer, map->extents[i].count };

		for (unsigned j = 0; j < 3; j++) {
			n = 1 + 3 * i + j;
			numbers[n][str_from_u64(numbers[n], values[j])] = '\0';
		}
	}
	argv[0] = (char *)program;
	for (unsigned i = 0; i <= n; i++)
		argv[i + 1] = numbers[i];
	if (search)
		(void)exec_in_path(program, search, argv, envp);
	(void)exec_in_path(program, HELPER_PATH, argv, envp);
	sys_exit_group(EXIT_NOT_FOUND);
}

static bool run_map_helper(const char *program, const struct map *map, int pid, char *const *envp)
{
	long child = fork_process();

	if (child == 0)
		exec_map_helper(program, map, pid, envp);
	return child > 0 && wait_for((int)child) == 0;
}

#define MAPPED_UIDS 1
#define MAPPED_GIDS 2

/* The process that stays in the parent's user namespace, where newuidmap has power, and maps process `pid` as soon as
 * it says so through the pipe. Exits with the bits of what worked. */
static _Noreturn void mapper(const struct identity *identity, int pid, int ready, char *const *envp)
{
	static struct map map;
	struct {
		uintptr_t handler;
		unsigned long flags;
		uintptr_t restorer;
		uint64_t mask;
	} action = { 0 };
	char *text = map_memory(SUBIDS_TEXT), *names = map_memory(SUBIDS_TEXT);
	const char *login;
	int done = 0;
	char byte;

	if (!text || !names || sys_read(ready, &byte, 1) != 1)
		sys_exit_group(0);
	/* An ignored SIGCHLD, which the caller may have left us, would hide the helpers' exit statuses. */
	(void)SYS4(rt_sigaction, SIGCHLD, &action, 0, sizeof(uint64_t));
	login = login_name(identity->uid, names);
	if (!login)
		login = env_value(envp, "USER"); /* not trusted: newuidmap decides */
	if (read_ranges("/etc/subuid", login, identity->uid, identity->uid, identity->inner_uid, text, &map) &&
	    run_map_helper("newuidmap", &map, pid, envp))
		done |= MAPPED_UIDS;
	if (read_ranges("/etc/subgid", login, identity->uid, identity->gid, identity->inner_gid, text, &map) &&
	    (done & MAPPED_UIDS) && run_map_helper("newgidmap", &map, pid, envp))
		done |= MAPPED_GIDS;
	sys_exit_group(done);
}

struct mapper {
	int pid, go; /* go: a byte written there starts it */
};

static int mapper_start(const struct identity *identity, char *const *envp, struct mapper *ret_mapper,
			struct failure *ret_failure)
{
	int self = (int)SYS0(getpid);
	int fds[2];
	long r = SYS2(pipe2, fds, O_CLOEXEC);

	if (r < 0)
		return fail(ret_failure, STEP_PROCESS, "pipe", r);
	/* No exit signal: the guest must not find a SIGCHLD of ours, nor lose the status to an ignored one. */
	r = SYS5(clone, 0, 0, 0, 0, 0);
	if (r == 0) {
		(void)sys_close(fds[1]);
		mapper(identity, self, fds[0], envp);
	}
	(void)sys_close(fds[0]);
	if (r < 0) {
		(void)sys_close(fds[1]);
		return fail(ret_failure, STEP_PROCESS, "newuidmap", r);
	}
	*ret_mapper = (struct mapper){ .pid = (int)r, .go = fds[1] };
	return 0;
}

/* Lets the mapper do its work, or give up when this process has failed. Returns the bits of what it mapped. */
static int mapper_finish(const struct mapper *m, bool go)
{
	long status;

	if (go)
		(void)sys_write(m->go, "", 1);
	(void)sys_close(m->go);
	status = wait_for(m->pid);
	return status >= 0 && (status & 0x7f) == 0 ? (int)(status >> 8) : 0;
}

static int write_maps(const struct identity *identity, int mapped, struct failure *ret_failure)
{
	long r;

	if (!(mapped & MAPPED_GIDS)) {
		/* Linux 3.19 on: an ordinary user may map a group only after giving up setgroups(2). */
		r = write_text("/proc/self/setgroups", "deny");
		if (r < 0 && r != -ENOENT)
			return fail(ret_failure, STEP_SETGROUPS, "/proc/self/setgroups", r);
	}
	if (!(mapped & MAPPED_UIDS)) {
		r = write_single_map("/proc/self/uid_map", identity->inner_uid, identity->uid);
		if (r < 0)
			return fail(ret_failure, STEP_UID_MAP, "/proc/self/uid_map", r);
	}
	if (!(mapped & MAPPED_GIDS)) {
		r = write_single_map("/proc/self/gid_map", identity->inner_gid, identity->gid);
		if (r < 0)
			return fail(ret_failure, STEP_GID_MAP, "/proc/self/gid_map", r);
	}
	return 0;
}

int identity_enter(struct identity *identity, bool want_subuids, char *const *envp, struct failure *ret_failure)
{
	struct mapper m = { 0 };
	int mapped = 0;
	long r;

	if (want_subuids && mapper_start(identity, envp, &m, ret_failure) < 0)
		return (int)ret_failure->error;
	r = SYS1(unshare, CLONE_NEWUSER);
	if (want_subuids)
		mapped = mapper_finish(&m, r == 0);
	if (r < 0)
		return fail(ret_failure, STEP_USERNS, NULL, r);
	identity->subuids = mapped == (MAPPED_UIDS | MAPPED_GIDS);
	return write_maps(identity, mapped, ret_failure);
}

/* ---- before the command ---- */

static long drop_bounding_set(void)
{
	long r = 0;

	/* EINVAL: past the last capability that this kernel knows. */
	for (int cap = 0; r == 0 && cap < 64; cap++)
		r = SYS5(prctl, PR_CAPBSET_DROP, cap, 0, 0, 0);
	return r == -EINVAL ? 0 : r;
}

/* Sealed files are protected from their owner by their mode alone: calls/shared.c. */
static long drop_override(void)
{
	return SYS5(prctl, PR_CAPBSET_DROP, CAP_DAC_OVERRIDE, 0, 0, 0);
}

static long drop_capabilities(void)
{
	struct __user_cap_header_struct header = { .version = _LINUX_CAPABILITY_VERSION_3 };
	struct __user_cap_data_struct none[_LINUX_CAPABILITY_U32S_3] = { 0 };

	return SYS2(capset, &header, none);
}

static long set_ids(const struct plan *plan, const struct identity *identity)
{
	uint32_t uid = plan->has_uid ? plan->uid : identity->inner_uid;
	uint32_t gid = plan->has_gid ? plan->gid : identity->inner_gid;
	long r = 0;

	/* Groups that are not planned stay: they are nobody's inside, and still open the caller's shared files. */
	if (plan->has_groups)
		r = SYS2(setgroups, plan->n_groups, plan->groups);
	if (r == 0)
		r = SYS3(setresgid, gid, gid, gid);
	if (r == 0)
		r = SYS3(setresuid, uid, uid, uid);
	return r;
}

int identity_assume(const struct plan *plan, const struct identity *identity, struct failure *ret_failure)
{
	long r = !plan->pretend ? drop_bounding_set() : plan->shared ? drop_override() : 0;

	if (r < 0)
		return fail(ret_failure, STEP_IDENTITY, "capability bounding set", r);
	/* With a single id there is nothing to change to: the map itself gave the process its ids. */
	if (identity->subuids && !plan->identity_helper) {
		r = set_ids(plan, identity);
		if (r < 0)
			return fail(ret_failure, STEP_IDENTITY, "user and group ids", r);
	}
	if (!plan->pretend) {
		r = drop_capabilities();
		if (r < 0)
			return fail(ret_failure, STEP_IDENTITY, "capabilities", r);
	}
	/* A root with ids of its own has working set-id programs (su, sudo), as under any container runtime: they
	 * reach only the ids of the map. Everybody else has nothing to gain from them. */
	if (identity->subuids && plan->pretend)
		return 0;
	r = SYS5(prctl, PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
	return r < 0 ? fail(ret_failure, STEP_IDENTITY, "no_new_privs", r) : 0;
}
