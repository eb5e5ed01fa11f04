/* rootlike: does what a script says, and prints what came of it.
 *
 *   rootlike WORK <SCRIPT
 *
 * The script is of lines, a line of words: an operation and its arguments. WORK is made, is the working directory, and
 * is removed. Numbers are as in C. Each operation prints its name with what it returned, or minus the error number.
 * Beside the system calls there are
 *
 *   case NAME              forgets everything: an empty directory, root, the umask 022
 *   as UID GID [GROUP...]  whose the following operations are (real and effective ids; the saved uid stays root)
 *   note PATH...           prints as root what each file is */
#define _GNU_SOURCE
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <limits.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <sys/wait.h>
#include <sys/xattr.h>
#include <time.h>
#include <unistd.h>

#ifndef SYS_fchmodat2
#define SYS_fchmodat2 452
#endif
#define WORDS_MAX 24
#define GROUPS_MAX 16
#define LINE_SIZE 16384
#define EPOCH_OF_TESTS 1000000000 /* times before are those that a script set */

struct actor {
	uid_t uid;
	gid_t gid, groups[GROUPS_MAX];
	size_t n_groups;
};

static const struct actor root;
static struct actor actor; /* whose the operations are */
static bool is_actor;      /* else it is root now */
static int fd = -1;        /* of the last open */

static void must(bool ok, const char *what)
{
	if (ok)
		return;
	printf("rootlike: %s: %s\n", what, strerror(errno));
	exit(1);
}

static long number(const char *word)
{
	char *end;
	long n = strtol(word, &end, 0);

	must(*word && !*end, word);
	return n;
}

static void be_root(void)
{
	if (!is_actor)
		return;
	must(setresuid(0, 0, 0) == 0 && setresgid(0, 0, 0) == 0 && setgroups(0, NULL) == 0, "be root");
	is_actor = false;
}

static void be_actor(void)
{
	if (is_actor || !actor.uid)
		return;
	must(setgroups(actor.n_groups, actor.groups) == 0 && setresgid(actor.gid, actor.gid, actor.gid) == 0 &&
		     setresuid(actor.uid, actor.uid, 0) == 0,
	     "be another");
	is_actor = true;
}

/* -- what files are -- */

