/* Descriptors and memory of the engine's own, kept out of the guest's reach: the guest's root directory or the state
 * that a namespace has no name for, and the pages the loader lives in. Listings: listing.c. */
#include <linux/errno.h>
#include <linux/mman.h>
#include <linux/resource.h>

#include "loader/loader.h"
#include "calls.h"

#define FIOCLEX 0x5451
#define FIONCLEX 0x5450

long fd_place(int fd, int number)
{
	struct rlimit64 limit = { 0 }, lifted;
	long r = sys_dup3(fd, number, 0);

	if (r != -EBADF || SYS4(prlimit64, 0, RLIMIT_NOFILE, NULL, &limit) < 0 || limit.rlim_max <= (unsigned)number)
		return r;
	lifted = limit;
	lifted.rlim_cur = limit.rlim_max;
	(void)SYS4(prlimit64, 0, RLIMIT_NOFILE, &lifted, NULL);
	r = sys_dup3(fd, number, 0);
	(void)SYS4(prlimit64, 0, RLIMIT_NOFILE, &limit, NULL);
	return r;
}

/* apt sets close-on-exec on everything in /proc/self/fd and gives up when one fails: such requests succeed and do
 * nothing. */
long op_hidden_fcntl(struct call *c)
{
	return c->arg[1] == F_SETFD ? 0 : c->arg[1] == F_GETFD ? 1 : -EBADF;
}

long op_ioctl(struct call *c)
{
	long r;

	if (is_hidden(c->arg[0]))
		return c->arg[1] == FIOCLEX || c->arg[1] == FIONCLEX ? 0 : -EBADF;
	/* The flags of a file are changed through any descriptor of its owner's. */
	r = shared_part(process_current(), (int)c->arg[0], "", AT_EMPTY_PATH, true);
	return r < 0 ? r : arch_syscall3(c->nr, (long)c->arg[0], (long)c->arg[1], (long)c->arg[2]);
}

/* Whoever wants just our number gets it refused as if it were beyond the limit of open files, which most often it is:
 * see open_root() of the front end. */
long op_dup2(struct call *c)
{
	if (is_hidden(c->arg[0]) || is_hidden(c->arg[1]))
		return -EBADF;
	return arch_syscall3(c->nr, (long)c->arg[0], (long)c->arg[1], (long)c->arg[2]);
}

long op_close_range(struct call *c)
{
	unsigned first = (unsigned)c->arg[0], last = (unsigned)c->arg[1];
	unsigned ours = (unsigned)engine.hidden, after = ours + (unsigned)engine.n_hidden;
	long r;

	if (!engine.n_hidden || first > last || after <= first || ours > last)
		return SYS3(close_range, first, last, c->arg[2]);
	if (first < ours) {
		r = SYS3(close_range, first, ours - 1, c->arg[2]);
		if (r < 0)
			return r;
	}
	return last >= after ? SYS3(close_range, after, last, c->arg[2]) : 0;
}

/* mmap, munmap, mprotect, mremap near the loader: refused where they would change it. */
long op_memory(struct call *c)
{
	unsigned long start = c->arg[0], end = start + c->arg[1];
	const bool placed = c->nr != ARCH_NR_mmap || (c->arg[3] & (MAP_FIXED | MAP_FIXED_NOREPLACE));

	if (start < LOADER_END && end > LOADER_START && placed)
		return c->nr == __NR_mprotect ? -EACCES : -EINVAL;
	return arch_syscall6(c->nr, (long)c->arg[0], (long)c->arg[1], (long)c->arg[2], (long)c->arg[3], (long)c->arg[4],
			     (long)c->arg[5]);
}
