/* The system call table, from syscalls.def. */
#include <asm/unistd.h>

#include "syscalls.h"

#include "legacy.h"
#include "syscalls_rows.h"

const struct syscall_row *syscall_row(long nr)
{
	return find_row(nr);
}

long syscall_number_last(void)
{
	return SYSCALL_NR_LAST;
}
