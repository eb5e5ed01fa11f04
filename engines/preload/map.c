/* Code is rewritten when it is mapped: before that nothing of it can have run, and no thread can be in it.
 *
 * What is looked at is the code of files. Memory that a program fills with code itself (a just-in-time compiler's) is
 * not: nothing tells when it is complete, nor data from code in it. */
#include <linux/errno.h>
#include <linux/mman.h>

#include "calls/calls.h"
#include "preload.h"

#define SITES_MAX (1u << 17) /* in one piece of code */

int map_go_fd = -1;

static int find_and_rewrite(const struct code *code, const struct site_key *key)
{
	const size_t room = SITES_MAX * sizeof(struct site);
	long at = sys_mmap(NULL, room, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	struct site *sites = (struct site *)at;
	long n;
	int r;

	if (sys_is_err(at))
		return (int)at;
	n = sites_find((const uint8_t *)code->start, code->size, sites, SITES_MAX);
	if (n >= 0 && key)
		sitecache_add(key, sites, (size_t)n);
	r = n < 0 ? (int)n : rewrite(code, sites, (size_t)n);
	(void)sys_munmap(sites, room);
	return r;
}

int map_code(unsigned long start, size_t size, int prot, int fd, uint64_t offset)
{
	struct code code = { .start = start, .size = size, .prot = prot };
	const struct site *sites;
	struct site_key key;
	struct stat st;
	size_t n;
	long r;

	r = sys_fstatat(fd, "", &st, AT_EMPTY_PATH);
	if (r < 0)
		return (int)r;
	if (offset >= (uint64_t)st.st_size)
		return 0;
	if (code.size > (uint64_t)st.st_size - offset)
		code.size = (uint64_t)st.st_size - offset;
	code.no_heads = fd == map_go_fd;
	if (!(prot & PROT_READ)) {
		r = SYS3(mprotect, start, size, prot | PROT_READ);
		if (r < 0)
			return (int)r;
	}
	key = sitecache_key(&st, offset, code.size);
	sites = sitecache_find(&key, &n);
	r = sites ? rewrite(&code, sites, n) : -ESTALE;
	if (r == -ESTALE && sites) {
		/* The file changed and its times did not tell. */
		r = sys_mmap((void *)start, size, prot | PROT_READ, MAP_PRIVATE | MAP_FIXED, fd, (int64_t)offset);
		if (!sys_is_err(r))
			r = find_and_rewrite(&code, NULL);
	} else if (r == -ESTALE) {
		r = find_and_rewrite(&code, &key);
	}
	if (r == 0 && !(prot & PROT_READ))
		r = SYS3(mprotect, start, size, prot);
	return (int)r;
}

/* mmap of a file with PROT_EXEC. */
static long map_file(struct call *c)
{
	const unsigned long size = c->arg[1], flags = c->arg[3];
	const int prot = (int)c->arg[2];
	long at = dispatch(c), r;

	if (sys_is_err(at))
		return at;
	/* A shared mapping cannot be rewritten, and has to be private. One that may be written as well is a
	 * compiler's. */
	if ((flags & MAP_TYPE) != MAP_PRIVATE) {
		if (prot & PROT_WRITE)
			return at;
		r = sys_mmap((void *)at, size, prot, MAP_PRIVATE | MAP_FIXED, (int)c->arg[4], (int64_t)c->arg[5]);
		if (sys_is_err(r)) {
			(void)sys_munmap((void *)at, size);
			return r;
		}
	}
	r = map_code((unsigned long)at, size, prot, (int)c->arg[4], c->arg[5]);
	if (r >= 0)
		return at;
	(void)sys_munmap((void *)at, size);
	return r == -ENOEXEC ? -EACCES : r;
}

static uint64_t parse_number(const char **text, unsigned base)
{
	uint64_t v = 0;
	const char *s = *text;

	for (;; s++) {
		unsigned digit = *s >= '0' && *s <= '9' ? (unsigned)(*s - '0')
				 : *s >= 'a' && *s <= 'f' ? (unsigned)(*s - 'a') + 10 : 16;

		if (digit >= base)
			break;
		v = v * base + digit;
	}
	*text = s;
	return v;
}

/* START-END PERMS OFFSET MAJOR:MINOR INODE NAME: what of the line's mapping is a file's, and in the range. */
static bool parse_mapping(const char *s, struct code *code)
{
	unsigned long start = parse_number(&s, 16), end;

	s++;
	end = parse_number(&s, 16);
	if (start >= code->start + code->size || end <= code->start)
		return false;
	for (unsigned spaces = 0; *s && spaces < 4; s++)
		spaces += *s == ' ';
	if (!parse_number(&s, 10))
		return false;
	if (end < code->start + code->size)
		code->size = end - code->start;
	if (start > code->start) {
		code->size -= start - code->start;
		code->start = start;
	}
	return true;
}

/* Narrows the range to the first file mapped in it. Returns whether there is one. */
static bool find_file(struct code *code)
{
	char buf[1024];
	size_t have = 0;
	bool found = false;
	long fd = sys_openat(AT_FDCWD, "/proc/self/maps", O_RDONLY | O_CLOEXEC, 0), n;

	if (fd < 0)
		return false;
	/* Lines whose names are too long come in parts; the later parts are no mappings and match nothing. */
	while (!found && (n = sys_read((int)fd, buf + have, sizeof(buf) - 1 - have)) > 0) {
		char *line = buf, *end;

		have += (size_t)n;
		buf[have] = '\0';
		for (end = line; *end; end++) {
			if (*end != '\n')
				continue;
			*end = '\0';
			found = found || parse_mapping(line, code);
			line = end + 1;
		}
		have = (size_t)(end - line);
		if (have == sizeof(buf) - 1)
			have = 0;
		memmove(buf, line, have);
	}
	(void)sys_close((int)fd);
	return found;
}

/* mprotect that makes memory executable: a file's code, after it has been relocated. */
static long make_executable(struct call *c)
{
	struct code code = { .start = c->arg[0], .size = c->arg[1], .prot = (int)c->arg[2] };
	const int readable = code.prot | PROT_READ;
	long r = dispatch(c);

	if (r < 0 || rewrite_knows(code.start, code.size) || !find_file(&code))
		return r;
	r = SYS3(mprotect, code.start, code.size, readable);
	if (r >= 0)
		r = find_and_rewrite(&code, NULL);
	if (r >= 0)
		r = SYS3(mprotect, code.start, code.size, code.prot);
	else
		(void)SYS3(mprotect, code.start, code.size, PROT_READ);
	return r == -ENOEXEC ? -EACCES : r;
}

long map_answer(struct call *c)
{
	const unsigned long start = c->arg[0];
	long r;

	switch (c->nr) {
	case __NR_mmap:
		if (c->arg[3] & MAP_FIXED)
			rewrite_forget(start, c->arg[1]);
		return (c->arg[2] & PROT_EXEC) && !(c->arg[3] & MAP_ANONYMOUS) ? map_file(c) : dispatch(c);
	case __NR_mprotect:
		return c->arg[2] & PROT_EXEC ? make_executable(c) : dispatch(c);
	case __NR_munmap:
		r = dispatch(c);
		if (r >= 0)
			rewrite_forget(start, c->arg[1]);
		return r;
	default: /* mremap: jumps do not survive a move */
		if ((c->arg[3] & MREMAP_MAYMOVE) && rewrite_knows(start, c->arg[1]))
			return -ENOMEM;
		return dispatch(c);
	}
}
