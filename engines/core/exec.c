/* Planning an execve: permission to execute, the shebang chain, the ELF header and its interpreter.
 *
 * The rules and errors are those of execve(2). Everything is decided on the opened file, never on its name again, so
 * that what was checked is what runs. Headers are read through one window of scratch memory: a program whose program
 * headers lie in its first page, as all do, costs a single read. */
#include "exec.h"

#include <linux/elf.h>
#include <linux/errno.h>

#include "elfheader.h"
#include "str.h"

/* <linux/stat.h> leaves these to a C library when there is one. */
#define FILE_TYPE_MASK 0170000
#define FILE_REGULAR 0100000
#define FILE_SYMLINK 0120000

#define ACCESS_EXEC 1 /* X_OK */
#define MEMFD_GET_SEALS 1034 /* F_GET_SEALS */
#define GO_NOTE_BUILD_ID 4
#define NOTES_MAX 32 /* of one segment; a linker writes a handful */
#define PHDRS_SIZE_MAX 65536

#ifndef __NR_faccessat2
#define __NR_faccessat2 439 /* 5.8 */
#endif

/* A part of a file in memory. */
struct window {
	int fd;
	char *buf; /* PATH_MAX bytes */
	uint64_t offset;
	size_t len;
};

/* Copies `size` (<= PATH_MAX) bytes at `offset` of the file. Returns 0 or -errno, -EIO when the file is shorter. */
static int window_read(struct window *w, uint64_t offset, void *ret, size_t size)
{
	if (offset < w->offset || offset - w->offset > w->len || w->len - (offset - w->offset) < size) {
		long n = sys_pread(w->fd, w->buf, PATH_MAX, (int64_t)offset);

		w->offset = offset;
		w->len = n < 0 ? 0 : (size_t)n;
		if (n < 0)
			return (int)n;
		if (w->len < size)
			return -EIO;
	}
	memcpy(ret, w->buf + (offset - w->offset), size);
	return 0;
}

/* Writes "/proc/self/fd/N". */
static void proc_fd_path(char *buf, int fd)
{
	static const char prefix[] = "/proc/self/fd/";

	memcpy(buf, prefix, sizeof(prefix) - 1);
	buf += sizeof(prefix) - 1;
	buf[str_from_u64(buf, (unsigned)fd)] = '\0';
}

static int check_type(const struct stat *st)
{
	if ((st->st_mode & FILE_TYPE_MASK) == FILE_SYMLINK)
		return -ELOOP;
	return (st->st_mode & FILE_TYPE_MASK) == FILE_REGULAR ? 0 : -EACCES;
}

/* Whether the opened file may be executed: its mode bits for the effective ids, and no noexec mount. The kernel's own
 * answer; access(2) knows about noexec. */
static int check_access(int fd)
{
	char path[48];
	long r = SYS4(faccessat2, fd, "", ACCESS_EXEC, AT_EMPTY_PATH | AT_EACCESS);

	/* Before 5.8, or a filter that has not heard of the call: asking for the real ids is the same thing for a
	 * process that cannot have gained any. */
	if (r == -ENOSYS || r == -EPERM) {
		proc_fd_path(path, fd);
		r = SYS3(faccessat, AT_FDCWD, path, ACCESS_EXEC);
	}
	return (int)r;
}

/* Opens what the descriptor names once more, so that neither its close-on-exec flag nor its offset is shared. */
static int open_descriptor(int fd)
{
	char path[48];
	struct stat st;
	long flags, r;

	if (fd == AT_FDCWD)
		return -EACCES; /* a directory */
	r = sys_fstatat(fd, "", &st, AT_EMPTY_PATH);
	if (r < 0)
		return (int)r;
	r = check_type(&st);
	if (r < 0)
		return (int)r;
	flags = sys_fcntl(fd, F_GETFL, 0);
	if (flags < 0)
		return (int)flags;
	/* A file open for writing is busy; a memfd is born writable and is not. */
	if (!(flags & O_PATH) && (flags & O_ACCMODE) != O_RDONLY &&
	    (st.st_nlink || sys_fcntl(fd, MEMFD_GET_SEALS, 0) < 0))
		return -ETXTBSY;
	proc_fd_path(path, fd);
	r = sys_openat(AT_FDCWD, path, O_RDONLY | O_NOCTTY | O_NONBLOCK, 0);
	/* A file that only this descriptor may still read, or no /proc: it is read at explicit offsets only. */
	if (r < 0 && !(flags & O_PATH) && (flags & O_ACCMODE) != O_WRONLY)
		r = sys_fcntl(fd, F_DUPFD, 0);
	return (int)r;
}

