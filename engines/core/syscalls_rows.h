/* The rows of syscalls.def with the numbers of one architecture, which are included before: a table for syscalls.c, and
 * where programs of another architecture run too, one more for those. */
#ifndef CORE_SYSCALLS_ROWS_H
#define CORE_SYSCALLS_ROWS_H

#include <linux/errno.h>

#include "syscalls.h"

#define PATH SYSCALL_PATH
#define OWNER SYSCALL_OWNER
#define CRED SYSCALL_CRED
#define SIGNAL SYSCALL_SIGNAL
#define GUARD SYSCALL_GUARD
#define SHARED SYSCALL_SHARED
#define FILE (PATH | OWNER | SHARED)

#define ANY WHEN_ANY, 0
#define NONNULL(n) WHEN_NONNULL, n
#define HIDDEN(n) WHEN_HIDDEN, n
#define IOCTL WHEN_IOCTL, 0
#define ADDRESS(n) WHEN_ADDRESS, n
#define CLONE WHEN_CLONE, 0
#define REFUSE(e) WHEN_REFUSE, e

#define CWD (-1)
#define P(dirfd, path, rule, flag) { dirfd, path, RULE_##rule, flag }
#define NOPATH { -1, -1, RULE_NONE, 0 }

static const struct syscall_row rows[] = {
#define SYS(call, groups, when, path1, path2, op) \
	{ #call, __NR_##call, groups, when, OP_##op, { path1, path2 } },
#include "syscalls.def"
#undef SYS
};

enum {
#define SYS(call, groups, when, path1, path2, op) ROW_##call,
#include "syscalls.def"
#undef SYS
};

/* Number -> row + 1. Calls that the architecture never had share one number. */
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Woverride-init"
static const uint8_t row_of_nr[SYSCALL_NR_LAST + 2] = {
#define SYS(call, groups, when, path1, path2, op) [__NR_##call] = ROW_##call + 1,
#include "syscalls.def"
#undef SYS
};
#pragma GCC diagnostic pop

_Static_assert(sizeof(rows) / sizeof(rows[0]) < 255, "row_of_nr[]");

static inline const struct syscall_row *find_row(long nr)
{
	return nr < 0 || nr > SYSCALL_NR_LAST || !row_of_nr[nr] ? NULL : &rows[row_of_nr[nr] - 1];
}

#endif
