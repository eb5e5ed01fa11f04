/* What files pretend: the calls that make files, change owners and modes. The real file keeps access for its real
 * owner and never carries set-id bits; the difference to what the guest asked for is in the fakedb. */
#include <linux/errno.h>

#include "calls.h"

#define CAP_CHOWN 0
#define CAP_FOWNER 3
#define CAP_FSETID 4
#define CAP_MKNOD 27

/* What a file is to the guest: what is recorded of it, over what the kernel says. Returns whether anything is recorded;
 * *ret_key and *ret_record are filled in any case but for a file that is not there (then ret_record->mode is 0). */
bool owner_record(int dirfd, const char *name, int flags, struct fakedb_key *ret_key, struct fakedb_record *ret_record)
{
	struct fakedb_record known = { 0 };
	struct statx stx;
	bool found;

	memset(ret_record, 0, sizeof(*ret_record));
	if (sys_statx(dirfd, name, flags, STATX_BASIC_STATS | STATX_BTIME, &stx) < 0)
		return false;
	fakedb_key_from_statx(ret_key, &stx);
	found = fakedb_get(&engine.db, ret_key, &known);
	ret_record->has = found ? known.has : 0;
	ret_record->uid = owner_shown(stx.stx_uid, engine.uid);
	ret_record->gid = owner_shown(stx.stx_gid, engine.gid);
	ret_record->mode = stx.stx_mode;
	ret_record->rdev_major = stx.stx_rdev_major;
	ret_record->rdev_minor = stx.stx_rdev_minor;
	if (!found)
		return false;
	if (known.has & FAKEDB_OWNER) {
		ret_record->uid = known.uid;
		ret_record->gid = known.gid;
	}
	if (known.has & FAKEDB_MODE)
		ret_record->mode = (ret_record->mode & S_IFMT) | (known.mode & 07777);
	if (known.has & FAKEDB_NODE) {
		ret_record->mode = (ret_record->mode & 07777) | (known.mode & S_IFMT);
		ret_record->rdev_major = known.rdev_major;
		ret_record->rdev_minor = known.rdev_minor;
	}
	return true;
}

/* Forgets what is known of a file that was just made: it is of another one that had the inode number. Before Linux 6.13
 * births are told apart by clock ticks, and a number can be used twice within one. `key` and `known` are what
 * owner_record() gave. */
static void forget_stranger(const struct fakedb_key *key, bool known)
{
	if (known)
		(void)fakedb_forget(&engine.db, key);
}

/* Remembers a file that was just made: `mode` is what it pretends (after the umask), `real_mode` what was asked of the
 * kernel (before it). */
void owner_created(const struct process *p, int dirfd, const char *name, int flags, uint32_t mode, uint32_t real_mode,
		   uint32_t parent_gid, bool directory)
{
	struct fakedb_record record = { .uid = p->creds.fsuid, .gid = p->creds.fsgid, .mode = mode & 07777 }, old;
	struct fakedb_key key;

	if (parent_gid != GID_UNCHANGED) {
		record.gid = parent_gid;
		if (directory)
			record.mode |= 02000;
	}

	if (record.uid || record.gid || (directory && engine.owners == OWNERS_REAL))
		record.has |= FAKEDB_OWNER;
	if ((record.mode & 07777) != (real_mode & 07777 & ~(p->umask & 077)))
		record.has |= FAKEDB_MODE;
	forget_stranger(&key, owner_record(dirfd, name, flags, &key, &old));
	if (!record.has || !old.mode)
		return;
	record.mode |= old.mode & S_IFMT;
	if (engine.owners)
		record.has |= FAKEDB_MODE;
	(void)fakedb_update(&engine.db, &key, &record);
}

bool owner_parent(int dirfd, const char *name, struct fakedb_key *ret_key, struct fakedb_record *ret_record)
{
	const char *last = name + strlen(name);
	char parent[512];
	size_t n;

	while (last > name && last[-1] == '/')
		last--;
	while (last > name && last[-1] != '/')
		last--;
	n = (size_t)(last - name);
	if (n + 2 > sizeof(parent))
		return false;
	memcpy(parent, name, n);
	if (!n)
		parent[n++] = '.';
	parent[n] = '\0';
	(void)owner_record(dirfd, parent, 0, ret_key, ret_record);
	return ret_record->mode;
}

