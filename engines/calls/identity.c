/* Who the process is, and what it may not do to the engine: ids, groups, capabilities, prctl, seccomp, namespaces,
 * ptrace. */
#include <linux/capability.h>
#include <linux/errno.h>
#include <linux/prctl.h>
#include <linux/ptrace.h>
#include <linux/sched.h>
#include <linux/seccomp.h>

#include "launch/report.h"
#include "calls.h"

#define CAP_SYS_ADMIN_NR 21
#define MM_EXE_FILE 13 /* PR_SET_MM_EXE_FILE */

/* The real call checks the three pointers; then they get the pretended ids. */
static long get_three(struct call *c, uint32_t a, uint32_t b, uint32_t d)
{
	long r = arch_syscall3(ARCH_ID_CALL(getresuid), (long)c->arg[0], (long)c->arg[1], (long)c->arg[2]);

	if (r < 0)
		return r;
	*(uint32_t *)c->arg[0] = a;
	*(uint32_t *)c->arg[1] = b;
	*(uint32_t *)c->arg[2] = d;
	return 0;
}

static long set_id(struct call *c, struct creds *creds)
{
	uint32_t a = (uint32_t)c->arg[0], b = (uint32_t)c->arg[1], d = (uint32_t)c->arg[2];

	switch (c->nr) {
	case ARCH_ID_CALL(setuid):
		return creds_setuid(creds, a);
	case ARCH_ID_CALL(setgid):
		return creds_setgid(creds, a);
	case ARCH_ID_CALL(setreuid):
		return creds_setreuid(creds, a, b);
	case ARCH_ID_CALL(setregid):
		return creds_setregid(creds, a, b);
	case ARCH_ID_CALL(setresuid):
		return creds_setresuid(creds, a, b, d);
	case ARCH_ID_CALL(setresgid):
		return creds_setresgid(creds, a, b, d);
	case ARCH_ID_CALL(setfsuid):
		return creds_setfsuid(creds, a);
	default:
		return creds_setfsgid(creds, a);
	}
}

static long set_groups(struct call *c)
{
	size_t n = c->arg[0];
	const uint32_t *groups = (const uint32_t *)c->arg[1];
	long r;

	if (n > CREDS_GROUPS_MAX)
		return -EINVAL;
	if (!guest_readable(groups, n * sizeof(*groups)))
		return -EFAULT;
	r = creds_setgroups(process_creds_begin(), groups, n);
	process_creds_end();
	return r;
}

static long get_groups(struct call *c)
{
	const struct process *p = process_current();
	int size = (int)c->arg[0];

	if (size < 0)
		return -EINVAL;
	if (size && p->creds.n_groups <= size &&
	    !guest_writable((void *)c->arg[1], p->creds.n_groups * sizeof(uint32_t)))
		return -EFAULT;
	return creds_getgroups(&p->creds, (uint32_t *)c->arg[1], (size_t)size);
}

/* capget(2) and capset(2): version 3 has two 32-bit halves; version 1 had one. */
static unsigned cap_halves(const struct __user_cap_header_struct *header)
{
	return header->version == _LINUX_CAPABILITY_VERSION_1 ? 1 : 2;
}

static long cap_get(struct call *c)
{
	const struct process *p = process_current();
	struct __user_cap_header_struct *header = (void *)c->arg[0];
	struct __user_cap_data_struct *data = (void *)c->arg[1];
	/* The real call checks the header, the pid and the pointers, and corrects an unknown version. */
	long r = SYS2(capget, header, data);

	if (r < 0 || !data)
		return r;
	if (header->pid && header->pid != (int)SYS0(getpid) && header->pid != (int)SYS0(gettid))
		return r;
	for (unsigned i = 0; i < cap_halves(header); i++) {
		data[i].effective = (uint32_t)(p->creds.cap_effective >> 32 * i);
		data[i].permitted = (uint32_t)(p->creds.cap_permitted >> 32 * i);
		data[i].inheritable = (uint32_t)(p->creds.cap_inheritable >> 32 * i);
	}
	return r;
}

static long cap_set(struct call *c)
{
	const struct __user_cap_header_struct *header = (void *)c->arg[0];
	const struct __user_cap_data_struct *data = (void *)c->arg[1];
	uint64_t effective = 0, permitted = 0, inheritable = 0;
	long r;

	if (!guest_readable(header, sizeof(*header)))
		return -EFAULT;
	if (header->version != _LINUX_CAPABILITY_VERSION_1 && header->version != _LINUX_CAPABILITY_VERSION_2 &&
	    header->version != _LINUX_CAPABILITY_VERSION_3)
		return SYS2(capset, header, data);
	if (header->pid && header->pid != (int)SYS0(getpid) && header->pid != (int)SYS0(gettid))
		return -EPERM;
	if (!guest_readable(data, cap_halves(header) * sizeof(*data)))
		return -EFAULT;
	for (unsigned i = 0; i < cap_halves(header); i++) {
		effective |= (uint64_t)data[i].effective << 32 * i;
		permitted |= (uint64_t)data[i].permitted << 32 * i;
		inheritable |= (uint64_t)data[i].inheritable << 32 * i;
	}
	r = creds_capset(process_creds_begin(), effective, permitted, inheritable);
	process_creds_end();
	return r;
}

/* The owner of new files keeps his access whatever the guest's mask says; the rest of it is the kernel's business. */
static long set_umask(struct call *c)
{
	struct process *p = process_writable();
	long before = p->umask;

	p->umask = c->arg[0] & 0777;
	(void)SYS1(umask, p->umask & 077);
	return before;
}

