/* Which sites were found in which file, kept for the next program that maps it. A file beside the directory cache,
 * shared by all processes of a container. In the byte order of the machine:
 *
 *     0  u64  magic and version
 *     8  u64  bytes in use from ENTRIES on
 *    64  u32  INDEX_SLOTS offsets of entries, 0 = free; an entry is in one of the WAYS slots from its key's hash on
 *  ENTRIES    entries: struct entry and its sites
 *
 * Entries are only ever added: room for one is taken by an atomic addition, and it is there for others once its offset
 * is in the index. What a crash of the machine left is told by the checksum. When the file is full nothing is added any
 * more; it can be deleted at any time. */
#include <linux/errno.h>
#include <linux/mman.h>

#include "calls/calls.h"
#include "pathhash.h"
#include "preload.h"

#define MAGIC 0x3130657469736475u /* "udsite01" */
#define SIZE (1ul << 20)
#define INDEX_SLOTS 8192u
#define WAYS 8u
#define ENTRIES (64 + INDEX_SLOTS * 4)
#define YOUNG 2000000000u /* ns: a file may change again without its time changing */

struct file {
	uint64_t magic, used;
	char unused[48];
	uint32_t index[INDEX_SLOTS];
	uint8_t entries[SIZE - ENTRIES];
};

struct entry {
	struct site_key key;
	uint64_t sum;
	uint64_t n;
	struct site sites[];
};

static struct file *cache;
static uint64_t helper; /* what tells this build of the engine: other builds may find other sites */

static uint64_t hash_words(uint64_t hash, const void *data, size_t size)
{
	const uint64_t *word = data;

	for (; size >= 8; size -= 8)
		hash = pathhash_fold(hash ^ *word++, 0x9fb21c651e98df25u);
	return hash;
}

static uint64_t sum_of(const struct site_key *key, const struct site *sites, uint64_t n)
{
	_Static_assert(sizeof(struct site) == 8, "hashed by words");

	return hash_words(hash_words(helper ^ n, key, sizeof(*key)), sites, n * sizeof(*sites));
}

void sitecache_open(const char *directory_cache)
{
	struct stat st;
	char path[PATH_MAX];
	uint64_t magic = 0;
	long fd, at, n;

	if (!directory_cache)
		return;
	n = str_copy(path, sizeof(path), directory_cache);
	if (n < 0 || str_append(path, sizeof(path), (size_t)n, ".sites") < 0 ||
	    sys_fstatat(AT_FDCWD, "/proc/self/exe", &st, 0) < 0)
		return;
	helper = hash_words(0, &st.st_ino, 8) ^ hash_words(1, &st.st_mtime, 8) ^ (uint64_t)st.st_mtime_nsec;
	fd = sys_openat(AT_FDCWD, path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK, 0600);
	if (fd < 0)
		return;
	/* Reserved blocks: a hole could meet a full disk later, which is SIGBUS. */
	if (sys_fstatat((int)fd, "", &st, AT_EMPTY_PATH) == 0 && (st.st_mode & S_IFMT) == S_IFREG &&
	    (st.st_size >= (long)SIZE || sys_fallocate((int)fd, SIZE) >= 0)) {
		at = sys_mmap(NULL, SIZE, PROT_READ | PROT_WRITE, MAP_SHARED, (int)fd, 0);
		if (!sys_is_err(at))
			cache = (struct file *)at;
	}
	(void)sys_close((int)fd);
	/* Compare-and-exchange writes to the page even when it fails, and each program would wait for the disk. */
	if (cache && __atomic_load_n(&cache->magic, __ATOMIC_ACQUIRE) != MAGIC &&
	    !__atomic_compare_exchange_n(&cache->magic, &magic, MAGIC, false, __ATOMIC_ACQ_REL, __ATOMIC_ACQUIRE) &&
	    magic != MAGIC) {
		(void)sys_munmap(cache, SIZE);
		cache = NULL; /* somebody else's file */
	}
}

struct site_key sitecache_key(const struct stat *st, uint64_t offset, uint64_t length)
{
	return (struct site_key){
		.dev = st->st_dev,
		.ino = st->st_ino,
		.size = (uint64_t)st->st_size,
		.ctime = (uint64_t)st->st_ctime * 1000000000u + (uint64_t)st->st_ctime_nsec,
		.offset = offset,
		.length = length,
	};
}

static uint32_t *slot_of(const struct site_key *key, unsigned way)
{
	return &cache->index[(hash_words(helper, key, sizeof(*key)) + way) % INDEX_SLOTS];
}

/* The entry at an offset of the index, if it is whole. */
static const struct entry *entry_at(uint32_t offset)
{
	const struct entry *e = (const struct entry *)(const void *)(cache->entries + offset);

	if (offset % 8 || offset > sizeof(cache->entries) - sizeof(*e) ||
	    e->n > (sizeof(cache->entries) - sizeof(*e) - offset) / sizeof(struct site))
		return NULL;
	return e;
}

const struct site *sitecache_find(const struct site_key *key, size_t *ret_n)
{
	for (unsigned way = 0; cache && way < WAYS; way++) {
		uint32_t offset = __atomic_load_n(slot_of(key, way), __ATOMIC_ACQUIRE);
		const struct entry *e = offset ? entry_at(offset) : NULL;

		if (!e || memcmp(&e->key, key, sizeof(*key)) != 0 || e->sum != sum_of(key, e->sites, e->n))
			continue;
		*ret_n = e->n;
		return e->sites;
	}
	return NULL;
}

/* Whether the file has not changed for so long that its time would tell the next change. */
static bool has_settled(const struct site_key *key)
{
	struct {
		int64_t seconds, nanoseconds;
	} now;

	return SYS2(clock_gettime, 0, &now) == 0 &&
	       key->ctime + YOUNG < (uint64_t)now.seconds * 1000000000u + (uint64_t)now.nanoseconds;
}

void sitecache_add(const struct site_key *key, const struct site *sites, size_t n)
{
	const uint64_t size = sizeof(struct entry) + n * sizeof(*sites);
	uint64_t offset;
	struct entry *e;

	if (!cache || !has_settled(key) || size > sizeof(cache->entries) / 2 ||
	    __atomic_load_n(&cache->used, __ATOMIC_RELAXED) > sizeof(cache->entries) - size - 8)
		return;
	offset = 8 + __atomic_fetch_add(&cache->used, size, __ATOMIC_ACQ_REL); /* 0 is a free slot's */
	if (offset > sizeof(cache->entries) - size)
		return;
	e = (struct entry *)(void *)(cache->entries + offset);
	e->key = *key;
	e->n = n;
	memcpy(e->sites, sites, n * sizeof(*sites));
	e->sum = sum_of(key, sites, n);
	for (unsigned way = 0; way < WAYS; way++) {
		uint32_t none = 0;

		if (__atomic_compare_exchange_n(slot_of(key, way), &none, (uint32_t)offset, false, __ATOMIC_ACQ_REL,
						__ATOMIC_RELAXED))
			return;
	}
}
