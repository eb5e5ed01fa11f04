/* torture: processes and the execution of programs. */
#include "torture.h"

#include <dirent.h>
#include <elf.h>
#include <link.h>
#include <pthread.h>
#include <spawn.h>
#include <sys/auxv.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>

static char *no_environment[] = {NULL};

/* Executes and notes how it went, with what it printed. */
static void try_program(const char *what, const char *path, char *const argv[])
{
	char output[1024];
	int status = run_program(path, argv, no_environment, output, sizeof(output));

	note_status(what, status);
	if (output[0])
		note("[%s]", output);
}

static void try_path(const char *what, const char *path)
{
	char *argv[] = {(char *)path, NULL};

	try_program(what, path, argv);
}

static void make_script(const char *path, const char *first_line)
{
	make_file(path, first_line);
	require(chmod(path, 0755) == 0);
}

/* The interpreter an ELF program asks for, or "" when it asks for none. */
static void find_interpreter(const char *path, char *interpreter, long *ret_offset)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	ElfW(Ehdr) header;
	ElfW(Phdr) segment;

	*interpreter = 0;
	require(fd >= 0 && pread(fd, &header, sizeof(header), 0) == (ssize_t)sizeof(header));
	for (int i = 0; i < header.e_phnum; i++) {
		off_t at = (off_t)(header.e_phoff + (size_t)i * header.e_phentsize);

		require(pread(fd, &segment, sizeof(segment), at) == (ssize_t)sizeof(segment));
		if (segment.p_type == PT_INTERP) {
			require(segment.p_filesz < 200);
			require(pread(fd, interpreter, segment.p_filesz, (off_t)segment.p_offset) > 0);
			*ret_offset = (long)segment.p_offset;
		}
	}
	close(fd);
}

CHECK(EVERYONE, exec_errors)
{
	make_file("plain", "just text\n");
	require(mkdir("directory", 0755) == 0);
	require(symlink("loop", "loop") == 0);
	require(symlink("nowhere", "dangling") == 0);
	make_script("empty", "");
	make_script("text", "echo no shebang line\n");
	make_script("no_interpreter", "#!/nonexistent/interpreter\n");
	make_script("blank_shebang", "#!  \nx\n");
	make_script("directory_interpreter", "#!/etc\n");
	make_script("truncated", "\177ELF\2\1\1");
	try_path("missing", "missing");
	try_path("not_executable", "plain");
	try_path("directory", "directory");
	try_path("loop", "loop");
	try_path("dangling", "dangling");
	try_path("empty", "empty");
	try_path("text", "text");
	try_path("no_interpreter", "no_interpreter");
	try_path("blank_shebang", "blank_shebang");
	try_path("directory_interpreter", "directory_interpreter");
	try_path("truncated", "truncated");
	try_path("slash", "/etc/passwd/");
	try_path("below_file", "/etc/passwd/x");
	try_path("empty_path", "");
	try_path("root", "/");
	try_path("dot", ".");
}

CHECK(EVERYONE, exec_missing_elf_interpreter)
{
	char interpreter[200];
	long offset = 0;
	int fd;

	find_interpreter(self_path, interpreter, &offset);
	if (!*interpreter) {
		note("static");
		return;
	}
	copy_self("patched");
	fd = open("patched", O_WRONLY | O_CLOEXEC);
	require(fd >= 0 && pwrite(fd, "/nowhere", 8, offset) == 8 && close(fd) == 0);
	try_path("patched", "./patched");
}

CHECK(EVERYONE, exec_foreign_architecture)
{
	unsigned short machine = EM_AARCH64;
	int fd;

	copy_self("foreign");
	fd = open("foreign", O_WRONLY | O_CLOEXEC);
	require(fd >= 0);
	require(pwrite(fd, &machine, sizeof(machine), offsetof(ElfW(Ehdr), e_machine)) == (ssize_t)sizeof(machine));
	require(close(fd) == 0);
	/* With a handler for it in binfmt_misc the status differs from machine to machine, so only: no success. */
	char output[64];
	char *argv[] = {"foreign", NULL};
	require(run_program("./foreign", argv, no_environment, output, sizeof(output)) != 0);
}

