/* Where a bind goes: its target resolved inside the guest, and mount points that the image lacks. No engine modifies
 * the image, so a missing mount point is made in a tmpfs that is laid over the nearest directory there is, with all
 * entries of that directory bound into it (a "ranch"). */
#include <linux/errno.h>
#include <linux/mount.h>

#include "str.h"
#include "userns.h"

#define ENTRIES_SIZE 32768

long newroot_reopen(struct newroot *root)
{
	long fd = sys_openat(AT_FDCWD, root->path, O_PATH | O_DIRECTORY | O_CLOEXEC, 0);

	if (fd < 0)
		return fd;
	if (root->fd >= 0)
		(void)sys_close(root->fd);
	root->fd = (int)fd;
	return 0;
}

long newroot_open(const struct newroot *root, const char *path, int flags)
{
	const char *relative = *path ? path + 1 : ".";
	long r = sys_openat2(root->fd, relative, (uint64_t)(flags | O_CLOEXEC), 0,
			     RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS);

	/* Before Linux 5.6, or under a seccomp filter that is older: the path was resolved already, link by link. */
	if (r == -ENOSYS || r == -EPERM)
		r = sys_openat(root->fd, relative, flags | O_NOFOLLOW | O_CLOEXEC, 0);
	return r;
}

static long stat_in(const struct newroot *root, const char *path, struct stat *st)
{
	return sys_fstatat(root->fd, *path ? path + 1 : "", st, AT_SYMLINK_NOFOLLOW | AT_EMPTY_PATH);
}

#define IS_TYPE(st, type) (((st).st_mode & S_IFMT) == (type))

/* Puts the text of the symlink `path` before what is left to resolve. */
static long prepend_link(const struct newroot *root, const char *path, char *rest)
{
	static char text[2 * PATH_MAX];
	long n = sys_readlinkat(root->fd, path + 1, text, PATH_MAX - 1);

	if (n <= 0)
		return n < 0 ? n : -ENOENT;
	text[n] = '\0';
	n = str_append(text, sizeof(text), (size_t)n, rest);
	return n < 0 ? n : str_copy(rest, PATH_MAX, text);
}

static size_t without_last(const char *path, size_t n)
{
	while (n && path[--n] != '/')
		;
	return n;
}

/* The walk of path_resolution(7), on strings, with the guest's root for "/" and "..". */
long target_resolve(const struct newroot *root, const char *path, struct target *ret_target)
{
	static char rest[PATH_MAX];
	char *out = ret_target->path;
	size_t n = 0, existing = 0;
	bool missing = false;
	int links = 0;
	long r = str_copy(rest, sizeof(rest), path);

	if (r < 0)
		return r;
	for (;;) {
		struct stat st;
		char *name = rest, *end;
		size_t length;

		while (*name == '/')
			name++;
		for (end = name; *end && *end != '/'; end++)
			;
		length = (size_t)(end - name);
		if (length == 0)
			break;
		if (length == 2 && name[0] == '.' && name[1] == '.') {
			n = without_last(out, n);
			if (n <= existing)
				missing = false;
			if (!missing)
				existing = n;
		} else if (length != 1 || name[0] != '.') {
			if (n + 1 + length >= PATH_MAX)
				return -ENAMETOOLONG;
			out[n] = '/';
			memcpy(out + n + 1, name, length);
			out[n + 1 + length] = '\0';
			r = missing ? -ENOENT : stat_in(root, out, &st);
			if (r < 0 && r != -ENOENT)
				return r;
			if (r == 0 && IS_TYPE(st, S_IFLNK)) {
				if (++links > SYMLINK_MAX)
					return -ELOOP;
				memmove(rest, end, strlen(end) + 1);
				r = prepend_link(root, out, rest);
				if (r < 0)
					return r;
				if (rest[0] == '/')
					n = existing = 0;
				continue;
			}
			if (r == 0 && *end && !IS_TYPE(st, S_IFDIR))
				return -ENOTDIR;
			n += 1 + length;
			missing = r < 0;
			if (!missing)
				existing = n;
		}
		memmove(rest, end, strlen(end) + 1);
	}
	out[n] = '\0';
	ret_target->existing = existing;
	return 0;
}

