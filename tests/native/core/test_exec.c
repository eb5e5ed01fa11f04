/* exec.c against the kernel it runs on: each program is planned, and started for real. Error, argument list, AT_EXECFN
 * and /proc/self/exe must be the same. The program started is this one: with EXEC_SHOW set it prints what it was given.
 * Where the kernel cannot start it (under qemu-user), what is expected is checked and the comparison left out. */
#define _GNU_SOURCE
#include <elf.h>
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/auxv.h>
#include <sys/wait.h>
#include <unistd.h>

#include <linux/memfd.h>

#include "exec.h"
#include "str.h"
#include "sys.h"
#include "tap.h"

#define TEXT 8192
#ifdef __SANITIZE_ADDRESS__
#define RANDOM_SCRIPTS 120
#else
#define RANDOM_SCRIPTS 1200
#endif

static char dir[64], show[96];
static bool kernel_starts_us;
static struct view view;
static struct scratch scratch;
static struct exec_program program;
static const struct here here = { .cwd = NULL };

static void append(char *to, const char *format, const char *what)
{
	size_t n = strlen(to);

	snprintf(to + n, TEXT - n, format, what);
}

static void append_error(char *to, int error)
{
	char number[16];

	snprintf(number, sizeof(number), "%d", error);
	append(to, "-%s", number);
}

static int show_main(int argc, char **argv)
{
	char text[TEXT] = "", exe[PATH_MAX] = "";

	for (int i = 0; i < argc; i++)
		append(text, "<%s>", argv[i]);
	append(text, " execfn %s", (const char *)getauxval(AT_EXECFN));
	if (readlink("/proc/self/exe", exe, sizeof(exe) - 1) < 0)
		return 1;
	append(text, " exe %s", exe);
	return write(1, text, strlen(text)) < 0;
}

/* What exec_plan() says, in the words of show_main(). Leaves *ret_flags alone on failure. */
static void plan(int dirfd, const char *path, int at_flags, char *text, unsigned *ret_flags)
{
	int r = exec_plan(&view, &here, &scratch, dirfd, path, at_flags, &program);

	*text = '\0';
	if (r < 0) {
		append_error(text, -r);
		return;
	}
	for (unsigned i = 0; i < program.n_prefix; i++)
		append(text, "<%s>", program.prefix[i]);
	append(text, "%s<one><>", program.n_prefix ? "" : "<zero>");
	append(text, " execfn %s", program.execfn);
	append(text, " exe %s", program.exe_guest);
	if (ret_flags)
		*ret_flags = program.flags;
	close(program.exe_fd);
	if (program.interp_fd >= 0)
		close(program.interp_fd);
}

/* What the kernel does with the same. */
static void start(int dirfd, const char *path, int at_flags, char *text)
{
	char *argv[] = { (char *)"zero", (char *)"one", (char *)"", NULL };
	char *envp[] = { (char *)"EXEC_SHOW=1", NULL };
	int status, out[2];
	size_t len = 0;
	ssize_t n;
	pid_t pid;

	*text = '\0';
	if (pipe(out) < 0 || (pid = fork()) < 0) {
		append_error(text, errno);
		return;
	}
	if (pid == 0) {
		long r;

		dup2(out[1], 1);
		close(out[0]);
		close(out[1]);
		r = SYS5(execveat, dirfd, path, argv, envp, at_flags);
		append_error(text, (int)-r);
		if (write(1, text, strlen(text)) < 0)
			_exit(1);
		_exit(0);
	}
	close(out[1]);
	while (len < TEXT - 1 && (n = read(out[0], text + len, TEXT - 1 - len)) > 0)
		len += (size_t)n;
	text[len] = '\0';
	close(out[0]);
	waitpid(pid, &status, 0);
	if (status)
		append(text, " died%s", "");
}

/* Plans (dirfd, path) and compares with `expected` (NULL: any) and with the kernel. */
static bool same(int dirfd, const char *path, int at_flags, const char *expected, const char *name)
{
	static char planned[TEXT], started[TEXT];

	plan(dirfd, path, at_flags, planned, NULL);
	if (expected && strcmp(planned, expected) != 0) {
		fprintf(stderr, "# planned:  %s\n# expected: %s\n", planned, expected);
		return ok(false, name);
	}
	if (!kernel_starts_us)
		return expected ? ok(true, name) : true;
	start(dirfd, path, at_flags, started);
	if (strcmp(planned, started) != 0) {
		fprintf(stderr, "# planned: %s\n# kernel:  %s\n", planned, started);
		return ok(false, name);
	}
	return expected ? ok(true, name) : true;
}

