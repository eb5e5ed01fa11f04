/* Prints what sites.c and insn.c make of a file, for tests/native/test_sites.py:
 *
 *	list sites FILE OFFSET SIZE	the sites of a piece of a file: offset, kind, number, head
 *	list lengths			the length of each instruction on standard input (one a line, in hexadecimal)
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "preload/insn.h"
#include "preload/sites.h"

#define SITES 65536

static int list_sites(const char *path, size_t offset, size_t size)
{
	struct site *s = calloc(SITES, sizeof(*s));
	uint8_t *code = malloc(size);
	FILE *f = fopen(path, "rb");
	long n;

	if (!f || fseek(f, (long)offset, SEEK_SET) != 0 || fread(code, 1, size, f) != size)
		return 1;
	n = sites_find(code, size, s, SITES);
	for (long i = 0; i < n; i++)
		printf("%u %u %u %u\n", s[i].offset, s[i].kind, s[i].nr, s[i].head);
	fclose(f);
	free(code);
	free(s);
	return n < 0;
}

static int list_lengths(void)
{
	char line[256];

	while (fgets(line, sizeof(line), stdin)) {
		uint8_t code[64];
		unsigned n = 0, flags, byte;

		for (const char *p = line; sscanf(p, "%2x", &byte) == 1 && n < sizeof(code); p += 2)
			code[n++] = (uint8_t)byte;
		printf("%u\n", insn_decode(code, n, &flags));
	}
	return 0;
}

int main(int argc, char **argv)
{
	if (argc == 5 && strcmp(argv[1], "sites") == 0)
		return list_sites(argv[2], strtoul(argv[3], NULL, 10), strtoul(argv[4], NULL, 10));
	return argc == 2 && strcmp(argv[1], "lengths") == 0 ? list_lengths() : 2;
}
