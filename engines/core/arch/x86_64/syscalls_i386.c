/* The system call table of i386 programs, which kernels of x86_64 run too. */
#include <asm/unistd_32.h>

#include "syscalls.h"

#include "arch/i386/legacy.h"
#include "syscalls_rows.h"

const struct syscall_row *syscall_row_i386(long nr)
{
	return find_row(nr);
}
