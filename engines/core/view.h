/* The view: which host object a guest path means, and back. See docs/explanation/path-translation.md.
 *
 * A view is the guest's root directory and a table of binds over it. view_resolve() answers in three tiers, cheapest
 * first: plain names need nothing; the directory cache knows directories that hold no symlink on their way; and the
 * readlink walker, which knows everything, is the oracle the other two are fuzzed against. */
#ifndef CORE_VIEW_H
#define CORE_VIEW_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "sys.h"

#define VIEW_BINDS_MAX 128

struct dircache;

struct bind {
	const char *guest; /* guest path: absolute, canonical, no trailing slash; never "/" (the root is the view's) */
	const char *host;  /* host path, absolute, no trailing slash ("" for the host's "/") */
	uint16_t guest_len, host_len;
	uint32_t name_hash; /* of the last component of `guest`: view_maybe_mountpoint() */
	bool read_only;
	bool identity; /* guest and host are the same string: paths beneath need no rewriting */
};

struct view {
	int root_fd;	  /* O_PATH descriptor of the guest's root; -1 = the kernel's view: nothing is translated but
			   * binds of files, whose host paths are then /proc/self/fd/N */
	const char *root; /* host path of it, no trailing slash ("" when it is the host's "/") */
	uint16_t root_len;
	bool root_read_only;
	unsigned n_binds;
	struct dircache *cache; /* NULL = none */
	/* What follows is kept by view_init(), view_add_bind() and view_chroot(). */
	uint64_t salt;		 /* of the root and the binds: tells the views that share a cache apart */
	uint64_t mount_filter;	 /* Bloom filter of the last components of bind targets */
	bool any_read_only;	 /* the root or a bind is */
	bool identity_read_only; /* an identity bind is */
	struct bind binds[VIEW_BINDS_MAX]; /* sorted by guest path; a covered duplicate is dropped */
};

/* Scratch memory of one resolution, given by the caller (about 16 KiB; pages are touched only as needed). */
struct scratch {
	char canon[PATH_MAX];	/* the guest path walked so far */
	char pending[PATH_MAX]; /* components still to walk; also runs into the unused part of canon */
	char host[PATH_MAX];	/* host path of `canon`; also what view_resolve() returns names in */
	char link[PATH_MAX];	/* a symlink's target, a descriptor's path */
};

/* What the caller wants of the final component. */
enum want {
	WANT_FOLLOW = 1 << 0,  /* a final symlink is followed */
	WANT_PARENT = 1 << 1,  /* the final component is a name to make, remove or rename: it is never followed, and it
				* may not exist; mount points answer -EBUSY */
	WANT_CREATE = 1 << 2,  /* with FOLLOW: open(O_CREAT); what a dangling symlink names may be created.
				* With PARENT: the name is made (mkdir, symlink, O_EXCL); what is there is -EEXIST, also
				* a mount point and on a read-only mount */
	WANT_WRITE = 1 << 3,   /* the call changes the object or its directory: -EROFS on a read-only root or bind */
	WANT_STRING = 1 << 4,  /* the call has no dirfd: the answer must be usable with AT_FDCWD */
	WANT_WALK = 1 << 5,    /* use the walker only (the fast tiers found a final symlink, or the fuzzer asks) */
	WANT_EMPTY = 1 << 6,   /* AT_EMPTY_PATH: "" means the descriptor itself */
};

