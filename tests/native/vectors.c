/* Reading the path vectors and making their trees; contracts in vectors.h. */
#define _GNU_SOURCE
#include "vectors.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sched.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

static _Noreturn void fail(const char *what, const char *object)
{
	fprintf(stderr, "Bail out! %s: %s: %s\n", what, object, strerror(errno));
	exit(1);
}

/* ---- text ---- */

struct text {
	char *data;
	size_t len;
};

static void put(struct text *t, const char *data, size_t n)
{
	t->data = realloc(t->data, t->len + n + 1);
	if (!t->data)
		fail("memory", "vectors");
	memcpy(t->data + t->len, data, n);
	t->len += n;
	t->data[t->len] = '\0';
}

/* Undoes the escapes of a field; `tmp` is what $TMP stands for. */
static char *unescape(const char *field, const char *tmp)
{
	struct text t = { NULL, 0 };

	put(&t, "", 0);
	while (*field) {
		if (!strncmp(field, "$TMP", 4)) {
			put(&t, tmp, strlen(tmp));
			field += 4;
		} else if (!strncmp(field, "\\{", 2)) {
			const char *star = strchr(field, '*');
			char *end;
			long count = strtol(star + 1, &end, 10);

			while (count-- > 0)
				put(&t, field + 2, (size_t)(star - field - 2));
			field = end + 1;
		} else if (*field == '\\') {
			char c = field[1];
			unsigned byte;

			field += 2;
			if (c == 'x') {
				if (sscanf(field, "%2x", &byte) != 1)
					fail("bad escape", field);
				c = (char)byte;
				field += 2;
			} else if (c == 'n') {
				c = '\n';
			} else if (c == 't') {
				c = '\t';
			}
			put(&t, &c, 1);
		} else {
			put(&t, field++, 1);
		}
	}
	return t.data;
}

static char *joined(const char *format, ...)
{
	va_list args;
	char *s;

	va_start(args, format);
	if (vasprintf(&s, format, args) < 0)
		fail("memory", "vectors");
	va_end(args);
	return s;
}

/* ---- trees ---- */

static void make_directories(char *path)
{
	for (char *p = path + 1; *p; p++)
		if (*p == '/') {
			*p = '\0';
			(void)mkdir(path, 0755);
			*p = '/';
		}
}

static void make(const struct vectors *t, char **fields)
{
	char *path = joined("%s/%s", t->tmp, fields[1]);

	make_directories(path);
	if (!strcmp(fields[0], "@dir")) {
		if (mkdir(path, 0755) < 0 && errno != EEXIST)
			fail("mkdir", path);
	} else if (!strcmp(fields[0], "@file")) {
		int fd = open(path, O_WRONLY | O_CREAT | O_EXCL, 0644);

		if (fd < 0 || write(fd, fields[1], strlen(fields[1])) < 0)
			fail("create", path);
		close(fd);
	} else if (!strcmp(fields[0], "@link")) {
		if (symlink(fields[2], path) < 0)
			fail("symlink", path);
	} else {
		int count = atoi(fields[2]);

		for (int i = 1; i <= count; i++) {
			char *link = joined("%s%d", path, i);
			const char *name = strrchr(fields[1], '/') + 1;
			char *target = i == 1 ? strdup(fields[3]) : joined("%s%d", name, i - 1);

			if (symlink(target, link) < 0)
				fail("symlink", link);
			free(target);
			free(link);
		}
	}
	free(path);
}

static void add_bind(struct vectors *t, char **fields)
{
	struct vector_bind *b = &t->binds[t->n_binds++];

	if (t->n_binds > sizeof(t->binds) / sizeof(*t->binds))
		fail("too many", "binds");
	*b = (struct vector_bind){
		.source = joined("%s/%s", t->tmp, fields[1]),
		.guest = strdup(fields[2]),
		.read_only = !strcmp(fields[3], "ro"),
		.kernel = !strcmp(fields[4], "kernel"),
	};
	if (access(b->source, F_OK) < 0)
		fail("bind", b->source);
}

static void add_vector(struct vectors *t, char **fields)
{
	t->vectors = realloc(t->vectors, (t->n_vectors + 1) * sizeof(*t->vectors));
	if (!t->vectors)
		fail("memory", "vectors");
	t->vectors[t->n_vectors++] = (struct vector){
		.name = strdup(fields[0]),
		.cwd = strdup(fields[1]),
		.call = strdup(fields[2]),
		.path = strdup(fields[3]),
		.expected = strdup(fields[4]),
		.kernel = !strcmp(fields[5], "kernel"),
	};
}

