/* The readlink walker: what fs/namei.c does, over the guest's root and binds. It knows everything, and is the oracle of
 * the fast tiers. With a cache it asks and tells that which directories are no symlinks; the oracle has none.
 *
 * It walks one component at a time, and asks with readlink(2) whether it is a symlink. The answer also tells of most
 * errors: a missing name, a parent that is no directory or may not be searched. What the last component is stays
 * for the caller's own system call to find out, on the path that is returned.
 *
 * Rules where the guest's mount points are not the kernel's:
 *  - a bind covers the name it is bound on, also when that is a symlink in the image;
 *  - a directory on the way to a bind's target that is missing in the image can be walked through, but is not there for
 *    anything else (-ENOENT);
 *  - a mount point cannot be removed or renamed (-EBUSY) and, being there, not be made (-EEXIST for WANT_CREATE;
 *    without that flag -EBUSY, which a caller that makes something says as -EEXIST). */
#include "walk.h"

#include <linux/errno.h>

#include "dircache.h"
#include "str.h"

_Static_assert(offsetof(struct scratch, pending) == PATH_MAX, "side by side with canon");

/* What steps return beside 0 and -errno. */
enum {
	DONE = 1,  /* answered */
	MOVED = 2, /* went through a link */
};

struct walk {
	const struct view *v;
	const struct here *here;
	struct scratch *s;
	unsigned want;
	const struct bind *bind; /* that `canon` lies under; NULL = the root */
	size_t len;		 /* of s->canon; "" is the guest's root */
	char *rest;		 /* what is still to walk, up to the end of s->pending */
	unsigned links;		 /* followed so far */
	bool magic;		 /* one of them was of /proc */
	bool from_root;		 /* all of `canon` was walked, not taken from a descriptor's path */
	uint64_t generation;	 /* of the cache, when the walk began */
	bool searchable;	 /* `canon` is known to be a directory that may be searched */
	bool slash;		 /* the path ended in a slash: a directory is demanded */
};

/* ---- where `canon` is on the host ---- */

/* The (fd, name) of `canon`, in place when possible, else in s->host. */
static int locate(const struct walk *w, int *ret_fd, const char **ret_name)
{
	struct scratch *s = w->s;
	const struct bind *b = w->bind;
	long ret;

	*ret_fd = AT_FDCWD;
	if (!b && w->v->root_fd < 0) {
		*ret_name = w->len ? s->canon : "/"; /* the kernel's view */
	} else if (!b) {
		*ret_fd = w->v->root_fd;
		*ret_name = w->len ? s->canon + 1 : ".";
	} else if (b->identity) {
		*ret_name = s->canon;
	} else {
		ret = view_host_path(w->v, s->canon, s->host, PATH_MAX, NULL);
		if (ret < 0)
			return (int)ret;
		*ret_name = s->host;
	}
	return 0;
}

/* Whether `canon` may lie beneath the host's /proc. */
static bool may_be_proc(const struct walk *w)
{
	const char *base = w->bind ? w->bind->host : w->v->root;
	size_t len = w->bind ? w->bind->host_len : w->v->root_len;

	return len == 0 || path_has_prefix(base, "/proc", 5);
}

/* Whether the walk is made for another process, to which "/proc/self" and the view's descriptor are not what they are
 * to this one. */
static bool for_another(const struct walk *w)
{
	return w->here && w->here->pid && w->here->pid != (int)SYS0(getpid);
}

/* ---- stepping ---- */

static void go_to_root(struct walk *w)
{
	w->len = 0;
	w->s->canon[0] = '\0';
	w->bind = NULL;
	w->from_root = true;
	w->searchable = true;
}

