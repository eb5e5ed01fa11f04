/* The fakedb's file: made complete or not at all, and mapped. */
#include <linux/errno.h>
#include <linux/fcntl.h>
#include <linux/mman.h>
#include <linux/resource.h>

#include "fakedb.h"
#include "fakedb_format.h"
#include "str.h"
#include "sys.h"

int fakedb_check_header(const struct fakedb *db)
{
	const struct header *h = header(db);

	if (db->size < PAGE || h->magic != MAGIC || h->entry_size != sizeof(struct entry) ||
	    h->check != checksum(h->seed, h, offsetof(struct header, check)))
		return -EUCLEAN;
	if (h->version == VERSION ? h->slots_offset != PAGE + FILTER_SIZE :
				    h->version != VERSION_UNFILTERED || h->slots_offset != PAGE)
		return -EUCLEAN;
	/* The checksum vouches for the writer, not for the file's length. */
	if (h->heap_offset > db->size || h->heap > db->size - h->heap_offset)
		return -EUCLEAN;
	return 0;
}

/* Rounds up to whole pages. */
static uint64_t pages(uint64_t size)
{
	return (size + PAGE - 1) & ~(uint64_t)(PAGE - 1);
}

static uint64_t random_seed(void)
{
	uint64_t seed = 0;

	/* Without randomness the hash is merely predictable. */
	(void)SYS3(getrandom, &seed, sizeof(seed), 1 /* GRND_NONBLOCK */);
	return seed;
}

static uint64_t layout(struct header *h, uint32_t slots, uint64_t entries, uint64_t heap)
{
	*h = (struct header){
		.magic = MAGIC,
		.version = VERSION,
		.entry_size = sizeof(struct entry),
		.seed = random_seed(),
		.slots = slots,
		.entries = entries,
		.heap = heap,
		.slots_offset = PAGE + FILTER_SIZE,
		.entries_used = 1,
		.heap_used = 8,
	};
	h->entries_offset = h->slots_offset + pages(slots * (uint64_t)sizeof(uint32_t));
	h->heap_offset = h->entries_offset + pages(entries * sizeof(struct entry));
	h->check = checksum(h->seed, h, offsetof(struct header, check));
	return h->heap_offset + pages(heap);
}

/* Whether this process may make a file of `size` at all: trying would be a SIGXFSZ. */
static int check_file_limit(uint64_t size)
{
	struct rlimit64 limit;

	if (SYS4(prlimit64, 0, RLIMIT_FSIZE, NULL, &limit) < 0)
		return 0;
	return size > limit.rlim_cur ? -EFBIG : 0;
}

/* A name beside `path` that no other process uses. */
static long temporary_name(char *buf, const char *path)
{
	long len = str_copy(buf, PATH_MAX - 32, path);

	if (len < 0)
		return len;
	len = str_append(buf, PATH_MAX, (size_t)len, ".new.");
	buf[len + str_from_u64(buf + len, random_seed())] = '\0';
	return 0;
}

