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

#include "fakedb_format.h"
#include "str.h"
#include "sys.h"

/* ---- parts of the map ---- */

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

#define NEIGHBOURS 16 /* slots of a cache line */

/* Where the probe chain of an inode begins. The device is no part of it, so that fakedb_maybe() can do without. The
 * chains of files made one after the other, as those of a directory are, begin in one cache line. */
static uint64_t home(const struct fakedb *db, uint64_t ino)
{
	return mix(ino / NEIGHBOURS ^ header(db)->seed) * NEIGHBOURS + ino % NEIGHBOURS;
}

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

/* ---- the filter ---- */

/* The word of the filter that speaks of an inode number, and the bit in it; NULL in a file without a filter. */
static uint32_t *filter_at(const struct fakedb *db, uint64_t ino, uint32_t *ret_bit)
{
	uint64_t i = mix(ino / FILTER_BLOCK ^ header(db)->seed) % (FILTER_SIZE * 8);

	*ret_bit = 1u << i % 32;
	return header(db)->slots_offset == PAGE ? NULL : (uint32_t *)((char *)db->map + PAGE) + i / 32;
}

/* Whether an inode number may be in the index. Most files are not, and to say so of all files of a tree touches this
 * much memory instead of the whole index. */
static bool filter_passes(const struct fakedb *db, uint64_t ino)
{
	uint32_t bit, *word = filter_at(db, ino, &bit);

	return !word || (__atomic_load_n(word, __ATOMIC_ACQUIRE) & bit);
}

/* Returns 0 or -ENOSPC. */
static int filter_add(struct fakedb *db, uint64_t ino)
{
	uint32_t bit, *word = filter_at(db, ino, &bit);

	if (filter_passes(db, ino))
		return 0;
	if (touch(word) < 0)
		return -ENOSPC;
	(void)__atomic_or_fetch(word, bit, __ATOMIC_RELEASE);
	return 0;
}

