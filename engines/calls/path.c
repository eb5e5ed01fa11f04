/* Calls that take paths and do nothing else that needs care: the path is resolved and the call made in its *at form. */
#include <linux/errno.h>
#include <linux/inotify.h>
#include <linux/mman.h>

#include "calls.h"
#include "legacy.h"

int path_resolve_at(const struct process *p, struct scratch *s, int dirfd, const char *path, unsigned want,
		    struct where *ret_where)
{
	struct here here;
	char byte;
	int r;

	if (dirfd == engine.root_fd && path[0] != '/' && engine.root_fd >= 0)
		return -EBADF;
	while (path[0] == '.' && path[1] == '/' && path[2] && path[2] != '/' && !(path[2] == '.' && path[3] != '.'))
		path += 2;
	here = process_here(p, path[0] != '/');
	if (want & WANT_AS_REAL)
		access_prepare(p, ACCESS_AS_REAL, &here);
	want &= ~WANT_AS_REAL;
	r = view_resolve(p->view, &here, s, dirfd, path, want, ret_where);
	if (r < 0 || !ret_where->unverified)
		return r;
	/* EINVAL: there, and no link. Other errors are the call's own to meet. */
	if (sys_readlinkat(ret_where->fd, ret_where->name, &byte, 1) < 0) {
		ret_where->unverified = false;
		return 0;
	}
	return view_resolve(p->view, &here, s, dirfd, path, want | WANT_WALK, ret_where);
}

/* "/proc/self/fd/FD" or "/proc/self/fd/FD/NAME" in s->pending, where no name of an answer lies. */
static int name_by_fd(struct scratch *s, int fd, const char *name, const char **ret_string)
{
	char *buf = s->pending;
	long n = str_copy(buf, sizeof(s->pending), "/proc/self/fd/");

	n += str_from_u64(buf + n, (uint64_t)fd);
	buf[n] = '\0';
	if (name)
		n = str_append(buf, sizeof(s->pending), (size_t)n, "/");
	if (name && n >= 0)
		n = str_append(buf, sizeof(s->pending), (size_t)n, name);
	*ret_string = buf;
	return n < 0 ? (int)n : 0;
}

/* One try of path_hold(). */
static int hold_once(const struct process *p, struct scratch *s, int dirfd, const char *path, unsigned want,
		     const char **ret_string, struct pin *ret_pin)
{
	struct where w;
	long fd;
	int r = path_resolve_at(p, s, dirfd, path, want, &w);

	if (r < 0)
		return r;
	if (w.magic || !engine.translate || !engine.has_openat2) {
		*ret_string = w.name;
		return w.fd == AT_FDCWD ? 0 : name_by_fd(s, w.fd, w.name, ret_string);
	}
	if (!(want & WANT_FOLLOW)) {
		r = path_pin(s, &w, ret_pin);
		*ret_string = w.name;
		return r < 0 || w.fd == AT_FDCWD ? r : name_by_fd(s, w.fd, w.name, ret_string);
	}
	fd = sys_openat2(w.fd, w.name, O_PATH | O_CLOEXEC, 0, RESOLVE_NO_SYMLINKS);
	if (fd < 0)
		return (int)fd;
	ret_pin->fd = (int)fd;
	return name_by_fd(s, (int)fd, NULL, ret_string);
}

int path_hold(const struct process *p, struct scratch *s, int dirfd, const char *path, unsigned want,
	      const char **ret_string, struct pin *ret_pin)
{
	int r = 0;

	ret_pin->fd = -1;
	for (unsigned tries = 0; tries < 16; tries++) {
		r = hold_once(p, s, dirfd, path, want | (tries ? WANT_WALK : 0), ret_string, ret_pin);
		if (r != -ELOOP)
			break;
	}
	return r;
}

unsigned path_want(const struct call *c, const struct path_arg *arg)
{
	unsigned long flags = c->arg[arg->flag];
	unsigned want = 0;

	switch ((enum path_rule)arg->rule) {
	case RULE_FOLLOW:
		return WANT_FOLLOW;
	case RULE_NOFOLLOW_IF:
		want = flags & AT_SYMLINK_NOFOLLOW ? 0 : WANT_FOLLOW;
		break;
	case RULE_FOLLOW_IF:
		want = flags & AT_SYMLINK_FOLLOW ? WANT_FOLLOW : 0;
		break;
	case RULE_PARENT:
		return WANT_PARENT | WANT_WRITE;
	case RULE_NONE:
	case RULE_NOFOLLOW:
	case RULE_OPEN:
		return 0;
	}
	if (flags & AT_EMPTY_PATH)
		want |= WANT_EMPTY;
	return want;
}

