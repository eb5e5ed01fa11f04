/* i386: calls from before its kernel had 32-bit ids, 64-bit sizes and a number for each socket call. Each is answered
 * as the later call that does the same. */
#include <linux/errno.h>
#include <linux/net.h>

#include "calls.h"

#define ID_UNCHANGED 0xffff
#define ID_OVERFLOW 65534 /* what stands for an id that does not fit */

static uint16_t narrow_id(uint32_t id)
{
	return (uint16_t)(id > 0xffff ? ID_OVERFLOW : id);
}

static unsigned long widen_id(unsigned long id)
{
	return (id & 0xffff) == ID_UNCHANGED ? ~0ul : id & 0xffff;
}

static long as(struct call *c, long nr)
{
	c->nr = nr;
	return dispatch(c);
}

/* Calls with ids in the arguments from `first` on. */
static long with_ids(struct call *c, long nr, unsigned first)
{
	for (unsigned i = first; i < 3; i++)
		c->arg[i] = widen_id(c->arg[i]);
	return as(c, nr);
}

static long returning_id(struct call *c, long nr)
{
	long r = as(c, nr);

	return r < 0 ? r : narrow_id((uint32_t)r);
}

static long three_ids(struct call *c, long nr)
{
	uint32_t wide[3];
	uint16_t *narrow[3];
	long r;

	for (unsigned i = 0; i < 3; i++) {
		narrow[i] = (uint16_t *)c->arg[i];
		c->arg[i] = (unsigned long)&wide[i];
	}
	r = as(c, nr);
	for (unsigned i = 0; r >= 0 && i < 3; i++) {
		if (!guest_writable(narrow[i], sizeof(*narrow[i])))
			return -EFAULT;
		*narrow[i] = narrow_id(wide[i]);
	}
	return r;
}

static long get_groups(struct call *c)
{
	uint16_t *list = (uint16_t *)c->arg[1];
	int room = (int)c->arg[0];
	uint32_t wide[CREDS_GROUPS_MAX];
	long n;

	if (room > CREDS_GROUPS_MAX)
		c->arg[0] = CREDS_GROUPS_MAX;
	c->arg[1] = (unsigned long)wide;
	n = as(c, __NR_getgroups32);
	if (n <= 0 || !room)
		return n;
	if (!guest_writable(list, (size_t)n * sizeof(*list)))
		return -EFAULT;
	for (long i = 0; i < n; i++)
		list[i] = narrow_id(wide[i]);
	return n;
}

static long set_groups(struct call *c)
{
	const uint16_t *list = (const uint16_t *)c->arg[1];
	uint32_t wide[CREDS_GROUPS_MAX];

	if (c->arg[0] > CREDS_GROUPS_MAX)
		return -EINVAL;
	if (!guest_readable(list, c->arg[0] * sizeof(*list)))
		return -EFAULT;
	for (unsigned long i = 0; i < c->arg[0]; i++)
		wide[i] = (uint32_t)widen_id(list[i]);
	c->arg[1] = (unsigned long)wide;
	return as(c, __NR_setgroups32);
}

/* stat(2) and its like of before Linux 2.4: what does not fit is EOVERFLOW. */
static long narrow_stat(struct call *c, long nr)
{
	struct stat32 *out = (struct stat32 *)c->arg[1], narrow = { 0 };
	struct stat st;
	long r;

	c->arg[1] = (unsigned long)&st;
	r = as(c, nr);
	if (r < 0)
		return r;
	if (st.st_dev > 0xffff || st.st_rdev > 0xffff || st.st_nlink > 0xffff || st.st_size > 0x7fffffff ||
	    st.st_ino > 0xffffffff)
		return -EOVERFLOW;
	if (!guest_writable(out, sizeof(*out)))
		return -EFAULT;
	narrow.st_dev = (unsigned long)st.st_dev;
	narrow.st_ino = (unsigned long)st.st_ino;
	narrow.st_mode = (unsigned short)st.st_mode;
	narrow.st_nlink = (unsigned short)st.st_nlink;
	narrow.st_uid = narrow_id((uint32_t)st.st_uid);
	narrow.st_gid = narrow_id((uint32_t)st.st_gid);
	narrow.st_rdev = (unsigned long)st.st_rdev;
	narrow.st_size = (unsigned long)st.st_size;
	narrow.st_blksize = st.st_blksize;
	narrow.st_blocks = (unsigned long)st.st_blocks;
	narrow.st_atime = (unsigned long)st.st_atime;
	narrow.st_atime_nsec = st.st_atime_nsec;
	narrow.st_mtime = (unsigned long)st.st_mtime;
	narrow.st_mtime_nsec = st.st_mtime_nsec;
	narrow.st_ctime = (unsigned long)st.st_ctime;
	narrow.st_ctime_nsec = st.st_ctime_nsec;
	*out = narrow;
	return r;
}

