/* Calls that only 32-bit architectures have; the others give them no number. */
#ifndef CORE_ARCH_ILP32_ONLY_H
#define CORE_ARCH_ILP32_ONLY_H

#define __NR_oldstat SYSCALL_NR_GONE
#define __NR_oldlstat SYSCALL_NR_GONE
#define __NR_oldfstat SYSCALL_NR_GONE
#define __NR_stat64 SYSCALL_NR_GONE
#define __NR_lstat64 SYSCALL_NR_GONE
#define __NR_fstat64 SYSCALL_NR_GONE
#define __NR_fstatat64 SYSCALL_NR_GONE
#define __NR_statfs64 SYSCALL_NR_GONE
#define __NR_truncate64 SYSCALL_NR_GONE
#define __NR_chown32 SYSCALL_NR_GONE
#define __NR_lchown32 SYSCALL_NR_GONE
#define __NR_fchown32 SYSCALL_NR_GONE
#define __NR_utimensat_time64 SYSCALL_NR_GONE
#define __NR_umount SYSCALL_NR_GONE
#define __NR_socketcall SYSCALL_NR_GONE
#define __NR_recvmmsg_time64 SYSCALL_NR_GONE
#define __NR_fcntl64 SYSCALL_NR_GONE
#define __NR_mmap2 SYSCALL_NR_GONE
#define __NR_getuid32 SYSCALL_NR_GONE
#define __NR_geteuid32 SYSCALL_NR_GONE
#define __NR_getgid32 SYSCALL_NR_GONE
#define __NR_getegid32 SYSCALL_NR_GONE
#define __NR_getresuid32 SYSCALL_NR_GONE
#define __NR_getresgid32 SYSCALL_NR_GONE
#define __NR_getgroups32 SYSCALL_NR_GONE
#define __NR_setuid32 SYSCALL_NR_GONE
#define __NR_setgid32 SYSCALL_NR_GONE
#define __NR_setreuid32 SYSCALL_NR_GONE
#define __NR_setregid32 SYSCALL_NR_GONE
#define __NR_setresuid32 SYSCALL_NR_GONE
#define __NR_setresgid32 SYSCALL_NR_GONE
#define __NR_setfsuid32 SYSCALL_NR_GONE
#define __NR_setfsgid32 SYSCALL_NR_GONE
#define __NR_setgroups32 SYSCALL_NR_GONE

#endif
