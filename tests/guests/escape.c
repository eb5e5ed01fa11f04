/* escape: tries every way out of the guest.
 *
 *   escape OUTSIDE [WORK]
 *
 * WORK (/opt/udockpy/work) is where it may write. OUTSIDE is the host path of a directory that the guest was not
 * given. It holds a file "secret"; its parent also holds the guest's root directory. Every attempt that reads the
 * secret, or sees that it is there, prints "reached NAME"; what attempts at writing do, the test sees from outside.
 * The last line is "tried N". */
#define _GNU_SOURCE
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/openat2.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/inotify.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <sys/xattr.h>
#include <unistd.h>

static const char SECRET[] = "udockpy-secret";
static char outside[PATH_MAX / 4], base[NAME_MAX];
static int tried;

static void reached(const char *how, const char *path)
{
	printf("reached %s: %s\n", how, path);
	fflush(stdout);
}

/* Whether a descriptor gives the secret; closes it. */
static void judge(const char *how, const char *path, long fd)
{
	char text[sizeof(SECRET)] = "";

	tried++;
	if (fd < 0)
		return;
	if (pread((int)fd, text, sizeof(SECRET) - 1, 0) > 0 && !strcmp(text, SECRET))
		reached(how, path);
	close((int)fd);
}

/* A system call whose number no disassembler finds beside the instruction. */
static long hidden_call(volatile long number, long a, long b, long c, long d)
{
#ifdef __x86_64__
	long result;
	register long r10 __asm__("r10") = d;

	__asm__ volatile("syscall" : "=a"(result) : "a"(number), "D"(a), "S"(b), "d"(c), "r"(r10)
			 : "rcx", "r11", "memory");
	return result;
#else
	return syscall(number, a, b, c, d);
#endif
}

/* The same, from machine code written at run time. */
static bool generates = true;

