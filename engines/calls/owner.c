/* What files pretend: the calls that make files, change owners and modes. The real file keeps access for its real
 * owner and never carries set-id bits; the difference to what the guest asked for is in the fakedb. */
#include <linux/errno.h>

#include "calls.h"

#define CAP_CHOWN 0
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
	ret_record->mode = own_mode(stx.stx_mode);
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

/* Whether somebody with these credentials may leave the set-group-id bit on a file of this group. */
static bool keeps_set_gid(const struct process *p, uint32_t gid)
{
	return creds_in_group(&p->creds, gid) || creds_capable(&p->creds, CAP_FSETID);
}

/* Copies the name of the directory that `name` is in to memory of the caller's. */
#define PARENT_OF(name)                                                                   \
	({                                                                                \
		size_t parent_n = parent_length(name);                                    \
		char *parent_name = memcpy(__builtin_alloca(parent_n + 2), name, parent_n); \
		if (!parent_n)                                                            \
			parent_name[parent_n++] = '.';                                    \
		parent_name[parent_n] = '\0';                                             \
		parent_name;                                                              \
	})

static size_t parent_length(const char *name)
{
	size_t n = strlen(name);

	while (n && name[n - 1] == '/')
		n--;
	while (n && name[n - 1] != '/')
		n--;
	return n;
}

long owner_open_parent(int dirfd, const char *name)
{
	return sys_openat(dirfd, PARENT_OF(name), O_PATH | O_DIRECTORY | O_CLOEXEC, 0);
}

bool owner_parent(int dirfd, const char *name, struct fakedb_key *ret_key, struct fakedb_record *ret_record)
{
	(void)owner_record(dirfd, PARENT_OF(name), 0, ret_key, ret_record);
	return ret_record->mode;
}

static void heritage_from(const struct fakedb_record *parent, struct heritage *ret_heritage)
{
	ret_heritage->gid = parent->mode & 02000 ? parent->gid : GID_UNCHANGED;
	ret_heritage->acl = parent->has & FAKEDB_XATTR;
}

void owner_heritage(int dirfd, const char *name, struct heritage *ret_heritage)
{
	struct fakedb_record parent;

	(void)owner_parent(dirfd, name, &ret_heritage->parent, &parent);
	heritage_from(&parent, ret_heritage);
}

void owner_heritage_in(int dirfd, const char *directory, struct heritage *ret_heritage)
{
	struct fakedb_record parent;

	(void)owner_record(dirfd, directory, 0, &ret_heritage->parent, &parent);
	heritage_from(&parent, ret_heritage);
}

/* The lists of a new file, by the default one of its directory. Returns its permission bits: `mode` was asked for. */
static uint32_t inherit_lists(const struct process *p, const struct heritage *from, const struct fakedb_key *key,
			      uint32_t mode)
{
	struct acl acl;
	bool extended;

	if (!from->acl || !acl_recall(&from->parent, ACL_DEFAULT, &acl))
		return mode & ~p->umask;
	if ((mode & S_IFMT) == S_IFDIR)
		(void)acl_remember(key, ACL_DEFAULT, &acl);
	mode = acl_inherit(&acl, mode, &extended);
	if (extended)
		(void)acl_remember(key, ACL_ACCESS, &acl);
	return mode;
}

/* What fakeroot -u makes root's at once. */
static bool is_adopted(uint32_t type)
{
	return type == S_IFDIR || type == S_IFCHR || type == S_IFBLK;
}

