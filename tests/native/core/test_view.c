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
		if (view_add_bind(v, t.binds[i].guest, t.binds[i].source, t.binds[i].read_only, t.binds[i].is_file) < 0)
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

int main(int argc, char **argv)
{
	char tsv[PATH_MAX];

	snprintf(tsv, sizeof(tsv), "%s", __FILE__);
	strcpy(strrchr(tsv, '/'), "/../../vectors/resolve.tsv");
	vectors_load(&t, argc > 1 ? argv[1] : tsv);
	test_vectors();
	test_kernel();
	vectors_remove(&t);
	return done();
}