/* ---- making what is missing ---- */

/* An empty file or directory `name` in `dirfd`. */
static long make_node(int dirfd, const char *name, bool directory, unsigned mode)
{
	long r;

	if (directory)
		return SYS3(mkdirat, dirfd, name, mode);
	r = sys_openat(dirfd, name, O_CREAT | O_EXCL | O_WRONLY | O_NOFOLLOW | O_CLOEXEC, mode);
	if (r >= 0)
		(void)sys_close((int)r);
	return r < 0 ? r : 0;
}

/* Makes the missing part of `target`, one name after the other, in the directory that exists. */
static long make_chain(const struct newroot *root, struct target *target, bool directory)
{
	static char parent[PATH_MAX];

	while (target->path[target->existing]) {
		char *path = target->path;
		size_t start = target->existing, end = start + 1;
		long dir, r;

		while (path[end] && path[end] != '/')
			end++;
		memcpy(parent, path, start);
		parent[start] = '\0';
		dir = newroot_open(root, parent, O_PATH | O_DIRECTORY);
		if (dir < 0)
			return dir;
		memcpy(parent, path + start + 1, end - start - 1);
		parent[end - start - 1] = '\0';
		r = make_node((int)dir, parent, path[end] || directory, path[end] || directory ? 0755 : 0644);
		(void)sys_close((int)dir);
		if (r < 0)
			return r;
		target->existing = end;
	}
	return 0;
}

/* Gives the directory `to` the entry `name` of the directory `from`. */
static long copy_entry(int from, int to, const char *name)
{
	static char link[PATH_MAX];
	char source_path[PROC_FD_MAX], copy_path[PROC_FD_MAX];
	struct stat st;
	long source, copy, r = sys_fstatat(from, name, &st, AT_SYMLINK_NOFOLLOW);

	if (r < 0)
		return r;
	if (IS_TYPE(st, S_IFLNK)) {
		r = sys_readlinkat(from, name, link, sizeof(link) - 1);
		if (r < 0)
			return r;
		link[r] = '\0';
		return SYS3(symlinkat, link, to, name);
	}
	source = sys_openat(from, name, O_PATH | O_NOFOLLOW | O_CLOEXEC, 0);
	if (source < 0)
		return source;
	copy = make_node(to, name, IS_TYPE(st, S_IFDIR), IS_TYPE(st, S_IFDIR) ? 0755 : 0644);
	if (copy == 0)
		copy = sys_openat(to, name, O_PATH | O_NOFOLLOW | O_CLOEXEC, 0);
	r = copy < 0 ? copy
		     : SYS5(mount, proc_fd(source_path, (int)source), proc_fd(copy_path, (int)copy), 0,
			    MS_BIND | MS_REC, 0);
	(void)sys_close((int)source);
	if (copy >= 0)
		(void)sys_close((int)copy);
	return r;
}

static long copy_entries(int from, int to)
{
	static _Alignas(8) char entries[ENTRIES_SIZE];
	long r;

	while ((r = SYS3(getdents64, from, entries, sizeof(entries))) > 0) {
		for (long at = 0; at < r;) {
			const struct dirent64 *entry = (const void *)(entries + at);
			long error = 0;

			if (!str_eq(entry->name, ".") && !str_eq(entry->name, ".."))
				error = copy_entry(from, to, entry->name);
			/* Gone since it was listed: other programs may be at work in a directory of the host. */
			if (error < 0 && error != -ENOENT)
				return error;
			at += entry->size;
		}
	}
	return r;
}

/* Data that nobody expects to find again. Elsewhere a write into a tmpfs would be a silent loss. */
static bool is_volatile(const char *path)
{
	return path_has_prefix(path, "/run", 4) || path_has_prefix(path, "/tmp", 4) ||
	       path_has_prefix(path, "/var/tmp", 8) || path_has_prefix(path, "/dev", 4);
}

static long tmpfs_options(char buf[32], unsigned mode)
{
	size_t n = (size_t)str_copy(buf, 32, "mode=0");

	for (int shift = 9; shift >= 0; shift -= 3)
		buf[n++] = (char)('0' + (mode >> shift & 7));
	buf[n] = '\0';
	return 0;
}

