/* torture: the harness. See torture.h. */
#include "torture.h"

#include <dirent.h>
#include <stdarg.h>
#include <sys/mman.h>
#include <sys/time.h>

#define LINE_SIZE 8192
#define SECONDS 30

extern const struct check *const __start_checks[], *const __stop_checks[];

const char *self_path;
bool is_root;

/* The line of the running check, shared with its child. */
static struct line {
	bool failed;
	size_t used;
	char text[LINE_SIZE];
	char reason[256];
} *line;
static char directory[PATH_MAX];

static const struct {
	int error;
	const char *name;
} errno_names[] = {
#define E(name) {name, #name}
	E(EPERM), E(ENOENT), E(ESRCH), E(EINTR), E(EIO), E(ENXIO), E(E2BIG), E(ENOEXEC), E(EBADF), E(ECHILD), E(EAGAIN),
	E(ENOMEM), E(EACCES), E(EFAULT), E(ENOTBLK), E(EBUSY), E(EEXIST), E(EXDEV), E(ENODEV), E(ENOTDIR), E(EISDIR),
	E(EINVAL), E(ENFILE), E(EMFILE), E(ENOTTY), E(ETXTBSY), E(EFBIG), E(ENOSPC), E(ESPIPE), E(EROFS), E(EMLINK),
	E(EPIPE), E(EDOM), E(ERANGE), E(EDEADLK), E(ENAMETOOLONG), E(ENOLCK), E(ENOSYS), E(ENOTEMPTY), E(ELOOP),
	E(ENODATA), E(EOVERFLOW), E(ENOTSOCK), E(EDESTADDRREQ), E(EMSGSIZE), E(EPROTOTYPE), E(EOPNOTSUPP),
	E(EADDRINUSE), E(EADDRNOTAVAIL), E(ECONNREFUSED), E(ENOTCONN), E(EISCONN), E(ETIMEDOUT), E(ESTALE),
	E(ECONNRESET), E(EALREADY), E(EINPROGRESS), E(ECANCELED),
#undef E
};

const char *errno_name(int error)
{
	static char number[16];

	if (!error)
		return "ok";
	for (size_t i = 0; i < sizeof(errno_names) / sizeof(*errno_names); i++)
		if (errno_names[i].error == error)
			return errno_names[i].name;
	snprintf(number, sizeof(number), "E%d", error);
	return number;
}

void note(const char *format, ...)
{
	va_list words;
	int length;

	va_start(words, format);
	length = vsnprintf(line->text + line->used, LINE_SIZE - line->used, format, words);
	va_end(words);
	/* One check, one line of printable text. */
	for (char *byte = line->text + line->used; *byte; byte++)
		if ((unsigned char)*byte < ' ' || (unsigned char)*byte > '~')
			*byte = *byte == '\n' ? '$' : '?';
	line->used += (size_t)length;
	if (line->used > LINE_SIZE - 2)
		line->used = LINE_SIZE - 2;
	line->text[line->used++] = ' ';
	line->text[line->used] = 0;
}

long observe(const char *what, long result)
{
	int error = result < 0 ? errno : 0;

	note("%s=%s", what, errno_name(error));
	errno = error;
	return result;
}

void require_failed(const char *condition, int at)
{
	snprintf(line->reason, sizeof(line->reason), "line %d: %s (errno %s)", at, condition, errno_name(errno));
	line->failed = true;
	_exit(1);
}

void make_file(const char *path, const char *content)
{
	size_t length = strlen(content);
	int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);

	require(fd >= 0);
	require(write(fd, content, length) == (ssize_t)length);
	require(close(fd) == 0);
}

ssize_t slurp(const char *path, char *buffer, size_t size)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	size_t used = 0;
	ssize_t got;

	if (fd < 0)
		return -1;
	while (used < size - 1 && (got = read(fd, buffer + used, size - 1 - used)) > 0)
		used += (size_t)got;
	buffer[used] = 0;
	close(fd);
	return (ssize_t)used;
}

void copy_self(const char *path)
{
	static char buffer[1 << 16];
	int in = open(self_path, O_RDONLY | O_CLOEXEC);
	int out = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0755);
	ssize_t got;

	require(in >= 0 && out >= 0);
	while ((got = read(in, buffer, sizeof(buffer))) > 0)
		require(write(out, buffer, (size_t)got) == got);
	require(got == 0);
	close(in);
	require(close(out) == 0);
}

int in_child(void (*action)(void *), void *argument)
{
	int status;
	pid_t pid = fork();

	require(pid >= 0);
	if (!pid) {
		action(argument);
		_exit(0);
	}
	require(waitpid(pid, &status, 0) == pid);
	return status;
}

void note_status(const char *what, int status)
{
	if (status < 0)
		note("%s=%s", what, errno_name(-status));
	else if (WIFSIGNALED(status))
		note("%s=signal %d", what, WTERMSIG(status));
	else
		note("%s=exit %d", what, WEXITSTATUS(status));
}

