/* Raw system calls of i386 Linux: the only place that knows the calling convention. */
#ifndef CORE_ARCH_H
#define CORE_ARCH_H

#include <asm/unistd.h>
#include <stdint.h>

#include "arch/i386/window.h"

#define ARCH_NAME "i386"
#define ARCH_EM_MACHINE 3 /* EM_386 */
#define ARCH_EM_COMPAT 62 /* EM_X86_64: what its kernels may run besides */
#define ARCH_AUDIT 0x40000003u /* AUDIT_ARCH_I386 */
#define ARCH_ELF(type) Elf32_##type

#define ARCH_LOADER_START I386_LOADER_START
#define ARCH_LOADER_END I386_LOADER_END
#define ARCH_LOADER_BLOCK I386_LOADER_BLOCK

/* Numbers of the calls whose first form had no room for what they say. */
#define ARCH_ID_CALL(name) __NR_##name##32
#define ARCH_NR_fstatat __NR_fstatat64
#define ARCH_NR_utimensat 412 /* utimensat_time64 */
#define ARCH_NR_fstat __NR_fstat64
#define ARCH_NR_fcntl __NR_fcntl64
#define ARCH_NR_mmap __NR_mmap2

/* The upper half of a product, by the multiplication of 32 bits that the CPU has. */
static inline uint64_t arch_multiply_high(uint64_t a, uint64_t b)
{
	const uint32_t a0 = (uint32_t)a, a1 = (uint32_t)(a >> 32), b0 = (uint32_t)b, b1 = (uint32_t)(b >> 32);
	const uint64_t low = (uint64_t)a0 * b0, one = (uint64_t)a1 * b0, other = (uint64_t)a0 * b1;
	const uint64_t middle = (low >> 32) + (uint32_t)one + (uint32_t)other;

	return (uint64_t)a1 * b1 + (one >> 32) + (other >> 32) + (middle >> 32);
}

/* Six arguments need all registers, %ebp included, and the compiler keeps one for itself: they travel in memory. */
static inline long arch_syscall6(long nr, long a, long b, long c, long d, long e, long f)
{
	const long arg[6] = { a, b, c, d, e, f };

	__asm__ volatile("pushl %%ebp\n\t"
			 "pushl %%ebx\n\t"
			 "movl (%%esi), %%ebx\n\t"
			 "movl 4(%%esi), %%ecx\n\t"
			 "movl 8(%%esi), %%edx\n\t"
			 "movl 16(%%esi), %%edi\n\t"
			 "movl 20(%%esi), %%ebp\n\t"
			 "movl 12(%%esi), %%esi\n\t"
			 "int $0x80\n\t"
			 "popl %%ebx\n\t"
			 "popl %%ebp"
			 : "+a"(nr), "=S"(a)
			 : "S"(arg)
			 : "ecx", "edx", "edi", "memory", "cc");
	return nr;
}

static inline long arch_syscall4(long nr, long a, long b, long c, long d)
{
	__asm__ volatile("int $0x80" : "+a"(nr) : "b"(a), "c"(b), "d"(c), "S"(d) : "memory", "cc");
	return nr;
}

static inline long arch_syscall3(long nr, long a, long b, long c)
{
	__asm__ volatile("int $0x80" : "+a"(nr) : "b"(a), "c"(b), "d"(c) : "memory", "cc");
	return nr;
}

/* Numbers of 64 bits take two arguments. */
static inline long arch_at_offset(long nr, int fd, const void *buf, unsigned long size, int64_t offset)
{
	return arch_syscall6(nr, fd, (long)buf, (long)size, (long)offset, (long)(offset >> 32), 0);
}

static inline long arch_ftruncate(int fd, int64_t size)
{
	return arch_syscall3(__NR_ftruncate64, fd, (long)size, (long)(size >> 32));
}

static inline long arch_fallocate(int fd, int64_t size)
{
	return arch_syscall6(__NR_fallocate, fd, 0, 0, 0, (long)size, (long)(size >> 32));
}

static inline int64_t arch_lseek(int fd, int64_t offset, int whence)
{
	int64_t at;
	long r = arch_syscall6(__NR__llseek, fd, (long)(offset >> 32), (long)offset, (long)&at, whence, 0);

	return r < 0 ? r : at;
}

/* Counts the offset in pages. */
static inline long arch_mmap(void *address, unsigned long size, int prot, int flags, int fd, int64_t offset)
{
	return arch_syscall6(__NR_mmap2, (long)address, (long)size, prot, flags, fd, (long)(offset >> 12));
}

/* function(argument), on the stack that ends at `top` (a multiple of 16). */
static inline long arch_call_on(void *top, long (*function)(void *), void *argument)
{
	long r;

	__asm__ volatile("movl %%esp, %%ebx\n\t"
			 "leal -12(%[top]), %%esp\n\t"
			 "pushl %[argument]\n\t"
			 "call *%[function]\n\t"
			 "movl %%ebx, %%esp"
			 : "=&a"(r)
			 : [top] "r"(top), [function] "r"(function), [argument] "r"(argument)
			 : "ebx", "ecx", "edx", "memory", "cc");
	return r;
}

/* The calling thread's thread pointer; 0 when it has none. C libraries keep its address in its first word. */
static inline unsigned long arch_thread_pointer(void)
{
	unsigned long pointer;

	__asm__("movl %%gs, %0\n\t"
		"testl %0, %0\n\t"
		"jz 1f\n\t"
		"movl %%gs:0, %0\n"
		"1:"
		: "=r"(pointer)
		:
		: "cc");
	return pointer;
}

#endif
