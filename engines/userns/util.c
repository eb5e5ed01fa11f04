/* Small helpers over core that the user-namespace engine needs and that have no other place. */
#include <linux/errno.h>
#include <linux/mman.h>
#include <linux/signal.h>
#include <linux/wait.h>

#include "str.h"
#include "userns.h"

char *proc_fd(char buf[PROC_FD_MAX], int fd)
{
	size_t n = (size_t)str_copy(buf, PROC_FD_MAX, "/proc/self/fd/");

	n += str_from_u64(buf + n, (uint64_t)fd);
	buf[n] = '\0';
	return buf;
}

long fork_process(void)
{
	return SYS5(clone, SIGCHLD, 0, 0, 0, 0);
}

long wait_for(int pid)
{
	int status = 0;
	long r;

	do
		r = SYS4(wait4, pid, &status, __WALL, 0);
	while (r == -EINTR);
	return r < 0 ? r : status;
}

long read_text(const char *path, char *buf, size_t size)
{
	long fd = sys_openat(AT_FDCWD, path, O_RDONLY | O_CLOEXEC, 0);
	size_t n = 0;
	long r;

	if (fd < 0)
		return fd;
	do {
		r = sys_read((int)fd, buf + n, size - 1 - n);
		if (r > 0)
			n += (size_t)r;
	} while ((r > 0 && n < size - 1) || r == -EINTR);
	(void)sys_close((int)fd);
	buf[n] = '\0';
	return r < 0 ? r : (long)n;
}

long write_text(const char *path, const char *text)
{
	long fd = sys_openat(AT_FDCWD, path, O_WRONLY | O_CLOEXEC, 0);
	long r;

	if (fd < 0)
		return fd;
	r = sys_write((int)fd, text, strlen(text));
	(void)sys_close((int)fd);
	return r < 0 ? r : 0;
}

const char *env_value(char *const *envp, const char *name)
{
	size_t n = strlen(name);

	for (; *envp; envp++)
		if (str_has_prefix(*envp, name, n) && (*envp)[n] == '=')
			return *envp + n + 1;
	return NULL;
}

static bool has_slash(const char *name)
{
	while (*name && *name != '/')
		name++;
	return *name == '/';
}

/* Joins the directory search[0..n) and `name`. An empty directory is the current one. */
static long join(char *path, const char *search, size_t n, const char *name)
{
	if (n == 0)
		return str_copy(path, PATH_MAX, name);
	if (n + 1 >= PATH_MAX)
		return -ENAMETOOLONG;
	memcpy(path, search, n);
	path[n] = '/';
	path[n + 1] = '\0';
	return str_append(path, PATH_MAX, n + 1, name);
}

long exec_in_path(const char *name, const char *search, char *const *argv, char *const *envp)
{
	static char path[PATH_MAX];
	long result = -ENOENT;

	if (!*name)
		return -ENOENT;
	if (has_slash(name))
		return SYS3(execve, name, argv, envp);
	for (;;) {
		size_t n = 0;
		long r;

		while (search[n] && search[n] != ':')
			n++;
		r = join(path, search, n, name);
		if (r >= 0)
			r = SYS3(execve, path, argv, envp);
		/* As execvp(3): what is not there or not for us may still be found further on. */
		if (r == -EACCES)
			result = r;
		else if (r != -ENOENT && r != -ENOTDIR && r != -ENAMETOOLONG && r != -ELOOP)
			return r;
		/* A name without its interpreter is there, and its absence must not read as "command not found". */
		if (r == -ENOENT && SYS3(faccessat, AT_FDCWD, path, 0) == 0)
			result = -ELIBACC;
		if (!search[n])
			return result;
		search += n + 1;
	}
}

void *map_memory(size_t size)
{
	long r = sys_mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	return sys_is_err(r) ? NULL : (void *)r;
}