/* Opens what a path means. *ret_name (of PATH_MAX bytes, unless NULL) becomes its canonical guest path, or "". */
static int open_path(const struct view *v, const struct here *here, struct scratch *s, int dirfd, const char *path,
		     unsigned want, char *ret_name)
{
	struct where w;
	struct stat st;
	bool nofollow;
	int flags, r;

	for (;;) {
		r = view_resolve(v, here, s, dirfd, path, want, &w);
		if (r < 0)
			return r;
		/* An answer of the view is never followed: it is unverified, or walked, and then a link that was put
		 * there since must not lead outside. */
		nofollow = !(want & WANT_FOLLOW) || !w.magic;
		r = (int)sys_fstatat(w.fd, w.name, &st, nofollow ? AT_SYMLINK_NOFOLLOW : 0);
		if (r < 0)
			return r;
		r = check_type(&st);
		if (r != -ELOOP || !(want & WANT_FOLLOW) || (want & WANT_WALK))
			break;
		want |= WANT_WALK;
	}
	if (r < 0)
		return r;
	if (ret_name && view_canonical(v, here, s, dirfd, path, &w, ret_name) < 0)
		*ret_name = '\0';
	/* The type was checked first for the side effects of opening a device; O_NONBLOCK is for what replaced it. */
	flags = O_RDONLY | O_NOCTTY | O_NONBLOCK | (nofollow ? O_NOFOLLOW : 0);
	if (v->root_fd >= 0 && !w.magic) {
		r = (int)sys_openat2(w.fd, w.name, (uint64_t)flags, 0, RESOLVE_NO_SYMLINKS);
		if (r != -ENOSYS && r != -EPERM)
			return r;
	}
	return (int)sys_openat(w.fd, w.name, flags, 0);
}

/* Opens a file for execution; *ret_name as of open_path(). Returns a descriptor or -errno. */
static int open_exec(const struct view *v, const struct here *here, struct scratch *s, int dirfd, const char *path,
		     int at_flags, char *ret_name)
{
	struct stat st;
	int fd, r;

	if (ret_name)
		*ret_name = '\0';
	if (!*path && (at_flags & AT_EMPTY_PATH))
		fd = open_descriptor(dirfd);
	else
		fd = open_path(v, here, s, dirfd, path, at_flags & AT_SYMLINK_NOFOLLOW ? 0 : WANT_FOLLOW, ret_name);
	if (fd < 0)
		return fd;
	r = (int)sys_fstatat(fd, "", &st, AT_EMPTY_PATH);
	if (r == 0)
		r = check_type(&st);
	if (r == 0)
		r = check_access(fd);
	if (r < 0) {
		(void)sys_close(fd);
		return r;
	}
	return fd;
}

/* Opens an interpreter. An empty name means the working directory to the kernel, which is no program. */
static int open_named(const struct view *v, const struct here *here, struct scratch *s, const char *path,
		      char *ret_name)
{
	return open_exec(v, here, s, AT_FDCWD, path, AT_EMPTY_PATH, ret_name);
}

static bool is_blank(char c)
{
	return c == ' ' || c == '\t';
}

/* Splits the "#!" line at the start of `buf` (EXEC_SHEBANG_MAX bytes, zeros after the end of the file) in place.
 * A line without newline in the buffer is accepted as long as the interpreter's name is whole; its argument may be
 * cut. *ret_arg is NULL without an argument. Returns 0 or -ENOEXEC. */
