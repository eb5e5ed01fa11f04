/* sites.c: pieces of code, written as bytes, and what must be found in them. tests/native/test_sites.py compares the
 * decoder and the sites of whole programs with objdump. */
#include "preload/sites.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "tap.h"

#define NOPS "\x90\x90\x90\x90\x90\x90\x90\x90\x90\x90\x90\x90\x90\x90\x90\x90"

/* Finds the sites in a block of memory of just that size, so that the sanitizers see a step over its end. */
static long find(const char *bytes, size_t size, struct site *list, size_t max)
{
	uint8_t *code = malloc(size);
	long n;

	memcpy(code, bytes, size);
	n = sites_find(code, size, list, max);
	free(code);
	return n;
}

#define FIND(bytes, list) find(bytes, sizeof(bytes) - 1, list, sizeof(list) / sizeof(*(list)))

static void test_forms(void)
{
	struct site s[8];

	ok(FIND(NOPS "\xb8\x02\x00\x00\x00\x0f\x05\xc3" NOPS, s) == 1 && s[0].offset == 21 && s[0].nr == 2 &&
		   s[0].head == 5 && s[0].kind == SITE_SYSCALL,
	   "mov imm32, eax; syscall");
	ok(FIND(NOPS "\x48\xc7\xc0\x0f\x00\x00\x00\x0f\x05\xc3", s) == 1 && s[0].nr == 15 && s[0].head == 7,
	   "mov imm32, rax; syscall");
	ok(FIND(NOPS "\x31\xc0\x0f\x05\xc3" NOPS, s) == 1 && s[0].nr == 0 && s[0].head == 0, "xor eax; syscall: read");
	ok(FIND(NOPS "\x48\x89\xf8\x4c\x89\x5c\x24\x08\x0f\x05\xc3" NOPS, s) == 1 && s[0].nr == SITE_NR_UNKNOWN &&
		   s[0].head == 5 && s[0].kind == SITE_CHECKED,
	   "a number from a register, and room before it");
	ok(FIND(NOPS "\x89\xf8\x0f\x05\xc3" NOPS, s) == 1 && s[0].nr == SITE_NR_UNKNOWN && s[0].head == 0,
	   "a number from a register, and no room");
	ok(FIND(NOPS "\xb8\x05\x00\x00\x00\xcd\x80\xc3" NOPS, s) == 1 && s[0].kind == SITE_FOREIGN, "int 0x80");
	ok(FIND(NOPS "\xb8\x05\x00\x00\x00\x0f\x34\xc3" NOPS, s) == 1 && s[0].kind == SITE_FOREIGN, "sysenter");
	ok(FIND("\xb8\x02\x00\x00\x00\x0f\x05", s) == 1 && s[0].offset == 5, "nothing before and nothing after");
	ok(FIND("\x0f\x05\xc3", s) == 1 && s[0].offset == 0 && s[0].head == 0, "the first instruction");
}

static void test_heads(void)
{
	struct site s[8];

	ok(FIND(NOPS "\x48\x89\xf8\x48\x8d\x35\x01\x00\x00\x00\x0f\x05\xc3" NOPS, s) == 1 && s[0].head == 0,
	   "an operand relative to its address cannot be moved");
	ok(FIND(NOPS "\x48\x89\xf8\xe8\x00\x00\x00\x00\x0f\x05\xc3" NOPS, s) == 1 && s[0].head == 0,
	   "nor can a call");
	ok(FIND(NOPS "\x41\xb8\x02\x00\x00\x00\x89\xf8\x41\xb8\x02\x00\x00\x00\x0f\x05\xc3" NOPS, s) == 1 &&
		   s[0].nr == SITE_NR_UNKNOWN && s[0].head == 6,
	   "mov imm32, r8d is not eax");
}

static void test_jumps(void)
{
	struct site s[8];

	ok(FIND(NOPS "\x75\x05\xb8\x02\x00\x00\x00\x0f\x05\xc3" NOPS, s) == 1 && s[0].nr == SITE_NR_UNKNOWN,
	   "a short jump to the instruction: its number is not known");
	ok(FIND(NOPS "\x0f\x85\x05\x00\x00\x00\xb8\x02\x00\x00\x00\x0f\x05\xc3" NOPS, s) == 1 &&
		   s[0].nr == SITE_NR_UNKNOWN,
	   "a far jump to it");
	ok(FIND(NOPS "\x74\x08\xb8\x02\x00\x00\x00\x0f\x05\xc3" NOPS, s) == 1 && s[0].nr == 2, "a jump to elsewhere");
	ok(FIND(NOPS "\x89\xf8\x75\x05\x4c\x89\x5c\x24\x08\x0f\x05\xc3" NOPS, s) == 1 && s[0].kind == SITE_SYSCALL,
	   "a jump past the head: no check would be made");
	ok(FIND(NOPS "\xff\xe2\x48\x89\xf8\x4c\x89\x5c\x24\x08\x0f\x05\xc3" NOPS, s) == 1 && s[0].kind == SITE_SYSCALL,
	   "a jump through a register near by may lead anywhere");
}

static void test_what_is_none(void)
{
	struct site s[8];

	ok(FIND(NOPS "\xb8\x0f\x05\x00\x00\x89\xc3\xc3" NOPS, s) == 0, "inside an immediate");
	ok(FIND(NOPS "\x48\x8d\x05\x0f\x05\x00\x00\x85\xc0\xc3" NOPS, s) == 0, "inside a distance");
	ok(FIND(NOPS "\x00\x0f\x05\x12\x34\x56\x00\x31\xc0\xc3" NOPS, s) == 0, "across two instructions");
	ok(FIND(NOPS "\x02\xf7\x86\xfa\x28\xaa\x3f\x07\x1f\x02\x0f\x05\x09\xe6\x92\xc6\xa8\x8f\x7f\x68\x29", s) == 0,
	   "a table of constants");
	ok(FIND(NOPS "\x0f", s) == 0 && FIND(NOPS "\xcd", s) == 0, "half of one at the end");
	ok(sites_find((const uint8_t *)"", 0, s, 8) == 0, "no code at all");
}

static void test_many(void)
{
	static const char one[] = "\xb8\x02\x00\x00\x00\x0f\x05\xc3";
	char code[8 * 32];
	struct site s[32];
	bool sorted = true;
	long n;

	for (unsigned i = 0; i < 32; i++)
		memcpy(code + 8 * i, one, 8);
	n = find(code, sizeof(code), s, 32);
	for (long i = 0; i < n; i++)
		sorted = sorted && s[i].offset == 8 * i + 5;
	ok(n == 32 && sorted, "by address");
	ok(find(code, sizeof(code), s, 31) == -E2BIG, "more than there is room for");
}

int main(void)
{
	test_forms();
	test_heads();
	test_jumps();
	test_what_is_none();
	test_many();
	return done();
}
