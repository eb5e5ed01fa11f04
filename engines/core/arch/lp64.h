/* What the 64-bit architectures have in common: every call has room for what it says. */
#ifndef CORE_ARCH_LP64_H
#define CORE_ARCH_LP64_H

#include <stdint.h>

#define ARCH_ELF(type) Elf64_##type

/* Where the engine's own program lies (engines/Makefile): outside the shadow memory of sanitizers, the kernel's range
 * for PIE programs and Go's arenas. What is in the same block of memory as that is looked at: ARCH_LOADER_BLOCK. */
#define ARCH_LOADER_START 0x5500c0de0000ul
#define ARCH_LOADER_END 0x5500c1000000ul
#define ARCH_LOADER_BLOCK (~0xfffffffful)

/* Numbers of the calls on ids, and of others whose first form was too narrow elsewhere. */
#define ARCH_ID_CALL(name) __NR_##name
#define ARCH_NR_fstatat __NR_newfstatat
#define ARCH_NR_fstat __NR_fstat
#define ARCH_NR_fcntl __NR_fcntl
#define ARCH_NR_utimensat __NR_utimensat /* takes numbers of 64 bits */
#define ARCH_NR_mmap __NR_mmap

/* The upper half of a product. */
static inline uint64_t arch_multiply_high(uint64_t a, uint64_t b)
{
	return (uint64_t)((unsigned __int128)a * b >> 64);
}

/* pread64 and pwrite64, ftruncate, fallocate, mmap, lseek. */
#define arch_at_offset(nr, fd, buf, size, offset) \
	arch_syscall4(nr, fd, (long)(buf), (long)(size), (long)(offset))
#define arch_ftruncate(fd, size) arch_syscall3(__NR_ftruncate, fd, (long)(size), 0)
#define arch_fallocate(fd, size) arch_syscall4(__NR_fallocate, fd, 0, 0, (long)(size))
#define arch_mmap(address, size, prot, flags, fd, offset) \
	arch_syscall6(__NR_mmap, (long)(address), (long)(size), prot, flags, fd, (long)(offset))
#define arch_lseek(fd, offset, whence) arch_syscall3(__NR_lseek, fd, (long)(offset), whence)

#endif
