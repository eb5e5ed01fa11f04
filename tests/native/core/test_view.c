/* The view, on the path vectors: each call is made through view_resolve() in the ways an engine makes it (cold and warm
 * cache, walker alone, without openat2, host strings), and, where this process may mount and chroot, by the kernel in a
 * chroot on the same trees. All must tell the same. Then what vectors cannot say: procfs, descriptors, chroot, the way
 * back. */
#define _GNU_SOURCE
#include "view.h"

#include <errno.h>
#include <signal.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "dircache.h"
#include "str.h"
#include "tap.h"
#include "vectors.h"
#include "walk.h"

static struct vectors t;
static struct scratch scratch;
static char message[16384];

/* How a call ended: the object it met or made, or an error. */
struct outcome {
	int error;
	unsigned long dev, ino;
};

/* ---- making calls ---- */

struct call {
	const char *name;
	unsigned want;
};

static const struct call calls[] = {
	{ "stat", WANT_FOLLOW },
	{ "lstat", 0 },
	{ "open", WANT_FOLLOW },
	{ "opennf", 0 },
	{ "write", WANT_FOLLOW | WANT_WRITE },
	{ "creat", WANT_FOLLOW | WANT_CREATE | WANT_WRITE },
	{ "excl", WANT_PARENT | WANT_CREATE | WANT_WRITE },
	{ "readlink", 0 },
	{ "touch", WANT_WRITE },
	{ "chdir", WANT_FOLLOW | WANT_STRING },
	{ "mkdir", WANT_PARENT | WANT_CREATE | WANT_WRITE },
	{ "symlink", WANT_PARENT | WANT_CREATE | WANT_WRITE },
	{ "rmdir", WANT_PARENT | WANT_WRITE },
	{ "unlink", WANT_PARENT | WANT_WRITE },
	{ "rename", WANT_PARENT | WANT_WRITE },
};

static const struct call *call_named(const char *name)
{
	for (size_t i = 0; i < sizeof(calls) / sizeof(*calls); i++)
		if (!strcmp(calls[i].name, name))
			return &calls[i];
	fprintf(stderr, "Bail out! unknown call %s\n", name);
	exit(1);
}

static struct outcome object_of(long err, int fd, const char *name, int flags)
{
	struct outcome o = { .error = err < 0 ? (int)-err : 0 };
	struct stat st;

	if (err < 0)
		return o;
	err = sys_fstatat(fd, name, &st, flags);
	o.error = err < 0 ? (int)-err : 0;
	o.dev = (unsigned long)st.st_dev;
	o.ino = (unsigned long)st.st_ino;
	return o;
}

static struct outcome open_object(int fd, const char *name, int flags)
{
	long opened = sys_openat(fd, name, flags | O_CLOEXEC | O_NONBLOCK, 0644);
	struct outcome o = object_of(opened, (int)opened, "", AT_EMPTY_PATH);

	if (opened >= 0)
		sys_close((int)opened);
	return o;
}

/* Makes the call, and with `nofollow` in a form that follows no final link. */
static struct outcome perform(const char *call, int fd, const char *name, bool nofollow)
{
	int open_flag = nofollow ? O_NOFOLLOW : 0, at_flag = nofollow ? AT_SYMLINK_NOFOLLOW : 0;
	char text[PATH_MAX];
	struct outcome o;
	long err = 0;

	if (!strcmp(call, "stat"))
		return object_of(0, fd, name, at_flag);
	if (!strcmp(call, "lstat"))
		return object_of(0, fd, name, AT_SYMLINK_NOFOLLOW);
	if (!strcmp(call, "open"))
		return open_object(fd, name, O_RDONLY | open_flag);
	if (!strcmp(call, "opennf"))
		return open_object(fd, name, O_RDONLY | O_NOFOLLOW);
	if (!strcmp(call, "write"))
		return open_object(fd, name, O_WRONLY | open_flag);
	if (!strcmp(call, "creat"))
		return open_object(fd, name, O_WRONLY | O_CREAT | open_flag);
	if (!strcmp(call, "excl"))
		return open_object(fd, name, O_WRONLY | O_CREAT | O_EXCL);
	if (!strcmp(call, "chdir")) {
		/* There is no form of chdir that does not follow. */
		o = nofollow ? open_object(fd, name, O_PATH | O_DIRECTORY | O_NOFOLLOW) : (struct outcome){ 0 };
		if (o.error)
			return o;
		err = fd == AT_FDCWD ? SYS1(chdir, name) : -EINVAL;
		return object_of(err, AT_FDCWD, ".", 0);
	}
	if (!strcmp(call, "readlink"))
		err = sys_readlinkat(fd, name, text, sizeof(text));
	else if (!strcmp(call, "touch"))
		err = SYS4(utimensat, fd, name, NULL, AT_SYMLINK_NOFOLLOW);
	else if (!strcmp(call, "mkdir"))
		err = SYS3(mkdirat, fd, name, 0755);
	else if (!strcmp(call, "symlink"))
		err = SYS3(symlinkat, "target", fd, name);
	else if (!strcmp(call, "rmdir"))
		err = SYS3(unlinkat, fd, name, AT_REMOVEDIR);
	else if (!strcmp(call, "unlink"))
		err = SYS3(unlinkat, fd, name, 0);
	else
		err = SYS5(renameat2, fd, name, fd, name, 0);
	return object_of(err, fd, name, AT_SYMLINK_NOFOLLOW);
}

/* Makes the call as an engine does. */
static struct outcome perform_in_view(const struct view *v, const struct here *here, const char *call, const char *path,
				      unsigned more)
{
	unsigned want = call_named(call)->want | more;
	struct where where;
	struct outcome o;
	int err;

	err = view_resolve(v, here, &scratch, AT_FDCWD, path, want, &where);
	if (err < 0)
		return (struct outcome){ .error = -err };
	if (!where.unverified)
		return perform(call, where.fd, where.name, !where.magic && !(want & WANT_PARENT));
	o = perform(call, where.fd, where.name, true);
	if (!strcmp(call, "stat") && !o.error) {
		char text[2];

		if (sys_readlinkat(where.fd, where.name, text, sizeof(text)) < 0)
			return o;
	} else if (o.error != ELOOP && !(o.error == ENOTDIR && !strcmp(call, "chdir"))) {
		return o;
	}
	err = view_resolve(v, here, &scratch, AT_FDCWD, path, want | WANT_WALK, &where);
	if (err < 0)
		return (struct outcome){ .error = -err };
	return perform(call, where.fd, where.name, !where.magic);
}

