/* The fast tiers of view_resolve(): names that need no translation, and paths whose directories are known to hold no
 * symlink. Nothing here follows a link; whatever is not plain goes to the walker, which is always right. */
#include <linux/errno.h>

#include "dircache.h"
#include "pathhash.h"
#include "str.h"
#include "walk.h"

#define MISS 1 /* not for this tier */

/* A path taken apart: its directory as a hash, its last component as text. */
struct parts {
	const char *first; /* behind leading slashes */
	const char *last;
	size_t last_len;
	uint64_t parent; /* hash of the directory */
	bool canonical;	 /* no ".", no empty component */
};

enum {
	SCAN_OK,
	SCAN_WALK,   /* ends in ".", ".." or a slash */
	SCAN_DOTDOT, /* has ".." on its way */
};

/* ---- proving that a directory is plain ---- */

/* For kernels before 5.6 and filters that know no openat2: each prefix must be there and no symlink. */
static int plain_by_readlink(int fd, char *path)
{
	struct stat st;
	char c, none;
	long err;

	for (char *p = path + (*path == '/');; p++) {
		if (*p && *p != '/')
			continue;
		c = *p;
		*p = '\0';
		err = sys_readlinkat(fd, path, &none, 1);
		if (!c && err == -EINVAL)
			err = sys_fstatat(fd, path, &st, AT_SYMLINK_NOFOLLOW);
		*p = c;
		if (!c && err == 0)
			return (st.st_mode & 0170000) == 0040000 ? 1 : -ENOTDIR;
		if (err != -EINVAL)
			return err == -ENOENT || err == -ENOTDIR || err == -EACCES ? (int)err : 0;
	}
}

int view_plain_directory(int fd, char *path)
{
	uint64_t how = RESOLVE_NO_SYMLINKS | (*path == '/' ? 0 : RESOLVE_BENEATH);
	long ret = sys_openat2(fd, path, O_PATH | O_DIRECTORY | O_CLOEXEC, 0, how);

	if (ret >= 0) {
		(void)sys_close((int)ret);
		return 1;
	}
	if (ret == -ENOSYS || ret == -EPERM)
		return plain_by_readlink(fd, path);
	return ret == -ENOENT || ret == -ENOTDIR || ret == -EACCES ? (int)ret : 0;
}

/* Nothing beneath /proc stays what it is: processes come and go, and links lead to objects. */
static bool is_in_proc(const char *host_path)
{
	return str_has_prefix(host_path, "/proc/", 6);
}

/* Whether the directories above the target of `b` are the guest's own, plain or missing, or of identity binds. */
static bool is_plainly_reached(const struct view *v, const struct bind *b, char *canon)
{
	size_t len = b->guest_len;
	char c;
	int plain;

	while (len > 0 && canon[len - 1] != '/')
		len--;
	if (len <= 1)
		return true;
	len--;
	b = view_bind_of(v, canon, len);
	if (b)
		return b->identity && is_plainly_reached(v, b, canon);
	c = canon[len];
	canon[len] = '\0';
	plain = view_plain_directory(v->root_fd, canon + 1);
	canon[len] = c;
	return plain == 1 || plain == -ENOENT;
}

/* Enters the prefixes of `canon` that are longer than `above` bytes. */
static void remember(const struct view *v, uint64_t generation, const char *canon, size_t above, enum dir_kind kind)
{
	uint64_t hash = PATHHASH_ROOT;
	const char *p = canon;

	while (*p == '/') {
		const char *name = ++p;

		while (*p && *p != '/')
			p++;
		hash = pathhash_component(hash, name, (size_t)(p - name));
		if ((size_t)(p - canon) >= above)
			dircache_add(v->cache, generation, hash ^ v->salt, kind);
	}
}

/* Looks whether the canonical directory `canon` (of `len` bytes, not the root) is plain, and remembers it.
 * Returns its enum dir_kind, 0 when that cannot be told, or -errno when it is plain that there is no such directory. */
static int prove(const struct view *v, uint64_t generation, char *canon, size_t len)
{
	const struct bind *b = view_bind_of(v, canon, len);
	enum dir_kind kind = b ? DIR_IDENTITY : DIR_ROOT;
	int ret;

	if (b && !b->identity)
		return DIR_UNKNOWN;
	if ((b || v->root_len == 0) && is_in_proc(canon))
		return DIR_UNKNOWN;
	if (b)
		ret = view_plain_directory(AT_FDCWD, canon);
	else
		ret = view_plain_directory(v->root_fd, canon + 1);
	if (ret < 0)
		return ret == -ENOENT && view_leads_to_bind(v, canon, len) ? DIR_UNKNOWN : ret;
	if (ret == 0 || (b && !is_plainly_reached(v, b, canon))) {
		if (v->cache)
			dircache_add(v->cache, generation, view_hash(canon, len) ^ v->salt, DIR_LINKED);
		return DIR_UNKNOWN;
	}
	if (v->cache)
		remember(v, generation, canon, b ? b->guest_len : 0, kind);
	return (int)kind;
}