static bool fails(const char *path, int error, const char *name)
{
	char expected[16] = "";

	append_error(expected, error);
	return same(AT_FDCWD, path, 0, expected, name);
}

/* Path of a file in the test's directory. */
static const char *in_dir(const char *name)
{
	static char path[4][128];
	static unsigned i;
	char *to = path[i++ % 4];

	snprintf(to, sizeof(path[0]), "%s/%s", dir, name);
	return to;
}

static const char *put(const char *name, const void *data, size_t size, unsigned mode)
{
	const char *path = in_dir(name);
	long fd;

	unlink(path);
	fd = sys_openat(AT_FDCWD, path, O_CREAT | O_EXCL | O_WRONLY | O_CLOEXEC, 0600);
	if (fd < 0 || sys_write((int)fd, data, size) != (long)size || SYS2(fchmod, fd, mode) < 0) {
		fprintf(stderr, "# %s: cannot be written\n", path);
		exit(1);
	}
	close((int)fd);
	return path;
}

static const char *put_text(const char *name, const char *text, unsigned mode)
{
	return put(name, text, strlen(text), mode);
}

/* A file starting with "#!", `before`, the path of the program, `after`. */
static const char *put_script(const char *name, const char *before, const char *after)
{
	char text[1024];

	snprintf(text, sizeof(text), "#!%s%s%s", before, show, after);
	return put_text(name, text, 0755);
}

/* Bytes that the file to be started should not be written with: a copy of this program. */
static void copy_self(void)
{
	static char buf[65536];
	long in = sys_openat(AT_FDCWD, "/proc/self/exe", O_RDONLY | O_CLOEXEC, 0);
	long out = sys_openat(AT_FDCWD, show, O_CREAT | O_WRONLY | O_CLOEXEC, 0755), n;

	while ((n = sys_read((int)in, buf, sizeof(buf))) > 0)
		if (sys_write((int)out, buf, (size_t)n) != n)
			exit(1);
	close((int)in);
	close((int)out);
}

static void test_shebang_lines(void)
{
	static const struct {
		const char *before, *after, *args;
	} lines[] = {
		{ "", "\n", "<%p>" },
		{ " \t ", "\nrest", "<%p>" },
		{ "", " \t \n", "<%p>" },
		{ "", " one two  three \t\n", "<%p><one two  three>" },
		{ "", "\t-x\n", "<%p><-x>" },
		{ "", "", "<%p>" },
		{ "", " -x", "<%p><-x>" },
		{ "", " ", "<%p><>" },
		{ "", "  -x ", "<%p><-x >" },
	};
	char expected[TEXT], name[64];

	for (size_t i = 0; i < sizeof(lines) / sizeof(lines[0]); i++) {
		const char *path = put_script("script", lines[i].before, lines[i].after);

		*expected = '\0';
		append(expected, "<%s>", show);
		append(expected, "%s", lines[i].args + strlen("<%p>"));
		append(expected, "<%s><one><>", path);
		append(expected, " execfn %s", path);
		append(expected, " exe %s", show);
		snprintf(name, sizeof(name), "shebang line %zu", i + 1);
		same(AT_FDCWD, path, 0, expected, name);
	}
	fails(put_text("script", "#!\n", 0755), ENOEXEC, "shebang without a name");
	fails(put_text("script", "#! \t \n/bin/sh\n", 0755), ENOEXEC, "shebang of blanks");
	fails(put_text("script", "#!", 0755), EACCES, "shebang alone: the empty name");
	fails(put_text("script", "#!/does/not/exist\n", 0755), ENOENT, "missing interpreter of a script");
	fails(put_text("script", "#!/bin/sh\r\n", 0755), ENOENT, "carriage return belongs to the name");
	fails(put_text("script", "#!/\n", 0755), EACCES, "a directory as interpreter of a script");
	fails(put_text("script", "echo no shebang\n", 0755), ENOEXEC, "text without shebang");
	fails(put_text("script", "", 0755), ENOEXEC, "empty file");
	fails(put_script("script", "", "\n") && SYS3(fchmodat, AT_FDCWD, in_dir("script"), 0644) == 0 ?
		      in_dir("script") : "", EACCES, "script without execute permission");
}