/* ---- comparing ---- */

static const struct {
	const char *name;
	int error;
} errors[] = {
	{ "ENOENT", ENOENT }, { "ENOTDIR", ENOTDIR }, { "EEXIST", EEXIST },   { "EISDIR", EISDIR },
	{ "ELOOP", ELOOP },   { "EINVAL", EINVAL },   { "EBUSY", EBUSY },     { "ENAMETOOLONG", ENAMETOOLONG },
	{ "EROFS", EROFS },   { "EACCES", EACCES },   { "ENOTEMPTY", ENOTEMPTY },
};

static struct outcome expected_of(const struct vector *vector)
{
	char path[8192];

	for (size_t i = 0; i < sizeof(errors) / sizeof(*errors); i++)
		if (!strcmp(errors[i].name, vector->expected))
			return (struct outcome){ .error = errors[i].error };
	snprintf(path, sizeof(path), "%s/%s", t.tmp, vector->expected);
	return object_of(0, AT_FDCWD, path, AT_SYMLINK_NOFOLLOW);
}

static bool same(struct outcome a, struct outcome b)
{
	return a.error == b.error && (a.error || (a.dev == b.dev && a.ino == b.ino));
}

static void describe(char *buf, size_t size, struct outcome o)
{
	if (o.error)
		snprintf(buf, size, "%s", strerror(o.error));
	else
		snprintf(buf, size, "%lu:%lu", o.dev, o.ino);
}

static bool makes(const struct vector *vector)
{
	return (call_named(vector->call)->want & WANT_CREATE) != 0;
}

/* Checks what a call came to. Undoes what it made. */
static void check(const struct vector *vector, const char *way, struct outcome got, bool existed)
{
	struct outcome expected = expected_of(vector);
	char path[8192], a[64], b[64];
	bool good = same(got, expected);

	describe(a, sizeof(a), got);
	describe(b, sizeof(b), expected);
	snprintf(message, sizeof(message), "%s, %s%s%s%s%s", way, vector->name, good ? "" : ": got ", good ? "" : a,
		 good ? "" : ", expected ", good ? "" : b);
	ok(good, message);
	if (makes(vector) && !existed && !expected.error) {
		snprintf(path, sizeof(path), "%s/%s", t.tmp, vector->expected);
		if (remove(path) < 0)
			perror(path);
	}
}

static bool exists(const struct vector *vector)
{
	return expected_of(vector).error == 0;
}

/* ---- the ways of an engine ---- */

static void make_view(struct view *v, struct dircache *cache)
{
	int root_fd = (int)sys_openat(AT_FDCWD, t.root, O_PATH | O_DIRECTORY | O_CLOEXEC, 0);

	if (view_init(v, root_fd, t.root, false) < 0)
		exit(1);
	for (size_t i = 0; i < t.n_binds; i++)
		if (view_add_bind(v, t.binds[i].guest, t.binds[i].source, t.binds[i].read_only) < 0)
			exit(1);
	v->cache = cache;
}

static uint64_t hash_of(const char *path)
{
	uint64_t hash = dircache_hash_root();

	while (*path == '/') {
		size_t n = strcspn(++path, "/");

		if (n)
			hash = dircache_hash_component(hash, path, n);
		path += n;
	}
	return hash;
}

static void go_to(const struct view *v, const char *guest)
{
	char host[PATH_MAX];

	if (view_host_path(v, strcmp(guest, ".") ? guest : "/", host, sizeof(host), NULL) < 0 || chdir(host) < 0) {
		perror(guest);
		exit(1);
	}
}

static void run_vectors(const struct view *v, const char *way, bool knows_cwd, unsigned more)
{
	for (size_t i = 0; i < t.n_vectors; i++) {
		const struct vector *vector = &t.vectors[i];
		struct here here = { .pid = getpid() };
		bool existed = exists(vector);
		struct outcome got;

		if (knows_cwd && strcmp(vector->cwd, ".")) {
			here.cwd = vector->cwd;
			here.cwd_hash = hash_of(vector->cwd);
		}
		go_to(v, vector->cwd);
		got = perform_in_view(v, &here, vector->call, vector->path, more);
		check(vector, way, got, existed);
	}
	if (chdir("/") < 0)
		exit(1);
}

static void test_vectors(void)
{
	struct dircache *cache = dircache_open(NULL);
	struct view v;
	pid_t child;
	int status;

	make_view(&v, NULL);
	run_vectors(&v, "walker", false, WANT_WALK);
	run_vectors(&v, "no cache", true, 0);
	run_vectors(&v, "no cache, unknown cwd", false, 0);
	run_vectors(&v, "string", true, WANT_STRING);
	v.cache = cache;
	run_vectors(&v, "cold cache", true, 0);
	run_vectors(&v, "warm cache", true, 0);
	run_vectors(&v, "warm cache, string", true, WANT_STRING);
	run_vectors(&v, "warm cache, unknown cwd", false, 0);
	run_vectors(&v, "walker with cache", false, WANT_WALK);
	fflush(stdout);
	child = fork();
	if (child == 0) {
		/* What the child finds wrong it prints; the exit status counts. */
		unsigned before = tap_failed;

		if (!vectors_deny_openat2())
			_exit(2);
		v.cache = dircache_open(NULL);
		run_vectors(&v, "no openat2", true, 0);
		run_vectors(&v, "no openat2, warm", true, 0);
		fflush(stdout);
		_exit(tap_failed != before);
	}
	waitpid(child, &status, 0);
	tap_count += 2 * (unsigned)t.n_vectors;
	if (WIFEXITED(status) && WEXITSTATUS(status) == 2)
		skip("without openat2", "no seccomp filters here");
	else
		ok(status == 0, "without openat2");
	sys_close(v.root_fd);
}

