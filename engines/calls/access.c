/* What a pretended user may do: the kernel only knows the real one, who owns everything. See core/access.h for the
 * rule. Nothing here is asked for a process with CAP_DAC_OVERRIDE. */
#include "access.h"

#include <linux/errno.h>
#include <linux/fs.h>

#include "calls.h"

#define CAP_FOWNER 3

bool access_restricted(const struct process *p, enum access_as as)
{
	return engine.pretend && !access_is_unrestricted(&p->creds, as);
}

/* The files of procfs belong to the real user, and the kernel guards them well. */
static bool is_in_proc(int fd, const char *name)
{
	return fd == AT_FDCWD && str_has_prefix(name, "/proc", 5) && (!name[5] || name[5] == '/');
}

int access_record(const struct process *p, enum access_as as, const struct fakedb_key *key,
		  const struct fakedb_record *file, unsigned want)
{
	struct access_object object = { file->uid, file->gid, file->mode, NULL };
	struct acl acl;

	if ((file->has & FAKEDB_XATTR) && acl_recall(key, ACL_ACCESS, &acl))
		object.acl = &acl;
	return access_check(&p->creds, as, &object, want);
}

int access_file(const struct process *p, enum access_as as, int fd, const char *name, int flags, unsigned want)
{
	struct fakedb_record file;
	struct fakedb_key key;

	if (!access_restricted(p, as) || is_in_proc(fd, name))
		return 0;
	(void)owner_record(fd, name, flags, &key, &file);
	/* What is not there, and what is behind a link, is for the call itself to say. */
	return file.mode && (file.mode & S_IFMT) != S_IFLNK ? access_record(p, as, &key, &file, want) : 0;
}

int access_refused(const struct process *p, enum access_as as, int fd, const char *name, int flags, unsigned want)
{
	struct fakedb_record file;
	struct fakedb_key key;
	struct stat st;

	if (!engine.pretend || sys_fstatat(fd, name, &st, flags) < 0 || st.st_uid != engine.uid)
		return -EACCES;
	(void)owner_record(fd, name, flags, &key, &file);
	return access_record(p, as, &key, &file, want);
}

bool access_is_read_only(int fd, const char *name)
{
	return !engine.translate && SYS3(faccessat, fd, name, ACCESS_WRITE) == -EROFS;
}

bool access_parent_is_read_only(int fd, const char *name)
{
	long parent = engine.translate ? -1 : owner_open_parent(fd, name);
	bool r = parent >= 0 && access_is_read_only((int)parent, ".");

	if (parent >= 0)
		(void)sys_close((int)parent);
	return r;
}

static int search(const struct process *p, enum access_as as, int fd, const char *name, int flags)
{
	struct fakedb_record file;
	struct fakedb_key key;

	if (is_in_proc(fd, name))
		return 0;
	(void)owner_record(fd, name, flags, &key, &file);
	return (file.mode & S_IFMT) == S_IFDIR ? access_record(p, as, &key, &file, ACCESS_EXECUTE) : 0;
}

int access_search(const struct process *p, int fd, const char *name, int flags)
{
	return access_restricted(p, ACCESS_AS_EFFECTIVE) ? search(p, ACCESS_AS_EFFECTIVE, fd, name, flags) : 0;
}

static int may_search(const struct here *here, int fd, const char *name)
{
	return search(here->caller, here->as_real ? ACCESS_AS_REAL : ACCESS_AS_EFFECTIVE, fd, name,
		      AT_SYMLINK_NOFOLLOW);
}

void access_prepare(const struct process *p, enum access_as as, struct here *here)
{
	here->may_search = access_restricted(p, as) ? may_search : NULL;
	here->as_real = as == ACCESS_AS_REAL;
	here->caller = p;
}

bool access_is_owner(const struct process *p, const struct fakedb_record *file)
{
	return p->creds.fsuid == file->uid || creds_capable(&p->creds, CAP_FOWNER);
}

/* The directory that (fd, name) names something in. */
static int check_parent(const struct process *p, const struct where *w, struct fakedb_key *ret_key,
			struct fakedb_record *ret_parent)
{
	if (!owner_parent(w->fd, w->name, ret_key, ret_parent))
		return 0;
	return access_record(p, ACCESS_AS_EFFECTIVE, ret_key, ret_parent, ACCESS_WRITE | ACCESS_EXECUTE);
}

