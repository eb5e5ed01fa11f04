/* Opening files: by far the commonest path call that changes something. */
#include <linux/errno.h>

#include "calls.h"

#define VALID_OPEN_FLAGS                                                                                               \
	(O_ACCMODE | O_CREAT | O_EXCL | O_NOCTTY | O_TRUNC | O_APPEND | O_NONBLOCK | O_SYNC | O_DSYNC | FASYNC |       \
	 O_DIRECT | O_LARGEFILE | O_DIRECTORY | O_NOFOLLOW | O_NOATIME | O_CLOEXEC | O_PATH | __O_TMPFILE)
#define PATH_FLAGS (O_DIRECTORY | O_NOFOLLOW | O_PATH | O_CLOEXEC)
#define IS_TMPFILE(flags) (((flags) & O_TMPFILE) == O_TMPFILE)

struct open_request {
	int dirfd;
	const char *path;
	unsigned long flags;
	uint32_t mode;
};

static unsigned open_want(unsigned long flags)
{
	unsigned want = 0;

	if (flags & O_PATH)
		return flags & O_NOFOLLOW ? 0 : WANT_FOLLOW;
	if (!(flags & O_NOFOLLOW) && (flags & (O_CREAT | O_EXCL)) != (O_CREAT | O_EXCL))
		want |= WANT_FOLLOW;
	if ((flags & O_CREAT) && !IS_TMPFILE(flags))
		want |= WANT_CREATE;
	if ((flags & O_ACCMODE) != O_RDONLY || (flags & O_TRUNC))
		want |= WANT_WRITE;
	return want;
}

/* An answer of the view has no link on its way, and perhaps one at its end that nobody looked at: open it in a way that
 * meets none. One that came into the way since is -ELOOP. */
static long open_unlinked(const struct where *w, unsigned long flags, uint32_t mode)
{
	long r;

	if (engine.has_openat2) {
		flags &= flags & O_PATH ? PATH_FLAGS : VALID_OPEN_FLAGS;
		r = sys_openat2(w->fd, w->name, flags, flags & (O_CREAT | __O_TMPFILE) ? mode & 07777 : 0,
				RESOLVE_NO_SYMLINKS);
		if (r != -ENOSYS && r != -EPERM)
			return r;
	}
	return sys_openat(w->fd, w->name, (int)(flags | O_NOFOLLOW), mode);
}

static long open_where(const struct where *w, unsigned long flags, uint32_t mode)
{
	if (!w->magic && engine.translate)
		return open_unlinked(w, flags, mode);
	if (w->magic)
		flags &= ~(unsigned long)O_NOFOLLOW;
	return sys_openat(w->fd, w->name, (int)flags, mode);
}

static bool writes(unsigned long flags)
{
	return !(flags & O_PATH) && ((flags & O_ACCMODE) != O_RDONLY || (flags & O_TRUNC));
}

/* Opens what is there, or is of no interest. */
static long open_existing(const struct process *p, const struct where *w, unsigned long flags, uint32_t mode)
{
	long r = open_where(w, flags, mode);

	/* Writing itself is not seen. */
	if (r >= 0 && writes(flags) && engine.pretend)
		owner_written(p, (int)r, "", AT_EMPTY_PATH);
	return r;
}

static void heritage_of(const struct where *w, unsigned long flags, struct heritage *ret_heritage)
{
	if (IS_TMPFILE(flags))
		owner_heritage_in(w->fd, w->name, ret_heritage);
	else
		owner_heritage(w->fd, w->name, ret_heritage);
}

/* Creates with an identity to remember, or to forget: only a new file's, so try to make one first. */
static long open_creating(const struct process *p, const struct where *w, unsigned long flags, uint32_t mode)
{
	uint32_t real_mode = (mode & 0777) | 0600;
	struct heritage from;
	long r;

	if (!IS_TMPFILE(flags) && !(flags & O_EXCL)) {
		r = open_where(w, flags | O_EXCL, real_mode);
		if (r == -EEXIST)
			return open_existing(p, w, flags, real_mode);
	} else {
		r = open_where(w, flags, real_mode);
	}
	if (r >= 0) {
		heritage_of(w, flags, &from);
		(void)owner_created(p, (int)r, "", AT_EMPTY_PATH, &from,
				    &(struct creation){ .mode = S_IFREG | (mode & 07777) });
	}
	return r;
}

