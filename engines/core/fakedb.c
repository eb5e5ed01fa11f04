/* The fakedb. An entry is immutable once published: every change appends a new one and swings the index slot of the
 * file from the old entry to the new by one compare-and-swap, so readers need no lock and a killed writer leaves at
 * most an entry that nothing points to. Slots never become empty again, which keeps the probe chains valid for
 * everybody. docs/reference/fakedb.md is the format. */
#include "fakedb.h"

#include <linux/errno.h>
#include <linux/fcntl.h>
#include <linux/futex.h>
#include <linux/mman.h>
#include <linux/resource.h>
#include <linux/xattr.h>

#include "str.h"
#include "sys.h"

#define MAGIC 0x3142446b636f6455ull /* "UdockDB1" */
#define VERSION 1
#define PAGE 4096u /* granularity of the format; no smaller than what a disk writes at once */
#define PROBES_MAX 1024

#define TYPE_MASK 0170000u
#define TYPE_REGULAR 0100000u
#define VALUE_MAX 65536u /* XATTR_SIZE_MAX */
#define SET_MAX (4 * VALUE_MAX)

#ifndef RLIM_INFINITY
#define RLIM_INFINITY (~0ul)
#endif

/* The first page. */
struct header {
	/* fixed at creation */
	uint64_t magic;
	uint32_t version, entry_size;
	uint64_t seed;
	uint64_t slots, entries, heap;			      /* capacities; `heap` in bytes */
	uint64_t slots_offset, entries_offset, heap_offset; /* in the file */
	uint64_t check;					      /* of the above */
	/* changing; on a cache line of its own */
	uint64_t pad[6];
	uint64_t entries_used; /* entry 0 is never used: slot value 0 means empty */
	uint64_t heap_used;    /* neither is the heap's first word */
};

struct entry {
	uint64_t ino, btime_ns;
	uint32_t dev_major, dev_minor;
	uint32_t has, mode;
	uint32_t uid, gid;
	uint32_t rdev_major, rdev_minor;
	uint64_t xattrs; /* offset of a struct set in the heap; 0 = none */
	uint64_t check;	 /* of the above and the entry's number */
};

/* All extended attributes of a file at one time: attributes follow one another. */
struct set {
	uint64_t check; /* of the rest and the body */
	uint64_t ino;
	uint32_t size; /* of the body in bytes */
	uint32_t count;
};

/* One attribute: its name, its value, and padding to a multiple of 4. */
struct attr {
	uint32_t name_len, value_len;
};

_Static_assert(sizeof(struct entry) == 64, "the format");
_Static_assert(sizeof(struct set) == 24 && sizeof(struct attr) == 8, "the format");
_Static_assert(offsetof(struct header, entries_used) == 128, "the format");

/* ---- parts of the map ---- */

static struct header *header(const struct fakedb *db)
{
	return db->map;
}

static uint32_t *slot_at(const struct fakedb *db, uint64_t i)
{
	return (uint32_t *)((char *)db->map + header(db)->slots_offset) + (i & (header(db)->slots - 1));
}

static struct entry *entry_at(const struct fakedb *db, uint64_t n)
{
	return (struct entry *)((char *)db->map + header(db)->entries_offset) + n;
}

static uint32_t load_slot(const struct fakedb *db, uint64_t i)
{
	return __atomic_load_n(slot_at(db, i), __ATOMIC_ACQUIRE);
}

/* The entry that a slot value names, or NULL when a damaged file names none. */
static const struct entry *entry_of(const struct fakedb *db, uint32_t n)
{
	return n < header(db)->entries ? entry_at(db, n) : NULL;
}

static uint64_t mix(uint64_t h)
{
	h = (h ^ h >> 32) * 0xd6e8feb86659fd93ull;
	h = (h ^ h >> 32) * 0xd6e8feb86659fd93ull;
	return h ^ h >> 32;
}

