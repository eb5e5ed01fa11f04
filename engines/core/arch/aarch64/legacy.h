/* Calls of the table that aarch64 never had. */
#ifndef CORE_LEGACY_H
#define CORE_LEGACY_H

#include "arch/ilp32_only.h"

#define __NR_stat SYSCALL_NR_GONE
#define __NR_lstat SYSCALL_NR_GONE
#define __NR_access SYSCALL_NR_GONE
#define __NR_readlink SYSCALL_NR_GONE
#define __NR_open SYSCALL_NR_GONE
#define __NR_creat SYSCALL_NR_GONE
#define __NR_mkdir SYSCALL_NR_GONE
#define __NR_mknod SYSCALL_NR_GONE
#define __NR_rmdir SYSCALL_NR_GONE
#define __NR_unlink SYSCALL_NR_GONE
#define __NR_rename SYSCALL_NR_GONE
#define __NR_link SYSCALL_NR_GONE
#define __NR_symlink SYSCALL_NR_GONE
#define __NR_chmod SYSCALL_NR_GONE
#define __NR_chown SYSCALL_NR_GONE
#define __NR_lchown SYSCALL_NR_GONE
#define __NR_utime SYSCALL_NR_GONE
#define __NR_utimes SYSCALL_NR_GONE
#define __NR_futimesat SYSCALL_NR_GONE
#define __NR_vfork SYSCALL_NR_GONE
#define __NR_dup2 SYSCALL_NR_GONE
#define __NR_uselib SYSCALL_NR_GONE

#endif