/* The kernel's own answers, from a process in a chroot with bind mounts. */
static void test_kernel(void)
{
	int pipes[2], status = 0;
	struct outcome got;
	pid_t child;

	if (pipe(pipes) < 0)
		exit(1);
	fflush(stdout);
	child = fork();
	if (child == 0) {
		int err = vectors_enter(&t);

		got = (struct outcome){ .error = -err };
		if (write(pipes[1], &got, sizeof(got)) < 0 || err)
			_exit(0);
		for (size_t i = 0; i < t.n_vectors; i++) {
			const struct vector *vector = &t.vectors[i];
			char go;

			if (!vector->kernel)
				continue;
			if (chdir(strcmp(vector->cwd, ".") ? vector->cwd : "/") < 0)
				_exit(1);
			got = perform(vector->call, AT_FDCWD, vector->path, false);
			if (write(pipes[1], &got, sizeof(got)) < 0)
				_exit(1);
			/* The parent undoes what was made before the next. */
			if (raise(SIGSTOP) < 0 || (go = 0))
				_exit(1);
		}
		_exit(0);
	}
	close(pipes[1]);
	if (read(pipes[0], &got, sizeof(got)) != sizeof(got))
		got.error = EIO;
	if (got.error) {
		skip("the kernel's answers", strerror(got.error));
		waitpid(child, &status, 0);
		close(pipes[0]);
		return;
	}
	for (size_t i = 0; i < t.n_vectors; i++) {
		const struct vector *vector = &t.vectors[i];
		static bool existed[4096];

		if (!vector->kernel)
			continue;
		existed[i] = makes(vector) && strstr(vector->expected, "new") ? false : true;
		if (read(pipes[0], &got, sizeof(got)) != sizeof(got)) {
			ok(false, "the kernel's answers: the child went away");
			break;
		}
		check(vector, "kernel", got, existed[i]);
		waitpid(child, &status, WUNTRACED);
		kill(child, SIGCONT);
	}
	close(pipes[0]);
	waitpid(child, &status, 0);
}

/* ---- what vectors cannot say ---- */

/* Whether `path` means the object at `expected` (beneath $TMP, or absolute), or fails with that error. */
static void expect_at(const struct view *v, const struct here *here, int dirfd, const char *path, unsigned want,
		      int error, const char *expected)
{
	struct outcome got = { 0 }, wanted = { .error = error };
	struct where where;
	char host[PATH_MAX], a[64];
	int err = view_resolve(v, here, &scratch, dirfd, path, want, &where);

	if (err >= 0 && where.unverified)
		err = view_resolve(v, here, &scratch, dirfd, path, want | WANT_WALK, &where);
	got.error = err < 0 ? -err : 0;
	if (!err)
		got = object_of(0, where.fd, where.name, (where.magic ? 0 : AT_SYMLINK_NOFOLLOW) | AT_EMPTY_PATH);
	if (!error) {
		snprintf(host, sizeof(host), "%s%s%s", *expected == '/' ? "" : t.tmp, *expected == '/' ? "" : "/",
			 expected);
		wanted = object_of(0, AT_FDCWD, host, AT_SYMLINK_NOFOLLOW);
	}
	describe(a, sizeof(a), got);
	snprintf(message, sizeof(message), "%.100s (want %x) is %s%s%s", path, want, error ? strerror(error) : expected,
		 same(got, wanted) ? "" : ": got ", same(got, wanted) ? "" : a);
	ok(same(got, wanted), message);
}

static void expect(const struct view *v, const struct here *here, const char *path, unsigned want, int error,
		   const char *expected)
{
	expect_at(v, here, AT_FDCWD, path, want, error, expected);
}

static int open_host(const char *path, int flags)
{
	char host[PATH_MAX];

	snprintf(host, sizeof(host), "%s/%s", t.tmp, path);
	return (int)sys_openat(AT_FDCWD, host, flags | O_CLOEXEC, 0600);
}

static const char *text(const char *format, int a, int b)
{
	static char buf[4][128];
	static unsigned next;

	next = (next + 1) % 4;
	snprintf(buf[next], sizeof(buf[next]), format, a, b);
	return buf[next];
}

static bool is_magic(const struct view *v, const struct here *here, const char *path, unsigned want)
{
	struct where where = { 0 };

	return view_resolve(v, here, &scratch, AT_FDCWD, path, want, &where) == 0 && where.magic;
}

