/* torture: what /proc says, in the guest's terms. */
#include "torture.h"

#include <pthread.h>
#include <sys/mman.h>

static bool same_file(const char *one, const char *other)
{
	struct stat a, b;

	require(stat(one, &a) == 0 && stat(other, &b) == 0);
	return a.st_ino == b.st_ino && a.st_dev == b.st_dev;
}

/* readlink(2) as a string; "" with errno kept when it fails. */
static const char *target_of(const char *path)
{
	static char text[PATH_MAX];
	ssize_t length = readlink(path, text, sizeof(text) - 1);

	text[length > 0 ? length : 0] = 0;
	return text;
}

static const char *of_process(pid_t pid, const char *name)
{
	static char path[64];

	snprintf(path, sizeof(path), "/proc/%d/%s", (int)pid, name);
	return path;
}

CHECK(EVERYONE, proc_self_exe)
{
	char head[8];

	require(!strcmp(target_of("/proc/self/exe"), self_path));
	require(!strcmp(target_of("/proc/thread-self/exe"), self_path));
	require(!strcmp(target_of(of_process(getpid(), "exe")), self_path));
	require(same_file("/proc/self/exe", self_path) && same_file(of_process(getpid(), "exe"), self_path));
	require(slurp("/proc/self/exe", head, sizeof(head)) > 4 && !memcmp(head, "\177ELF", 4));
	require(access("/proc/self/exe", X_OK) == 0);
	note("size=%zd", readlink("/proc/self/exe", head, 3));
}

CHECK(EVERYONE, proc_exe_of_others)
{
	char *argv[] = {"prog", "--sleep", NULL}, expected[PATH_MAX];
	int status;
	pid_t pid, plain;

	require(getcwd(expected, sizeof(expected) - 8));
	strcat(expected, "/prog");
	copy_self("prog");
	plain = fork();
	require(plain >= 0);
	if (!plain) {
		pause();
		_exit(0);
	}
	require(!strcmp(target_of(of_process(plain, "exe")), self_path));
	pid = fork();
	require(pid >= 0);
	if (!pid) {
		execv("./prog", argv);
		_exit(1);
	}
	for (int i = 0; i < 500 && strcmp(target_of(of_process(pid, "exe")), expected); i++)
		usleep(5000);
	require(!strcmp(target_of(of_process(pid, "exe")), expected));
	require(same_file(of_process(pid, "exe"), "prog"));
	require(!strcmp(target_of(of_process(pid, "root")), "/"));
	require(same_file(of_process(pid, "cwd"), "."));
	kill(pid, SIGKILL);
	kill(plain, SIGKILL);
	require(waitpid(pid, &status, 0) == pid && waitpid(plain, &status, 0) == plain);
	require(!strcmp(target_of("/proc/self/exe"), self_path));
}

CHECK(EVERYONE, proc_self_cwd_and_root)
{
	char here[PATH_MAX];

	require(getcwd(here, sizeof(here)));
	require(!strcmp(target_of("/proc/self/cwd"), here));
	require(same_file("/proc/self/cwd", ".") && same_file("/proc/self/cwd/..", ".."));
	require(!strcmp(target_of("/proc/self/root"), "/"));
	require(same_file("/proc/self/root", "/") && same_file("/proc/self/root/..", "/"));
	require(same_file("/proc/self/root/etc/passwd", "/etc/passwd"));
	require(same_file("/proc/self/task/../cwd", "."));
	require(chdir("/proc/self/root") == 0 && getcwd(here, sizeof(here)));
	note("through_root=%s", here);
	require(chdir("/proc/self") == 0 && same_file("cwd", "."));
	require(chdir("/etc") == 0 && !strcmp(target_of("/proc/self/cwd"), "/etc"));
	note("self=%s", atoi(target_of("/proc/self")) == getpid() ? "pid" : "other");
}