void vectors_make_tmp(struct vectors *t)
{
	const char *base = getenv("TMPDIR");
	char template[200], *real;

	memset(t, 0, sizeof(*t));
	umask(022);
	snprintf(template, sizeof(template), "%s/udockpy-view-XXXXXX", base && *base ? base : "/tmp");
	if (!mkdtemp(template))
		fail("mkdtemp", template);
	real = realpath(template, NULL);
	if (!real || strlen(real) >= sizeof(t->tmp))
		fail("realpath", template);
	strcpy(t->tmp, real);
	free(real);
	snprintf(t->root, sizeof(t->root), "%s/root", t->tmp);
	if (mkdir(t->root, 0755) < 0)
		fail("mkdir", t->root);
}

void vectors_load(struct vectors *t, const char *tsv)
{
	FILE *f = fopen(tsv, "r");
	char *line = NULL;
	size_t size = 0;

	if (!f)
		fail("open", tsv);
	vectors_make_tmp(t);
	while (getline(&line, &size, f) > 0) {
		char *fields[6] = { NULL }, *rest = line;
		size_t n = 0, wanted;

		line[strcspn(line, "\n")] = '\0';
		if (*line == '#' || !*line)
			continue;
		do
			fields[n++] = unescape(strsep(&rest, "\t"), t->tmp);
		while (n < 6 && rest);
		wanted = *line != '@' ? 6 : !strcmp(fields[0], "@bind") ? 5 : !strcmp(fields[0], "@chain") ? 4 :
			 !strcmp(fields[0], "@link") ? 3 : 2;
		errno = EINVAL;
		if (n != wanted || rest)
			fail("bad line", line);
		if (*line != '@')
			add_vector(t, fields);
		else if (!strcmp(fields[0], "@bind"))
			add_bind(t, fields);
		else
			make(t, fields);
		while (n > 0)
			free(fields[--n]);
	}
	free(line);
	fclose(f);
}

/* Removes `name` in `dirfd` and what is in it; by descriptors, for whole paths may be too long. */
static void remove_at(int dirfd, const char *name)
{
	int fd = openat(dirfd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	DIR *dir = fd < 0 ? NULL : fdopendir(fd);
	struct dirent *entry;

	while (dir && (entry = readdir(dir)))
		if (strcmp(entry->d_name, ".") && strcmp(entry->d_name, ".."))
			remove_at(fd, entry->d_name);
	if (dir)
		closedir(dir);
	if (unlinkat(dirfd, name, dir ? AT_REMOVEDIR : 0) < 0)
		perror(name);
}

void vectors_remove(struct vectors *t)
{
	remove_at(AT_FDCWD, t->tmp);
	for (size_t i = 0; i < t->n_vectors; i++) {
		free(t->vectors[i].name);
		free(t->vectors[i].cwd);
		free(t->vectors[i].call);
		free(t->vectors[i].path);
		free(t->vectors[i].expected);
	}
	free(t->vectors);
	for (size_t i = 0; i < t->n_binds; i++) {
		free(t->binds[i].source);
		free(t->binds[i].guest);
	}
	memset(t, 0, sizeof(*t));
}

/* ---- the kernel's view ---- */

static void write_file(const char *path, const char *text)
{
	int fd = open(path, O_WRONLY | O_CLOEXEC);

	if (fd < 0)
		return;
	if (write(fd, text, strlen(text)) < 0)
		perror(path);
	close(fd);
}

static int become_able_to_mount(void)
{
	char map[64];
	unsigned uid = getuid(), gid = getgid();

	if (unshare(CLONE_NEWNS) == 0)
		return 0;
	if (unshare(CLONE_NEWUSER | CLONE_NEWNS) < 0)
		return -errno;
	write_file("/proc/self/setgroups", "deny");
	snprintf(map, sizeof(map), "%u %u 1", uid, uid);
	write_file("/proc/self/uid_map", map);
	snprintf(map, sizeof(map), "%u %u 1", gid, gid);
	write_file("/proc/self/gid_map", map);
	return 0;
}

int vectors_enter(const struct vectors *t)
{
	int err = become_able_to_mount();

	if (err < 0)
		return err;
	if (mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0)
		return -errno;
	for (size_t i = 0; i < t->n_binds; i++) {
		const struct vector_bind *b = &t->binds[i];
		char *target;

		if (!b->kernel)
			continue;
		target = joined("%s%s", t->root, b->guest);
		if (mount(b->source, target, NULL, MS_BIND, NULL) < 0)
			err = -errno;
		if (!err && b->read_only && mount(NULL, target, NULL, MS_BIND | MS_REMOUNT | MS_RDONLY, NULL) < 0)
			err = -errno;
		free(target);
		if (err)
			return err;
	}
	return chroot(t->root) < 0 || chdir("/") < 0 ? -errno : 0;
}

bool vectors_deny_openat2(void)
{
	struct sock_filter code[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, 437 /* openat2 */, 0, 1),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | ENOSYS),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
	};
	struct sock_fprog program = { sizeof(code) / sizeof(*code), code };

	return prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0 && prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) == 0;
}