static void test_proc(void)
{
	struct here here = { .pid = getpid(), .exe = "/file" }, unknown = { .pid = 0 }, another;
	int inside, outside, directory, secret_dir, pipes[2], self = getpid(), go[2];
	char exe[PATH_MAX], exe_dir[PATH_MAX], link[PATH_MAX];
	struct view v;
	pid_t child;
	long n;

	make_view(&v, dircache_open(NULL));
	if (access("/proc/self/fd", X_OK) < 0) {
		skip("procfs", "no /proc here");
		return;
	}
	ok(view_add_bind(&v, "/proc", "/proc", false) == 0, "bind /proc");
	inside = open_host("root/file", O_RDONLY);
	outside = open_host("host/secret", O_RDONLY);
	directory = open_host("root/usr", O_RDONLY | O_DIRECTORY);
	secret_dir = open_host("host", O_RDONLY | O_DIRECTORY);
	snprintf(link, sizeof(link), "%s/devfd", t.root);
	if (symlink("/proc/self/fd", link) < 0 || pipe(pipes) < 0 || pipe(go) < 0)
		exit(1);
	fflush(stdout);
	child = fork();
	if (child == 0) {
		close(go[1]);
		_exit(read(go[0], link, 1) != 0);
	}
	go_to(&v, "/usr");
	for (unsigned walk = 0; walk <= WANT_WALK; walk += WANT_WALK) {
		unsigned follow = WANT_FOLLOW | walk;

		expect(&v, &here, "/proc", follow, 0, "/proc");
		expect(&v, &here, "/proc/self", walk, 0, "/proc/self");
		expect(&v, &here, "/proc/uptime", follow, 0, "/proc/uptime");
		expect(&v, &here, "/proc/self/root", follow, 0, "root");
		expect(&v, &here, "/proc/self/root/", walk, 0, "root");
		expect(&v, &here, "/proc/self/root/etc/passwd", follow, 0, "root/etc/passwd");
		expect(&v, &here, "/proc/thread-self/root/etc/passwd", follow, 0, "root/etc/passwd");
		expect(&v, &here, "/proc/self/../self/root/abs/deep", follow, 0, "root/usr/lib/deep");
		expect(&v, &here, text("/proc/%d/task/%d/root/file", self, self), follow, 0, "root/file");
		expect(&v, &here, text("/proc/%d/root/file", (int)child, 0), follow, 0, "root/file");
		expect(&v, &here, "/proc/self/cwd", follow, 0, "root/usr");
		expect(&v, &here, "/proc/self/cwd/lib/deep", follow, 0, "root/usr/lib/deep");
		expect(&v, &here, "/proc/self/cwd/../etc/passwd", follow, 0, "root/etc/passwd");
		expect(&v, &here, "/proc/self/exe", follow, 0, "root/file");
		expect(&v, &here, "/proc/self/exe/x", follow, ENOTDIR, NULL);
		expect(&v, &here, "/proc/self/nothing", follow, ENOENT, NULL);
		expect(&v, &here, "/proc/nothing/x", follow, ENOENT, NULL);
		expect(&v, &here, text("/proc/self/fd/%d", inside, 0), follow, 0, "root/file");
		expect(&v, &here, text("/proc/self/fd/%d", outside, 0), follow, 0, "host/secret");
		expect(&v, &unknown, text("/devfd/%d", outside, 0), follow, 0, "host/secret");
		expect(&v, &here, text("/proc/self/fd/%d/", outside, 0), walk, EACCES, NULL);
		expect(&v, &here, text("/proc/self/fd/%d", v.root_fd, 0), follow, ENOENT, NULL);
		expect(&v, &here, text("/proc/self/fd/%d", v.root_fd, 0), walk, ENOENT, NULL);
		expect(&v, &here, text("/proc/self/fd/%d/..", v.root_fd, 0), follow, ENOENT, NULL);
		expect(&v, &here, text("/proc/self/fd/%d/lib/deep", directory, 0), follow, 0, "root/usr/lib/deep");
		expect(&v, &here, text("/proc/self/fd/%d/../etc/passwd", directory, 0), follow, 0, "root/etc/passwd");
		expect(&v, &here, text("/proc/self/fd/%d/secret", secret_dir, 0), follow, EACCES, NULL);
		expect(&v, &here, text("/proc/self/fd/%d/..", secret_dir, 0), follow, EACCES, NULL);
		expect(&v, &here, text("/proc/self/fd/%d/x", pipes[0], 0), follow, ENOTDIR, NULL);
		expect(&v, &here, "/proc/self/fd/9999", follow, ENOENT, NULL);
		ok(is_magic(&v, &here, text("/proc/self/fd/%d", pipes[0], 0), follow),
		   "a pipe's descriptor is followed by the kernel");
		ok(is_magic(&v, &here, "/proc/self/ns/mnt", follow), "a namespace is followed by the kernel");
		ok(!is_magic(&v, &here, "/proc/self/ns/mnt", walk), "but not by lstat");
		expect(&v, &here, text("/proc/%d/fd/%d", (int)child, inside), follow, 0, "root/file");
		expect(&v, &here, text("/proc/%d/fd/%d", (int)child, outside), follow, EACCES, NULL);
		expect(&v, &here, text("/proc/%d/fd/%d/secret", (int)child, secret_dir), follow, EACCES, NULL);
		ok(is_magic(&v, &here, text("/proc/%d/fd/%d", (int)child, pipes[0]), follow), "another's pipe");
	}
	/* For another process: what "self" is, and a descriptor of the number that the view's has here. */
	another = (struct here){ .pid = child, .exe = "/file" };
	expect(&v, &another, "/proc/self/fdinfo", WANT_WALK, 0, text("/proc/%d/fdinfo", (int)child, 0));
	expect(&v, &another, "/proc/thread-self", WANT_FOLLOW | WANT_WALK, 0,
	       text("/proc/%d/task/%d", (int)child, (int)child));
	expect(&v, &another, text("/devfd/%d", inside, 0), WANT_FOLLOW | WANT_WALK, 0, "root/file");
	expect(&v, &another, "/proc/self/exe", WANT_FOLLOW | WANT_WALK, 0, "root/file");
	expect(&v, &another, text("/proc/self/fd/%d", v.root_fd, 0), WANT_WALK, 0,
	       text("/proc/%d/fd/%d", (int)child, v.root_fd));
	/* The program of another process, where the view can show it. */
	n = readlink(text("/proc/%d/exe", (int)child, 0), exe, sizeof(exe) - 1);
	exe[n < 0 ? 0 : n] = '\0';
	expect(&v, &here, text("/proc/%d/exe", (int)child, 0), WANT_FOLLOW, EACCES, NULL);
	strcpy(exe_dir, exe);
	*strrchr(exe_dir, '/') = '\0';
	ok(view_add_bind(&v, exe_dir, exe_dir, true) == 0, "bind of the test's directory");
	expect(&v, &here, text("/proc/%d/exe", (int)child, 0), WANT_FOLLOW, 0, exe);
	expect(&v, &here, text("/proc/%d/exe", (int)child, 0), WANT_FOLLOW | WANT_WRITE, EROFS, NULL);
	if (chdir(t.tmp) < 0)
		exit(1);
	expect(&v, &here, "/proc/self/cwd", WANT_FOLLOW, ENOENT, NULL);
	close(go[1]);
	waitpid(child, NULL, 0);
	close(go[0]);
	close(pipes[0]);
	close(pipes[1]);
	close(inside);
	close(outside);
	close(directory);
	close(secret_dir);
	close(v.root_fd);
}