CHECK(EVERYONE, proc_self_fd)
{
	char path[64], here[PATH_MAX], text[PATH_MAX];
	int file, directory, ends[2], again;
	struct stat status;

	require(getcwd(here, sizeof(here)));
	make_file("file", "content");
	file = open("file", O_RDONLY | O_CLOEXEC);
	directory = open("/etc", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	require(file >= 0 && directory >= 0 && pipe(ends) == 0);
	snprintf(path, sizeof(path), "/proc/self/fd/%d", file);
	snprintf(text, sizeof(text), "%.4000s/file", here);
	require(!strcmp(target_of(path), text));
	require(slurp(path, text, sizeof(text)) == 7);
	require(lstat(path, &status) == 0 && S_ISLNK(status.st_mode));
	require(rename("file", "renamed") == 0);
	require(!strcmp(strrchr(target_of(path), '/'), "/renamed"));
	require(unlink("renamed") == 0);
	note("unlinked=%s", strrchr(target_of(path), '/'));
	again = open(path, O_RDONLY | O_CLOEXEC);
	require(again >= 0 && fstat(again, &status) == 0 && status.st_nlink == 0);
	snprintf(path, sizeof(path), "/dev/fd/%d", directory);
	require(!strcmp(target_of(path), "/etc"));
	snprintf(path, sizeof(path), "/proc/self/fd/%d/passwd", directory);
	require(same_file(path, "/etc/passwd"));
	snprintf(path, sizeof(path), "/proc/self/fd/%d/../etc", directory);
	require(same_file(path, "/etc"));
	snprintf(path, sizeof(path), "/proc/self/fd/%d/../../..", directory);
	require(same_file(path, "/"));
	snprintf(path, sizeof(path), "/proc/self/fd/%d", ends[0]);
	note("pipe=%.5s", target_of(path));
	observe("missing", readlink("/proc/self/fd/999", text, sizeof(text)));
	directory = open("/", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	snprintf(path, sizeof(path), "/proc/self/fd/%d", directory);
	note("root=%s", target_of(path));
	snprintf(path, sizeof(path), "/proc/self/fdinfo/%d", directory);
	require(access(path, R_OK) == 0);
}

CHECK(EVERYONE, proc_self_maps)
{
	static char text[1 << 20];
	char *saved, *line, *path;
	struct stat status;
	bool found = false;
	int strangers = 0;

	require(slurp("/proc/self/maps", text, sizeof(text)) > 0);
	for (line = strtok_r(text, "\n", &saved); line; line = strtok_r(NULL, "\n", &saved)) {
		path = strchr(line, '/');
		if (!path || strstr(path, " (deleted)"))
			continue;
		found |= !strcmp(path, self_path);
		if (stat(path, &status) < 0) {
			strangers++;
			note("{%s}", path);
		}
	}
	require(found);
	note("strangers=%d", strangers);
}

CHECK(EVERYONE, proc_maps_of_a_mapped_file)
{
	static char text[1 << 20];
	char here[PATH_MAX], wanted[PATH_MAX + 16];
	int fd;

	make_file("mapped", "content");
	fd = open("mapped", O_RDONLY | O_CLOEXEC);
	require(fd >= 0 && mmap(NULL, 4096, PROT_READ, MAP_PRIVATE, fd, 0) != MAP_FAILED);
	require(getcwd(here, sizeof(here)));
	snprintf(wanted, sizeof(wanted), "%s/mapped\n", here);
	require(slurp("/proc/self/maps", text, sizeof(text)) > 0);
	require(strstr(text, wanted));
	require(slurp("/proc/self/smaps", text, sizeof(text)) > 0 && strstr(text, wanted));
}

static void *links_in_thread(void *unused)
{
	char path[64], text[PATH_MAX];

	(void)unused;
	snprintf(path, sizeof(path), "/proc/self/task/%ld/exe", syscall(SYS_gettid));
	text[readlink(path, text, sizeof(text) - 1)] = 0;
	require(!strcmp(text, self_path));
	require(same_file("/proc/thread-self/cwd", "."));
	return NULL;
}

CHECK(EVERYONE, proc_of_threads)
{
	pthread_t thread;

	require(pthread_create(&thread, NULL, links_in_thread, NULL) == 0);
	require(pthread_join(thread, NULL) == 0);
}

CHECK(EVERYONE, proc_of_the_parent)
{
	pid_t parent = getppid();

	require(!strcmp(target_of(of_process(parent, "exe")), self_path));
	require(same_file(of_process(parent, "cwd"), ".."));
	require(same_file(of_process(parent, "root"), "/"));
}

/* Another process's links to a directory must not lead out of the guest. */
CHECK(EVERYONE, proc_of_process_one)
{
	struct stat status;
	int fd = open("/proc/1/root", O_PATH | O_CLOEXEC);

	if (fd < 0 || fstat(fd, &status) < 0)
		return;
	require(same_file("/proc/1/root", "/"));
}

CHECK(ROOT_ONLY, proc_status_of_root)
{
	static char text[16384];
	struct stat status;
	char *found;

	require(slurp("/proc/self/status", text, sizeof(text)) > 0);
	require((found = strstr(text, "Uid:")));
	*strchr(found, '\n') = 0;
	note("%s", found);
	require(stat("/proc/self", &status) == 0);
	note("owner=%d:%d", (int)status.st_uid, (int)status.st_gid);
}
