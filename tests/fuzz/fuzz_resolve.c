/* Fuzz target: on the trees of the path vectors, the fast tiers (with a cache that stays warm) must answer as the
 * walker without one, and without binds both as the kernel's RESOLVE_IN_ROOT. Inputs are turned into paths of names
 * that exist in the trees; some rename a directory away and put a link in its place. */
#include "view.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "dircache.h"
#include "vectors.h"

#ifndef RESOLVE_IN_ROOT
#define RESOLVE_IN_ROOT 0x10
#endif

static struct vectors t;
static struct view binds, plain; /* the guest's view; the same without binds */
static struct dircache *cache;
static struct scratch scratch;
static bool swapped;

static const char *const tokens[] = {
	"/",	     "/",	 "/",	      "/",	   "/",	      "//",	    ".",	 "..",
	"usr",	     "lib",	 "deep",      "er",	   "file",    "etc",	    "passwd",	 "mnt",
	"sub",	     "dir",	 "abs",	      "rel",	   "loop1",   "self",	    "up",	 "uplib",
	"rootlink",  "slashes",	 "dotlink",   "dotdot",	   "ro",      "link",	    "out",	 "bound",
	"nested",    "nothing",	 "dangling",  "danglenew", "absent",  "target",	    "linkmount", "to-mnt",
	"dirlink",   "inner",	 "chain7",    "chain40",   "chain41", "dirchain20", "fileslash", "slashlink",
	"through",   "escape",	 "empty",     "hidden",	   "to-ro",   "swap",	    "swap/lib",	 "filelink",
	"to-nested", "mnt-link", "/identity", "/ghost",	   "...",     "../",	    "./",	 "/../",
};

static const char *const cwds[] = { "/",	"/usr", "/usr/lib/deep", "/mnt", "/mnt/dir",
				    "/mnt/sub", "/ro",	"/empty",	 NULL,	 NULL };
static char cwd_identity[512], cwd_inner[512];

static struct outcome {
	int error;
	bool missing; /* not there, but its directory (dev, ino) is */
	unsigned long dev, ino;
	char name[NAME_MAX + 1];
} outcomes[2];

static _Noreturn void die(const char *what)
{
	perror(what);
	abort();
}

static void tidy(void)
{
	if (chdir("/") == 0)
		vectors_remove(&t);
}

static const char *in_tmp(const char *name)
{
	static char paths[4][512];
	static unsigned next;

	next = (next + 1) % 4;
	snprintf(paths[next], sizeof(paths[next]), "%s/%s", t.tmp, name);
	return paths[next];
}

int LLVMFuzzerInitialize(int *argc, char ***argv);
int LLVMFuzzerTestOneInput(const unsigned char *data, size_t size);

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
	char tsv[PATH_MAX];

	(void)argc;
	(void)argv;
	snprintf(tsv, sizeof(tsv), "%s", __FILE__);
	strcpy(strrchr(tsv, '/'), "/../vectors/resolve.tsv");
	vectors_load(&t, tsv);
	(void)atexit(tidy);
	if (SYS3(mkdirat, AT_FDCWD, in_tmp("root/swap"), 0755) < 0 ||
	    SYS3(mkdirat, AT_FDCWD, in_tmp("root/swap/lib"), 0755) < 0 ||
	    SYS3(symlinkat, "mnt/../abs/..", AT_FDCWD, in_tmp("root/swapped")) < 0)
		die("swap");
	cache = dircache_open(NULL);
	(void)view_init(&plain, (int)sys_openat(AT_FDCWD, t.root, O_PATH | O_DIRECTORY, 0), t.root, false);
	binds = plain;
	for (size_t i = 0; i < t.n_binds; i++)
		if (view_add_bind(&binds, t.binds[i].guest, t.binds[i].source, t.binds[i].read_only) < 0)
			die("bind");
	snprintf(cwd_identity, sizeof(cwd_identity), "%s/identity/dir", t.tmp);
	snprintf(cwd_inner, sizeof(cwd_inner), "%s/identity/inner", t.tmp);
	return 0;
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