static void test_descriptors(void)
{
	struct here here = { .pid = getpid() };
	int usr, root, host, data, file, gone;
	char path[PATH_MAX];
	struct where where;
	struct view v;

	make_view(&v, dircache_open(NULL));
	snprintf(path, sizeof(path), "%s/gone", t.root);
	if (SYS3(mkdirat, AT_FDCWD, path, 0755) < 0)
		exit(1);
	usr = open_host("root/usr", O_PATH);
	root = open_host("root", O_PATH);
	host = open_host("host", O_PATH);
	data = open_host("host/data", O_PATH);
	file = open_host("root/file", O_PATH);
	gone = open_host("root/gone", O_PATH);
	rmdir(path);
	for (unsigned walk = 0; walk <= WANT_WALK; walk += WANT_WALK) {
		unsigned follow = WANT_FOLLOW | walk;

		expect_at(&v, &here, usr, "lib/deep", follow, 0, "root/usr/lib/deep");
		expect_at(&v, &here, usr, "uplib/er", follow, 0, "root/usr/lib/deep/er");
		expect_at(&v, &here, usr, "../etc/passwd", follow, 0, "root/etc/passwd");
		expect_at(&v, &here, usr, "../../../etc/passwd", follow, 0, "root/etc/passwd");
		expect_at(&v, &here, usr, "..", follow, 0, "root");
		expect_at(&v, &here, usr, ".", follow, 0, "root/usr");
		expect_at(&v, &here, usr, "/etc/passwd", follow, 0, "root/etc/passwd");
		expect_at(&v, &here, usr, "lib", walk | WANT_STRING, 0, "root/usr/lib");
		expect_at(&v, &here, usr, "nothing/x", follow, ENOENT, NULL);
		expect_at(&v, &here, root, "absfile", follow, 0, "root/etc/passwd");
		expect_at(&v, &here, root, "absfile", walk, 0, "root/absfile");
		expect_at(&v, &here, root, "mnt", follow, 0, "host/data");
		expect_at(&v, &here, root, "mnt/dir/file", follow, 0, "host/data/dir/file");
		expect_at(&v, &here, root, "mnt/sub/file", follow, 0, "host/nested/file");
		expect_at(&v, &here, root, "mnt", walk | WANT_PARENT | WANT_WRITE, EBUSY, NULL);
		expect_at(&v, &here, data, "sub/file", follow, 0, "host/nested/file");
		expect_at(&v, &here, data, "../file", follow, 0, "root/file");
		/* inherited from outside the view */
		expect_at(&v, &here, host, "secret", follow, 0, "host/secret");
		expect_at(&v, &here, host, "data/dir/file", follow, 0, "host/data/dir/file");
		expect_at(&v, &here, host, "data/abs", follow, EACCES, NULL);
		expect_at(&v, &here, host, "data/abs", walk, 0, "host/data/abs");
		expect_at(&v, &here, host, "data/abs/", walk, EACCES, NULL);
		expect_at(&v, &here, host, "data/dirlink/file", follow, EACCES, NULL);
		expect_at(&v, &here, host, "..", follow, EACCES, NULL);
		expect_at(&v, &here, host, "data/../../root/file", follow, EACCES, NULL);
		expect_at(&v, &here, host, "nothing/x", follow, ENOENT, NULL);
		/* no directories */
		expect_at(&v, &here, file, "x", follow, ENOTDIR, NULL);
		expect_at(&v, &here, file, "x/y", follow, ENOTDIR, NULL);
		expect_at(&v, &here, 9999, "x/y", follow, EBADF, NULL);
		expect_at(&v, &here, gone, "x/y", follow, ENOENT, NULL);
		expect_at(&v, &here, gone, "../etc", follow, 0, "root/etc");
		expect_at(&v, &here, gone, "../absfile", follow, 0, "root/etc/passwd");
		expect_at(&v, &here, gone, "..", follow, 0, "root");
		expect_at(&v, &here, gone, "../..", follow, 0, "root");
		/* the descriptor itself */
		expect_at(&v, &here, file, "", follow | WANT_EMPTY, 0, "root/file");
		expect_at(&v, &here, host, "", follow | WANT_EMPTY | WANT_STRING, 0, "host");
		expect_at(&v, &here, file, "", follow, ENOENT, NULL);
	}
	expect_at(&v, &here, 9999, "", WANT_EMPTY | WANT_STRING, ENOENT, NULL);
	ok(view_resolve(&v, &here, &scratch, usr, "lib", WANT_FOLLOW, &where) == 0 && where.fd == usr &&
		   where.unverified,
	   "a plain name is answered as it is");
	ok(view_path_of_fd(&v, usr, path, sizeof(path)) == 4 && !strcmp(path, "/usr"), "path of a descriptor");
	ok(view_path_of_fd(&v, root, path, sizeof(path)) == 1 && !strcmp(path, "/"), "path of the root");
	ok(view_path_of_fd(&v, host, path, sizeof(path)) == -EACCES, "path of a descriptor outside");
	ok(view_path_of_fd(&v, gone, path, sizeof(path)) == -ENOENT, "path of a removed directory");
	ok(view_path_of_fd(&v, 9999, path, sizeof(path)) == -EBADF, "path of no descriptor");
	ok(view_path_of_fd(&v, usr, path, 8) == -ENAMETOOLONG, "path of a descriptor, no room");
	close(usr);
	close(root);
	close(host);
	close(data);
	close(file);
	close(gone);
	close(v.root_fd);
}