static int split_shebang(char *buf, char **ret_name, char **ret_arg)
{
	char *const last = buf + EXEC_SHEBANG_MAX - 1;
	char *name = buf + 2, *end = buf, *stop;

	while (end < last && *end && *end != '\n')
		end++;
	if (*end != '\n')
		end = last;
	while (name < end && is_blank(*name))
		name++;
	if (name == end)
		return -ENOEXEC; /* blanks only */
	for (stop = name; stop < end && *stop && !is_blank(*stop);)
		stop++;
	if (end == last && stop == end && *end != '\n' && *end && !is_blank(*end))
		return -ENOEXEC; /* the name may go on behind the buffer */
	*ret_name = name;
	*ret_arg = NULL;
	if (stop == end || !*stop) {
		*stop = '\0';
		return 0;
	}
	while (is_blank(end[-1]))
		end--;
	*end = '\0';
	*stop++ = '\0';
	while (stop < end && is_blank(*stop))
		stop++;
	if (stop < end)
		*ret_arg = stop;
	return 0;
}

/* Whether a note segment holds the build id that Go's linker writes. */
static bool has_go_note(struct window *w, uint64_t offset, uint64_t size)
{
	struct {
		Elf64_Nhdr h;
		char name[4];
	} note;

	for (unsigned i = 0; i < NOTES_MAX && size >= sizeof(note); i++) {
		uint64_t step;

		if (window_read(w, offset, &note, sizeof(note)) < 0)
			return false;
		if (note.h.n_type == GO_NOTE_BUILD_ID && note.h.n_namesz == 4 && memcmp(note.name, "Go\0", 4) == 0)
			return true;
		step = sizeof(note.h) + (((uint64_t)note.h.n_namesz + 3) & ~3ULL) +
		       (((uint64_t)note.h.n_descsz + 3) & ~3ULL);
		if (step >= size)
			return false;
		offset += step;
		size -= step;
	}
	return false;
}

/* Whether the program header table is one that the kernel takes. */
static bool segments_are_sane(const struct elf_header *h)
{
	return h->segment_size == elf_segment_size(h) && h->segments &&
	       h->segments * elf_segment_size(h) <= PHDRS_SIZE_MAX;
}

static int read_segment(struct window *w, const struct elf_header *h, unsigned i, struct elf_segment *ret_segment)
{
	unsigned char bytes[sizeof(Elf64_Phdr)];
	int r = window_read(w, h->segments_at + i * (uint64_t)elf_segment_size(h), bytes, elf_segment_size(h));

	if (r == 0)
		elf_segment_read(h, bytes, ret_segment);
	return r;
}

/* Opens the interpreter named `path` and checks that it can be one, for `machine`. Returns a descriptor or -errno. */
static int open_interpreter(const struct view *v, const struct here *here, struct scratch *s, const char *path,
			    unsigned machine)
{
	unsigned char bytes[sizeof(Elf64_Ehdr)];
	struct elf_header h;
	struct elf_segment segment = { 0 };
	struct window w = { .buf = s->link };
	int fd, r;

	fd = open_named(v, here, s, path, NULL);
	if (fd < 0)
		return fd;
	w.fd = fd;
	r = window_read(&w, 0, bytes, sizeof(bytes));
	if (r == 0) {
		elf_header_read(bytes, &h);
		if (memcmp(bytes, ELFMAG, SELFMAG) != 0 || h.machine != machine || !segments_are_sane(&h) ||
		    (h.type != ET_EXEC && h.type != ET_DYN))
			r = -ELIBBAD;
	}
	if (r == 0 && read_segment(&w, &h, h.segments - 1u, &segment) < 0)
		r = -ELIBBAD; /* the table is not whole */
	if (r < 0) {
		(void)sys_close(fd);
		return r;
	}
	return fd;
}

