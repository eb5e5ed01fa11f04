/* The hash of canonical paths that the directory cache is keyed by, in line for the hot path of view_resolve().
 * A multiply-and-fold chain: the 128-bit product of the state and a constant, both halves xored. Every component ends
 * with one step that holds its length, so "/ab/c" and "/a/bc" differ. Not keyed: a directory cache belongs to one
 * user's container, and what a hash collision could fake there its owner could do openly. */
#ifndef CORE_PATHHASH_H
#define CORE_PATHHASH_H

#include <stddef.h>
#include <stdint.h>

#include "arch.h"

#define PATHHASH_ROOT 0x9e3779b97f4a7c15u

static inline uint64_t pathhash_fold(uint64_t a, uint64_t b)
{
	return a * b ^ arch_multiply_high(a, b);
}

static inline uint64_t pathhash_component(uint64_t hash, const char *name, size_t len)
{
	uint64_t word, tail = (uint64_t)len << 56;
	unsigned shift = 0;
	uint32_t half;
	uint16_t quarter;

	for (size_t n = len; n >= 8; n -= 8, name += 8) {
		__builtin_memcpy(&word, name, 8);
		hash = pathhash_fold(hash ^ word, 0xa0761d6478bd642fu);
	}
	/* At most 7 bytes are left: they never meet the length in the top byte. */
	if (len & 4) {
		__builtin_memcpy(&half, name, 4);
		tail |= half;
		shift = 32;
		name += 4;
	}
	if (len & 2) {
		__builtin_memcpy(&quarter, name, 2);
		tail |= (uint64_t)quarter << shift;
		shift += 16;
		name += 2;
	}
	if (len & 1)
		tail |= (uint64_t)(unsigned char)*name << shift;
	return pathhash_fold(hash ^ tail, 0xe7037ed1a0b428dbu);
}

#endif
