/* The path vectors of tests/vectors/resolve.tsv: reading them and making their trees. */
#ifndef VECTORS_H
#define VECTORS_H

#include <stdbool.h>
#include <stddef.h>

struct vector {
	char *name, *cwd, *call, *path, *expected;
	bool kernel; /* the kernel can be asked the same */
};

struct vector_bind {
	char *source, *guest; /* `source` is absolute */
	bool read_only, kernel;
};

struct vectors {
	char tmp[256];	/* where the trees are */
	char root[300]; /* $TMP/root */
	struct vector *vectors;
	size_t n_vectors;
	struct vector_bind binds[32];
	size_t n_binds;
};

/* Makes a temporary directory with the trees that `tsv` describes, and reads its vectors. Exits on any failure. */
void vectors_load(struct vectors *t, const char *tsv);

/* The same with an empty set of vectors: only the temporary directory. */
void vectors_make_tmp(struct vectors *t);

/* Removes the temporary directory and what is in it. */
void vectors_remove(struct vectors *t);

/* Mounts the binds that the kernel can have, in a mount namespace of the calling process, and enters the root.
 * Returns 0 or -errno when this process may not. */
int vectors_enter(const struct vectors *t);

/* Makes openat2(2) fail with ENOSYS in this process from now on, as on a kernel before 5.6. */
bool vectors_deny_openat2(void);

#endif