static long generated_call(long number, long a, long b, long c)
{
	if (!generates)
		return -1;
#ifdef __x86_64__
	static const unsigned char code[] = {0x48, 0x89, 0xf8, 0x48, 0x89, 0xf7, 0x48, 0x89, 0xd6, 0x48,
					     0x89, 0xca, 0x0f, 0x05, 0xc3};
	unsigned char *page = mmap(NULL, 4096, PROT_READ | PROT_WRITE | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	long result;

	if (page == MAP_FAILED)
		return -1;
	memcpy(page, code, sizeof(code));
	result = ((long (*)(long, long, long, long))(void *)page)(number, a, b, c);
	munmap(page, 4096);
	return result;
#else
	return syscall(number, a, b, c);
#endif
}

static void read_by_every_call(const char *path)
{
	struct open_how how = {.flags = O_RDONLY};
	struct stat status;
	struct statfs figures;
	char text[64];
	int root = open("/", O_PATH | O_DIRECTORY | O_CLOEXEC), fd;
	static const uint64_t resolve[] = {0, RESOLVE_NO_MAGICLINKS, RESOLVE_NO_XDEV};

	judge("open", path, open(path, O_RDONLY));
	judge("raw open", path, syscall(SYS_open, path, O_RDONLY));
	judge("openat", path, openat(root, path, O_RDONLY));
	judge("hidden", path, hidden_call(SYS_openat, AT_FDCWD, (long)path, O_RDONLY, 0));
	judge("hidden open", path, hidden_call(SYS_open, (long)path, O_RDONLY, 0, 0));
	judge("generated", path, generated_call(SYS_open, (long)path, O_RDONLY, 0));
	judge("number with high bits", path, hidden_call(SYS_open | 0x100000000, (long)path, O_RDONLY, 0, 0));
	for (size_t i = 0; i < sizeof(resolve) / sizeof(*resolve); i++) {
		how.resolve = resolve[i];
		judge("openat2", path, syscall(SYS_openat2, root, path, &how, sizeof(how)));
	}
	fd = open(path, O_PATH);
	if (fd >= 0) {
		snprintf(text, sizeof(text), "/proc/self/fd/%d", fd);
		judge("path fd", path, open(text, O_RDONLY));
		close(fd);
	}
	tried += 8;
	if (stat(path, &status) == 0 && status.st_size == (off_t)sizeof(SECRET) - 1)
		reached("stat", path);
	if (lstat(path, &status) == 0 && status.st_size == (off_t)sizeof(SECRET) - 1 && S_ISREG(status.st_mode))
		reached("lstat", path);
	if (access(path, F_OK) == 0)
		reached("access", path);
	if (statfs(path, &figures) == 0)
		reached("statfs", path);
	if (getxattr(path, "user.none", text, sizeof(text)) >= 0 || errno == ENODATA)
		reached("getxattr", path);
	if (inotify_add_watch(inotify_init1(IN_CLOEXEC), path, IN_OPEN) >= 0)
		reached("inotify", path);
	if (utimensat(AT_FDCWD, path, NULL, 0) == 0)
		reached("utimensat", path);
	if (link(path, "linked") == 0) {
		reached("link", path);
		unlink("linked");
	}
	close(root);
}

/* Paths that would lead to the secret if any part of them were taken by the host. */
static void read_by_every_path(void)
{
	char path[PATH_MAX], target[PATH_MAX];
	int fd, deep;

	snprintf(path, sizeof(path), "%s/secret", outside);
	read_by_every_call(path);
	snprintf(path, sizeof(path), "/../%s/secret", base);
	read_by_every_call(path);
	snprintf(path, sizeof(path), "//..//./../%s/secret", base);
	read_by_every_call(path);
	snprintf(path, sizeof(path), "/etc/../../%s/secret", base);
	read_by_every_call(path);
	snprintf(path, sizeof(path), "../../../../../../../../../../../../../../../..%s/secret", outside);
	read_by_every_call(path);
	snprintf(path, sizeof(path), "/proc/self/root/../%s/secret", base);
	read_by_every_call(path);
	snprintf(path, sizeof(path), "/proc/self/root%s/secret", outside);
	read_by_every_call(path);
	snprintf(path, sizeof(path), "/proc/self/cwd/../../../../../../../../..%s/secret", outside);
	read_by_every_call(path);
	snprintf(path, sizeof(path), "/proc/self/task/../root%s/secret", outside);
	read_by_every_call(path);
	static const int pids[] = {1, 2};
	for (size_t i = 0; i < 4; i++) {
		int pid = i < 2 ? pids[i] : i == 2 ? getppid() : getsid(0);

		if (pid <= 0)
			continue;
		snprintf(path, sizeof(path), "/proc/%d/root%s/secret", pid, outside);
		read_by_every_call(path);
		snprintf(path, sizeof(path), "/proc/%d/root/../%s/secret", pid, base);
		read_by_every_call(path);
		snprintf(path, sizeof(path), "/proc/%d/cwd/../../../../../../../..%s/secret", pid, outside);
		read_by_every_call(path);
	}
	fd = open("/", O_RDONLY | O_DIRECTORY);
	snprintf(path, sizeof(path), "/proc/self/fd/%d/../%s/secret", fd, base);
	read_by_every_call(path);
	snprintf(path, sizeof(path), "/dev/fd/%d/..%s/secret", fd, outside);
	read_by_every_call(path);
	snprintf(path, sizeof(path), "../%s/secret", base);
	judge("directory fd", path, openat(fd, path, O_RDONLY));
	for (deep = 3; deep < 1024; deep++) {
		struct stat status;

		if (fstat(deep, &status) < 0 || !S_ISDIR(status.st_mode))
			continue;
		judge("inherited directory", path, openat(deep, path, O_RDONLY));
		judge("inherited directory, deeper", path, openat(deep, outside + 1, O_RDONLY));
	}
	/* Symbolic links, planted by the guest. */
	static const char *const forms[] = {"%s/secret", "..%s/secret", "../../../../../../../../../..%s/secret",
					    "/..%s/secret", "/proc/self/root%s/secret"};
	for (size_t i = 0; i < sizeof(forms) / sizeof(*forms); i++) {
		(void)!snprintf(target, sizeof(target), forms[i], outside);
		unlink("planted");
		if (symlink(target, "planted") == 0)
			read_by_every_call("planted/../planted"), judge("planted", target, open("planted", O_RDONLY));
	}
	unlink("planted");
	if (symlink(outside, "planted") == 0) {
		judge("planted directory", target, open("planted/secret", O_RDONLY));
		judge("planted directory fd", target, openat(open("planted", O_PATH), "secret", O_RDONLY));
		if (chdir("planted") == 0)
			reached("chdir", outside);
	}
	unlink("planted");
	close(fd);
}

/* Nothing of this may leave a trace outside. */
static void write_by_every_call(void)
{
	char path[PATH_MAX], secret[PATH_MAX];
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	static const char *const forms[] = {"%s/planted-%d", "/..%s/planted-%d", "/proc/self/root%s/planted-%d",
					    "../../../../../../../../../..%s/planted-%d"};
	int fd;

	snprintf(secret, sizeof(secret), "%s/secret", outside);
	for (int i = 0; i < 4; i++) {
		(void)!snprintf(path, sizeof(path), forms[i], outside, i);
		close(open(path, O_WRONLY | O_CREAT, 0644));
		close((int)syscall(SYS_creat, path, 0644));
		close((int)hidden_call(SYS_open, (long)path, O_WRONLY | O_CREAT, 0644, 0));
		close((int)generated_call(SYS_open, (long)path, O_WRONLY | O_CREAT, 0644));
		mkdir(path, 0755);
		symlink("x", path);
		mknod(path, S_IFIFO | 0644, 0);
		link("/etc/passwd", path);
		close(open("here", O_WRONLY | O_CREAT, 0644));
		rename("here", path);
		syscall(SYS_renameat2, AT_FDCWD, "here", AT_FDCWD, path, 0);
		hidden_call(SYS_mkdir, (long)path, 0755, 0, 0);
		snprintf(address.sun_path, sizeof(address.sun_path), "%.100s", path);
		fd = socket(AF_UNIX, SOCK_DGRAM, 0);
		bind(fd, (struct sockaddr *)&address, sizeof(address));
		close(fd);
		tried += 12;
	}
	truncate(secret, 0);
	chmod(secret, 0777);
	chown(secret, getuid(), getgid());
	setxattr(secret, "user.planted", "x", 1, 0);
	rename(secret, "stolen");
	unlink(secret);
	unlinkat(open("/", O_PATH), secret, 0);
	rmdir(outside);
	close(open(outside, O_TMPFILE | O_RDWR, 0600));
	tried += 9;
	unlink("here");
}

/* The 32-bit entries of a 64-bit process. In children: an engine may kill for it. */
static void foreign_entries(void)
{
#ifdef __x86_64__
	char *low = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_32BIT, -1, 0);
	int status;

	if (low == MAP_FAILED)
		return;
	snprintf(low, 4096, "%s/secret", outside);
	fflush(stdout);
	if (fork() == 0) {
		long result;

		__asm__ volatile("int $0x80" : "=a"(result) : "a"(5), "b"(low), "c"(O_RDONLY), "d"(0)
				 : "memory", "r8", "r9", "r10", "r11");
		judge("int 0x80", low, result);
		_exit(0);
	}
	wait(&status);
	if (fork() == 0) {
		judge("x32", low, hidden_call(SYS_open | 0x40000000, (long)low, O_RDONLY, 0, 0));
		_exit(0);
	}
	wait(&status);
	tried += 2;
#endif
}

