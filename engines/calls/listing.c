/* Directory listings: what the kernel lists, with the targets of binds that the image has not, without the engine's own
 * descriptors, and with devices that pretend to be some. */
#include <linux/errno.h>

#include "calls.h"

#define DT_REG 8
#define DT_LNK 10
#define SEEK_SET 0

/* The binds of a view that a directory of the image does not list by itself, by that directory. Found out by the first
 * listing of a process: most never list anything. Threads may do it at once; they write the same. */
static SELDOM struct {
	uint64_t salt; /* of the view that this is about; written last */
	unsigned n;
	struct {
		uint64_t dev, ino;
		uint8_t bind;
	} at[VIEW_BINDS_MAX];
} missing;

_Static_assert(VIEW_BINDS_MAX <= 256, "missing.at[].bind");

static const char *last_component(const char *path)
{
	const char *last = path;

	for (; *path; path++)
		if (*path == '/')
			last = path + 1;
	return last;
}

/* Whether the directory that holds the target of `b` exists and has no such name. *ret_dir describes it. */
static bool is_missing(const struct view *v, const struct bind *b, struct scratch *s, struct stat *ret_dir)
{
	const char *name = last_component(b->guest);
	size_t n = (size_t)(name - b->guest);
	struct stat st;
	long len;

	memcpy(s->canon, b->guest, n);
	s->canon[n > 1 ? n - 1 : n] = '\0';
	len = view_host_path(v, s->canon, s->host, sizeof(s->host), NULL);
	if (len < 0 || sys_fstatat(AT_FDCWD, s->host, ret_dir, AT_SYMLINK_NOFOLLOW) < 0)
		return false;
	len = str_append(s->host, sizeof(s->host), (size_t)len, "/");
	if (len >= 0)
		len = str_append(s->host, sizeof(s->host), (size_t)len, name);
	return len >= 0 && sys_fstatat(AT_FDCWD, s->host, &st, AT_SYMLINK_NOFOLLOW) == -ENOENT;
}

static void find_missing(const struct view *v)
{
	struct scratch *s = scratch_get();
	unsigned n = 0;
	struct stat st;

	if (!s)
		return;
	for (unsigned i = 0; i < v->n_binds; i++) {
		if (!is_missing(v, &v->binds[i], s, &st))
			continue;
		missing.at[n].dev = st.st_dev;
		missing.at[n].ino = st.st_ino;
		missing.at[n++].bind = (uint8_t)i;
	}
	scratch_put(s);
	missing.n = n;
	__atomic_store_n(&missing.salt, v->salt, __ATOMIC_RELEASE);
}

static bool lists_missing(unsigned i, const struct stat *dir)
{
	return missing.at[i].dev == dir->st_dev && missing.at[i].ino == dir->st_ino;
}

static uint16_t entry_size(const struct bind *b)
{
	size_t size = sizeof(struct dirent64) + strlen(last_component(b->guest)) + 1;

	return (uint16_t)((size + 7) & ~(size_t)7);
}

/* How many bytes the entries take that `dir` lacks. */
static size_t missing_size(const struct view *v, const struct stat *dir)
{
	size_t size = 0;

	for (unsigned i = 0; i < missing.n; i++)
		if (lists_missing(i, dir))
			size += entry_size(&v->binds[missing.at[i].bind]);
	return size;
}

/* Whether a directory of this inode number may lack any. */
static bool may_lack(const struct view *v, uint64_t ino)
{
	if (__atomic_load_n(&missing.salt, __ATOMIC_ACQUIRE) != v->salt)
		find_missing(v);
	for (unsigned i = 0; i < missing.n; i++)
		if (missing.at[i].ino == ino)
			return true;
	return false;
}

/* Appends the entries that `dir` lacks to the `n` bytes in `buf`. They have the offset of the one before: who goes on
 * from there misses none. */
static long append_missing(const struct view *v, const struct stat *dir, char *buf, long n, int64_t off)
{
	for (unsigned i = 0; i < missing.n; i++) {
		const struct bind *b = &v->binds[missing.at[i].bind];
		struct dirent64 *e = (struct dirent64 *)(void *)(buf + n);
		const char *name = last_component(b->guest);
		struct stat st;

		if (!lists_missing(i, dir) || sys_fstatat(AT_FDCWD, b->host, &st, AT_SYMLINK_NOFOLLOW) < 0)
			continue;
		e->ino = st.st_ino;
		e->off = off;
		e->size = entry_size(b);
		e->type = (unsigned char)((st.st_mode & S_IFMT) >> 12);
		memcpy(e->name, name, strlen(name) + 1);
		n += e->size;
	}
	return n;
}

/* What was read of a directory. */
struct listing {
	long n;	     /* bytes */
	int64_t off; /* of the last entry */
	uint64_t ino; /* of ".", which only the beginning of a directory lists; else 0 */
};

/* Takes hidden descriptors out of a listing of /proc/PID/fd, the only directories with links of such numbers. */
static void look_through(int fd, char *buf, struct listing *l)
{
	struct stat st;

	for (long at = 0; at < l->n;) {
		struct dirent64 *e = (struct dirent64 *)(void *)(buf + at);
		uint16_t size = e->size;
		uint64_t number;

		l->off = e->off;
		if (e->name[0] == '.' && !e->name[1])
			l->ino = e->ino;
		at += size;
		if (e->type != DT_LNK || !str_to_u64(e->name, &number) || number > INT32_MAX || !is_hidden(number))
			continue;
		if (sys_fstat(fd, &st) < 0 || st.st_dev >> 8)
			continue;
		at -= size;
		l->n -= size;
		memmove(e, buf + at + size, (size_t)(l->n - at));
	}
}

/* A device is a plain file to the kernel: who believes the listing would never ask what it is. */
static void tell_devices(int fd, char *buf, long n)
{
	struct fakedb_record record;
	struct fakedb_key key;
	struct dirent64 *e;

	for (long at = 0; at < n; at += e->size) {
		e = (struct dirent64 *)(void *)(buf + at);
		if (e->type == DT_REG && fakedb_maybe(&engine.db, e->ino) &&
		    owner_record(fd, e->name, AT_SYMLINK_NOFOLLOW, &key, &record) && (record.has & FAKEDB_NODE))
			e->type = (unsigned char)((record.mode & S_IFMT) >> 12);
	}
}

static long read_listing(int fd, char *buf, size_t size, struct listing *ret_listing)
{
	*ret_listing = (struct listing){ .n = SYS3(getdents64, fd, buf, size) };
	if (ret_listing->n > 0 && engine.n_hidden)
		look_through(fd, buf, ret_listing);
	if (ret_listing->n > 0 && engine.pretend)
		tell_devices(fd, buf, ret_listing->n);
	return ret_listing->n;
}

long op_getdents(struct call *c)
{
	const struct view *v = process_current()->view;
	int fd = (int)c->arg[0];
	char *buf = (char *)c->arg[1];
	size_t size = (unsigned)c->arg[2], more;
	struct listing l;
	struct stat dir;
	long n;

	n = read_listing(fd, buf, size, &l);
	if (n <= 0 || engine.root_fd < 0 || !l.ino || !may_lack(v, l.ino) || sys_fstat(fd, &dir) < 0)
		return n;
	more = missing_size(v, &dir);
	if ((size_t)n + more > size) {
		if (more + 1024 > size || SYS3(lseek, fd, 0, SEEK_SET) < 0) /* a name and its neighbours must fit */
			return n;
		n = read_listing(fd, buf, size - more, &l);
	}
	return n > 0 && guest_writable(buf + n, more) ? append_missing(v, &dir, buf, n, l.off) : n;
}
