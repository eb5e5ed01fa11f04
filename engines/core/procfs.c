/* The links of procfs that are no text to be followed ("magic links"): the kernel jumps through them to an object, and
 * what readlink(2) says of it is the host's path. proc(5). */
#include <linux/auxvec.h>
#include <linux/errno.h>

#include "str.h"
#include "walk.h"

/* ---- names ---- */

/* Reads a decimal component and the slash or end after it. Returns what follows the digits, or NULL. */
static const char *parse_number(const char *p, uint64_t *ret_n)
{
	uint64_t n = 0;
	const char *start = p;

	for (; *p >= '0' && *p <= '9'; p++)
		if (__builtin_mul_overflow(n, 10, &n) || __builtin_add_overflow(n, (uint64_t)(*p - '0'), &n))
			return NULL;
	if (p == start || (*p && *p != '/'))
		return NULL;
	*ret_n = n;
	return p;
}

/* Returns what follows the component `name` of `p` (the slash or end), or NULL when it is another. */
static const char *skip_component(const char *p, const char *name)
{
	size_t n = strlen(name);

	return path_has_prefix(p, name, n) ? p + n : NULL;
}

static bool is_last_component(const char *p)
{
	if (!*p)
		return false;
	while (*p && *p != '/')
		p++;
	return !*p;
}

enum proc_link proc_parse(const char *host_path, uint64_t own, uint64_t *ret_pid, uint64_t *ret_fd)
{
	static const char proc[] = "/proc/";
	const char *p = host_path + sizeof(proc) - 1, *rest;
	uint64_t task;

	if (!str_has_prefix(host_path, proc, sizeof(proc) - 1))
		return PROC_NONE;
	if ((rest = skip_component(p, "self")) || (rest = skip_component(p, "thread-self")))
		*ret_pid = own;
	else
		rest = parse_number(p, ret_pid);
	if (!rest || *rest != '/')
		return PROC_NONE;
	p = rest + 1;
	if ((rest = skip_component(p, "task")) && *rest == '/') {
		rest = parse_number(rest + 1, &task);
		if (!rest || *rest != '/')
			return PROC_NONE;
		p = rest + 1;
	}
	if (str_eq(p, "root"))
		return PROC_ROOT;
	if (str_eq(p, "cwd"))
		return PROC_CWD;
	if (str_eq(p, "exe"))
		return PROC_EXE;
	if ((rest = skip_component(p, "fd")) && *rest == '/') {
		rest = parse_number(rest + 1, ret_fd);
		return rest && !*rest ? PROC_FD : PROC_NONE;
	}
	if ((rest = skip_component(p, "map_files")) && *rest == '/' && is_last_component(rest + 1))
		return PROC_MAP;
	if ((rest = skip_component(p, "ns")) && *rest == '/' && is_last_component(rest + 1))
		return PROC_NS;
	return PROC_NONE;
}

/* ---- the program of another process ---- */

/* A file of procfs, read piece by piece through a borrowed buffer. */
struct reader {
	int fd;
	char *buf;
	long len, at;
	bool failed;
};

/* Returns the next byte, or -1 at the end. */
static int next_byte(struct reader *r)
{
	if (r->at == r->len) {
		r->at = 0;
		r->len = sys_read(r->fd, r->buf, PATH_MAX);
		if (r->len <= 0) {
			r->failed = r->len < 0;
			r->len = 0;
			return -1;
		}
	}
	return (unsigned char)r->buf[r->at++];
}

#define PROC_NAME_MAX 48

/* Writes "/proc/PID" and `name` ("/maps"). */
static const char *proc_name(uint64_t pid, const char *name, char path[PROC_NAME_MAX])
{
	long len = str_copy(path, PROC_NAME_MAX, "/proc/");

	len += str_from_u64(path + len, pid);
	(void)str_append(path, PROC_NAME_MAX, (size_t)len, name);
	return path;
}

static long open_proc_file(uint64_t pid, const char *name)
{
	char path[PROC_NAME_MAX];

	return sys_openat(AT_FDCWD, proc_name(pid, name, path), O_RDONLY | O_CLOEXEC, 0);
}

/* Where the program headers of the process' program are mapped. The engine sets the auxiliary vector of a program it
 * starts with PR_SET_MM_MAP, so this is the guest program's, while /proc/PID/exe is the engine's. */
static int program_address(uint64_t pid, uint64_t *ret_address)
{
	uint32_t words[128] = { 0 };
	long fd = open_proc_file(pid, "/auxv"), n;
	bool wide;

	if (fd < 0)
		return (int)fd;
	n = sys_read((int)fd, words, sizeof(words));
	(void)sys_close((int)fd);
	/* Pairs of words of the process' own size. Types are small, and the first one's value is never 0. */
	wide = !words[1];
	for (long i = 0; i + 4 <= n / 4 && words[i]; i += wide ? 4 : 2)
		if (words[i] == AT_PHDR) {
			*ret_address = wide ? words[i + 2] | (uint64_t)words[i + 3] << 32 : words[i + 1];
			return 0;
		}
	return -ENOENT;
}

static int hex_value(int c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	if (c >= 'a' && c <= 'f')
		return c - 'a' + 10;
	return -1;
}

/* Reads a hexadecimal number and the byte that ends it. */
static uint64_t next_hex(struct reader *r, int *ret_end)
{
	uint64_t n = 0;
	int c;

	while ((c = next_byte(r)) >= 0 && hex_value(c) >= 0)
		n = n << 4 | (unsigned)hex_value(c);
	*ret_end = c;
	return n;
}

