/* Files that a container shares with its image and all its siblings, by hard links. They are marked: their owner cannot
 * write them, so the kernel refuses every way to, and the sticky bit marks them. Before such a file changes, the
 * container gets a copy of its own in its place; descriptors that were open keep the image's. See
 * docs/decisions/0007-shared-files.md. */
#include <linux/errno.h>
#include <linux/mman.h>

#include "calls.h"
#include "walk.h"

#define FICLONE 0x40049409 /* linux/fs.h */
#define LOCK_EX 2
#define RENAME_EXCHANGE (1 << 1)
#define SEEK_SET 0
#define SEEK_CUR 1
#define SEEK_DATA 3
#define SEEK_HOLE 4
#define XATTR_LIST_MAX 65536
#define CHUNK_MAX (1 << 30)
#define DT_DIR 4
#define WALK_DEPTH_MAX 256
#define NEW_NAME ".udockpy-own-"

/* A shared file of which a copy is made. */
struct parting {
	char path[PATH_MAX]; /* of the file, on the host */
	char name[48];	     /* of the copy, in the same directory, while it has not that of the file */
	char buf[PATH_MAX];
	char list[XATTR_LIST_MAX], value[XATTR_LIST_MAX];
	const char *last; /* component of the path */
	int dir, old, new; /* descriptors; -1 = none */
	struct statx from;
	bool whole;
};

static bool is_same(const struct statx *a, const struct statx *b)
{
	return a->stx_ino == b->stx_ino && a->stx_dev_major == b->stx_dev_major && a->stx_dev_minor == b->stx_dev_minor;
}

/* Zeroed, or NULL. */
static void *get_memory(size_t size)
{
	long r = sys_mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	return sys_is_err(r) ? NULL : (void *)r;
}

static long look_at(int fd, const char *name, int flags, struct statx *ret_stx)
{
	return sys_statx(fd, name, flags, STATX_BASIC_STATS | STATX_BTIME | STATX_MNT_ID, ret_stx);
}

/* ---- finding it ---- */

/* "/proc/self/fd/N" */
static void name_of_fd(int fd, char name[32])
{
	long n = str_copy(name, 32, "/proc/self/fd/");

	name[n + str_from_u64(name + n, (uint64_t)fd)] = '\0';
}

/* A file of the host's, which only looks as if it were one, stays as it is. */
static bool is_of_root(const struct view *v, const struct parting *f)
{
	struct statx root;

	if (engine.translate)
		return str_has_prefix(f->path, v->root, v->root_len) && f->path[v->root_len] == '/';
	return look_at(AT_FDCWD, "/", 0, &root) < 0 || root.stx_mnt_id == f->from.stx_mnt_id;
}

/* The directory and the name that the file, open as `fd`, has in the container. Returns 1, 0 when it has none there,
 * or -errno. */
static int find_name(const struct process *p, struct parting *f, int fd)
{
	char link[32];
	size_t size;
	long n;

	name_of_fd(fd, link);
	n = sys_readlinkat(AT_FDCWD, link, f->path, sizeof(f->path) - 1);
	if (n < 0)
		return (int)n;
	f->path[n] = '\0';
	if (!is_of_root(p->view, f))
		return 0;
	size = path_directory_size(f->path);
	f->last = f->path + size;
	memcpy(f->buf, f->path, size);
	f->buf[size] = '\0';
	n = sys_openat2(AT_FDCWD, f->buf, O_PATH | O_DIRECTORY | O_CLOEXEC, 0, RESOLVE_NO_SYMLINKS);
	if (n == -ENOSYS || n == -EPERM)
		n = sys_openat(AT_FDCWD, f->buf, O_PATH | O_DIRECTORY | O_CLOEXEC, 0);
	if (n < 0)
		return (int)n;
	f->dir = (int)n;
	return 1;
}

/* Whether the name still leads to the shared file: somebody may have been faster. */
static bool is_there(const struct parting *f)
{
	struct statx stx;

	return look_at(f->dir, f->last, AT_SYMLINK_NOFOLLOW, &stx) == 0 && is_same(&stx, &f->from);
}

/* ---- the copy ---- */