/* may_delete() */
static int may_remove(const struct process *p, const struct where *w, const struct fakedb_record *file,
		      struct fakedb_key *ret_parent)
{
	struct fakedb_record parent = { 0 };
	int r = check_parent(p, w, ret_parent, &parent);

	if (r == 0 && (parent.mode & 01000) && p->creds.fsuid != parent.uid && !access_is_owner(p, file))
		return -EPERM;
	return r;
}

int access_name(const struct process *p, const struct where *w, bool create)
{
	struct fakedb_record file, parent;
	struct fakedb_key key;

	if (!access_restricted(p, ACCESS_AS_EFFECTIVE) || is_in_proc(w->fd, w->name))
		return 0;
	(void)owner_record(w->fd, w->name, AT_SYMLINK_NOFOLLOW, &key, &file);
	/* EEXIST and ENOENT come first. */
	if (!file.mode != create)
		return 0;
	return create ? check_parent(p, w, &key, &parent) : may_remove(p, w, &file, &key);
}

static bool is_directory(const struct fakedb_record *file)
{
	return (file->mode & S_IFMT) == S_IFDIR;
}

/* Whether a name lies somewhere in a directory. */
static bool is_beneath(const struct where *w, const struct fakedb_key *directory)
{
	struct fakedb_record above;
	struct fakedb_key key, last = { 0 };
	long fd = owner_open_parent(w->fd, w->name), next;
	bool found = false;

	while (fd >= 0 && !found) {
		(void)owner_record((int)fd, "", AT_EMPTY_PATH, &key, &above);
		found = key.ino == directory->ino && key.dev_minor == directory->dev_minor;
		/* The root is above itself. */
		next = found || key.ino == last.ino ? -ENOENT :
						      sys_openat((int)fd, "..", O_PATH | O_DIRECTORY | O_CLOEXEC, 0);
		(void)sys_close((int)fd);
		last = key;
		fd = next;
	}
	return found;
}

int access_rename(const struct process *p, const struct where *from, const struct where *to, unsigned long flags)
{
	struct fakedb_record file, target, parent;
	struct fakedb_key key, target_key, from_parent, to_parent;
	int r;

	if (!access_restricted(p, ACCESS_AS_EFFECTIVE))
		return 0;
	(void)owner_record(from->fd, from->name, AT_SYMLINK_NOFOLLOW, &key, &file);
	(void)owner_record(to->fd, to->name, AT_SYMLINK_NOFOLLOW, &target_key, &target);
	/* ENOENT and EEXIST come first; two names of one file are left alone. */
	if (!file.mode || (!target.mode && (flags & RENAME_EXCHANGE)) || (target.mode && (flags & RENAME_NOREPLACE)) ||
	    (target.mode && key.ino == target_key.ino))
		return 0;
	r = may_remove(p, from, &file, &from_parent);
	if (r == 0)
		r = target.mode ? may_remove(p, to, &target, &to_parent) : check_parent(p, to, &to_parent, &parent);
	/* A directory that moves has its ".." rewritten. */
	if (r == 0 && is_directory(&file) && from_parent.ino != to_parent.ino)
		r = access_record(p, ACCESS_AS_EFFECTIVE, &key, &file, ACCESS_WRITE);
	if (r == 0 && (flags & RENAME_EXCHANGE) && is_directory(&target) && from_parent.ino != to_parent.ino)
		r = access_record(p, ACCESS_AS_EFFECTIVE, &target_key, &target, ACCESS_WRITE);
	if (r < 0 && is_directory(&file) && is_beneath(to, &key))
		return -EINVAL;
	if (r < 0 && is_directory(&target) && is_beneath(from, &target_key))
		return flags & RENAME_EXCHANGE ? -EINVAL : -ENOTEMPTY;
	return r;
}

/* Whether the type of what is opened decides before its mode does: EISDIR, ENOTDIR, ELOOP, EEXIST. */
static bool is_refused_by_type(const struct fakedb_record *file, unsigned long flags, unsigned want)
{
	if ((flags & (O_CREAT | O_EXCL)) == (O_CREAT | O_EXCL) || (file->mode & S_IFMT) == S_IFLNK)
		return true;
	if (is_directory(file))
		return (flags & O_TMPFILE) != O_TMPFILE && ((want & ACCESS_WRITE) || (flags & O_CREAT));
	return flags & O_DIRECTORY;
}

