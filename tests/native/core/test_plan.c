/* plan.c: the grammar of docs/reference/plan.md; what is not understood is refused with the word and the reason. */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "plan.h"
#include "tap.h"

#define WORDS_MAX 1200

static struct plan plan;
static struct plan_error error;
static char *words[WORDS_MAX];
static char arena[4096];

/* Parses the words of `line`, separated by single spaces ("_" is the empty word). */
static int parse(const char *line)
{
	static char copy[65536];
	unsigned n = 1;

	words[0] = (char *)"helper";
	strcpy(copy, line);
	for (char *word = strtok(copy, " "); word; word = strtok(NULL, " "))
		words[n++] = strcmp(word, "_") ? word : (char *)"";
	words[n] = NULL;
	return plan_parse(words, arena, sizeof(arena), &plan, &error);
}

/* Parses with `text` (of `size` bytes) behind descriptor 9 ("--args 9"). */
static int parse_args(const char *line, const char *text, size_t size)
{
	int fds[2], r;

	if (pipe(fds) < 0 || dup2(fds[0], 9) < 0 || write(fds[1], text, size) != (ssize_t)size)
		abort();
	close(fds[0]);
	close(fds[1]);
	r = parse(line);
	close(9);
	return r;
}

/* Whether `line` is refused with -EINVAL, `word` and some message. */
static bool refused(const char *line, const char *word)
{
	int r = parse(line);

	if (r == -EINVAL && error.word && !strcmp(error.word, word) && error.message && *error.message)
		return true;
	fprintf(stderr, "# %.200s: %d, %s: %s\n", line, r, error.word ? error.word : "-",
		error.message ? error.message : "-");
	return false;
}

static bool is(const char *a, const char *b)
{
	return a && !strcmp(a, b);
}

static void test_all_words(void)
{
	int r = parse("--ro-rootfs /r --bind /a /b --ro-bind /c/d / --chdir /w --cache /x/c --probe-memory /x/m "
		      "--pretend --owners real --hold /proc/self/fd/9 --fakedb "
		      "/x/f --uid 0 --gid 4294967294 --groups 0,5,70000 --unshare-pid "
		      "--unshare-ipc --unshare-uts --unshare-net --hostname h --overlay /u /k --map-subuids "
		      "--identity-helper /i --resume s,1 --setenv A 1 --setenv B _ --unsetenv C -- cmd -- --bind _");

	ok(r == 0, "all words");
	ok(is(plan.rootfs, "/r") && plan.read_only, "--ro-rootfs");
	ok(plan.n_binds == 2 && is(plan.binds[0].source, "/a") && is(plan.binds[0].target, "/b") &&
		   !plan.binds[0].read_only && is(plan.binds[1].source, "/c/d") && is(plan.binds[1].target, "/") &&
		   plan.binds[1].read_only,
	   "binds, in their order");
	ok(is(plan.chdir, "/w") && is(plan.cache, "/x/c") && is(plan.probe_memory, "/x/m") &&
		   is(plan.fakedb, "/x/f") && plan.pretend && plan.owners == OWNERS_REAL &&
		   is(plan.hold, "/proc/self/fd/9"),
	   "paths");
	ok(plan.has_uid && plan.uid == 0 && plan.has_gid && plan.gid == 4294967294u, "ids");
	ok(plan.has_groups && plan.n_groups == 3 && plan.groups[1] == 5 && plan.groups[2] == 70000, "--groups");
	ok(plan.unshare_pid && plan.unshare_ipc && plan.unshare_uts && plan.unshare_net && is(plan.hostname, "h"),
	   "namespaces");
	ok(is(plan.overlay_upper, "/u") && is(plan.overlay_work, "/k") && plan.map_subuids &&
		   is(plan.identity_helper, "/i") && is(plan.resume, "s,1"),
	   "--overlay, --map-subuids, --identity-helper, --resume");
	ok(plan.n_env == 3 && is(plan.env[0].name, "A") && is(plan.env[0].value, "1") && is(plan.env[1].value, "") &&
		   is(plan.env[2].name, "C") && !plan.env[2].value && !plan.clear_env,
	   "environment changes, in their order");
	ok(plan.n_command == 4 && is(plan.command[0], "cmd") && is(plan.command[1], "--") &&
		   is(plan.command[2], "--bind") && is(plan.command[3], "") && !plan.command[4],
	   "the command is kept as it is");
}