/* Lines around the size of the kernel's buffer. */
static void test_long_shebang_lines(void)
{
	char text[600];
	bool good = true;

	for (size_t len = 240; len < 270; len++) {
		/* blanks, name, newline: the name ends at `len` */
		memset(text, ' ', sizeof(text));
		memcpy(text, "#!", 2);
		memcpy(text + len - strlen(show), show, strlen(show));
		text[len] = '\n';
		good = same(AT_FDCWD, put("script", text, len + 1, 0755), 0, NULL, "interpreter at the end") && good;
		good = same(AT_FDCWD, put("script", text, len, 0755), 0, NULL, "... no newline") && good;
		/* an argument ends at `len` */
		memset(text, 'x', sizeof(text));
		memcpy(text, "#!", 2);
		memcpy(text + 2, show, strlen(show));
		text[2 + strlen(show)] = ' ';
		text[len] = '\n';
		good = same(AT_FDCWD, put("script", text, len + 1, 0755), 0, NULL, "argument at the end") && good;
		good = same(AT_FDCWD, put("script", text, len, 0755), 0, NULL, "... no newline") && good;
		/* a name of only that length */
		memset(text, 'x', sizeof(text));
		memcpy(text, "#!/", 3);
		good = same(AT_FDCWD, put("script", text, len, 0755), 0, NULL, "a long name") && good;
		text[len] = '\n';
		good = same(AT_FDCWD, put("script", text, len + 1, 0755), 0, NULL, "... and a newline") && good;
	}
	ok(good, "shebang lines of 240 to 270 bytes");
}

static void test_random_scripts(void)
{
	static const char alphabet[] = { ' ', ' ', '\t', '\n', '\0', '/', 'a', 'b', '#', '!', '\r' };
	unsigned seed = 12345;
	char text[400];
	bool good = true;

	for (unsigned i = 0; i < RANDOM_SCRIPTS && good; i++) {
		size_t len = 2, end;

		memcpy(text, "#!", 2);
		for (unsigned n = (unsigned)rand_r(&seed) % 3; n; n--)
			text[len++] = " \t"[rand_r(&seed) % 2];
		if (rand_r(&seed) % 8) {
			memcpy(text + len, show, strlen(show));
			len += strlen(show);
		}
		end = len + (unsigned)rand_r(&seed) % (rand_r(&seed) % 2 ? 8 : sizeof(text) - len);
		while (len < end)
			text[len++] = alphabet[(unsigned)rand_r(&seed) % sizeof(alphabet)];
		good = same(AT_FDCWD, put("script", text, len, 0755), 0, NULL, "a random script");
	}
	ok(good, "random scripts");
}

static void test_nested_scripts(void)
{
	char name[16], text[200], before[128];

	snprintf(before, sizeof(before), "%s", show);
	for (unsigned depth = 1; depth <= 7; depth++) {
		snprintf(name, sizeof(name), "nested%u", depth);
		snprintf(text, sizeof(text), "#!%s arg%u\n", before, depth);
		put_text(name, text, 0755);
		snprintf(before, sizeof(before), "%s", in_dir(name));
		if (depth <= 5)
			ok(same(AT_FDCWD, before, 0, NULL, name), name);
		else
			fails(before, ELOOP, name);
	}
	if (chdir(dir) == 0) {
		put_text("relative", "#!nested2 -r\n", 0755);
		ok(same(AT_FDCWD, "relative", 0, NULL, "relative"), "interpreter relative to the working directory");
		ok(same(AT_FDCWD, "./../relative", 0, NULL, "dots"), "a relative name with dots");
	}
}

