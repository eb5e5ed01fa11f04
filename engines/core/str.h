/* Bounded string and memory helpers; the mem* functions are also what the compiler may call by itself. */
#ifndef CORE_STR_H
#define CORE_STR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

void *memcpy(void *restrict dst, const void *restrict src, size_t n);
void *memmove(void *dst, const void *src, size_t n);
void *memset(void *dst, int c, size_t n);
int memcmp(const void *a, const void *b, size_t n);
size_t strlen(const char *s);

static inline bool str_eq(const char *a, const char *b)
{
	while (*a && *a == *b) {
		a++;
		b++;
	}
	return *a == *b;
}

/* Whether `s` starts with the `n` bytes of `prefix`. */
static inline bool str_has_prefix(const char *s, const char *prefix, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (s[i] != prefix[i])
			return false;
	return true;
}

/* Whether path `s` equals `prefix` (of `n` bytes, no trailing slash) or lies beneath it. "" is the prefix of all. */
static inline bool path_has_prefix(const char *s, const char *prefix, size_t n)
{
	return str_has_prefix(s, prefix, n) && (s[n] == '\0' || s[n] == '/');
}

/* Length of the directory part of a path, with its slash; 0 when it is a plain name. */
size_t path_directory_size(const char *path);

/* Copies `src` with its NUL. Returns its length, or -ENAMETOOLONG (-36) when it does not fit. */
long str_copy(char *dst, size_t size, const char *src);

/* Appends `src` at dst[len]. Returns the new length, or -ENAMETOOLONG. */
long str_append(char *dst, size_t size, size_t len, const char *src);

/* Writes `v` in decimal (no NUL); returns the count of bytes, at most 20. */
unsigned str_from_u64(char *buf, uint64_t v);

/* Parses a whole decimal number; returns false on anything else or overflow. */
bool str_to_u64(const char *s, uint64_t *ret_v);

#endif