/* Where a path argument stands; checks that it can be read. Returns 0 or -errno. */
static int path_argument(const struct call *c, const struct path_arg *arg, int *ret_dirfd, const char **ret_path)
{
	const char *path = (const char *)c->arg[arg->path];
	long n = guest_strlen(path);

	if (n < 0)
		return (int)n;
	*ret_dirfd = arg->dirfd < 0 ? AT_FDCWD : (int)c->arg[arg->dirfd];
	*ret_path = path;
	return 0;
}

int path_resolve(const struct process *p, struct scratch *s, const struct call *c, const struct path_arg *arg,
		 unsigned want, struct where *ret_where)
{
	const char *path = NULL;
	int dirfd = AT_FDCWD, r;

	r = path_argument(c, arg, &dirfd, &path);
	if (r < 0)
		return r;
	return path_resolve_at(p, s, dirfd, path, want | path_want(c, arg), ret_where);
}

int path_pin(struct scratch *s, struct where *w, struct pin *ret_pin)
{
	const char *last = w->name + strlen(w->name);
	size_t n;
	long fd;

	ret_pin->fd = -1;
	if (w->magic || !engine.translate || !engine.has_openat2)
		return 0;
	while (last > w->name && last[-1] == '/')
		last--;
	while (last > w->name && last[-1] != '/')
		last--;
	n = (size_t)(last - w->name);
	/* A name alone has no directory on its way. */
	if (n < 2 || n >= sizeof(s->link) || str_eq(last, ".") || str_eq(last, ".."))
		return 0;
	memcpy(s->link, w->name, n); /* no name of an answer lies there */
	s->link[n] = '\0';
	fd = sys_openat2(w->fd, s->link, O_PATH | O_DIRECTORY | O_CLOEXEC, 0, RESOLVE_NO_SYMLINKS);
	if (fd == -EPERM || fd == -ENOSYS || fd == -EMFILE || fd == -ENFILE)
		return 0;
	if (fd < 0)
		return (int)fd;
	ret_pin->fd = (int)fd;
	w->fd = (int)fd;
	w->name = last;
	return 0;
}

void path_unpin(const struct pin *pin)
{
	if (pin->fd >= 0)
		(void)sys_close(pin->fd);
}

/* In the kernel's view nobody has looked yet at the directory of a name, and at what is read-only, which comes before
 * what may be done there. */
static int look_at_parent(const struct where *w, bool create)
{
	long fd = owner_open_parent(w->fd, w->name);
	struct stat st;

	if (fd < 0)
		return (int)fd;
	(void)sys_close((int)fd);
	if (create && sys_fstatat(w->fd, w->name, &st, AT_SYMLINK_NOFOLLOW) >= 0)
		return 0; /* EEXIST */
	return access_parent_is_read_only(w->fd, w->name) ? -EROFS : 0;
}

/* path_resolve_pinned(), without asking whether the process may. */
static int resolve_pinned(const struct process *p, struct scratch *s, const struct call *c, const struct path_arg *arg,
			  unsigned want, struct where *ret_where, struct pin *ret_pin)
{
	int r = 0;

	ret_pin->fd = -1;
	for (unsigned tries = 0; tries < 16; tries++) {
		r = path_resolve(p, s, c, arg, want | (tries ? WANT_WALK : 0), ret_where);
		if (r < 0)
			return r;
		r = path_pin(s, ret_where, ret_pin);
		if (r != -ELOOP)
			break;
	}
	if (r < 0 || engine.translate || !access_restricted(p, ACCESS_AS_EFFECTIVE))
		return r;
	if (arg->rule == RULE_PARENT)
		return look_at_parent(ret_where, want & WANT_CREATE);
	return (want & WANT_WRITE) && access_is_read_only(ret_where->fd, ret_where->name) ? -EROFS : 0;
}

