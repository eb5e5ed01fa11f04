/* The tables of the view: binds, host paths and the way back. */
#include "view.h"

#include <linux/errno.h>

#include "dircache.h"
#include "pathhash.h"
#include "str.h"
#include "walk.h"

static const char deleted[] = " (deleted)";

/* ---- the filter of mount point names ---- */

static uint32_t name_hash(const char *name, size_t len)
{
	return (uint32_t)pathhash_component(PATHHASH_ROOT, name, len);
}

/* A bit of view.mount_filter, from what costs nothing to look at. */
static uint64_t filter_bit(const char *name, size_t len)
{
	unsigned first = (unsigned char)name[0], last = (unsigned char)name[len - 1];

	return (uint64_t)1 << ((first * 7 + last * 13 + len * 29) % 64);
}

bool view_maybe_mountpoint(const struct view *v, const char *name, size_t len)
{
	uint32_t hash;

	if (len == 0 || !(v->mount_filter & filter_bit(name, len)))
		return false;
	hash = name_hash(name, len);
	for (unsigned i = 0; i < v->n_binds; i++)
		if (v->binds[i].name_hash == hash)
			return true;
	return false;
}

/* ---- building ---- */

static size_t last_component(const char *path, size_t len)
{
	size_t i = len;

	while (i > 0 && path[i - 1] != '/')
		i--;
	return i;
}

/* Recomputes what depends on all of the root and the binds. */
static void summarise(struct view *v)
{
	uint64_t salt = pathhash_component(PATHHASH_ROOT, v->root, v->root_len);

	v->mount_filter = 0;
	v->any_read_only = v->root_read_only;
	v->identity_read_only = false;
	for (unsigned i = 0; i < v->n_binds; i++) {
		struct bind *b = &v->binds[i];
		size_t name = last_component(b->guest, b->guest_len);

		b->identity = b->guest_len == b->host_len && str_has_prefix(b->guest, b->host, b->host_len);
		b->name_hash = name_hash(b->guest + name, b->guest_len - name);
		v->mount_filter |= filter_bit(b->guest + name, b->guest_len - name);
		v->any_read_only |= b->read_only;
		v->identity_read_only |= b->read_only && b->identity;
		salt = pathhash_component(salt, b->guest, b->guest_len);
		salt = pathhash_component(salt, b->host, b->host_len);
	}
	v->salt = salt;
}

/* Length without trailing slashes. */
static size_t trimmed(const char *path)
{
	size_t len = strlen(path);

	while (len > 0 && path[len - 1] == '/')
		len--;
	return len;
}

int view_init(struct view *v, int root_fd, const char *root, bool root_read_only)
{
	size_t len = root ? trimmed(root) : 0;

	if (len >= PATH_MAX)
		return -ENAMETOOLONG;
	v->root_fd = root_fd;
	v->root = len ? root : "";
	v->root_len = (uint16_t)len;
	v->root_read_only = root_read_only;
	v->n_binds = 0;
	v->cache = NULL;
	summarise(v);
	return 0;
}

/* Whether `path` is absolute and has no empty, "." or ".." component. */
static bool is_canonical(const char *path)
{
	if (*path != '/')
		return false;
	while (*path) {
		size_t n = 0;

		path++;
		while (path[n] && path[n] != '/')
			n++;
		if (n == 0 || (path[0] == '.' && (n == 1 || (n == 2 && path[1] == '.'))))
			return false;
		path += n;
	}
	return true;
}

static int compare_paths(const char *a, const char *b)
{
	while (*a && *a == *b) {
		a++;
		b++;
	}
	return (unsigned char)*a - (unsigned char)*b;
}

/* Drops binds at or beneath `guest`, which a new mount there covers. */
static void drop_covered(struct view *v, const char *guest, size_t len)
{
	unsigned kept = 0;

	for (unsigned i = 0; i < v->n_binds; i++)
		if (!path_has_prefix(v->binds[i].guest, guest, len))
			v->binds[kept++] = v->binds[i];
	v->n_binds = kept;
}

int view_add_bind(struct view *v, const char *guest, const char *host, bool read_only)
{
	size_t guest_len = strlen(guest), host_len = trimmed(host);
	unsigned at;

	if (!is_canonical(guest) || *host != '/')
		return -EINVAL;
	if (guest_len >= PATH_MAX || host_len >= PATH_MAX)
		return -ENAMETOOLONG;
	drop_covered(v, guest, guest_len);
	if (v->n_binds == VIEW_BINDS_MAX)
		return -E2BIG;
	for (at = v->n_binds; at > 0 && compare_paths(v->binds[at - 1].guest, guest) > 0; at--)
		v->binds[at] = v->binds[at - 1];
	v->binds[at] = (struct bind){
		.guest = guest,
		.host = host_len ? host : "",
		.guest_len = (uint16_t)guest_len,
		.host_len = (uint16_t)host_len,
		.read_only = read_only,
	};
	v->n_binds++;
	summarise(v);
	return 0;
}

