/* Extended attributes. user.* are the real file's; security.*, trusted.* and POSIX ACLs, which an ordinary user
 * cannot set or would lock himself out with, are remembered in the fakedb. xattr(7). */
#include <linux/errno.h>
#include <linux/limits.h>
#include <linux/xattr.h>

#include "calls.h"

#define CAP_SYS_ADMIN 21
#define CAP_SETFCAP 31

static bool is_list(const char *name)
{
	return str_eq(name, ACL_ACCESS) || str_eq(name, ACL_DEFAULT);
}

static bool is_trusted(const char *name)
{
	return str_has_prefix(name, "trusted.", 8);
}

static bool remembered(const char *name)
{
	return str_has_prefix(name, "security.", 9) || is_trusted(name) || is_list(name);
}

/* Whether file systems have such names: others are refused, but after the permissions are looked at. */
static bool is_known(const char *name)
{
	return str_has_prefix(name, "user.", 5) || str_has_prefix(name, "system.", 7);
}

/* What the four calls have in common: by path (following or not) or by descriptor. */
struct xattr_call {
	unsigned op; /* enum syscall_op */
	bool by_fd, nofollow;
	int fd;
	const char *path; /* usable by the call itself */
	unsigned long name, value, size, flags;
};

static long real_call(const struct xattr_call *x)
{
	static const long by_path[] = { __NR_setxattr, __NR_getxattr, __NR_listxattr, __NR_removexattr };
	unsigned i = x->op - OP_SETXATTR;
	/* set, lset, fset are numbered one after the other, and so are the rest. */
	long nr = by_path[i] + (x->by_fd ? 2 : x->nofollow ? 1 : 0);
	unsigned long target = x->by_fd ? (unsigned long)x->fd : (unsigned long)x->path;

	if (x->op == OP_LISTXATTR)
		return arch_syscall3(nr, (long)target, (long)x->value, (long)x->size);
	return arch_syscall6(nr, (long)target, (long)x->name, (long)x->value, (long)x->size, (long)x->flags, 0);
}

/* Whether the process may look at an attribute or change it: xattr_permission() and cap_inode_setxattr(). */
static long permission(const struct process *p, const struct fakedb_key *key, const struct fakedb_record *file,
		       const char *name, bool change)
{
	uint32_t type = file->mode & S_IFMT;

	if (is_trusted(name))
		return creds_capable(&p->creds, CAP_SYS_ADMIN) ? 0 : change ? -EPERM : -ENODATA;
	if (str_eq(name, "security.capability"))
		return !change || creds_capable(&p->creds, CAP_SETFCAP) ? 0 : -EPERM;
	if (str_has_prefix(name, "security.", 9))
		return !change || creds_capable(&p->creds, CAP_SYS_ADMIN) ? 0 : -EPERM;
	if (str_has_prefix(name, "system.", 7))
		return 0;
	if (str_has_prefix(name, "user.", 5)) {
		if (type != S_IFREG && type != S_IFDIR)
			return change ? -EPERM : -ENODATA;
		if (change && type == S_IFDIR && (file->mode & 01000) && !access_is_owner(p, file))
			return -EPERM;
	}
	return access_record(p, ACCESS_AS_EFFECTIVE, key, file, change ? ACCESS_WRITE : ACCESS_READ);
}

/* The names that are remembered, in `list`; those of trusted.* are not for all. Returns their size or -errno. */
static long list_remembered(const struct process *p, const struct fakedb_key *key, char *list, size_t size)
{
	long n = fakedb_listxattr(&engine.db, key, list, size);
	char *to = list;

	if (n <= 0 || creds_capable(&p->creds, CAP_SYS_ADMIN))
		return n;
	for (const char *from = list; from < list + n;) {
		size_t length = strlen(from) + 1;

		if (!is_trusted(from)) {
			memmove(to, from, length);
			to += length;
		}
		from += length;
	}
	return to - list;
}

static long pretended_list(const struct process *p, const struct xattr_call *x, const struct fakedb_key *key,
			   struct scratch *s)
{
	struct xattr_call real = *x;
	long mine = list_remembered(p, key, s->pending, sizeof(s->pending)), r;

	if (mine <= 0)
		return real_call(x);
	if (!x->size) {
		r = real_call(x);
		return r < 0 && r != -EOPNOTSUPP ? r : (r < 0 ? 0 : r) + mine;
	}
	if ((unsigned long)mine > x->size)
		return -ERANGE;
	real.size = x->size - (unsigned long)mine;
	r = 0;
	if (real.size)
		r = real_call(&real);
	else if (real_call(&real) > 0)
		r = -ERANGE;
	if (r == -EOPNOTSUPP)
		r = 0;
	if (r < 0)
		return r;
	if (!guest_writable((char *)x->value + r, (size_t)mine))
		return -EFAULT;
	memcpy((char *)x->value + r, s->pending, (size_t)mine);
	return r + mine;
}

static int at_flags(const struct xattr_call *x)
{
	return x->by_fd ? AT_EMPTY_PATH : x->nofollow ? AT_SYMLINK_NOFOLLOW : 0;
}

static int at_fd(const struct xattr_call *x)
{
	return x->by_fd ? x->fd : AT_FDCWD;
}

static const char *at_name(const struct xattr_call *x)
{
	return x->by_fd ? "" : x->path;
}

/* What is not remembered: a change of a shared file needs a copy. */
static long real_or_own(const struct process *p, const struct xattr_call *x)
{
	long r = 0;

	if (x->op == OP_SETXATTR || x->op == OP_REMOVEXATTR)
		r = shared_part(p, at_fd(x), at_name(x), at_flags(x), true);
	return r < 0 ? r : real_call(x);
}