/* socketcall(2): the arguments lie in memory. send and recv are sendto and recvfrom without an address, accept is
 * accept4 without flags: the arguments that are not given are 0. */
static long socket_call(struct call *c)
{
	static const struct {
		uint16_t nr;
		uint8_t arguments;
	} calls[] = {
		[SYS_SOCKET] = { __NR_socket, 3 },	     [SYS_BIND] = { __NR_bind, 3 },
		[SYS_CONNECT] = { __NR_connect, 3 },	     [SYS_LISTEN] = { __NR_listen, 2 },
		[SYS_ACCEPT] = { __NR_accept4, 3 },	     [SYS_GETSOCKNAME] = { __NR_getsockname, 3 },
		[SYS_GETPEERNAME] = { __NR_getpeername, 3 }, [SYS_SOCKETPAIR] = { __NR_socketpair, 4 },
		[SYS_SEND] = { __NR_sendto, 4 },	     [SYS_RECV] = { __NR_recvfrom, 4 },
		[SYS_SENDTO] = { __NR_sendto, 6 },	     [SYS_RECVFROM] = { __NR_recvfrom, 6 },
		[SYS_SHUTDOWN] = { __NR_shutdown, 2 },	     [SYS_SETSOCKOPT] = { __NR_setsockopt, 5 },
		[SYS_GETSOCKOPT] = { __NR_getsockopt, 5 },   [SYS_SENDMSG] = { __NR_sendmsg, 3 },
		[SYS_RECVMSG] = { __NR_recvmsg, 3 },	     [SYS_ACCEPT4] = { __NR_accept4, 4 },
		[SYS_RECVMMSG] = { __NR_recvmmsg, 5 },	     [SYS_SENDMMSG] = { __NR_sendmmsg, 4 },
	};
	unsigned long which = c->arg[0];
	const void *given = (const void *)c->arg[1];
	size_t size;

	if (which < SYS_SOCKET || which >= sizeof(calls) / sizeof(calls[0]))
		return -EINVAL;
	size = calls[which].arguments * sizeof(c->arg[0]);
	if (!guest_readable(given, size))
		return -EFAULT;
	memset(c->arg, 0, sizeof(c->arg));
	memcpy(c->arg, given, size);
	return as(c, calls[which].nr);
}

static long answer(struct call *c)
{
	switch (c->nr) {
	case __NR_socketcall: return socket_call(c);
	case __NR_stat: return narrow_stat(c, __NR_stat64);
	case __NR_lstat: return narrow_stat(c, __NR_lstat64);
	case __NR_fstat: return narrow_stat(c, __NR_fstat64);
	case __NR_chown: return with_ids(c, __NR_chown32, 1);
	case __NR_lchown: return with_ids(c, __NR_lchown32, 1);
	case __NR_fchown: return with_ids(c, __NR_fchown32, 1);
	case __NR_getuid: return returning_id(c, __NR_getuid32);
	case __NR_geteuid: return returning_id(c, __NR_geteuid32);
	case __NR_getgid: return returning_id(c, __NR_getgid32);
	case __NR_getegid: return returning_id(c, __NR_getegid32);
	case __NR_getresuid: return three_ids(c, __NR_getresuid32);
	case __NR_getresgid: return three_ids(c, __NR_getresgid32);
	case __NR_setuid: return with_ids(c, __NR_setuid32, 0);
	case __NR_setgid: return with_ids(c, __NR_setgid32, 0);
	case __NR_setreuid: return with_ids(c, __NR_setreuid32, 0);
	case __NR_setregid: return with_ids(c, __NR_setregid32, 0);
	case __NR_setresuid: return with_ids(c, __NR_setresuid32, 0);
	case __NR_setresgid: return with_ids(c, __NR_setresgid32, 0);
	case __NR_setfsuid: return with_ids(c, __NR_setfsuid32, 0);
	case __NR_setfsgid: return with_ids(c, __NR_setfsgid32, 0);
	case __NR_getgroups: return get_groups(c);
	case __NR_setgroups: return set_groups(c);
	default: return dispatch(c);
	}
}

/* See calls.h. */
long narrow_dispatch(struct call *c)
{
	struct call copy = *c; /* the registers of *c are the guest's, which no call changes */
	long r = answer(&copy);

	c->ip = copy.ip;
	return r;
}