/* Lays a tmpfs over the directory `path` and gives it that directory's entries. */
static long ranch(struct newroot *root, const char *path)
{
	char target[PROC_FD_MAX], options[32];
	struct ranch *new = &root->ranches[root->n_ranches];
	struct stat st = { 0 };
	long from, to = -1, r;

	if (root->n_ranches == RANCHES_MAX)
		return -EMFILE;
	from = newroot_open(root, path, O_RDONLY | O_DIRECTORY);
	if (from < 0)
		return from;
	r = sys_fstatat((int)from, "", &st, AT_EMPTY_PATH);
	(void)tmpfs_options(options, st.st_mode & 07777);
	if (r == 0)
		r = SYS5(mount, "tmpfs", proc_fd(target, (int)from), "tmpfs", MS_NOSUID | MS_NODEV, options);
	/* The topmost mount of the root directory is only found through its host path. */
	if (r == 0 && !*path)
		r = newroot_reopen(root);
	if (r == 0) {
		to = newroot_open(root, path, O_PATH | O_DIRECTORY);
		r = to < 0 ? to : copy_entries((int)from, (int)to);
	}
	if (r == 0)
		r = sys_fstatat((int)to, "", &st, AT_EMPTY_PATH);
	(void)sys_close((int)from);
	if (r < 0) {
		if (to >= 0)
			(void)sys_close((int)to);
		return r;
	}
	*new = (struct ranch){ .fd = (int)to, .dev = st.st_dev, .is_volatile = !root->read_only && is_volatile(path) };
	root->n_ranches++;
	return 0;
}

/* Whether the guest itself could make the directory entry there without the image being changed. */
static bool may_create(const struct newroot *root, const char *path, uint64_t dev)
{
	for (unsigned i = 0; i < root->n_ranches; i++)
		if (root->ranches[i].dev == dev)
			return true;
	for (unsigned i = root->n_placed; i-- > 0;)
		if (path_has_prefix(path, root->placed[i], strlen(root->placed[i])))
			return !root->placed_read_only[i];
	return root->overlay_dev && root->overlay_dev == dev;
}

bool target_costs_directory(const struct newroot *root, const struct target *target)
{
	static char ancestor[PATH_MAX];
	struct stat st;

	for (const char *p = target->path + target->existing + 1; *p; p++)
		if (*p == '/')
			return false;
	memcpy(ancestor, target->path, target->existing);
	ancestor[target->existing] = '\0';
	for (unsigned i = 0; i < root->n_placed; i++)
		if (path_has_prefix(ancestor, root->placed[i], strlen(root->placed[i])))
			return false;
	return !root->read_only && !is_volatile(ancestor) && stat_in(root, ancestor, &st) == 0 &&
	       !may_create(root, ancestor, st.st_dev);
}

long target_make(struct newroot *root, struct target *target, bool directory)
{
	static char ancestor[PATH_MAX];
	unsigned mask = (unsigned)SYS1(umask, 0);
	struct stat st;
	long r;

	memcpy(ancestor, target->path, target->existing);
	ancestor[target->existing] = '\0';
	r = stat_in(root, ancestor, &st);
	if (r == 0) {
		r = may_create(root, ancestor, st.st_dev) ? make_chain(root, target, directory) : -EROFS;
		if (r == -EROFS || r == -EACCES || r == -EPERM) {
			r = ranch(root, ancestor);
			if (r == 0)
				r = make_chain(root, target, directory);
		}
	}
	(void)SYS1(umask, mask);
	return r;
}

long ranches_close(struct newroot *root)
{
	long r = 0;

	for (unsigned i = 0; r == 0 && i < root->n_ranches; i++) {
		char path[PROC_FD_MAX];

		if (!root->ranches[i].is_volatile)
			r = SYS5(mount, 0, proc_fd(path, root->ranches[i].fd), 0,
				 MS_REMOUNT | MS_BIND | MS_RDONLY | MS_NOSUID | MS_NODEV, 0);
		(void)sys_close(root->ranches[i].fd);
	}
	return r;
}