/* The group that a set-group-id directory gives to what is made in it, or GID_UNCHANGED. `name` is that of the new
 * file. */
uint32_t owner_parent_gid(int dirfd, const char *name)
{
	struct fakedb_record record;
	struct fakedb_key key;

	return owner_parent(dirfd, name, &key, &record) && (record.mode & 02000) ? record.gid : GID_UNCHANGED;
}

long op_mkdir(struct call *c, const struct syscall_row *row)
{
	const struct process *p = process_current();
	const struct path_arg *arg = &row->path[0];
	uint32_t mode = (uint32_t)c->arg[arg->path + 1] & 01777, real_mode = mode;
	struct scratch *s = scratch_get();
	struct pin pin = { -1 };
	struct where w;
	long r = s ? path_resolve_pinned(p, s, c, arg, WANT_CREATE, &w, &pin) : -ENOMEM;

	if (r >= 0) {
		if (engine.pretend)
			real_mode = (mode & 0777) | 0700;
		r = SYS3(mkdirat, w.fd, w.name, real_mode);
		if (r >= 0 && engine.pretend)
			owner_created(p, w.fd, w.name, AT_SYMLINK_NOFOLLOW, mode & ~p->umask, real_mode,
				      owner_parent_gid(w.fd, w.name), true);
	}
	path_unpin(&pin);
	scratch_put(s);
	return r;
}

static uint32_t dev_major(unsigned long dev)
{
	return (uint32_t)((dev & 0xfff00) >> 8);
}

static uint32_t dev_minor(unsigned long dev)
{
	return (uint32_t)((dev & 0xff) | ((dev >> 12) & 0xfff00));
}

/* A device node becomes an empty file that nobody can open, which is how opening it is noticed. */
static long make_device(const struct process *p, const struct where *w, uint32_t mode, unsigned long dev)
{
	struct fakedb_record record = {
		.has = FAKEDB_OWNER | FAKEDB_MODE | FAKEDB_NODE,
		.uid = p->creds.fsuid,
		.gid = p->creds.fsgid,
		.mode = (mode & S_IFMT) | (mode & 07777 & ~p->umask),
		.rdev_major = dev_major(dev),
		.rdev_minor = dev_minor(dev),
	};
	struct fakedb_record old;
	struct fakedb_key key;
	long fd, r;

	if (!creds_capable(&p->creds, CAP_MKNOD))
		return -EPERM;
	fd = sys_openat(w->fd, w->name, O_CREAT | O_EXCL | O_WRONLY | O_CLOEXEC, 0);
	if (fd < 0)
		return fd;
	forget_stranger(&key, owner_record((int)fd, "", AT_EMPTY_PATH, &key, &old));
	(void)sys_close((int)fd);
	r = fakedb_update(&engine.db, &key, &record);
	if (r < 0)
		(void)SYS3(unlinkat, w->fd, w->name, 0);
	return r;
}

long op_mknod(struct call *c, const struct syscall_row *row)
{
	const struct process *p = process_current();
	const struct path_arg *arg = &row->path[0];
	const unsigned long *rest = &c->arg[arg->path + 1];
	uint32_t mode = (uint32_t)rest[0], type = mode & S_IFMT, real_mode = mode;
	struct scratch *s = scratch_get();
	struct pin pin = { -1 };
	struct where w;
	long r = s ? path_resolve_pinned(p, s, c, arg, WANT_CREATE, &w, &pin) : -ENOMEM;

	if (r < 0)
		goto out;
	if (engine.pretend && (type == S_IFCHR || type == S_IFBLK)) {
		r = make_device(p, &w, mode, rest[1]);
		goto out;
	}
	if (engine.pretend)
		real_mode = type | (mode & 0777) | 0600;
	r = SYS4(mknodat, w.fd, w.name, real_mode, rest[1]);
	if (r >= 0 && engine.pretend)
		owner_created(p, w.fd, w.name, AT_SYMLINK_NOFOLLOW, mode & 07777 & ~p->umask, real_mode,
			      owner_parent_gid(w.fd, w.name), false);
out:
	path_unpin(&pin);
	scratch_put(s);
	return r;
}