/* Where the probe chain of an inode begins. The device is no part of it, so that fakedb_maybe() can do without. */
static uint64_t home(const struct fakedb *db, uint64_t ino)
{
	return mix(ino ^ header(db)->seed);
}

static unsigned probes(const struct fakedb *db)
{
	return header(db)->slots < PROBES_MAX ? (unsigned)header(db)->slots : PROBES_MAX;
}

/* A checksum against torn writes and bit rot, not against malice. */
static uint64_t checksum(uint64_t seed, const void *data, size_t size)
{
	const unsigned char *p = data;
	uint64_t h = mix(seed + size), word;

	for (; size >= 8; size -= 8, p += 8) {
		__builtin_memcpy(&word, p, 8);
		h = (h ^ word) * 0x9e3779b97f4a7c15ull;
		h ^= h >> 29;
	}
	for (word = 0; size; size--)
		word = word << 8 | p[size - 1];
	return mix(h ^ word);
}

static uint64_t entry_check(const struct entry *e, uint64_t number)
{
	return checksum(number, e, offsetof(struct entry, check));
}

static uint64_t set_check(const struct set *s)
{
	return checksum(0, &s->ino, sizeof(*s) - offsetof(struct set, ino) + s->size);
}

/* ---- keys ---- */

void fakedb_key_from_statx(struct fakedb_key *ret_key, const struct statx *stx)
{
	*ret_key = (struct fakedb_key){ .ino = stx->stx_ino,
					.dev_major = stx->stx_dev_major,
					.dev_minor = stx->stx_dev_minor };
	if (stx->stx_mask & STATX_BTIME)
		ret_key->btime_ns = (uint64_t)stx->stx_btime.tv_sec * 1000000000u + stx->stx_btime.tv_nsec;
}

/* The key as it is stored: the database's own file system is device 0:0. */
static struct fakedb_key stored_key(const struct fakedb *db, const struct fakedb_key *key)
{
	struct fakedb_key k = *key;

	if (k.dev_major == db->dev_major && k.dev_minor == db->dev_minor)
		k.dev_major = k.dev_minor = 0;
	return k;
}

enum match {
	MATCH_OTHER, /* another file */
	MATCH_STALE, /* a file that had this inode number before */
	MATCH_SAME,
};

static enum match compare(const struct entry *e, const struct fakedb_key *key)
{
	bool born = e->btime_ns && key->btime_ns;

	if (e->ino != key->ino)
		return MATCH_OTHER;
	if (e->dev_major != key->dev_major || e->dev_minor != key->dev_minor) {
		/* File systems without a block device get another number at each mount; then the birth time decides. */
		bool renumbered = e->dev_major == 0 && key->dev_major == 0 && e->dev_minor && key->dev_minor;

		return renumbered && born && e->btime_ns == key->btime_ns ? MATCH_SAME : MATCH_OTHER;
	}
	return born && e->btime_ns != key->btime_ns ? MATCH_STALE : MATCH_SAME;
}

/* ---- reading ---- */

/* The entry of a file (as stored_key()), or NULL. */
static const struct entry *find(const struct fakedb *db, const struct fakedb_key *key)
{
	uint64_t i = home(db, key->ino);

	for (unsigned n = probes(db); n; n--, i++) {
		uint32_t number = load_slot(db, i);
		const struct entry *e;

		if (!number)
			return NULL;
		e = entry_of(db, number);
		if (e && compare(e, key) == MATCH_SAME)
			return e;
	}
	return NULL;
}

static void record_of(const struct entry *e, struct fakedb_record *ret_record)
{
	*ret_record = (struct fakedb_record){ .has = e->has,
					      .uid = e->uid,
					      .gid = e->gid,
					      .mode = e->mode,
					      .rdev_major = e->rdev_major,
					      .rdev_minor = e->rdev_minor };
}

bool fakedb_get(const struct fakedb *db, const struct fakedb_key *key, struct fakedb_record *ret_record)
{
	const struct entry *e;
	struct fakedb_key k;

	if (!db->map)
		return false;
	k = stored_key(db, key);
	e = find(db, &k);
	if (!e || !e->has)
		return false;
	record_of(e, ret_record);
	return true;
}

