/* The guest's tree: built on the host's path of its root directory, in a mount namespace of our own, then made "/". */
#include <asm/statfs.h>
#include <linux/errno.h>
#include <linux/mount.h>

#include "str.h"
#include "userns.h"

#ifndef __NR_mount_setattr
#define __NR_mount_setattr 442 /* Linux 5.12, the same on every architecture */
#endif
#define ATTR_RDONLY 1	 /* MOUNT_ATTR_RDONLY */
#define RECURSIVE 0x8000 /* AT_RECURSIVE */
#define DETACH 2 /* MNT_DETACH */
#define MOUNTINFO_SIZE 16384
#define NOSYMFOLLOW 256 /* MS_NOSYMFOLLOW, Linux 5.10 */
#define ST_NOSYMFOLLOW 0x2000

static struct newroot newroot; /* large: in .bss, so without an initial value */
static int sources[PLAN_BINDS_MAX]; /* detached copies of the binds' source trees, -1 = the kernel has no such thing */

int mount_isolate(struct failure *ret_failure)
{
	/* Not private: what the host automounts later must appear in the guest's recursive binds as well. */
	long r = SYS5(mount, 0, "/", 0, MS_SLAVE | MS_REC, 0);

	return r < 0 ? fail(ret_failure, STEP_PROPAGATION, "/", r) : 0;
}

/* ---- read-only ---- */

/* Remounts one mount read-only, keeping the flags that a user namespace may not take off. */
static long remount_read_only(const char *path)
{
	unsigned long flags = MS_REMOUNT | MS_BIND | MS_RDONLY;
	struct statfs st;
	long r = SYS2(statfs, path, &st);

	if (r < 0)
		return r;
	/* ST_* equal MS_*; no atime flag at all means "as it is". */
	flags |= (unsigned long)st.f_flags & (MS_NOSUID | MS_NODEV | MS_NOEXEC);
	if (st.f_flags & ST_NOSYMFOLLOW)
		flags |= NOSYMFOLLOW;
	return SYS5(mount, 0, path, 0, flags, 0);
}

static bool is_octal(const char *s)
{
	return s[0] >= '0' && s[0] <= '3' && s[1] >= '0' && s[1] <= '7' && s[2] >= '0' && s[2] <= '7';
}

/* Undoes the escapes of /proc/self/mountinfo ("\040" for a blank) in place. */
static void unescape(char *s)
{
	char *to = s;

	while (*s) {
		if (*s == '\\' && is_octal(s + 1)) {
			*to++ = (char)((s[1] - '0') << 6 | (s[2] - '0') << 3 | (s[3] - '0'));
			s += 4;
		} else {
			*to++ = *s++;
		}
	}
	*to = '\0';
}

/* The fifth field of a line of mountinfo, the mount point, unescaped in place. */
static char *mount_point_of(char *line)
{
	char *field;

	for (int i = 0; i < 4; i++) {
		while (*line && *line != ' ')
			line++;
		if (*line)
			line++;
	}
	field = line;
	while (*line && *line != ' ')
		line++;
	*line = '\0';
	unescape(field);
	return field;
}

static long remount_line(char *line, const char *path)
{
	const char *mount_point = mount_point_of(line);
	long r;

	if (!path_has_prefix(mount_point, path, strlen(path)) || str_eq(mount_point, path))
		return 0;
	r = remount_read_only(mount_point);
	/* Out of reach: hidden by another mount, or a FUSE mount of somebody else. */
	return r == -ENOENT || r == -EINVAL || r == -EACCES || r == -ENOTDIR ? 0 : r;
}

/* Before Linux 5.12: one mount after the other. `path` is the tree's host path. */
static long remount_tree(const char *path)
{
	static char buf[MOUNTINFO_SIZE];
	size_t n = 0;
	long fd, r = remount_read_only(path);

	if (r < 0)
		return r;
	fd = sys_openat(AT_FDCWD, "/proc/self/mountinfo", O_RDONLY | O_CLOEXEC, 0);
	if (fd < 0)
		return fd;
	while (r == 0) {
		long got = sys_read((int)fd, buf + n, sizeof(buf) - n);
		char *line = buf;

		if (got <= 0) {
			r = got;
			break;
		}
		n += (size_t)got;
		for (char *p = buf; p < buf + n && r == 0; p++) {
			if (*p != '\n')
				continue;
			*p = '\0';
			r = remount_line(line, path);
			line = p + 1;
		}
		n -= (size_t)(line - buf);
		memmove(buf, line, n);
		if (n == sizeof(buf)) {
			r = -ENAMETOOLONG;
			break;
		}
	}
	(void)sys_close((int)fd);
	return r;
}