/* ---- answering ---- */

static int say(struct where *ret, int fd, const char *name, unsigned want, bool read_only)
{
	*ret = (struct where){
		.fd = fd,
		.name = name,
		.unverified = (want & (WANT_FOLLOW | WANT_PARENT)) == WANT_FOLLOW,
		.read_only = read_only,
	};
	return 0;
}

/* Answers for an absolute path whose directory is of `kind`. */
static int say_absolute(const struct view *v, struct scratch *s, enum dir_kind kind, const char *path,
			const struct parts *parts, unsigned want, struct where *ret)
{
	const struct bind *b;

	if (kind == DIR_IDENTITY) {
		b = v->identity_read_only ? view_bind_of(v, parts->first - 1, strlen(parts->first) + 1) : NULL;
		return say(ret, AT_FDCWD, path, want, b && b->read_only);
	}
	if (want & WANT_STRING) {
		/* Too long as it is written, perhaps not as the walker would write it. */
		if (view_root_string(v, parts->first, s->host) < 0)
			return MISS;
		return say(ret, AT_FDCWD, s->host, want, v->root_read_only);
	}
	return say(ret, v->root_fd, parts->first, want, v->root_read_only);
}

/* ---- taking paths apart ---- */

/* Takes `path` apart from its component at `p` on, in a directory of hash `hash`. */
static inline int scan(const char *path, const char *p, uint64_t hash, struct parts *ret)
{
	ret->canonical = true;
	ret->first = p;
	for (;;) {
		const char *name = p;
		size_t n;

		while (*p && *p != '/')
			p++;
		n = (size_t)(p - name);
		if (name[0] == '.' && (n == 1 || (n == 2 && name[1] == '.'))) {
			if (!*p)
				return SCAN_WALK;
			if (n == 2)
				return SCAN_DOTDOT;
			ret->canonical = false;
		} else if (!*p) {
			ret->last = name;
			ret->last_len = n;
			ret->parent = hash;
			if (p - path >= PATH_MAX)
				return -ENAMETOOLONG;
			return n ? SCAN_OK : SCAN_WALK;
		} else {
			hash = pathhash_component(hash, name, n);
		}
		if (*++p == '/') {
			ret->canonical = false;
			while (*p == '/')
				p++;
		}
	}
}

/* Appends to the canonical path of `len` bytes in `canon` the components of [p, end), of which none is "..".
 * Returns its length, or a negative number when it does not fit. */
static long append_components(char *canon, size_t len, const char *p, const char *end)
{
	while (p < end) {
		const char *name = p;
		size_t n;

		while (p < end && *p != '/')
			p++;
		n = (size_t)(p - name);
		while (p < end && *p == '/')
			p++;
		if (n == 1 && *name == '.')
			continue;
		if (len + n + 2 > PATH_MAX)
			return -1;
		canon[len] = '/';
		memcpy(canon + len + 1, name, n);
		len += n + 1;
	}
	canon[len] = '\0';
	return (long)len;
}

/* The kind of the canonical directory of `len` bytes in `canon`; as prove(). */
static int kind_of(const struct view *v, uint64_t generation, char *canon, size_t len)
{
	enum dir_kind kind = DIR_UNKNOWN;

	if (len == 0)
		return DIR_ROOT;
	if (v->cache)
		kind = dircache_find(v->cache, generation, view_hash(canon, len) ^ v->salt);
	if (kind == DIR_LINKED)
		return DIR_UNKNOWN;
	return kind != DIR_UNKNOWN ? (int)kind : prove(v, generation, canon, len);
}

/* The kind of the directory that `path` (with ".." on its way) names something in, or 0. `p` is its first component;
 * s->canon holds the `len` bytes of where that starts. Each directory that is left again must be plain and of the same
 * kind as the one the path ends in. Then s->canon holds the whole path without any "..", which a directory that is
 * moved meanwhile cannot lead out of the root, and `parts` speaks of that. */