int path_resolve_pinned(const struct process *p, struct scratch *s, const struct call *c, const struct path_arg *arg,
			unsigned want, struct where *ret_where, struct pin *ret_pin)
{
	int r = resolve_pinned(p, s, c, arg, want, ret_where, ret_pin);

	return r >= 0 && arg->rule == RULE_PARENT ? access_name(p, ret_where, want & WANT_CREATE) : r;
}

/* What times a call is to set. */
enum times {
	TIMES_GIVEN, /* of the guest's choice */
	TIMES_NOW,   /* then writing is as good as owning */
	TIMES_NONE,  /* then nothing is looked at, not even the path */
};

static enum times times_kind(long nr, const void *times)
{
	/* struct timespec: seconds, nanoseconds; where words are small, the other call has it of 64-bit numbers. */
	const long now = (1l << 30) - 1, omit = (1l << 30) - 2;
	const long *t = times;
	const int64_t *wide = times;
	long a, b;

	if (!times)
		return TIMES_NOW;
	if (nr == __NR_utimensat_time64 && guest_readable(times, 4 * sizeof(*wide))) {
		a = (int32_t)wide[1];
		b = (int32_t)wide[3];
	} else if (nr == __NR_utimensat && guest_readable(times, 4 * sizeof(*t))) {
		a = t[1];
		b = t[3];
	} else {
		return TIMES_GIVEN;
	}
	return a == now && b == now ? TIMES_NOW : a == omit && b == omit ? TIMES_NONE : TIMES_GIVEN;
}

/* How shared_part() is to take an answer of the view. */
static int shared_flags(const struct where *w, unsigned want)
{
	return (w->magic && (want & WANT_FOLLOW) ? 0 : AT_SYMLINK_NOFOLLOW) | (w->name[0] ? 0 : AT_EMPTY_PATH);
}

long op_at(struct call *c, const struct syscall_row *row, unsigned want)
{
	const struct process *p = process_current();
	const struct path_arg *arg = &row->path[0];
	struct pin pin = { -1 };
	unsigned long a[6];
	enum times times = want & WANT_WRITE ? times_kind(c->nr, (void *)c->arg[2]) : TIMES_GIVEN;
	struct scratch *s;
	struct where w;
	long r;

	if (times == TIMES_NONE)
		return 0;
	memcpy(a, c->arg, sizeof(a));
	/* utimensat and futimesat: no path means the descriptor itself. */
	if (a[arg->path]) {
		s = scratch_get();
		r = s ? path_resolve_pinned(p, s, c, arg, want, &w, &pin) : -ENOMEM;
		if (r >= 0) {
			a[arg->dirfd] = (unsigned long)w.fd;
			a[arg->path] = (unsigned long)w.name;
			if (want & WANT_WRITE)
				r = access_times(p, &w, w.magic ? 0 : AT_SYMLINK_NOFOLLOW, times == TIMES_NOW);
			if (r >= 0 && (want & WANT_WRITE))
				r = shared_part(p, w.fd, w.name, shared_flags(&w, path_want(c, arg)), true);
		}
		if (r >= 0) {
			r = arch_syscall6(c->nr, (long)a[0], (long)a[1], (long)a[2], (long)a[3], (long)a[4],
					  (long)a[5]);
		}
		path_unpin(&pin);
		scratch_put(s);
		return r;
	}
	w = (struct where){ .fd = (int)a[arg->dirfd], .name = "" };
	r = access_times(p, &w, AT_EMPTY_PATH, times == TIMES_NOW);
	if (r >= 0 && (want & WANT_WRITE))
		r = shared_part(p, w.fd, "", AT_EMPTY_PATH, true);
	if (r < 0)
		return r;
	return arch_syscall6(c->nr, (long)a[0], (long)a[1], (long)a[2], (long)a[3], (long)a[4], (long)a[5]);
}

/* What path_hold() holds, as the calls that know descriptors have it. */
struct held {
	struct where w;
	int flags;
};

static struct held held_by(const char *string, const struct pin *pin)
{
	if (pin->fd >= 0)
		return (struct held){ .w = { .fd = pin->fd, .name = "" }, .flags = AT_EMPTY_PATH };
	return (struct held){ .w = { .fd = AT_FDCWD, .name = string } };
}