CHECK(EVERYONE, shebang_with_options)
{
	char line[PATH_MAX + 64];
	char *argv[] = {"zero", "one", "", "two words", NULL};

	copy_self("prog");
	make_script("script", "#!prog --words  two\t words \nrest\n");
	try_program("relative", "./script", argv);
	require(strlen(self_path) < 200);
	snprintf(line, sizeof(line), "#! \t%s\t--words  two words \t\nrest\n", self_path);
	make_script("script", line);
	try_program("absolute", "./script", argv);
	snprintf(line, sizeof(line), "#!%s", self_path);
	make_script("script", line);
	try_program("no_newline", "./script", (char *[]){"zero", NULL});
	require(symlink("script", "link") == 0);
	snprintf(line, sizeof(line), "#!%s --words\n", self_path);
	make_script("script", line);
	try_program("link", "./link", argv);
	try_program("no_argv", "./link", (char *[]){NULL});
}

CHECK(EVERYONE, nested_shebang)
{
	char line[PATH_MAX + 64], name[16];

	snprintf(line, sizeof(line), "#!%s --words\n", self_path);
	make_script("s0", line);
	for (int depth = 1; depth < 8; depth++) {
		snprintf(line, sizeof(line), "#!./s%d level%d\n", depth - 1, depth);
		snprintf(name, sizeof(name), "s%d", depth);
		make_script(name, line);
		snprintf(name, sizeof(name), "./s%d", depth);
		try_program(name, name, (char *[]){name, "arg", NULL});
	}
}

CHECK(EVERYONE, long_shebang)
{
	char line[400];

	memset(line, 'x', sizeof(line));
	memcpy(line, "#!/", 3);
	strcpy(line + 300, "\n");
	make_script("long_path", line);
	try_path("long_path", "./long_path");
	memset(line, ' ', sizeof(line));
	memcpy(line, "#!", 2);
	strcpy(line + 270, self_path);
	make_script("far_path", line);
	try_path("far_path", "./far_path");
	snprintf(line, sizeof(line), "#!%s --words %0200d\n", self_path, 7);
	make_script("long_option", line);
	try_program("long_option", "./long_option", (char *[]){"a", NULL});
}

CHECK(EVERYONE, posix_spawn_errors)
{
	char *argv[] = {"missing", NULL};
	int status;
	pid_t pid;

	note("missing=%s", errno_name(posix_spawn(&pid, "/nonexistent/missing", NULL, NULL, argv, no_environment)));
	note("searched=%s", errno_name(posix_spawnp(&pid, "nonexistent-program", NULL, NULL, argv, no_environment)));
	note("directory=%s", errno_name(posix_spawn(&pid, "/etc", NULL, NULL, argv, no_environment)));
	argv[0] = "--exit";
	char *good[] = {(char *)self_path, "--exit", "9", NULL};
	for (int round = 0; round < 20; round++) {
		require(posix_spawn(&pid, self_path, NULL, NULL, good, no_environment) == 0);
		require(waitpid(pid, &status, 0) == pid);
		require(WIFEXITED(status) && WEXITSTATUS(status) == 9);
	}
}

CHECK(EVERYONE, vfork_shares_memory)
{
	static volatile int written;
	int status;
	pid_t pid = vfork();

	if (!pid) {
		written = 1;
		if (access("/etc/passwd", F_OK) == 0)
			written = 2;
		_exit(3);
	}
	require(pid > 0 && written == 2);
	require(waitpid(pid, &status, 0) == pid);
	note_status("child", status);
	for (volatile int round = 0; round < 30; round++) {
		pid = vfork();
		if (!pid) {
			execl(self_path, self_path, "--exit", "4", (char *)NULL);
			_exit(99);
		}
		require(waitpid(pid, &status, 0) == pid && WEXITSTATUS(status) == 4);
	}
	pid = vfork();
	if (!pid) {
		execl("/nonexistent", "x", (char *)NULL);
		_exit(errno == ENOENT ? 5 : 6);
	}
	require(waitpid(pid, &status, 0) == pid && WEXITSTATUS(status) == 5);
}

CHECK(EVERYONE, arguments_ten_thousand)
{
	static char *argv[10004];
	char output[128];

	argv[0] = (char *)self_path;
	argv[1] = "--count";
	for (int i = 2; i < 10002; i++)
		argv[i] = i % 3 ? "argument" : "";
	note_status("exec", run_program(self_path, argv, no_environment, output, sizeof(output)));
	note("%s", output);
}

CHECK(EVERYONE, arguments_empty_and_odd)
{
	char output[512];
	char *argv[] = {"", "--words", "", "a b", "", "\xff\n", "=", NULL};
	char *envp[] = {"A=", "=B", "NOEQUALS", "A=again", "", NULL};

	note_status("exec", run_program(self_path, argv, envp, output, sizeof(output)));
	note("%s", output);
	char *names[] = {"zero", "--environment", NULL};
	note_status("environment", run_program(self_path, names, envp, output, sizeof(output)));
	note("%s", output);
	note_status("null_argv", run_program(self_path, NULL, NULL, output, sizeof(output)));
}

