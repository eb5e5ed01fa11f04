/* The program that holds guests: starts a container's first program (launch), and each further one of it (resume). */
#include <asm/statfs.h>
#include <linux/errno.h>
#include <linux/magic.h>
#include <linux/mman.h>
#include <linux/prctl.h>
#include <linux/resource.h>

#include "launch/report.h"
#include "loader/loader.h"
#include "calls.h"

#define PR_CAPBSET_READ_NR 23
#define SIGSTACK_EXTRA 16384
#define ROOT_FD_MAX 4095 /* fork(2) copies the table of descriptors up to the highest */
#define PLACED_MAX 4	 /* at once, and a few that somebody else has there */
#define ST_RDONLY 1
#define HINT_HELP "see the plan words in docs/reference/plan.md"

static struct plan plan;
static struct view view;
static SELDOM char words_arena[65536];

int helper_main(long *stack);

/* ---- environment of the first program ---- */

static char **find_env(char **envp, const char *name)
{
	size_t n = strlen(name);

	for (; *envp; envp++)
		if (str_has_prefix(*envp, name, n) && (*envp)[n] == '=')
			return envp;
	return NULL;
}

static void unset_env(char **envp, const char *name)
{
	char **at = find_env(envp, name);

	if (!at)
		return;
	do
		at[0] = at[1];
	while (*at++);
}

/* Applies the plan's changes; returns the new list. `arena` keeps the strings. */
static char **change_env(char **envp, char **list, size_t list_size, char *arena, size_t size)
{
	size_t n = 0, used = 0;

	for (; !plan.clear_env && envp[n] && n + PLAN_ENV_MAX + 1 < list_size; n++)
		list[n] = envp[n];
	list[n] = NULL;
	for (unsigned i = 0; i < plan.n_env; i++) {
		const char *name = plan.env[i].name, *value = plan.env[i].value;
		char *text = arena + used;
		long len;

		unset_env(list, name);
		if (!value)
			continue;
		len = str_copy(text, size - used, name);
		if (len >= 0)
			len = str_append(text, size - used, (size_t)len, "=");
		if (len >= 0)
			len = str_append(text, size - used, (size_t)len, value);
		if (len < 0)
			die(EXIT_UDOCKPY, "environment", name, len, NULL);
		used += (size_t)len + 1;
		for (n = 0; list[n]; n++)
			;
		list[n] = text;
		list[n + 1] = NULL;
	}
	return list;
}

/* ---- what both ways share ---- */

static void set_up_view(int root_fd)
{
	int r;

	if (plan.rootfs)
		r = view_init(&view, root_fd, str_eq(plan.rootfs, "/") ? "" : plan.rootfs, plan.read_only);
	else
		r = view_init(&view, -1, "", false);
	for (unsigned i = 0; r >= 0 && i < plan.n_binds; i++) {
		const struct plan_bind *b = &plan.binds[i];

		/* A source that is gone still covers its target: what lies there is then ENOENT. */
		r = view_add_bind(&view, b->target, str_eq(b->source, "/") ? "" : b->source, b->read_only);
		if (r < 0)
			die(EXIT_UDOCKPY, "bind", b->target, r, NULL);
	}
	if (r < 0)
		die(EXIT_UDOCKPY, "rootfs", plan.rootfs, r, NULL);
	if (plan.rootfs)
		view.cache = dircache_open(plan.cache);
	process_first()->view = &view;
}

static void hide(int fd)
{
	int end = engine.hidden + engine.n_hidden;

	if (!engine.n_hidden) {
		engine.hidden = fd;
		end = fd + 1;
	}
	engine.hidden = fd < engine.hidden ? fd : engine.hidden;
	engine.n_hidden = (fd >= end ? fd + 1 : end) - engine.hidden;
}

static const char by_fd[] = "/proc/self/fd/";

/* The descriptor that `path` names, or -1. */
static int named_fd(const char *path)
{
	uint64_t fd;

	if (!path || !str_has_prefix(path, by_fd, sizeof(by_fd) - 1) || !str_to_u64(path + sizeof(by_fd) - 1, &fd))
		return -1;
	return (int)fd;
}