static __attribute__((noinline)) int kind_past_dotdot(const struct view *v, struct scratch *s, uint64_t generation,
						      const char *path, const char *p, size_t len, struct parts *parts)
{
	int kind = DIR_UNKNOWN, left;
	const char *last;
	long end;

	for (;;) {
		const char *name = p;
		size_t n;
		long ret;

		while (*p && *p != '/')
			p++;
		n = (size_t)(p - name);
		if (!*p) {
			if (n == 0 || p - path >= PATH_MAX ||
			    (name[0] == '.' && (n == 1 || (n == 2 && name[1] == '.'))))
				return DIR_UNKNOWN;
			last = name;
			break;
		}
		while (*p == '/')
			p++;
		if (n != 2 || name[0] != '.' || name[1] != '.') {
			ret = append_components(s->canon, len, name, name + n);
			if (ret < 0)
				return DIR_UNKNOWN;
			len = (size_t)ret;
			continue;
		}
		if (len == 0)
			return DIR_UNKNOWN;
		left = kind_of(v, generation, s->canon, len);
		if (left <= 0 || (kind != DIR_UNKNOWN && left != kind))
			return DIR_UNKNOWN;
		kind = left;
		while (s->canon[--len] != '/')
			;
		s->canon[len] = '\0';
	}
	left = kind_of(v, generation, s->canon, len);
	if (left <= 0 || (kind != DIR_UNKNOWN && left != kind))
		return DIR_UNKNOWN;
	end = append_components(s->canon, len, last, p);
	if (end < 0)
		return DIR_UNKNOWN;
	*parts = (struct parts){
		.first = s->canon + 1,
		.last = s->canon + len + 1,
		.last_len = (size_t)end - len - 1,
		.canonical = true,
	};
	return left;
}

/* ---- absolute paths ---- */

static int resolve_absolute(const struct view *v, struct scratch *s, const char *path, unsigned want, struct where *ret)
{
	uint64_t generation = v->cache ? dircache_generation(v->cache) : 0;
	int kind = DIR_UNKNOWN, form;
	const char *p = path;
	const struct bind *b;
	struct parts parts;
	long len;

	while (*p == '/')
		p++;
	form = scan(path, p, PATHHASH_ROOT, &parts);
	if (form < 0)
		return form;
	if (form == SCAN_WALK)
		return MISS;
	if (form == SCAN_DOTDOT) {
		s->canon[0] = '\0';
		kind = kind_past_dotdot(v, s, generation, path, p, 0, &parts);
		path = s->canon;
	} else if (parts.parent == PATHHASH_ROOT) {
		kind = DIR_ROOT;
	} else {
		if (v->cache)
			kind = (int)dircache_find(v->cache, generation, parts.parent ^ v->salt);
		if (kind == DIR_LINKED)
			return MISS;
		if (kind == DIR_UNKNOWN) {
			len = append_components(s->canon, 0, parts.first, parts.last);
			if (len > 0)
				kind = prove(v, generation, s->canon, (size_t)len);
			if (kind < 0)
				return view_maybe_mountpoint(v, parts.last, parts.last_len) ? MISS : kind;
		}
	}
	if (kind == DIR_UNKNOWN)
		return MISS;
	if (view_maybe_mountpoint(v, parts.last, parts.last_len)) {
		if (!parts.canonical)
			return MISS;
		b = view_bind_at(v, parts.first - 1, (size_t)(parts.last + parts.last_len - parts.first + 1));
		if (b) {
			if ((want & WANT_PARENT) || b->host_len == 0)
				return MISS;
			(void)say(ret, AT_FDCWD, b->host, want, b->read_only);
			ret->unverified = false;
			return 0;
		}
	}
	return say_absolute(v, s, (enum dir_kind)kind, path, &parts, want, ret);
}

/* ---- relative paths ---- */

