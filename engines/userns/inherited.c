/* Directories that the guest inherits open. The kernel follows ".." in them with no regard to the guest's root, so each
 * is opened anew as the top of a mount of its own, above which there is nothing. */
#include <linux/errno.h>
#include <linux/mount.h>

#include "str.h"
#include "userns.h"

#define ENTRIES_SIZE 4096
#define RECURSIVE 0x8000 /* AT_RECURSIVE */
#define REOPENED (O_ACCMODE | O_PATH | O_DIRECTORY | O_NOATIME | O_NONBLOCK)

/* Opens the tree at `path`, which must still be the directory `st`, with `flags`. */
static long open_confined(const char *path, const struct stat *st, long flags)
{
	long tree = SYS3(open_tree, AT_FDCWD, path, OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | RECURSIVE);
	struct stat found;
	long fd;

	if (tree < 0)
		return tree;
	fd = sys_fstatat((int)tree, "", &found, AT_EMPTY_PATH);
	if (fd == 0 && (found.st_dev != st->st_dev || found.st_ino != st->st_ino))
		fd = -ESTALE;
	if (fd == 0)
		fd = sys_openat((int)tree, ".", (int)(flags & REOPENED), 0);
	(void)sys_close((int)tree);
	return fd;
}

/* Puts the confined directory in the place of descriptor `fd`, or nothing where that cannot be done. */
static void confine(int fd)
{
	static char path[PATH_MAX];
	char link[PROC_FD_MAX];
	long flags = sys_fcntl(fd, F_GETFL, 0), confined, n;
	struct stat st;

	if (sys_fcntl(fd, F_GETFD, 0) & FD_CLOEXEC)
		return;
	if (sys_fstatat(fd, "", &st, AT_EMPTY_PATH) < 0 || (st.st_mode & S_IFMT) != S_IFDIR)
		return;
	n = sys_readlinkat(AT_FDCWD, proc_fd(link, fd), path, sizeof(path) - 1);
	path[n > 0 ? n : 0] = '\0';
	confined = flags < 0 ? flags : open_confined(path, &st, flags);
	if (confined < 0) {
		(void)sys_close(fd);
		return;
	}
	(void)sys_dup3((int)confined, fd, 0);
	(void)sys_close((int)confined);
}

void inherited_confine(void)
{
	static _Alignas(8) char entries[ENTRIES_SIZE];
	long list = sys_openat(AT_FDCWD, "/proc/self/fd", O_RDONLY | O_DIRECTORY | O_CLOEXEC, 0), n;

	if (list < 0)
		return;
	while ((n = SYS3(getdents64, list, entries, sizeof(entries))) > 0) {
		for (long at = 0; at < n;) {
			const struct dirent64 *entry = (const void *)(entries + at);
			uint64_t fd;

			if (str_to_u64(entry->name, &fd))
				confine((int)fd);
			at += entry->size;
		}
	}
	(void)sys_close((int)list);
}
