/* How much of a vfork child's stack a failing execve takes, at worst: smallstack BYTES prints ok when it is not more.
 * musl's posix_spawn gives its child 5 KiB. */
#define _GNU_SOURCE
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#define UNTOUCHED 0xaa
#define TOP 40960

static unsigned char area[TOP + 4096];

static int child(void *unused)
{
	char *argv[] = {"x", NULL};

	(void)unused;
	syscall(SYS_execve, "/nonexistent/program", argv, NULL);
	syscall(SYS_exit_group, 127);
	return 0;
}

/* A signal frame is aligned, so where the stack begins matters. */
static size_t taken(size_t offset)
{
	size_t lowest = 0;
	int status;
	pid_t pid;

	memset(area, UNTOUCHED, sizeof(area));
	pid = clone(child, area + TOP + offset, CLONE_VM | CLONE_VFORK | SIGCHLD, NULL);
	if (pid < 0 || waitpid(pid, &status, 0) != pid || !WIFEXITED(status) || WEXITSTATUS(status) != 127)
		return sizeof(area);
	while (area[lowest] == UNTOUCHED)
		lowest++;
	return TOP + offset - lowest;
}

int main(int argc, char **argv)
{
	size_t most = 0;

	if (argc != 2)
		return 2;
	for (size_t offset = 0; offset < 256; offset += 16) {
		size_t n = taken(offset);

		most = n > most ? n : most;
	}
	printf("%s %zu\n", most <= (size_t)atol(argv[1]) ? "ok" : "too much:", most);
	return 0;
}