static int push(struct walk *w, const char *name, size_t n)
{
	const struct bind *b;

	if (w->len + n + 2 > PATH_MAX || w->len + n + 2 > (size_t)(name - w->s->canon))
		return -ENAMETOOLONG;
	w->s->canon[w->len] = '/';
	memcpy(w->s->canon + w->len + 1, name, n);
	w->len += n + 1;
	w->s->canon[w->len] = '\0';
	w->searchable = false;
	if (view_maybe_mountpoint(w->v, name, n)) {
		b = view_bind_at(w->v, w->s->canon, w->len);
		if (b)
			w->bind = b;
	}
	return 0;
}

static void pop(struct walk *w)
{
	bool leaves_bind = w->bind && w->bind->guest_len == w->len;

	while (w->len > 0 && w->s->canon[--w->len] != '/')
		;
	w->s->canon[w->len] = '\0';
	if (leaves_bind)
		w->bind = view_bind_of(w->v, w->s->canon, w->len);
}

/* Puts the path in s->link (of `n` bytes) before what is still to walk. The kernel limits each link's text, but not
 * what they come to together; here that is as much as `canon` leaves of the two buffers, which lie side by side. */
static int prepend_link(struct walk *w, size_t n)
{
	if (w->slash)
		w->rest--;
	if ((size_t)(w->rest - w->s->canon) < w->len + 1 + n)
		return -ENAMETOOLONG;
	w->rest -= n;
	memcpy(w->rest, w->s->link, n);
	return 0;
}

/* What "." and ".." ask of the directory they stand in. */
static int check_searchable(struct walk *w)
{
	const char *name;
	struct stat st;
	int fd, ret;
	long err;

	if (w->searchable)
		return 0;
	ret = locate(w, &fd, &name);
	if (ret < 0)
		return ret;
	if (name != w->s->host)
		memcpy(w->s->host, name, strlen(name) + 1);
	err = str_append(w->s->host, PATH_MAX, strlen(w->s->host), "/.");
	if (err >= 0)
		err = sys_fstatat(fd, w->s->host, &st, AT_SYMLINK_NOFOLLOW);
	if (err == -ENOENT && view_leads_to_bind(w->v, w->s->canon, w->len))
		err = 0;
	if (err < 0)
		return (int)err;
	w->searchable = true;
	return 0;
}

/* Whether the caller may look for a name in `canon`. */
static int check_permitted(const struct walk *w)
{
	const char *name;
	int fd, ret;

	if (!w->here || !w->here->may_search)
		return 0;
	ret = locate(w, &fd, &name);
	return ret < 0 ? ret : w->here->may_search(w->here, fd, name);
}

/* ---- answering ---- */

static void say(struct walk *w, struct where *ret, int fd, const char *name)
{
	*ret = (struct where){
		.fd = fd,
		.name = name,
		.read_only = w->bind ? w->bind->read_only : w->v->root_read_only,
		.has_canon = true,
		.through_link = w->links > 0,
		.through_magic = w->magic,
	};
}

/* The answer for `canon` with `tail` ("", "/", "/.", "/..") after its name. */
static int say_canon(struct walk *w, struct where *ret, const char *tail)
{
	struct scratch *s = w->s;
	const char *name;
	long err;
	int fd;

	err = locate(w, &fd, &name);
	if (err < 0)
		return (int)err;
	if (fd != AT_FDCWD && (w->want & WANT_STRING)) {
		if (w->len)
			err = view_root_string(w->v, s->canon + 1, s->host);
		else
			err = view_host_path(w->v, "", s->host, PATH_MAX, NULL);
		if (err < 0)
			return (int)err;
		fd = AT_FDCWD;
		name = s->host;
	}
	if (*tail) {
		if (name != s->host)
			name = memcpy(s->host, name, strlen(name) + 1);
		err = str_append(s->host, PATH_MAX, strlen(name), tail);
		if (err < 0)
			return (int)err;
	}
	say(w, ret, fd, name);
	return DONE;
}