static void test_unresolve(void)
{
	static const struct {
		const char *host, *guest; /* NULL = outside */
	} cases[] = {
		{ "/images/root", "/" },
		{ "/images/root/etc/passwd", "/etc/passwd" },
		{ "/images/root (deleted)", " (deleted)" },
		{ "/images/root/etc/x (deleted)", "/etc/x (deleted)" },
		{ "/images/rootless", NULL },
		{ "/images", NULL },
		{ "/", NULL },
		{ "/data", "/mnt" },
		{ "/data (deleted)", "/mnt (deleted)" },
		{ "/data/a/b", "/mnt/a/b" },
		{ "/database", NULL },
		{ "/data/deep/x", "/mnt/in/x" },
		{ "/a/file", "/etc/file" },
		{ "/a/file (deleted)", "/etc/file (deleted)" },
		{ "/home/u", "/home/u" },
		{ "/home/u/x", "/home/u/x" },
		{ "/home/u/images/r2", "/home/u/images/r2" },
		{ "/images/root/mnt/covered", "/mnt/covered" }, /* there is no better name */
		{ "/proc/self/fd/7", "/" },
		{ "/proc/self/fd/7/etc/x", "/etc/x" },
		{ "/proc/self/fd/77/x", NULL },
		{ "pipe:[1]", NULL },
		{ "(unreachable)/x", NULL },
		{ "socket:[1]", NULL },
	};
	char buf[PATH_MAX];
	struct view v;
	long n;

	(void)view_init(&v, 7, "/images/root/", false);
	(void)view_add_bind(&v, "/mnt", "/data", false);
	(void)view_add_bind(&v, "/mnt/in", "/data/deep", false);
	(void)view_add_bind(&v, "/etc/file", "/a/file", false);
	(void)view_add_bind(&v, "/home/u", "/home/u", false);
	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		n = view_unresolve(&v, cases[i].host, buf, sizeof(buf));
		snprintf(message, sizeof(message), "host's %s is %s", cases[i].host,
			 cases[i].guest ? cases[i].guest : "outside");
		ok(cases[i].guest ? n == (long)strlen(buf) && !strcmp(buf, cases[i].guest) : n == -ENOENT, message);
	}
	ok(view_unresolve(&v, "/data/a/b", buf, 8) == -ENAMETOOLONG, "no room for the NUL");
	ok(view_unresolve(&v, "/data/a/b", buf, 9) == 8, "just room");
	/* A root inside an identity bind: what another bind covers is reached by the longer way. */
	(void)view_init(&v, 7, "/home/u/root", false);
	(void)view_add_bind(&v, "/home/u", "/home/u", false);
	(void)view_add_bind(&v, "/proc", "/proc", false);
	n = view_unresolve(&v, "/home/u/root/etc", buf, sizeof(buf));
	ok(n > 0 && !strcmp(buf, "/etc"), "the root is the longer prefix");
	n = view_unresolve(&v, "/home/u/root/proc/x", buf, sizeof(buf));
	ok(n > 0 && !strcmp(buf, "/home/u/root/proc/x"), "a covered name is reached another way");
	/* The host's root as the guest's. */
	(void)view_init(&v, 7, "/", false);
	n = view_unresolve(&v, "/etc/passwd", buf, sizeof(buf));
	ok(n > 0 && !strcmp(buf, "/etc/passwd"), "everything is inside the host's root");
	n = view_unresolve(&v, "/", buf, sizeof(buf));
	ok(n == 1 && !strcmp(buf, "/"), "and so is the root");
	ok(view_host_path(&v, "/", buf, sizeof(buf), NULL) == 1 && !strcmp(buf, "/"), "its host path");
	ok(view_host_path(&v, "/etc", buf, sizeof(buf), NULL) == 4 && !strcmp(buf, "/etc"), "a host path in it");
}

static void test_building(void)
{
	static char names[VIEW_BINDS_MAX + 1][16];
	const struct bind *bind;
	char buf[PATH_MAX], arena[PATH_MAX];
	struct where where;
	struct view v;
	int err = 0;

	(void)view_init(&v, 7, "/r", true);
	ok(view_add_bind(&v, "/", "/x", false) == -EINVAL, "no bind on the root");
	ok(view_add_bind(&v, "a", "/x", false) == -EINVAL, "no relative target");
	ok(view_add_bind(&v, "/a/", "/x", false) == -EINVAL, "no target with a slash at its end");
	ok(view_add_bind(&v, "/a//b", "/x", false) == -EINVAL, "no target with an empty component");
	ok(view_add_bind(&v, "/a/./b", "/x", false) == -EINVAL, "no target with a dot");
	ok(view_add_bind(&v, "/a/..", "/x", false) == -EINVAL, "no target with dotdot");
	ok(view_add_bind(&v, "/a", "x", false) == -EINVAL, "no relative source");
	ok(view_add_bind(&v, "/a/..b/...", "/x", false) == 0 && v.n_binds == 1,
	   "but names that begin with dots");
	ok(view_add_bind(&v, "/a/..b/...", "/y", false) == 0 && v.n_binds == 1,
	   "the same target again replaces");
	ok(view_host_path(&v, "/a/..b/.../z", buf, sizeof(buf), &bind) == 4 && !strcmp(buf, "/y/z") && bind == v.binds,
	   "with the later source");
	ok(view_add_bind(&v, "/a", "/z/", false) == 0 && v.n_binds == 1, "a bind above covers");
	ok(view_host_path(&v, "/a/..b/.../z", buf, sizeof(buf), NULL) == 12 && !strcmp(buf, "/z/..b/.../z"),
	   "with its source");
	ok(view_add_bind(&v, "/ab", "/", false) == 0 && v.n_binds == 2, "a bind of the host's root");
	ok(view_host_path(&v, "/ab", buf, sizeof(buf), NULL) == 1 && !strcmp(buf, "/"), "is /");
	ok(view_host_path(&v, "/ab/c", buf, sizeof(buf), NULL) == 2 && !strcmp(buf, "/c"), "and beneath it");
	ok(view_host_path(&v, "/b/c", buf, 6, &bind) == -ENAMETOOLONG && !bind, "host path without room");
	ok(view_host_path(&v, "/b/c", buf, 7, NULL) == 6, "host path with just room");
	ok(view_maybe_mountpoint(&v, "ab", 2) && view_maybe_mountpoint(&v, "abc", 2), "the name of a mount point");
	ok(!view_maybe_mountpoint(&v, "zz", 2) && !view_maybe_mountpoint(&v, "", 0), "names of none");
	(void)view_init(&v, 7, "/r", false);
	for (unsigned i = 0; i <= VIEW_BINDS_MAX && !err; i++) {
		snprintf(names[i], sizeof(names[i]), "/m/%u", i * 7919 % 1000);
		err = view_add_bind(&v, names[i], "/x", false);
	}
	ok(err == -E2BIG && v.n_binds == VIEW_BINDS_MAX, "too many binds");
	for (unsigned i = 1; i < v.n_binds; i++)
		err = strcmp(v.binds[i - 1].guest, v.binds[i].guest) < 0 ? err : 0;
	ok(err == -E2BIG, "binds are sorted");
	/* chroot */
	(void)view_init(&v, 7, "/r", false);
	(void)view_add_bind(&v, "/jail", "/host/jail", true);
	(void)view_add_bind(&v, "/jail/dev", "/dev", false);
	(void)view_add_bind(&v, "/jailer", "/x", false);
	(void)view_add_bind(&v, "/proc", "/proc", false);
	ok(view_chroot(&v, "/jail", 8, "/host/jail", arena, 10) == -ENAMETOOLONG, "chroot without room");
	ok(view_chroot(&v, "/jail", 8, "/host/jail", arena, sizeof(arena)) == 0 && v.n_binds == 1 && v.root_fd == 8 &&
		   !strcmp(v.root, "/host/jail") && v.root != buf && v.root_read_only,
	   "chroot");
	ok(!strcmp(v.binds[0].guest, "/dev") && v.binds[0].identity && v.binds[0].guest_len == 4,
	   "a bind beneath stays");
	ok(view_maybe_mountpoint(&v, "dev", 3) && !view_maybe_mountpoint(&v, "jailer", 6), "and is still found");
	ok(view_host_path(&v, "/proc", buf, sizeof(buf), NULL) > 0 && !strcmp(buf, "/host/jail/proc"), "others go");
	ok(view_chroot(&v, "/", 9, "/host/jail", arena, sizeof(arena)) == 0 && v.n_binds == 1 && v.root_fd == 9,
	   "chroot to the root");
	/* no translation */
	(void)view_init(&v, -1, "", false);
	ok(view_resolve(&v, NULL, &scratch, 5, "/a/../b", WANT_FOLLOW, &where) == 0 && where.fd == 5 &&
		   !strcmp(where.name, "/a/../b") && !where.unverified,
	   "the kernel's view takes all as it is");
	ok(view_unresolve(&v, "/a/b", buf, sizeof(buf)) == 4, "and back");
}