/* What makes no sense for a device of the host's, which is there, and another's. */
#define REGULAR_FLAGS (unsigned long)(O_CREAT | O_EXCL | O_NOFOLLOW | O_NOATIME)

/* A file that pretends to be a device cannot be opened; standard devices are the host's own. */
static long open_device(const struct where *w, unsigned long flags)
{
	static const struct {
		unsigned major, minor;
		const char *path;
	} devices[] = {
		{ 1, 3, "/dev/null" }, { 1, 5, "/dev/zero" },	 { 1, 7, "/dev/full" },
		{ 1, 8, "/dev/random" }, { 1, 9, "/dev/urandom" }, { 5, 0, "/dev/tty" },
	};
	struct fakedb_record record;
	struct fakedb_key key;

	if (!owner_record(w->fd, w->name, w->magic ? 0 : AT_SYMLINK_NOFOLLOW, &key, &record) ||
	    !(record.has & FAKEDB_NODE))
		return -EACCES;
	if ((record.mode & S_IFMT) == S_IFCHR)
		for (unsigned i = 0; i < sizeof(devices) / sizeof(devices[0]); i++)
			if (record.rdev_major == devices[i].major && record.rdev_minor == devices[i].minor)
				return sys_openat(AT_FDCWD, devices[i].path,
						  (int)(flags & ~REGULAR_FLAGS), 0);
	return -ENXIO;
}

/* Root of a user namespace could open what nobody can open. */
static bool opens_device(const struct where *w, unsigned long how)
{
	int flags = w->magic ? 0 : AT_SYMLINK_NOFOLLOW;
	struct fakedb_record record;
	struct fakedb_key key;
	struct stat st;

	if (engine.translate || (how & (O_PATH | O_DIRECTORY)) || (how & (O_CREAT | O_EXCL)) == (O_CREAT | O_EXCL))
		return false;
	return sys_fstatat(w->fd, w->name, &st, flags) >= 0 && fakedb_maybe(&engine.db, st.st_ino) &&
	       owner_record(w->fd, w->name, flags, &key, &record) && (record.has & FAKEDB_NODE);
}

/* The kernel refuses to write to a shared file, which is how that is noticed. */
static long open_shared(const struct process *p, const struct where *w, unsigned long flags, uint32_t mode)
{
	int r = shared_part(p, w->fd, w->name, w->magic && !(flags & O_NOFOLLOW) ? 0 : AT_SYMLINK_NOFOLLOW,
			    !(flags & O_TRUNC));

	return r > 0 ? open_existing(p, w, flags & ~(unsigned long)O_CREAT, mode) : r < 0 ? r : -EACCES;
}

/* Whether opening is itself a change where nothing can be changed: that is found out before the permissions are. */
static bool changes_read_only(const struct where *w, unsigned long flags)
{
	struct stat st;

	if (engine.translate || (flags & O_PATH) || !(flags & (O_CREAT | O_TRUNC)))
		return false;
	if (sys_fstatat(w->fd, w->name, &st, w->magic ? 0 : AT_SYMLINK_NOFOLLOW) < 0)
		return access_parent_is_read_only(w->fd, w->name);
	return (flags & O_TRUNC) && access_is_read_only(w->fd, w->name);
}

