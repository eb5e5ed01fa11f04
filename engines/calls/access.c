/* What a pretended user may do: the kernel only knows the real one, who owns everything. See core/access.h for the
 * rule. Nothing here is asked for a process with CAP_DAC_OVERRIDE. */
#include "access.h"

#include <linux/errno.h>

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

static int check(const struct process *p, enum access_as as, const struct fakedb_record *file, unsigned want)
{
	return access_check(&p->creds, as, file->uid, file->gid, file->mode, want);
}

int access_file(const struct process *p, enum access_as as, int fd, const char *name, int flags, unsigned want)
{
	struct fakedb_record file;
	struct fakedb_key key;

	if (!access_restricted(p, as) || is_in_proc(fd, name))
		return 0;
	(void)owner_record(fd, name, flags, &key, &file);
	/* What is not there, and what is behind a link, is for the call itself to say. */
	return file.mode && (file.mode & S_IFMT) != S_IFLNK ? check(p, as, &file, want) : 0;
}

static int may_search(const struct here *here, int fd, const char *name)
{
	struct fakedb_record file;
	struct fakedb_key key;

	if (is_in_proc(fd, name))
		return 0;
	(void)owner_record(fd, name, AT_SYMLINK_NOFOLLOW, &key, &file);
	if ((file.mode & S_IFMT) != S_IFDIR)
		return 0;
	return check(here->caller, here->as_real ? ACCESS_AS_REAL : ACCESS_AS_EFFECTIVE, &file, ACCESS_EXECUTE);
}

void access_prepare(const struct process *p, enum access_as as, struct here *here)
{
	here->may_search = access_restricted(p, as) ? may_search : NULL;
	here->as_real = as == ACCESS_AS_REAL;
	here->caller = p;
}

static bool is_owner(const struct process *p, const struct fakedb_record *file)
{
	return p->creds.fsuid == file->uid || creds_capable(&p->creds, CAP_FOWNER);
}

/* The directory that (fd, name) names something in. */
static int check_parent(const struct process *p, const struct where *w, struct fakedb_record *ret_parent)
{
	struct fakedb_key key;

	if (!owner_parent(w->fd, w->name, &key, ret_parent))
		return 0;
	return check(p, ACCESS_AS_EFFECTIVE, ret_parent, ACCESS_WRITE | ACCESS_EXECUTE);
}

int access_name(const struct process *p, const struct where *w, bool create)
{
	struct fakedb_record file, parent = { 0 };
	struct fakedb_key key;
	int r;

	if (!access_restricted(p, ACCESS_AS_EFFECTIVE) || is_in_proc(w->fd, w->name))
		return 0;
	(void)owner_record(w->fd, w->name, AT_SYMLINK_NOFOLLOW, &key, &file);
	/* EEXIST and ENOENT come first. */
	if (!file.mode != create)
		return 0;
	r = check_parent(p, w, &parent);
	if (r == 0 && !create && (parent.mode & 01000) && p->creds.fsuid != parent.uid && !is_owner(p, &file))
		r = -EPERM;
	return r;
}

int access_rename(const struct process *p, const struct where *from, const struct where *to)
{
	struct fakedb_record file, parent;
	struct fakedb_key key, from_parent, to_parent;
	int r = access_name(p, to, true);

	if (r < 0 || !access_restricted(p, ACCESS_AS_EFFECTIVE))
		return r;
	/* A directory that moves has its ".." rewritten. */
	(void)owner_record(from->fd, from->name, AT_SYMLINK_NOFOLLOW, &key, &file);
	if ((file.mode & S_IFMT) != S_IFDIR || !owner_parent(from->fd, from->name, &from_parent, &parent) ||
	    !owner_parent(to->fd, to->name, &to_parent, &parent) || from_parent.ino == to_parent.ino)
		return 0;
	return check(p, ACCESS_AS_EFFECTIVE, &file, ACCESS_WRITE);
}

int access_open(const struct process *p, const struct where *w, unsigned long flags)
{
	static const unsigned by_mode[] = { ACCESS_READ, ACCESS_WRITE, ACCESS_READ | ACCESS_WRITE,
					    ACCESS_READ | ACCESS_WRITE };
	unsigned want = by_mode[flags & O_ACCMODE] | (flags & O_TRUNC ? ACCESS_WRITE : 0u);
	struct fakedb_record file, parent;
	struct fakedb_key key;
	int r;

	if (!access_restricted(p, ACCESS_AS_EFFECTIVE) || (flags & O_PATH) || w->magic || is_in_proc(w->fd, w->name))
		return 0;
	(void)owner_record(w->fd, w->name, AT_SYMLINK_NOFOLLOW, &key, &file);
	if (!file.mode)
		return flags & O_CREAT ? check_parent(p, w, &parent) : 0;
	if ((flags & (O_CREAT | O_EXCL)) == (O_CREAT | O_EXCL) || (file.mode & S_IFMT) == S_IFLNK)
		return 0;
	if ((flags & O_TMPFILE) == O_TMPFILE)
		want = ACCESS_WRITE | ACCESS_EXECUTE;
	r = check(p, ACCESS_AS_EFFECTIVE, &file, want);
	return r == 0 && (flags & O_NOATIME) && !is_owner(p, &file) ? -EPERM : r;
}

int access_times(const struct process *p, const struct where *w, int flags, bool now)
{
	struct fakedb_record file;
	struct fakedb_key key;

	if (!access_restricted(p, ACCESS_AS_EFFECTIVE) || is_in_proc(w->fd, w->name))
		return 0;
	(void)owner_record(w->fd, w->name, flags, &key, &file);
	if (!file.mode || is_owner(p, &file))
		return 0;
	return now ? check(p, ACCESS_AS_EFFECTIVE, &file, ACCESS_WRITE) : -EPERM;
}

int access_link(const struct process *p, const struct where *w, int flags)
{
	struct fakedb_record file;
	struct fakedb_key key;

	if (!access_restricted(p, ACCESS_AS_EFFECTIVE) || is_in_proc(w->fd, w->name))
		return 0;
	(void)owner_record(w->fd, w->name, flags, &key, &file);
	if (!file.mode || is_owner(p, &file))
		return 0;
	if ((file.mode & S_IFMT) != S_IFREG || (file.mode & 04000) || (file.mode & 02010) == 02010)
		return -EPERM;
	return check(p, ACCESS_AS_EFFECTIVE, &file, ACCESS_READ | ACCESS_WRITE) < 0 ? -EPERM : 0;
}