/* A directory becomes a link, or again a directory. */
static void swap(void)
{
	static const char *const names[] = { "root/swap", "root/swapped" };
	struct view v = binds;

	v.cache = cache;
	view_changed(&v);
	if (SYS5(renameat2, AT_FDCWD, in_tmp(names[0]), AT_FDCWD, in_tmp(names[1]), 2 /* RENAME_EXCHANGE */) < 0)
		die("renameat2");
	view_changed(&v);
	swapped = !swapped;
}

/* What (fd, name) is; a name that is not there is told by its directory. */
static void look(struct outcome *o, int fd, const char *name, int flags)
{
	char parent[PATH_MAX];
	struct stat st;
	size_t n;
	long err = sys_fstatat(fd, name, &st, flags);

	if (err == -ENOENT) {
		snprintf(parent, sizeof(parent), "%s", name);
		n = strlen(parent);
		if (n && parent[n - 1] != '/') {
			while (n > 0 && parent[n - 1] != '/')
				n--;
			strcpy(parent + n, ".");
			if (sys_fstatat(fd, parent, &st, 0) == 0) {
				snprintf(o->name, sizeof(o->name), "%s", name + n);
				o->missing = true;
				err = 0;
			}
		}
	}
	o->error = (int)-err;
	if (!err) {
		o->dev = (unsigned long)st.st_dev;
		o->ino = (unsigned long)st.st_ino;
	}
}

static void ask(struct outcome *o, const struct view *v, const struct here *here, int dirfd, const char *path,
		unsigned want)
{
	struct where where;
	char byte;
	int err;

	memset(o, 0, sizeof(*o));
	memset(&where, 0xee, sizeof(where));
	err = view_resolve(v, here, &scratch, dirfd, path, want, &where);
	if (!err && where.unverified && sys_readlinkat(where.fd, where.name, &byte, 1) >= 0)
		err = view_resolve(v, here, &scratch, dirfd, path, want | WANT_WALK, &where);
	o->error = -err;
	if (!err && (want & WANT_STRING) && where.fd != AT_FDCWD && where.name[0] != '/')
		die("not a string");
	/* Names that are no names are only for the kernel to refuse. */
	if (!err)
		look(o, where.fd, where.name, AT_SYMLINK_NOFOLLOW | AT_EMPTY_PATH);
}

static void compare(const char *what, const char *cwd, const char *path, unsigned want)
{
	const struct outcome *a = &outcomes[0], *b = &outcomes[1];

	if (!memcmp(a, b, sizeof(*a)))
		return;
	fprintf(stderr, "%s: path '%s' in '%s', want %x: %s %d %lu:%lu '%s' != %s %d %lu:%lu '%s'\n", what, path, cwd,
		want, a->missing ? "missing" : "", a->error, a->dev, a->ino, a->name, b->missing ? "missing" : "",
		b->error, b->dev, b->ino, b->name);
	abort();
}

/* The kernel's answer, by RESOLVE_IN_ROOT. */
static bool ask_kernel(struct outcome *o, const char *path, unsigned want)
{
	uint64_t flags = O_PATH | O_CLOEXEC | (want & WANT_FOLLOW ? 0 : O_NOFOLLOW);
	long fd, tries = 0;

	/* -EAGAIN: somebody, somewhere, renamed something meanwhile. -ELOOP may come of that too: when a walk begins
	 * anew inside the kernel, links followed before still count. */
	do
		fd = sys_openat2(plain.root_fd, path, flags, 0, RESOLVE_IN_ROOT);
	while (fd == -EAGAIN || (fd == -ELOOP && tries++ < 3));
	memset(o, 0, sizeof(*o));
	if (fd == -ENOSYS || fd == -EPERM)
		return false;
	o->error = fd < 0 ? (int)-fd : 0;
	if (fd >= 0) {
		look(o, (int)fd, "", AT_EMPTY_PATH);
		sys_close((int)fd);
	}
	return true;
}

