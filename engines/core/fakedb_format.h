/* The fakedb's file format, docs/reference/fakedb.md: shared by fakedb.c, which reads and changes what is in it, and
 * fakedb_file.c, which makes and opens it. */
#ifndef CORE_FAKEDB_FORMAT_H
#define CORE_FAKEDB_FORMAT_H

#include <stddef.h>
#include <stdint.h>

#include "fakedb.h"

#define MAGIC 0x3142446b636f6455ull /* "UdockDB1" */
#define VERSION 3
#define VERSION_UNFILTERED 2 /* the same without a filter */
#define PAGE 4096u /* granularity of the format; no smaller than what a disk writes at once */
#define PROBES_MAX 1024
#define FILTER_SIZE (4 * PAGE) /* of new files, in bytes; a power of two */
#define FILTER_BLOCK 64	       /* inode numbers of one bit */

#define TYPE_MASK 0170000u
#define TYPE_REGULAR 0100000u
#define VALUE_MAX 65536u /* XATTR_SIZE_MAX */
#define SET_MAX (4 * VALUE_MAX)

/* The first page. */
struct header {
	/* fixed at creation */
	uint64_t magic;
	uint32_t version, entry_size;
	uint64_t seed;
	uint64_t slots, entries, heap;			      /* capacities; `heap` in bytes */
	uint64_t slots_offset, entries_offset, heap_offset; /* in the file; the filter is between the first page and
							      * the slots */
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

static inline struct header *header(const struct fakedb *db)
{
	return db->map;
}

static inline uint64_t mix(uint64_t h)
{
	h = (h ^ h >> 32) * 0xd6e8feb86659fd93ull;
	h = (h ^ h >> 32) * 0xd6e8feb86659fd93ull;
	return h ^ h >> 32;
}

/* A checksum against torn writes and bit rot, not against malice. */
static inline uint64_t checksum(uint64_t seed, const void *data, size_t size)
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

/* Whether the mapped file is a database of this version whose parts lie inside it: 0 or -EUCLEAN. */
int fakedb_check_header(const struct fakedb *db);

#endif
