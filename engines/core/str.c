/* Bounded string helpers. */
#include "str.h"

#include <linux/errno.h>

long str_copy(char *dst, size_t size, const char *src)
{
	return str_append(dst, size, 0, src);
}

long str_append(char *dst, size_t size, size_t len, const char *src)
{
	size_t n = strlen(src);

	if (len + n + 1 > size)
		return -ENAMETOOLONG;
	memcpy(dst + len, src, n + 1);
	return (long)(len + n);
}

size_t path_directory_size(const char *path)
{
	size_t n = strlen(path);

	while (n && path[n - 1] != '/')
		n--;
	return n;
}

unsigned str_from_u64(char *buf, uint64_t v)
{
	char tmp[20];
	unsigned n = 0;

	do {
		tmp[n++] = (char)('0' + v % 10);
		v /= 10;
	} while (v);
	for (unsigned i = 0; i < n; i++)
		buf[i] = tmp[n - 1 - i];
	return n;
}

bool str_to_u64(const char *s, uint64_t *ret_v)
{
	uint64_t v = 0;

	if (!*s)
		return false;
	for (; *s; s++) {
		if (*s < '0' || *s > '9')
			return false;
		if (__builtin_mul_overflow(v, 10, &v) || __builtin_add_overflow(v, (uint64_t)(*s - '0'), &v))
			return false;
	}
	*ret_v = v;
	return true;
}
