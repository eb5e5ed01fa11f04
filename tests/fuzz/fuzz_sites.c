/* Fuzz target: any bytes are code. Nothing may be read beyond them, lengths stay in bounds, and sites are where the
 * bytes of one are, in order, with a head that is one instruction. */
#include <stdbool.h>
#include <stdlib.h>

#include "preload/insn.h"
#include "preload/sites.h"

#define SITES 256

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check(bool cond)
{
	if (!cond)
		abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct site s[SITES];
	unsigned flags;
	long n;

	for (size_t at = 0; at < size; at++) {
		unsigned len = insn_decode(data + at, size - at, &flags);

		check(len <= INSN_MAX && len <= size - at);
	}
	n = sites_find(data, size, s, SITES);
	for (long i = 0; i < n; i++) {
		const uint8_t *p = data + s[i].offset;

		check(s[i].offset + 2 <= size && (!i || s[i].offset > s[i - 1].offset));
		check(p[0] == (p[1] == 0x80 ? 0xcd : 0x0f));
		check(s[i].head <= s[i].offset && s[i].head <= INSN_MAX);
		check(!s[i].head || insn_decode(p - s[i].head, s[i].head, &flags) == s[i].head);
	}
	return 0;
}
