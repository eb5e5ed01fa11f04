/* Raw system calls of x86_64 Linux: the only place that knows the calling convention. */
#ifndef CORE_ARCH_H
#define CORE_ARCH_H

#include "arch/lp64.h"

#define ARCH_NAME "x86_64"
#define ARCH_EM_MACHINE 62 /* EM_X86_64 */
#define ARCH_EM_COMPAT 3   /* EM_386: what its kernels may run besides */
#define ARCH_AUDIT 0xC000003Eu /* AUDIT_ARCH_X86_64 */

static inline long arch_syscall6(long nr, long a, long b, long c, long d, long e, long f)
{
	long ret;
	register long r10 __asm__("r10") = d;
	register long r8 __asm__("r8") = e;
	register long r9 __asm__("r9") = f;

	__asm__ volatile("syscall"
			 : "=a"(ret)
			 : "a"(nr), "D"(a), "S"(b), "d"(c), "r"(r10), "r"(r8), "r"(r9)
			 : "rcx", "r11", "memory");
	return ret;
}

static inline long arch_syscall4(long nr, long a, long b, long c, long d)
{
	long ret;
	register long r10 __asm__("r10") = d;

	__asm__ volatile("syscall"
			 : "=a"(ret)
			 : "a"(nr), "D"(a), "S"(b), "d"(c), "r"(r10)
			 : "rcx", "r11", "memory");
	return ret;
}

static inline long arch_syscall3(long nr, long a, long b, long c)
{
	long ret;

	__asm__ volatile("syscall"
			 : "=a"(ret)
			 : "a"(nr), "D"(a), "S"(b), "d"(c)
			 : "rcx", "r11", "memory");
	return ret;
}

/* function(argument), on the stack that ends at `top` (a multiple of 16). */
static inline long arch_call_on(void *top, long (*function)(void *), void *argument)
{
	long r;

	__asm__ volatile("movq %%rsp, %%rbx\n\t"
			 "movq %[top], %%rsp\n\t"
			 "call *%[function]\n\t"
			 "movq %%rbx, %%rsp"
			 : "=&a"(r), "+D"(argument)
			 : [top] "r"(top), [function] "r"(function)
			 : "rbx", "rcx", "rdx", "rsi", "r8", "r9", "r10", "r11", "memory", "cc");
	return r;
}

/* The calling thread's thread pointer; 0 when it has none. */
static inline unsigned long arch_thread_pointer(void)
{
	unsigned long pointer = 0;

	(void)arch_syscall3(158 /* arch_prctl */, 0x1003 /* ARCH_GET_FS */, (long)&pointer, 0);
	return pointer;
}

#endif