/* What a read-only mount refuses. An error of the object itself comes first, as in the kernel. */
static int check_writable(struct walk *w, const struct where *ret)
{
	unsigned type;
	struct stat st;
	long err;

	if (!ret->read_only || !(w->want & (WANT_WRITE | WANT_CREATE)))
		return 0;
	err = sys_fstatat(ret->fd, ret->name, &st, AT_SYMLINK_NOFOLLOW);
	if (w->want & WANT_CREATE) {
		if (err == -ENOENT)
			return -EROFS;
		if (err == 0 && (w->want & WANT_PARENT))
			return -EEXIST;
	}
	if (err < 0)
		return err == -ENOENT && (w->want & WANT_PARENT) ? -EROFS : (int)err;
	if (!(w->want & WANT_WRITE))
		return 0;
	/* Devices, pipes and sockets of a read-only mount can be opened for writing. */
	type = st.st_mode & 0170000;
	if ((w->want & WANT_FOLLOW) && !(w->want & WANT_PARENT) && type != 0100000 && type != 0040000)
		return 0;
	return -EROFS;
}

/* The final component is `canon`, which is no symlink or is not to be followed. */
static int finish(struct walk *w, struct where *ret)
{
	int err;

	if ((w->want & WANT_PARENT) && w->bind && w->bind->guest_len == w->len)
		return (w->want & WANT_CREATE) ? -EEXIST : -EBUSY;
	err = say_canon(w, ret, w->slash ? "/" : "");
	if (err < 0)
		return err;
	err = check_writable(w, ret);
	return err < 0 ? err : DONE;
}

/* A name that is no name: rmdir("/"), mkdir("a/."), unlink(".."). The kernel refuses each with an error of its own
 * before it looks at the object, so it may see such a name. */
static int finish_no_name(struct walk *w, struct where *ret, const char *tail)
{
	int err;

	if (!*tail) {
		say(w, ret, AT_FDCWD, "/");
		return DONE;
	}
	err = check_searchable(w);
	return err < 0 ? err : say_canon(w, ret, tail);
}

/* ---- links ---- */

/* Goes to the absolute guest path of `n` bytes in s->link. */
static int restart(struct walk *w, size_t n)
{
	go_to_root(w);
	return prepend_link(w, n);
}

/* `canon` may be a magic link: answers (DONE), or goes where it leads (MOVED). 0 = it is none. */
static int step_magic(struct walk *w, bool last, bool follow, struct where *ret)
{
	struct scratch *s = w->s;
	const struct here *here = w->here;
	uint64_t pid = 0, fd = 0, own;
	enum proc_link kind;
	long len;

	len = view_host_path(w->v, s->canon, s->host, PATH_MAX, NULL);
	if (len < 0)
		return (int)len;
	/* The caller need not know when a path will come by procfs: /dev/stdin does. */
	own = (uint64_t)(here && here->pid ? here->pid : SYS0(getpid));
	kind = proc_parse(s->host, own, &pid, &fd);
	if (kind == PROC_NONE)
		return 0;
	if (kind == PROC_FD && fd == (uint64_t)w->v->root_fd && !for_another(w))
		return -ENOENT;
	if (last && !follow)
		return 0;
	if (w->links++ >= SYMLINK_MAX)
		return -ELOOP;
	w->magic = true;
	if ((kind == PROC_FD || kind == PROC_NS) && last && !w->slash) {
		/* Another process' descriptor, perhaps of one outside the container, is no way out of the view. */
		len = kind == PROC_NS || pid == own ? 0 : proc_target(w->v, NULL, s, kind, pid, s->host, s->link);
		if (len < 0 && len != -ENOTDIR && len != -ENOENT)
			return (int)len;
		say(w, ret, AT_FDCWD, s->host);
		ret->magic = true;
		return DONE;
	}
	if (kind == PROC_NS)
		return -ENOTDIR;
	len = proc_target(w->v, pid == own && here ? here->exe : NULL, s, kind, pid, s->host, s->link);
	if (len < 0)
		return (int)len;
	len = restart(w, (size_t)len);
	return len < 0 ? (int)len : MOVED;
}

/* Whether the cache can tell of directories here. The kernel's own path of a descriptor has no symlinks, which says it
 * all under the root; a bind's target may be behind one, so beneath a bind the walk must have come that way. */
