/* The fakedb: what files pretend to be (owner, mode, device, extended attributes), in one memory-mapped file per
 * container. Read without locks on every stat; written by many processes at once; every change is published by one
 * atomic store, so a process killed at any instruction loses at most the operation in flight. A file is known by its
 * inode number and its device, guarded by its birth time, so that a reused inode never inherits an owner.
 * Format: docs/reference/fakedb.md. */
#ifndef CORE_FAKEDB_H
#define CORE_FAKEDB_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <linux/stat.h>

struct fakedb {
	void *map; /* NULL = nothing is remembered: lookups find nothing, changes succeed and are forgotten */
	size_t size;
	bool read_only;
	int error; /* of the last failed opening, -errno */
	uint32_t dev_major, dev_minor; /* the file system that holds the database: its files are stored as device 0:0,
					* so that they stay known when the device number changes with the next mount */
};

struct fakedb_key {
	uint64_t ino;
	uint32_t dev_major, dev_minor;
	uint64_t btime_ns; /* 0 = the filesystem has none */
};

enum fakedb_has {
	FAKEDB_OWNER = 1 << 0,
	FAKEDB_MODE = 1 << 1, /* the permission, set-id and sticky bits (07777) */
	FAKEDB_NODE = 1 << 2, /* file type and rdev: a plain file that pretends to be a device */
	FAKEDB_XATTR = 1 << 3, /* there are remembered extended attributes */
	FAKEDB_LINKS = 1 << 4, /* a file shared with an image had several names there */
};

struct fakedb_record {
	uint32_t has; /* enum fakedb_has */
	uint32_t uid, gid;
	uint32_t mode; /* st_mode bits: those of 07777 with MODE; S_IFMT is what NODE pretends, else the type of the
			* file on the disk, 0 = not told */
	uint32_t rdev_major, rdev_minor;
};

/* Opens (creating when `create`) the database file; one that may only be read is opened so, and changes are -EROFS.
 * Returns 0 or -errno (-EUCLEAN: this is no database, or a damaged one); on failure *db is the empty one. */
int fakedb_open(struct fakedb *db, const char *path, bool create, bool read_only);
void fakedb_close(struct fakedb *db);

/* Makes an empty database with room for `slots` files (a power of two), `entries` changes and `heap` bytes of extended
 * attributes. It appears complete or not at all. Returns 0 or -errno (-EEXIST). fakedb_open() chooses by itself. */
int fakedb_create_sized(const char *path, uint32_t slots, uint64_t entries, uint64_t heap);

void fakedb_key_from_statx(struct fakedb_key *ret_key, const struct statx *stx);

/* Returns whether the file is known, and what it pretends. Never blocks, makes no system call. */
bool fakedb_get(const struct fakedb *db, const struct fakedb_key *key, struct fakedb_record *ret_record);

/* Whether any file of this inode number may be known: a cheap test before the birth time is asked for. */
bool fakedb_maybe(const struct fakedb *db, uint64_t ino);

/* Merges the fields of `record` that its `has` names into what is known (FAKEDB_XATTR is ignored). 0 or -errno
 * (-ENOSPC, -EROFS). */
int fakedb_update(struct fakedb *db, const struct fakedb_key *key, const struct fakedb_record *record);

/* Takes back what is known of a file: the bits of enum fakedb_has in `has`. 0 or -errno. */
int fakedb_withdraw(struct fakedb *db, const struct fakedb_key *key, uint32_t has);

/* Makes file `to`, a copy of `from`, pretend all that `from` does in `from_db`, which may be the same database;
 * FAKEDB_LINKS is not inherited. 0 or -errno. */
int fakedb_inherit(struct fakedb *db, const struct fakedb_key *to, const struct fakedb *from_db,
		   const struct fakedb_key *from);

/* Takes the birth times from all that is known, so that an inode number alone tells. For a database that nobody else
 * has open, of files that live as long as it does: on overlayfs a file is born again when it changes. 0 or -errno. */
int fakedb_unguard(struct fakedb *db);

/* Forgets a file. */
int fakedb_forget(struct fakedb *db, const struct fakedb_key *key);

/* The last link of a file went: forgets it where no birth time will tell it from the next with its inode number. */
int fakedb_removed(struct fakedb *db, const struct fakedb_key *key);

/* Extended attributes, semantics of getxattr(2), setxattr(2), listxattr(2), removexattr(2): >= 0 or -errno. */
long fakedb_getxattr(const struct fakedb *db, const struct fakedb_key *key, const char *name, void *value, size_t size);
int fakedb_setxattr(struct fakedb *db, const struct fakedb_key *key, const char *name, const void *value, size_t size,
		    int flags);
long fakedb_listxattr(const struct fakedb *db, const struct fakedb_key *key, char *list, size_t size);
int fakedb_removexattr(struct fakedb *db, const struct fakedb_key *key, const char *name);

/* Visits every live record in file order: start with *cursor = 0; false at the end. */
bool fakedb_next(const struct fakedb *db, uint64_t *cursor, struct fakedb_key *ret_key,
		 struct fakedb_record *ret_record);

/* Copies what is sound in `old`, whose index need not be, to the new database `fresh`: of each file its last record.
 * Nobody else may change either. Returns how many files, or -errno (-ENOSPC). */
long fakedb_salvage(const struct fakedb *old, struct fakedb *fresh);

/* How much of its room a database has used: changes, and bytes of extended attributes. Zeros for the empty one. */
struct fakedb_usage {
	uint64_t entries, entries_used;
	uint64_t heap, heap_used;
};
void fakedb_usage(const struct fakedb *db, struct fakedb_usage *ret_usage);

/* Checks format, version and checksums. Returns the count of damaged records or -errno. */
long fakedb_verify(const struct fakedb *db);

#endif