int view_chroot(struct view *v, const char *guest_dir, int root_fd, const char *root, char *arena, size_t size)
{
	size_t len = trimmed(guest_dir), root_len = trimmed(root);
	const struct bind *cover = view_bind_of(v, guest_dir, len);
	unsigned kept = 0;

	if (root_len + 1 > size || root_len >= PATH_MAX)
		return -ENAMETOOLONG;
	v->root_read_only = cover ? cover->read_only : v->root_read_only;
	for (unsigned i = 0; i < v->n_binds; i++) {
		struct bind b = v->binds[i];

		if (b.guest_len <= len || !path_has_prefix(b.guest, guest_dir, len))
			continue;
		b.guest += len;
		b.guest_len = (uint16_t)(b.guest_len - len);
		v->binds[kept++] = b;
	}
	v->n_binds = kept;
	memmove(arena, root, root_len);
	arena[root_len] = '\0';
	v->root = arena;
	v->root_len = (uint16_t)root_len;
	v->root_fd = root_fd;
	summarise(v);
	return 0;
}

/* ---- looking up ---- */

/* Whether the first `len` bytes of `canon` lie at or beneath the target of `b`. */
static bool covers(const struct bind *b, const char *canon, size_t len)
{
	return b->guest_len <= len && str_has_prefix(canon, b->guest, b->guest_len) &&
	       (b->guest_len == len || canon[b->guest_len] == '/');
}

const struct bind *view_bind_of(const struct view *v, const char *canon, size_t len)
{
	const struct bind *best = NULL;

	for (unsigned i = 0; i < v->n_binds; i++) {
		const struct bind *b = &v->binds[i];

		if ((!best || b->guest_len > best->guest_len) && covers(b, canon, len))
			best = b;
	}
	return best;
}

const struct bind *view_bind_at(const struct view *v, const char *canon, size_t len)
{
	for (unsigned i = 0; i < v->n_binds; i++)
		if (v->binds[i].guest_len == len && str_has_prefix(canon, v->binds[i].guest, len))
			return &v->binds[i];
	return NULL;
}

uint64_t view_hash(const char *canon, size_t len)
{
	uint64_t hash = PATHHASH_ROOT;

	for (size_t i = 1, from = 1; i <= len; i++)
		if (i == len || canon[i] == '/') {
			hash = pathhash_component(hash, canon + from, i - from);
			from = i + 1;
		}
	return hash;
}

bool view_leads_to_bind(const struct view *v, const char *canon, size_t len)
{
	for (unsigned i = 0; i < v->n_binds; i++) {
		const struct bind *b = &v->binds[i];

		if (b->guest_len > len && b->guest[len] == '/' && str_has_prefix(b->guest, canon, len))
			return true;
	}
	return false;
}

/* Joins the `len` bytes of `prefix` with `rest` ("" or "/..."); an empty result is "/". */
static long join(const char *prefix, size_t len, const char *rest, char *buf, size_t size)
{
	size_t rest_len = strlen(rest);

	if (len + rest_len == 0) {
		rest = "/";
		rest_len = 1;
	}
	if (len + rest_len + 1 > size)
		return -ENAMETOOLONG;
	/* `rest` may lie in `buf` already: view_path_of_fd() translates in place. */
	memmove(buf + len, rest, rest_len + 1);
	memmove(buf, prefix, len);
	return (long)(len + rest_len);
}

long view_host_path(const struct view *v, const char *canon, char *buf, size_t size, const struct bind **ret_bind)
{
	size_t len = trimmed(canon);
	const struct bind *b = view_bind_of(v, canon, len);

	if (ret_bind)
		*ret_bind = b;
	if (b)
		return join(b->host, b->host_len, canon + b->guest_len, buf, size);
	return join(v->root, v->root_len, len ? canon : "", buf, size);
}

long view_root_string(const struct view *v, const char *rel, char *buf)
{
	static const char self[] = "/proc/self/fd/";
	size_t len = strlen(rel), n = v->root_len;

	if (n + len + 2 <= PATH_MAX) {
		memcpy(buf, v->root, n);
	} else {
		char number[20];
		unsigned digits = str_from_u64(number, (uint64_t)v->root_fd);

		n = sizeof(self) - 1 + digits;
		if (n + len + 2 > PATH_MAX)
			return -ENAMETOOLONG;
		memcpy(buf, self, sizeof(self) - 1);
		memcpy(buf + sizeof(self) - 1, number, digits);
	}
	buf[n++] = '/';
	memcpy(buf + n, rel, len + 1);
	return (long)(n + len);
}