static void test_files(void)
{
	char expected[TEXT] = "<zero><one><>", longest[PATH_MAX + 2];

	append(expected, " execfn %s", show);
	append(expected, " exe %s", show);
	same(AT_FDCWD, show, 0, expected, "an ELF program");
	fails("", ENOENT, "empty name");
	fails("/does/not/exist", ENOENT, "missing file");
	fails(dir, EACCES, "directory");
	fails("/dev/null", EACCES, "device");
	fails(put_text("plain", "x", 0644), EACCES, "no execute permission");
	SYS4(mknodat, AT_FDCWD, in_dir("fifo"), 0010777, 0);
	fails(in_dir("fifo"), EACCES, "a FIFO, without waiting for a writer");
	SYS3(symlinkat, "loop", AT_FDCWD, in_dir("loop"));
	fails(in_dir("loop"), ELOOP, "symlink to itself");
	SYS3(symlinkat, "nothing", AT_FDCWD, in_dir("dangling"));
	fails(in_dir("dangling"), ENOENT, "dangling symlink");
	SYS3(symlinkat, show, AT_FDCWD, in_dir("link"));
	ok(same(AT_FDCWD, in_dir("link"), 0, NULL, "link"), "symlink to a program");
	same(AT_FDCWD, in_dir("link"), AT_SYMLINK_NOFOLLOW, "-40", "AT_SYMLINK_NOFOLLOW on a symlink");
	same(AT_FDCWD, show, AT_SYMLINK_NOFOLLOW, expected, "AT_SYMLINK_NOFOLLOW on a file");
	fails(strcat(strcpy(longest, show), "/"), ENOTDIR, "trailing slash");
	fails(strcat(strcpy(longest, show), "/x"), ENOTDIR, "a file as directory");
	memset(longest, 'x', sizeof(longest) - 1);
	longest[sizeof(longest) - 1] = '\0';
	fails(longest, ENAMETOOLONG, "too long a name");
	same(AT_FDCWD, show, 0x40, "-22", "unknown flag");
}

static void test_descriptors(void)
{
	char path[64], script[128];
	int fd, dirfd, memfd, offset;

	dirfd = (int)sys_openat(AT_FDCWD, dir, O_RDONLY | O_DIRECTORY, 0);
	ok(same(dirfd, "show", 0, NULL, "dirfd"), "name relative to a descriptor");
	put_script("script", "", " x\n");
	ok(same(dirfd, "script", 0, NULL, "dirfd script"), "script relative to a descriptor");
	ok(same(dirfd, show, 0, NULL, "absolute"), "absolute name with a descriptor");
	same(dirfd, "", 0, "-2", "empty name without AT_EMPTY_PATH");
	same(dirfd, "", AT_EMPTY_PATH, "-13", "a directory's descriptor");
	same(AT_FDCWD, "", AT_EMPTY_PATH, "-13", "the working directory");
	same(999, "", AT_EMPTY_PATH, "-9", "bad descriptor");
	same(999, "show", 0, "-9", "name relative to a bad descriptor");
	sys_fcntl(dirfd, F_SETFD, FD_CLOEXEC);
	same(dirfd, "script", 0, "-2", "script relative to a close-on-exec descriptor");
	ok(same(dirfd, "show", 0, NULL, "cloexec"), "program relative to a close-on-exec descriptor");

	fd = (int)sys_openat(AT_FDCWD, show, O_RDONLY | O_CLOEXEC, 0);
	offset = (int)SYS3(lseek, fd, 77, 0);
	ok(same(fd, "", AT_EMPTY_PATH, NULL, "fd"), "a program's descriptor");
	ok(offset == 77 && SYS3(lseek, fd, 0, 1) == 77, "its offset stays");
	close(fd);
	fd = (int)sys_openat(AT_FDCWD, show, O_PATH, 0);
	ok(same(fd, "", AT_EMPTY_PATH, NULL, "O_PATH"), "an O_PATH descriptor");
	close(fd);
	snprintf(script, sizeof(script), "%s", in_dir("script"));
	fd = (int)sys_openat(AT_FDCWD, script, O_RDONLY, 0);
	ok(same(fd, "", AT_EMPTY_PATH, NULL, "script fd"), "a script's descriptor");
	sys_fcntl(fd, F_SETFD, FD_CLOEXEC);
	same(fd, "", AT_EMPTY_PATH, "-2", "a script's close-on-exec descriptor");
	close(fd);
	fd = (int)sys_openat(AT_FDCWD, script, O_RDWR, 0);
	same(fd, "", AT_EMPTY_PATH, "-26", "a descriptor open for writing");
	close(fd);
	fd = (int)sys_openat(AT_FDCWD, in_dir("link"), O_PATH | O_NOFOLLOW, 0);
	same(fd, "", AT_EMPTY_PATH, "-40", "a symlink's descriptor");
	close(fd);
	fd = (int)sys_openat(AT_FDCWD, show, O_RDONLY, 0);
	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	ok(same(AT_FDCWD, path, 0, NULL, "/proc/self/fd"), "a /proc link to a program");
	close(fd);

	memfd = (int)SYS2(memfd_create, "prog", MFD_CLOEXEC);
	fd = (int)sys_openat(AT_FDCWD, show, O_RDONLY, 0);
	while (SYS4(sendfile, memfd, fd, 0, 1 << 20) > 0)
		;
	close(fd);
	if (ok(memfd >= 0, "memfd_create"))
		ok(same(memfd, "", AT_EMPTY_PATH, NULL, "memfd"), "a program in a memfd");
	close(memfd);
	close(dirfd);
}

