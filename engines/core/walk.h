/* What the parts of the view share: view.c (the tables), resolve.c (the fast tiers), walk.c (the walker), procfs.c. */
#ifndef CORE_WALK_H
#define CORE_WALK_H

#include "view.h"

/* The bind with the longest target at or above the `len` bytes of `canon` (no trailing slash; "" is the root), or NULL
 * when that is the root's. */
const struct bind *view_bind_of(const struct view *v, const char *canon, size_t len);

/* The bind whose target is exactly the `len` bytes of `canon`, or NULL. */
const struct bind *view_bind_at(const struct view *v, const char *canon, size_t len);

/* Whether a bind's target lies beneath `canon`. */
bool view_leads_to_bind(const struct view *v, const char *canon, size_t len);

/* The directory cache's hash of the `len` bytes of a canonical path. */
uint64_t view_hash(const char *canon, size_t len);

/* Writes the host path of `rel` (relative to the guest's root, no leading slash) in `buf` of PATH_MAX bytes, through
 * /proc/self/fd when it is too long otherwise. Returns its length or -ENAMETOOLONG. */
long view_root_string(const struct view *v, const char *rel, char *buf);

/* Whether `path` is a directory reached without any symlink: 1, or 0 when a symlink or something that cannot be told is
 * in the way, or -errno as the kernel says it. `path` is relative to `fd`, without "..", or absolute with fd AT_FDCWD;
 * it is written to for the time of the call. */
int view_plain_directory(int fd, char *path);

/* The walker: as view_resolve(), for every non-empty path. */
int view_walk(const struct view *v, const struct here *here, struct scratch *s, int dirfd, const char *guest_path,
	      unsigned want, struct where *ret_where);

/* The links of procfs whose text is not a path to be followed. */
enum proc_link {
	PROC_NONE,
	PROC_ROOT,
	PROC_CWD,
	PROC_EXE,
	PROC_FD,
	PROC_MAP, /* of map_files */
	PROC_NS,
};

/* Which of them the host path names; *ret_pid and, for PROC_FD, *ret_fd are filled. "self" is `own`. */
enum proc_link proc_parse(const char *host_path, uint64_t own, uint64_t *ret_pid, uint64_t *ret_fd);

/* Writes the guest path that such a link (not PROC_NS) of process `pid` leads to in `buf` of PATH_MAX bytes.
 * `host_path` may be s->host, `buf` may be s->link. `own_exe` is what "exe" says when known, else it is looked for.
 * Returns the length; -ENOENT when the object is gone, -EACCES when it lies outside the view, -ENOTDIR when it has
 * no path. */
long proc_target(const struct view *v, const char *own_exe, struct scratch *s, enum proc_link kind, uint64_t pid,
		 const char *host_path, char *buf);

#endif
