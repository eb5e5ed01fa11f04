/* Extended attributes. user.* are the real file's; security.*, trusted.* and POSIX ACLs, which an ordinary user
 * cannot set or would lock himself out with, are remembered in the fakedb. xattr(7). */
#include <linux/errno.h>
#include <linux/limits.h>

#include "calls.h"

#define CAP_SYS_ADMIN 21
#define CAP_SETFCAP 31
#define CAP_FOWNER 3

#define ACL_ACCESS "system.posix_acl_access"
#define ACL_VERSION 2 /* POSIX_ACL_XATTR_VERSION of linux/posix_acl_xattr.h, whose structs these are */

struct acl_entry {
	uint16_t tag, perm;
	uint32_t id;
};

enum acl_tag {
	ACL_USER_OBJ = 0x01,
	ACL_GROUP_OBJ = 0x04,
	ACL_MASK = 0x10,
	ACL_OTHER = 0x20,
};

static bool remembered(const char *name)
{
	return str_has_prefix(name, "security.", 9) || str_has_prefix(name, "trusted.", 8) ||
	       str_has_prefix(name, "system.posix_acl_", 17);
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

/* The permission bits that an access ACL gives its file, as the kernel's posix_acl_equiv_mode(). Returns 1 when the ACL
 * says no more than they do, 0 when it does, or -EINVAL. */
static int acl_mode(const char *value, size_t size, uint32_t *ret_mode)
{
	bool equivalent = true;
	uint32_t version, mode = 0, group = 0;

	if (size < sizeof(version) || (size - sizeof(version)) % sizeof(struct acl_entry))
		return -EINVAL;
	memcpy(&version, value, sizeof(version));
	if (version != ACL_VERSION)
		return -EINVAL;
	for (size_t at = sizeof(version); at < size; at += sizeof(struct acl_entry)) {
		struct acl_entry e;

		memcpy(&e, value + at, sizeof(e));
		if (e.perm > 7)
			return -EINVAL;
		if (e.tag == ACL_USER_OBJ)
			mode |= (uint32_t)e.perm << 6;
		else if (e.tag == ACL_GROUP_OBJ)
			group |= equivalent ? (uint32_t)e.perm << 3 : 0;
		else if (e.tag == ACL_OTHER)
			mode |= e.perm;
		else
			equivalent = false;
		/* The mask comes behind all groups, and takes the place of the group's bits. */
		if (e.tag == ACL_MASK)
			group = (uint32_t)e.perm << 3;
	}
	*ret_mode = mode | group;
	return equivalent;
}

static long may_change(const struct process *p, const struct fakedb_record *file, const char *name)
{
	if (str_has_prefix(name, "trusted.", 8))
		return creds_capable(&p->creds, CAP_SYS_ADMIN) ? 0 : -EPERM;
	if (str_eq(name, "security.capability"))
		return creds_capable(&p->creds, CAP_SETFCAP) ? 0 : -EPERM;
	if (str_has_prefix(name, "security.", 9))
		return creds_capable(&p->creds, CAP_SYS_ADMIN) ? 0 : -EPERM;
	return p->creds.fsuid == file->uid || creds_capable(&p->creds, CAP_FOWNER) ? 0 : -EPERM;
}

static long pretended_list(const struct xattr_call *x, const struct fakedb_key *key, struct scratch *s)
{
	struct xattr_call real = *x;
	long mine = fakedb_listxattr(&engine.db, key, s->pending, sizeof(s->pending)), r;

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

/* -EROFS where the file system is read-only, else 0: removes an attribute that no file has. The kernel looks at the
 * mount first. */
static long may_write(const struct xattr_call *x)
{
	struct xattr_call real = *x;

	real.op = OP_REMOVEXATTR;
	real.name = (unsigned long)"user.udockpy.none";
	return real_call(&real) == -EROFS ? -EROFS : 0;
}

static long forget(const struct fakedb_key *key, const char *name)
{
	long r = fakedb_removexattr(&engine.db, key, name);

	return r == -ENODATA ? 0 : r;
}

static long set(const struct process *p, const struct xattr_call *x, const struct fakedb_key *key,
		const struct fakedb_record *file)
{
	const char *name = (const char *)x->name, *value = (const char *)x->value;
	int flags = x->by_fd ? AT_EMPTY_PATH : x->nofollow ? AT_SYMLINK_NOFOLLOW : 0;
	uint32_t mode;
	long r = may_change(p, file, name);

	if (r < 0)
		return r;
	if (x->size > XATTR_SIZE_MAX)
		return -E2BIG;
	if (!guest_readable(value, x->size))
		return -EFAULT;
	if (str_eq(name, "security.capability") &&
	    creds_parse_file_caps(value, x->size, &(struct creds_file){ 0 }) < 0)
		return -EINVAL;
	r = may_write(x);
	if (r < 0)
		return r;
	if (str_eq(name, ACL_ACCESS) && x->size > sizeof(uint32_t)) {
		int equivalent = acl_mode(value, x->size, &mode);

		if (equivalent < 0)
			return equivalent;
		r = owner_chmod(p, x->by_fd ? x->fd : AT_FDCWD, x->by_fd ? "" : x->path, flags,
				(file->mode & 07000) | mode);
		if (r < 0)
			return r;
		/* What cp(1) sets to copy a mode is no ACL to keep. */
		if (equivalent)
			return file->has & FAKEDB_XATTR ? forget(key, name) : 0;
	}
	return fakedb_setxattr(&engine.db, key, name, value, x->size, (int)x->flags);
}

static long pretended_call(const struct process *p, const struct xattr_call *x, struct scratch *s)
{
	int flags = x->by_fd ? AT_EMPTY_PATH : x->nofollow ? AT_SYMLINK_NOFOLLOW : 0;
	const char *name = (const char *)x->name;
	struct fakedb_record file;
	struct fakedb_key key;
	long n, r;

	if (x->op != OP_LISTXATTR) {
		n = guest_strlen(name);
		if (n < 0)
			return n == -ENAMETOOLONG ? -ERANGE : n;
		if (!n || n > XATTR_NAME_MAX)
			return -ERANGE;
		if (!remembered(name))
			return real_call(x);
	}
	(void)owner_record(x->by_fd ? x->fd : AT_FDCWD, x->by_fd ? "" : x->path, flags, &key, &file);
	if (!file.mode)
		return real_call(x); /* it has the error */
	switch (x->op) {
	case OP_SETXATTR:
		return set(p, x, &key, &file);
	case OP_GETXATTR:
		if (str_has_prefix(name, "trusted.", 8) && !creds_capable(&p->creds, CAP_SYS_ADMIN))
			return -ENODATA;
		if (!guest_writable((void *)x->value, x->size))
			return -EFAULT;
		r = fakedb_getxattr(&engine.db, &key, name, (void *)x->value, x->size);
		return r == -ENODATA ? real_call(x) : r;
	case OP_REMOVEXATTR:
		r = may_change(p, &file, name);
		if (r < 0)
			return r;
		r = may_write(x);
		if (r < 0)
			return r;
		r = fakedb_removexattr(&engine.db, &key, name);
		return r == -ENODATA ? real_call(x) : r;
	default:
		return pretended_list(x, &key, s);
	}
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
	if (x.by_fd) {
		x.fd = (int)c->arg[0];
	} else {
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
		r = engine.pretend ? pretended_call(p, &x, s) : real_call(&x);
	}
	path_unpin(&pin);
	scratch_put(s);
	return r;
}