static long make_file(struct parting *f)
{
	uint64_t number = 0;
	long n, r = sys_openat(f->dir, ".", O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);

	(void)SYS3(getrandom, &number, sizeof(number), 1 /* GRND_NONBLOCK */);
	number ^= f->from.stx_ino ^ (uint64_t)SYS0(gettid) << 40;
	n = str_copy(f->name, sizeof(f->name), NEW_NAME);
	f->name[n + str_from_u64(f->name + n, number)] = '\0';
	/* What has a name from the beginning is left behind by a process that is killed now. */
	if (r == -EOPNOTSUPP || r == -EISDIR || r == -ENOENT)
		return sys_openat(f->dir, f->name, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	return r;
}

/* Copies what lies between two offsets. */
static long copy_range(struct parting *f, int64_t at, int64_t end)
{
	long n = 0, w;

	while (at < end) {
		int64_t in = at, out = at;

		n = SYS6(copy_file_range, f->old, &in, f->new, &out, end - at < CHUNK_MAX ? end - at : CHUNK_MAX, 0);
		if (n < 0) {
			n = sys_pread(f->old, f->buf, sizeof(f->buf), at);
			for (long done = 0; n > 0 && done < n; done += w) {
				w = sys_pwrite(f->new, f->buf + done, (size_t)(n - done), at + done);
				if (w <= 0)
					return w ? w : -EIO;
			}
		}
		if (n <= 0)
			break; /* 0: it became shorter, which a shared file does not */
		at += n;
	}
	return n < 0 ? n : 0;
}

/* Copies the content, holes as holes. */
static long copy_content(struct parting *f)
{
	int64_t size = (int64_t)f->from.stx_size, at = 0, end;
	int64_t found;
	long r;

	if (!size || SYS3(ioctl, f->new, FICLONE, f->old) == 0)
		return 0;
	r = sys_ftruncate(f->new, size);
	while (r == 0 && at < size) {
		found = arch_lseek(f->old, at, SEEK_DATA);
		if (found == -ENXIO)
			return 0;
		at = found < 0 ? at : found;
		found = arch_lseek(f->old, at, SEEK_HOLE);
		end = found < 0 ? size : found;
		r = copy_range(f, at, end);
		at = end;
	}
	return r;
}

/* Attributes that this file system or this user cannot set were not set by the image either. */
static void copy_attributes(struct parting *f)
{
	long size = SYS3(flistxattr, f->old, f->list, sizeof(f->list));

	for (const char *name = f->list; size > 0 && name < f->list + size; name += strlen(name) + 1) {
		long n = SYS4(fgetxattr, f->old, name, f->value, sizeof(f->value));

		if (n >= 0)
			(void)SYS5(fsetxattr, f->new, name, f->value, n, 0);
	}
}

/* Gives a file the times of another; name NULL = the descriptor. */
static long copy_times(int fd, const char *name, const struct statx *from)
{
	const int64_t times[4] = { from->stx_atime.tv_sec, from->stx_atime.tv_nsec, from->stx_mtime.tv_sec,
				   from->stx_mtime.tv_nsec };

	return arch_syscall4(ARCH_NR_utimensat, fd, (long)name, (long)times, 0);
}

/* The fakedb knows the copy before any name leads to it. */
static long copy_pretence(const struct parting *f)
{
	struct fakedb_key from, to;
	struct statx stx;
	long r = look_at(f->new, "", AT_EMPTY_PATH, &stx);

	if (r < 0)
		return r;
	fakedb_key_from_statx(&from, &f->from);
	fakedb_key_from_statx(&to, &stx);
	return fakedb_inherit(&engine.db, &to, &engine.db, &from);
}

static long make_copy(struct parting *f)
{
	long r = make_file(f);

	if (r < 0)
		return r;
	f->new = (int)r;
	/* A placeholder of a device cannot be read, nor has it anything to read. */
	r = sys_openat(f->dir, f->last, O_RDONLY | O_NOFOLLOW | O_NOATIME | O_CLOEXEC, 0);
	if (r < 0 && f->from.stx_size)
		return r;
	f->old = r < 0 ? -1 : (int)r;
	r = f->whole ? copy_content(f) : 0;
	if (r == 0) {
		copy_attributes(f);
		r = SYS2(fchmod, f->new, own_mode(f->from.stx_mode) & 07777);
	}
	if (r == 0)
		r = copy_times(f->new, NULL, &f->from);
	return r == 0 ? copy_pretence(f) : r;
}

/* ---- in its place ---- */

/* Gives the copy a name that the file has. Both are exchanged, to see what it was that lost its name: a guest may have
 * put something else there meanwhile, which is then put back. */
static long exchange(const struct parting *f, int dir, const char *name)
{
	struct statx stx;
	char link[32];
	long r;

	name_of_fd(f->new, link);
	r = SYS5(linkat, AT_FDCWD, link, dir, f->name, AT_SYMLINK_FOLLOW);
	if (r < 0 && r != -EEXIST) /* it was made under that name */
		return r;
	/* An overlay would copy the file once more to exchange it. */
	r = engine.overlay ? -EINVAL : SYS5(renameat2, dir, f->name, dir, name, RENAME_EXCHANGE);
	if (r == -EINVAL || r == -ENOSYS)
		return SYS4(renameat, dir, f->name, dir, name);
	if (r == 0 && look_at(dir, f->name, AT_SYMLINK_NOFOLLOW, &stx) == 0 && !is_same(&stx, &f->from))
		return SYS4(renameat, dir, f->name, dir, name);
	(void)SYS3(unlinkat, dir, f->name, 0);
	return r;
}

/* Gives the copy a name that the file has in an open directory, which looks as if nothing happened in it. */
static long take_name(const struct parting *f, int dir, const char *name)
{
	struct statx before;
	long r = look_at(dir, "", AT_EMPTY_PATH, &before);

	if (r == 0)
		r = exchange(f, dir, name);
	if (r == 0)
		(void)copy_times(dir, ".", &before);
	return r;
}

/* Whether the file had several names in the image, of which the container has others too. */
static bool has_names(const struct parting *f)
{
	struct fakedb_record record;
	struct fakedb_key key;

	fakedb_key_from_statx(&key, &f->from);
	return fakedb_get(&engine.db, &key, &record) && (record.has & FAKEDB_LINKS);
}

/* A search for names: the path of the directory it is in, and for that and each above it where it goes on, and how
 * long its path is. */
struct names {
	char path[PATH_MAX];
	struct {
		int64_t offset;
		size_t length;
	} level[WALK_DEPTH_MAX];
	unsigned depth;
	char entries[16384];
};

static bool walk_enter(struct names *walk, const struct dirent64 *e)
{
	size_t length = walk->level[walk->depth].length;
	long n;

	if (e->type != DT_DIR || str_eq(e->name, ".") || str_eq(e->name, "..") || walk->depth + 1 == WALK_DEPTH_MAX)
		return false;
	n = str_append(walk->path, sizeof(walk->path), length, "/");
	n = n < 0 ? n : str_append(walk->path, sizeof(walk->path), (size_t)n, e->name);
	if (n < 0)
		return false;
	walk->level[walk->depth++].offset = e->off;
	walk->level[walk->depth].offset = 0;
	walk->level[walk->depth].length = (size_t)n;
	return true;
}

/* Takes the names in an open directory, until one of it is to be entered: then true. */
static bool walk_directory(const struct parting *f, struct names *walk, int fd)
{
	long n, at;

	(void)arch_lseek(fd, walk->level[walk->depth].offset, SEEK_SET);
	while ((n = SYS3(getdents64, fd, walk->entries, sizeof(walk->entries))) > 0)
		for (at = 0; at < n;) {
			const struct dirent64 *e = (const struct dirent64 *)(void *)(walk->entries + at);

			if (walk_enter(walk, e))
				return true;
			if (e->ino == f->from.stx_ino)
				(void)take_name(f, fd, e->name);
			at += e->size;
		}
	return false;
}

/* Gives the copy all other names that the file has in the container. */
static void take_other_names(const struct process *p, const struct parting *f, struct names *walk)
{
	struct statx stx;
	long fd, n;

	n = str_copy(walk->path, sizeof(walk->path), engine.translate && *p->view->root ? p->view->root : "/");
	walk->level[0].length = n < 0 ? 0 : (size_t)n;
	for (;;) {
		bool entered = false;

		walk->path[walk->level[walk->depth].length] = '\0';
		fd = sys_openat(AT_FDCWD, walk->path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC, 0);
		/* Through a bind it would come to the host's files, or to the image's. */
		if (fd >= 0 && look_at((int)fd, "", AT_EMPTY_PATH, &stx) == 0 && stx.stx_mnt_id == f->from.stx_mnt_id)
			entered = walk_directory(f, walk, (int)fd);
		if (fd >= 0)
			(void)sys_close((int)fd);
		if (!entered && !walk->depth)
			return;
		walk->depth -= !entered;
	}
}

static long replace(const struct process *p, const struct parting *f)
{
	long r = take_name(f, f->dir, f->last);

	if (r == 0 && has_names(f)) {
		struct names *names = get_memory(sizeof(*names));

		if (!names)
			return -ENOMEM;
		take_other_names(p, f, names);
		(void)sys_munmap(names, sizeof(*names));
	}
	return r == -ENOENT ? 0 : r; /* the name went meanwhile: there is nothing left to change */
}

/* One process of a container at a time: of two copies, one would lose what is written to it. The lock is that of the
 * fakedb's file, on a description of our own. */
static int lock(void)
{
	long r, fd = engine.db_path ? sys_openat(AT_FDCWD, engine.db_path, O_RDWR | O_CLOEXEC, 0) : -1;

	if (fd < 0)
		return -1;
	do
		r = SYS2(flock, fd, LOCK_EX);
	while (r == -EINTR);
	return (int)fd;
}

static void close_all(const struct parting *f)
{
	const int fds[] = { f->dir, f->old, f->new };

	for (unsigned i = 0; i < sizeof(fds) / sizeof(fds[0]); i++)
		if (fds[i] >= 0)
			(void)sys_close(fds[i]);
}

/* The shared file that is open as `fd` (O_PATH will do) gets its copy, *f its path. Returns 1, 0 or -errno. */
static int part(const struct process *p, struct parting *f, int fd)
{
	int r = find_name(p, f, fd), locked;

	if (r <= 0)
		return r;
	locked = lock();
	if (is_there(f)) {
		r = (int)make_copy(f);
		r = r < 0 ? r : (int)replace(p, f);
		if (r < 0)
			(void)SYS3(unlinkat, f->dir, f->name, 0);
		r = r < 0 ? r : 1;
	}
	if (locked >= 0)
		(void)sys_close(locked);
	return r;
}

/* ---- descriptors ---- */

/* The number that (fd, name) means by itself or as a link of /proc, or -1. */
static int descriptor_of(int fd, const char *name, int flags)
{
	const uint64_t own = (uint64_t)SYS0(getpid);
	uint64_t pid, number;

	if (!*name && (flags & AT_EMPTY_PATH))
		return fd;
	return proc_parse(name, own, &pid, &number) == PROC_FD && pid == own ? (int)number : -1;
}

/* Opens `path` as `fd` is open, in its place. */
static long reopen(int fd, const char *path)
{
	long flags = sys_fcntl(fd, F_GETFL, 0), close_on_exec = sys_fcntl(fd, F_GETFD, 0), new, r;

	if (flags < 0)
		return flags;
	new = sys_openat(AT_FDCWD, path, (int)((unsigned long)flags & ~(unsigned long)(O_CREAT | O_EXCL | O_TRUNC)) |
			 O_CLOEXEC | O_NOFOLLOW, 0);
	if (new < 0)
		return new;
	if (!(flags & O_PATH))
		(void)arch_lseek((int)new, arch_lseek(fd, 0, SEEK_CUR), SEEK_SET);
	r = sys_dup3((int)new, fd, close_on_exec > 0 ? O_CLOEXEC : 0);
	(void)sys_close((int)new);
	return r < 0 ? r : 0;
}

static int part_and_reopen(const struct process *p, int fd, int descriptor, const struct statx *stx, bool whole)
{
	struct parting *f = get_memory(sizeof(*f));
	int r;

	if (!f)
		return -ENOMEM;
	f->dir = f->old = f->new = -1;
	f->from = *stx;
	f->whole = whole;
	r = part(p, f, fd);
	if (r > 0 && descriptor >= 0) {
		long reopened = reopen(descriptor, f->path);

		r = reopened < 0 ? (int)reopened : r;
	}
	close_all(f);
	(void)sys_munmap(f, sizeof(*f));
	return r;
}

bool shared_is(int fd, const char *name, int flags)
{
	struct stat st;

	return engine.shared && sys_fstatat(fd, name, &st, flags) == 0 && is_shared(st.st_mode);
}

int shared_part(const struct process *p, int fd, const char *name, int flags, bool whole)
{
	struct statx stx;
	int descriptor, r;
	long opened;

	if (!engine.shared || look_at(fd, name, flags, &stx) < 0 || !is_shared(stx.stx_mode))
		return 0;
	descriptor = descriptor_of(fd, name, flags);
	if (descriptor >= 0)
		return part_and_reopen(p, descriptor, descriptor, &stx, whole);
	opened = sys_openat(fd, name, O_PATH | O_CLOEXEC | (flags & AT_SYMLINK_NOFOLLOW ? O_NOFOLLOW : 0), 0);
	if (opened < 0)
		return (int)opened;
	r = part_and_reopen(p, (int)opened, -1, &stx, whole);
	(void)sys_close((int)opened);
	return r;
}