static bool is_truncate(const struct call *c)
{
	return c->nr == __NR_truncate || c->nr == __NR_truncate64;
}

/* Of truncate(2), utime(2) and utimes(2), which follow links. */
static int access_held(const struct process *p, const struct call *c, const struct held *h)
{
	int r;

	if (is_truncate(c)) {
		r = access_truncate(p, h->w.fd, h->w.name, h->flags);
		r = r < 0 ? r : running_refuses(p, h->w.fd, h->w.name, h->flags);
	} else {
		r = access_times(p, &h->w, h->flags, times_kind(c->nr, (void *)c->arg[1]) == TIMES_NOW);
	}
	return r < 0 ? r : shared_part(p, h->w.fd, h->w.name, h->flags, true);
}

/* truncate(2) of what is read-only: whether it may be written at all is asked before. */
static long truncate_read_only(const struct process *p, struct scratch *s, int dirfd, const char *path)
{
	struct pin pin = { -1 };
	const char *string;
	struct held h;
	long r = path_hold(p, s, dirfd, path, WANT_FOLLOW | WANT_WALK, &string, &pin);

	if (r >= 0) {
		h = held_by(string, &pin);
		r = access_truncate(p, h.w.fd, h.w.name, h.flags);
	}
	path_unpin(&pin);
	return r < 0 ? r : -EROFS;
}

long op_string(struct call *c, const struct syscall_row *row, unsigned want)
{
	const struct process *p = process_current();
	const struct path_arg *arg = &row->path[0];
	struct scratch *s = scratch_get();
	struct pin pin = { -1 };
	const char *path = NULL, *string;
	int dirfd = AT_FDCWD;
	struct held h;
	long r = s ? path_argument(c, arg, &dirfd, &path) : -ENOMEM;

	if (r >= 0)
		r = path_hold(p, s, dirfd, path, want | path_want(c, arg), &string, &pin);
	if (r == -EROFS && is_truncate(c))
		r = truncate_read_only(p, s, dirfd, path);
	if (r >= 0) {
		h = held_by(string, &pin);
		r = want & WANT_WRITE ? access_held(p, c, &h) : 0;
	}
	if (r >= 0) {
		r = arch_syscall6(c->nr, (long)string, (long)c->arg[1], (long)c->arg[2], (long)c->arg[3],
				  (long)c->arg[4], (long)c->arg[5]);
		if (r >= 0 && is_truncate(c) && engine.pretend)
			owner_written(p, h.w.fd, h.w.name, h.flags);
	}
	path_unpin(&pin);
	scratch_put(s);
	return r;
}

static bool under_proc(const struct where *w)
{
	return str_has_prefix(w->name, "/proc/", 6);
}

/* The text of a link of procfs, as the guest may see it: in s->link. Returns its length, or -ENOSYS for other links. */
static long proc_readlink(const struct process *p, struct scratch *s, const struct where *w)
{
	const char *last = w->name + strlen(w->name);
	long n;

	while (last > w->name && last[-1] != '/')
		last--;
	if (str_eq(last, "exe")) {
		uint64_t pid = 0;
		const char *q = w->name + 6;

		if (str_has_prefix(q, "self/", 5) || str_has_prefix(q, "thread-self/", 12))
			pid = (uint64_t)SYS0(getpid);
		for (; *q >= '0' && *q <= '9'; q++)
			pid = pid * 10 + (uint64_t)(*q - '0');
		return pid ? proc_exe(p, s, (int)pid, s->link, sizeof(s->link)) : -ENOSYS;
	}
	if (str_eq(last, "root")) {
		n = sys_readlinkat(w->fd, w->name, s->link, sizeof(s->link) - 1);
		return n < 0 ? n : str_copy(s->link, sizeof(s->link), "/");
	}
	n = sys_readlinkat(w->fd, w->name, s->host, sizeof(s->host) - 1);
	if (n < 0)
		return n;
	s->host[n] = '\0';
	if (s->host[0] != '/')
		return -ENOSYS;
	n = view_unresolve(p->view, s->host, s->link, sizeof(s->link));
	return n < 0 ? -ENOSYS : n;
}

