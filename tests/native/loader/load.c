/* load [OPTION...] PROGRAM [ARG...]: starts a program of the host by exec_plan() and the loader alone, without any
 * engine, so that both can be compared with the kernel's execve.
 *
 *   --debug          loader_request.debug
 *   --secure         AT_SECURE = 1
 *   --ids N          all four ids in the auxiliary vector
 *   --sigstack N     sigstack_extra
 *   --env STRING     replaces the first environment string by one that lies elsewhere
 *   --at FD          PROGRAM is relative to this descriptor; "" is the descriptor itself
 *   --nofollow       AT_SYMLINK_NOFOLLOW
 *   --plan           print what exec_plan() says, and start nothing
 *   --no-args        an empty argument list
 *
 * Exits with 125 and "load: PROGRAM: -ERRNO machine N" when the program cannot be started. */
#include <linux/errno.h>

#include "core/exec.h"
#include "core/str.h"
#include "core/sys.h"
#include "core/view.h"
#include "loader/loader.h"

_Noreturn void load_main(unsigned long *sp);

/* Not on the stack, which is the guest's. */
static struct exec_program program;
static struct scratch scratch;
static struct view view;
static char line[2 * PATH_MAX];

static size_t put(size_t len, const char *text)
{
	long n = str_append(line, sizeof(line) - 24, len, text);

	return n < 0 ? len : (size_t)n;
}

static size_t put_number(size_t len, long v)
{
	if (v < 0)
		line[len++] = '-';
	return len + str_from_u64(line + len, (uint64_t)(v < 0 ? -v : v));
}

_Noreturn static void fail(const char *what, long error)
{
	size_t n = put(0, "load: ");

	n = put(n, what);
	n = put(n, ": ");
	n = put_number(n, error);
	n = put(n, " machine ");
	n = put_number(n, program.machine);
	n = put(n, "\n");
	(void)sys_write(2, line, n);
	sys_exit_group(125);
}

static void print_plan(void)
{
	size_t n = put(0, "exe ");

	n = put(n, program.exe_guest);
	n = put(n, "\nexecfn ");
	n = put(n, program.execfn);
	n = put(n, "\nflags ");
	n = put_number(n, program.flags);
	n = put(n, program.interp_fd < 0 ? "\nstatic" : "\ndynamic");
	for (unsigned i = 0; i < program.n_prefix; i++) {
		n = put(n, "\nprefix <");
		n = put(n, program.prefix[i]);
		n = put(n, ">");
	}
	n = put(n, "\n");
	(void)sys_write(1, line, n);
}

static long number(const char *word)
{
	uint64_t v;

	if (!word || !str_to_u64(word, &v))
		fail("bad number", -EINVAL);
	return (long)v;
}

/* Puts the words of a shebang chain in the place of argv[0]. */
static char **prepend(char **argv)
{
	if (!program.n_prefix)
		return argv;
	argv -= program.n_prefix - 1;
	for (unsigned i = 0; i < program.n_prefix; i++)
		argv[i] = program.prefix[i];
	return argv;
}

_Noreturn void load_main(unsigned long *sp)
{
	char **argv = (char **)(sp + 1), **words = argv + 1, *env = NULL;
	struct loader_request req = { .exe_fd = -1 };
	struct loader_image image;
	struct here here = { .cwd = NULL };
	int dirfd = AT_FDCWD, at_flags = 0, r;
	bool plan_only = false, no_args = false;

	for (; *words && (*words)[0] == '-'; words++) {
		if (str_eq(*words, "--debug"))
			req.debug = true;
		else if (str_eq(*words, "--secure"))
			req.secure = true;
		else if (str_eq(*words, "--plan"))
			plan_only = true;
		else if (str_eq(*words, "--no-args"))
			no_args = true;
		else if (str_eq(*words, "--nofollow"))
			at_flags |= AT_SYMLINK_NOFOLLOW;
		else if (str_eq(*words, "--sigstack"))
			req.sigstack_extra = (unsigned long)number(*++words);
		else if (str_eq(*words, "--env"))
			env = *++words;
		else if (str_eq(*words, "--at"))
			dirfd = (int)number(*++words);
		else if (str_eq(*words, "--ids")) {
			req.has_ids = true;
			req.uid = req.euid = req.gid = req.egid = (uint32_t)number(*++words);
		} else {
			fail(*words, -EINVAL);
		}
	}
	if (!*words)
		fail("no program", -EINVAL);
	if (dirfd != AT_FDCWD && !**words)
		at_flags |= AT_EMPTY_PATH;
	here.pid = (int)SYS0(getpid);
	r = view_init(&view, -1, "", false);
	if (r == 0)
		r = exec_plan(&view, &here, &scratch, dirfd, *words, at_flags, &program);
	if (r < 0)
		fail(*words, r);
	if (plan_only) {
		print_plan();
		sys_exit_group(0);
	}
	if (no_args)
		while (*words)
			words++;
	while (*argv)
		argv++;
	if (env)
		argv[1] = env;
	req.exe_fd = program.exe_fd;
	req.interp_fd = program.interp_fd;
	req.argv = prepend(words);
	req.exe_guest = program.exe_guest;
	req.execfn = program.execfn;
	req.flags = program.flags;
	r = loader_load(&req, &image);
	if (r < 0)
		fail(program.exe_guest, r);
	loader_jump(image.entry, image.sp);
}