/* What only a privileged program may do; a pretended root believes to be one. */
static void privileged_calls(void)
{
	struct {
		struct file_handle head;
		unsigned char bytes[128];
	} handle = {.head.handle_bytes = 128};
	char secret[PATH_MAX], path[PATH_MAX];
	int fd, mount_id, status;

	snprintf(secret, sizeof(secret), "%s/secret", outside);
	if (syscall(SYS_name_to_handle_at, AT_FDCWD, secret, &handle, &mount_id, 0) == 0)
		reached("name_to_handle_at", secret);
	fd = open("/", O_RDONLY | O_DIRECTORY);
	if (syscall(SYS_name_to_handle_at, fd, "..", &handle, &mount_id, 0) == 0) {
		int parent = (int)syscall(SYS_open_by_handle_at, fd, &handle, O_RDONLY | O_DIRECTORY);

		snprintf(path, sizeof(path), "%s/secret", base);
		if (parent >= 0)
			judge("open_by_handle_at", path, openat(parent, path, O_RDONLY));
	}
	fflush(stdout);
	if (fork() == 0) {
		mkdir("point", 0755);
		if (mount(outside, "point", NULL, MS_BIND, NULL) == 0)
			judge("bind mount", outside, open("point/secret", O_RDONLY));
		if (unshare(CLONE_NEWUSER | CLONE_NEWNS) == 0 && mount(outside, "point", NULL, MS_BIND, NULL) == 0)
			judge("bind mount in a namespace", outside, open("point/secret", O_RDONLY));
		judge("open_tree", outside, syscall(428, AT_FDCWD, outside, 0));
		rmdir("point");
		_exit(0);
	}
	wait(&status);
	/* The classic: a root whose working directory is outside it. */
	if (fork() == 0) {
		mkdir("jail", 0755);
		if (chroot("jail") == 0) {
			for (int i = 0; i < 30; i++)
				(void)!chdir("..");
			judge("chroot", outside + 1, open(outside + 1, O_RDONLY));
			snprintf(path, sizeof(path), ".%s/secret", outside);
			judge("chroot", path, open(path, O_RDONLY));
			if (chroot(".") == 0)
				judge("chroot twice", secret, open(secret, O_RDONLY));
		}
		_exit(0);
	}
	wait(&status);
	rmdir("jail");
	/* Another program by execve: run by the host it would find the host's file. */
	if (fork() == 0) {
		execl("/bin/busybox", "cat", secret, (char *)NULL);
		_exit(0);
	}
	wait(&status);
	tried += 8;
}