bool fakedb_maybe(const struct fakedb *db, uint64_t ino)
{
	uint64_t i;

	if (!db->map)
		return false;
	i = home(db, ino);
	for (unsigned n = probes(db); n; n--, i++) {
		uint32_t number = load_slot(db, i);
		const struct entry *e;

		if (!number)
			return false;
		e = entry_of(db, number);
		if (e && e->ino == ino && e->has)
			return true;
	}
	return false;
}

/* ---- writing ---- */

/* Makes sure that the page of `p` can be written. A store into a hole of a full disk would be a SIGBUS; the kernel's
 * own atomic "add 0" only fails. Asked before every store, for on copy-on-write file systems a page that was written
 * once can find no room the next time. Needs no descriptor, which the guest could close. */
static int touch(const void *p)
{
	uint32_t here = 0;
	long r = SYS6(futex, &here, FUTEX_WAKE_OP | FUTEX_PRIVATE_FLAG, 0, 0, (uintptr_t)p & ~3ull,
		      (long)FUTEX_OP(FUTEX_OP_ADD, 0, FUTEX_OP_CMP_EQ, 0));

	return r == -EFAULT ? -ENOSPC : 0;
}

static int touch_range(const void *p, size_t size)
{
	uintptr_t at = (uintptr_t)p, end = at + size;

	for (; at < end; at = (at | (PAGE - 1)) + 1)
		if (touch((const void *)at) < 0)
			return -ENOSPC;
	return 0;
}

/* Takes `n` units, `unit` bytes each, of the `capacity` at `base`, counted by *used. What is taken can be written.
 * Returns the first of them, or -ENOSPC. */
static int64_t take(uint64_t *used, uint64_t n, uint64_t capacity, const void *base, size_t unit)
{
	uint64_t old = __atomic_load_n(used, __ATOMIC_RELAXED);

	do {
		if (old > capacity || n > capacity - old)
			return -ENOSPC;
		/* First, so that no hole is ever counted: where memory is the disk, even reading one needs room. */
		if (touch_range((const char *)base + old * unit, n * unit) < 0 || touch(used) < 0)
			return -ENOSPC;
	} while (!__atomic_compare_exchange_n(used, &old, old + n, true, __ATOMIC_RELAXED, __ATOMIC_RELAXED));
	return (int64_t)old;
}

/* Writes `e` into a new entry. Returns its number or -ENOSPC. */
static int64_t append(struct fakedb *db, const struct entry *e)
{
	struct header *h = header(db);
	struct entry *new;
	int64_t number;

	do {
		number = take(&h->entries_used, 1, h->entries, entry_at(db, 0), sizeof(*e));
		if (number < 0)
			return number;
		new = entry_at(db, (uint64_t)number);
		/* After a crash of the machine the counter on the disk may lag behind what it counts. */
	} while (new->ino || new->check);
	*new = *e;
	new->check = entry_check(e, (uint64_t)number);
	return number;
}

/* Where a file's entry is or will be. */
struct place {
	uint32_t *slot;
	uint32_t number;	 /* what the slot held */
	const struct entry *old; /* the file's entry, or NULL when it has none (or only a stale one) */
};

/* The whole chain is searched for the file before a stale entry or the free slot at the end is taken for it. */
static int find_place(const struct fakedb *db, const struct fakedb_key *key, struct place *ret_place)
{
	uint64_t i = home(db, key->ino);
	struct place free = { .slot = NULL };

	for (unsigned n = probes(db); n; n--, i++) {
		struct place here = { .slot = slot_at(db, i), .number = load_slot(db, i) };
		const struct entry *e = entry_of(db, here.number);
		enum match match = here.number && e ? compare(e, key) : MATCH_OTHER;

		if (match == MATCH_SAME) {
			here.old = e;
			*ret_place = here;
			return 0;
		}
		if (!free.slot && (match == MATCH_STALE || !here.number))
			free = here;
		if (!here.number)
			break;
	}
	*ret_place = free;
	return free.slot ? 0 : -ENOSPC;
}

