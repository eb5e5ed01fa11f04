/* Looking at files: the kernel answers, and what the file pretends is laid over the answer. */
#include <linux/errno.h>

#include "calls.h"

/* makedev of the kernel's struct stat (new_encode_dev). */
static unsigned long encode_dev(uint32_t major, uint32_t minor)
{
	return (minor & 0xff) | ((unsigned long)major << 8) | ((unsigned long)(minor & ~0xffu) << 12);
}

static void pretend_stat(struct stat *st, int dirfd, const char *name, int flags)
{
	bool shared = is_shared(st->st_mode), known;
	struct fakedb_record record;
	struct fakedb_key key;

	known = fakedb_maybe(&engine.db, st->st_ino) && owner_record(dirfd, name, flags, &key, &record);
	if (shared) {
		st->st_mode = own_mode(st->st_mode);
		if (!known || !(record.has & FAKEDB_LINKS))
			st->st_nlink = 1;
	}
	if (!engine.pretend)
		return;
	st->st_uid = owner_shown(st->st_uid, engine.uid);
	st->st_gid = owner_shown(st->st_gid, engine.gid);
	if (!known)
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

	bool known;

	fakedb_key_from_statx(&key, stx);
	known = fakedb_get(&engine.db, &key, &record);
	if (is_shared(stx->stx_mode)) {
		stx->stx_mode = (uint16_t)own_mode(stx->stx_mode);
		if (!known || !(record.has & FAKEDB_LINKS))
			stx->stx_nlink = 1;
	}
	if (!engine.pretend)
		return;
	stx->stx_uid = owner_shown(stx->stx_uid, engine.uid);
	stx->stx_gid = owner_shown(stx->stx_gid, engine.gid);
	if (!known)
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

/* What a guest asks about a file: by stat, or by statx. */
struct question {
	int given;	   /* flags */
	struct stat *st;   /* guest memory, or NULL */
	struct statx *stx; /* the same */
	unsigned mask;
};

static long ask(const struct question *q, const struct where *w)
{
	int flags = (q->given & ~AT_SYMLINK_NOFOLLOW) | (w->magic ? 0 : AT_SYMLINK_NOFOLLOW);

	return q->stx ? sys_statx(w->fd, w->name, flags, q->mask, q->stx) : sys_fstatat(w->fd, w->name, q->st, flags);
}

/* After ask(), which wrote the answer: the guest's memory is there. */
static bool is_link(const struct question *q)
{
	return ((q->stx ? q->stx->stx_mode : q->st->st_mode) & S_IFMT) == S_IFLNK;
}

/* The number in "/proc/NUMBER" or beneath, else 0. */
static int process_of(const struct where *w)
{
	const char *s = w->name + 6;
	int pid = 0;

	if (w->fd != AT_FDCWD || !str_has_prefix(w->name, "/proc/", 6))
		return 0;
	for (; *s >= '0' && *s <= '9' && pid < 1 << 24; s++)
		pid = pid * 10 + (*s - '0');
	return *s && *s != '/' ? 0 : pid;
}

/* The files of a process are whose the process is. */
static bool pretend_process(const struct question *q, int pid)
{
	struct ids ids;

	if ((q->stx ? q->stx->stx_uid : q->st->st_uid) != engine.uid || !ids_of(pid, &ids))
		return false;
	if (q->stx) {
		q->stx->stx_uid = ids.euid;
		q->stx->stx_gid = ids.egid;
	} else {
		q->st->st_uid = ids.euid;
		q->st->st_gid = ids.egid;
	}
	return true;
}

static void pretend(const struct question *q, const struct where *w)
{
	int pid;

	if (!engine.pretend && !engine.shared)
		return;
	pid = engine.pretend ? process_of(w) : 0;
	if (pid && pretend_process(q, pid))
		return;
	if (q->stx)
		pretend_statx(q->stx);
	else
		pretend_stat(q->st, w->fd, w->name,
			     (q->given & ~AT_SYMLINK_NOFOLLOW) | (w->magic ? 0 : AT_SYMLINK_NOFOLLOW));
}

/* The same with the directory held, for when directories are being renamed under its feet. */
static long answer_pinned(const struct process *p, struct scratch *s, const struct call *c, const struct path_arg *arg,
			  const struct question *q)
{
	struct pin pin;
	struct where w;
	long r = path_resolve_pinned(p, s, c, arg, WANT_WALK, &w, &pin);

	if (r < 0)
		return r;
	r = ask(q, &w);
	if (r >= 0)
		pretend(q, &w);
	path_unpin(&pin);
	return r;
}

/* The answer itself tells whether a link was met that the walker must look at: no other call has to find out. */
static long answer(const struct process *p, struct scratch *s, const struct call *c, const struct path_arg *arg,
		   const struct question *q)
{
	const char *path = (const char *)c->arg[arg->path];
	int dirfd = arg->dirfd < 0 ? AT_FDCWD : (int)c->arg[arg->dirfd];
	struct here here = process_here(p, path[0] != '/');
	uint64_t generation = p->view->cache ? dircache_generation(p->view->cache) : 0;
	unsigned want = path_want(c, arg);
	struct where w;
	long r;

	r = view_resolve(p->view, &here, s, dirfd, path, want, &w);
	if (r < 0)
		return r;
	r = ask(q, &w);
	if (r >= 0 && w.unverified && is_link(q)) {
		r = view_resolve(p->view, &here, s, dirfd, path, want | WANT_WALK, &w);
		if (r >= 0)
			r = ask(q, &w);
	}
	/* A directory changed meanwhile: what was answered may be a stranger's. */
	if (r >= 0 && !w.magic && p->view->cache && dircache_generation(p->view->cache) != generation)
		return answer_pinned(p, s, c, arg, q);
	if (r >= 0)
		pretend(q, &w);
	return r;
}

static bool stats_without_path(int dirfd)
{
	struct stat st;

	return sys_fstatat(dirfd, NULL, &st, AT_EMPTY_PATH) != -EFAULT;
}

/* Answers about what the path argument names, or with AT_EMPTY_PATH the descriptor. */
static long look(const struct call *c, const struct path_arg *arg, const struct question *q)
{
	const char *path = (const char *)c->arg[arg->path];
	int dirfd = arg->dirfd < 0 ? AT_FDCWD : (int)c->arg[arg->dirfd];
	struct scratch *s;
	long r;

	/* Without a path it is fstat, where the kernel has that: since Linux 6.11. */
	if (path || !(q->given & AT_EMPTY_PATH) || !stats_without_path(dirfd)) {
		r = guest_strlen(path);
		if (r < 0)
			return r;
	}
	if (dirfd == engine.root_fd && dirfd >= 0 && (!path || path[0] != '/'))
		return -EBADF;
	if ((!path || !path[0]) && (q->given & AT_EMPTY_PATH)) {
		struct where w = { .fd = dirfd, .name = "" };

		r = ask(q, &w);
		if (r >= 0)
			pretend(q, &w);
		return r;
	}
	s = scratch_get();
	if (!s)
		return -ENOMEM;
	r = answer(process_current(), s, c, arg, q);
	scratch_put(s);
	return r;
}

long op_stat(struct call *c, const struct syscall_row *row)
{
	const struct path_arg *arg = &row->path[0];
	struct question q = {
		.given = arg->rule == RULE_NOFOLLOW_IF ? (int)c->arg[arg->flag] : 0,
		.st = (struct stat *)c->arg[arg->path + 1],
	};

	return look(c, arg, &q);
}

long op_fstat(struct call *c)
{
	struct stat *st = (struct stat *)c->arg[1];
	long r;

	r = sys_fstat((int)c->arg[0], st);
	if (r >= 0)
		pretend_stat(st, (int)c->arg[0], "", AT_EMPTY_PATH);
	return r;
}

long op_statx(struct call *c, const struct syscall_row *row)
{
	const unsigned known_by = STATX_INO | STATX_BTIME | STATX_TYPE | STATX_MODE;
	const unsigned more = engine.pretend || engine.shared ? known_by : STATX_TYPE;
	struct question q = {
		.given = (int)c->arg[2],
		.stx = (struct statx *)c->arg[4],
		.mask = (unsigned)c->arg[3] | more,
	};

	return look(c, &row->path[0], &q);
}