int run_program(const char *path, char *const argv[], char *const envp[], char *output, size_t size)
{
	int out[2], failure[2], status, error = 0;
	size_t used = 0;
	ssize_t got;
	pid_t pid;

	require(pipe2(out, O_CLOEXEC) == 0 && pipe2(failure, O_CLOEXEC) == 0);
	pid = fork();
	require(pid >= 0);
	if (!pid) {
		dup2(out[1], 1);
		execve(path, argv, envp);
		error = errno;
		if (write(failure[1], &error, sizeof(error)) < 0)
			_exit(1);
		_exit(1);
	}
	close(out[1]);
	close(failure[1]);
	while (used < size - 1 && (got = read(out[0], output + used, size - 1 - used)) > 0)
		used += (size_t)got;
	output[used] = 0;
	if (read(failure[0], &error, sizeof(error)) != sizeof(error))
		error = 0;
	close(out[0]);
	close(failure[0]);
	require(waitpid(pid, &status, 0) == pid);
	return error ? -error : status;
}

void handle(int signal_, void (*handler)(int), int flags, const sigset_t *mask)
{
	struct sigaction action = {.sa_handler = handler, .sa_flags = flags};

	if (mask)
		action.sa_mask = *mask;
	require(sigaction(signal_, &action, NULL) == 0);
}

void alarm_us(unsigned first, unsigned interval)
{
	struct itimerval timer = {
		.it_interval = {.tv_usec = interval},
		.it_value = {.tv_usec = first},
	};

	require(setitimer(ITIMER_REAL, &timer, NULL) == 0);
}

/* Removes what a check left; as root of any kind this also works where the check took its own rights away. */
static void remove_all(int parent, const char *name)
{
	struct dirent *entry;
	DIR *stream;
	int fd;

	if (unlinkat(parent, name, 0) == 0 || unlinkat(parent, name, AT_REMOVEDIR) == 0)
		return;
	fchmodat(parent, name, 0700, 0);
	fd = openat(parent, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0)
		return;
	stream = fdopendir(fd);
	while (stream && (entry = readdir(stream)))
		if (strcmp(entry->d_name, ".") && strcmp(entry->d_name, ".."))
			remove_all(fd, entry->d_name);
	closedir(stream);
	unlinkat(parent, name, AT_REMOVEDIR);
}

/* Waits for the check's child, but not for ever. */
static int wait_bounded(pid_t pid, int *ret_status)
{
	for (int tick = 0; tick < SECONDS * 100; tick++) {
		if (waitpid(pid, ret_status, WNOHANG) == pid)
			return 0;
		usleep(tick < 50 ? 500 : 10000);
	}
	kill(-pid, SIGKILL);
	kill(pid, SIGKILL);
	waitpid(pid, ret_status, 0);
	return -1;
}

/* Runs one check; returns true when it was ok. */
static bool perform(const struct check *check)
{
	char why[64] = "";
	int status;
	pid_t pid;

	memset(line, 0, offsetof(struct line, text) + 1);
	line->reason[0] = 0;
	if (mkdirat(AT_FDCWD, check->name, 0755) < 0)
		snprintf(why, sizeof(why), "mkdir: %s", errno_name(errno));
	fflush(stdout);
	pid = fork();
	if (!pid) {
		setpgid(0, 0);
		if (chdir(check->name) < 0)
			_exit(2);
		umask(022);
		check->run();
		_exit(0);
	}
	if (wait_bounded(pid, &status) < 0)
		snprintf(why, sizeof(why), "took longer than %d s", SECONDS);
	else if (WIFSIGNALED(status))
		snprintf(why, sizeof(why), "killed by signal %d", WTERMSIG(status));
	else if (WEXITSTATUS(status) && !line->failed)
		snprintf(why, sizeof(why), "exit status %d", WEXITSTATUS(status));
	remove_all(AT_FDCWD, check->name);
	if (line->used)
		line->text[line->used - 1] = 0;
	if (line->failed || why[0])
		printf("not ok %s: %s%s%s\n", check->name, line->failed ? line->reason : why, line->used ? "; " : "",
		       line->text);
	else
		printf("ok %s: %s\n", check->name, line->text);
	return !line->failed && !why[0];
}

static bool wanted(const struct check *check, char **names)
{
	if (check->who == ROOT_ONLY && !is_root)
		return false;
	if (!*names)
		return true;
	for (; *names; names++)
		if (!strcmp(*names, check->name))
			return true;
	return false;
}

int main(int argc, char **argv)
{
	bool all_ok = true;

	if (argc > 1 && !strncmp(argv[1], "--", 2))
		return helper_main(argc, argv);
	if (argc < 3) {
		if (argc == 1 && *argv[0])
			fprintf(stderr, "usage: torture DIRECTORY root|user [NAME...]\n");
		return 2;
	}
	self_path = argv[0];
	is_root = !strcmp(argv[2], "root");
	line = mmap(NULL, sizeof(*line), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	snprintf(directory, sizeof(directory), "%s/torture.XXXXXX", argv[1]);
	if (line == MAP_FAILED || !mkdtemp(directory) || chmod(directory, 0755) || chdir(directory)) {
		perror(directory);
		return 2;
	}
	for (const struct check *const *check = __start_checks; check < __stop_checks; check++)
		if (wanted(*check, argv + 3))
			all_ok &= perform(*check);
	if (chdir("/") == 0)
		remove_all(AT_FDCWD, directory);
	return all_ok ? 0 : 1;
}