static void test_noexec(void)
{
	char dev[256], at[256], type[64], options[512], rest[64], path[300];
	FILE *mounts = fopen("/proc/self/mounts", "r");
	bool found = false;

	while (mounts && !found &&
	       fscanf(mounts, "%255s %255s %63s %511s %63[^\n]", dev, at, type, options, rest) == 5) {
		if (!strstr(options, "noexec") || strstr(type, "proc") || strstr(type, "sys") || access(at, W_OK) < 0)
			continue;
		snprintf(path, sizeof(path), "%s/udockpy-noexec.%d", at, (int)getpid());
		if (SYS3(symlinkat, show, AT_FDCWD, path) == 0) {
			long fd;

			unlink(path);
			fd = sys_openat(AT_FDCWD, path, O_CREAT | O_EXCL | O_WRONLY, 0755);
			if (fd < 0)
				continue;
			found = true;
			close((int)fd);
			fails(path, EACCES, "noexec mount");
			unlink(path);
		}
	}
	if (mounts)
		fclose(mounts);
	if (!found)
		skip("noexec mount", "no writable one here");
}

/* An ELF file of `n` program headers and some zeros, without code: nothing here is started successfully. */
struct image {
	Elf64_Ehdr eh;
	Elf64_Phdr ph[3];
	char data[8192];
};

static struct image *new_image(void)
{
	static struct image image;

	memset(&image, 0, sizeof(image));
	memcpy(image.eh.e_ident, ELFMAG, SELFMAG);
	image.eh.e_ident[EI_CLASS] = ELFCLASS64;
	image.eh.e_ident[EI_DATA] = ELFDATA2LSB;
	image.eh.e_ident[EI_VERSION] = EV_CURRENT;
	image.eh.e_type = ET_DYN;
	image.eh.e_machine = ARCH_EM_MACHINE;
	image.eh.e_version = EV_CURRENT;
	image.eh.e_phoff = offsetof(struct image, ph);
	image.eh.e_ehsize = sizeof(Elf64_Ehdr);
	image.eh.e_phentsize = sizeof(Elf64_Phdr);
	image.eh.e_phnum = 3;
	image.ph[0].p_type = PT_LOAD;
	image.ph[0].p_flags = PF_R | PF_X;
	image.ph[0].p_filesz = image.ph[0].p_memsz = sizeof(image);
	image.ph[0].p_align = 4096;
	return &image;
}

static void set_interp(struct image *image, const char *path, size_t size)
{
	strcpy(image->data, path);
	image->ph[1].p_type = PT_INTERP;
	image->ph[1].p_offset = offsetof(struct image, data);
	image->ph[1].p_filesz = image->ph[1].p_memsz = size;
}

static void broken(struct image *image, int error, const char *name)
{
	fails(put("elf", image, sizeof(*image), 0755), error, name);
}

static void with_interp(const char *path, int error, const char *name)
{
	struct image *image = new_image();

	set_interp(image, path, strlen(path) + 1);
	broken(image, error, name);
}