static long open_resolved(const struct process *p, struct scratch *s, const struct where *w, unsigned long flags,
			  uint32_t mode)
{
	bool creates = !(flags & O_PATH) && (flags & (O_CREAT | __O_TMPFILE));
	long r = access_open(p, w, flags);

	if (r >= 0 && writes(flags) && (flags & (O_CREAT | O_EXCL)) != (O_CREAT | O_EXCL))
		r = running_refuses(p, w->fd, w->name, w->magic ? 0 : AT_SYMLINK_NOFOLLOW);
	if (r < 0)
		return changes_read_only(w, flags) ? -EROFS : r;

	if (w->fd == AT_FDCWD && str_has_prefix(w->name, "/proc/", 6) && !(flags & O_PATH) &&
	    (flags & O_ACCMODE) == O_RDONLY) {
		r = proc_open(p, s, w->name, (long)flags);
		if (r != -ENOSYS)
			return r;
	}
	if (engine.pretend && opens_device(w, flags))
		return open_device(w, flags);
	if (engine.pretend && creates)
		r = open_creating(p, w, flags, mode);
	else
		r = open_existing(p, w, flags, mode);
	if (r == -EACCES && engine.pretend && !(flags & O_PATH))
		r = open_device(w, flags);
	return r == -EACCES && writes(flags) ? open_shared(p, w, flags, mode) : r;
}

static bool met_link(long r, unsigned long flags)
{
	return r == -ELOOP || (r == -ENOTDIR && (flags & O_DIRECTORY));
}

/* Takes a copy of a name that lies in scratch memory, so that an open that blocks (a FIFO) or is jumped out of
 * holds none. */
#define KEEP_NAME(w)                                                      \
	do {                                                              \
		size_t keep_size = strlen((w).name) + 1;                  \
		(w).name = memcpy(__builtin_alloca(keep_size), (w).name, keep_size); \
	} while (0)

static bool in_scratch(const struct scratch *s, const char *name)
{
	return name >= (const char *)s && name < (const char *)(s + 1);
}

/* The view refuses what is read-only before anybody asked what is there; the kernel does it after. `w` is what is
 * there. */
static long refuse_read_only(const struct process *p, const struct where *w, unsigned long flags)
{
	struct stat st;
	long r;

	if (sys_fstatat(w->fd, w->name, &st, w->magic ? 0 : AT_SYMLINK_NOFOLLOW) < 0)
		return -EROFS;
	if ((flags & (O_CREAT | O_EXCL)) == (O_CREAT | O_EXCL))
		return -EEXIST;
	if ((st.st_mode & S_IFMT) == S_IFDIR)
		return IS_TMPFILE(flags) ? -EROFS : -EISDIR;
	if (flags & O_DIRECTORY)
		return -ENOTDIR;
	r = flags & O_TRUNC ? 0 : access_open(p, w, flags);
	return r < 0 ? r : -EROFS;
}

/* One try. *ret_again says that a link was met which the walker must look at. */
static long open_once(const struct process *p, const struct open_request *q, unsigned want, bool *ret_again)
{
	struct scratch *s = scratch_get();
	struct here here = process_here(p, q->path[0] != '/');
	struct where w;
	bool held = true;
	long r;

	if (!s)
		return -ENOMEM;
	r = view_resolve(p->view, &here, s, q->dirfd, q->path, want, &w);
	/* The kernel's open follows a link that nobody looked behind. */
	if (r >= 0 && w.unverified && !engine.translate)
		r = view_resolve(p->view, &here, s, q->dirfd, q->path, want | WANT_WALK, &w);
	if (r == -EROFS && view_resolve(p->view, &here, s, q->dirfd, q->path,
					(want & ~(unsigned)(WANT_WRITE | WANT_CREATE)) | WANT_WALK, &w) >= 0) {
		r = refuse_read_only(p, &w, q->flags);
	} else if (r >= 0) {
		if (in_scratch(s, w.name) && !str_has_prefix(w.name, "/proc/", 6)) {
			KEEP_NAME(w);
			scratch_put(s);
			held = false;
		}
		r = open_resolved(p, s, &w, q->flags, q->mode);
		*ret_again = !w.magic && engine.translate && met_link(r, q->flags);
	}
	if (held)
		scratch_put(s);
	return r;
}