static unsigned probes(const struct fakedb *db)
{
	return header(db)->slots < PROBES_MAX ? (unsigned)header(db)->slots : PROBES_MAX;
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

	if (!filter_passes(db, key->ino))
		return NULL;
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

	if (!db->map || !filter_passes(db, ino))
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

	if (number < 0 || filter_add(db, e->ino) < 0 || touch(place->slot) < 0)
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

#define MERGED ((uint32_t)(FAKEDB_OWNER | FAKEDB_MODE | FAKEDB_NODE | FAKEDB_LINKS))

static void merge(struct entry *e, const struct fakedb_record *record)
{
	if (record->has & FAKEDB_OWNER) {
		e->uid = record->uid;
		e->gid = record->gid;
	}
	if (record->has & FAKEDB_MODE)
		e->mode = (e->mode & TYPE_MASK) | (record->mode & 07777);
	if (record->mode & TYPE_MASK && ((record->has & FAKEDB_NODE) || !(e->has & FAKEDB_NODE)))
		e->mode = (e->mode & 07777) | (record->mode & TYPE_MASK);
	if (record->has & FAKEDB_NODE) {
		e->rdev_major = record->rdev_major;
		e->rdev_minor = record->rdev_minor;
	}
	e->has |= record->has & MERGED;
}

int fakedb_update(struct fakedb *db, const struct fakedb_key *key, const struct fakedb_record *record)
{
	struct fakedb_key k;
	int r;

	if (db->read_only)
		return -EROFS;
	if (!db->map || !(record->has & MERGED))
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
	return fakedb_withdraw(db, key, MERGED | FAKEDB_XATTR);
}

int fakedb_removed(struct fakedb *db, const struct fakedb_key *key)
{
	const struct entry *e;
	struct fakedb_key k;

	if (!db->map)
		return 0;
	k = stored_key(db, key);
	e = find(db, &k);
	return e && e->has && !(e->btime_ns && k.btime_ns) ? fakedb_forget(db, key) : 0;
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

/* ---- copies of files ---- */

int fakedb_inherit(struct fakedb *db, const struct fakedb_key *to, const struct fakedb *from_db,
		   const struct fakedb_key *from)
{
	struct fakedb_key f, t;
	int r;

	if (db->read_only)
		return -EROFS;
	if (!db->map || !from_db->map)
		return 0;
	f = stored_key(from_db, from);
	t = stored_key(db, to);
	do {
		const struct entry *source = find(from_db, &f);
		struct place place;
		struct entry e;

		if (!source || !source->has)
			return fakedb_forget(db, to);
		r = find_place(db, &t, &place);
		if (r < 0)
			return r;
		e = *source;
		e.has &= ~(uint32_t)FAKEDB_LINKS;
		e.ino = t.ino;
		e.btime_ns = t.btime_ns;
		e.dev_major = t.dev_major;
		e.dev_minor = t.dev_minor;
		r = write_set(db, t.ino, set_of(from_db, source), NULL, &(struct change){ 0 }, &e.xattrs);
		if (r < 0)
			return r;
		r = publish(db, &place, &e);
	} while (r == 0);
	return r < 0 ? r : 0;
}

int fakedb_unguard(struct fakedb *db)
{
	if (db->read_only)
		return -EROFS;
	for (uint64_t n = 1; db->map && n < header(db)->entries_used && n < header(db)->entries; n++) {
		struct entry *e = entry_at(db, n);

		if (touch(e) < 0)
			return -ENOSPC;
		e->btime_ns = 0;
		e->check = entry_check(e, n);
	}
	return 0;
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

long fakedb_verify(const struct fakedb *db)
{
	long damaged = 0;
	int r;

	if (!db->map)
		return db->error;
	r = fakedb_check_header(db);
	if (r < 0)
		return r;
	for (uint64_t i = 0; i < header(db)->slots; i++) {
		uint32_t number = load_slot(db, i);

		/* A slot that was swung meanwhile is no damage. */
		if (number && !(is_sound(db, number) && filter_passes(db, entry_at(db, number)->ino)) &&
		    load_slot(db, i) == number)
			damaged++;
	}
	return damaged;
}

/* ---- repair ---- */

/* Whether a file with this inode number on this device is known, itself or one that came after it. */
static bool has_successor(const struct fakedb *db, const struct fakedb_key *key)
{
	uint64_t i = home(db, key->ino);

	for (unsigned n = probes(db); n; n--, i++) {
		uint32_t number = load_slot(db, i);

		if (!number)
			return false;
		if (compare(entry_at(db, number), key) != MATCH_OTHER)
			return true;
	}
	return false;
}

/* Copies entry `e` of `old`. Attributes that are damaged are left behind. Returns 0 or -errno. */
static int copy_entry(const struct fakedb *old, const struct entry *e, struct fakedb *fresh)
{
	const struct fakedb_key key = { e->ino, e->dev_major, e->dev_minor, e->btime_ns };
	const struct change none = { 0 };
	const struct set *s = set_of(old, e);
	struct entry copy = *e;
	struct place place;
	int r = find_place(fresh, &key, &place);

	copy.check = 0;
	copy.has &= ~(uint32_t)FAKEDB_XATTR;
	copy.has |= s ? FAKEDB_XATTR : 0;
	copy.xattrs = 0;
	if (r == 0 && s)
		r = write_set(fresh, e->ino, s, NULL, &none, &copy.xattrs);
	return r < 0 ? r : publish(fresh, &place, &copy) < 0 ? -ENOSPC : 0;
}

/* From the last change to the first, for the index may lie about which one counts; so may the counter of changes. What
 * a killed writer had not published yet counts, too: its change was in flight. */
long fakedb_salvage(const struct fakedb *old, struct fakedb *fresh)
{
	long n = 0;

	if (!old->map || !fresh->map || fresh->read_only)
		return -EINVAL;
	for (uint64_t number = header(old)->entries - 1; number; number--) {
		const struct entry *e = entry_at(old, number);
		const struct fakedb_key key = { e->ino, e->dev_major, e->dev_minor, e->btime_ns };
		int r;

		if (!e->ino || e->check != entry_check(e, number) || has_successor(fresh, &key))
			continue;
		/* A file that was forgotten is copied as such, and covers what was known before. */
		r = copy_entry(old, e, fresh);
		if (r < 0)
			return r;
		n += e->has != 0;
	}
	return n;
}

void fakedb_usage(const struct fakedb *db, struct fakedb_usage *ret_usage)
{
	const struct header *h = header(db);

	*ret_usage = (struct fakedb_usage){ 0 };
	if (!db->map)
		return;
	*ret_usage = (struct fakedb_usage){
		.entries = h->entries,
		.entries_used = __atomic_load_n(&h->entries_used, __ATOMIC_RELAXED),
		.heap = h->heap,
		.heap_used = __atomic_load_n(&h->heap_used, __ATOMIC_RELAXED),
	};
}