int owner_created(const struct process *p, int dirfd, const char *name, int flags, const struct heritage *from,
		  const struct creation *new)
{
	struct fakedb_record record = { .uid = p->creds.fsuid, .gid = p->creds.fsgid, .mode = new->mode }, old;
	uint32_t type = new->mode & S_IFMT;
	struct fakedb_key key;

	/* Where there are no birth times, something may be known of the file that had the number before. */
	if (owner_record(dirfd, name, flags, &key, &old)) {
		(void)fakedb_forget(&engine.db, &key);
		(void)owner_record(dirfd, name, flags, &key, &old);
	}
	if (!old.mode)
		return 0;
	if (from->gid != GID_UNCHANGED) {
		record.gid = from->gid;
		if (type == S_IFDIR)
			record.mode |= 02000;
		else if ((record.mode & 02010) == 02010 && !keeps_set_gid(p, record.gid))
			record.mode &= ~02000u;
	}
	if (record.uid || record.gid || (engine.owners == OWNERS_REAL && is_adopted(type)))
		record.has |= FAKEDB_OWNER;
	if (type != S_IFLNK) {
		record.mode = inherit_lists(p, from, &key, record.mode);
		if ((record.mode & 07777) != (old.mode & 07777))
			record.has |= FAKEDB_MODE;
	}
	if (type == S_IFCHR || type == S_IFBLK) {
		record.has |= FAKEDB_MODE | FAKEDB_NODE;
		record.rdev_major = new->rdev_major;
		record.rdev_minor = new->rdev_minor;
	}
	if (!record.has)
		return 0;
	if (engine.owners)
		record.has |= FAKEDB_MODE;
	return fakedb_update(&engine.db, &key, &record);
}

