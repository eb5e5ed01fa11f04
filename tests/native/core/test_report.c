/* launch/report.c: the shape of messages, and texts that are those of strerror(3). */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "launch/report.c"
#include "tap.h"

static char text[1024];
static int status;

/* What report() or die() writes to standard error, in `text`; the exit status in `status`. */
static const char *capture(int exit_with, const char *what, const char *object, long failure, const char *hint)
{
	size_t n = 0;
	ssize_t got;
	int fds[2];
	pid_t pid;

	fflush(stdout);
	if (pipe(fds) < 0)
		abort();
	pid = fork();
	if (pid == 0) {
		dup2(fds[1], 2);
		if (exit_with)
			die(exit_with, what, object, failure, hint);
		report(what, object, failure, hint);
		_exit(0);
	}
	close(fds[1]);
	while ((got = read(fds[0], text + n, sizeof(text) - 1 - n)) > 0)
		n += (size_t)got;
	text[n] = '\0';
	close(fds[0]);
	waitpid(pid, &status, 0);
	return text;
}

int main(void)
{
	unsigned known = 0, wrong = 0;

	for (int e = 1; e < 140; e++) {
		const char *mine = error_text(-e);

		known += mine != NULL;
		/* musl has other words; only the C library whose words these are can judge them */
		wrong += mine && strcmp(mine, strerror(e));
	}
#ifdef __GLIBC__
	ok(wrong == 0, "texts are those of strerror");
#else
	skip("texts are those of strerror", "another C library has other words");
#endif
	ok(known >= 60, "the common errors are known");
	ok(!error_text(0) && !error_text(-100000) && !error_text(2), "no text for what is no error");
	ok(!strcmp(capture(0, "cannot open", "/x", -2, NULL), "udockpy: cannot open: /x: No such file or directory\n"),
	   "what, object, reason");
	ok(!strcmp(capture(0, "no", NULL, 0, NULL), "udockpy: no\n"), "what alone");
	ok(!strcmp(capture(0, "no", "o", -4000, NULL), "udockpy: no: o: error 4000\n"), "an unknown error");
	ok(!strcmp(capture(EXIT_ENGINE, "no", "o", -1, "do it"),
		   "udockpy: no: o: Operation not permitted\nhint: do it\n") &&
		   WIFEXITED(status) && WEXITSTATUS(status) == 123,
	   "die: hint and exit status");
	return done();
}