static void test_defaults(void)
{
	ok(parse("-- c") == 0 && !plan.rootfs && !plan.read_only && !plan.n_binds && !plan.pretend && !plan.has_uid &&
		   !plan.has_gid && !plan.has_groups && !plan.n_env && !plan.unshare_pid && plan.n_command == 1 &&
		   !error.word,
	   "a command alone");
	ok(parse("--rootfs / -- c") == 0 && is(plan.rootfs, "/") && !plan.read_only, "the host's root as the guest's");
	ok(parse("--owners root -- c") == 0 && plan.owners == OWNERS_ROOT, "--owners");
	ok(parse("--groups _ -- c") == 0 && plan.has_groups && plan.n_groups == 0, "--groups: none at all");
	ok(parse("--setenv A 1 --clearenv --setenv B 2 -- c") == 0 && plan.clear_env && plan.n_env == 1 &&
		   is(plan.env[0].name, "B"),
	   "--clearenv drops what was said before it");
	ok(parse("--bind / /h --chdir / --pretend --pretend -- c") == 0, "the host's root as a bind; a switch twice");
}

static void test_refusals(void)
{
	ok(refused("", "--") && refused("--pretend", "--") && refused("--pretend --", "--"), "the command is missing");
	ok(refused("cmd", "cmd") && refused("--bogus -- c", "--bogus") && refused("--pretend=1 -- c", "--pretend=1") &&
		   refused("_ -- c", ""),
	   "unknown words");
	ok(refused("--rootfs", "--rootfs") && refused("--bind /a", "--bind") && refused("--setenv A", "--setenv") &&
		   refused("--overlay /a", "--overlay") && refused("--args", "--args"),
	   "values are missing");
	ok(refused("--rootfs r -- c", "--rootfs") && refused("--rootfs _ -- c", "--rootfs") &&
		   refused("--bind a /b -- c", "--bind") && refused("--fakedb f -- c", "--fakedb") &&
		   refused("--cache f -- c", "--cache") && refused("--identity-helper f -- c", "--identity-helper") &&
		   refused("--rootfs /r --overlay /u w -- c", "--overlay"),
	   "relative host paths");
	ok(refused("--bind /a b -- c", "--bind") && refused("--ro-bind /a _ -- c", "--ro-bind") &&
		   refused("--chdir w -- c", "--chdir"),
	   "relative guest paths");
	ok(refused("--bind /a /b/ -- c", "--bind") && refused("--bind /a //b -- c", "--bind") &&
		   refused("--bind /a /./b -- c", "--bind") && refused("--bind /a /b/.. -- c", "--bind") &&
		   refused("--bind /a // -- c", "--bind") && refused("--chdir /b/. -- c", "--chdir"),
	   "guest paths that are not canonical");
	ok(parse("--bind /a /.b/..c/... -- c") == 0, "names that begin with dots");
	ok(refused("--uid x -- c", "--uid") && refused("--uid -1 -- c", "--uid") && refused("--uid _ -- c", "--uid") &&
		   refused("--gid 4294967295 -- c", "--gid") && refused("--gid 4294967296 -- c", "--gid") &&
		   refused("--gid 99999999999999999999999 -- c", "--gid") && refused("--uid 1x -- c", "--uid") &&
		   refused("--uid +1 -- c", "--uid"),
	   "malformed ids");
	ok(refused("--groups , -- c", "--groups") && refused("--groups 1, -- c", "--groups") &&
		   refused("--groups ,1 -- c", "--groups") && refused("--groups 1,,2 -- c", "--groups") &&
		   refused("--groups 1;2 -- c", "--groups") && refused("--groups 4294967295 -- c", "--groups"),
	   "malformed groups");
	ok(refused("--rootfs /a --rootfs /b -- c", "--rootfs") &&
		   refused("--rootfs /a --ro-rootfs /a -- c", "--ro-rootfs") &&
		   refused("--uid 1 --uid 1 -- c", "--uid") && refused("--chdir / --chdir / -- c", "--chdir") &&
		   refused("--groups 1 --groups 1 -- c", "--groups"),
	   "what may be said once");
	ok(refused("--setenv _ v -- c", "--setenv") && refused("--setenv A=B v -- c", "--setenv") &&
		   refused("--unsetenv A=B -- c", "--unsetenv"),
	   "names that no variable can have");
	ok(refused("--owners nobody -- c", "--owners") && refused("--owners root --owners root -- c", "--owners") &&
		   refused("--owners", "--owners"),
	   "--owners");
	ok(refused("--unshare-uts --hostname _ -- c", "--hostname") && refused("--hostname h -- c", "--hostname") &&
		   refused("--unshare-uts --hostname "
			   "hhhhhhhhhhhhhhhhhhhhhhhhhhhhhhhhhhhhhhhhhhhhhhhhhhhhhhhhhhhhhhhhh -- c",
			   "--hostname"),
	   "host names");
	ok(refused("--overlay /u /w -- c", "--overlay"), "--overlay without a lower directory");
	ok(refused("--resume _ -- c", "--resume"), "an empty --resume");
}