long op_symlink(struct call *c, const struct syscall_row *row)
{
	const struct process *p = process_current();
	struct scratch *s = scratch_get();
	struct pin pin = { -1 };
	struct where w;
	long r = s ? path_resolve_pinned(p, s, c, &row->path[0], WANT_CREATE, &w, &pin) : -ENOMEM;

	if (r >= 0) {
		r = SYS3(symlinkat, c->arg[0], w.fd, w.name);
		if (r >= 0 && engine.pretend)
			owner_created(p, w.fd, w.name, AT_SYMLINK_NOFOLLOW, 0777 & ~(p->umask & 077), 0777,
				      owner_parent_gid(w.fd, w.name), false);
	}
	path_unpin(&pin);
	scratch_put(s);
	return r;
}

/* Where unknown files are whose they are, the first change makes one root's: fakeroot's way. */
static bool adopt(struct fakedb_record *file)
{
	if (engine.owners != OWNERS_REAL || (file->has & FAKEDB_OWNER))
		return false;
	file->uid = file->gid = 0;
	return true;
}

static bool is_owner(const struct process *p, const struct fakedb_record *file)
{
	return p->creds.fsuid == file->uid || creds_capable(&p->creds, CAP_FOWNER);
}

long owner_chmod(const struct process *p, int fd, const char *name, int flags, uint32_t mode)
{
	struct fakedb_record file, record = { .has = FAKEDB_MODE };
	struct fakedb_key key;
	bool known = owner_record(fd, name, flags, &key, &file);
	bool adopted = adopt(&file);
	uint32_t type = file.mode & S_IFMT, real_mode;
	bool whole; /* the mode is remembered even where it is the disk's */
	long r = 0;

	if (!file.mode)
		return sys_statx(fd, name, flags, 0, &(struct statx){ 0 }); /* the error */
	if (!is_owner(p, &file))
		return -EPERM;
	mode &= 07777;
	/* Only a member of the group, or one with CAP_FSETID, keeps the set-group-id bit. */
	if (type != S_IFDIR && (mode & 02000) && !creds_in_group(&p->creds, file.gid) &&
	    !creds_capable(&p->creds, CAP_FSETID))
		mode &= ~02000u;
	real_mode = (mode & (type == S_IFDIR ? 01777 : 0777)) | (type == S_IFDIR ? 0700 : 0600);
	if (type == S_IFLNK)
		return -EOPNOTSUPP;
	if (!(file.has & FAKEDB_NODE)) {
		if (flags & AT_EMPTY_PATH)
			r = SYS2(fchmod, fd, real_mode);
		else
			r = SYS3(fchmodat, fd, name, real_mode);
		if (r < 0)
			return r;
	}
	record.mode = type | mode;
	if (adopted)
		record.has |= FAKEDB_OWNER;
	/* dpkg makes every file with mode 0 and changes it at last: what pretends nothing any more needs no record, and
	 * each stat of it no second look. */
	whole = (file.has & FAKEDB_NODE) || engine.owners;
	if (known && mode == real_mode && !whole)
		return fakedb_withdraw(&engine.db, &key, FAKEDB_MODE);
	if (mode != real_mode || (known && whole) || adopted)
		r = fakedb_update(&engine.db, &key, &record);
	return r;
}

long op_chmod(struct call *c, const struct syscall_row *row)
{
	const struct process *p = process_current();
	const struct path_arg *arg = &row->path[0];
	uint32_t mode = (uint32_t)c->arg[arg->path + 1];
	unsigned long flags = arg->rule == RULE_NOFOLLOW_IF ? c->arg[arg->flag] : 0;
	struct pin pin = { -1 };
	struct scratch *s;
	struct where w;
	long r;

	if (flags & ~(unsigned long)(AT_SYMLINK_NOFOLLOW | AT_EMPTY_PATH))
		return -EINVAL;
	s = scratch_get();
	r = s ? path_resolve_pinned(p, s, c, arg, WANT_WRITE, &w, &pin) : -ENOMEM;
	if (r >= 0) {
		bool empty = (flags & AT_EMPTY_PATH) && !w.name[0];
		int at = empty ? AT_EMPTY_PATH : w.magic ? 0 : AT_SYMLINK_NOFOLLOW;

		if (engine.pretend)
			r = owner_chmod(p, w.fd, w.name, at, mode);
		else if (flags)
			r = SYS4(fchmodat2, w.fd, w.name, mode, flags);
		else
			r = SYS3(fchmodat, w.fd, w.name, mode);
	}
	path_unpin(&pin);
	scratch_put(s);
	return r;
}