/* What was a directory becomes a link that leads out of the root. */
static void test_changes(void)
{
	struct view v, other;
	struct here here = { .pid = getpid() };
	char path[PATH_MAX], moved[PATH_MAX];

	make_view(&v, dircache_open(NULL));
	expect(&v, &here, "/usr/lib/deep/er/file", WANT_FOLLOW, 0, "root/usr/lib/deep/er/file");
	view_changed(&v);
	snprintf(path, sizeof(path), "%s/usr/lib/deep", t.root);
	snprintf(moved, sizeof(moved), "%s/usr/lib/moved", t.root);
	if (rename(path, moved) < 0 || symlink("/../../../../../../../../../..", path) < 0)
		exit(1);
	view_changed(&v);
	expect(&v, &here, "/usr/lib/deep/etc/passwd", WANT_FOLLOW, 0, "root/etc/passwd");
	expect(&v, &here, "/usr/lib/moved/er/file", WANT_FOLLOW, 0, "root/usr/lib/moved/er/file");
	view_changed(&v);
	if (unlink(path) < 0 || rename(moved, path) < 0)
		exit(1);
	view_changed(&v);
	expect(&v, &here, "/usr/lib/deep/er/file", WANT_FOLLOW, 0, "root/usr/lib/deep/er/file");
	/* Views with other roots or binds share the file, not what it says. */
	other = v;
	ok(view_add_bind(&other, "/usr/lib", "/nowhere", false) == 0, "another view");
	expect(&other, &here, "/usr/lib/deep/er/file", WANT_FOLLOW, ENOENT, NULL);
	expect(&v, &here, "/usr/lib/deep/er/file", WANT_FOLLOW, 0, "root/usr/lib/deep/er/file");
	close(v.root_fd);
}

static struct outcome resolved(const struct view *v, int dirfd, const char *path, unsigned want)
{
	struct here here = { .pid = getpid() };
	struct where where;
	int err = view_resolve(v, &here, &scratch, dirfd, path, want, &where);

	return err < 0 ? (struct outcome){ .error = -err } : object_of(0, where.fd, where.name, AT_SYMLINK_NOFOLLOW);
}

/* Directories so deep that they have no path: two below `at`, which is deep itself. */
static void test_nameless(const struct view *v, int at)
{
	struct outcome at_path, at_one, at_two, link;
	char name[201];
	int one, two;

	memset(name, 'e', 200);
	name[200] = '\0';
	if (SYS3(mkdirat, at, name, 0755) < 0)
		exit(1);
	one = (int)sys_openat(at, name, O_RDONLY | O_DIRECTORY, 0);
	if (SYS3(mkdirat, one, "two", 0755) < 0 || SYS3(symlinkat, "two", one, "link") < 0)
		exit(1);
	two = (int)sys_openat(one, "two", O_RDONLY | O_DIRECTORY, 0);
	at_two = object_of(0, two, "", AT_EMPTY_PATH);
	at_one = object_of(0, one, "", AT_EMPTY_PATH);
	at_path = object_of(0, at, "", AT_EMPTY_PATH);
	link = object_of(0, one, "link", AT_SYMLINK_NOFOLLOW);
	for (unsigned walk = 0; walk <= WANT_WALK; walk += WANT_WALK) {
		unsigned follow = WANT_FOLLOW | walk;

		ok(same(resolved(v, one, "two", follow), at_two), "a name without a path");
		ok(same(resolved(v, two, "..", follow), at_one), "up, still without a path");
		ok(same(resolved(v, two, "../..", follow), at_path), "up, to a path");
		ok(same(resolved(v, two, "../two", follow), at_two), "up and down again");
		ok(same(resolved(v, two, "../link", walk), link), "a link there");
		ok(resolved(v, two, "../link", WANT_FOLLOW | WANT_WALK).error == ENAMETOOLONG,
		   "which cannot be followed");
		ok(resolved(v, two, "../missing/x", follow).error == ENOENT, "a name that is not there");
	}
	close(one);
	close(two);
}