/* Makes the file `name` complete, for a later link(2). Returns 0, or -errno and no file. */
static int write_file(const char *name, const struct header *h, uint64_t size)
{
	long fd = sys_openat(AT_FDCWD, name, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	long r;

	if (fd < 0)
		return (int)fd;
	r = sys_ftruncate((int)fd, (int64_t)size);
	if (r == 0) {
		r = sys_pwrite((int)fd, h, sizeof(*h), 0);
		if (r >= 0)
			r = r == sizeof(*h) ? 0 : -ENOSPC;
	}
	/* Readers look at every slot, and on a full tmpfs even reading a hole is a SIGBUS. Where this is not supported,
	 * holes can be read. */
	if (r == 0 && sys_fallocate((int)fd, (int64_t)h->entries_offset) == -ENOSPC)
		r = -ENOSPC;
	(void)sys_close((int)fd);
	if (r < 0)
		(void)SYS3(unlinkat, AT_FDCWD, name, 0);
	return (int)r;
}

/* Gives the complete file its name, unless there is one already. */
static int link_file(const char *temporary, const char *path)
{
	long r = SYS5(linkat, AT_FDCWD, temporary, AT_FDCWD, path, 0);

	/* Some file systems have no hard links. */
	if (r < 0 && r != -EEXIST)
		r = SYS5(renameat2, AT_FDCWD, temporary, AT_FDCWD, path, 1 /* RENAME_NOREPLACE */);
	return (int)r;
}

int fakedb_create_sized(const char *path, uint32_t slots, uint64_t entries, uint64_t heap)
{
	struct header h;
	uint64_t size;
	char *temporary;
	long r;

	/* Entry numbers are 32 bits wide in the index. */
	if (!slots || (slots & (slots - 1)) || entries < 2 || entries > UINT32_MAX || heap < PAGE || heap >> 40)
		return -EINVAL;
	size = layout(&h, slots, entries, heap);
	r = check_file_limit(size);
	if (r < 0)
		return (int)r;
	r = sys_mmap(NULL, PATH_MAX, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (sys_is_err(r))
		return (int)r;
	temporary = (char *)r;
	r = temporary_name(temporary, path);
	if (r >= 0)
		r = write_file(temporary, &h, size);
	if (r == 0) {
		r = link_file(temporary, path);
		(void)SYS3(unlinkat, AT_FDCWD, temporary, 0);
	}
	(void)sys_munmap(temporary, PATH_MAX);
	return (int)r;
}

/* Makes the largest database that the file system and the limits allow. The file is sparse: it costs what is used. */
static int create_default(const char *path)
{
	static const struct {
		uint32_t slots, entries, heap;
	} sizes[] = {
		{ 1u << 20, 1u << 20, 1u << 26 },
		{ 1u << 18, 1u << 19, 1u << 24 },
		{ 1u << 14, 1u << 16, 1u << 20 },
	};
	int r = 0;

	for (unsigned i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
		r = fakedb_create_sized(path, sizes[i].slots, sizes[i].entries, sizes[i].heap);
		if (r != -EFBIG && r != -ENOSPC && r != -EINVAL)
			return r;
	}
	return r;
}

/* Maps the open database file. */
static int map_file(struct fakedb *db, int fd, bool read_only)
{
	struct statx stx;
	long r = sys_statx(fd, "", AT_EMPTY_PATH, STATX_TYPE | STATX_SIZE, &stx);

	if (r < 0)
		return (int)r;
	if ((stx.stx_mode & TYPE_MASK) != TYPE_REGULAR || stx.stx_size < PAGE)
		return -EUCLEAN;
	r = sys_mmap(NULL, stx.stx_size, read_only ? PROT_READ : PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (sys_is_err(r))
		return (int)r;
	*db = (struct fakedb){ .map = (void *)r,
			       .size = stx.stx_size,
			       .read_only = read_only,
			       .dev_major = stx.stx_dev_major,
			       .dev_minor = stx.stx_dev_minor };
	r = fakedb_check_header(db);
	if (r < 0)
		fakedb_close(db);
	return (int)r;
}

/* Opens the file; one named by a descriptor, /proc/self/fd/N, also where there is no /proc. */
static long open_file(const char *path, int flags)
{
	static const char by_fd[] = "/proc/self/fd/";
	uint64_t fd;

	if (str_has_prefix(path, by_fd, sizeof(by_fd) - 1) && str_to_u64(path + sizeof(by_fd) - 1, &fd))
		return sys_fcntl((int)fd, F_DUPFD_CLOEXEC, 0);
	return sys_openat(AT_FDCWD, path, flags, 0);
}

int fakedb_open(struct fakedb *db, const char *path, bool create, bool read_only)
{
	int flags = (read_only ? O_RDONLY : O_RDWR) | O_CLOEXEC | O_NONBLOCK;
	long fd = open_file(path, flags);
	int r = 0;

	*db = (struct fakedb){ 0 };
	if (fd == -ENOENT && create && !read_only) {
		r = create_default(path);
		if (r < 0 && r != -EEXIST) {
			db->error = r;
			return r;
		}
		fd = open_file(path, flags);
	}
	/* Of an image in somebody else's store: then changes are refused, as they are anyway. */
	if (!read_only && (fd == -EACCES || fd == -EROFS))
		fd = open_file(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	if (fd >= 0) {
		r = map_file(db, (int)fd, read_only);
		if (r == -EACCES && !read_only)
			r = map_file(db, (int)fd, true);
		(void)sys_close((int)fd);
	} else {
		r = (int)fd;
	}
	db->error = r;
	return r;
}

void fakedb_close(struct fakedb *db)
{
	if (db->map)
		(void)sys_munmap(db->map, db->size);
	*db = (struct fakedb){ 0 };
}
