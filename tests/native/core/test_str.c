/* str.c, its inline helpers, and (in the sanitizers' absence, under other names) the memory functions of mem.c. */
#include <stdlib.h>
#include <string.h>

/* mem.c under names that leave the C library's alone. */
#define memcpy core_memcpy
#define memmove core_memmove
#define memset core_memset
#define memcmp core_memcmp
#define strlen core_strlen
#include "../../../engines/core/mem.c"
#undef memcpy
#undef memmove
#undef memset
#undef memcmp
#undef strlen

#include "tap.h"

#define ENAMETOOLONG 36

static void test_append(void)
{
	char buf[8];

	ok(str_copy(buf, 8, "1234567") == 7 && !strcmp(buf, "1234567"), "copy that just fits");
	ok(str_copy(buf, 8, "12345678") == -ENAMETOOLONG && !strcmp(buf, "1234567"), "copy that does not fit");
	ok(str_copy(buf, 1, "") == 0 && !*buf, "copy of nothing");
	ok(str_copy(buf, 8, "abc") == 3 && str_append(buf, 8, 3, "defg") == 7 && !strcmp(buf, "abcdefg"),
	   "append that fits");
	ok(str_append(buf, 8, 7, "h") == -ENAMETOOLONG && !strcmp(buf, "abcdefg"), "append that does not fit");
}

static void test_numbers(void)
{
	static const struct {
		uint64_t n;
		const char *text;
	} good[] = { { 0, "0" },
		     { 9, "9" },
		     { 10, "10" },
		     { 4294967296, "4294967296" },
		     { UINT64_MAX, "18446744073709551615" } };
	static const char *const bad[] = {
		"", " 1", "1 ", "-1", "+1", "0x1", "18446744073709551616", "99999999999999999999999"
	};
	char buf[24];
	uint64_t n;

	for (size_t i = 0; i < sizeof(good) / sizeof(*good); i++) {
		unsigned len = str_from_u64(buf, good[i].n);

		buf[len] = '\0';
		ok(!strcmp(buf, good[i].text), good[i].text);
		ok(str_to_u64(good[i].text, &n) && n == good[i].n, good[i].text);
	}
	for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++) {
		n = 42;
		ok(!str_to_u64(bad[i], &n) && n == 42, bad[i]);
	}
	ok(str_to_u64("007", &n) && n == 7, "leading zeros");
}

static void test_prefixes(void)
{
	ok(str_eq("", "") && str_eq("a", "a") && !str_eq("a", "ab") && !str_eq("ab", "a") && !str_eq("", "a"),
	   "equality");
	ok(path_has_prefix("/a/b", "/a", 2) && path_has_prefix("/a", "/a", 2), "path prefix");
	ok(!path_has_prefix("/ab", "/a", 2) && !path_has_prefix("/", "/a", 2), "no path prefix");
	ok(path_has_prefix("/a", "", 0) && path_has_prefix("", "", 0), "the root is the prefix of all");
}

static void test_directory_size(void)
{
	ok(path_directory_size("/usr/bin/x") == 9 && path_directory_size("/x") == 1 && path_directory_size("a/") == 2,
	   "the directory part of a path");
	ok(path_directory_size("x") == 0 && path_directory_size("") == 0, "a plain name has none");
}

static void test_memory(void)
{
	char a[80], b[80];
	unsigned wrong = 0;

	for (unsigned n = 0; n <= 40; n++)
		for (unsigned from = 0; from <= 20; from++)
			for (unsigned to = 0; to <= 20; to++) {
				for (unsigned i = 0; i < sizeof(a); i++)
					a[i] = b[i] = (char)(i * 7 + n);
				core_memmove(a + to, a + from, n);
				memmove(b + to, b + from, n);
				wrong += memcmp(a, b, sizeof(a)) != 0;
				core_memcpy(a + 40, b, n);
				memcpy(b + 40, b, n);
				wrong += memcmp(a, b, sizeof(a)) != 0;
				core_memset(a + from, (int)n + 256, to);
				memset(b + from, (int)n, to);
				wrong += memcmp(a, b, sizeof(a)) != 0;
			}
	ok(wrong == 0, "memmove, memcpy, memset");
	ok(core_memcmp("ab", "ac", 2) < 0 && core_memcmp("\xff", "a", 1) > 0 && core_memcmp("ab", "ac", 1) == 0 &&
		   core_memcmp("x", "y", 0) == 0,
	   "memcmp");
	ok(core_strlen("") == 0 && core_strlen("abc") == 3, "strlen");
}

int main(void)
{
	test_append();
	test_numbers();
	test_prefixes();
	test_directory_size();
	test_memory();
	return done();
}