CHECK(EVERYONE, arguments_too_big)
{
	size_t one = 131072; /* MAX_ARG_STRLEN, with its zero byte */
	char *big = malloc(one + 1), output[64];
	char *argv[80] = {(char *)self_path, "--count", big};

	memset(big, 'x', one);
	big[one] = 0;
	note_status("one", run_program(self_path, argv, no_environment, output, sizeof(output)));
	big[one - 1] = 0;
	note_status("fits", run_program(self_path, argv, no_environment, output, sizeof(output)));
	for (int i = 3; i < 79; i++)
		argv[i] = big;
	note_status("sum", run_program(self_path, argv, no_environment, output, sizeof(output)));
}

CHECK(EVERYONE, execveat_and_memory_files)
{
	int self = open(self_path, O_RDONLY | O_CLOEXEC), path_only = open(self_path, O_PATH | O_CLOEXEC);
	int memory = memfd_create("program", MFD_CLOEXEC), here = open(".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	char *argv[] = {"zero", "--exit", "6", NULL};
	static char buffer[1 << 16];
	int status;
	ssize_t got;
	pid_t pid;

	copy_self("prog");
	require(symlink("prog", "link") == 0);
	require(self >= 0 && path_only >= 0 && memory >= 0 && here >= 0);
	while ((got = read(self, buffer, sizeof(buffer))) > 0)
		require(write(memory, buffer, (size_t)got) == got);
	const struct {
		const char *what;
		int fd;
		const char *path;
		int flags;
	} rows[] = {
		{"fd", self, "", AT_EMPTY_PATH},     {"path_fd", path_only, "", AT_EMPTY_PATH},
		{"memory", memory, "", AT_EMPTY_PATH}, {"relative", here, "prog", 0},
		{"link", here, "link", 0},	       {"nofollow", here, "link", AT_SYMLINK_NOFOLLOW},
		{"absolute", -1, self_path, 0},	       {"no_flag", self, "", 0},
		{"bad_fd", -1, "prog", 0},	       {"not_directory", self, "prog", 0},
		{"bad_flag", here, "prog", 0x40000},
	};
	for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
		pid = fork();
		require(pid >= 0);
		if (!pid) {
			syscall(SYS_execveat, rows[i].fd, rows[i].path, argv, no_environment, rows[i].flags);
			_exit(100 + errno);
		}
		require(waitpid(pid, &status, 0) == pid);
		if (WEXITSTATUS(status) > 100)
			note("%s=%s", rows[i].what, errno_name(WEXITSTATUS(status) - 100));
		else
			note_status(rows[i].what, status);
	}
}

CHECK(EVERYONE, memory_script)
{
	int open_file = memfd_create("script", 0), closing = memfd_create("script", MFD_CLOEXEC), status;
	char line[PATH_MAX];
	pid_t pid;

	snprintf(line, sizeof(line), "#!%s --exit 3\n", self_path);
	require(write(open_file, line, strlen(line)) > 0 && write(closing, line, strlen(line)) > 0);
	char *argv[] = {"zero", NULL};
	int fds[] = {open_file, closing};
	for (int i = 0; i < 2; i++) {
		pid = fork();
		require(pid >= 0);
		if (!pid) {
			syscall(SYS_execveat, fds[i], "", argv, no_environment, AT_EMPTY_PATH);
			_exit(100 + errno);
		}
		require(waitpid(pid, &status, 0) == pid);
		note_status(i ? "closing" : "open", status);
	}
}

CHECK(EVERYONE, dynamic_linker_by_hand)
{
	char interpreter[200];
	long offset;

	find_interpreter(self_path, interpreter, &offset);
	if (!*interpreter) {
		note("static");
		return;
	}
	char *argv[] = {interpreter, (char *)self_path, "--exit", "12", NULL};
	try_program("by_hand", interpreter, argv);
	char *show[] = {interpreter, (char *)self_path, "--names", NULL};
	try_program("names", interpreter, show);
}