/* The answer: hand (fd, name) to the *at form of the call. */
struct where {
	int fd;
	const char *name;
	/* Nobody looked whether the final component is a symlink. With WANT_FOLLOW the caller must make
	 * the call in a form that does not follow, and ask again with WANT_WALK when it meets a link. */
	bool unverified;
	/* The kernel itself must follow the final component: it is a magic link of /proc, or, in the kernel's view,
	 * perhaps a link. Else a caller that wants no link followed may pass NOFOLLOW flags always. */
	bool magic;
	/* The answer lies under a bind or the root that is read-only. Of a relative path only told when WANT_WRITE or
	 * WANT_CREATE asks: then such an answer is a device, pipe or socket, which may be opened for writing but not
	 * changed, or a file that exists and is only looked at. */
	bool read_only;
	/* Canonical guest path in scratch->canon is valid (the walker answered); when unverified, of the link
	 * itself. */
	bool has_canon;
	/* What the way went through: symlinks; links of /proc that lead to an object. A call that forbids these
	 * (openat2) fails. */
	bool through_link, through_magic;
};

/* Where the calling process stands: what relative paths are relative to. */
struct here {
	const char *cwd; /* canonical guest path of the working directory when known for sure, else NULL */
	uint64_t cwd_hash; /* dircache hash of it */
	int pid;	   /* of the calling process as its /proc names it; 0 = this one: ask when it matters. Of
			    * another only the walker knows (WANT_WALK), and `dirfd` is still a descriptor of this */
	const char *exe;   /* guest path of its program: what /proc/PID/exe says */
	/* Asked for each directory (fd, name) that a name is looked up in, when not NULL: 0 or -errno. */
	int (*may_search)(const struct here *here, int fd, const char *name);
	const void *caller; /* whom it asks for */
	bool as_real;	    /* and whether with his real ids */
};

/* Fills a view. Strings are borrowed. `root` and binds are as in the plan, already checked to be absolute; binds on "/"
 * replace the root. Returns 0 or -errno (-E2BIG: too many binds, -ENAMETOOLONG). */
int view_init(struct view *v, int root_fd, const char *root, bool root_read_only);
int view_add_bind(struct view *v, const char *guest, const char *host, bool read_only);

/* Re-roots a view at `guest_dir` (canonical guest path), as chroot(2) does: binds beneath it stay, others go.
 * `root_fd` and `root` are the new root's; `arena` keeps the shortened strings. Returns 0 or -errno. */
int view_chroot(struct view *v, const char *guest_dir, int root_fd, const char *root, char *arena, size_t size);

/* Translates (dirfd, guest_path), wanting `want` (enum want). `guest_path` must be readable memory.
 * Returns 0 and *ret_where, or -errno exactly as the kernel would for the guest's path. Names in *ret_where point into
 * `guest_path` or `s`. */
int view_resolve(const struct view *v, const struct here *here, struct scratch *s, int dirfd, const char *guest_path,
		 unsigned want, struct where *ret_where);

/* The canonical guest path of what (dirfd, guest_path) was resolved to, `where`, as long as `s` was not used again.
 * Returns its length in `buf` (of PATH_MAX bytes), or -ENOENT when only the kernel could tell. */
long view_canonical(const struct view *v, const struct here *here, const struct scratch *s, int dirfd,
		    const char *guest_path, const struct where *where, char *buf);

/* Translates a host path back. Returns the length of the guest path in buf, -ENOENT when it lies outside the view, or
 * -ENAMETOOLONG. Also knows the "/proc/self/fd/<root_fd>/..." spelling and keeps a " (deleted)" suffix. */
long view_unresolve(const struct view *v, const char *host_path, char *buf, size_t size);

/* Writes the canonical guest path of a directory descriptor (or AT_FDCWD). Returns its length or -errno. */
long view_path_of_fd(const struct view *v, int dirfd, char *buf, size_t size);

/* Host path string of a canonical guest path (longest bind wins). Returns its length or -ENAMETOOLONG. */
long view_host_path(const struct view *v, const char *canon, char *buf, size_t size, const struct bind **ret_bind);

/* Whether `name` (one component, of `len` bytes) may be that of a mount point anywhere in the view. Never wrongly
 * no. */
bool view_maybe_mountpoint(const struct view *v, const char *name, size_t len);

/* Some directory was removed or renamed: forget what the cache says. Call before and after the change. */
void view_changed(const struct view *v);

#endif