static void hide_named(const char *path)
{
	int fd = named_fd(path);

	if (fd >= 0)
		hide(fd);
}

static void hide_descriptors(void)
{
	if (plan.rootfs) {
		engine.hidden = engine.root_fd;
		engine.n_hidden = 1;
		hide_named(plan.hold);
		return;
	}
	hide_named(plan.hold);
	hide_named(plan.fakedb);
	hide_named(plan.cache);
	for (unsigned i = 0; i < plan.n_binds; i++)
		hide_named(plan.binds[i].source);
	if (engine.self_fd)
		hide(engine.self_fd);
}

/* What the kernel shows a container's files through. */
static void look_at_root(void)
{
	struct statfs fs;
	struct statx stx;

	if (SYS2(statfs, "/", &fs) < 0 || sys_statx(AT_FDCWD, "/", 0, STATX_BASIC_STATS, &stx) < 0)
		return;
	engine.read_only = fs.f_flags & ST_RDONLY;
	engine.overlay = (unsigned long)fs.f_type == OVERLAYFS_SUPER_MAGIC;
	if (!engine.overlay)
		return;
	/* The database is that of the file system beneath, whose inode numbers these are. */
	engine.db.dev_major = stx.stx_dev_major;
	engine.db.dev_minor = stx.stx_dev_minor;
}

static void set_up_engine(void)
{
	engine.pretend = plan.pretend;
	engine.owners = plan.owners;
	engine.shared = plan.shared;
	engine.translate = plan.rootfs != NULL;
	engine.uid = (uint32_t)arch_syscall3(ARCH_ID_CALL(getuid), 0, 0, 0);
	engine.gid = (uint32_t)arch_syscall3(ARCH_ID_CALL(getgid), 0, 0, 0);
	engine.cache_path = plan.cache;
	engine.db_path = plan.fakedb;
	engine.hold_path = plan.hold;
	engine.patch = true;
	engine.has_openat2 = sys_openat2(-1, "", 0, 0, 0) != -ENOSYS;
	if (plan.fakedb) {
		int r = fakedb_open(&engine.db, plan.fakedb, true, false);

		if (r < 0)
			die(EXIT_UDOCKPY, "fakedb", plan.fakedb, r, "check the permissions of the state directory");
	}
	if (engine.shared && !engine.translate)
		look_at_root();
}

/* ---- launch ---- */

static unsigned last_capability(void)
{
	unsigned cap = 0;

	while (cap < 63 && SYS5(prctl, PR_CAPBSET_READ_NR, cap + 1, 0, 0, 0) >= 0)
		cap++;
	return cap;
}

/* Moves `fd` to `number` when that is free. Returns whether it did. */
static bool move_to(int fd, long number)
{
	if (sys_fcntl((int)number, F_GETFD, 0) != -EBADF || fd_place(fd, (int)number) != number)
		return false;
	(void)sys_close(fd);
	return true;
}

/* Moves `fd` to a number that programs do not use: one of the first beyond the soft limit of open files, where the
 * kernel itself refuses them dup2(2), or below it where that is the hard limit, too. Returns the number. */
static int place_beyond(int fd)
{
	struct rlimit64 limit = { 0 };
	long soft, number;

	(void)SYS4(prlimit64, 0, RLIMIT_NOFILE, NULL, &limit);
	soft = limit.rlim_cur < ROOT_FD_MAX ? (long)limit.rlim_cur : ROOT_FD_MAX;
	for (number = soft; number < soft + PLACED_MAX; number++)
		if (move_to(fd, number))
			return (int)number;
	for (number = soft - 1; number > fd; number--)
		if (move_to(fd, number))
			return (int)number;
	return fd;
}

/* In the kernel's view it was moved already. */
static void move_hold(void)
{
	static char path[sizeof(by_fd) + 20];
	int fd = named_fd(plan.hold);
	long n;

	if (fd < 0 || !plan.rootfs)
		return;
	n = str_copy(path, sizeof(path), by_fd);
	path[n + str_from_u64(path + n, (uint64_t)place_beyond(fd))] = '\0';
	plan.hold = engine.hold_path = path;
}