static size_t make_path(char *path, const unsigned char *data, size_t size)
{
	size_t n = 0;

	for (size_t i = 0; i < size && n < 6000; i++) {
		const char *token;

		if (data[i] == 255 && i + 1 < size) {
			path[n++] = (char)(data[++i] ? data[i] : 'x');
			continue;
		}
		if (data[i] == 254) {
			memset(path + n, data[i - (i > 0)] & 1 ? 'n' : '/', 250);
			n += 250;
			continue;
		}
		token = tokens[data[i] % (sizeof(tokens) / sizeof(*tokens))];
		if (!strcmp(token, "/identity") || !strcmp(token, "/ghost"))
			n += (size_t)snprintf(path + n, 400, "%s%s", t.tmp, token);
		else
			n += (size_t)snprintf(path + n, 64, "%s", token);
	}
	path[n] = '\0';
	return n;
}

int LLVMFuzzerTestOneInput(const unsigned char *data, size_t size)
{
	static const unsigned wants[] = { 0,
					  WANT_FOLLOW,
					  WANT_FOLLOW | WANT_CREATE,
					  WANT_PARENT,
					  WANT_PARENT | WANT_CREATE,
					  WANT_FOLLOW | WANT_WRITE,
					  WANT_PARENT | WANT_WRITE,
					  WANT_FOLLOW | WANT_STRING };
	static char path[8192], host[PATH_MAX];
	const size_t n_cwds = sizeof(cwds) / sizeof(*cwds);
	struct here here = { .pid = 1 }, unknown = { .pid = 1 };
	struct view fast;
	int dirfd = AT_FDCWD;
	const char *cwd;
	unsigned want;

	if (size < 3)
		return 0;
	want = wants[data[0] % 8];
	cwd = cwds[data[1] % n_cwds];
	if (!cwd)
		cwd = data[1] % n_cwds == n_cwds - 1 ? cwd_identity : cwd_inner;
	if (data[1] >= 250)
		swap();
	make_path(path, data + 2, size - 2);
	if (view_host_path(&binds, cwd, host, sizeof(host), NULL) < 0 || chdir(host) < 0)
		die(host);
	here.cwd = cwd;
	here.cwd_hash = hash_of(cwd);
	fast = binds;
	fast.cache = cache;
	ask(&outcomes[0], &binds, &unknown, AT_FDCWD, path, want | WANT_WALK);
	ask(&outcomes[1], &fast, &here, AT_FDCWD, path, want);
	compare("fast", cwd, path, want);
	ask(&outcomes[1], &fast, &here, AT_FDCWD, path, want);
	compare("warm", cwd, path, want);
	ask(&outcomes[1], &fast, &unknown, AT_FDCWD, path, want);
	compare("unknown cwd", cwd, path, want);
	if (data[0] & 16) {
		dirfd = (int)sys_openat(AT_FDCWD, ".", O_PATH | O_DIRECTORY | O_CLOEXEC, 0);
		ask(&outcomes[1], &fast, &here, dirfd, path, want);
		compare("descriptor", cwd, path, want);
		sys_close(dirfd);
	}
	if (path[0] == '/' && !(want & (WANT_PARENT | WANT_CREATE))) {
		if (!ask_kernel(&outcomes[0], path, want))
			return 0;
		fast = plain;
		for (unsigned way = 0; way < 3; way++) {
			fast.cache = way ? cache : NULL;
			ask(&outcomes[1], &fast, &unknown, AT_FDCWD, path, want | (way ? 0 : WANT_WALK));
			/* RESOLVE_IN_ROOT opens: what is missing is an error to it. */
			if (outcomes[1].missing)
				outcomes[1] = (struct outcome){ .error = ENOENT };
			compare("kernel", "/", path, want);
		}
	}
	return 0;
}
