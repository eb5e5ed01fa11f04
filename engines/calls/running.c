/* A program that runs cannot be written, execve(2) ETXTBSY. To the kernel the engine is the program of every process,
 * so for a file that may be one the processes are asked: a search of /proc, which costs as much as there are
 * processes, but only to write to an executable file in place. */
#include <linux/errno.h>

#include "calls.h"

struct entry {
	uint64_t ino;
	int64_t off;
	uint16_t size;
	unsigned char type;
	char name[];
};

/* The number that a name of /proc is, or 0. */
static int process_number(const char *name)
{
	unsigned n = 0;

	for (; *name; name++) {
		if (*name < '0' || *name > '9')
			return 0;
		n = n * 10 + (unsigned)(*name - '0');
	}
	return (int)n;
}

/* Whether two paths are of files in one directory, as all helpers are. */
static bool is_beside(const char *a, const char *b)
{
	size_t n = path_directory_size(a);

	return n == path_directory_size(b) && memcmp(a, b, n) == 0;
}

/* What /proc/NAME/exe says, in `buf` of PATH_MAX bytes; its length or -errno. */
static long exe_link(const char *name, char *buf)
{
	char link[40] = "/proc/";
	long n = str_append(link, sizeof(link), 6, name);

	if (n >= 0)
		n = str_append(link, sizeof(link), (size_t)n, "/exe");
	n = n < 0 ? n : sys_readlinkat(AT_FDCWD, link, buf, PATH_MAX - 1);
	if (n >= 0)
		buf[n] = '\0';
	return n;
}

/* Whether that process, one of the engine's, runs this file. */
static bool runs(const struct process *p, struct scratch *s, int pid, const struct stat *file)
{
	struct stat program;

	if (proc_exe(p, s, pid, s->link, sizeof(s->link)) < 0 ||
	    view_host_path(p->view, s->link, s->host, sizeof(s->host), NULL) < 0 ||
	    sys_fstatat(AT_FDCWD, s->host, &program, AT_SYMLINK_NOFOLLOW) < 0)
		return false;
	return program.st_ino == file->st_ino && program.st_dev == file->st_dev;
}

static bool is_running(const struct process *p, struct scratch *s, const struct stat *file)
{
	long dir, n, at;
	bool found = false;

	if (exe_link("self", s->pending) < 0)
		return false;
	dir = sys_openat(AT_FDCWD, "/proc", O_RDONLY | O_DIRECTORY | O_CLOEXEC, 0);
	if (dir < 0)
		return false;
	while (!found && (n = SYS3(getdents64, dir, s->canon, sizeof(s->canon))) > 0)
		for (at = 0; !found && at < n;) {
			const struct entry *e = (const struct entry *)(void *)(s->canon + at);
			int pid = process_number(e->name);

			at += e->size;
			found = pid && exe_link(e->name, s->link) > 0 && is_beside(s->link, s->pending) &&
				runs(p, s, pid, file);
		}
	(void)sys_close((int)dir);
	return found;
}

int running_refuses(const struct process *p, int fd, const char *name, int flags)
{
	struct scratch *s;
	struct stat st;
	bool found;

	if (sys_fstatat(fd, name, &st, flags) < 0 || (st.st_mode & S_IFMT) != S_IFREG || !(st.st_mode & 0111))
		return 0;
	s = scratch_get();
	if (!s)
		return 0;
	found = is_running(p, s, &st);
	scratch_put(s);
	return found ? -ETXTBSY : 0;
}