long op_mkdir(struct call *c, const struct syscall_row *row)
{
	const struct process *p = process_current();
	const struct path_arg *arg = &row->path[0];
	uint32_t mode = (uint32_t)c->arg[arg->path + 1] & 01777;
	struct scratch *s = scratch_get();
	struct pin pin = { -1 };
	struct heritage from;
	struct where w;
	long r = s ? path_resolve_pinned(p, s, c, arg, WANT_CREATE, &w, &pin) : -ENOMEM;

	if (r >= 0) {
		r = SYS3(mkdirat, w.fd, w.name, engine.pretend ? (mode & 0777) | 0700 : mode);
		if (r >= 0 && engine.pretend) {
			owner_heritage(w.fd, w.name, &from);
			(void)owner_created(p, w.fd, w.name, AT_SYMLINK_NOFOLLOW, &from,
					    &(struct creation){ .mode = S_IFDIR | mode });
		}
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

/* What can be made is told before the path is looked at: may_mknod() of the kernel. */
static int may_make(uint32_t type)
{
	switch (type) {
	case 0:
	case S_IFREG:
	case S_IFCHR:
	case S_IFBLK:
	case S_IFIFO:
	case S_IFSOCK: return 0;
	case S_IFDIR: return -EPERM;
	default: return -EINVAL;
	}
}

/* A device node becomes an empty file that nobody can open, which is how opening it is noticed. */
static long make_device(const struct process *p, const struct where *w, const struct heritage *from,
			const struct creation *new)
{
	bool whiteout = (new->mode & S_IFMT) == S_IFCHR && !new->rdev_major && !new->rdev_minor;
	struct stat st;
	long r;

	if (!whiteout && !creds_capable(&p->creds, CAP_MKNOD))
		return sys_fstatat(w->fd, w->name, &st, AT_SYMLINK_NOFOLLOW) < 0 ? -EPERM : -EEXIST;
	r = SYS4(mknodat, w->fd, w->name, S_IFREG, 0);
	if (r < 0)
		return r;
	r = owner_created(p, w->fd, w->name, AT_SYMLINK_NOFOLLOW, from, new);
	if (r < 0)
		(void)SYS3(unlinkat, w->fd, w->name, 0);
	return r;
}

long op_mknod(struct call *c, const struct syscall_row *row)
{
	const struct process *p = process_current();
	const struct path_arg *arg = &row->path[0];
	const unsigned long *rest = &c->arg[arg->path + 1];
	uint32_t mode = (uint32_t)rest[0] & (S_IFMT | 07777), type = mode & S_IFMT;
	struct creation new = {
		.mode = type ? mode : S_IFREG | mode,
		.rdev_major = dev_major(rest[1]),
		.rdev_minor = dev_minor(rest[1]),
	};
	struct scratch *s;
	struct pin pin = { -1 };
	struct heritage from;
	struct where w;
	long r = may_make(type);

	if (r < 0)
		return r;
	s = scratch_get();
	r = s ? path_resolve_pinned(p, s, c, arg, WANT_CREATE, &w, &pin) : -ENOMEM;
	if (r < 0)
		goto out;
	if (!engine.pretend) {
		r = SYS4(mknodat, w.fd, w.name, mode, rest[1]);
		goto out;
	}
	owner_heritage(w.fd, w.name, &from);
	if (type == S_IFCHR || type == S_IFBLK) {
		r = make_device(p, &w, &from, &new);
		goto out;
	}
	r = SYS4(mknodat, w.fd, w.name, type | (mode & 0777) | 0600, rest[1]);
	if (r >= 0)
		(void)owner_created(p, w.fd, w.name, AT_SYMLINK_NOFOLLOW, &from, &new);
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
	struct heritage from;
	struct where w;
	long r = s ? path_resolve_pinned(p, s, c, &row->path[0], WANT_CREATE, &w, &pin) : -ENOMEM;

	if (r >= 0) {
		r = SYS3(symlinkat, c->arg[0], w.fd, w.name);
		if (r >= 0 && engine.pretend) {
			owner_heritage(w.fd, w.name, &from);
			(void)owner_created(p, w.fd, w.name, AT_SYMLINK_NOFOLLOW, &from,
					    &(struct creation){ .mode = S_IFLNK | 0777 });
		}
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

/* A file as owner_record() found it. */
struct found {
	struct fakedb_key key;
	struct fakedb_record file;
	bool known, adopted;
};

/* Returns whether it is there. */
static bool find(int fd, const char *name, int flags, struct found *ret_found)
{
	ret_found->known = owner_record(fd, name, flags, &ret_found->key, &ret_found->file);
	ret_found->adopted = adopt(&ret_found->file);
	return ret_found->file.mode;
}

/* A shared file needs no copy where nothing but its record changes. */
static long change_real_mode(const struct process *p, int fd, const char *name, int flags, uint32_t mode)
{
	struct stat st;
	int r;

	if (engine.shared && sys_fstatat(fd, name, &st, flags) == 0 && is_shared(st.st_mode) &&
	    (own_mode(st.st_mode) & 07777) == mode)
		return 0;
	r = shared_part(p, fd, name, flags, true);
	if (r < 0)
		return r;
	return flags & AT_EMPTY_PATH ? SYS2(fchmod, fd, mode) : SYS3(fchmodat, fd, name, mode);
}

/* Gives a file another mode. */
static long set_mode(const struct process *p, int fd, const char *name, int flags, struct found *f, uint32_t mode)
{
	uint32_t type = f->file.mode & S_IFMT;
	uint32_t real_mode = type == S_IFDIR ? (mode & 01777) | 0700 : (mode & 0777) | 0600;
	struct fakedb_record record = { .has = FAKEDB_MODE, .mode = type | mode };
	/* The mode is remembered even where it is the disk's. */
	bool whole = (f->file.has & FAKEDB_NODE) || engine.owners;
	long r = 0;

	if (!(f->file.has & FAKEDB_NODE))
		r = change_real_mode(p, fd, name, flags, real_mode);
	if (r < 0)
		return r;
	if (engine.shared) /* perhaps it is another file now */
		(void)find(fd, name, flags, f);
	if (f->adopted)
		record.has |= FAKEDB_OWNER;
	/* dpkg makes every file with mode 0 and changes it at last: what pretends nothing any more needs no record, and
	 * each stat of it no second look. */
	if (f->known && mode == real_mode && !whole)
		return fakedb_withdraw(&engine.db, &f->key, FAKEDB_MODE);
	if (mode != real_mode || (f->known && whole) || f->adopted)
		r = fakedb_update(&engine.db, &f->key, &record);
	return r;
}

/* chmod(2) of a file given by (fd, name) or, with AT_EMPTY_PATH, by fd alone. */
static long change_mode(const struct process *p, int fd, const char *name, int flags, uint32_t mode)
{
	struct found f;
	struct acl acl;

	if (!find(fd, name, flags, &f))
		return sys_statx(fd, name, flags, 0, &(struct statx){ 0 }); /* the error */
	if ((f.file.mode & S_IFMT) == S_IFLNK)
		return -EOPNOTSUPP;
	if (!access_is_owner(p, &f.file))
		return -EPERM;
	mode &= 07777;
	if ((mode & 02000) && !keeps_set_gid(p, f.file.gid))
		mode &= ~02000u;
	if ((f.file.has & FAKEDB_XATTR) && acl_recall(&f.key, ACL_ACCESS, &acl)) {
		acl_set_mode(&acl, mode);
		(void)acl_remember(&f.key, ACL_ACCESS, &acl);
	}
	return set_mode(p, fd, name, flags, &f, mode);
}

long owner_set_list(const struct process *p, int fd, const char *name, int flags, const char *list, struct acl *acl)
{
	bool is_access = str_eq(list, ACL_ACCESS), extended;
	struct found f;
	uint32_t mode;
	long r;

	(void)find(fd, name, flags, &f);
	if ((f.file.mode & S_IFMT) == S_IFLNK)
		return -EOPNOTSUPP;
	if (!is_access && (f.file.mode & S_IFMT) != S_IFDIR)
		return acl->n ? -EACCES : 0;
	if (!access_is_owner(p, &f.file))
		return -EPERM;
	if (acl->n && !acl_is_valid(acl))
		return -EINVAL;
	if (is_access && acl->n) {
		mode = acl_mode(acl, &extended) | (f.file.mode & 07000);
		if ((mode & 02000) && !keeps_set_gid(p, f.file.gid))
			mode &= ~02000u;
		r = set_mode(p, fd, name, flags, &f, mode);
		if (r < 0)
			return r;
		if (!extended)
			acl->n = 0;
	}
	return acl_remember(&f.key, list, acl);
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
			r = change_mode(p, w.fd, w.name, at, mode);
		else
			r = shared_part(p, w.fd, w.name, at, true);
		if (engine.pretend || r < 0)
			goto out;
		if (flags)
			r = SYS4(fchmodat2, w.fd, w.name, mode, flags);
		else
			r = SYS3(fchmodat, w.fd, w.name, mode);
	}
out:
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
	if (engine.pretend)
		return change_mode(process_current(), fd, "", AT_EMPTY_PATH, (uint32_t)c->arg[1]);
	r = shared_part(process_current(), fd, "", AT_EMPTY_PATH, true);
	return r < 0 ? r : SYS2(fchmod, fd, c->arg[1]);
}

/* What set-id bits of a mode stay when somebody changes the file: setattr_should_drop_suidgid(). */
static uint32_t without_set_id(const struct process *p, const struct fakedb_record *file)
{
	uint32_t mode = file->mode & 07777 & ~04000u;

	return (mode & 02010) == 02010 || !keeps_set_gid(p, file->gid) ? mode & ~02000u : mode;
}

static bool may_chown(const struct process *p, const struct fakedb_record *file, uint32_t uid, uint32_t gid)
{
	if (creds_capable(&p->creds, CAP_CHOWN))
		return true;
	if (p->creds.fsuid != file->uid && (uid != ~0u || gid != ~0u))
		return false;
	if (uid != ~0u && uid != file->uid)
		return false;
	return gid == ~0u || gid == file->gid || creds_in_group(&p->creds, gid);
}

/* What is real of a change that is only pretended: a change to no ids, which sets the time of change and is refused on
 * a read-only file system. Its other errors say nothing of the pretence: nodes forbid the call itself. On an overlay
 * it is what has the file copied up, so that it is known from now on by the key that it gets then; a shared one gets
 * its copy from us. Returns 0 or -EROFS; *key is the file's, before and after. */
long owner_settle(int fd, const char *name, int flags, struct fakedb_key *key)
{
	struct fakedb_record record;
	long r;

	if (shared_is(fd, name, flags))
		r = engine.read_only ? -EROFS : 0;
	else
		r = SYS5(fchownat, fd, name, -1, -1, flags);
	if (engine.overlay)
		(void)owner_record(fd, name, flags, key, &record);
	return r == -EROFS ? r : 0;
}

/* chown(2): the ids are pretended, ids of -1 stay. */
static long change_owner(const struct process *p, int fd, const char *name, int flags, uint32_t uid, uint32_t gid)
{
	struct fakedb_record file, record = { .has = FAKEDB_OWNER };
	struct fakedb_key key;
	long r;

	(void)owner_record(fd, name, flags, &key, &file);
	if (!file.mode)
		return sys_statx(fd, name, flags, 0, &(struct statx){ 0 });
	(void)adopt(&file);
	record.uid = uid == ~0u ? file.uid : uid;
	record.gid = gid == ~0u ? file.gid : gid;
	record.mode = (file.mode & S_IFMT) == S_IFDIR ? file.mode & 07777 : without_set_id(p, &file);
	if (record.mode != (file.mode & 07777))
		record.has |= FAKEDB_MODE;
	record.mode |= file.mode & S_IFMT;
	if (!may_chown(p, &file, uid, gid) || ((record.has & FAKEDB_MODE) && !access_is_owner(p, &file)))
		return -EPERM;
	r = owner_settle(fd, name, flags, &key);
	if (r < 0)
		return r;
	/* Capabilities of a file do not survive a new owner either. */
	if ((file.has & FAKEDB_XATTR) && (file.mode & S_IFMT) != S_IFDIR)
		(void)fakedb_removexattr(&engine.db, &key, "security.capability");
	if (engine.owners)
		record.has |= FAKEDB_MODE;
	else if (!(file.has & FAKEDB_OWNER) && record.uid == file.uid && record.gid == file.gid)
		record.has &= ~(uint32_t)FAKEDB_OWNER;
	return record.has ? fakedb_update(&engine.db, &key, &record) : 0;
}

void owner_written(const struct process *p, int fd, const char *name, int flags)
{
	struct fakedb_record file, record = { .has = FAKEDB_MODE };
	struct fakedb_key key;
	struct stat st;

	if (sys_fstatat(fd, name, &st, flags) < 0 || !fakedb_maybe(&engine.db, st.st_ino) ||
	    !owner_record(fd, name, flags, &key, &file) || (file.mode & S_IFMT) != S_IFREG)
		return;
	if (file.has & FAKEDB_XATTR)
		(void)fakedb_removexattr(&engine.db, &key, "security.capability");
	record.mode = without_set_id(p, &file);
	if (record.mode != (file.mode & 07777) && !creds_capable(&p->creds, CAP_FSETID))
		(void)fakedb_update(&engine.db, &key, &record);
}

/* Without pretence: `ids` are a user and a group. */
static long change_real_owner(const struct process *p, int fd, const char *name, int flags, const unsigned long *ids)
{
	long r = shared_part(p, fd, name, flags, true);

	return r < 0 ? r : SYS5(fchownat, fd, name, ids[0], ids[1], flags);
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
			r = change_real_owner(p, w.fd, w.name, at, rest);
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
	if (!engine.pretend)
		return change_real_owner(process_current(), (int)c->arg[0], "", AT_EMPTY_PATH, &c->arg[1]);
	return change_owner(process_current(), (int)c->arg[0], "", AT_EMPTY_PATH, (uint32_t)c->arg[1],
			    (uint32_t)c->arg[2]);
}