static long set_tree_read_only(int fd)
{
	struct {
		uint64_t set, clear, propagation, userns;
	} attr = { .set = ATTR_RDONLY };

	return SYS5(mount_setattr, fd, "", AT_EMPTY_PATH | RECURSIVE, &attr, sizeof(attr));
}

/* Makes the tree of mounts at `fd` read-only; `path` is its host path. */
static long set_read_only(int fd, const char *path)
{
	long r = set_tree_read_only(fd);

	/* EPERM: a seccomp filter that is older than the call. */
	return r == -ENOSYS || r == -EPERM ? remount_tree(path) : r;
}

/* ---- the root directory ---- */

long mount_overlay(const char *target, int lower, int upper, int work)
{
	static char options[4 * PROC_FD_MAX + 128];
	char path[PROC_FD_MAX];
	/* By descriptor: paths would need escapes that kernels have understood differently. */
	const struct {
		const char *key;
		int fd;
	} parts[] = { { "lowerdir=", lower }, { ",upperdir=", upper }, { ",workdir=", work } };
	long n = 0;

	for (unsigned i = 0; i < sizeof(parts) / sizeof(parts[0]); i++) {
		n = str_append(options, sizeof(options), (size_t)n, parts[i].key);
		n = str_append(options, sizeof(options), (size_t)n, proc_fd(path, parts[i].fd));
	}
	/* userxattr: the only form open to users that can also remove and rename lower directories. The others are
	 * switched off by it anyway, unless the kernel's configuration switched them on. */
	n = str_append(options, sizeof(options), (size_t)n, ",userxattr,index=off,metacopy=off");
	return n < 0 ? n : SYS5(mount, "overlay", target, "overlay", 0, options);
}

static int open_directory(const char *path, enum step step, struct failure *ret_failure)
{
	long fd = sys_openat(AT_FDCWD, path, O_PATH | O_DIRECTORY | O_CLOEXEC, 0);

	return fd < 0 ? fail(ret_failure, step, path, fd) : (int)fd;
}

static int place_overlay(const struct plan *plan, struct newroot *root, struct failure *ret_failure)
{
	struct stat st;
	int upper, work;
	long r;

	upper = open_directory(plan->overlay_upper, STEP_OVERLAY_DIR, ret_failure);
	if (upper < 0)
		return upper;
	work = open_directory(plan->overlay_work, STEP_OVERLAY_DIR, ret_failure);
	if (work < 0)
		return work;
	r = mount_overlay(root->path, root->fd, upper, work);
	/* The kernel leaves "work" with mode 0, and then the user's rm -r fails. */
	if (r == 0)
		(void)SYS3(fchmodat, work, "work", 0700);
	(void)sys_close(upper);
	(void)sys_close(work);
	if (r == 0)
		r = newroot_reopen(root);
	if (r == 0)
		r = sys_fstatat(root->fd, "", &st, AT_EMPTY_PATH);
	if (r < 0)
		return fail(ret_failure, STEP_OVERLAY, plan->rootfs, r);
	root->overlay_dev = plan->read_only ? 0 : st.st_dev;
	return 0;
}

static int place_rootfs(const struct plan *plan, struct newroot *root, struct failure *ret_failure)
{
	char link[PROC_FD_MAX];
	long r;

	root->fd = open_directory(plan->rootfs, STEP_ROOTFS, ret_failure);
	if (root->fd < 0)
		return root->fd;
	r = sys_readlinkat(AT_FDCWD, proc_fd(link, root->fd), root->path, sizeof(root->path) - 1);
	if (r < 0)
		return fail(ret_failure, STEP_ROOTFS, plan->rootfs, r);
	root->path[r] = '\0';
	if (r == 1)
		return fail(ret_failure, STEP_ROOTFS, plan->rootfs, -EINVAL);
	r = SYS5(mount, root->path, root->path, 0, MS_BIND | MS_REC, 0);
	if (r == 0)
		r = newroot_reopen(root);
	if (r < 0)
		return fail(ret_failure, STEP_NEWROOT, plan->rootfs, r);
	if (plan->overlay_upper) {
		r = place_overlay(plan, root, ret_failure);
		if (r < 0)
			return (int)r;
	}
	root->read_only = plan->read_only;
	r = plan->read_only ? set_read_only(root->fd, root->path) : 0;
	return r < 0 ? fail(ret_failure, STEP_READ_ONLY, plan->rootfs, r) : 0;
}

