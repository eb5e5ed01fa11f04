/* The system call table as data; see syscalls.def. */
#ifndef CORE_SYSCALLS_H
#define CORE_SYSCALLS_H

#include <stddef.h>
#include <stdint.h>

#include "compat.h"

#define SYSCALL_NR_LAST __NR_file_setattr /* the last call this table was checked against */

enum syscall_group {
	SYSCALL_PATH = 1 << 0,
	SYSCALL_OWNER = 1 << 1,
	SYSCALL_CRED = 1 << 2,
	SYSCALL_SIGNAL = 1 << 3,
	SYSCALL_GUARD = 1 << 4,
	SYSCALL_SHARED = 1 << 5,
};

enum syscall_when {
	WHEN_ANY,
	WHEN_NONNULL,
	WHEN_HIDDEN,
	WHEN_ADDRESS,
	WHEN_CLONE,
	WHEN_REFUSE,
	WHEN_IOCTL,
};

enum path_rule {
	RULE_NONE,
	RULE_FOLLOW,
	RULE_NOFOLLOW,
	RULE_NOFOLLOW_IF,
	RULE_FOLLOW_IF,
	RULE_PARENT,
	RULE_OPEN,
};

enum syscall_op {
	OP_NONE,
	OP_STAT,
	OP_FSTAT,
	OP_STATX,
	OP_ACCESS,
	OP_READLINK,
	OP_STRING,
	OP_STRING_WRITE,
	OP_AT,
	OP_AT_WRITE,
	OP_GETDENTS,
	OP_INOTIFY,
	OP_OPEN,
	OP_OPENAT2,
	OP_CREAT,
	OP_CHDIR,
	OP_FCHDIR,
	OP_GETCWD,
	OP_CHROOT,
	OP_MKDIR,
	OP_MKNOD,
	OP_RMDIR,
	OP_UNLINK,
	OP_RENAME,
	OP_LINK,
	OP_SYMLINK,
	OP_CHMOD,
	OP_FCHMOD,
	OP_CHOWN,
	OP_FCHOWN,
	OP_SETXATTR,
	OP_GETXATTR,
	OP_LISTXATTR,
	OP_REMOVEXATTR,
	OP_EXECVE,
	OP_EXECVEAT,
	OP_CLONE,
	OP_VFORK,
	OP_UNSHARE,
	OP_PTRACE,
	OP_KILL,
	OP_SOCKET,
	OP_BIND,
	OP_CONNECT,
	OP_SENDTO,
	OP_SENDMSG,
	OP_SENDMMSG,
	OP_GETSOCKNAME,
	OP_ACCEPT,
	OP_RECVFROM,
	OP_RECVMSG,
	OP_RECVMMSG,
	OP_SIGACTION,
	OP_SIGPROCMASK,
	OP_SIGRETURN,
	OP_SIGPENDING,
	OP_SIGSUSPEND,
	OP_PPOLL,
	OP_PSELECT,
	OP_EPOLL_PWAIT,
	OP_HIDDEN_FD,
	OP_HIDDEN_FCNTL,
	OP_IOCTL,
	OP_DUP2,
	OP_CLOSE_RANGE,
	OP_MEMORY,
	OP_SECCOMP,
	OP_PRCTL,
	OP_GETID,
	OP_GETRESID,
	OP_GETGROUPS,
	OP_SETID,
	OP_SETGROUPS,
	OP_CAPGET,
	OP_CAPSET,
	OP_UMASK,
	OP_GETSOCKOPT,
	OP_NARROW,
	OP_COUNT,
};

struct path_arg {
	int8_t dirfd; /* argument number, or -1: the working directory */
	int8_t path;  /* argument number */
	uint8_t rule; /* enum path_rule */
	int8_t flag;  /* argument number of the flags */
};

struct syscall_row {
	const char *name;
	uint16_t nr;
	uint8_t groups; /* enum syscall_group */
	uint8_t when;	/* enum syscall_when */
	int16_t when_arg; /* argument number, or the errno of WHEN_REFUSE */
	uint8_t op;	/* enum syscall_op */
	struct path_arg path[2];
};

/* The row of a call, or NULL. */
const struct syscall_row *syscall_row(long nr);
/* The same for programs of i386; arch/x86_64/syscalls_i386.c. */
const struct syscall_row *syscall_row_i386(long nr);

#define SYSCALL_NR_GONE (SYSCALL_NR_LAST + 1) /* of calls that the architecture never had: nothing looks it up */

/* SYSCALL_NR_LAST, for callers that cannot read C headers. */
long syscall_number_last(void);

#endif