long op_identity(struct call *c, const struct syscall_row *row)
{
	const struct process *p = process_current();
	long r;

	switch (c->nr) {
	case ARCH_ID_CALL(getuid):
		return p->creds.ruid;
	case ARCH_ID_CALL(geteuid):
		return p->creds.euid;
	case ARCH_ID_CALL(getgid):
		return p->creds.rgid;
	case ARCH_ID_CALL(getegid):
		return p->creds.egid;
	case ARCH_ID_CALL(getresuid):
		return get_three(c, p->creds.ruid, p->creds.euid, p->creds.suid);
	case ARCH_ID_CALL(getresgid):
		return get_three(c, p->creds.rgid, p->creds.egid, p->creds.sgid);
	default:
		break;
	}
	if (row->op == OP_GETGROUPS)
		return get_groups(c);
	if (row->op == OP_SETGROUPS)
		return set_groups(c);
	if (row->op == OP_CAPGET)
		return cap_get(c);
	if (row->op == OP_CAPSET)
		return cap_set(c);
	if (row->op == OP_UMASK)
		return set_umask(c);
	r = set_id(c, process_creds_begin());
	process_creds_end();
	return r;
}

/* A filter is checked as far as its caller can tell, and not installed: it would judge the engine's own calls. */
static long set_seccomp(bool strict, bool filter, const void *address)
{
	const struct creds *now = &process_current()->creds;
	struct process *p = process_writable();
	struct {
		uint16_t len;
		void *filter;
	} program;

	if (!strict && !filter)
		return -EINVAL;
	if (strict) {
		if (p->seccomp == SECCOMP_MODE_FILTER)
			return -EINVAL;
		p->seccomp = SECCOMP_MODE_STRICT;
		return 0;
	}
	if (!guest_readable(address, sizeof(program)))
		return -EFAULT;
	memcpy(&program, address, sizeof(program));
	if (!program.len || program.len > 4096)
		return -EINVAL;
	if (!now->no_new_privs && !creds_capable(now, CAP_SYS_ADMIN_NR))
		return -EACCES;
	if (!guest_readable(program.filter, program.len * 8ul))
		return -EFAULT;
	p->seccomp = SECCOMP_MODE_FILTER;
	return 0;
}

static long credential_prctl(const unsigned long *a)
{
	bool handled = false;
	long r = creds_prctl(process_creds_begin(), (long)a[0], a[1], a[2], a[3], a[4], &handled);

	process_creds_end();
	return r;
}

long op_prctl(struct call *c)
{
	const unsigned long *a = c->arg;

	switch (a[0]) {
	case PR_SET_SECCOMP:
		return set_seccomp(a[1] == SECCOMP_MODE_STRICT, a[1] == SECCOMP_MODE_FILTER, (void *)a[2]);
	case PR_GET_SECCOMP:
		return process_current()->seccomp;
	case PR_SET_SYSCALL_USER_DISPATCH:
		return -EINVAL; /* it would take our signal */
	case PR_SET_MM:
		if (a[1] == MM_EXE_FILE)
			return -EPERM;
		break;
	case PR_SET_NO_NEW_PRIVS:
	case PR_GET_NO_NEW_PRIVS:
		/* The engine needed it for its filter; the guest sees only what it asked for itself. */
		return credential_prctl(a);
	case PR_SET_KEEPCAPS:
	case PR_GET_KEEPCAPS:
	case PR_CAPBSET_READ:
	case PR_CAPBSET_DROP:
	case PR_CAP_AMBIENT:
	case PR_SET_SECUREBITS:
	case PR_GET_SECUREBITS:
		if (engine.pretend)
			return credential_prctl(a);
		break;
	default:
		break;
	}
	return SYS5(prctl, a[0], a[1], a[2], a[3], a[4]);
}

long op_seccomp(struct call *c)
{
	switch (c->arg[0]) {
	case SECCOMP_SET_MODE_STRICT:
		return c->arg[1] || c->arg[2] ? -EINVAL : set_seccomp(true, false, NULL);
	case SECCOMP_SET_MODE_FILTER:
		if (c->arg[1] & ~0x3ful)
			return -EINVAL;
		return c->arg[1] & SECCOMP_FILTER_FLAG_NEW_LISTENER ? -EBUSY
								    : set_seccomp(false, true, (void *)c->arg[2]);
	default:
		return SYS3(seccomp, c->arg[0], c->arg[1], c->arg[2]);
	}
}

long op_unshare(struct call *c)
{
	const unsigned long namespaces = CLONE_NEWNS | CLONE_NEWCGROUP | CLONE_NEWUTS | CLONE_NEWIPC | CLONE_NEWUSER |
					 CLONE_NEWPID | CLONE_NEWNET | CLONE_NEWTIME;

	return c->arg[0] & namespaces ? -EPERM : SYS1(unshare, c->arg[0]);
}

/* A process has one tracer. Inside trap strace seizes and works; a debugger waits for an exec and for breakpoints that
 * the loader does not give it. */
long op_ptrace(struct call *c)
{
	static int said;
	bool attaches = c->arg[0] == PTRACE_TRACEME || c->arg[0] == PTRACE_ATTACH;

	if (attaches || (front_end.traced && c->arg[0] == PTRACE_SEIZE)) {
		if (!__atomic_exchange_n(&said, 1, __ATOMIC_RELAXED))
			report("ptrace", NULL, -EPERM, front_end.no_tracer);
		return -EPERM;
	}
	return SYS4(ptrace, c->arg[0], c->arg[1], c->arg[2], c->arg[3]);
}