/* What a link like /dev/stdout leads to, whose owner nobody remembers. */
static bool is_stream(const struct fakedb_record *file)
{
	uint32_t type = file->mode & S_IFMT;

	return type == S_IFIFO || type == S_IFSOCK || type == S_IFCHR;
}

/* may_create_in_sticky(): what others left in a directory for all is not opened by who wants to make a file. For files
 * and pipes it depends on sysctls of the host's. */
static bool is_bait(const struct process *p, const struct where *w, const struct fakedb_record *file)
{
	uint32_t type = file->mode & S_IFMT;
	struct fakedb_record parent;
	struct fakedb_key key;

	if (type == S_IFREG || type == S_IFIFO || p->creds.fsuid == file->uid ||
	    !owner_parent(w->fd, w->name, &key, &parent))
		return false;
	return (parent.mode & 01002) == 01002 && parent.uid != file->uid;
}

int access_open(const struct process *p, const struct where *w, unsigned long flags)
{
	static const unsigned by_mode[] = { ACCESS_READ, ACCESS_WRITE, ACCESS_READ | ACCESS_WRITE,
					    ACCESS_READ | ACCESS_WRITE };
	unsigned want = by_mode[flags & O_ACCMODE] | (flags & O_TRUNC ? ACCESS_WRITE : 0u);
	struct fakedb_record file, parent;
	struct fakedb_key key;
	bool known;
	int r;

	if (!access_restricted(p, ACCESS_AS_EFFECTIVE) || (flags & O_PATH) || is_in_proc(w->fd, w->name) ||
	    (w->magic && engine.translate))
		return 0;
	known = owner_record(w->fd, w->name, w->magic && !(flags & O_NOFOLLOW) ? 0 : AT_SYMLINK_NOFOLLOW, &key, &file);
	if (!file.mode)
		return flags & O_CREAT ? check_parent(p, w, &key, &parent) : 0;
	if (is_refused_by_type(&file, flags, want) || (w->magic && !known && is_stream(&file)))
		return 0;
	if ((flags & O_CREAT) && is_bait(p, w, &file))
		return -EACCES;
	if ((flags & O_TMPFILE) == O_TMPFILE)
		want = ACCESS_WRITE | ACCESS_EXECUTE;
	r = access_record(p, ACCESS_AS_EFFECTIVE, &key, &file, want);
	return r == 0 && (flags & O_NOATIME) && !access_is_owner(p, &file) ? -EPERM : r;
}

int access_truncate(const struct process *p, int fd, const char *name, int flags)
{
	struct fakedb_record file;
	struct fakedb_key key;

	if (!engine.pretend || is_in_proc(fd, name))
		return 0;
	(void)owner_record(fd, name, flags, &key, &file);
	if (file.has & FAKEDB_NODE)
		return -EINVAL;
	if ((file.mode & S_IFMT) != S_IFREG)
		return 0;
	return access_record(p, ACCESS_AS_EFFECTIVE, &key, &file, ACCESS_WRITE);
}

int access_times(const struct process *p, const struct where *w, int flags, bool now)
{
	struct fakedb_record file;
	struct fakedb_key key;

	if (!access_restricted(p, ACCESS_AS_EFFECTIVE) || is_in_proc(w->fd, w->name))
		return 0;
	(void)owner_record(w->fd, w->name, flags, &key, &file);
	if (!file.mode || access_is_owner(p, &file))
		return 0;
	return now ? access_record(p, ACCESS_AS_EFFECTIVE, &key, &file, ACCESS_WRITE) : -EPERM;
}

int access_link(const struct process *p, const struct where *w, int flags)
{
	struct fakedb_record file;
	struct fakedb_key key;

	if (!access_restricted(p, ACCESS_AS_EFFECTIVE) || is_in_proc(w->fd, w->name))
		return 0;
	(void)owner_record(w->fd, w->name, flags, &key, &file);
	if (!file.mode || access_is_owner(p, &file))
		return 0;
	if ((file.mode & S_IFMT) != S_IFREG || (file.mode & 04000) || (file.mode & 02010) == 02010)
		return -EPERM;
	return access_record(p, ACCESS_AS_EFFECTIVE, &key, &file, ACCESS_READ | ACCESS_WRITE) < 0 ? -EPERM : 0;
}