static int by_name(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

static void print_value(const char *value, ssize_t size)
{
	for (ssize_t i = 0; i < size; i++)
		printf("%02x", (unsigned char)value[i]);
}

static void note_xattrs(const char *path)
{
	char list[4096], value[4096], *names[64];
	ssize_t size = llistxattr(path, list, sizeof(list));
	size_t n = 0;

	for (char *p = list; size > 0 && p < list + size && n < 64; p += strlen(p) + 1)
		names[n++] = p;
	qsort(names, n, sizeof(*names), by_name);
	for (size_t i = 0; i < n; i++) {
		printf(" %s=", names[i]);
		print_value(value, lgetxattr(path, names[i], value, sizeof(value)));
	}
}

static void note_time(const char *name, const struct timespec *t)
{
	if (t->tv_sec < EPOCH_OF_TESTS)
		printf(" %s%lld", name, (long long)t->tv_sec);
}

static void note(const char *path)
{
	struct stat st;

	printf(" %s", path);
	if (lstat(path, &st) < 0) {
		printf(" -%d\n", errno);
		return;
	}
	printf(" %06o %d:%d n%d", st.st_mode, (int)st.st_uid, (int)st.st_gid, (int)st.st_nlink);
	if (st.st_rdev)
		printf(" r%d:%d", (int)major(st.st_rdev), (int)minor(st.st_rdev));
	if (!S_ISDIR(st.st_mode))
		printf(" s%lld", (long long)st.st_size);
	note_time("a", &st.st_atim);
	note_time("m", &st.st_mtim);
	note_xattrs(path);
	printf("\n");
}

/* Empties the working directory. */
static void remove_inside(int directory)
{
	DIR *stream = fdopendir(directory);
	struct dirent *entry;

	must(stream != NULL, "opendir");
	while ((entry = readdir(stream))) {
		if (!strcmp(entry->d_name, ".") || !strcmp(entry->d_name, ".."))
			continue;
		if (entry->d_type == DT_DIR)
			remove_inside(openat(directory, entry->d_name, O_RDONLY | O_DIRECTORY | O_CLOEXEC));
		must(unlinkat(directory, entry->d_name, entry->d_type == DT_DIR ? AT_REMOVEDIR : 0) == 0,
		     entry->d_name);
	}
	closedir(stream);
}

static void forget_everything(void)
{
	be_root();
	actor = root;
	umask(022);
	if (fd >= 0)
		close(fd);
	fd = -1;
	remove_inside(open(".", O_RDONLY | O_DIRECTORY | O_CLOEXEC));
}

/* -- the operations: w[0] is the name, missing words are "" -- */

static long op_chmod(char **w)
{
	return chmod(w[1], (mode_t)number(w[2]));
}

static long op_fchmod(char **w)
{
	return fchmod(fd, (mode_t)number(w[1]));
}

static long op_fchmodat2(char **w)
{
	return syscall(SYS_fchmodat2, AT_FDCWD, w[1], number(w[2]), number(w[3]));
}

static long op_chown(char **w)
{
	return chown(w[1], (uid_t)number(w[2]), (gid_t)number(w[3]));
}

static long op_lchown(char **w)
{
	return lchown(w[1], (uid_t)number(w[2]), (gid_t)number(w[3]));
}

static long op_fchown(char **w)
{
	return fchown(fd, (uid_t)number(w[1]), (gid_t)number(w[2]));
}

/* Of the last open, with AT_EMPTY_PATH. */
static long op_chown_empty(char **w)
{
	return syscall(SYS_fchownat, fd, "", number(w[1]), number(w[2]), AT_EMPTY_PATH);
}

static long op_link(char **w)
{
	return linkat(AT_FDCWD, w[1], AT_FDCWD, w[2], (int)number(w[3]));
}

static long op_mkdir(char **w)
{
	return mkdir(w[1], (mode_t)number(w[2]));
}

static long op_mknod(char **w)
{
	return mknod(w[1], (mode_t)number(w[2]), (dev_t)number(w[3]));
}

static long op_open(char **w)
{
	if (fd >= 0)
		close(fd);
	fd = open(w[1], (int)number(w[2]) | O_CLOEXEC | O_NONBLOCK, (mode_t)number(w[3]));
	return fd < 0 ? fd : 0;
}

static long op_rename(char **w)
{
	return syscall(SYS_renameat2, AT_FDCWD, w[1], AT_FDCWD, w[2], number(w[3]));
}

static long op_rmdir(char **w)
{
	return rmdir(w[1]);
}

static long op_unlink(char **w)
{
	return unlink(w[1]);
}

static long op_symlink(char **w)
{
	return symlink(w[1], w[2]);
}

static long op_truncate(char **w)
{
	return truncate(w[1], number(w[2]));
}

static long op_ftruncate(char **w)
{
	return ftruncate(fd, number(w[1]));
}

static long op_write(char **w)
{
	return write(fd, w[1], strlen(w[1]));
}

static long op_read(char **w)
{
	char byte;

	(void)w;
	return read(fd, &byte, 1);
}

static struct timespec when(const char *word)
{
	if (!strcmp(word, "now"))
		return (struct timespec){ .tv_nsec = UTIME_NOW };
	if (!strcmp(word, "omit"))
		return (struct timespec){ .tv_nsec = UTIME_OMIT };
	return (struct timespec){ .tv_sec = number(word) };
}

/* utimensat PATH FLAGS [ATIME MTIME]; times are seconds, "now" or "omit". */
static long op_utimensat(char **w)
{
	struct timespec times[2];

	if (!*w[3])
		return utimensat(AT_FDCWD, w[1], NULL, (int)number(w[2]));
	times[0] = when(w[3]);
	times[1] = when(w[4]);
	return utimensat(AT_FDCWD, w[1], times, (int)number(w[2]));
}

static long op_futimens(char **w)
{
	struct timespec times[2];

	if (!*w[1])
		return futimens(fd, NULL);
	times[0] = when(w[1]);
	times[1] = when(w[2]);
	return futimens(fd, times);
}

static long op_access(char **w)
{
	return syscall(SYS_access, w[1], number(w[2]));
}

static long op_faccessat2(char **w)
{
	return syscall(SYS_faccessat2, AT_FDCWD, w[1], number(w[2]), number(w[3]));
}

static size_t unhex(const char *hex, char *value)
{
	size_t n = 0;

	for (; hex[0] && hex[1]; hex += 2) {
		unsigned byte;

		sscanf(hex, "%2x", &byte);
		value[n++] = (char)byte;
	}
	return n;
}

/* setxattr PATH NAME HEX FLAGS; with an l before it of a link, with an f of the last open. */
static long op_setxattr(char **w)
{
	char value[LINE_SIZE / 2];
	size_t size = unhex(w[3], value);
	int flags = (int)number(w[4]);

	if (w[0][0] == 'l')
		return lsetxattr(w[1], w[2], value, size, flags);
	if (w[0][0] == 'f')
		return fsetxattr(fd, w[2], value, size, flags);
	return setxattr(w[1], w[2], value, size, flags);
}

static long op_getxattr(char **w)
{
	char value[LINE_SIZE / 2];
	ssize_t n = w[0][0] == 'l' ? lgetxattr(w[1], w[2], value, sizeof(value)) :
		    w[0][0] == 'f' ? fgetxattr(fd, w[2], value, sizeof(value)) :
				     getxattr(w[1], w[2], value, sizeof(value));

	if (n > 0) {
		print_value(value, n);
		printf(" ");
	}
	return n;
}

static long op_listxattr(char **w)
{
	char list[4096];

	return w[0][0] == 'l' ? llistxattr(w[1], list, sizeof(list)) :
	       w[0][0] == 'f' ? flistxattr(fd, list, sizeof(list)) :
				listxattr(w[1], list, sizeof(list));
}

static long op_removexattr(char **w)
{
	return w[0][0] == 'l' ? lremovexattr(w[1], w[2]) :
	       w[0][0] == 'f' ? fremovexattr(fd, w[2]) :
				removexattr(w[1], w[2]);
}

static long op_stat(char **w)
{
	struct stat st;

	return stat(w[1], &st);
}

static long op_readlink(char **w)
{
	char target[PATH_MAX];

	return readlink(w[1], target, sizeof(target));
}

static long op_chdir(char **w)
{
	int back = open(".", O_PATH | O_CLOEXEC);
	long r = chdir(w[1]);
	int error = errno;

	be_root();
	must(fchdir(back) == 0, "fchdir");
	close(back);
	errno = error;
	return r;
}

static long op_list(char **w)
{
	DIR *stream = opendir(w[1]);
	long n = 0;

	if (!stream)
		return -1;
	while (readdir(stream))
		n++;
	closedir(stream);
	return n;
}

static long op_umask(char **w)
{
	return umask((mode_t)number(w[1]));
}

/* Starts a process of these ids, which waits. */
static pid_t start_other(uid_t ruid, uid_t suid)
{
	int ready[2];
	pid_t child;
	char byte;

	be_root();
	must(pipe2(ready, O_CLOEXEC) == 0, "pipe");
	fflush(stdout);
	child = fork();
	if (child == 0) {
		must(setresuid(ruid, suid, suid) == 0 && write(ready[1], "x", 1) == 1, "setresuid");
		pause();
		_exit(0);
	}
	must(read(ready[0], &byte, 1) == 1, "read");
	close(ready[0]);
	close(ready[1]);
	be_actor();
	return child;
}

static void end_other(pid_t child)
{
	int error = errno;

	be_root();
	kill(child, SIGKILL);
	waitpid(child, NULL, 0);
	errno = error;
}

/* kill RUID SUID SIGNAL: signals a process of these ids. */
static long op_kill(char **w)
{
	pid_t child = start_other((uid_t)number(w[1]), (uid_t)number(w[2]));
	long r = kill(child, (int)number(w[3]));

	end_other(child);
	return r;
}

/* The lines of a process' status that say who it is. (Not its capabilities: a machine may keep some from root.) */
static long print_status(const char *path)
{
	FILE *file = fopen(path, "re");
	char line[1024];

	if (!file)
		return -1;
	while (fgets(line, sizeof(line), file))
		if (!strncmp(line, "Uid:", 4) || !strncmp(line, "Gid:", 4) || !strncmp(line, "Groups:", 7))
			printf("%.*s ", (int)strcspn(line, "\n"), line);
	fclose(file);
	return 0;
}

/* whose RUID SUID: what /proc says of a process of these ids. */
static long op_whose(char **w)
{
	pid_t child = start_other((uid_t)number(w[1]), (uid_t)number(w[2]));
	struct stat st = { 0 };
	char path[64];
	long r;

	snprintf(path, sizeof(path), "/proc/%d", (int)child);
	r = stat(path, &st);
	printf("%d:%d ", (int)st.st_uid, (int)st.st_gid);
	strcat(path, "/status");
	print_status(path);
	end_other(child);
	return r;
}

/* What the other end of a pair of sockets is told. */
static long op_peer(char **w)
{
	struct ucred peer = { 0 };
	socklen_t size = sizeof(peer);
	int pair[2];
	long r;

	(void)w;
	must(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) == 0, "socketpair");
	r = getsockopt(pair[0], SOL_SOCKET, SO_PEERCRED, &peer, &size);
	printf("%d:%d ", (int)peer.uid, (int)peer.gid);
	close(pair[0]);
	close(pair[1]);
	return r;
}