/* Reads the ELF file program->exe_fd, whose first bytes (zero-padded to EXEC_SHEBANG_MAX) are in `w`. `interp` (of
 * PATH_MAX bytes) is for its interpreter's name. */
static int plan_elf(const struct view *v, const struct here *here, struct scratch *s, struct window *w, char *interp,
		    struct exec_program *program)
{
	const unsigned char *const ident = (const unsigned char *)w->buf;
	const bool narrow = ident[EI_CLASS] == ELFCLASS32;
	bool has_interp = false;
	struct elf_header h;
	struct elf_segment segment = { 0 };
	int r;

	if (memcmp(ident, ELFMAG, SELFMAG) != 0)
		return -ENOEXEC;
	elf_header_read(w->buf, &h);
	if (ident[EI_DATA] == ELFDATA2MSB) {
		program->machine = __builtin_bswap16(h.machine);
		return -ENOEXEC;
	}
	if (h.type != ET_EXEC && h.type != ET_DYN)
		return -ENOEXEC;
	if ((h.machine != ARCH_EM_MACHINE && h.machine != ARCH_EM_COMPAT) ||
	    (narrow == h.wide && !segments_are_sane(&h))) {
		program->machine = h.machine;
		return -ENOEXEC;
	}
	if (!segments_are_sane(&h))
		return -ENOEXEC;
	for (unsigned i = 0; i < h.segments; i++) {
		if (read_segment(w, &h, i, &segment) < 0)
			return -ENOEXEC;
		if (segment.type == PT_GNU_STACK) {
			program->flags &= ~(unsigned)EXEC_FLAG_EXECSTACK;
			program->flags |= segment.flags & PF_X ? EXEC_FLAG_EXECSTACK : 0;
		} else if (segment.type == PT_NOTE) {
			program->flags |= has_go_note(w, segment.offset, segment.size) ? EXEC_FLAG_GO : 0;
		} else if (segment.type == PT_INTERP && !has_interp) {
			if (segment.size < 2 || segment.size > PATH_MAX)
				return -ENOEXEC;
			r = window_read(w, segment.offset, interp, (size_t)segment.size);
			if (r < 0)
				return r;
			if (interp[segment.size - 1])
				return -ENOEXEC;
			has_interp = true;
		}
	}
	if (has_interp) {
		r = open_interpreter(v, here, s, interp, h.machine);
		if (r < 0)
			return r;
		program->interp_fd = r;
	}
	program->machine = h.machine;
	return 0;
}

/* The canonical guest path of the opened program, when opening it did not tell: as the kernel has it. A file outside
 * the view (a memfd) keeps the kernel's text. */
static int name_program(const struct view *v, struct scratch *s, struct exec_program *program)
{
	char path[48];
	long n;

	if (*program->exe_guest)
		return 0;
	proc_fd_path(path, program->exe_fd);
	n = sys_readlinkat(AT_FDCWD, path, s->link, sizeof(s->link) - 1);
	/* Behind a real chroot there may be no /proc: the name will do that the program was called by. */
	if (n == -ENOENT && v->root_fd < 0)
		n = str_copy(s->link, sizeof(s->link), program->text);
	if (n < 0)
		return (int)n;
	s->link[n] = '\0';
	n = view_unresolve(v, s->link, program->exe_guest, sizeof(program->exe_guest));
	if (n == -ENOENT)
		n = str_copy(program->exe_guest, sizeof(program->exe_guest), s->link);
	return n < 0 ? (int)n : 0;
}

/* The name of the program as the kernel passes it on: `path`, or /dev/fd/N[/path] when it is relative to a descriptor.
 * Returns its length or -ENAMETOOLONG; *ret_unreachable: that name is gone once the program runs. */
