/* Changes files in every way that a system call can, one file for each way: DIRECTORY/NAME. Says "ok NAME" where the
 * change is seen afterwards, "not ok NAME: why" where it is not. A way that this kernel or file system does not have is
 * "ok NAME # why". With --names it prints the names instead. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <linux/openat2.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/sendfile.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/uio.h>
#include <sys/xattr.h>
#include <unistd.h>
#include <utime.h>

#ifndef SYS_fchmodat2
#define SYS_fchmodat2 452
#endif
#ifndef SYS_file_getattr
#define SYS_file_getattr 468
#define SYS_file_setattr 469
#endif

#define TEXT "what the image holds\n"
#define NEW "new"

static const struct timespec times[2] = { { 1000000000, 5 }, { 1000000001, 6 } };

/* What can be seen of a file. */
struct seen {
	struct stat st;
	char text[256];
	ssize_t length;
	char value[16];
	ssize_t value_length;
	int flags;
};

static int look(const char *path, struct seen *ret_seen)
{
	int fd = open(path, O_RDONLY);

	memset(ret_seen, 0, sizeof(*ret_seen));
	if (fd < 0)
		return -1;
	fstat(fd, &ret_seen->st);
	ret_seen->length = read(fd, ret_seen->text, sizeof(ret_seen->text));
	ret_seen->value_length = fgetxattr(fd, "user.image", ret_seen->value, sizeof(ret_seen->value));
	if (ioctl(fd, FS_IOC_GETFLAGS, &ret_seen->flags) < 0)
		ret_seen->flags = 0;
	close(fd);
	return 0;
}

static int differs(const struct seen *a, const struct seen *b)
{
	return a->length != b->length || memcmp(a->text, b->text, sizeof(a->text)) || a->st.st_mode != b->st.st_mode ||
	       a->st.st_mtim.tv_sec != b->st.st_mtim.tv_sec || a->value_length != b->value_length ||
	       memcmp(a->value, b->value, sizeof(a->value)) || a->flags != b->flags;
}

static int finish(int fd, int result)
{
	int error = errno;

	if (fd >= 0)
		close(fd);
	errno = error;
	return result;
}

static int write_to(int fd)
{
	return fd < 0 ? -1 : finish(fd, pwrite(fd, NEW, 3, 0) == 3 ? 0 : -1);
}

/* ---- opening ---- */

static int by_open(const char *path) { return write_to(open(path, O_WRONLY)); }
static int by_rdwr(const char *path) { return write_to(open(path, O_RDWR)); }
static int by_create(const char *path) { return write_to(open(path, O_WRONLY | O_CREAT, 0644)); }
static int by_creat(const char *path) { return write_to(creat(path, 0644)); }
static int by_trunc(const char *path) { return write_to(open(path, O_WRONLY | O_TRUNC)); }

static int by_append(const char *path)
{
	int fd = open(path, O_WRONLY | O_APPEND);

	return fd < 0 ? -1 : finish(fd, write(fd, NEW, 3) == 3 ? 0 : -1);
}

/* Needs no descriptor for writing. */
static int by_trunc_only(const char *path)
{
	int fd = open(path, O_RDONLY | O_TRUNC);

	return fd < 0 ? -1 : finish(fd, 0);
}

static int by_openat(const char *path)
{
	int dir = open("/", O_PATH | O_DIRECTORY);

	return finish(dir, write_to(openat(dir, path + 1, O_WRONLY)));
}

static int open_how(const char *path, uint64_t resolve)
{
	struct open_how how = { .flags = O_WRONLY, .resolve = resolve };
	int dir = open("/", O_PATH | O_DIRECTORY);

	return finish(dir, write_to((int)syscall(SYS_openat2, dir, path + 1, &how, sizeof(how))));
}

static int by_openat2(const char *path) { return open_how(path, 0); }
static int by_openat2_beneath(const char *path) { return open_how(path, RESOLVE_BENEATH); }
static int by_openat2_no_links(const char *path) { return open_how(path, RESOLVE_NO_SYMLINKS); }

static const char *self(int fd)
{
	static char name[64];

	snprintf(name, sizeof(name), "/proc/self/fd/%d", fd);
	return name;
}

static int by_descriptor_link(const char *path)
{
	int fd = open(path, O_RDONLY);

	return finish(fd, write_to(open(self(fd), O_WRONLY)));
}

static int by_path_descriptor(const char *path)
{
	int fd = open(path, O_PATH);

	return finish(fd, write_to(open(self(fd), O_RDWR)));
}