static void test_elf_headers(void)
{
	struct image *i = new_image();

	i->eh.e_ident[0] = 'x';
	broken(i, ENOEXEC, "bad magic");
	i = new_image();
	i->eh.e_type = 1;
	broken(i, ENOEXEC, "object file");
	i = new_image();
	i->eh.e_phentsize = 32;
	broken(i, ENOEXEC, "size of a program header");
	ok(program.machine == 0, "which says nothing about a machine");
	i = new_image();
	i->eh.e_phnum = 0;
	broken(i, ENOEXEC, "no program header");
	i = new_image();
	i->eh.e_phnum = 2000;
	broken(i, ENOEXEC, "too many program headers");
	i = new_image();
	i->eh.e_phoff = sizeof(*i) - 50;
	broken(i, ENOEXEC, "program headers behind the end");
	fails(put("elf", new_image(), 40, 0755), ENOEXEC, "half a header");
	i = new_image();
	set_interp(i, "x", 1);
	broken(i, ENOEXEC, "interpreter's name too short");
	i = new_image();
	set_interp(i, "/x", PATH_MAX + 1);
	broken(i, ENOEXEC, "interpreter's name too long");
	i = new_image();
	set_interp(i, "/xy", 3);
	broken(i, ENOEXEC, "interpreter's name without end");
	i = new_image();
	set_interp(i, "/xy", 4);
	i->ph[1].p_offset = sizeof(*i) - 2;
	broken(i, EIO, "interpreter's name behind the end");
	i = new_image();
	set_interp(i, "", 2);
	broken(i, EACCES, "interpreter's name empty");
	with_interp("/does/not/exist", ENOENT, "missing interpreter");
	with_interp(dir, EACCES, "a directory as interpreter");
	with_interp(put_text("plain", "x", 0644), EACCES, "interpreter without execute permission");
	with_interp(put_text("short", "short", 0755), EIO, "interpreter too short");
	i = new_image();
	memset(i, 'x', sizeof(*i));
	with_interp(put("text", i, sizeof(*i), 0755), ELIBBAD, "interpreter that is no ELF file");
	i = new_image();
	i->eh.e_machine = 1234;
	with_interp(put("foreign", i, sizeof(*i), 0755), ELIBBAD, "interpreter for another machine");
	i = new_image();
	i->eh.e_phoff = sizeof(*i) - 50;
	with_interp(put("cut", i, sizeof(*i), 0755), ELIBBAD, "interpreter that is cut off");
}

static int refusal(struct image *image)
{
	return exec_plan(&view, &here, &scratch, AT_FDCWD, put("elf", image, sizeof(*image), 0755), 0, &program);
}

/* Not compared: the kernel may have been told how to run such programs. */
static void test_other_machines(void)
{
	struct image *i = new_image();

	i->eh.e_ident[EI_CLASS] = ELFCLASS32;
	i->eh.e_phentsize = 32;
	ok(refusal(i) == -ENOEXEC && program.machine == ARCH_EM_MACHINE, "program of this machine with small words");
	ok(program.exe_fd == -1 && program.interp_fd == -1, "no descriptor is left");
	i = new_image();
	i->eh.e_machine = 1234;
	ok(refusal(i) == -ENOEXEC && program.machine == 1234, "program of another machine");
	i = new_image();
	i->eh.e_ident[EI_DATA] = ELFDATA2MSB;
	i->eh.e_machine = __builtin_bswap16(EM_S390);
	ok(refusal(i) == -ENOEXEC && program.machine == EM_S390, "program of the other byte order");
}

/* A program of the other word size that the same kernel runs. */
static struct narrow_image {
	Elf32_Ehdr eh;
	Elf32_Phdr ph[2];
	char interp[32];
} *new_narrow_image(void)
{
	static struct narrow_image image;

	image = (struct narrow_image){ 0 };
	memcpy(image.eh.e_ident, ELFMAG, SELFMAG);
	image.eh.e_ident[EI_CLASS] = ELFCLASS32;
	image.eh.e_ident[EI_DATA] = ELFDATA2LSB;
	image.eh.e_type = ET_DYN;
	image.eh.e_machine = ARCH_EM_COMPAT;
	image.eh.e_phoff = offsetof(struct narrow_image, ph);
	image.eh.e_phentsize = sizeof(Elf32_Phdr);
	image.eh.e_phnum = 1;
	image.ph[0] = (Elf32_Phdr){ .p_type = PT_GNU_STACK, .p_flags = PF_R | PF_W | PF_X };
	return &image;
}

static int plan_narrow(const struct narrow_image *image)
{
	return exec_plan(&view, &here, &scratch, AT_FDCWD, put("narrow", image, sizeof(*image), 0755), 0, &program);
}

