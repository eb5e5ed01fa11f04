/* Looking at files: the kernel answers, and what the file pretends is laid over the answer. */
#include <linux/errno.h>

#include "calls.h"

/* makedev of the kernel's struct stat (new_encode_dev). */
static unsigned long encode_dev(uint32_t major, uint32_t minor)
{
	return (minor & 0xff) | ((unsigned long)major << 8) | ((unsigned long)(minor & ~0xffu) << 12);
}

/* The caller's own files are root's, for they are the image's. */
static void pretend_stat(struct stat *st, int dirfd, const char *name, int flags)
{
	struct fakedb_record record;
	struct fakedb_key key;

	if (st->st_uid == engine.uid)
		st->st_uid = 0;
	if (st->st_gid == engine.gid)
		st->st_gid = 0;
	if (!fakedb_maybe(&engine.db, st->st_ino) || !owner_record(dirfd, name, flags, &key, &record))
		return;
	st->st_uid = record.uid;
	st->st_gid = record.gid;
	st->st_mode = record.mode;
	if (record.has & FAKEDB_NODE) {
		st->st_rdev = encode_dev(record.rdev_major, record.rdev_minor);
		st->st_size = 0;
	}
}

static void pretend_statx(struct statx *stx)
{
	struct fakedb_record record = { 0 };
	struct fakedb_key key;

	fakedb_key_from_statx(&key, stx);
	if (stx->stx_uid == engine.uid)
		stx->stx_uid = 0;
	if (stx->stx_gid == engine.gid)
		stx->stx_gid = 0;
	if (!fakedb_get(&engine.db, &key, &record))
		return;
	if (record.has & FAKEDB_OWNER) {
		stx->stx_uid = record.uid;
		stx->stx_gid = record.gid;
	}
	if (record.has & FAKEDB_MODE)
		stx->stx_mode = (uint16_t)((stx->stx_mode & S_IFMT) | (record.mode & 07777));
	if (record.has & FAKEDB_NODE) {
		stx->stx_mode = (uint16_t)((stx->stx_mode & 07777) | (record.mode & S_IFMT));
		stx->stx_rdev_major = record.rdev_major;
		stx->stx_rdev_minor = record.rdev_minor;
		stx->stx_size = 0;
	}
}

static bool is_link(const struct stat *st)
{
	return (st->st_mode & S_IFMT) == S_IFLNK;
}

/* The same with the directory held, for when directories are being renamed under its feet. */
static long stat_pinned(const struct process *p, struct scratch *s, const struct call *c, const struct path_arg *arg,
			struct stat *st, int given)
{
	struct pin pin;
	struct where w;
	int flags;
	long r = path_resolve_pinned(p, s, c, arg, WANT_WALK, &w, &pin);

	if (r < 0)
		return r;
	flags = (given & ~AT_SYMLINK_NOFOLLOW) | (w.magic ? 0 : AT_SYMLINK_NOFOLLOW);
	r = sys_fstatat(w.fd, w.name, st, flags);
	if (r >= 0 && engine.pretend)
		pretend_stat(st, w.fd, w.name, flags);
	path_unpin(&pin);
	return r;
}

long op_stat(struct call *c, const struct syscall_row *row)
{
	const struct process *p = process_current();
	const struct path_arg *arg = &row->path[0];
	const char *path = (const char *)c->arg[arg->path];
	struct stat *st = (struct stat *)c->arg[arg->path + 1];
	int dirfd = arg->dirfd < 0 ? AT_FDCWD : (int)c->arg[arg->dirfd];
	unsigned want = path_want(c, arg);
	int given = arg->rule == RULE_NOFOLLOW_IF ? (int)c->arg[arg->flag] : 0, flags;
	struct scratch *s;
	struct here here;
	struct where w;
	uint64_t generation;
	long r;

	/* fstatat(fd, NULL, AT_EMPTY_PATH) is Linux 6.11's fstat. */
	if (!path && (given & AT_EMPTY_PATH))
		path = "";
	else if ((r = guest_strlen(path)) < 0)
		return r;
	if (dirfd == engine.root_fd && dirfd >= 0 && path[0] != '/')
		return -EBADF;
	s = scratch_get();
	if (!s)
		return -ENOMEM;
	here = process_here(p, path[0] != '/');
	generation = p->view->cache ? dircache_generation(p->view->cache) : 0;
	r = view_resolve(p->view, &here, s, dirfd, path, want, &w);
	if (r >= 0) {
		flags = (given & ~AT_SYMLINK_NOFOLLOW) | (w.magic ? 0 : AT_SYMLINK_NOFOLLOW);
		r = sys_fstatat(w.fd, w.name, st, flags);
		if (r >= 0 && w.unverified && is_link(st)) {
			r = view_resolve(p->view, &here, s, dirfd, path, want | WANT_WALK, &w);
			if (r >= 0) {
				flags = (given & ~AT_SYMLINK_NOFOLLOW) | (w.magic ? 0 : AT_SYMLINK_NOFOLLOW);
				r = sys_fstatat(w.fd, w.name, st, flags);
			}
		}
		/* A directory changed meanwhile: what was answered may be a stranger's. */
		if (r >= 0 && !w.magic && p->view->cache && dircache_generation(p->view->cache) != generation)
			r = stat_pinned(p, s, c, arg, st, given);
		else if (r >= 0 && engine.pretend)
			pretend_stat(st, w.fd, w.name, flags);
	}
	scratch_put(s);
	return r;
}

long op_fstat(struct call *c)
{
	struct stat *st = (struct stat *)c->arg[1];
	long r;

	r = SYS2(fstat, c->arg[0], st);
	if (r >= 0)
		pretend_stat(st, (int)c->arg[0], "", AT_EMPTY_PATH);
	return r;
}

long op_statx(struct call *c, const struct syscall_row *row)
{
	const struct process *p = process_current();
	struct statx *stx = (struct statx *)c->arg[4];
	int given = (int)c->arg[2];
	unsigned mask = (unsigned)c->arg[3],
		 more = engine.pretend ? STATX_INO | STATX_BTIME | STATX_TYPE | STATX_MODE : 0;
	struct scratch *s;
	struct where w = { .fd = (int)c->arg[0], .name = "" };
	long r = 0;

	if (c->arg[1] || !(given & AT_EMPTY_PATH)) {
		s = scratch_get();
		r = s ? path_resolve(p, s, c, &row->path[0], 0, &w) : -ENOMEM;
	} else {
		s = NULL;
	}
	if (r >= 0)
		r = SYS5(statx, w.fd, w.name, (given & ~AT_SYMLINK_NOFOLLOW) | (w.magic ? 0 : AT_SYMLINK_NOFOLLOW),
			 mask | more, stx);
	if (r >= 0 && engine.pretend)
		pretend_statx(stx);
	if (s)
		scratch_put(s);
	return r;
}