static long open_request(const struct process *p, const struct open_request *q)
{
	unsigned want = open_want(q->flags);
	bool again = false;
	long r;

	if (q->dirfd == engine.root_fd && q->path[0] != '/' && engine.root_fd >= 0)
		return -EBADF;
	r = open_once(p, q, want, &again);
	/* A link at the end is the walker's business; one in the middle came since the path was looked at. */
	for (unsigned tries = 0; again && tries < 16; tries++) {
		again = false;
		r = open_once(p, q, want | WANT_WALK, &again);
		if (!(want & WANT_FOLLOW) && tries)
			break;
	}
	return r;
}

long op_open(struct call *c, const struct syscall_row *row)
{
	const struct path_arg *arg = &row->path[0];
	const unsigned long *rest = &c->arg[arg->path + 1];
	struct open_request q = {
		.dirfd = arg->dirfd < 0 ? AT_FDCWD : (int)c->arg[arg->dirfd],
		.path = (const char *)c->arg[arg->path],
		.flags = rest[0] & 0xffffffff,
		.mode = (uint32_t)rest[1],
	};
	long n = guest_strlen(q.path);

	if (n < 0)
		return n;
	if (row->op == OP_CREAT) {
		q.mode = (uint32_t)rest[0];
		q.flags = O_CREAT | O_WRONLY | O_TRUNC;
	}
	return open_request(process_current(), &q);
}

/* Confined to its directory the kernel cannot leave it, whatever links it meets. */
static long open_confined(const struct process *p, int fd, const char *name, const struct open_how *how)
{
	struct open_how look = { .flags = O_PATH | O_CLOEXEC | (how->flags & O_NOFOLLOW), .resolve = how->resolve };
	long r = SYS4(openat2, fd, name, how, sizeof(*how)), opened;

	if (r != -EACCES || !engine.shared)
		return r;
	opened = SYS4(openat2, fd, name, &look, sizeof(look));
	if (opened < 0)
		return r;
	if (shared_part(p, (int)opened, "", AT_EMPTY_PATH, true) > 0)
		r = SYS4(openat2, fd, name, how, sizeof(*how));
	(void)sys_close((int)opened);
	return r;
}

/* openat2(2): the guest's own restrictions are for the kernel to check, on a path that is already the right one. */
long op_openat2(struct call *c)
{
	const struct process *p = process_current();
	struct open_how how;
	struct scratch *s;
	struct where w;
	long r;

	if (c->arg[3] < sizeof(how))
		return -EINVAL;
	if (!guest_readable((void *)c->arg[2], c->arg[3]))
		return -EFAULT;
	r = guest_strlen((char *)c->arg[1]);
	if (r < 0)
		return r;
	memcpy(&how, (void *)c->arg[2], sizeof(how));
	if ((int)c->arg[0] == engine.root_fd)
		return -EBADF;
	/* No descriptor has this number: what the kernel says before it looks at the path is about `how` alone. */
	r = SYS4(openat2, -1, "x", c->arg[2], c->arg[3]);
	if (r != -EBADF)
		return r;
	if (how.resolve & (RESOLVE_BENEATH | RESOLVE_IN_ROOT))
		return open_confined(p, (int)c->arg[0], (const char *)c->arg[1], &how);
	if (!(how.resolve & RESOLVE_NO_SYMLINKS) && how.flags <= 0xffffffff && !how.resolve && how.mode <= 07777) {
		struct open_request q = { (int)c->arg[0], (char *)c->arg[1], how.flags, (uint32_t)how.mode };

		return open_request(p, &q);
	}
	s = scratch_get();
	if (!s)
		return -ENOMEM;
	r = path_resolve_at(p, s, (int)c->arg[0], (char *)c->arg[1],
			    open_want(how.flags) & (how.resolve & RESOLVE_NO_SYMLINKS ? ~(unsigned)WANT_FOLLOW : ~0u),
			    &w);
	if (r >= 0 && ((w.through_magic && (how.resolve & RESOLVE_NO_MAGICLINKS)) ||
		       (w.through_link && (how.resolve & RESOLVE_NO_SYMLINKS))))
		r = -ELOOP;
	if (r >= 0)
		r = access_open(p, &w, how.flags);
	if (r >= 0)
		r = open_confined(p, w.fd, w.name, &how);
	scratch_put(s);
	return r;
}