static long name_execfn(char *buf, size_t size, int dirfd, const char *path, bool *ret_unreachable)
{
	char number[24];
	long n;

	*ret_unreachable = false;
	if (dirfd == AT_FDCWD || *path == '/')
		return str_copy(buf, size, path);
	*ret_unreachable = sys_fcntl(dirfd, F_GETFD, 0) & FD_CLOEXEC;
	number[str_from_u64(number, (unsigned)dirfd)] = '\0';
	n = str_copy(buf, size, "/dev/fd/");
	n = str_append(buf, size, (size_t)n, number);
	if (*path) {
		n = str_append(buf, size, (size_t)n, "/");
		n = str_append(buf, size, (size_t)n, path);
	}
	return n;
}

/* Appends a string to program->text and to the reversed prefix. Returns it, or NULL when there is no room. */
static char *push_prefix(struct exec_program *program, size_t *used, const char *string)
{
	char *const at = program->text + *used;
	long n = str_copy(at, EXEC_STRINGS_MAX - *used, string);

	if (n < 0 || program->n_prefix == sizeof(program->prefix) / sizeof(program->prefix[0]))
		return NULL;
	*used += (size_t)n + 1;
	program->prefix[program->n_prefix++] = at;
	return at;
}

/* Follows the shebang chain from program->exe_fd to an ELF file and plans that. Each script pushes what it puts before
 * the arguments in reverse order. */
static int plan_chain(const struct view *v, const struct here *here, struct scratch *s, struct exec_program *program,
		      size_t used, bool unreachable)
{
	for (unsigned depth = 0; depth <= EXEC_SHEBANG_DEPTH; depth++) {
		struct window w = { .fd = program->exe_fd, .buf = s->link };
		long n = sys_pread(w.fd, w.buf, PATH_MAX, 0);
		char *name, *arg;
		int r;

		if (n < 0)
			return (int)n;
		w.len = (size_t)n;
		if (w.len < EXEC_SHEBANG_MAX)
			memset(w.buf + w.len, 0, EXEC_SHEBANG_MAX - w.len);
		if (w.buf[0] != '#' || w.buf[1] != '!')
			return plan_elf(v, here, s, &w, program->text + used, program);
		r = split_shebang(w.buf, &name, &arg);
		if (r < 0)
			return r;
		if (unreachable)
			return -ENOENT;
		if (program->n_prefix == 0)
			program->prefix[program->n_prefix++] = program->text;
		if (arg && !push_prefix(program, &used, arg))
			return -ELOOP;
		name = push_prefix(program, &used, name);
		if (!name)
			return -ELOOP;
		(void)sys_close(program->exe_fd);
		program->exe_fd = open_named(v, here, s, name, program->exe_guest);
		if (program->exe_fd < 0)
			return program->exe_fd;
	}
	return -ELOOP;
}

/* See exec.h. */
int exec_plan(const struct view *v, const struct here *here, struct scratch *s, int dirfd, const char *guest_path,
	      int at_flags, struct exec_program *program)
{
	bool unreachable;
	long n;
	int r;

	program->exe_fd = program->interp_fd = -1;
	program->n_prefix = program->flags = 0;
	program->machine = 0;
	program->execfn = program->text;
	if (at_flags & ~(AT_EMPTY_PATH | AT_SYMLINK_NOFOLLOW))
		return -EINVAL;
	r = open_exec(v, here, s, dirfd, guest_path, at_flags, program->exe_guest);
	if (r < 0)
		return r;
	program->exe_fd = r;
	n = name_execfn(program->text, EXEC_STRINGS_MAX, dirfd, guest_path, &unreachable);
	r = n < 0 ? (int)n : plan_chain(v, here, s, program, (size_t)n + 1, unreachable);
	if (r == 0)
		r = name_program(v, s, program);
	if (r < 0) {
		if (program->exe_fd >= 0)
			(void)sys_close(program->exe_fd);
		if (program->interp_fd >= 0)
			(void)sys_close(program->interp_fd);
		program->exe_fd = program->interp_fd = -1;
		return r;
	}
	for (unsigned i = 0; i < program->n_prefix / 2; i++) {
		char *const swap = program->prefix[i];

		program->prefix[i] = program->prefix[program->n_prefix - 1 - i];
		program->prefix[program->n_prefix - 1 - i] = swap;
	}
	return 0;
}