long op_readlink(struct call *c, const struct syscall_row *row)
{
	const struct process *p = process_current();
	const struct path_arg *arg = &row->path[0];
	char *buf = (char *)c->arg[arg->path + 1];
	int size = (int)c->arg[arg->path + 2];
	struct scratch *s;
	struct where w;
	long r;

	if (size <= 0)
		return -EINVAL;
	s = scratch_get();
	r = s ? path_resolve(p, s, c, arg, WANT_EMPTY, &w) : -ENOMEM;
	if (r >= 0) {
		long n = -ENOSYS;

		/* The name may be in s->host, which proc_readlink() uses: w.name is read before it is overwritten. */
		if (under_proc(&w))
			n = proc_readlink(p, s, &w);
		if (n == -ENOSYS) {
			r = sys_readlinkat(w.fd, w.name, buf, (size_t)size);
			if (r == -ENOENT && under_proc(&w) && w.name == s->host)
				r = path_resolve(p, s, c, arg, WANT_EMPTY, &w) < 0 ?
					    r :
					    sys_readlinkat(w.fd, w.name, buf, (size_t)size);
		} else if (n < 0) {
			r = n;
		} else {
			r = n < size ? n : size;
			if (guest_writable(buf, (size_t)r))
				memcpy(buf, s->link, (size_t)r);
			else
				r = -EFAULT;
		}
	}
	scratch_put(s);
	return r;
}

static long real_access(const struct where *w, int mode, int flags)
{
	long r = SYS4(faccessat2, w->fd, w->name, mode, flags);

	if (r == -ENOSYS && !(flags & ~AT_EACCESS))
		r = SYS3(faccessat, w->fd, w->name, mode);
	return r;
}

/* Whether a read-only mount matters: it does not to devices, pipes and sockets. */
static bool is_stored(const struct where *w, int flags)
{
	struct fakedb_record file;
	struct fakedb_key key;

	(void)owner_record(w->fd, w->name, flags, &key, &file);
	file.mode &= S_IFMT;
	return file.mode == S_IFREG || file.mode == S_IFDIR || file.mode == S_IFLNK;
}

/* access(2) with the real ids asks what the process could do; root may read and write all, and run what anybody may. */
long op_access(struct call *c, const struct syscall_row *row)
{
	const struct process *p = process_current();
	const struct path_arg *arg = &row->path[0];
	int mode = (int)c->arg[arg->path + 1];
	int flags = row->path[0].rule == RULE_NOFOLLOW_IF ? (int)c->arg[3] : 0, at;
	enum access_as as = flags & AT_EACCESS ? ACCESS_AS_EFFECTIVE : ACCESS_AS_REAL;
	struct scratch *s = scratch_get();
	struct where w;
	long r;

	r = s ? path_resolve(p, s, c, arg, as == ACCESS_AS_REAL ? WANT_AS_REAL : 0, &w) : -ENOMEM;
	if (r >= 0) {
		at = w.magic ? 0 : AT_SYMLINK_NOFOLLOW;
		if ((mode & ~7) == 0)
			r = access_file(p, as, w.fd, w.name, at, (unsigned)mode);
		if (r >= 0)
			r = real_access(&w, mode, flags);
		if (r == -EACCES && (mode & ACCESS_WRITE) && shared_is(w.fd, w.name, at))
			r = real_access(&w, mode & ~ACCESS_WRITE, flags);
		if (r == -EACCES)
			r = access_refused(p, as, w.fd, w.name, at, (unsigned)mode);
		if (r >= 0 && (mode & ACCESS_WRITE) && w.read_only && is_stored(&w, at))
			r = -EROFS;
	}
	scratch_put(s);
	return r;
}

long op_inotify(struct call *c)
{
	const struct process *p = process_current();
	struct scratch *s = scratch_get();
	unsigned mask = (unsigned)c->arg[2];
	struct where w;
	long r = s ? guest_strlen((char *)c->arg[1]) : -ENOMEM;

	if (r >= 0)
		r = path_resolve_at(p, s, AT_FDCWD, (char *)c->arg[1],
				    WANT_STRING | (mask & IN_DONT_FOLLOW ? 0 : WANT_FOLLOW), &w);
	if (r >= 0)
		r = SYS3(inotify_add_watch, c->arg[0], w.name, mask);
	scratch_put(s);
	return r;
}

