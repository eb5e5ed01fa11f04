/* Typed wrappers of the raw system calls the engines use. They return >= 0 or -errno; there is no errno. */
#ifndef CORE_SYS_H
#define CORE_SYS_H

#include <asm/unistd.h>
#include <linux/fcntl.h>
#include <linux/openat2.h>
#include <linux/stat.h>
#include <stddef.h>
#include <stdint.h>

#include "arch.h"
#include "arch_stat.h"
#include "compat.h"

#define PATH_MAX 4096
#define NAME_MAX 255
#define SYMLINK_MAX 40 /* MAXSYMLINKS of fs/namei.c */

/* fcntl.h of the C library is out of reach here; these are the kernel's, equal on the architectures we build. */
#ifndef O_ACCMODE
#include <asm/fcntl.h>
#endif

/* What getdents64(2) writes. */
struct dirent64 {
	uint64_t ino;
	int64_t off;
	uint16_t size;
	unsigned char type;
	char name[];
};

#define SYS0(name) arch_syscall3(__NR_##name, 0, 0, 0)
#define SYS1(name, a) arch_syscall3(__NR_##name, (long)(a), 0, 0)
#define SYS2(name, a, b) arch_syscall3(__NR_##name, (long)(a), (long)(b), 0)
#define SYS3(name, a, b, c) arch_syscall3(__NR_##name, (long)(a), (long)(b), (long)(c))
#define SYS4(name, a, b, c, d) arch_syscall4(__NR_##name, (long)(a), (long)(b), (long)(c), (long)(d))
#define SYS5(name, a, b, c, d, e) \
	arch_syscall6(__NR_##name, (long)(a), (long)(b), (long)(c), (long)(d), (long)(e), 0)
#define SYS6(name, a, b, c, d, e, f) \
	arch_syscall6(__NR_##name, (long)(a), (long)(b), (long)(c), (long)(d), (long)(e), (long)(f))

static inline long sys_openat(int dirfd, const char *path, int flags, unsigned mode)
{
	return SYS4(openat, dirfd, path, flags, mode);
}

static inline long sys_openat2(int dirfd, const char *path, uint64_t flags, uint64_t mode, uint64_t resolve)
{
	struct open_how how = { .flags = flags, .mode = mode, .resolve = resolve };

	return SYS4(openat2, dirfd, path, &how, sizeof(how));
}

static inline long sys_close(int fd)
{
	return SYS1(close, fd);
}

static inline long sys_read(int fd, void *buf, size_t size)
{
	return SYS3(read, fd, buf, size);
}

static inline long sys_write(int fd, const void *buf, size_t size)
{
	return SYS3(write, fd, buf, size);
}

static inline long sys_pread(int fd, void *buf, size_t size, int64_t offset)
{
	return arch_at_offset(__NR_pread64, fd, buf, size, offset);
}

static inline long sys_pwrite(int fd, const void *buf, size_t size, int64_t offset)
{
	return arch_at_offset(__NR_pwrite64, fd, buf, size, offset);
}

static inline long sys_readlinkat(int dirfd, const char *path, char *buf, size_t size)
{
	return SYS4(readlinkat, dirfd, path, buf, size);
}

static inline long sys_fstatat(int dirfd, const char *path, struct stat *st, int flags)
{
	return arch_syscall4(ARCH_NR_fstatat, dirfd, (long)path, (long)st, flags);
}

static inline long sys_fstat(int fd, struct stat *st)
{
	return arch_syscall3(ARCH_NR_fstat, fd, (long)st, 0);
}

static inline long sys_ftruncate(int fd, int64_t size)
{
	return arch_ftruncate(fd, size);
}

/* Reserves the blocks from the beginning of the file to `size`, and makes it that long. */
static inline long sys_fallocate(int fd, int64_t size)
{
	return arch_fallocate(fd, size);
}

static inline long sys_statx(int dirfd, const char *path, int flags, unsigned mask, struct statx *stx)
{
	return SYS5(statx, dirfd, path, flags, mask, stx);
}

static inline long sys_getcwd(char *buf, size_t size)
{
	return SYS2(getcwd, buf, size);
}

static inline long sys_fcntl(int fd, int cmd, long arg)
{
	return arch_syscall3(ARCH_NR_fcntl, fd, cmd, arg);
}

static inline long sys_dup3(int fd, int newfd, int flags)
{
	return SYS3(dup3, fd, newfd, flags);
}

/* Returns the address, or -errno (test with sys_is_err). */
static inline long sys_mmap(void *addr, size_t size, int prot, int flags, int fd, int64_t offset)
{
	return arch_mmap(addr, size, prot, flags, fd, offset);
}

static inline long sys_munmap(void *addr, size_t size)
{
	return SYS2(munmap, addr, size);
}

static inline int sys_is_err(long ret)
{
	return (unsigned long)ret >= (unsigned long)-4095L;
}

_Noreturn static inline void sys_exit_group(int status)
{
	for (;;)
		(void)SYS1(exit_group, status);
}

#endif
