/* What execve needs to know of a program before it is started: shebang chain, ELF header, interpreter.
 * execve(2) and fs/exec.c, fs/binfmt_script.c, fs/binfmt_elf.c are the source of the rules and errors. */
#ifndef CORE_EXEC_H
#define CORE_EXEC_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "view.h"

#define EXEC_SHEBANG_MAX 256 /* BINPRM_BUF_SIZE */
#define EXEC_SHEBANG_DEPTH 5 /* of scripts interpreted by scripts, then -ELOOP */
#define EXEC_STRINGS_MAX (EXEC_SHEBANG_MAX * EXEC_SHEBANG_DEPTH + PATH_MAX) /* all that a chain can add */

enum exec_flags {
	EXEC_FLAG_GO = 1 << 0,	    /* a Go program: its system call sites must not be patched */
	EXEC_FLAG_SETID = 1 << 1,   /* reserved: the pretended mode of the program has set-id bits */
	EXEC_FLAG_EXECSTACK = 1 << 2, /* PT_GNU_STACK asks for an executable stack */
};

/* One program to run. Descriptors are open read-only without close-on-exec; the caller closes them on failure. */
struct exec_program {
	int exe_fd;	       /* the ELF file */
	int interp_fd;	       /* its PT_INTERP, or -1 */
	char exe_guest[PATH_MAX]; /* canonical guest path of the ELF file: /proc/PID/exe */
	/* arguments that a shebang chain puts before the caller's argv[1...]; n_prefix 0 = no script: argv is kept.
	 * Then argv[0] is dropped and prefix[n_prefix - 1] is the script's own path. */
	char *prefix[EXEC_SHEBANG_DEPTH * 2 + 2];
	unsigned n_prefix;
	unsigned flags; /* enum exec_flags */
	int machine;	/* e_machine, also of a refused program: ARCH_EM_MACHINE or ARCH_EM_COMPAT when it can run */
	const char *execfn; /* AT_EXECFN: the path as given, or /dev/fd/N[/path] when it was relative to a descriptor */
	/* where execfn and the prefix strings live, and behind them while it is planned the interpreter's name */
	char text[EXEC_STRINGS_MAX + PATH_MAX];
};

/* Plans the execution of (dirfd, guest_path) with `at_flags` (AT_EMPTY_PATH, AT_SYMLINK_NOFOLLOW).
 * Returns 0, or -errno as execve(2): -ENOENT, -EACCES (no execute permission, not a regular file, noexec mount),
 * -ENOEXEC, -ELIBBAD, -ELOOP, and for a program of another machine -ENOEXEC with program->machine set. Programs of the
 * other word size are planned like those of the engine's own; whether it can run them is for the caller to know. */
int exec_plan(const struct view *v, const struct here *here, struct scratch *s, int dirfd, const char *guest_path,
	      int at_flags, struct exec_program *program);

#endif