static int open_root(void)
{
	long fd = sys_openat(AT_FDCWD, plan.rootfs, O_PATH | O_DIRECTORY, 0);

	if (fd < 0)
		die(EXIT_UDOCKPY, "rootfs", plan.rootfs, fd, "it must be a directory that you may search");
	return place_beyond((int)fd);
}

/* In the kernel's view the guest's chroot(2) is the real one, behind which there may be no /proc to start from. */
static void keep_engine(void)
{
	long fd = sys_openat(AT_FDCWD, "/proc/self/exe", O_PATH, 0);
	int next = engine.hidden + engine.n_hidden;

	if (fd < 0)
		return;
	if (engine.n_hidden && sys_fcntl(next, F_GETFD, 0) == -EBADF && fd_place((int)fd, next) == next)
		(void)sys_close((int)fd);
	else
		next = place_beyond((int)fd);
	engine.self_fd = next;
	hide(next);
}

static void set_up_identity(void)
{
	struct process *p = process_first();
	long mask = SYS1(umask, 022);
	uint32_t groups[PLAN_GROUPS_MAX];
	unsigned n = plan.n_groups;

	(void)SYS1(umask, mask);
	p->umask = (uint32_t)mask;
	engine.last_cap = last_capability();
	memcpy(groups, plan.groups, sizeof(groups));
	if (plan.pretend) {
		creds_init(&p->creds, plan.has_uid ? plan.uid : 0, plan.has_gid ? plan.gid : 0, groups, n,
			   engine.last_cap);
		/* The owner must keep access to what it makes; what the guest asks for is remembered. */
		(void)SYS1(umask, mask & ~0700);
	} else {
		creds_init(&p->creds, engine.uid, engine.gid, groups, 0, engine.last_cap);
	}
}

static void change_directory(void)
{
	const struct process *p = process_first();
	struct scratch *s = scratch_get();
	struct where w;
	long r;

	/* Without one the caller's own directory stays, if the guest has it. */
	if (!plan.chdir &&
	    (!plan.rootfs || (s && view_path_of_fd(p->view, AT_FDCWD, s->canon, sizeof(s->canon)) >= 0))) {
		scratch_put(s);
		return;
	}
	if (!plan.chdir)
		plan.chdir = "/";
	r = s ? path_resolve_at(p, s, AT_FDCWD, plan.chdir, WANT_FOLLOW | WANT_STRING, &w) : -ENOMEM;
	if (r >= 0)
		r = SYS1(chdir, w.name);
	if (r < 0)
		die_of_workdir(plan.chdir, r);
	scratch_put(s);
}

/* execvp(3) inside the guest. Returns only when nothing could be started. */
static long start_program(char **command, char **envp, char *buf, size_t size)
{
	const char *name = command[0], *path = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
	char **env = find_env(envp, "PATH");
	long r, worst = -ENOENT;

	for (const char *s = name; *s; s++)
		if (*s == '/')
			return program_start(name, command, envp);
	if (!*name)
		return -ENOENT;
	if (env)
		path = *env + 5;
	while (*path) {
		size_t n = 0;

		while (path[n] && path[n] != ':')
			n++;
		if (n + strlen(name) + 2 < size) {
			memcpy(buf, path, n);
			buf[n] = '/';
			(void)str_copy(buf + n + (n > 0), size - n - 1, name);
			r = program_start(buf, command, envp);
			if (r != -ENOENT && r != -ENOTDIR && worst == -ENOENT)
				worst = r;
			if (r != -ENOENT && r != -ENOTDIR && r != -EACCES)
				return r;
		}
		path += n + (path[n] == ':');
	}
	return worst;
}

static _Noreturn void launch(char **envp)
{
	static SELDOM char *list[8192];
	static SELDOM char arena[131072], name[PATH_MAX];
	char **env;
	long r;

	if (!plan.n_command)
		die(EXIT_UDOCKPY, "no command", NULL, 0, HINT_HELP);
	engine.root_fd = -1;
	set_up_engine();
	move_hold();
	if (plan.rootfs)
		engine.root_fd = open_root();
	set_up_view(engine.root_fd);
	hide_descriptors();
	if (!plan.rootfs)
		keep_engine();
	set_up_identity();
	env = change_env(envp, list, sizeof(list) / sizeof(list[0]), arena, sizeof(arena));
	change_directory();
	front_end.intercept();
	r = start_program(plan.command, env, name, sizeof(name));
	if (r == -EPERM)
		die(EXIT_NOT_EXECUTABLE, "cannot run", plan.command[0], r,
		    "it is a program of another word size: use --engine ptrace or userns");
	die_of_command(plan.command[0], r);
}