/* Publishes `e` at a place. Returns 1, 0 when another process was faster (look again), or -ENOSPC. */
static int publish(struct fakedb *db, const struct place *place, const struct entry *e)
{
	uint32_t expected = place->number;
	int64_t number = append(db, e);

	if (number < 0 || touch(place->slot) < 0)
		return -ENOSPC;
	return __atomic_compare_exchange_n(place->slot, &expected, (uint32_t)number, false, __ATOMIC_RELEASE,
					   __ATOMIC_RELAXED);
}

/* The entry to change: a copy of the known one, or a new one. */
static void begin(const struct place *place, const struct fakedb_key *key, struct entry *ret_entry)
{
	if (place->old)
		*ret_entry = *place->old;
	else
		*ret_entry = (struct entry){ .ino = key->ino };
	ret_entry->check = 0;
	ret_entry->dev_major = key->dev_major;
	ret_entry->dev_minor = key->dev_minor;
	if (key->btime_ns)
		ret_entry->btime_ns = key->btime_ns;
}

static void merge(struct entry *e, const struct fakedb_record *record)
{
	if (record->has & FAKEDB_OWNER) {
		e->uid = record->uid;
		e->gid = record->gid;
	}
	if (record->has & FAKEDB_MODE)
		e->mode = (e->mode & TYPE_MASK) | (record->mode & 07777);
	if (record->has & FAKEDB_NODE) {
		e->mode = (e->mode & 07777) | (record->mode & TYPE_MASK);
		e->rdev_major = record->rdev_major;
		e->rdev_minor = record->rdev_minor;
	}
	e->has |= record->has & (FAKEDB_OWNER | FAKEDB_MODE | FAKEDB_NODE);
}

int fakedb_update(struct fakedb *db, const struct fakedb_key *key, const struct fakedb_record *record)
{
	struct fakedb_key k;
	int r;

	if (db->read_only)
		return -EROFS;
	if (!db->map || !(record->has & (FAKEDB_OWNER | FAKEDB_MODE | FAKEDB_NODE)))
		return 0;
	k = stored_key(db, key);
	do {
		struct place place;
		struct entry e;

		r = find_place(db, &k, &place);
		if (r < 0)
			return r;
		begin(&place, &k, &e);
		merge(&e, record);
		/* Said before: room is for news only. */
		if (place.old && !memcmp(&e, place.old, offsetof(struct entry, check)))
			return 0;
		r = publish(db, &place, &e);
	} while (r == 0);
	return r < 0 ? r : 0;
}

int fakedb_withdraw(struct fakedb *db, const struct fakedb_key *key, uint32_t has)
{
	struct fakedb_key k;
	int r;

	if (db->read_only)
		return -EROFS;
	if (!db->map)
		return 0;
	k = stored_key(db, key);
	do {
		struct place place;
		struct entry e;

		r = find_place(db, &k, &place);
		if (r < 0 || !place.old || !(place.old->has & has))
			return 0;
		begin(&place, &k, &e);
		e.has &= ~has;
		if (has & FAKEDB_OWNER)
			e.uid = e.gid = 0;
		if (has & FAKEDB_MODE)
			e.mode &= TYPE_MASK;
		if (has & FAKEDB_NODE) {
			e.mode &= ~TYPE_MASK;
			e.rdev_major = e.rdev_minor = 0;
		}
		if (has & FAKEDB_XATTR)
			e.xattrs = 0;
		r = publish(db, &place, &e);
	} while (r == 0);
	return r < 0 ? r : 0;
}

int fakedb_forget(struct fakedb *db, const struct fakedb_key *key)
{
	return fakedb_withdraw(db, key, FAKEDB_OWNER | FAKEDB_MODE | FAKEDB_NODE | FAKEDB_XATTR);
}

/* ---- extended attributes ---- */