CHECK(EVERYONE, auxiliary_vector)
{
	char *argv[] = {"zero", "--auxv", NULL};

	copy_self("prog");
	require(symlink("prog", "link") == 0);
	try_program("relative", "./prog", argv);
	try_program("link", "link", argv);
	require(getauxval(AT_SECURE) == 0);
	require(getauxval(AT_PHDR) && getauxval(AT_ENTRY) && getauxval(AT_RANDOM));
	require(getauxval(AT_PAGESZ) == (unsigned long)sysconf(_SC_PAGESIZE));
	require(!strcmp((char *)getauxval(AT_EXECFN), self_path));
	note("base=%s vdso=%s", getauxval(AT_BASE) ? "yes" : "no", getauxval(AT_SYSINFO_EHDR) ? "yes" : "no");
	note("platform=%s", (char *)getauxval(AT_PLATFORM));
}

CHECK(EVERYONE, names_of_a_program)
{
	char *argv[] = {"an argv zero", "--names", NULL};
	char line[PATH_MAX + 64];

	copy_self("a-program-with-a-long-name");
	require(symlink("a-program-with-a-long-name", "link") == 0);
	try_program("plain", "./a-program-with-a-long-name", argv);
	try_program("link", "./link", argv);
	snprintf(line, sizeof(line), "#!%s --names\n", self_path);
	make_script("script", line);
	try_program("script", "./script", argv);
}

CHECK(EVERYONE, command_line_and_environment_files)
{
	char *argv[] = {"zero", "--files", "", "a b", NULL}, *envp[] = {"A=1", "B=", "ODD", NULL};
	char output[1024];

	note_status("exec", run_program(self_path, argv, envp, output, sizeof(output)));
	note("%s", output);
}

CHECK(EVERYONE, two_hundred_forks)
{
	struct stat status;
	int wstatus, done = 0;

	for (int i = 0; i < 200; i++) {
		pid_t pid = fork();

		require(pid >= 0);
		if (!pid)
			_exit(stat("/etc/passwd", &status) == 0 && getppid() > 0 ? 0 : 1);
	}
	while (wait(&wstatus) > 0)
		done += wstatus == 0;
	require(done == 200);
}

static void *exec_from_thread(void *unused)
{
	(void)unused;
	execl(self_path, self_path, "--exit", "21", (char *)NULL);
	return NULL;
}

static void exec_in_second_thread(void *unused)
{
	pthread_t thread, idle;

	(void)unused;
	require(pthread_create(&idle, NULL, (void *(*)(void *))(void (*)(void))pause, NULL) == 0);
	require(pthread_create(&thread, NULL, exec_from_thread, NULL) == 0);
	pthread_join(thread, NULL);
	_exit(1);
}

CHECK(EVERYONE, exec_from_second_thread)
{
	note_status("child", in_child(exec_in_second_thread, NULL));
}

static void set_close_on_exec_everywhere(void *unused)
{
	(void)unused;
	for (int fd = 3; fd < 1024; fd++)
		fcntl(fd, F_SETFD, FD_CLOEXEC);
	execl(self_path, self_path, "--exit", "22", (char *)NULL);
	_exit(1);
}

/* What apt does: every descriptor that /proc/self/fd lists must take the flag. */
static void set_close_on_exec_listed(void *unused)
{
	DIR *stream = opendir("/proc/self/fd");
	struct dirent *entry;

	(void)unused;
	require(stream);
	while ((entry = readdir(stream))) {
		int fd = atoi(entry->d_name);

		if (fd > 2)
			require(fcntl(fd, F_SETFD, FD_CLOEXEC) == 0);
	}
	closedir(stream);
	execl(self_path, self_path, "--exit", "23", (char *)NULL);
	_exit(1);
}

static void close_everything(void *unused)
{
	struct stat status;

	(void)unused;
	for (int fd = 3; fd < 4096; fd++)
		close(fd);
	require(stat("/etc/passwd", &status) == 0);
	if (fork() == 0)
		_exit(0);
	require(wait(NULL) > 0);
	execl(self_path, self_path, "--exit", "24", (char *)NULL);
	_exit(1);
}

static void close_a_range(void *unused)
{
	struct stat status;

	(void)unused;
	require(syscall(SYS_close_range, 3U, ~0U, 0) == 0);
	require(stat("/etc/passwd", &status) == 0);
	require(syscall(SYS_close_range, 3U, ~0U, 4 /* CLOSE_RANGE_CLOEXEC */) == 0);
	execl(self_path, self_path, "--exit", "25", (char *)NULL);
	_exit(1);
}

CHECK(EVERYONE, descriptors_closed)
{
	note_status("cloexec", in_child(set_close_on_exec_everywhere, NULL));
	note_status("listed", in_child(set_close_on_exec_listed, NULL));
	note_status("close", in_child(close_everything, NULL));
	note_status("range", in_child(close_a_range, NULL));
}