static enum dir_kind cache_kind(const struct walk *w)
{
	if (!w->v->cache || may_be_proc(w))
		return DIR_UNKNOWN;
	if (!w->bind)
		return DIR_ROOT;
	return w->bind->identity && w->from_root ? DIR_IDENTITY : DIR_UNKNOWN;
}

/* Reads the link (fd, name), which is `canon`, into s->link: as readlinkat(2). Two links of procfs say who asks. */
static long read_link(const struct walk *w, int fd, const char *name)
{
	char *link = w->s->link;
	size_t skip = *name == '/';
	bool is_self, is_thread;
	long n;

	if (may_be_proc(w) && (skip || !w->v->root_len)) {
		is_self = str_eq(name + skip, "proc/self");
		is_thread = str_eq(name + skip, "proc/thread-self");
		if ((is_self || is_thread) && for_another(w)) {
			n = str_from_u64(link, (uint64_t)w->here->pid);
			if (is_thread) {
				memcpy(link + n, "/task/", 6);
				n += 6;
				n += str_from_u64(link + n, (uint64_t)w->here->pid);
			}
			return n;
		}
	}
	return sys_readlinkat(fd, name, link, PATH_MAX);
}

/* `canon` has a component more than it had and is no mount point: when it is a symlink, goes where it leads (MOVED). */
static int step_link(struct walk *w, size_t parent_len, bool last)
{
	enum dir_kind kind = last ? DIR_UNKNOWN : cache_kind(w);
	uint64_t hash = 0;
	const char *name;
	struct stat st;
	int fd, ret;
	long len;

	if (kind != DIR_UNKNOWN) {
		hash = view_hash(w->s->canon, w->len) ^ w->v->salt;
		if (dircache_find(w->v->cache, w->generation, hash) == kind)
			return 0;
	}
	ret = locate(w, &fd, &name);
	if (ret < 0)
		return ret;
	len = read_link(w, fd, name);
	if (len == -EINVAL) {
		/* Only what the host's own path of a bind is made of was not looked at, so beneath a bind prove() must
		 * have begun. */
		if (kind == DIR_ROOT && sys_fstatat(fd, name, &st, AT_SYMLINK_NOFOLLOW) == 0 &&
		    (st.st_mode & 0170000) == 0040000)
			dircache_add(w->v->cache, w->generation, hash, kind);
		return 0;
	}
	if (len == -ENOENT && last)
		return 0;
	if (len == -ENOENT && view_leads_to_bind(w->v, w->s->canon, w->len)) {
		w->searchable = true;
		return 0;
	}
	if (len < 0)
		return (int)len;
	if (w->links++ >= SYMLINK_MAX)
		return -ELOOP;
	if (len == 0)
		return -ENOENT;
	if (len >= PATH_MAX)
		return -ENAMETOOLONG;
	w->len = parent_len;
	w->s->canon[parent_len] = '\0';
	if (w->s->link[0] == '/')
		go_to_root(w);
	else
		w->searchable = true;
	ret = prepend_link(w, (size_t)len);
	return ret < 0 ? ret : MOVED;
}