/* ---- the way back ---- */

/* Whether `path` is at or beneath the `len` bytes of `prefix`; a directory that is gone is still itself. */
static bool is_beneath(const char *path, const char *prefix, size_t len)
{
	if (!str_has_prefix(path, prefix, len))
		return false;
	if (path[len] == '\0' || str_eq(path + len, deleted))
		return len > 0 || path[len] != '\0';
	return path[len] == '/';
}

/* Whether the guest path of `rest` beneath `b` (NULL: the root) means that object, and not another mount over it. */
static bool is_reachable(const struct view *v, const struct bind *b, const char *rest)
{
	for (unsigned i = 0; i < v->n_binds; i++) {
		const struct bind *over = &v->binds[i];
		size_t skip = b ? b->guest_len : 0;

		if (over == b || over->guest_len <= skip || (b && !str_has_prefix(over->guest, b->guest, skip)))
			continue;
		if (path_has_prefix(rest, over->guest + skip, over->guest_len - skip))
			return false;
	}
	return true;
}

long view_unresolve(const struct view *v, const char *host_path, char *buf, size_t size)
{
	static const char self[] = "/proc/self/fd/";
	const struct bind *best = NULL;
	bool found = false, found_reachable = false;
	size_t best_len = 0;

	if (*host_path != '/')
		return -ENOENT;
	if (v->root_fd < 0)
		return join("", 0, host_path, buf, size);
	if (str_has_prefix(host_path, self, sizeof(self) - 1)) {
		char number[20];
		unsigned digits = str_from_u64(number, (uint64_t)v->root_fd);

		if (path_has_prefix(host_path + sizeof(self) - 1, number, digits))
			return join("", 0, host_path + sizeof(self) - 1 + digits, buf, size);
	}
	/* The longest host prefix wins, but a name that another mount covers only when there is no other. */
	for (int i = -1; i < (int)v->n_binds; i++) {
		const struct bind *b = i < 0 ? NULL : &v->binds[i];
		size_t len = b ? b->host_len : v->root_len;
		bool reachable;

		if (!is_beneath(host_path, b ? b->host : v->root, len))
			continue;
		reachable = is_reachable(v, b, host_path + len);
		if (found && (reachable == found_reachable ? len < best_len : !reachable))
			continue;
		found = true;
		found_reachable = reachable;
		best = b;
		best_len = len;
	}
	if (!found)
		return -ENOENT;
	if (best)
		return join(best->guest, best->guest_len, host_path + best_len, buf, size);
	return join("", 0, host_path + best_len, buf, size);
}

/* Writes /proc/self/fd/N; `buf` holds 40 bytes. */
static void descriptor_name(int fd, char *buf)
{
	long len = str_copy(buf, 40, "/proc/self/fd/");

	len += str_from_u64(buf + len, (uint64_t)fd);
	buf[len] = '\0';
}

/* Reads the host path of a directory descriptor into `buf`. */
static long host_path_of_fd(int dirfd, char *buf, size_t size)
{
	char link[40];
	struct stat st;
	long len;

	if (dirfd == AT_FDCWD) {
		len = sys_getcwd(buf, size);
		return len == -ERANGE ? -ENAMETOOLONG : len;
	}
	if (dirfd < 0)
		return -EBADF;
	descriptor_name(dirfd, link);
	len = sys_readlinkat(AT_FDCWD, link, buf, size);
	if (len == -ENOENT)
		return -EBADF;
	if (len < 0)
		return len;
	if ((size_t)len >= size)
		return -ENAMETOOLONG;
	buf[len] = '\0';
	if (*buf != '/')
		return -ENOTDIR;
	/* A name may end so by itself; only a directory without a link is really gone. */
	if (len > (long)sizeof(deleted) && str_eq(buf + len - (sizeof(deleted) - 1), deleted) &&
	    (sys_fstatat(dirfd, "", &st, AT_EMPTY_PATH) < 0 || st.st_nlink == 0))
		return -ENOENT;
	return len;
}

long view_path_of_fd(const struct view *v, int dirfd, char *buf, size_t size)
{
	long len = host_path_of_fd(dirfd, buf, size);

	if (len < 0)
		return len;
	/* Outside the view is not the same as gone: relative names may still be used there. */
	len = view_unresolve(v, buf, buf, size);
	return len == -ENOENT ? -EACCES : len;
}

void view_changed(const struct view *v)
{
	if (v->cache)
		dircache_bump(v->cache);
}