static long op_status(char **w)
{
	(void)w;
	return print_status("/proc/self/status");
}

static const struct {
	const char *name;
	long (*run)(char **w);
} operations[] = {
	{ "access", op_access },
	{ "chdir", op_chdir },
	{ "chmod", op_chmod },
	{ "chown", op_chown },
	{ "chown_empty", op_chown_empty },
	{ "faccessat2", op_faccessat2 },
	{ "fchmod", op_fchmod },
	{ "fchmodat2", op_fchmodat2 },
	{ "fchown", op_fchown },
	{ "fgetxattr", op_getxattr },
	{ "flistxattr", op_listxattr },
	{ "fremovexattr", op_removexattr },
	{ "fsetxattr", op_setxattr },
	{ "ftruncate", op_ftruncate },
	{ "futimens", op_futimens },
	{ "getxattr", op_getxattr },
	{ "kill", op_kill },
	{ "lchown", op_lchown },
	{ "lgetxattr", op_getxattr },
	{ "link", op_link },
	{ "list", op_list },
	{ "listxattr", op_listxattr },
	{ "llistxattr", op_listxattr },
	{ "lremovexattr", op_removexattr },
	{ "lsetxattr", op_setxattr },
	{ "mkdir", op_mkdir },
	{ "mknod", op_mknod },
	{ "open", op_open },
	{ "peer", op_peer },
	{ "read", op_read },
	{ "readlink", op_readlink },
	{ "removexattr", op_removexattr },
	{ "rename", op_rename },
	{ "rmdir", op_rmdir },
	{ "setxattr", op_setxattr },
	{ "stat", op_stat },
	{ "status", op_status },
	{ "symlink", op_symlink },
	{ "truncate", op_truncate },
	{ "umask", op_umask },
	{ "unlink", op_unlink },
	{ "utimensat", op_utimensat },
	{ "whose", op_whose },
	{ "write", op_write },
};