/* ---- binds ---- */

static bool is_fresh_proc(const struct plan *plan, const struct plan_bind *bind)
{
	return plan->unshare_pid && str_eq(bind->source, "/proc") && str_eq(bind->target, "/proc");
}

/* Copies the trees of all sources before the guest's is built: a source that holds the root directory, as the home
 * directory does, must show it as it is on the host and not as it is being built. */
static int copy_sources(const struct plan *plan, struct failure *ret_failure)
{
	for (unsigned i = 0; i < plan->n_binds; i++) {
		const char *source = plan->binds[i].source;
		struct stat st;
		long r = sys_fstatat(AT_FDCWD, source, &st, 0);

		if (r < 0)
			return fail(ret_failure, STEP_BIND_SOURCE, source, r);
		r = SYS3(open_tree, AT_FDCWD, source, OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | RECURSIVE);
		/* Before Linux 5.2, or a seccomp filter that is older: mount(2) will do it, less exactly. */
		if (r < 0 && r != -ENOSYS && r != -EPERM)
			return fail(ret_failure, STEP_BIND, source, r);
		sources[i] = r < 0 ? -1 : (int)r;
	}
	return 0;
}

/* Mounts onto the canonical target. */
static long place(const struct plan *plan, const struct plan_bind *bind, int source, const struct newroot *root,
		  const struct target *target)
{
	unsigned long read_only = bind->read_only ? MS_RDONLY : 0;
	char path[PROC_FD_MAX];
	long r = -EPERM, fd = newroot_open(root, target->path, O_PATH);

	if (fd < 0)
		return fd;
	(void)proc_fd(path, (int)fd);
	if (is_fresh_proc(plan, bind))
		r = SYS5(mount, "proc", path, "proc", MS_NOSUID | MS_NODEV | MS_NOEXEC | read_only, 0);
	/* A container that masks parts of its /proc is not given a fresh one; the host's shows more, but works. */
	if (r < 0 && source >= 0)
		r = SYS5(move_mount, source, "", fd, "", MOVE_MOUNT_F_EMPTY_PATH | MOVE_MOUNT_T_EMPTY_PATH);
	else if (r < 0)
		r = SYS5(mount, bind->source, path, 0, MS_BIND | MS_REC, 0);
	(void)sys_close((int)fd);
	return r;
}

static long protect(const struct newroot *root, const struct target *target)
{
	static char path[2 * PATH_MAX];
	long fd = newroot_open(root, target->path, O_PATH);
	long r = fd;

	if (fd < 0)
		return fd;
	r = str_copy(path, sizeof(path), root->path);
	r = str_append(path, sizeof(path), (size_t)r, target->path);
	r = r < 0 ? r : set_read_only((int)fd, path);
	(void)sys_close((int)fd);
	return r;
}

/* The calls that mount answer a file on a directory with different errors. */
static long check_types(const struct newroot *root, const struct target *target, unsigned source_mode)
{
	struct stat st;
	long r = sys_fstatat(root->fd, *target->path ? target->path + 1 : "", &st, AT_SYMLINK_NOFOLLOW | AT_EMPTY_PATH);

	if (r < 0)
		return r;
	return ((st.st_mode & S_IFMT) == S_IFDIR) == ((source_mode & S_IFMT) == S_IFDIR) ? 0 : -ENOTDIR;
}

/* Leaves a bind of a file to the identity helper, where a mount point would cost the guest the directory it is in.
 * Returns whether that is done; `source` is a tree of its own (-1 = none), closed on the way. */
