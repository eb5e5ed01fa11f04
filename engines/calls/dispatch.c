/* From a system call to its handler, by the table. */
#include <linux/errno.h>
#include <linux/sched.h>

#include "calls.h"

static long raw(const struct call *c)
{
	return arch_syscall6(c->nr, (long)c->arg[0], (long)c->arg[1], (long)c->arg[2], (long)c->arg[3], (long)c->arg[4],
			     (long)c->arg[5]);
}

unsigned call_groups(void)
{
	return SYSCALL_GUARD | front_end.groups | (engine.translate ? SYSCALL_PATH : 0) |
	       (engine.pretend ? SYSCALL_OWNER | SYSCALL_CRED : 0) | (engine.shared ? SYSCALL_SHARED : 0);
}

const struct abi native_abi = {
	.audit = ARCH_AUDIT,
	.row = syscall_row,
	.text_start = (unsigned long)__executable_start,
	.text_end = (unsigned long)__start_guest_text,
	.block = ARCH_LOADER_BLOCK,
};

const uint32_t flag_ioctls[IOCTLS] = {
	0x40086602, 0x40046602, /* FS_IOC_SETFLAGS, of programs of 64 and of 32 bits */
	0x401c5820,		/* FS_IOC_FSSETXATTR */
};

/* Whether the row speaks of this call; filter.c says the same to the kernel. */
static bool concerned(const struct abi *abi, const struct syscall_row *row, const struct call *c)
{
	if (!(row->groups & call_groups()))
		return false;
	switch ((enum syscall_when)row->when) {
	case WHEN_NONNULL:
		return c->arg[row->when_arg] != 0;
	case WHEN_HIDDEN:
		return is_hidden(c->arg[row->when_arg]);
	case WHEN_IOCTL:
		for (unsigned i = 0; i < IOCTLS; i++)
			if ((uint32_t)c->arg[1] == flag_ioctls[i])
				return true;
		return is_hidden(c->arg[0]);
	case WHEN_ADDRESS:
		return !((c->arg[row->when_arg] ^ abi->text_start) & abi->block);
	case WHEN_CLONE: /* threads and plain forks run free; shared memory needs a gate, namespaces a refusal */
		return (c->arg[0] & CLONE_NEW_ANY) || (c->arg[0] & (CLONE_VM | CLONE_THREAD)) == CLONE_VM;
	case WHEN_ANY:
	case WHEN_REFUSE:
		break;
	}
	return true;
}

bool call_concerned(const struct abi *abi, const struct call *c)
{
	const struct syscall_row *row = abi->row(c->nr);

	return row ? concerned(abi, row, c) : c->nr > SYSCALL_NR_LAST;
}

static long clone_op(struct call *c)
{
	return c->arg[0] & CLONE_NEW_ANY ? -EPERM : op_vfork(c, c->arg[0] & CLONE_VFORK);
}

long dispatch(struct call *c)
{
	const struct syscall_row *row = syscall_row(c->nr);

	if (!row)
		return c->nr > SYSCALL_NR_LAST ? -ENOSYS : raw(c);
	if (!concerned(&native_abi, row, c))
		return raw(c);
	if (row->when == WHEN_REFUSE)
		return -row->when_arg;
	switch ((enum syscall_op)row->op) {
	case OP_STAT: return op_stat(c, row);
	case OP_FSTAT: return op_fstat(c);
	case OP_STATX: return op_statx(c, row);
	case OP_ACCESS: return op_access(c, row);
	case OP_READLINK: return op_readlink(c, row);
	case OP_STRING: return op_string(c, row, 0);
	case OP_STRING_WRITE: return op_string(c, row, WANT_WRITE);
	case OP_AT: return op_at(c, row, 0);
	case OP_AT_WRITE: return op_at(c, row, WANT_WRITE);
	case OP_GETDENTS: return op_getdents(c);
	case OP_INOTIFY: return op_inotify(c);
	case OP_OPEN:
	case OP_CREAT: return op_open(c, row);
	case OP_OPENAT2: return op_openat2(c);
	case OP_CHDIR: return op_chdir(c);
	case OP_FCHDIR: return op_fchdir(c);
	case OP_GETCWD: return op_getcwd(c);
	case OP_CHROOT: return op_chroot(c);
	case OP_MKDIR: return op_mkdir(c, row);
	case OP_MKNOD: return op_mknod(c, row);
	case OP_RMDIR: return op_rmdir(c, row);
	case OP_UNLINK: return op_unlink(c, row);
	case OP_RENAME: return op_rename(c, row);
	case OP_LINK: return op_link(c, row);
	case OP_SYMLINK: return op_symlink(c, row);
	case OP_CHMOD: return op_chmod(c, row);
	case OP_FCHMOD: return op_fchmod(c);
	case OP_CHOWN: return op_chown(c, row);
	case OP_FCHOWN: return op_fchown(c);
	case OP_SETXATTR:
	case OP_GETXATTR:
	case OP_LISTXATTR:
	case OP_REMOVEXATTR: return op_xattr(c, row);
	case OP_EXECVE:
	case OP_EXECVEAT: return op_execve(c, row);
	case OP_CLONE: return clone_op(c);
	case OP_VFORK: return op_vfork(c, true);
	case OP_UNSHARE: return op_unshare(c);
	case OP_PTRACE: return op_ptrace(c);
	case OP_KILL: return op_kill(c);
	case OP_SOCKET: return op_socket(c);
	case OP_BIND:
	case OP_CONNECT: return op_bind_connect(c, row);
	case OP_SENDTO: return op_sendto(c);
	case OP_SENDMSG: return op_sendmsg(c);
	case OP_SENDMMSG: return op_sendmmsg(c);
	case OP_GETSOCKNAME: return op_name_out(c, 1, 2);
	case OP_ACCEPT: return op_name_out(c, 1, 2);
	case OP_RECVFROM: return op_name_out(c, 4, 5);
	case OP_RECVMSG: return op_recvmsg(c);
	case OP_RECVMMSG: return op_recvmmsg(c);
	case OP_GETSOCKOPT: return op_getsockopt(c);
	case OP_SIGACTION:
	case OP_SIGPROCMASK:
	case OP_SIGRETURN:
	case OP_SIGPENDING:
	case OP_SIGSUSPEND:
	case OP_PPOLL:
	case OP_EPOLL_PWAIT:
	case OP_PSELECT: return signal_answer(c, row);
	case OP_HIDDEN_FD: return -EBADF;
	case OP_HIDDEN_FCNTL: return op_hidden_fcntl(c);
	case OP_IOCTL: return op_ioctl(c);
	case OP_DUP2: return op_dup2(c);
	case OP_CLOSE_RANGE: return op_close_range(c);
	case OP_MEMORY: return op_memory(c);
	case OP_SECCOMP: return op_seccomp(c);
	case OP_PRCTL: return op_prctl(c);
	case OP_GETID:
	case OP_GETRESID:
	case OP_GETGROUPS:
	case OP_SETID:
	case OP_SETGROUPS:
	case OP_CAPGET:
	case OP_CAPSET:
	case OP_UMASK: return op_identity(c, row);
	case OP_NARROW:
	case OP_NONE:
	case OP_COUNT: break;
	}
	return -ENOSYS;
}