/* Reads the rest of a line into `buf` (of PATH_MAX bytes), undoing the \ooo that procfs writes for a newline. */
static long next_line(struct reader *r, int c, char *buf)
{
	long n = 0;

	for (; c >= 0 && c != '\n'; c = next_byte(r)) {
		if (n == PATH_MAX - 1)
			return -ENAMETOOLONG;
		buf[n++] = (char)c;
		if (n >= 4 && str_has_prefix(buf + n - 4, "\\012", 4)) {
			n -= 4;
			buf[n++] = '\n';
		}
	}
	buf[n] = '\0';
	return n;
}

/* Finds the file mapped at `address` in /proc/PID/maps ("start-end perms offset dev inode   path"). */
static long mapped_file(struct reader *r, uint64_t address, char *path)
{
	int c = 0;

	while (c >= 0) {
		uint64_t start = next_hex(r, &c), end = c == '-' ? next_hex(r, &c) : 0;
		bool wanted = start <= address && address < end;

		for (unsigned field = 0; field < 4 && c >= 0 && c != '\n'; field++)
			do
				c = next_byte(r);
			while (c >= 0 && c != '\n' && c != ' ');
		while (c == ' ')
			c = next_byte(r);
		if (wanted)
			return next_line(r, c, path);
		while (c >= 0 && c != '\n')
			c = next_byte(r);
	}
	return r->failed ? -EACCES : -ENOENT;
}

/* Writes the host path of a process' program into s->host. */
static long program_of(struct scratch *s, uint64_t pid)
{
	struct reader r = { .buf = s->link };
	uint64_t address = 0;
	long ret = program_address(pid, &address);

	if (ret < 0)
		return ret;
	ret = open_proc_file(pid, "/maps");
	if (ret < 0)
		return ret;
	r.fd = (int)ret;
	ret = mapped_file(&r, address, s->host);
	(void)sys_close(r.fd);
	return ret;
}

/* Reads a word of /proc/PID/cmdline into `buf` of PATH_MAX bytes. Returns whether there was one. */
static bool next_word(struct reader *r, char *buf)
{
	size_t n = 0;
	int c = next_byte(r);

	if (c < 0)
		return false;
	for (; c > 0; c = next_byte(r))
		if (n < PATH_MAX - 1)
			buf[n++] = (char)c;
	buf[n] = '\0';
	return true;
}

/* Writes the guest path of the program that an engine is about to start, as its plan says, into s->host. Returns its
 * length, or -ENOENT when the process is no engine that starts one. */
static long program_to_come(struct scratch *s, uint64_t pid)
{
	struct reader r = { .buf = s->link };
	long ret = open_proc_file(pid, "/cmdline");
	bool resumes = false, found = false;

	if (ret < 0)
		return ret;
	r.fd = (int)ret;
	while (!found && next_word(&r, s->host)) {
		found = resumes && str_eq(s->host, "--");
		resumes |= str_eq(s->host, "--resume");
	}
	found = found && next_word(&r, s->host);
	(void)sys_close(r.fd);
	return found ? (long)strlen(s->host) : -ENOENT;
}

/* Whether the host path in s->host is what the kernel takes for the program of the process: then it is the engine, that
 * is still loading the guest's, or the process is none of an engine's. */
static bool is_kernels_program(struct scratch *s, uint64_t pid)
{
	char path[PROC_NAME_MAX];
	long len = sys_readlinkat(AT_FDCWD, proc_name(pid, "/exe", path), s->link, PATH_MAX - 1);

	if (len < 0)
		return false;
	s->link[len] = '\0';
	return str_eq(s->link, s->host);
}

/* ---- targets ---- */

/* Where the link leads as the host has it. */
static long host_target(const char *host_path, char *buf)
{
	long len = sys_readlinkat(AT_FDCWD, host_path, buf, PATH_MAX);

	if (len < 0)
		return len;
	if (len >= PATH_MAX)
		return -ENAMETOOLONG;
	buf[len] = '\0';
	return len;
}

static bool ends_with(const char *s, size_t len, const char *suffix)
{
	size_t n = strlen(suffix);

	return len >= n && str_eq(s + len - n, suffix);
}

long proc_target(const struct view *v, const char *own_exe, struct scratch *s, enum proc_link kind, uint64_t pid,
		 const char *host_path, char *buf)
{
	const char *source = buf;
	long len;

	if (kind == PROC_EXE && own_exe)
		return str_copy(buf, PATH_MAX, own_exe);
	if (kind == PROC_EXE) {
		len = program_of(s, pid);
		if (len >= 0 && is_kernels_program(s, pid)) {
			len = program_to_come(s, pid);
			if (len >= 0)
				return str_copy(buf, PATH_MAX, s->host);
			/* It has become the guest's meanwhile. */
			len = program_of(s, pid);
		}
		source = s->host;
	} else {
		len = host_target(host_path, buf);
	}
	if (len < 0)
		return len;
	/* Every process of a guest has the guest's root; of others we show no more than that. */
	if (kind == PROC_ROOT)
		return str_copy(buf, PATH_MAX, "/");
	if (*source != '/')
		return -ENOTDIR;
	len = view_unresolve(v, source, buf, PATH_MAX);
	if (len == -ENOENT)
		return kind == PROC_CWD ? -ENOENT : -EACCES;
	return len > 0 && ends_with(buf, (size_t)len, " (deleted)") ? -ENOENT : len;
}