/* From the working directory, whose guest path is known. */
static int resolve_from_cwd(const struct view *v, const struct here *here, struct scratch *s, const char *path,
			    unsigned want, struct where *ret)
{
	uint64_t generation = v->cache ? dircache_generation(v->cache) : 0;
	int kind = DIR_UNKNOWN, start = DIR_UNKNOWN, form;
	struct parts parts;
	long len;

	form = scan(path, path, here->cwd_hash, &parts);
	if (form < 0)
		return form;
	if (form == SCAN_WALK || (form == SCAN_OK && view_maybe_mountpoint(v, parts.last, parts.last_len)))
		return MISS;
	if (v->cache) {
		start = here->cwd[1] ? (int)dircache_find(v->cache, generation, here->cwd_hash ^ v->salt) : DIR_ROOT;
		if (form == SCAN_OK)
			kind = (int)dircache_find(v->cache, generation, parts.parent ^ v->salt);
	}
	if (start == DIR_LINKED || kind == DIR_LINKED)
		return MISS;
	if (start == DIR_UNKNOWN || kind == DIR_UNKNOWN) {
		len = str_copy(s->canon, PATH_MAX, here->cwd);
		if (len < 0)
			return MISS;
		if (len == 1)
			len = 0;
		s->canon[len] = '\0';
		start = kind_of(v, generation, s->canon, (size_t)len);
		if (start <= 0)
			return MISS;
		if (form == SCAN_DOTDOT) {
			kind = kind_past_dotdot(v, s, generation, path, path, (size_t)len, &parts);
			if (kind <= 0 || view_maybe_mountpoint(v, parts.last, parts.last_len))
				return MISS;
			return say_absolute(v, s, (enum dir_kind)kind, s->canon, &parts, want, ret);
		} else {
			len = append_components(s->canon, (size_t)len, path, parts.last);
			if (len >= 0)
				kind = kind_of(v, generation, s->canon, (size_t)len);
		}
		if (kind < 0)
			return kind;
	}
	/* The kernel walks from the directory itself: across a mount point of ours it would go another way. */
	if (kind == DIR_UNKNOWN || kind != start)
		return MISS;
	return say(ret, AT_FDCWD, path, want, kind == DIR_ROOT && v->root_read_only);
}

/* From a directory that may be anywhere, when no mount point is on the way. */
static int resolve_beneath(const struct view *v, struct scratch *s, int dirfd, const char *path, unsigned want,
			   struct where *ret)
{
	const char *name = path, *last = path;
	size_t len;
	int plain;

	for (const char *p = path;; p++) {
		size_t n = (size_t)(p - name);

		if (*p && *p != '/')
			continue;
		if ((n <= 2 && name[0] == '.' && (n < 2 || name[1] == '.')) || view_maybe_mountpoint(v, name, n))
			return MISS;
		last = name;
		if (!*p)
			break;
		name = p + 1;
	}
	if (!*last)
		return MISS;
	len = (size_t)(last - path);
	if (len + strlen(last) >= PATH_MAX)
		return -ENAMETOOLONG;
	memcpy(s->canon, path, len);
	s->canon[len - 1] = '\0';
	plain = view_plain_directory(dirfd, s->canon);
	if (plain != 1)
		return plain < 0 ? plain : MISS;
	return say(ret, dirfd, path, want, false);
}

static int resolve_relative(const struct view *v, const struct here *here, struct scratch *s, int dirfd,
			    const char *path, unsigned want, struct where *ret)
{
	size_t n = 0;

	if ((want & WANT_STRING) && dirfd != AT_FDCWD)
		return MISS;
	while (path[n] && path[n] != '/')
		n++;
	if (path[n]) {
		if (dirfd == AT_FDCWD && here && here->cwd)
			return resolve_from_cwd(v, here, s, path, want, ret);
		return resolve_beneath(v, s, dirfd, path, want, ret);
	}
	if (path[0] == '.' && n <= 2) {
		if (n == 2 && path[1] == '.')
			return MISS;
		if (n == 1) {
			(void)say(ret, dirfd, path, want, false);
			ret->unverified = false;
			return 0;
		}
	}
	if (view_maybe_mountpoint(v, path, n))
		return MISS;
	return say(ret, dirfd, path, want, false);
}

/* ---- entry ---- */

static int resolve_empty(int dirfd, unsigned want, struct scratch *s, struct where *ret)
{
	long len;

	if (!(want & WANT_EMPTY))
		return -ENOENT;
	*ret = (struct where){ .fd = dirfd, .name = "" };
	if (!(want & WANT_STRING))
		return 0;
	ret->fd = AT_FDCWD;
	ret->name = ".";
	if (dirfd == AT_FDCWD)
		return 0;
	if (dirfd < 0)
		return -EBADF;
	len = str_copy(s->host, PATH_MAX, "/proc/self/fd/");
	len += str_from_u64(s->host + len, (uint64_t)dirfd);
	s->host[len] = '\0';
	ret->name = s->host;
	ret->magic = true;
	return 0;
}