static int by_symlink(const char *path)
{
	char link[512];

	snprintf(link, sizeof(link), "%s.symlink", path);
	unlink(link);
	return symlink(path, link) < 0 ? -1 : write_to(open(link, O_WRONLY));
}

/* A new name is one of the same file, before and after. */
static int by_link(const char *path)
{
	char link_name[512];
	struct stat st, other;

	snprintf(link_name, sizeof(link_name), "%s.link", path);
	if (link(path, link_name) < 0 || write_to(open(link_name, O_WRONLY)) < 0)
		return -1;
	if (stat(path, &st) < 0 || stat(link_name, &other) < 0)
		return -1;
	errno = EMLINK;
	return st.st_ino == other.st_ino && st.st_nlink == 2 ? 0 : -1;
}

/* ---- through a descriptor ---- */

static int by_mmap(const char *path)
{
	int fd = open(path, O_RDWR);
	char *map = fd < 0 ? MAP_FAILED : mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);

	if (map == MAP_FAILED)
		return finish(fd, -1);
	memcpy(map, NEW, 3);
	munmap(map, 4096);
	return finish(fd, 0);
}

static int by_fallocate(const char *path)
{
	int fd = open(path, O_RDWR);

	return fd < 0 ? -1 : finish(fd, fallocate(fd, 0, 0, 100));
}

static int by_ftruncate(const char *path)
{
	int fd = open(path, O_RDWR);

	return fd < 0 ? -1 : finish(fd, ftruncate(fd, 4));
}

static int by_pwritev(const char *path)
{
	struct iovec part = { (void *)NEW, 3 };
	int fd = open(path, O_WRONLY);

	return fd < 0 ? -1 : finish(fd, pwritev(fd, &part, 1, 2) == 3 ? 0 : -1);
}

static int by_sendfile(const char *path)
{
	int from = open("/proc/self/exe", O_RDONLY), fd = open(path, O_WRONLY);
	int r = fd >= 0 && sendfile(fd, from, NULL, 3) == 3 ? 0 : -1;

	return finish(from, finish(fd, r));
}

static int by_copy_file_range(const char *path)
{
	char other[512];
	int from, fd = open(path, O_WRONLY), r;

	snprintf(other, sizeof(other), "%s.source", path);
	from = open(other, O_RDWR | O_CREAT, 0600);
	(void)!pwrite(from, NEW, 3, 0);
	r = fd >= 0 && copy_file_range(from, NULL, fd, NULL, 3, 0) == 3 ? 0 : -1;
	return finish(from, finish(fd, r));
}

static int by_splice(const char *path)
{
	int ends[2], fd = open(path, O_WRONLY), r;

	if (fd < 0 || pipe(ends) < 0)
		return -1;
	(void)!write(ends[1], NEW, 3);
	r = splice(ends[0], NULL, fd, NULL, 3, 0) == 3 ? 0 : -1;
	close(ends[0]);
	close(ends[1]);
	return finish(fd, r);
}

static int by_clone(const char *path)
{
	int from = open("/proc/self/exe", O_RDONLY), fd = open(path, O_WRONLY);

	return fd < 0 ? -1 : finish(from, finish(fd, ioctl(fd, FICLONE, from)));
}

/* A program that reads through a descriptor when the file is changed goes on where it was. */
static int by_chmod_while_read(const char *path)
{
	char text[5] = { 0 };
	int fd = open(path, O_RDONLY), r;

	if (fd < 0 || read(fd, text, 5) != 5)
		return -1;
	r = fchmod(fd, 0611);
	errno = ESPIPE;
	return finish(fd, r < 0 || read(fd, text, 4) != 4 || memcmp(text, "the ", 4) ? -1 : 0);
}

/* ---- sizes, times, modes, owners ---- */

static int by_truncate(const char *path) { return truncate(path, 5); }
static int by_utimensat(const char *path) { return utimensat(AT_FDCWD, path, times, 0); }
static int by_utimensat_nofollow(const char *path) { return utimensat(AT_FDCWD, path, times, AT_SYMLINK_NOFOLLOW); }
static int by_chmod(const char *path) { return chmod(path, 0600); }
static int by_set_id(const char *path) { return chmod(path, 06755); }
static int by_fchmodat(const char *path) { return fchmodat(AT_FDCWD, path, 0711, 0); }
static int by_fchmodat2(const char *path) { return (int)syscall(SYS_fchmodat2, AT_FDCWD, path, 0711, 0); }
static int by_chown(const char *path) { return chown(path, getuid(), getgid()); }
static int by_lchown(const char *path) { return lchown(path, getuid(), getgid()); }
static int by_fchownat(const char *path) { return fchownat(AT_FDCWD, path, getuid(), getgid(), 0); }