/* Limits: the last that fits, and the first that does not. */
static void test_limits(void)
{
	static char line[65536], path[5000];
	char *p = line;

	for (unsigned i = 0; i < PLAN_BINDS_MAX; i++)
		p += sprintf(p, "--bind /s%u /t%u ", i, i);
	strcpy(p, "-- c");
	ok(parse(line) == 0 && plan.n_binds == PLAN_BINDS_MAX && is(plan.binds[127].target, "/t127"), "all that fit");
	strcpy(p, "--ro-bind /a /b -- c");
	ok(parse(line) == -E2BIG && is(error.word, "--ro-bind"), "one bind more");

	for (unsigned i = 0, n = 0; i < PLAN_ENV_MAX; i++)
		n += (unsigned)sprintf((p = line + n), "--unsetenv V%u ", i);
	p += strlen(p);
	strcpy(p, "-- c");
	ok(parse(line) == 0 && plan.n_env == PLAN_ENV_MAX, "as many environment changes as fit");
	strcpy(p, "--setenv A b -- c");
	ok(parse(line) == -E2BIG && is(error.word, "--setenv"), "one change more");
	strcpy(p, "--clearenv --setenv A b -- c");
	ok(parse(line) == 0 && plan.n_env == 1, "--clearenv makes room");

	p = line + sprintf(line, "--groups 0");
	for (unsigned i = 1; i < PLAN_GROUPS_MAX; i++)
		p += sprintf(p, ",%u", i);
	strcpy(p, " -- c");
	ok(parse(line) == 0 && plan.n_groups == PLAN_GROUPS_MAX, "as many groups as fit");
	strcpy(p, ",64 -- c");
	ok(parse(line) == -E2BIG && is(error.word, "--groups"), "one group more");

	memset(path, 'p', 4095);
	path[0] = '/';
	sprintf(line, "--rootfs %s -- c", path);
	ok(parse(line) == 0, "a path of 4095 bytes");
	strcat(path, "p");
	sprintf(line, "--rootfs %s -- c", path);
	ok(refused(line, "--rootfs"), "a path of 4096 bytes");
}

#define TEXT(s) s, sizeof(s) /* with its final NUL */

static void test_descriptor(void)
{
	static char big[sizeof(arena) + 1];

	ok(parse_args("--rootfs /r --args 9 --chdir /w -- c", TEXT("--bind\0/a b\0/x\ny\0--setenv\0E\0")) == 0 &&
		   is(plan.rootfs, "/r") && is(plan.chdir, "/w") && plan.n_binds == 1 &&
		   is(plan.binds[0].source, "/a b") && is(plan.binds[0].target, "/x\ny") && plan.n_env == 1 &&
		   is(plan.env[0].value, "") && is(plan.command[0], "c") && plan.n_command == 1,
	   "--args: words before, within and after");
	ok(fcntl(9, F_GETFD) < 0 && errno == EBADF, "--args: the descriptor is closed");
	ok(parse_args("--args 9 -- c", "", 0) == 0 && plan.n_command == 1, "--args: no words at all");
	ok(parse_args("--args 9", TEXT("--uid\0" "5\0--\0cmd\0\0last")) == 0 && plan.uid == 5 && plan.n_command == 3 &&
		   is(plan.command[0], "cmd") && is(plan.command[1], "") && is(plan.command[2], "last") &&
		   !plan.command[3],
	   "--args: with the command");
	ok(parse_args("--args 9 c d", TEXT("--pretend\0--")) == 0 && plan.pretend && plan.n_command == 2 &&
		   is(plan.command[1], "d"),
	   "--args: ending with --, the command follows in argv");
	ok(parse_args("--args 9 more", TEXT("--\0cmd")) == -EINVAL && is(error.word, "more"), "--args: two commands");
	ok(parse_args("--args 9 -- c", "--pretend", 9) == -EINVAL && is(error.word, "--args"),
	   "--args: a truncated word");
	ok(parse_args("--args 9 -- c", TEXT("--args\0" "9")) == -EINVAL && is(error.word, "--args"), "--args: nested");
	ok(parse_args("--args 9 -- c", TEXT("--bogus")) == -EINVAL && is(error.word, "--bogus"), "--args: unknown");
	ok(parse_args("--args 9 -- c", big, sizeof(big)) == -E2BIG && is(error.word, "--args"), "--args: too long");
	memset(big, 'x', sizeof(arena));
	memcpy(big, "--\0", 3);
	big[sizeof(arena) - 1] = '\0';
	ok(parse_args("--args 9", big, sizeof(arena)) == -E2BIG, "--args: no room for the command's pointers");
	ok(parse("--args 9 -- c") == -EBADF && is(error.word, "--args") && error.message, "--args: no such descriptor");
	ok(refused("--args x -- c", "--args") && refused("--args -1 -- c", "--args") &&
		   refused("--args 4294967295 -- c", "--args"),
	   "--args: no number");
}

int main(void)
{
	test_all_words();
	test_defaults();
	test_refusals();
	test_limits();
	test_descriptor();
	return done();
}