static const struct attr *first_attr(const struct set *s)
{
	return (const struct attr *)(s + 1);
}

static const char *attr_name(const struct attr *a)
{
	return (const char *)(a + 1);
}

static size_t attr_size(size_t name_len, size_t value_len)
{
	return (sizeof(struct attr) + name_len + value_len + 3) & ~(size_t)3;
}

static const struct attr *next_attr(const struct attr *a)
{
	return (const struct attr *)((const char *)a + attr_size(a->name_len, a->value_len));
}

/* The attributes of an entry, or NULL when it has none or when they are damaged. */
static const struct set *set_of(const struct fakedb *db, const struct entry *e)
{
	const struct header *h = header(db);
	const struct set *s;
	size_t size = 0;

	if (!e || !e->xattrs || e->xattrs % 8 || e->xattrs > h->heap - sizeof(*s))
		return NULL;
	s = (const struct set *)((const char *)db->map + h->heap_offset + e->xattrs);
	if (s->ino != e->ino || s->size > h->heap - sizeof(*s) - e->xattrs || s->check != set_check(s))
		return NULL;
	/* The checksum holds: its sizes are what a writer wrote. Make sure all the same, for they lead the pointers. */
	for (uint32_t i = 0; i < s->count; i++) {
		const struct attr *a = (const struct attr *)((const char *)first_attr(s) + size);

		if (s->size - size < sizeof(*a) || a->name_len > NAME_MAX || a->value_len > VALUE_MAX)
			return NULL;
		size += attr_size(a->name_len, a->value_len);
		if (size > s->size)
			return NULL;
	}
	return size == s->size ? s : NULL;
}

static const struct attr *find_attr(const struct set *s, const char *name, size_t name_len)
{
	const struct attr *a;

	if (!s)
		return NULL;
	a = first_attr(s);
	for (uint32_t i = 0; i < s->count; i++, a = next_attr(a))
		if (a->name_len == name_len && !memcmp(attr_name(a), name, name_len))
			return a;
	return NULL;
}

/* The length of an attribute's name, or -ERANGE. */
static long name_length(const char *name)
{
	size_t n = 0;

	while (n <= NAME_MAX && name[n])
		n++;
	return n == 0 || n > NAME_MAX ? -ERANGE : (long)n;
}

static const struct set *find_set(const struct fakedb *db, const struct fakedb_key *key)
{
	struct fakedb_key k;

	if (!db->map)
		return NULL;
	k = stored_key(db, key);
	return set_of(db, find(db, &k));
}

long fakedb_getxattr(const struct fakedb *db, const struct fakedb_key *key, const char *name, void *value,
		     size_t size)
{
	long name_len = name_length(name);
	const struct attr *a;

	if (name_len < 0)
		return name_len;
	a = find_attr(find_set(db, key), name, (size_t)name_len);
	if (!a)
		return -ENODATA;
	if (size && size < a->value_len)
		return -ERANGE;
	if (size)
		memcpy(value, attr_name(a) + a->name_len, a->value_len);
	return a->value_len;
}

long fakedb_listxattr(const struct fakedb *db, const struct fakedb_key *key, char *list, size_t size)
{
	const struct set *s = find_set(db, key);
	const struct attr *a;
	size_t len = 0;

	if (!s)
		return 0;
	a = first_attr(s);
	for (uint32_t i = 0; i < s->count; i++, a = next_attr(a)) {
		if (size) {
			if (size - len < a->name_len + 1)
				return -ERANGE;
			memcpy(list + len, attr_name(a), a->name_len);
			list[len + a->name_len] = '\0';
		}
		len += a->name_len + 1;
	}
	return (long)len;
}

/* One change of an attribute: value NULL = remove it. */
struct change {
	const char *name;
	size_t name_len;
	const void *value;
	size_t size;
};