long op_chdir(struct call *c)
{
	const struct process *p = process_current();
	struct scratch *s = scratch_get();
	struct pin pin = { -1 };
	const char *string;
	long r = s ? guest_strlen((char *)c->arg[0]) : -ENOMEM;

	if (r >= 0)
		r = path_hold(p, s, AT_FDCWD, (char *)c->arg[0], WANT_FOLLOW, &string, &pin);
	if (r >= 0)
		r = pin.fd >= 0 ? access_search(p, pin.fd, "", AT_EMPTY_PATH) :
				  access_search(p, AT_FDCWD, string, 0);
	if (r >= 0)
		r = pin.fd >= 0 ? SYS1(fchdir, pin.fd) : SYS1(chdir, string);
	path_unpin(&pin);
	scratch_put(s);
	process_cwd_changed();
	return r;
}

long op_fchdir(struct call *c)
{
	long r;

	if ((int)c->arg[0] == engine.root_fd && engine.root_fd >= 0)
		return -EBADF;
	r = access_search(process_current(), (int)c->arg[0], "", AT_EMPTY_PATH);
	if (r < 0)
		return r;
	r = SYS1(fchdir, c->arg[0]);
	process_cwd_changed();
	return r;
}

long op_getcwd(struct call *c)
{
	const struct process *p = process_current();
	char *buf = (char *)c->arg[0];
	size_t size = c->arg[1];
	struct scratch *s = scratch_get();
	long r = s ? sys_getcwd(s->host, sizeof(s->host)) : -ENOMEM;

	if (r >= 0) {
		r = view_unresolve(p->view, s->host, s->link, sizeof(s->link));
		/* As the kernel says it of a directory outside the root. */
		if (r < 0) {
			(void)str_copy(s->link, sizeof(s->link), "(unreachable)");
			r = str_append(s->link, sizeof(s->link), 13, s->host);
		}
	}
	if (r >= 0) {
		r++;
		if ((size_t)r > size)
			r = -ERANGE;
		else if (!guest_writable(buf, (size_t)r))
			r = -EFAULT;
		else
			memcpy(buf, s->link, (size_t)r);
	}
	scratch_put(s);
	return r;
}

