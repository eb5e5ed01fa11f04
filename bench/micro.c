/* Prints what system calls cost: one line "NAME NANOSECONDS" each. With the word "memory": how many KiB of memory this
 * process does not share with any other, after having made each call often enough for its site to be patched. */
#define _GNU_SOURCE
#include <fcntl.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define LENGTH(array) (sizeof(array) / sizeof((array)[0]))

/* Many short batches, the fastest of which nobody interrupted. */
enum { BATCHES = 50, BATCH_NS = 1000 * 1000, ENOUGH = 100 };

static char *no_environment[] = {NULL};

static int stat_absolute(void)
{
	struct stat st;

	return stat("/etc/passwd", &st);
}

static int stat_symlink(void)
{
	struct stat st;

	return stat("/lib64/ld-linux-x86-64.so.2", &st);
}

static int lstat_relative(void)
{
	struct stat st;

	return lstat("passwd", &st);
}

static int stat_missing(void)
{
	struct stat st;

	return stat("/etc/missing", &st) < 0 ? 0 : -1;
}

static int stat_descriptor(void)
{
	struct stat st;

	return fstat(0, &st);
}

static int open_close(void)
{
	int fd = open("/etc/passwd", O_RDONLY);

	return fd < 0 ? -1 : close(fd);
}

static int access_absolute(void)
{
	return access("/etc/passwd", R_OK);
}

static int read_link(void)
{
	char target[256];

	return readlink("/bin", target, sizeof(target)) > 0 ? 0 : -1;
}

static int get_uid(void)
{
	return getuid() == (uid_t) -1;
}

static int get_ppid(void)
{
	return syscall(SYS_getppid) < 0;
}

static int spawn_true(void)
{
	char *argv[] = {"true", NULL};
	int status;
	pid_t pid;

	if (posix_spawn(&pid, "/bin/true", NULL, NULL, argv, no_environment) != 0)
		return -1;
	return waitpid(pid, &status, 0) == pid && status == 0 ? 0 : -1;
}

static const struct {
	const char *name;
	int (*call)(void);
} calls[] = {
	{"stat", stat_absolute},    {"stat-symlink", stat_symlink}, {"lstat-relative", lstat_relative},
	{"stat-missing", stat_missing}, {"fstat", stat_descriptor}, {"open-close", open_close},
	{"access", access_absolute}, {"readlink", read_link},	{"getuid", get_uid},
	{"getppid", get_ppid},	{"posix_spawn", spawn_true},
};

static double now(void)
{
	struct timespec time;

	clock_gettime(CLOCK_MONOTONIC, &time);
	return time.tv_sec * 1e9 + time.tv_nsec;
}

/* Nanoseconds that the call takes when made @count times in a row. */
static double cost(int (*call)(void), long count)
{
	double start = now();

	for (long i = 0; i < count; i++) {
		if (call() != 0) {
			perror("micro");
			exit(1);
		}
	}
	return (now() - start) / count;
}

static void measure(const char *name, int (*call)(void))
{
	long count = BATCH_NS / cost(call, call == spawn_true ? 2 : ENOUGH) + 1;
	double best = cost(call, count);

	for (int i = 1; i < BATCHES; i++) {
		double next = cost(call, count);

		if (next < best)
			best = next;
	}
	printf("%s %.1f\n", name, best);
}

static void memory(void)
{
	char line[256];
	FILE *file = fopen("/proc/self/smaps_rollup", "r");

	while (file && fgets(line, sizeof(line), file))
		if (strncmp(line, "Anonymous:", 10) == 0)
			printf("memory %ld\n", strtol(line + 10, NULL, 10));
}

int main(int argc, char **argv)
{
	int only_memory = argc > 1 && strcmp(argv[1], "memory") == 0;

	if (chdir("/etc") < 0) {
		perror("/etc");
		return 1;
	}
	for (size_t i = 0; i < LENGTH(calls); i++) {
		if (only_memory)
			cost(calls[i].call, calls[i].call == spawn_true ? 1 : ENOUGH);
		else
			measure(calls[i].name, calls[i].call);
	}
	if (only_memory)
		memory();
	return 0;
}