static void operate(char **w)
{
	for (size_t i = 0; i < sizeof(operations) / sizeof(operations[0]); i++) {
		if (strcmp(w[0], operations[i].name))
			continue;
		be_actor();
		printf("%s ", w[0]);
		long r = operations[i].run(w);
		printf("%ld\n", r < 0 ? -(long)errno : r);
		return;
	}
	errno = ENOSYS;
	must(false, w[0]);
}

static void choose_actor(char **w)
{
	be_root();
	actor = (struct actor){ .uid = (uid_t)number(w[1]), .gid = (gid_t)number(w[2]) };
	for (w += 3; **w; w++)
		actor.groups[actor.n_groups++] = (gid_t)number(*w);
}

static void run_line(char *line)
{
	static char nothing[] = "";
	char *words[WORDS_MAX];
	size_t n = 0;

	for (char *word = strtok(line, " \n"); word && n < WORDS_MAX - 1; word = strtok(NULL, " \n"))
		words[n++] = word;
	if (!n)
		return;
	for (size_t i = n; i < WORDS_MAX; i++)
		words[i] = nothing;
	if (!strcmp(words[0], "case")) {
		forget_everything();
		printf("== %s\n", words[1]);
	} else if (!strcmp(words[0], "as")) {
		choose_actor(words);
	} else if (!strcmp(words[0], "note")) {
		be_root();
		for (size_t i = 1; i < n; i++)
			note(words[i]);
	} else {
		operate(words);
	}
}

int main(int argc, char **argv)
{
	static char output[1 << 16], line[LINE_SIZE];

	if (argc != 2)
		return 2;
	setvbuf(stdout, output, _IOFBF, sizeof(output));
	umask(022);
	must((mkdir(argv[1], 0755) == 0 || errno == EEXIST) && chdir(argv[1]) == 0, argv[1]);
	must(setresgid(0, 0, 0) == 0 && setgroups(0, NULL) == 0, "root");
	while (fgets(line, sizeof(line), stdin))
		run_line(line);
	forget_everything();
	must(rmdir(argv[1]) == 0, argv[1]);
	return 0;
}
