/* The system call table, from syscalls.def. */
#include "syscalls.h"

#include <linux/errno.h>

#include "legacy.h"

#define PATH SYSCALL_PATH
#define OWNER SYSCALL_OWNER
#define CRED SYSCALL_CRED
#define SIGNAL SYSCALL_SIGNAL
#define GUARD SYSCALL_GUARD

#define ANY WHEN_ANY, 0
#define NONNULL(n) WHEN_NONNULL, n
#define HIDDEN(n) WHEN_HIDDEN, n
#define ADDRESS(n) WHEN_ADDRESS, n
#define CLONE WHEN_CLONE, 0
#define REFUSE(e) WHEN_REFUSE, e

#define CWD (-1)
#define P(dirfd, path, rule, flag) { dirfd, path, RULE_##rule, flag }
#define NOPATH { -1, -1, RULE_NONE, 0 }

const struct syscall_row syscall_table[] = {
#define SYS(call, groups, when, path1, path2, op) \
	{ #call, __NR_##call, groups, when, OP_##op, { path1, path2 } },
#include "syscalls.def"
#undef SYS
};

const size_t syscall_table_size = sizeof(syscall_table) / sizeof(syscall_table[0]);

enum {
#define SYS(call, groups, when, path1, path2, op) ROW_##call,
#include "syscalls.def"
#undef SYS
};

/* Number -> row + 1. Calls the architecture never had share one number above the last (legacy.h). */
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Woverride-init"
static const uint8_t row_of_nr[SYSCALL_NR_LAST + 2] = {
#define SYS(call, groups, when, path1, path2, op) [__NR_##call] = ROW_##call + 1,
#include "syscalls.def"
#undef SYS
};
#pragma GCC diagnostic pop

const struct syscall_row *syscall_row(long nr)
{
	if (nr < 0 || nr > SYSCALL_NR_LAST || !row_of_nr[nr])
		return NULL;
	return &syscall_table[row_of_nr[nr] - 1];
}