CHECK(EVERYONE, descriptors_high)
{
	struct rlimit limit;
	struct stat first, second;
	int file, last;

	require(getrlimit(RLIMIT_NOFILE, &limit) == 0);
	last = limit.rlim_cur < 2048 ? (int)limit.rlim_cur : 2048;
	make_file("file", "x");
	file = open("file", O_RDONLY | O_CLOEXEC);
	require(file >= 0 && fstat(file, &first) == 0);
	for (int fd = 500; fd < last; fd++) {
		require(dup2(file, fd) == fd);
		require(fstat(fd, &second) == 0 && second.st_ino == first.st_ino);
	}
	require(stat("/etc/passwd", &second) == 0);
	for (int fd = 500; fd < last; fd++)
		require(close(fd) == 0);
	require(stat("/etc/passwd", &second) == 0);
}

CHECK(EVERYONE, descriptors_exhausted)
{
	struct rlimit limit = {64, 64};
	struct stat status;
	char text[64];
	int opened = 0;

	make_file("file", "x");
	require(symlink("file", "link") == 0);
	require(setrlimit(RLIMIT_NOFILE, &limit) == 0);
	for (int fd = 3; fd < 64; fd++)
		close(fd);
	while (open("link", O_RDONLY) >= 0)
		opened++;
	note("opened=%d then=%s", opened, errno_name(errno));
	require(stat("link", &status) == 0 && status.st_size == 1);
	require(stat("/etc/../etc/passwd", &status) == 0);
	require(readlink("link", text, sizeof(text)) == 4);
	require(mkdir("new", 0755) == 0 && rename("new", "newer") == 0 && rmdir("newer") == 0);
	require(getcwd(text, 4) == NULL && errno == ERANGE);
}

CHECK(EVERYONE, descriptors_listed)
{
	DIR *stream = opendir("/proc/self/fd");
	struct dirent *entry;
	int own = 0;

	require(stream);
	while ((entry = readdir(stream)))
		own += entry->d_name[0] != '.' && atoi(entry->d_name) > 2 && atoi(entry->d_name) != dirfd(stream);
	closedir(stream);
	note("more_than_standard=%d", own);
}

CHECK(EVERYONE, heap_grows)
{
	/* Raw: musl has no sbrk() to speak of. */
	long start = syscall(SYS_brk, 0), size = 256 << 20;

	require(start > 0);
	require(syscall(SYS_brk, start + size) == start + size);
	memset((char *)start + size - 4096, 1, 4096);
	require(syscall(SYS_brk, start) == start);
	require(syscall(SYS_brk, 0) == start);
	require(syscall(SYS_brk, 1) == start);
}

CHECK(EVERYONE, stack_grows)
{
	volatile char *page = __builtin_alloca(6 << 20);
	struct stat status;

	for (size_t at = 0; at < 6 << 20; at += 4096)
		page[at] = 1;
	require(stat("/etc/passwd", &status) == 0);
}

CHECK(EVERYONE, program_written_while_it_runs)
{
	char *argv[] = {"prog", "--sleep", NULL};
	int fd, status, ready[2];
	char byte;
	pid_t pid;

	copy_self("prog");
	fd = open("prog", O_RDONLY | O_CLOEXEC);
	require(fd >= 0);
	require(mmap(NULL, 4096, PROT_READ | PROT_EXEC, MAP_PRIVATE, fd, 0) != MAP_FAILED);
	observe("mapped", open("prog", O_WRONLY | O_CLOEXEC));
	copy_self("other");
	require(pipe2(ready, O_CLOEXEC) == 0);
	pid = fork();
	require(pid >= 0);
	if (!pid) {
		execv("./other", argv);
		_exit(1);
	}
	close(ready[1]);
	require(read(ready[0], &byte, 1) == 0);
	observe("running", open("other", O_WRONLY | O_CLOEXEC));
	observe("truncate", truncate("other", 0));
	require(kill(pid, SIGKILL) == 0 && waitpid(pid, &status, 0) == pid);
}

static void be_dumpable(void *unused)
{
	(void)unused;
	_exit(prctl(PR_GET_DUMPABLE) == 1 ? 0 : 1);
}

CHECK(EVERYONE, process_flags)
{
	char name[16] = "";

	require(prctl(PR_SET_NAME, "a name") == 0 && prctl(PR_GET_NAME, name) == 0 && !strcmp(name, "a name"));
	note_status("dumpable", in_child(be_dumpable, NULL));
	require(prctl(PR_SET_PDEATHSIG, SIGTERM) == 0);
	require(prctl(PR_SET_CHILD_SUBREAPER, 1) == 0);
}