static void test_the_other_word_size(void)
{
	struct narrow_image *i = new_narrow_image();

	ok(plan_narrow(i) == 0 && program.machine == ARCH_EM_COMPAT, "32-bit program");
	ok(program.flags == EXEC_FLAG_EXECSTACK, "its segments are read");
	(void)sys_close(program.exe_fd);
	i->eh.e_phnum = 2;
	i->ph[1] = (Elf32_Phdr){ .p_type = PT_INTERP,
				 .p_offset = offsetof(struct narrow_image, interp),
				 .p_filesz = 8 };
	strcpy(i->interp, "/nobody");
	ok(plan_narrow(i) == -ENOENT && program.exe_fd == -1, "its interpreter is looked for");
	strcpy(i->interp, put("wide", new_image(), sizeof(struct image), 0755));
	i->ph[1].p_filesz = (Elf32_Word)strlen(i->interp) + 1;
	ok(plan_narrow(i) == -ELIBBAD && program.exe_fd == -1, "a 64-bit interpreter is none for it");
	i = new_narrow_image();
	i->eh.e_phentsize = sizeof(Elf64_Phdr);
	ok(plan_narrow(i) == -ENOEXEC, "program headers of the wrong size");
}

static unsigned flags_of(struct image *image)
{
	char text[TEXT];
	unsigned flags = ~0U;

	plan(AT_FDCWD, put("elf", image, sizeof(*image), 0755), 0, text, &flags);
	return flags;
}

static void set_notes(struct image *image, const char *name, unsigned type)
{
	const Elf64_Nhdr first = { .n_namesz = 5, .n_descsz = 3, .n_type = 4 };
	const Elf64_Nhdr second = { .n_namesz = 4, .n_descsz = 83, .n_type = type };

	memcpy(image->data, &first, sizeof(first));
	memcpy(image->data + 24, &second, sizeof(second));
	strcpy(image->data + 24 + sizeof(second), name);
	image->ph[1].p_type = PT_NOTE;
	image->ph[1].p_offset = offsetof(struct image, data);
	image->ph[1].p_filesz = image->ph[1].p_memsz = 24 + sizeof(second) + 4 + 84;
}

static void test_flags(void)
{
	struct image *i = new_image();

	ok(flags_of(i) == 0, "no flags");
	i->ph[2].p_type = PT_GNU_STACK;
	i->ph[2].p_flags = PF_R | PF_W;
	ok(flags_of(i) == 0, "ordinary stack");
	i->ph[2].p_flags = PF_R | PF_W | PF_X;
	ok(flags_of(i) == EXEC_FLAG_EXECSTACK, "executable stack");
	i = new_image();
	set_notes(i, "Go", 4);
	ok(flags_of(i) == EXEC_FLAG_GO, "Go program");
	set_notes(i, "Go", 3);
	ok(flags_of(i) == 0, "another note of that name");
	set_notes(i, "GNU", 4);
	ok(flags_of(i) == 0, "a GNU note of that type");
	set_notes(i, "Go", 4);
	((Elf64_Nhdr *)(void *)i->data)->n_descsz = 0xfffffff0;
	ok(flags_of(i) == 0, "a note that leads behind its segment");
	i->ph[1].p_offset = ~0ULL - 100;
	ok(flags_of(i) == 0, "notes at an impossible offset");
}

/* Plans in a view of its own and says how: "-ERRNO" or the words before the arguments, name, and interpreter. */
static void in_view(const struct view *v, const char *path, const char *expected)
{
	int r = exec_plan(v, &here, &scratch, AT_FDCWD, path, 0, &program);
	char text[TEXT] = "", link[64], interp[PATH_MAX] = "";

	if (r < 0)
		append_error(text, -r);
	for (unsigned i = 0; r == 0 && i < program.n_prefix; i++)
		append(text, "<%s>", program.prefix[i]);
	append(text, "%s", r == 0 ? program.exe_guest : "");
	if (r == 0 && program.interp_fd >= 0) {
		snprintf(link, sizeof(link), "/proc/self/fd/%d", program.interp_fd);
		ok(readlink(link, interp, sizeof(interp) - 1) > 0 && strncmp(interp, dir, strlen(dir)) == 0,
		   "the interpreter is the guest's");
		append(text, " %s", interp + strlen(dir));
	}
	if (strcmp(text, expected) != 0)
		fprintf(stderr, "# %s: %s\n# expected: %s\n", path, text, expected);
	ok(strcmp(text, expected) == 0, path);
	if (r == 0) {
		close(program.exe_fd);
		if (program.interp_fd >= 0)
			close(program.interp_fd);
	}
}

