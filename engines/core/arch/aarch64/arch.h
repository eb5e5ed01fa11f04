/* Raw system calls of aarch64 Linux: the only place that knows the calling convention. */
#ifndef CORE_ARCH_H
#define CORE_ARCH_H

#include "arch/lp64.h"

#define ARCH_NAME "aarch64"
#define ARCH_EM_MACHINE 183 /* EM_AARCH64 */
#define ARCH_EM_COMPAT 40   /* EM_ARM: what its kernels may run besides */
#define ARCH_AUDIT 0xC00000B7u /* AUDIT_ARCH_AARCH64 */

static inline long arch_syscall6(long nr, long a, long b, long c, long d, long e, long f)
{
	register long x8 __asm__("x8") = nr;
	register long x0 __asm__("x0") = a;
	register long x1 __asm__("x1") = b;
	register long x2 __asm__("x2") = c;
	register long x3 __asm__("x3") = d;
	register long x4 __asm__("x4") = e;
	register long x5 __asm__("x5") = f;

	__asm__ volatile("svc 0"
			 : "+r"(x0)
			 : "r"(x8), "r"(x1), "r"(x2), "r"(x3), "r"(x4), "r"(x5)
			 : "memory", "cc");
	return x0;
}

static inline long arch_syscall4(long nr, long a, long b, long c, long d)
{
	return arch_syscall6(nr, a, b, c, d, 0, 0);
}

static inline long arch_syscall3(long nr, long a, long b, long c)
{
	return arch_syscall6(nr, a, b, c, 0, 0, 0);
}

/* function(argument), on the stack that ends at `top` (a multiple of 16). */
static inline long arch_call_on(void *top, long (*function)(void *), void *argument)
{
	register long x0 __asm__("x0") = (long)argument;

	__asm__ volatile("mov x19, sp\n\t"
			 "mov sp, %[top]\n\t"
			 "blr %[function]\n\t"
			 "mov sp, x19"
			 : "+r"(x0)
			 : [top] "r"(top), [function] "r"(function)
			 : "x1", "x2", "x3", "x4", "x5", "x6", "x7", "x8", "x9", "x10", "x11", "x12", "x13", "x14",
			   "x15", "x16", "x17", "x18", "x19", "x30", "memory", "cc");
	return x0;
}

/* The calling thread's thread pointer; 0 when it has none. */
static inline unsigned long arch_thread_pointer(void)
{
	unsigned long pointer;

	__asm__("mrs %0, tpidr_el0" : "=r"(pointer));
	return pointer;
}

#endif
