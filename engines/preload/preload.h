/* The preload engine: instructions that make system calls are rewritten before they run, when the code is mapped. No
 * filter, no tracer, no namespace. */
#ifndef PRELOAD_H
#define PRELOAD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "sites.h"

struct stat;

#pragma GCC visibility push(hidden)

/* The first byte of a rewritten instruction. `into` is invalid in 64-bit mode (Intel and AMD say so), and no
 * compiler makes it: followed by the second byte of what was there it says by itself that it is ours, where ud2
 * would need a table to tell it from a guest's own. */
#define MARK 0xce

/* A mapped piece of an executable file. */
struct code {
	unsigned long start;
	size_t size; /* of what the file holds; the rest of the mapping is zeros or nothing */
	int prot; /* what it is mapped with */
	bool no_heads; /* stacks are too small for jumps to the dispatch (Go) */
};

/* rewrite.c */
void rewrite_init(void);
/* Rewrites the sites whose calls must be intercepted. Returns 0 or -errno; -ESTALE when a site is not where it is
 * said to be: the code must then be mapped again. No thread may be in the code. */
int rewrite(const struct code *code, const struct site *sites, size_t n);
/* The range is mapped anew or not at all any more: what was made for code in it is given back. */
void rewrite_forget(unsigned long start, size_t size);
/* Whether code that overlaps the range was rewritten. */
bool rewrite_knows(unsigned long start, size_t size);

/* sitecache.c: what was found in which file */
struct site_key {
	uint64_t dev, ino, size, ctime; /* of the file; nanoseconds */
	uint64_t offset, length; /* the piece */
};
void sitecache_open(const char *directory_cache);
struct site_key sitecache_key(const struct stat *st, uint64_t offset, uint64_t length);
/* The sites that were added for the key, *ret_n of them, or NULL. They stay mapped. */
const struct site *sitecache_find(const struct site_key *key, size_t *ret_n);
void sitecache_add(const struct site_key *key, const struct site *sites, size_t n);

/* map.c */
extern int map_go_fd; /* what is loaded from it is a Go program; -1 = nothing */
/* Finds and rewrites what is in a piece of a file that was just mapped. Returns 0 or -errno. */
int map_code(unsigned long start, size_t size, int prot, int fd, uint64_t offset);
struct call;
long map_answer(struct call *c); /* mmap, mprotect, munmap, mremap */

/* entry.S */
void rewritten_entry(void);
void checked_entry(void);
extern const unsigned long rewrite_nr_last; /* greatest number of the table */
extern unsigned long rewrite_active[]; /* one bit for each number that must be intercepted */

#pragma GCC visibility pop

#endif
