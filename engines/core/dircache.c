/* The directory cache. Layout of the file, in the byte order of the machine:
 *
 *      0  u64  magic and version; written last, so a file without it is one that is being made
 *      8  u64  seed: mixed into every entry, so that what a foreign or damaged file holds never matches
 *     16  u64  generation, from 1
 *   4096  u64  DIRCACHE_SLOTS entries
 *
 * An entry is a tag of 62 bits (hash of the path, seed and generation) and a kind of 2 bits; 0 is free. It may be
 * in any of the WAYS slots of the group its hash selects, which is half a cache line. Entries are only ever
 * replaced, and each is written by one store, so a reader sees a whole entry or another whole entry. */
#include "dircache.h"

#include <linux/mman.h>

#include "pathhash.h"
#include "sys.h"

#define MAGIC 0x31307269645f6475u /* "ud_dir01" */
#define WAYS 4
#define KIND_MASK ((uint64_t)3)

struct dircache {
	uint64_t magic;
	uint64_t seed;
	uint64_t generation;
	char unused[4096 - 24];
	uint64_t slots[DIRCACHE_SLOTS];
};

_Static_assert(sizeof(struct dircache) == DIRCACHE_SIZE, "the layout above");

static uint64_t load(const uint64_t *word)
{
	return __atomic_load_n(word, __ATOMIC_ACQUIRE);
}

/* Sets a header word unless another process has already done so. */
static void set_once(uint64_t *word, uint64_t value)
{
	uint64_t expected = 0;

	(void)__atomic_compare_exchange_n(word, &expected, value, false, __ATOMIC_ACQ_REL, __ATOMIC_ACQUIRE);
}

static void initialise(struct dircache *c)
{
	uint64_t seed = 0;

	/* Without randomness (an early boot, a filter) the address of the mapping has to do. */
	if (SYS3(getrandom, &seed, sizeof(seed), 1 /* GRND_NONBLOCK */) != (long)sizeof(seed))
		seed = (uint64_t)(uintptr_t)c * 0x9fb21c651e98df25u;
	set_once(&c->seed, seed | 1);
	set_once(&c->generation, 1);
	set_once(&c->magic, MAGIC);
}

/* Makes an empty file (or one whose maker died) as long as it has to be. Only grows it and writes nothing, so that
 * several processes may do it at once. */
static bool make_long_enough(int fd)
{
	uint64_t magic = 0;
	struct stat st;
	long ret;

	if (sys_fstatat(fd, "", &st, AT_EMPTY_PATH) < 0 || (st.st_mode & 0170000) != 0100000)
		return false;
	if (st.st_size >= DIRCACHE_SIZE)
		return true;
	ret = sys_pread(fd, &magic, sizeof(magic), 0);
	if (ret != 0 && (ret != (long)sizeof(magic) || (magic != 0 && magic != MAGIC)))
		return false; /* somebody else's file */
	/* Reserved blocks: a hole could meet a full disk later, which is SIGBUS. */
	if (sys_fallocate(fd, DIRCACHE_SIZE) >= 0)
		return true;
	return sys_ftruncate(fd, DIRCACHE_SIZE) >= 0;
}

static struct dircache *map_file(const char *path)
{
	struct dircache *c;
	uint64_t magic;
	long fd, addr;

	fd = sys_openat(AT_FDCWD, path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK, 0600);
	if (fd < 0)
		return NULL;
	addr = make_long_enough((int)fd) ? sys_mmap(NULL, DIRCACHE_SIZE, PROT_READ | PROT_WRITE, MAP_SHARED, (int)fd, 0)
					 : -1;
	(void)sys_close((int)fd);
	if (sys_is_err(addr))
		return NULL;
	c = (struct dircache *)addr;
	magic = load(&c->magic);
	if (magic == 0 && load(&c->slots[0]) == 0) {
		initialise(c);
		magic = load(&c->magic);
	}
	if (magic != MAGIC || load(&c->seed) == 0 || load(&c->generation) == 0) {
		(void)sys_munmap(c, DIRCACHE_SIZE);
		return NULL;
	}
	return c;
}

struct dircache *dircache_open(const char *path)
{
	struct dircache *c = path ? map_file(path) : NULL;
	long addr;

	if (c)
		return c;
	addr = sys_mmap(NULL, DIRCACHE_SIZE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (sys_is_err(addr))
		return NULL;
	c = (struct dircache *)addr;
	initialise(c);
	return c;
}

uint64_t dircache_generation(const struct dircache *c)
{
	return load(&c->generation);
}

void dircache_bump(struct dircache *c)
{
	(void)__atomic_add_fetch(&c->generation, 1, __ATOMIC_SEQ_CST);
}

uint64_t dircache_hash_root(void)
{
	return PATHHASH_ROOT;
}

uint64_t dircache_hash_component(uint64_t hash, const char *name, size_t len)
{
	return pathhash_component(hash, name, len);
}

static uint64_t tag_of(const struct dircache *c, uint64_t generation, uint64_t hash)
{
	/* Never 0, the free entry. */
	return (pathhash_fold(hash ^ c->seed, (generation << 1 | 1) * 0xd6e8feb86659fd93u) | (KIND_MASK + 1)) &
	       ~KIND_MASK;
}

enum dir_kind dircache_find(const struct dircache *c, uint64_t generation, uint64_t hash)
{
	const uint64_t *group = c->slots + hash % DIRCACHE_SLOTS / WAYS * WAYS;
	uint64_t tag = tag_of(c, generation, hash);

	for (unsigned i = 0; i < WAYS; i++) {
		uint64_t entry = __atomic_load_n(group + i, __ATOMIC_RELAXED);

		if ((entry ^ tag) <= KIND_MASK)
			return (enum dir_kind)(entry & KIND_MASK);
	}
	return DIR_UNKNOWN;
}

void dircache_add(struct dircache *c, uint64_t generation, uint64_t hash, enum dir_kind kind)
{
	uint64_t *group = c->slots + hash % DIRCACHE_SLOTS / WAYS * WAYS;
	uint64_t tag = tag_of(c, generation, hash);
	/* Which entries of a full group are stale cannot be told, so any goes. */
	unsigned victim = (unsigned)(tag >> 32) % WAYS;

	for (unsigned i = 0; i < WAYS; i++) {
		uint64_t entry = __atomic_load_n(group + i, __ATOMIC_RELAXED);

		if ((entry ^ tag) <= KIND_MASK || entry == 0) {
			victim = i;
			break;
		}
	}
	__atomic_store_n(group + victim, tag | (uint64_t)kind, __ATOMIC_RELAXED);
}