static int by_utime(const char *path)
{
	struct utimbuf old = { 1000000000, 1000000001 };

#ifdef SYS_utime
	return (int)syscall(SYS_utime, path, &old);
#else
	return utime(path, &old);
#endif
}

static int by_utimes(const char *path)
{
	struct timeval old[2] = { { 1000000000, 0 }, { 1000000001, 0 } };

#ifdef SYS_utimes
	return (int)syscall(SYS_utimes, path, old);
#else
	return utimes(path, old);
#endif
}

static int by_futimesat(const char *path)
{
	struct timeval old[2] = { { 1000000000, 0 }, { 1000000001, 0 } };

#ifdef SYS_futimesat
	return (int)syscall(SYS_futimesat, AT_FDCWD, path, old);
#else
	return utimes(path, old);
#endif
}

static int by_futimens(const char *path)
{
	int fd = open(path, O_RDONLY);

	return fd < 0 ? -1 : finish(fd, futimens(fd, times));
}

static int by_utimes_of_link(const char *path)
{
	int fd = open(path, O_PATH);

	return fd < 0 ? -1 : finish(fd, utimensat(AT_FDCWD, self(fd), times, 0));
}

static int by_fchmod(const char *path)
{
	int fd = open(path, O_RDONLY);

	return fd < 0 ? -1 : finish(fd, fchmod(fd, 0640));
}

static int by_chmod_of_link(const char *path)
{
	int fd = open(path, O_PATH);

	return fd < 0 ? -1 : finish(fd, chmod(self(fd), 0640));
}

static int by_fchown(const char *path)
{
	int fd = open(path, O_RDONLY);

	return fd < 0 ? -1 : finish(fd, fchown(fd, getuid(), getgid()));
}

/* ---- attributes and flags ---- */

static int by_setxattr(const char *path) { return setxattr(path, "user.image", NEW, 3, 0); }
static int by_lsetxattr(const char *path) { return lsetxattr(path, "user.image", NEW, 3, 0); }
static int by_removexattr(const char *path) { return removexattr(path, "user.image"); }
static int by_lremovexattr(const char *path) { return lremovexattr(path, "user.image"); }

static int by_fsetxattr(const char *path)
{
	int fd = open(path, O_RDONLY);

	return fd < 0 ? -1 : finish(fd, fsetxattr(fd, "user.image", NEW, 3, 0));
}

static int by_fremovexattr(const char *path)
{
	int fd = open(path, O_RDONLY);

	return fd < 0 ? -1 : finish(fd, fremovexattr(fd, "user.image"));
}

/* u::rw-,u:himself:rwx,g::r--,m::rwx,o::---: of its version, then tag, permissions and id of each. */
static int by_acl(const char *path)
{
	const struct {
		uint32_t version;
		struct {
			uint16_t tag, perm;
			uint32_t id;
		} entry[5];
	} acl = { 2, { { 1, 6, ~0u }, { 2, 7, getuid() }, { 4, 4, ~0u }, { 16, 7, ~0u }, { 32, 0, ~0u } } };

	return setxattr(path, "system.posix_acl_access", &acl, sizeof(acl), 0);
}

static int by_flags(const char *path)
{
	int fd = open(path, O_RDONLY), flags = 0;

	if (fd < 0 || ioctl(fd, FS_IOC_GETFLAGS, &flags) < 0)
		return finish(fd, -1);
	flags |= FS_NOATIME_FL;
	return finish(fd, ioctl(fd, FS_IOC_SETFLAGS, &flags));
}

static int by_fsxattr(const char *path)
{
	int fd = open(path, O_RDONLY);
	struct fsxattr attr;

	if (fd < 0 || ioctl(fd, FS_IOC_FSGETXATTR, &attr) < 0)
		return finish(fd, -1);
	attr.fsx_xflags |= FS_XFLAG_NOATIME;
	return finish(fd, ioctl(fd, FS_IOC_FSSETXATTR, &attr));
}

static int by_file_setattr(const char *path)
{
	uint64_t attr[3] = { 0 }; /* struct file_attr of linux/fs.h: flags first */

	if (syscall(SYS_file_getattr, AT_FDCWD, path, attr, sizeof(attr), 0) < 0)
		return -1;
	attr[0] |= FS_XFLAG_NOATIME;
	return (int)syscall(SYS_file_setattr, AT_FDCWD, path, attr, sizeof(attr), 0);
}

/* ---- names ---- */

static int by_rename(const char *path)
{
	char other[512];

	snprintf(other, sizeof(other), "%s.new", path);
	return write_to(open(other, O_WRONLY | O_CREAT, 0600)) < 0 ? -1 : rename(other, path);
}