static bool hand_over(struct command *command, const struct plan_bind *bind, int source, const struct newroot *root,
		      const struct target *target)
{
	struct command_bind *handed = &command->binds[command->n_binds];

	if (command->helper < 0 || command->n_binds == COMMAND_BINDS_MAX || !target_costs_directory(root, target))
		return false;
	/* Before Linux 5.2 no tree was made; what may be written to needs none. */
	if (source < 0 && !bind->read_only)
		source = (int)sys_openat(AT_FDCWD, bind->source, O_PATH | O_CLOEXEC, 0);
	if (source < 0 || (bind->read_only && set_tree_read_only(source) < 0))
		return false;
	command_hand_over(command, source, handed->source);
	(void)str_copy(handed->target, sizeof(handed->target), target->path);
	handed->read_only = bind->read_only;
	command->n_binds++;
	return true;
}

static int place_bind(const struct plan *plan, unsigned i, struct newroot *root, struct command *command,
		      struct failure *ret_failure)
{
	static struct target target;
	const struct plan_bind *bind = &plan->binds[i];
	struct stat st;
	long r = sources[i] >= 0 ? sys_fstatat(sources[i], "", &st, AT_EMPTY_PATH) :
				   sys_fstatat(AT_FDCWD, bind->source, &st, 0);

	if (r < 0)
		return fail(ret_failure, STEP_BIND_SOURCE, bind->source, r);
	r = target_resolve(root, bind->target, &target);
	if (r == 0 && target.path[target.existing] && (st.st_mode & S_IFMT) != S_IFDIR &&
	    hand_over(command, bind, sources[i], root, &target))
		return 0;
	if (r == 0 && target.path[target.existing])
		r = target_make(root, &target, (st.st_mode & S_IFMT) == S_IFDIR);
	if (r < 0)
		return fail(ret_failure, STEP_BIND_TARGET, bind->target, r);
	r = check_types(root, &target, st.st_mode);
	if (r == 0)
		r = place(plan, bind, sources[i], root, &target);
	if (sources[i] >= 0)
		(void)sys_close(sources[i]);
	if (r == 0 && !*target.path)
		r = newroot_reopen(root);
	if (r < 0)
		return fail(ret_failure, STEP_BIND, bind->target, r);
	r = bind->read_only ? protect(root, &target) : 0;
	if (r < 0)
		return fail(ret_failure, STEP_READ_ONLY, bind->target, r);
	root->placed_read_only[root->n_placed] = bind->read_only;
	(void)str_copy(root->placed[root->n_placed++], PATH_MAX, target.path);
	return 0;
}

/* ---- becoming "/" ---- */

int mount_pivot(struct failure *ret_failure)
{
	/* Both on the same directory: the old root comes to lie on the new one, and is taken off it. */
	long r = SYS2(pivot_root, ".", ".");

	if (r == 0) {
		r = SYS2(umount2, ".", DETACH);
	} else if (r == -EINVAL) {
		/* The host's "/" is the initial ramfs, which has no parent mount to take it away from. */
		r = SYS5(mount, ".", "/", 0, MS_MOVE, 0);
		if (r == 0)
			r = SYS1(chroot, ".");
	}
	if (r == 0)
		r = SYS1(chdir, "/");
	return r < 0 ? fail(ret_failure, STEP_PIVOT, NULL, r) : 0;
}

int mount_guest(const struct plan *plan, struct command *command, struct failure *ret_failure)
{
	struct newroot *root = &newroot;
	long r;

	root->fd = -1;
	r = mount_isolate(ret_failure);
	if (r == 0)
		inherited_confine();
	if (r == 0)
		r = copy_sources(plan, ret_failure);
	if (r == 0)
		r = place_rootfs(plan, root, ret_failure);
	for (unsigned i = 0; r == 0 && i < plan->n_binds; i++)
		r = place_bind(plan, i, root, command, ret_failure);
	if (r < 0)
		return (int)r;
	r = ranches_close(root);
	if (r < 0)
		return fail(ret_failure, STEP_READ_ONLY, "tmpfs", r);
	r = SYS1(fchdir, root->fd);
	if (r < 0)
		return fail(ret_failure, STEP_PIVOT, root->path, r);
	(void)sys_close(root->fd);
	return mount_pivot(ret_failure);
}