/* Paths whose host string would be too long, a pipe on a read-only bind, a read-only root. */
static void test_rest(void)
{
	static char rel[PATH_MAX], path[PATH_MAX];
	struct here here = { .pid = getpid() };
	struct outcome got, wanted;
	struct where where;
	struct view v;
	int at, next;

	make_view(&v, dircache_open(NULL));
	/* $TMP/root and this are beyond PATH_MAX, /proc/self/fd/N and this are not. */
	at = (int)sys_openat(AT_FDCWD, t.root, O_RDONLY | O_DIRECTORY, 0);
	for (unsigned i = 0; i < 16; i++) {
		unsigned n = i < 15 ? 255 : PATH_MAX - 20 - 15 * 256;
		char name[256];

		memset(name, 'd', n);
		name[n] = '\0';
		if (SYS3(mkdirat, at, name, 0755) < 0)
			exit(1);
		next = (int)sys_openat(at, name, O_RDONLY | O_DIRECTORY, 0);
		close(at);
		at = next;
		strcat(rel, "/");
		strcat(rel, name);
	}
	wanted = object_of(0, at, "", AT_EMPTY_PATH);
	test_nameless(&v, at);
	close(at);
	for (unsigned walk = 0; walk <= WANT_WALK; walk += WANT_WALK) {
		got = (struct outcome){ .error = 1 };
		if (view_resolve(&v, &here, &scratch, AT_FDCWD, rel, WANT_STRING | walk, &where) == 0)
			got = object_of(where.fd == AT_FDCWD ? 0 : -1, AT_FDCWD, where.name, 0);
		ok(same(got, wanted) && !strncmp(where.name, "/proc/self/fd/", 14), "a string through /proc/self/fd");
	}
	snprintf(path, sizeof(path), "%s/host/ro/pipe", t.tmp);
	if (SYS4(mknodat, AT_FDCWD, path, 0010600, 0) < 0)
		exit(1);
	ok(view_resolve(&v, &here, &scratch, AT_FDCWD, "/ro/pipe", WANT_FOLLOW | WANT_WRITE, &where) == 0 &&
		   where.read_only,
	   "a pipe on a read-only bind may be opened for writing");
	ok(view_resolve(&v, &here, &scratch, AT_FDCWD, "/ro/pipe", WANT_WRITE, &where) == -EROFS, "but not touched");
	ok(view_resolve(&v, &here, &scratch, AT_FDCWD, "/ro/file", WANT_FOLLOW, &where) == 0 && where.read_only,
	   "a file on a read-only bind says so");
	v.root_read_only = v.any_read_only = true;
	expect(&v, &here, "/usr/new", WANT_FOLLOW | WANT_WRITE | WANT_CREATE, EROFS, NULL);
	expect(&v, &here, "/usr", WANT_PARENT | WANT_WRITE | WANT_CREATE, EEXIST, NULL);
	expect(&v, &here, "/usr/lib", WANT_PARENT | WANT_WRITE, EROFS, NULL);
	expect(&v, &here, "/mnt/file", WANT_FOLLOW | WANT_WRITE, 0, "host/data/file");
	go_to(&v, "/usr");
	expect(&v, &here, "lib", WANT_PARENT | WANT_WRITE, EROFS, NULL);
	close(v.root_fd);
	/* The host's root as the guest's, without binds. Opened in a way that qemu's user mode does not redirect. */
	snprintf(path, sizeof(path), "%s/../../../../../../../../../../../..", t.root);
	(void)view_init(&v, (int)sys_openat(AT_FDCWD, path, O_PATH, 0), "/", false);
	v.cache = dircache_open(NULL);
	snprintf(path, sizeof(path), "%s/root/lib/deep/er/file", t.tmp);
	expect(&v, &here, path, WANT_FOLLOW, 0, path);
	snprintf(path, sizeof(path), "%s/root/usr/lib/deep/er/file", t.tmp);
	expect(&v, &here, path, WANT_FOLLOW, 0, path);
	expect(&v, &here, path, WANT_FOLLOW, 0, path);
	expect(&v, &here, path, WANT_FOLLOW | WANT_STRING, 0, path);
	snprintf(path, sizeof(path), "%s/../../../../../../../../../../../..", t.root);
	expect(&v, &here, "../../../../../../../../../..", WANT_FOLLOW, 0, path);
	if (access("/proc/self/fd", X_OK) == 0) {
		expect(&v, &here, "/proc/self/cwd", WANT_FOLLOW, 0, text("root/usr", 0, 0));
		expect(&v, &here, text("/proc/self/fd/%d", v.root_fd, 0), WANT_FOLLOW, ENOENT, NULL);
	}
	close(v.root_fd);
}

/* The kernel's view, as inside a mount namespace: all is as it stands but the program and binds by descriptor. */
static void test_kernels_view(void)
{
	struct here here = { .pid = getpid() };
	char program[PATH_MAX], target[PATH_MAX], source[64], path[PATH_MAX];
	struct where where;
	struct view v;
	int fd = open_host("host/data/file", O_PATH), root = open_host("root", O_PATH | O_DIRECTORY);

	snprintf(program, sizeof(program), "%s/host/data/file", t.tmp);
	snprintf(target, sizeof(target), "%s/root/usr/shown", t.tmp);
	snprintf(source, sizeof(source), "/proc/self/fd/%d", fd);
	here.exe = program;
	(void)view_init(&v, -1, "", false);
	ok(view_add_bind(&v, target, source, true) == 0, "a bind by descriptor");
	ok(view_resolve(&v, &here, &scratch, root, "usr/lib", 0, &where) == 0 && where.fd == root && !where.magic &&
		   !strcmp(where.name, "usr/lib"),
	   "a path is right as it stands");
	ok(view_resolve(&v, &here, &scratch, root, "lib", WANT_FOLLOW, &where) == 0 && where.magic,
	   "the kernel follows its links");
	if (access("/proc/self/fd", X_OK) == 0) {
		expect(&v, &here, target, WANT_FOLLOW, 0, "host/data/file");
		expect(&v, &here, target, 0, 0, "host/data/file");
		expect_at(&v, &here, root, "usr/../usr/./shown", WANT_FOLLOW, 0, "host/data/file");
		snprintf(path, sizeof(path), "%s/root/usr/lib/shown", t.tmp);
		expect(&v, &here, path, WANT_FOLLOW, ENOENT, NULL);
		expect(&v, &here, "/proc/self/exe", WANT_FOLLOW, 0, "host/data/file");
		expect(&v, &here, "/proc/self/task/../exe", WANT_FOLLOW, 0, "host/data/file");
		ok(view_resolve(&v, &here, &scratch, AT_FDCWD, "/proc/thread-self/../../exe", 0, &where) == 0 &&
			   str_has_prefix(where.name, "/proc/", 6) && !where.magic,
		   "a link that is not followed has its own name");
	}
	ok(view_resolve(&v, &here, &scratch, root, "none/exe", WANT_FOLLOW, &where) == 0 && where.fd == root,
	   "what is not there is the kernel's to say");
	close(fd);
	close(root);
}

int main(int argc, char **argv)
{
	char tsv[PATH_MAX];

	snprintf(tsv, sizeof(tsv), "%s", __FILE__);
	strcpy(strrchr(tsv, '/'), "/../../vectors/resolve.tsv");
	vectors_load(&t, argc > 1 ? argv[1] : tsv);
	test_vectors();
	test_kernel();
	test_proc();
	test_descriptors();
	test_unresolve();
	test_building();
	test_changes();
	test_rest();
	test_kernels_view();
	if (chdir("/") < 0)
		return 1;
	vectors_remove(&t);
	return done();
}