/* Takes a step. DONE = *ret holds the answer. */
static int step(struct walk *w, struct where *ret)
{
	const char *name = w->rest;
	size_t n = 0, parent_len = w->len;
	bool last, follow, mounted;
	int err;

	while (name[n] && name[n] != '/')
		n++;
	w->rest += n;
	w->slash = *w->rest == '/';
	while (*w->rest == '/')
		w->rest++;
	last = !*w->rest;
	err = check_permitted(w);
	if (err < 0)
		return err;
	if (name[0] == '.' && (n == 1 || (n == 2 && name[1] == '.'))) {
		if (last && (w->want & WANT_PARENT))
			return finish_no_name(w, ret, n == 1 ? "/." : "/..");
		err = check_searchable(w);
		if (err < 0)
			return err;
		w->slash = false; /* already known to be a directory */
		if (n == 2) {
			pop(w);
			w->searchable = true;
		}
		return 0;
	}
	err = push(w, name, n);
	if (err < 0)
		return err;
	mounted = w->bind && w->bind->guest_len == w->len;
	/* A final symlink is followed when its name is followed by a slash; but not by calls that make or remove names,
	 * which have the kernel judge the slash. open(O_CREAT) is one of them in this. */
	follow = !(w->want & WANT_PARENT) &&
		 (w->slash ? !(w->want & WANT_CREATE) : (w->want & WANT_FOLLOW) != 0);
	if (!mounted && may_be_proc(w)) {
		err = step_magic(w, last, follow, ret);
		if (err)
			return err;
	}
	/* Unless the walker's word was asked for, the caller sees for itself whether the last component is a link. */
	if (!mounted && last && follow && !w->slash &&
	    !(w->want & WANT_WALK) && !((w->want & (WANT_WRITE | WANT_CREATE)) && w->v->any_read_only)) {
		err = finish(w, ret);
		ret->unverified = err == DONE;
		return err;
	}
	if (!mounted && (follow || !last)) {
		err = step_link(w, parent_len, last);
		if (err)
			return err;
	}
	return last ? finish(w, ret) : 0;
}

/* ---- starting ---- */

/* Goes up from a directory that has no path for as long as the rest of the walk begins with "..". Such a directory is
 * no mount point of the guest, so the kernel's parent is the guest's. Returns a descriptor of where it came to,
 * `dirfd` itself, or -errno; *ret_len >= 0 when that has a path, which is in s->canon. */
static int climb(struct walk *w, int dirfd, long *ret_len)
{
	int fd = dirfd;
	long up;

	for (;;) {
		const char *next = w->rest;

		while (*next == '/')
			next++;
		if (next[0] == '.' && (!next[1] || next[1] == '/')) {
			w->rest = (char *)next + 1;
			continue;
		}
		w->rest = (char *)next;
		if (*ret_len >= 0 || next[0] != '.' || next[1] != '.' || (next[2] && next[2] != '/'))
			return fd;
		up = sys_openat(fd, "..", O_PATH | O_DIRECTORY | O_CLOEXEC, 0);
		if (fd != dirfd)
			(void)sys_close(fd);
		if (up < 0)
			return (int)up;
		fd = (int)up;
		w->rest += 2;
		*ret_len = view_path_of_fd(w->v, fd, w->s->canon, PATH_MAX);
		if (*ret_len == -EACCES) {
			(void)sys_close(fd);
			return -EACCES;
		}
	}
}

/* The plain names that are left lead from `fd`, which has no path in the guest, past no link. */
static int check_plain(struct walk *w, int fd)
{
	char *path = w->rest, *end = path + strlen(path), *last;
	char c;
	int err = 1;

	for (const char *p = path; *p; p++)
		if (p[0] == '.' && p[1] == '.' && (p == path || p[-1] == '/') && (!p[2] || p[2] == '/'))
			return -EACCES;
	while (end > path && end[-1] == '/')
		end--;
	for (last = end; last > path && last[-1] != '/'; last--)
		;
	if (last > path) {
		c = *last;
		*last = '\0';
		err = view_plain_directory(fd, path);
		*last = c;
	}
	if (err <= 0)
		return err < 0 ? err : -EACCES;
	if (!(w->want & WANT_PARENT) && ((w->want & WANT_FOLLOW) || *end)) {
		*end = '\0';
		if (sys_readlinkat(fd, path, w->s->link, PATH_MAX) >= 0)
			return -EACCES;
	}
	return 0;
}

/* The start directory has no path in the guest, because of `why`: -EACCES, it lies outside the view (a descriptor the
 * guest inherited); -ENAMETOOLONG; or -ENOENT, it was removed. Its plain contents may be used as they stand, and of
 * one that is not outside the directories above it. DONE, MOVED when those have a path again, or -errno. */