static char *put_attr(char *at, const char *name, size_t name_len, const void *value, size_t value_len)
{
	struct attr *a = (struct attr *)at;

	*a = (struct attr){ .name_len = (uint32_t)name_len, .value_len = (uint32_t)value_len };
	memcpy(at + sizeof(*a), name, name_len);
	memcpy(at + sizeof(*a) + name_len, value, value_len);
	return at + attr_size(name_len, value_len);
}

/* Writes a set that is `old` (or NULL, none) with the attribute `gone` (or NULL) replaced by the change. Stores its
 * heap offset, 0 for the empty set. Returns 0 or -ENOSPC. */
static int write_set(struct fakedb *db, uint64_t ino, const struct set *old, const struct attr *gone,
		     const struct change *change, uint64_t *ret_offset)
{
	struct header *h = header(db);
	uint32_t old_count = old ? old->count : 0;
	size_t size = old ? old->size : 0;
	uint32_t count = old_count;
	const struct attr *a;
	struct set *s;
	int64_t at;
	char *p;

	if (gone) {
		size -= attr_size(gone->name_len, gone->value_len);
		count--;
	}
	if (change->value) {
		size += attr_size(change->name_len, change->size);
		count++;
	}
	*ret_offset = 0;
	if (!count)
		return 0;
	if (size > SET_MAX)
		return -ENOSPC;
	at = take(&h->heap_used, (sizeof(*s) + size + 7) & ~7ull, h->heap, (char *)db->map + h->heap_offset, 1);
	if (at < 0)
		return (int)at;
	s = (struct set *)((char *)db->map + h->heap_offset + (uint64_t)at);
	*s = (struct set){ .ino = ino, .size = (uint32_t)size, .count = count };
	/* The padding between attributes must be zero even where a lost write was before. */
	memset(s + 1, 0, size);
	p = (char *)(s + 1);
	a = old ? first_attr(old) : NULL;
	for (uint32_t i = 0; i < old_count; i++, a = next_attr(a))
		if (a != gone)
			p = put_attr(p, attr_name(a), a->name_len, attr_name(a) + a->name_len, a->value_len);
	if (change->value)
		(void)put_attr(p, change->name, change->name_len, change->value, change->size);
	s->check = set_check(s);
	*ret_offset = (uint64_t)at;
	return 0;
}

/* Whether the flags of setxattr(2) allow it: 0 or -errno. */
static int check_flags(int flags, bool exists)
{
	if (exists && (flags & XATTR_CREATE))
		return -EEXIST;
	if (!exists && (flags & XATTR_REPLACE))
		return -ENODATA;
	return 0;
}

/* Applies a change to a file's attributes. */
static int change_xattr(struct fakedb *db, const struct fakedb_key *key, const struct change *change, int flags)
{
	struct fakedb_key k = stored_key(db, key);
	int r;

	do {
		struct place place;
		const struct attr *gone;
		const struct set *old;
		struct entry e;

		r = find_place(db, &k, &place);
		if (r < 0)
			return r;
		old = set_of(db, place.old);
		gone = find_attr(old, change->name, change->name_len);
		r = check_flags(flags, gone);
		if (r < 0)
			return r;
		begin(&place, &k, &e);
		r = write_set(db, k.ino, old, gone, change, &e.xattrs);
		if (r < 0)
			return r;
		e.has = (e.has & ~(uint32_t)FAKEDB_XATTR) | (e.xattrs ? FAKEDB_XATTR : 0);
		r = publish(db, &place, &e);
	} while (r == 0);
	return r < 0 ? r : 0;
}

int fakedb_setxattr(struct fakedb *db, const struct fakedb_key *key, const char *name, const void *value, size_t size,
		    int flags)
{
	long name_len = name_length(name);
	struct change change = { .name = name, .value = value ? value : "", .size = size };

	if (flags & ~(XATTR_CREATE | XATTR_REPLACE))
		return -EINVAL;
	if (name_len < 0)
		return (int)name_len;
	if (size > VALUE_MAX)
		return -E2BIG;
	if (db->read_only)
		return -EROFS;
	if (!db->map)
		return 0;
	change.name_len = (size_t)name_len;
	return change_xattr(db, key, &change, flags);
}