static long set_list(const struct process *p, const struct xattr_call *x)
{
	struct fakedb_key key;
	struct acl acl = { 0 };
	long r = x->op == OP_SETXATTR ? acl_decode(&acl, (const void *)x->value, x->size) : 0;

	if (r >= 0)
		r = owner_settle(at_fd(x), at_name(x), at_flags(x), &key);
	return r < 0 ? r : owner_set_list(p, at_fd(x), at_name(x), at_flags(x), (const char *)x->name, &acl);
}

static long set_remembered(const struct xattr_call *x, const struct fakedb_key *key)
{
	const char *name = (const char *)x->name;

	if (str_eq(name, "security.capability") &&
	    creds_parse_file_caps((void *)x->value, x->size, &(struct creds_file){ 0 }) < 0)
		return -EINVAL;
	return fakedb_setxattr(&engine.db, key, name, (void *)x->value, x->size, (int)x->flags);
}

/* What is not remembered may still be there; but the real user could not change it. */
static long remove_remembered(const struct xattr_call *x, const struct fakedb_key *key)
{
	struct xattr_call real = *x;
	long r = fakedb_removexattr(&engine.db, key, (const char *)x->name);

	real.op = OP_GETXATTR;
	real.value = real.size = 0;
	return r == -ENODATA && real_call(&real) >= 0 ? real_call(x) : r;
}

static long get_remembered(const struct xattr_call *x, const struct fakedb_key *key)
{
	long r;

	if (!guest_writable((void *)x->value, x->size))
		return -EFAULT;
	r = fakedb_getxattr(&engine.db, key, (const char *)x->name, (void *)x->value, x->size);
	return r == -ENODATA ? real_call(x) : r;
}

static long pretended_call(const struct process *p, const struct xattr_call *x, struct scratch *s)
{
	const char *name = (const char *)x->name;
	bool change = x->op == OP_SETXATTR || x->op == OP_REMOVEXATTR;
	struct fakedb_record file;
	struct fakedb_key key;
	long r;

	(void)owner_record(at_fd(x), at_name(x), at_flags(x), &key, &file);
	if (!file.mode)
		return real_call(x); /* it has the error */
	if (x->op == OP_LISTXATTR)
		return pretended_list(p, x, &key, s);
	if (change && is_list(name))
		return set_list(p, x);
	r = change && remembered(name) ? owner_settle(at_fd(x), at_name(x), at_flags(x), &key) : 0;
	if (r >= 0 && change && access_restricted(p, ACCESS_AS_EFFECTIVE) && access_is_read_only(at_fd(x), at_name(x)))
		r = -EROFS;
	if (r >= 0)
		r = permission(p, &key, &file, name, change);
	if (r < 0)
		return r;
	if (!remembered(name))
		return is_known(name) ? real_or_own(p, x) : -EOPNOTSUPP;
	switch (x->op) {
	case OP_SETXATTR: return set_remembered(x, &key);
	case OP_REMOVEXATTR: return remove_remembered(x, &key);
	default: return get_remembered(x, &key);
	}
}

/* What is wrong with the arguments whatever file it is: these errors come first. */
static long check_arguments(const struct xattr_call *x)
{
	long n;

	if (x->op == OP_LISTXATTR)
		return 0;
	if (x->op == OP_SETXATTR && (x->flags & ~(unsigned long)(XATTR_CREATE | XATTR_REPLACE)))
		return -EINVAL;
	n = guest_strlen((const char *)x->name);
	if (n == -EFAULT)
		return n;
	if (n <= 0 || n > XATTR_NAME_MAX)
		return -ERANGE;
	if (x->op != OP_SETXATTR)
		return 0;
	if (x->size > XATTR_SIZE_MAX)
		return -E2BIG;
	return guest_readable((void *)x->value, x->size) ? 0 : -EFAULT;
}

long op_xattr(struct call *c, const struct syscall_row *row)
{
	const struct process *p = process_current();
	const struct path_arg *arg = &row->path[0];
	bool changes = row->op == OP_SETXATTR || row->op == OP_REMOVEXATTR;
	struct pin pin = { -1 };
	struct xattr_call x = { .op = row->op,
				.by_fd = arg->rule == RULE_NONE,
				.nofollow = arg->rule == RULE_NOFOLLOW };
	struct scratch *s = scratch_get();
	struct where w;
	long r = 0;

	if (!s)
		return -ENOMEM;
	if (row->op == OP_LISTXATTR) {
		x.value = c->arg[1];
		x.size = c->arg[2];
	} else {
		x.name = c->arg[1];
		x.value = c->arg[2];
		x.size = c->arg[3];
		x.flags = c->arg[4];
	}
	r = check_arguments(&x);
	if (r >= 0 && x.by_fd) {
		x.fd = (int)c->arg[0];
		r = sys_fcntl(x.fd, F_GETFL, 0);
		r = r < 0 || (r & O_PATH) ? -EBADF : 0;
	} else if (r >= 0) {
		r = guest_strlen((char *)c->arg[arg->path]);
		if (r >= 0 && changes) {
			r = path_hold(p, s, AT_FDCWD, (char *)c->arg[arg->path], WANT_WRITE | path_want(c, arg),
				      &x.path, &pin);
		} else if (r >= 0) {
			r = path_resolve(p, s, c, arg, WANT_STRING, &w);
			x.path = w.name;
		}
	}
	if (r >= 0) {
		/* pretended_list() needs s->pending, which the name of a call that only looks never lies in. */
		r = engine.pretend ? pretended_call(p, &x, s) : real_or_own(p, &x);
	}
	path_unpin(&pin);
	scratch_put(s);
	return r;
}