/* Programs of a guest: its links and interpreters mean its own files. */
static void test_guest(void)
{
	static const char *const dirs[] = { "root", "root/bin", "root/usr", "root/usr/lib", "bound" };
	struct view v;
	struct image *i;
	char root[96], text[256];
	int root_fd;

	for (size_t n = 0; n < sizeof(dirs) / sizeof(dirs[0]); n++)
		SYS3(mkdirat, AT_FDCWD, in_dir(dirs[n]), 0755);
	put("root/usr/lib/ld", new_image(), sizeof(*i), 0755);
	put("bound/ld", new_image(), sizeof(*i), 0755);
	SYS3(symlinkat, "/usr/lib", AT_FDCWD, in_dir("root/lib"));
	SYS3(symlinkat, "/bin/prog", AT_FDCWD, in_dir("root/bin/link"));
	SYS3(symlinkat, "../../../../../../bin/prog", AT_FDCWD, in_dir("root/bin/dots"));
	SYS3(symlinkat, show, AT_FDCWD, in_dir("root/bin/out"));
	SYS3(symlinkat, "/loop", AT_FDCWD, in_dir("root/loop"));
	i = new_image();
	set_interp(i, "/lib/ld", 8);
	put("root/bin/prog", i, sizeof(*i), 0755);
	set_interp(i, "/mnt/ld", 8);
	put("root/bin/bound", i, sizeof(*i), 0755);
	set_interp(i, show, strlen(show) + 1);
	put("root/bin/host-interp", i, sizeof(*i), 0755);
	put_text("root/bin/script", "#!/bin/link -x\n", 0755);
	put_script("root/bin/host-script", "", "\n");
	snprintf(root, sizeof(root), "%s/root", dir);
	snprintf(text, sizeof(text), "%s/bound", dir);
	root_fd = (int)sys_openat(AT_FDCWD, root, O_PATH | O_DIRECTORY, 0);
	if (!ok(root_fd >= 0 && view_init(&v, root_fd, root, false) == 0 &&
		view_add_bind(&v, "/mnt", text, false) == 0, "a guest's view"))
		return;
	in_view(&v, "/bin/prog", "/bin/prog /root/usr/lib/ld");
	in_view(&v, "/bin/link", "/bin/prog /root/usr/lib/ld");
	in_view(&v, "/bin/dots", "/bin/prog /root/usr/lib/ld");
	in_view(&v, "/../bin/../bin/link", "/bin/prog /root/usr/lib/ld");
	in_view(&v, "/bin/bound", "/bin/bound /bound/ld");
	in_view(&v, "/mnt/ld", "/mnt/ld");
	in_view(&v, "/bin/script", "</bin/link><-x></bin/script>/bin/prog /root/usr/lib/ld");
	in_view(&v, show, "-2");
	in_view(&v, "/bin/out", "-2");
	in_view(&v, "/bin/host-interp", "-2");
	in_view(&v, "/bin/host-script", "-2");
	in_view(&v, "/loop", "-40");
	in_view(&v, "/bin", "-13");
	in_view(&v, "/bin/prog/", "-20");
	close(root_fd);
}

static long count_descriptors(void)
{
	long n = 0;

	for (int fd = 0; fd < 256; fd++)
		n += sys_fcntl(fd, F_GETFD, 0) >= 0;
	return n;
}

int main(int argc, char **argv)
{
	char text[TEXT], command[128];
	long descriptors;

	if (getenv("EXEC_SHOW"))
		return show_main(argc, argv);
	snprintf(dir, sizeof(dir), "/tmp/udockpy-exec.XXXXXX");
	if (!mkdtemp(dir))
		return 1;
	snprintf(show, sizeof(show), "%s/show", dir);
	copy_self();
	if (view_init(&view, -1, "", false) < 0)
		return 1;
	descriptors = count_descriptors();
	start(AT_FDCWD, show, 0, text);
	kernel_starts_us = text[0] == '<';
	if (!kernel_starts_us)
		skip("comparison with the kernel", "it does not run programs of this machine");
	test_files();
	test_shebang_lines();
	test_long_shebang_lines();
	test_random_scripts();
	test_nested_scripts();
	test_descriptors();
	test_noexec();
	test_elf_headers();
	test_other_machines();
	test_the_other_word_size();
	test_flags();
	test_guest();
	ok(count_descriptors() == descriptors, "no descriptor is left open");
	snprintf(command, sizeof(command), "rm -rf %s", dir);
	ok(chdir("/") == 0 && system(command) == 0, "the test's directory is removed");
	return done();
}