/* chroot(2): a view of its own for this process, and the hidden descriptor moved to the new root. */
long op_chroot(struct call *c)
{
	struct process *p = process_writable();
	struct scratch *s;
	struct where w;
	long r, fd, memory;
	size_t room = sizeof(struct view) + PATH_MAX + VIEW_BINDS_MAX * 64;

	r = guest_strlen((char *)c->arg[0]);
	if (r < 0)
		return r;
	if (!creds_capable(&process_current()->creds, 18 /* CAP_SYS_CHROOT */))
		return -EPERM;
	if (!engine.translate)
		return SYS1(chroot, c->arg[0]);
	s = scratch_get();
	if (!s)
		return -ENOMEM;
	r = path_resolve_at(p, s, AT_FDCWD, (char *)c->arg[0], WANT_FOLLOW | WANT_STRING | WANT_WALK, &w);
	if (r < 0)
		goto out;
	fd = sys_openat(AT_FDCWD, w.name, O_PATH | O_DIRECTORY | O_CLOEXEC, 0);
	if (fd < 0) {
		r = fd;
		goto out;
	}
	memory = sys_mmap(NULL, room, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (sys_is_err(memory)) {
		r = memory;
		goto close;
	}
	{
		struct view *v = (struct view *)memory;
		char *arena = (char *)(v + 1);
		long n = view_path_of_fd(p->view, (int)fd, s->canon, sizeof(s->canon));
		long len;

		if (n < 0) {
			r = n;
			goto close;
		}
		len = sys_readlinkat(AT_FDCWD, "/proc/self/cwd", s->pending, 1) < 0 ? -EACCES : 0;
		if (len < 0) {
			r = len;
			goto close;
		}
		len = view_host_path(p->view, s->canon, s->host, sizeof(s->host), NULL);
		if (len < 0) {
			r = len;
			goto close;
		}
		memcpy(arena, s->host, (size_t)len + 1);
		memcpy(v, p->view, sizeof(*v));
		r = view_chroot(v, s->canon, engine.root_fd, arena, arena + len + 1,
				room - sizeof(*v) - (size_t)len - 1);
		if (r < 0)
			goto close;
		r = fd_place((int)fd, engine.root_fd);
		if (r < 0)
			goto close;
		r = 0;
		/* The shared cache speaks of the container's root. */
		v->cache = NULL;
		p->view = v;
		p->chrooted = true;
		process_cwd_changed();
	}
close:
	(void)sys_close((int)fd);
out:
	scratch_put(s);
	return r;
}

/* A file that is about to lose a link, perhaps its last. */
struct doomed {
	bool last;
	struct fakedb_key key;
};

static struct doomed doom(const struct where *w)
{
	struct doomed d = { 0 };
	struct statx stx;

	if (!engine.db.map ||
	    sys_statx(w->fd, w->name, AT_SYMLINK_NOFOLLOW, STATX_BASIC_STATS | STATX_BTIME, &stx) < 0)
		return d;
	d.last = stx.stx_nlink == 1 || (stx.stx_mode & S_IFMT) == S_IFDIR;
	fakedb_key_from_statx(&d.key, &stx);
	return d;
}

/* After the call that returned `r`. What fakeroot saves knows no birth times, so that there all that went must go. */
static void bury(const struct doomed *d, long r)
{
	if (r < 0 || !d->last)
		return;
	if (engine.owners)
		(void)fakedb_forget(&engine.db, &d->key);
	else
		(void)fakedb_removed(&engine.db, &d->key);
}

long op_rmdir(struct call *c, const struct syscall_row *row)
{
	const struct process *p = process_current();
	struct scratch *s = scratch_get();
	struct pin pin = { -1 };
	struct where w;
	long r = s ? path_resolve_pinned(p, s, c, &row->path[0], 0, &w, &pin) : -ENOMEM;

	if (r >= 0) {
		struct doomed doomed = doom(&w);

		view_changed(p->view);
		r = SYS3(unlinkat, w.fd, w.name, AT_REMOVEDIR);
		view_changed(p->view);
		bury(&doomed, r);
	}
	path_unpin(&pin);
	scratch_put(s);
	return r;
}

long op_unlink(struct call *c, const struct syscall_row *row)
{
	const struct process *p = process_current();
	unsigned long flags = row->path[0].dirfd < 0 ? 0 : c->arg[2];
	struct pin pin = { -1 };
	struct scratch *s;
	struct where w;
	long r;

	if (flags & AT_REMOVEDIR)
		return op_rmdir(c, row);
	s = scratch_get();
	r = s ? path_resolve_pinned(p, s, c, &row->path[0], 0, &w, &pin) : -ENOMEM;
	if (r >= 0) {
		struct doomed doomed = doom(&w);

		r = SYS3(unlinkat, w.fd, w.name, flags);
		bury(&doomed, r);
	}
	path_unpin(&pin);
	scratch_put(s);
	return r;
}

/* Of two names where one cannot be changed and the other can, the first is on another mount. */
static long rename_error(long from, long to)
{
	if ((from == -EROFS && to >= 0) || (to == -EROFS && from >= 0))
		return -EXDEV;
	return from < 0 ? from : to;
}

long op_rename(struct call *c, const struct syscall_row *row)
{
	const struct process *p = process_current();
	struct scratch *s = scratch_get(), *t = scratch_get();
	unsigned long flags = row->nr == __NR_renameat2 ? c->arg[4] : 0;
	struct pin from_pin = { -1 }, to_pin = { -1 };
	struct where from, to;
	struct stat st;
	bool directory;
	long r = s && t ? resolve_pinned(p, s, c, &row->path[0], 0, &from, &from_pin) : -ENOMEM;

	if (r >= 0 || r == -EROFS)
		r = rename_error(r, resolve_pinned(p, t, c, &row->path[1], 0, &to, &to_pin));
	if (r >= 0)
		r = access_rename(p, &from, &to, flags);
	if (r >= 0) {
		/* What was there before; RENAME_EXCHANGE keeps it. */
		struct doomed doomed = flags ? (struct doomed){ 0 } : doom(&to);

		/* What the cache knows of directories changes only with a directory; RENAME_EXCHANGE swaps two. */
		directory = p->view->cache &&
			    (flags || sys_fstatat(from.fd, from.name, &st, AT_SYMLINK_NOFOLLOW) < 0 ||
			     (st.st_mode & S_IFMT) == S_IFDIR);
		if (directory)
			view_changed(p->view);
		if (flags)
			r = SYS5(renameat2, from.fd, from.name, to.fd, to.name, flags);
		else
			r = SYS4(renameat, from.fd, from.name, to.fd, to.name);
		if (directory)
			view_changed(p->view);
		/* A file renamed to its own name is still there. */
		if (r >= 0 && doomed.last && doom(&to).key.ino != doomed.key.ino)
			bury(&doomed, r);
	}
	path_unpin(&from_pin);
	path_unpin(&to_pin);
	if (t)
		scratch_put(t);
	if (s)
		scratch_put(s);
	return r;
}

/* Before the error `r` comes that there is nothing to link, or already something of the new name, if that is known. */
static long link_error(const struct where *from, const struct where *to, long r)
{
	struct stat st;
	long there = from->magic ? 0 : sys_fstatat(from->fd, from->name, &st, AT_SYMLINK_NOFOLLOW);

	if (there < 0)
		return there;
	return to && sys_fstatat(to->fd, to->name, &st, AT_SYMLINK_NOFOLLOW) >= 0 ? -EEXIST : r;
}

static long may_link(const struct process *p, const struct where *from, const struct where *to)
{
	long r = from->read_only ? -EXDEV : from->magic ? 0 : access_link(p, from, AT_SYMLINK_NOFOLLOW);

	if (r >= 0)
		r = access_name(p, to, true);
	if (r < 0 && access_is_read_only(from->fd, from->name))
		r = -EXDEV;
	return r < 0 ? link_error(from, to, r) : r;
}

long op_link(struct call *c, const struct syscall_row *row)
{
	const struct process *p = process_current();
	struct scratch *s = scratch_get(), *t = scratch_get();
	unsigned long flags = row->path[0].dirfd < 0 ? 0 : c->arg[4];
	char self[40] = "/proc/self/fd/";
	struct pin from_pin = { -1 }, to_pin = { -1 };
	struct where from, to;
	long r = -ENOMEM;

	if (!s || !t)
		goto out;
	if (flags & ~(unsigned long)(AT_SYMLINK_FOLLOW | AT_EMPTY_PATH)) {
		r = -EINVAL;
		goto out;
	}
	r = guest_strlen((char *)c->arg[row->path[0].path]);
	if (r < 0)
		goto out;
	if (!r && (flags & AT_EMPTY_PATH)) {
		/* Linking a descriptor takes a capability by the plain way (before Linux 6.10 always), and none through
		 * /proc. */
		if (engine.pretend && !creds_capable(&p->creds, 2 /* CAP_DAC_READ_SEARCH */)) {
			r = -ENOENT;
			goto out;
		}
		self[14 + str_from_u64(self + 14, c->arg[0])] = '\0';
		if (engine.pretend)
			from = (struct where){ .fd = AT_FDCWD, .name = self, .magic = true };
		else
			from = (struct where){ .fd = (int)c->arg[0], .name = "" };
	} else {
		r = path_resolve_pinned(p, s, c, &row->path[0], 0, &from, &from_pin);
		if (r < 0)
			goto out;
	}
	/* Both names are to be of one file of the container's. */
	r = shared_part(p, from.fd, from.name, from.magic ? 0 : AT_SYMLINK_NOFOLLOW, true);
	if (r < 0)
		goto out;
	r = resolve_pinned(p, t, c, &row->path[1], WANT_CREATE, &to, &to_pin);
	r = r < 0 ? link_error(&from, NULL, r) : may_link(p, &from, &to);
	if (r >= 0)
		r = SYS5(linkat, from.fd, from.name, to.fd, to.name,
			 from.magic ? AT_SYMLINK_FOLLOW : *from.name ? 0 : AT_EMPTY_PATH);
out:
	path_unpin(&from_pin);
	path_unpin(&to_pin);
	if (t)
		scratch_put(t);
	if (s)
		scratch_put(s);
	return r;
}
