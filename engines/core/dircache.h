/* The directory cache: a table of hashes of guest directories known to be reached through real directories of the
 * guest's root alone (or of one identity bind alone), shared by all processes of a container and invalidated as a whole
 * by a generation counter. Lock-free: an entry is one 64-bit word, and the generation is part of every hash, so an
 * entry of an older generation can never match. */
#ifndef CORE_DIRCACHE_H
#define CORE_DIRCACHE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define DIRCACHE_SLOTS 4096
#define DIRCACHE_SIZE (4096 + DIRCACHE_SLOTS * 8) /* bytes of the shared file */

/* What is known of a directory; kept in the low bits of its entry. */
enum dir_kind {
	DIR_UNKNOWN = 0,
	DIR_ROOT = 1,	  /* plain beneath the guest's root: (root_fd, path + 1) is right */
	DIR_IDENTITY = 2, /* plain beneath an identity bind: the path itself is right */
	DIR_LINKED = 3,	  /* a symlink was on the way: only the walker knows (and is right also when it is gone) */
};

struct dircache; /* mapped memory; layout private to dircache.c, documented there */

/* Maps the cache file at `path` (created when missing, mode 0600), or anonymous shared memory when path is NULL or
 * cannot be used. Returns NULL only when even that fails. */
struct dircache *dircache_open(const char *path);

/* Starts a generation: the value to pass to find/add. Read it before looking at the file system. */
uint64_t dircache_generation(const struct dircache *c);
void dircache_bump(struct dircache *c);

/* Incremental hash of a canonical path: start, then one call a component. */
uint64_t dircache_hash_root(void);
uint64_t dircache_hash_component(uint64_t hash, const char *name, size_t len);

enum dir_kind dircache_find(const struct dircache *c, uint64_t generation, uint64_t hash);
void dircache_add(struct dircache *c, uint64_t generation, uint64_t hash, enum dir_kind kind);

#endif
