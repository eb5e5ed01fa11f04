/* torture: checks of what a program may expect from its kernel, run inside a guest.
 *
 *   torture DIRECTORY root|user [NAME...]
 *
 * Every check runs in its own child, in its own empty directory below DIRECTORY, and prints one line:
 *
 *   ok NAME: OBSERVATION...       everything the check requires holds
 *   not ok NAME: REASON; ...      a requirement failed, the child died, or it took too long
 *
 * A check *requires* only what no kernel may do differently, and *observes* the rest. The same program is run under a
 * real root's chroot (tests/world/prepare), and an engine is right when its transcript is the same, word for word. So
 * an observation must be deterministic: no addresses, times, process ids or inode numbers.
 *
 * With "root" the checks of a (real or pretended) root run too. */
#ifndef TORTURE_H
#define TORTURE_H

#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/types.h>
#include <sys/wait.h>
#include <unistd.h>

/* Calls that one of the C libraries has no function for. */
#ifndef __GLIBC__
#include <linux/stat.h>
#endif
#ifndef RENAME_NOREPLACE
#define RENAME_NOREPLACE 1
#define RENAME_EXCHANGE 2
#endif
#define sys_statx(...) ((int)syscall(SYS_statx, __VA_ARGS__))
#define sys_renameat2(...) ((int)syscall(SYS_renameat2, __VA_ARGS__))
#ifndef AT_EMPTY_PATH
#define AT_EMPTY_PATH 0x1000
#endif

enum who {
	EVERYONE,
	ROOT_ONLY,
};

struct check {
	const char *name;
	enum who who;
	void (*run)(void);
};

/* Defines a check and enters it into the table; checks run in the order of the link. */
#define CHECK(who_, name_)                                                                                            \
	static void check_##name_(void);                                                                               \
	static const struct check entry_##name_ = {.name = #name_, .who = who_, .run = check_##name_};                 \
	static const struct check *const pointer_##name_ __attribute__((section("checks"), used)) = &entry_##name_;    \
	static void check_##name_(void)

/* The program's own path in the guest, and whether a root runs it. */
extern const char *self_path;
extern bool is_root;

/* Adds words to the check's line. */
void note(const char *format, ...) __attribute__((format(printf, 1, 2)));
/* Notes "WHAT=ok" or "WHAT=ENAME" for a result that is -1 with errno; returns the result. */
long observe(const char *what, long result);
/* Fails the check (and ends it) unless the condition holds. */
#define require(condition) ((condition) ? (void)0 : require_failed(#condition, __LINE__))
_Noreturn void require_failed(const char *condition, int line);
/* The name of an errno, "ok" for 0. */
const char *errno_name(int error);

/* A new file with this content (and mode 0644); fails the check when it cannot. */
void make_file(const char *path, const char *content);
/* Writes what a file holds into `buffer` as a string; returns its length or -1. */
ssize_t slurp(const char *path, char *buffer, size_t size);
/* Copies the running program to `path`, executable. */
void copy_self(const char *path);
/* Runs `action` in a child; returns its wait status. */
int in_child(void (*action)(void *), void *argument);
/* Notes "WHAT=exit N" or "WHAT=signal N". */
void note_status(const char *what, int status);
/* Executes argv[0] = `path` with these words in a child, and returns what it wrote to standard output in `output`;
 * the return value is its wait status, or -errno of a failed execve. */
int run_program(const char *path, char *const argv[], char *const envp[], char *output, size_t size);
/* Installs a handler with flags and mask (NULL: empty). */
void handle(int signal, void (*handler)(int), int flags, const sigset_t *mask);
/* Starts a one-shot or periodic real-time timer, in microseconds. */
void alarm_us(unsigned first, unsigned interval);
/* What `torture --WORD ...` does when a check executes the program again. */
int helper_main(int argc, char **argv);

#endif