int fakedb_removexattr(struct fakedb *db, const struct fakedb_key *key, const char *name)
{
	long name_len = name_length(name);
	struct change change = { .name = name };

	if (name_len < 0)
		return (int)name_len;
	if (db->read_only)
		return -EROFS;
	if (!db->map)
		return -ENODATA;
	change.name_len = (size_t)name_len;
	return change_xattr(db, key, &change, XATTR_REPLACE);
}

/* ---- all of it ---- */

/* Whether the slot chain of the entry's inode leads to entry `number`. */
static bool is_published(const struct fakedb *db, uint64_t number, const struct entry *e)
{
	uint64_t i = home(db, e->ino);

	for (unsigned n = probes(db); n; n--, i++) {
		uint32_t at = load_slot(db, i);

		if (!at || at == number)
			return at;
	}
	return false;
}

bool fakedb_next(const struct fakedb *db, uint64_t *cursor, struct fakedb_key *ret_key,
		 struct fakedb_record *ret_record)
{
	uint64_t used;

	if (!db->map)
		return false;
	used = __atomic_load_n(&header(db)->entries_used, __ATOMIC_ACQUIRE);
	if (used > header(db)->entries)
		used = header(db)->entries;
	while (++*cursor < used) {
		const struct entry *e = entry_at(db, *cursor);

		if (!e->ino || !e->has || !is_published(db, *cursor, e))
			continue;
		*ret_key = (struct fakedb_key){ e->ino, e->dev_major, e->dev_minor, e->btime_ns };
		if (!e->dev_major && !e->dev_minor) {
			ret_key->dev_major = db->dev_major;
			ret_key->dev_minor = db->dev_minor;
		}
		record_of(e, ret_record);
		return true;
	}
	return false;
}

static bool is_sound(const struct fakedb *db, uint32_t number)
{
	const struct entry *e = entry_of(db, number);

	if (!e || number >= __atomic_load_n(&header(db)->entries_used, __ATOMIC_ACQUIRE))
		return false;
	if (e->check != entry_check(e, number) || !is_published(db, number, e))
		return false;
	return !(e->has & FAKEDB_XATTR) == !e->xattrs && (!e->xattrs || set_of(db, e));
}

static int check_header(const struct fakedb *db)
{
	const struct header *h = header(db);

	if (db->size < PAGE || h->magic != MAGIC || h->version != VERSION || h->entry_size != sizeof(struct entry) ||
	    h->check != checksum(h->seed, h, offsetof(struct header, check)))
		return -EUCLEAN;
	/* The checksum vouches for the writer, not for the file's length. */
	if (h->heap_offset > db->size || h->heap > db->size - h->heap_offset)
		return -EUCLEAN;
	return 0;
}

long fakedb_verify(const struct fakedb *db)
{
	long damaged = 0;
	int r;

	if (!db->map)
		return db->error;
	r = check_header(db);
	if (r < 0)
		return r;
	for (uint64_t i = 0; i < header(db)->slots; i++) {
		uint32_t number = load_slot(db, i);

		/* A slot that was swung meanwhile is no damage. */
		if (number && !is_sound(db, number) && load_slot(db, i) == number)
			damaged++;
	}
	return damaged;
}

/* ---- files ---- */

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
		.slots_offset = PAGE,
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
	r = SYS2(ftruncate, fd, size);
	if (r == 0) {
		r = sys_pwrite((int)fd, h, sizeof(*h), 0);
		if (r >= 0)
			r = r == sizeof(*h) ? 0 : -ENOSPC;
	}
	/* Readers look at every slot, and on a full tmpfs even reading a hole is a SIGBUS. Where this is not supported,
	 * holes can be read. */
	if (r == 0 && SYS4(fallocate, fd, 0, 0, h->entries_offset) == -ENOSPC)
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
	r = check_header(db);
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
	if (fd >= 0) {
		r = map_file(db, (int)fd, read_only);
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