/* ---- resume ---- */

static void restore_root(int fd)
{
	long r;

	if (!plan.rootfs || sys_fcntl(fd, F_GETFD, 0) >= 0)
		return;
	r = sys_openat(AT_FDCWD, plan.rootfs, O_PATH | O_DIRECTORY, 0);
	if (r < 0)
		die(EXIT_UDOCKPY, "rootfs", plan.rootfs, r, NULL);
	if (r == fd)
		return;
	if (fd_place((int)r, fd) < 0)
		die(EXIT_UDOCKPY, "rootfs descriptor", plan.rootfs, -EMFILE, NULL);
	(void)sys_close((int)r);
}

static _Noreturn void resume(char **envp)
{
	struct process *p = process_first();
	struct resume_state state;
	struct loader_request request;
	struct loader_image image;
	int r;

	(void)envp;
	if (resume_decode(plan.resume, &state) < 0 || creds_decode(&p->creds, state.creds) < 0 || plan.n_command < 2)
		die(EXIT_UDOCKPY, "damaged hand-over", plan.resume, -EINVAL, NULL);
	engine.root_fd = state.root_fd;
	engine.self_fd = state.self_fd;
	set_up_engine();
	restore_root(state.root_fd);
	set_up_view(state.root_fd);
	hide_descriptors();
	ids_publish(&p->creds);
	p->umask = state.umask;
	p->seccomp = state.seccomp;
	engine.exe = plan.command[0];
	r = front_end.prepare(&state);
	if (r < 0)
		die(EXIT_UDOCKPY, "cannot prepare", engine.exe, r, NULL);
	request = (struct loader_request){
		.exe_fd = state.exe_fd,
		.interp_fd = state.interp_fd,
		.argv = plan.command + 2,
		.exe_guest = engine.exe,
		.execfn = plan.command[1],
		.flags = state.flags,
		.secure = state.secure,
		.has_ids = plan.pretend,
		.uid = p->creds.ruid,
		.euid = p->creds.euid,
		.gid = p->creds.rgid,
		.egid = p->creds.egid,
		.sigstack_extra = SIGSTACK_EXTRA,
		.code_mapped = front_end.code_mapped,
	};
	r = loader_load(&request, &image);
	if (r < 0)
		die(EXIT_NOT_EXECUTABLE, "cannot load", engine.exe, r, NULL);
	if (state.flags & EXEC_FLAG_GO) {
		engine.no_patch_start = image.exe_start;
		engine.no_patch_end = image.exe_end;
	}
	loader_jump(image.entry, image.sp);
}

/* Tries what all engines that answer calls need, then what this one needs. statx(2) is as old as Linux 4.11, and some
 * container runtimes refuse what they do not know. */
static void probe(void)
{
	struct statx stx;
	long r = sys_statx(AT_FDCWD, "/", 0, STATX_TYPE, &stx);

	if (r < 0)
		probe_end("statx", r);
	front_end.probe();
}

int helper_main(long *stack)
{
	char **argv = (char **)(stack + 1), **envp = argv + stack[0] + 1;
	struct plan_error error = { 0 };
	int r;

	if (stack[0] == 2 && str_eq(argv[1], "--probe")) {
		engine.root_fd = -1;
		probe();
	}
	r = plan_parse(argv, words_arena, sizeof(words_arena), &plan, &error);
	if (r < 0)
		die(EXIT_UDOCKPY, error.word ? error.word : "plan", error.message, 0, HINT_HELP);
	report_probe_memory(plan.probe_memory);
	if (plan.resume)
		resume(envp);
	if (!front_end.intercept)
		die(EXIT_UDOCKPY, "cannot start a guest", NULL, 0, "another helper does, and has this one go on");
	launch(envp);
}