static volatile bool stop;

static void *swap_names(void *unused)
{
	(void)unused;
	while (!stop) {
		syscall(SYS_renameat2, AT_FDCWD, "race/dir", AT_FDCWD, "race/link", 2 /* RENAME_EXCHANGE */);
		rename("race/deep/one/two", "race/two");
		rename("race/two", "race/deep/one/two");
	}
	return NULL;
}

/* Renames under the feet of the resolution of a path. */
static void races(void)
{
	char path[PATH_MAX], climb[PATH_MAX], link[PATH_MAX];
	pthread_t thread;
	int two, work = open(".", O_PATH | O_DIRECTORY);

	mkdir("race", 0755), mkdir("race/dir", 0755), mkdir("race/deep", 0755);
	mkdir("race/deep/one", 0755), mkdir("race/deep/one/two", 0755);
	snprintf(link, sizeof(link), "../../../../../../../../../../..%s", outside);
	symlink(link, "race/link");
	two = open("race/deep/one/two", O_PATH | O_DIRECTORY);
	if (pthread_create(&thread, NULL, swap_names, NULL) != 0)
		return;
	for (int round = 0; round < 3000; round++) {
		judge("race", "race/dir/secret", open("race/dir/secret", O_RDONLY));
		(void)!snprintf(climb, sizeof(climb), "../../../../../../../../../../../../../..%s/secret", outside);
		judge("race, climbing", climb, openat(two, climb, O_RDONLY));
		(void)!snprintf(path, sizeof(path), "race/deep/one/two/%.2000s", climb);
		judge("race, through", path, open(path, O_RDONLY));
		(void)!snprintf(path, sizeof(path), "race/dir/planted-race");
		close(open(path, O_WRONLY | O_CREAT | O_NOFOLLOW, 0644));
		unlink(path);
		mkdirat(two, "../../../dir/planted-race", 0755);
		unlinkat(two, "../../../dir/planted-race", AT_REMOVEDIR);
		if (chdir("race/dir") == 0) {
			judge("race, chdir", "secret", open("secret", O_RDONLY));
			(void)!fchdir(work);
		}
		/* One directory more than there is when "two" has been moved up: above the root of a guest that is as
		 * deep as this one. */
		for (int depth = 6; depth < 12; depth++) {
			size_t n = (size_t)snprintf(path, sizeof(path), "race/deep/one/two");

			for (int i = 0; i < depth; i++)
				n += (size_t)snprintf(path + n, sizeof(path) - n, "/..");
			(void)!snprintf(path + n, sizeof(path) - n, "/%s/secret", base);
			judge("race, one too many", path, open(path, O_RDONLY));
		}
	}
	for (int round = 0; round < 1000; round++) {
		truncate("race/dir/secret", 0);
		setxattr("race/dir/secret", "user.planted", "x", 1, 0);
	}
	stop = true;
	pthread_join(thread, NULL);
	close(two);
	close(work);
}

/* A listener outside that somebody may connect to by its path. */
static void sockets(void)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	int fd = socket(AF_UNIX, SOCK_STREAM, 0);

	snprintf(address.sun_path, sizeof(address.sun_path), "%.90s/listener", outside);
	if (connect(fd, (struct sockaddr *)&address, sizeof(address)) == 0)
		reached("connect", address.sun_path);
	tried++;
	close(fd);
}

int main(int argc, char **argv)
{
	char work[PATH_MAX];

	if (argc > 2 && strcmp(argv[argc - 1], "--no-generated") == 0) {
		generates = false;
		argc--;
	}
	if (argc < 2 || argc > 3 || strlen(argv[1]) >= sizeof(outside)) {
		fprintf(stderr, "usage: escape OUTSIDE [WORK] [--no-generated]\n");
		return 2;
	}
	strcpy(outside, argv[1]);
	snprintf(base, sizeof(base), "%.200s", strrchr(outside, '/') + 1);
	snprintf(work, sizeof(work), "%.200s/escape.XXXXXX", argc > 2 ? argv[2] : "/opt/udockpy/work");
	signal(SIGPIPE, SIG_IGN);
	if (!mkdtemp(work) || chdir(work)) {
		perror(work);
		return 2;
	}
	read_by_every_path();
	sockets();
	races();
	foreign_entries();
	privileged_calls();
	write_by_every_call();
	read_by_every_path();
	printf("tried %d\n", tried);
	return 0;
}