static int by_unlink(const char *path)
{
	return unlink(path) < 0 ? -1 : write_to(open(path, O_WRONLY | O_CREAT, 0600));
}

static const struct way {
	const char *name;
	int (*change)(const char *path);
	int unseen; /* the change is none that look() sees */
} ways[] = {
	{ "open", by_open, 0 },
	{ "rdwr", by_rdwr, 0 },
	{ "create", by_create, 0 },
	{ "creat", by_creat, 0 },
	{ "trunc", by_trunc, 0 },
	{ "append", by_append, 0 },
	{ "trunc-only", by_trunc_only, 0 },
	{ "openat", by_openat, 0 },
	{ "openat2", by_openat2, 0 },
	{ "openat2-beneath", by_openat2_beneath, 0 },
	{ "openat2-no-links", by_openat2_no_links, 0 },
	{ "descriptor-link", by_descriptor_link, 0 },
	{ "path-descriptor", by_path_descriptor, 0 },
	{ "symlink", by_symlink, 0 },
	{ "link", by_link, 0 },
	{ "mmap", by_mmap, 0 },
	{ "fallocate", by_fallocate, 0 },
	{ "ftruncate", by_ftruncate, 0 },
	{ "pwritev", by_pwritev, 0 },
	{ "sendfile", by_sendfile, 0 },
	{ "copy-file-range", by_copy_file_range, 0 },
	{ "splice", by_splice, 0 },
	{ "clone", by_clone, 0 },
	{ "chmod-while-read", by_chmod_while_read, 0 },
	{ "truncate", by_truncate, 0 },
	{ "utime", by_utime, 0 },
	{ "utimes", by_utimes, 0 },
	{ "futimesat", by_futimesat, 0 },
	{ "utimensat", by_utimensat, 0 },
	{ "utimensat-nofollow", by_utimensat_nofollow, 0 },
	{ "futimens", by_futimens, 0 },
	{ "utimes-of-link", by_utimes_of_link, 0 },
	{ "chmod", by_chmod, 0 },
	{ "set-id", by_set_id, 0 },
	{ "fchmod", by_fchmod, 0 },
	{ "fchmodat", by_fchmodat, 0 },
	{ "fchmodat2", by_fchmodat2, 0 },
	{ "chmod-of-link", by_chmod_of_link, 0 },
	{ "chown", by_chown, 1 },
	{ "lchown", by_lchown, 1 },
	{ "fchown", by_fchown, 1 },
	{ "fchownat", by_fchownat, 1 },
	{ "setxattr", by_setxattr, 0 },
	{ "lsetxattr", by_lsetxattr, 0 },
	{ "fsetxattr", by_fsetxattr, 0 },
	{ "removexattr", by_removexattr, 0 },
	{ "lremovexattr", by_lremovexattr, 0 },
	{ "fremovexattr", by_fremovexattr, 0 },
	{ "acl", by_acl, 1 },
	{ "flags", by_flags, 0 },
	{ "fsxattr", by_fsxattr, 0 },
	{ "file-setattr", by_file_setattr, 0 },
	{ "rename", by_rename, 0 },
	{ "unlink", by_unlink, 0 },
};

static int is_absent(int error)
{
	return error == ENOSYS || error == EOPNOTSUPP || error == ENOTTY || error == EXDEV;
}

static int try(const struct way *way, const char *folder)
{
	struct seen before, after;
	char path[512];

	snprintf(path, sizeof(path), "%s/%s", folder, way->name);
	if (look(path, &before) < 0 || before.length != (ssize_t)strlen(TEXT) || access(path, W_OK) < 0)
		return printf("not ok %s: not as the image has it: %s\n", way->name, strerror(errno)), 1;
	errno = 0;
	if (way->change(path) < 0) {
		int absent = is_absent(errno);

		printf("%s %s%s %s\n", absent ? "ok" : "not ok", way->name, absent ? " #" : ":", strerror(errno));
		return !absent;
	}
	if (look(path, &after) < 0 || (!way->unseen && !differs(&before, &after)))
		return printf("not ok %s: nothing changed\n", way->name), 1;
	printf("ok %s\n", way->name);
	return 0;
}

int main(int argc, char **argv)
{
	int failed = 0;

	if (argc != 2)
		return 2;
	for (size_t i = 0; i < sizeof(ways) / sizeof(ways[0]); i++) {
		if (!strcmp(argv[1], "--names"))
			puts(ways[i].name);
		else
			failed |= try(&ways[i], argv[1]);
	}
	return failed;
}