static int walk_nameless(struct walk *w, int dirfd, const char *guest_path, int why, struct where *ret)
{
	long len = why;
	int fd, err = 0;

	if ((w->want & WANT_STRING) && dirfd != AT_FDCWD)
		return why;
	fd = why == -EACCES ? dirfd : climb(w, dirfd, &len);
	if (fd < 0 && fd != AT_FDCWD)
		return fd;
	if (*w->rest && len < 0)
		err = check_plain(w, fd);
	if (fd != dirfd)
		(void)sys_close(fd);
	if (err < 0)
		return err == -EACCES ? why : err;
	if (*w->rest && len >= 0) {
		w->len = len == 1 ? 0 : (size_t)len;
		return MOVED;
	}
	*ret = (struct where){ .fd = dirfd, .name = guest_path };
	return DONE;
}

static void start_rest(struct walk *w, const char *guest_path, size_t len)
{
	w->rest = w->s->pending + PATH_MAX - 1 - len;
	memcpy(w->rest, guest_path, len + 1);
}

/* Whether a component is longer than any file system takes. */
static bool has_long_name(const char *path)
{
	size_t n = 0;

	for (; *path; path++) {
		n = *path == '/' ? 0 : n + 1;
		if (n > NAME_MAX)
			return true;
	}
	return false;
}

/* What a relative path names has a longer path than fits, though its start had one that did: plain names may lead
 * there, as they do from a start that has none. */
static int walk_beyond(struct walk *w, int dirfd, const char *guest_path, size_t len, struct where *ret)
{
	int err = -EACCES;

	start_rest(w, guest_path, len);
	if (dirfd == AT_FDCWD || !(w->want & WANT_STRING))
		err = check_plain(w, dirfd);
	if (err < 0)
		return err == -EACCES ? -ENAMETOOLONG : err;
	*ret = (struct where){ .fd = dirfd, .name = guest_path };
	return 0;
}

int view_walk(const struct view *v, const struct here *here, struct scratch *s, int dirfd, const char *guest_path,
	      unsigned want, struct where *ret_where)
{
	struct walk w = { .v = v, .here = here, .s = s, .want = want };
	size_t len = strlen(guest_path);
	long ret;

	if (len >= PATH_MAX)
		return -ENAMETOOLONG;
	start_rest(&w, guest_path, len);
	go_to_root(&w);
	w.generation = v->cache ? dircache_generation(v->cache) : 0;
	if (*w.rest != '/') {
		w.from_root = false;
		if (dirfd == AT_FDCWD && here && here->cwd)
			ret = str_copy(s->canon, PATH_MAX, here->cwd);
		else
			ret = view_path_of_fd(v, dirfd, s->canon, PATH_MAX);
		if (ret == -EACCES || ret == -ENAMETOOLONG || ret == -ENOENT) {
			ret = walk_nameless(&w, dirfd, guest_path, (int)ret, ret_where);
			if (ret != MOVED)
				return ret < 0 ? (int)ret : 0;
		} else if (ret < 0) {
			return (int)ret;
		} else {
			w.len = ret == 1 ? 0 : (size_t)ret;
		}
		s->canon[w.len] = '\0';
		w.bind = view_bind_of(v, s->canon, w.len);
		w.searchable = false; /* the descriptor may be of anything */
	}
	for (;;) {
		while (*w.rest == '/')
			w.rest++;
		if (!*w.rest) {
			/* Ended in a directory: "/", "a/..", a link to "/". */
			w.slash = false;
			ret = (want & WANT_PARENT) ? finish_no_name(&w, ret_where, "") : finish(&w, ret_where);
		} else {
			ret = step(&w, ret_where);
		}
		if (ret == -ENAMETOOLONG && guest_path[0] != '/' && !has_long_name(guest_path))
			return walk_beyond(&w, dirfd, guest_path, len, ret_where);
		if (ret < 0)
			return (int)ret;
		if (ret == DONE)
			return 0;
	}
}