long op_fchmod(struct call *c)
{
	struct stat st;
	int fd = (int)c->arg[0];
	/* fchmod refuses O_PATH descriptors, which statx would take. */
	long r = sys_fcntl(fd, F_GETFL, 0);

	if (r < 0 || (r & O_PATH) || sys_fstat(fd, &st) < 0)
		return -EBADF;
	return owner_chmod(process_current(), fd, "", AT_EMPTY_PATH, (uint32_t)c->arg[1]);
}

/* chown(2): the ids are pretended, ids of -1 stay. What is real is a change to no ids, which sets the time of change
 * and is refused on a read-only file system. Its other errors say nothing of the pretence: nodes forbid the call
 * itself. */
static long change_owner(const struct process *p, int fd, const char *name, int flags, uint32_t uid, uint32_t gid)
{
	struct fakedb_record file, record = { .has = FAKEDB_OWNER };
	struct fakedb_key key;
	uint32_t mode;
	long r;
	bool privileged = creds_capable(&p->creds, CAP_CHOWN);

	(void)owner_record(fd, name, flags, &key, &file);
	if (!file.mode)
		return sys_statx(fd, name, flags, 0, &(struct statx){ 0 });
	(void)adopt(&file);
	if (!privileged) {
		if (p->creds.fsuid != file.uid && (uid != ~0u || gid != ~0u))
			return -EPERM;
		if (uid != ~0u && uid != file.uid)
			return -EPERM;
		if (gid != ~0u && gid != file.gid && !creds_in_group(&p->creds, gid))
			return -EPERM;
	}
	record.uid = uid == ~0u ? file.uid : uid;
	record.gid = gid == ~0u ? file.gid : gid;
	/* Set-id bits go, as in the kernel's setattr_should_drop_sgid(). */
	mode = file.mode & 07777;
	if ((file.mode & S_IFMT) != S_IFDIR && (mode & 06000)) {
		mode &= ~04000u;
		if (mode & 010)
			mode &= ~02000u;
		if (mode != (file.mode & 07777))
			record.has |= FAKEDB_MODE;
	}
	record.mode = (file.mode & S_IFMT) | mode;
	if (engine.owners)
		record.has |= FAKEDB_MODE;
	r = SYS5(fchownat, fd, name, -1, -1, flags);
	if (r == -EROFS)
		return r;
	if (!(file.has & FAKEDB_OWNER) && record.uid == file.uid && record.gid == file.gid &&
	    !(record.has & FAKEDB_MODE))
		return 0;
	/* Capabilities of a file do not survive a new owner either. */
	if (file.has & FAKEDB_XATTR)
		(void)fakedb_removexattr(&engine.db, &key, "security.capability");
	return fakedb_update(&engine.db, &key, &record);
}

long op_chown(struct call *c, const struct syscall_row *row)
{
	const struct process *p = process_current();
	const struct path_arg *arg = &row->path[0];
	const unsigned long *rest = &c->arg[arg->path + 1];
	unsigned long flags = arg->rule == RULE_NOFOLLOW_IF ? c->arg[arg->flag] : 0;
	struct pin pin = { -1 };
	struct scratch *s;
	struct where w;
	long r;

	if (flags & ~(unsigned long)(AT_SYMLINK_NOFOLLOW | AT_EMPTY_PATH))
		return -EINVAL;
	s = scratch_get();
	r = s ? path_resolve_pinned(p, s, c, arg, WANT_WRITE, &w, &pin) : -ENOMEM;
	if (r >= 0) {
		bool empty = (flags & AT_EMPTY_PATH) && !w.name[0];
		int at = empty ? AT_EMPTY_PATH : w.magic ? 0 : AT_SYMLINK_NOFOLLOW;

		if (engine.pretend)
			r = change_owner(p, w.fd, w.name, at, (uint32_t)rest[0], (uint32_t)rest[1]);
		else
			r = SYS5(fchownat, w.fd, w.name, rest[0], rest[1], at);
	}
	path_unpin(&pin);
	scratch_put(s);
	return r;
}

long op_fchown(struct call *c)
{
	long r = sys_fcntl((int)c->arg[0], F_GETFL, 0);

	if (r < 0 || (r & O_PATH))
		return -EBADF;
	return change_owner(process_current(), (int)c->arg[0], "", AT_EMPTY_PATH, (uint32_t)c->arg[1],
			    (uint32_t)c->arg[2]);
}