/* Writes the canonical path of the name `last` at the end of `path` in s->canon. Returns its length or -errno. */
static long canonical_name(const struct view *v, struct scratch *s, int dirfd, const char *path, const char *last)
{
	size_t n = (size_t)(last - path);
	long fd, len;

	if (n + 1 >= sizeof(s->pending))
		return -ENAMETOOLONG;
	memcpy(s->pending, n ? path : ".", n ? n : 1);
	s->pending[n ? n : 1] = '\0';
	fd = sys_openat(dirfd, s->pending, O_PATH | O_DIRECTORY | O_CLOEXEC, 0);
	if (fd < 0)
		return fd;
	len = view_path_of_fd(v, (int)fd, s->canon, sizeof(s->canon));
	(void)sys_close((int)fd);
	if (len < 0)
		return len;
	if (len > 1)
		len = str_append(s->canon, sizeof(s->canon), (size_t)len, "/");
	return len < 0 ? len : str_append(s->canon, sizeof(s->canon), (size_t)len, last);
}

/* The kernel's own view, where paths are right as they stand, but for what the kernel does not know: the program of a
 * process, which to it is this engine, and binds of files without a mount point. */
static int resolve_by_kernel(const struct view *v, const struct here *here, struct scratch *s, int dirfd,
			     const char *path, unsigned want, struct where *ret)
{
	const char *last = path;
	uint64_t own, pid = 0, fd = 0;
	const struct bind *b;
	bool is_exe;
	long len;

	*ret = (struct where){ .fd = dirfd, .name = path, .magic = want & WANT_FOLLOW };
	for (const char *p = path; *p; p++)
		if (*p == '/')
			last = p + 1;
	is_exe = str_eq(last, "exe");
	if ((!is_exe && !view_maybe_mountpoint(v, last, strlen(last))) || (want & WANT_PARENT))
		return 0;
	len = canonical_name(v, s, dirfd, path, last);
	if (len < 0)
		return 0; /* the call has the error */
	b = view_bind_at(v, s->canon, (size_t)len);
	if (b) {
		*ret = (struct where){ .fd = AT_FDCWD, .name = b->host, .magic = true, .read_only = b->read_only };
		return 0;
	}
	own = (uint64_t)(here && here->pid ? here->pid : SYS0(getpid));
	if (!is_exe || proc_parse(s->canon, own, &pid, &fd) != PROC_EXE)
		return 0;
	ret->fd = AT_FDCWD;
	ret->name = s->canon;
	if (!(want & WANT_FOLLOW))
		return 0;
	len = proc_target(v, pid == own && here ? here->exe : NULL, s, PROC_EXE, pid, s->canon, s->link);
	if (len >= 0) {
		ret->name = s->link;
		ret->through_magic = true;
	}
	return 0;
}

static bool has_dotdot(const char *path)
{
	for (const char *p = path; *p; p++)
		if (p[0] == '.' && p[1] == '.' && (p[2] == '\0' || p[2] == '/') && (p == path || p[-1] == '/'))
			return true;
	return false;
}

long view_canonical(const struct view *v, const struct here *here, const struct scratch *s, int dirfd,
		    const char *guest_path, const struct where *where, char *buf)
{
	long len = 0;

	if (where->magic || where->through_magic || v->root_fd < 0)
		return -ENOENT;
	if (where->has_canon)
		return str_copy(buf, PATH_MAX, s->canon);
	/* A fast tier answered: no symlink is on the way. */
	if (has_dotdot(guest_path))
		return -ENOENT;
	if (*guest_path != '/') {
		if (dirfd != AT_FDCWD || !here || !here->cwd)
			return -ENOENT;
		len = str_copy(buf, PATH_MAX, here->cwd);
		if (len <= 1)
			len = 0;
	}
	while (*guest_path == '/')
		guest_path++;
	len = append_components(buf, (size_t)len, guest_path, guest_path + strlen(guest_path));
	return len > 0 ? len : -ENOENT;
}

int view_resolve(const struct view *v, const struct here *here, struct scratch *s, int dirfd, const char *guest_path,
		 unsigned want, struct where *ret_where)
{
	bool restricted = here && here->may_search;
	int ret = MISS;

	if (v->root_fd < 0 && !restricted)
		return resolve_by_kernel(v, here, s, dirfd, guest_path, want, ret_where);
	if (!*guest_path)
		return resolve_empty(dirfd, want, s, ret_where);
	/* Whether a change is refused on a read-only mount is for the walker to tell. */
	if (!restricted && !(want & WANT_WALK) && !((want & (WANT_WRITE | WANT_CREATE)) && v->any_read_only)) {
		if (*guest_path == '/')
			ret = resolve_absolute(v, s, guest_path, want, ret_where);
		else
			ret = resolve_relative(v, here, s, dirfd, guest_path, want, ret_where);
	}
	return ret == MISS ? view_walk(v, here, s, dirfd, guest_path, want, ret_where) : ret;
}
