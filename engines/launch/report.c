/* How every helper program says what failed. No C library, and no buffer: the parts of a message go out in one
 * writev(2), so that lines of processes that fail together do not mix. */
#include "report.h"

#include <linux/errno.h>
#include <linux/uio.h>

#include "str.h"
#include "sys.h"

#define PARTS_MAX 12
#define STDOUT 1
#define STDERR 2

static const char *const texts[] = {
	[EPERM] = "Operation not permitted",
	[ENOENT] = "No such file or directory",
	[ESRCH] = "No such process",
	[EINTR] = "Interrupted system call",
	[EIO] = "Input/output error",
	[ENXIO] = "No such device or address",
	[E2BIG] = "Argument list too long",
	[ENOEXEC] = "Exec format error",
	[EBADF] = "Bad file descriptor",
	[ECHILD] = "No child processes",
	[EAGAIN] = "Resource temporarily unavailable",
	[ENOMEM] = "Cannot allocate memory",
	[EACCES] = "Permission denied",
	[EFAULT] = "Bad address",
	[ENOTBLK] = "Block device required",
	[EBUSY] = "Device or resource busy",
	[EEXIST] = "File exists",
	[EXDEV] = "Invalid cross-device link",
	[ENODEV] = "No such device",
	[ENOTDIR] = "Not a directory",
	[EISDIR] = "Is a directory",
	[EINVAL] = "Invalid argument",
	[ENFILE] = "Too many open files in system",
	[EMFILE] = "Too many open files",
	[ENOTTY] = "Inappropriate ioctl for device",
	[ETXTBSY] = "Text file busy",
	[EFBIG] = "File too large",
	[ENOSPC] = "No space left on device",
	[ESPIPE] = "Illegal seek",
	[EROFS] = "Read-only file system",
	[EMLINK] = "Too many links",
	[EPIPE] = "Broken pipe",
	[EDOM] = "Numerical argument out of domain",
	[ERANGE] = "Numerical result out of range",
	[EDEADLK] = "Resource deadlock avoided",
	[ENAMETOOLONG] = "File name too long",
	[ENOLCK] = "No locks available",
	[ENOSYS] = "Function not implemented",
	[ENOTEMPTY] = "Directory not empty",
	[ELOOP] = "Too many levels of symbolic links",
	[ENODATA] = "No data available",
	[ETIME] = "Timer expired",
	[ENOLINK] = "Link has been severed",
	[EPROTO] = "Protocol error",
	[EBADMSG] = "Bad message",
	[EOVERFLOW] = "Value too large for defined data type",
	[EBADFD] = "File descriptor in bad state",
	[ELIBACC] = "Can not access a needed shared library",
	[ELIBBAD] = "Accessing a corrupted shared library",
	[ELIBSCN] = ".lib section in a.out corrupted",
	[ELIBMAX] = "Attempting to link in too many shared libraries",
	[ELIBEXEC] = "Cannot exec a shared library directly",
	[EILSEQ] = "Invalid or incomplete multibyte or wide character",
	[EUSERS] = "Too many users",
	[ENOTSOCK] = "Socket operation on non-socket",
	[EMSGSIZE] = "Message too long",
	[EPROTOTYPE] = "Protocol wrong type for socket",
	[ENOPROTOOPT] = "Protocol not available",
	[EPROTONOSUPPORT] = "Protocol not supported",
	[EOPNOTSUPP] = "Operation not supported",
	[EAFNOSUPPORT] = "Address family not supported by protocol",
	[EADDRINUSE] = "Address already in use",
	[EADDRNOTAVAIL] = "Cannot assign requested address",
	[ENETUNREACH] = "Network is unreachable",
	[ECONNREFUSED] = "Connection refused",
	[ETIMEDOUT] = "Connection timed out",
	[EHOSTUNREACH] = "No route to host",
	[ESTALE] = "Stale file handle",
	[EUCLEAN] = "Structure needs cleaning",
	[EDQUOT] = "Disk quota exceeded",
	[ECANCELED] = "Operation canceled",
	[EKEYREJECTED] = "Key was rejected by service",
};

const char *error_text(long error)
{
	size_t i = (size_t)-error;

	return error < 0 && i < sizeof(texts) / sizeof(texts[0]) ? texts[i] : NULL;
}

static const struct {
	int error;
	const char *name;
} names[] = {
	{ EPERM, "EPERM" },	{ ENOENT, "ENOENT" },	{ EIO, "EIO" },		{ EAGAIN, "EAGAIN" },
	{ ENOMEM, "ENOMEM" },	{ EACCES, "EACCES" },	{ EBUSY, "EBUSY" },	{ EEXIST, "EEXIST" },
	{ EXDEV, "EXDEV" },	{ ENODEV, "ENODEV" },	{ ENOTDIR, "ENOTDIR" }, { EISDIR, "EISDIR" },
	{ EINVAL, "EINVAL" },	{ ENFILE, "ENFILE" },	{ EMFILE, "EMFILE" },	{ ENOSPC, "ENOSPC" },
	{ EROFS, "EROFS" },	{ EMLINK, "EMLINK" },	{ EPIPE, "EPIPE" },	{ ENAMETOOLONG, "ENAMETOOLONG" },
	{ ENOSYS, "ENOSYS" },	{ ELOOP, "ELOOP" },	{ EUSERS, "EUSERS" },	{ EOPNOTSUPP, "EOPNOTSUPP" },
	{ ESTALE, "ESTALE" },	{ E2BIG, "E2BIG" },	{ ENOEXEC, "ENOEXEC" }, { ENODATA, "ENODATA" },
};

const char *error_name(long error)
{
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		if (names[i].error == -error)
			return names[i].name;
	return "EUNKNOWN";
}

struct message {
	struct iovec parts[PARTS_MAX];
	unsigned n;
};

static void add(struct message *m, const char *text)
{
	m->parts[m->n++] = (struct iovec){ .iov_base = (void *)(uintptr_t)text, .iov_len = strlen(text) };
}

void report(const char *what, const char *object, long error, const char *hint)
{
	struct message m = { .n = 0 };
	char number[21];

	add(&m, "udockpy: ");
	add(&m, what);
	if (object) {
		add(&m, ": ");
		add(&m, object);
	}
	if (error) {
		const char *text = error_text(error);

		if (!text) {
			number[str_from_u64(number, error < 0 ? (uint64_t)-error : (uint64_t)error)] = '\0';
			add(&m, ": error ");
			text = number;
		} else {
			add(&m, ": ");
		}
		add(&m, text);
	}
	add(&m, "\n");
	if (hint) {
		add(&m, "hint: ");
		add(&m, hint);
		add(&m, "\n");
	}
	(void)SYS3(writev, STDERR, m.parts, m.n);
}

/* Set once, before anything can fail. */
static const char *probe_memory;

void report_probe_memory(const char *path)
{
	probe_memory = path;
}

_Noreturn void die(int status, const char *what, const char *object, long error, const char *hint)
{
	if (status == EXIT_ENGINE && probe_memory)
		(void)SYS3(unlinkat, AT_FDCWD, probe_memory, 0);
	report(what, object, error, hint);
	sys_exit_group(status);
}

_Noreturn void die_of_command(const char *name, long error)
{
	if (error == -ELIBACC)
		die(EXIT_NOT_FOUND, "cannot run", name, -ENOENT,
		    "the program is in the guest, but the interpreter it names is not");
	if (error == -ENOENT || error == -ENOTDIR)
		die(EXIT_NOT_FOUND, "cannot run", name, error, "no such program in the guest: check its name and PATH");
	if (error == -ENOEXEC)
		die(EXIT_NOT_EXECUTABLE, "cannot run", name, error,
		    "it is no program, a script without a \"#!\" line, or a program of another machine");
	if (error == -EACCES)
		die(EXIT_NOT_EXECUTABLE, "cannot run", name, error,
		    "it is a directory, not executable, or on a filesystem mounted noexec");
	if (error == -ELOOP)
		die(EXIT_NOT_EXECUTABLE, "cannot run", name, error, "its links or interpreters lead in a circle");
	die(EXIT_NOT_EXECUTABLE, "cannot run", name, error, NULL);
}

_Noreturn void die_of_workdir(const char *path, long error)
{
	die(EXIT_NOT_EXECUTABLE, "cannot enter the working directory", path, error,
	    "give a directory of the guest with --workdir");
}

#define PROBE_YES "{\"works\": true, \"step\": null, \"errno\": null"

_Noreturn void probe_end(const char *step, long error)
{
	struct message m = { .n = 0 };

	if (error >= 0) {
		add(&m, PROBE_YES "}\n");
	} else {
		add(&m, "{\"works\": false, \"step\": \"");
		add(&m, step);
		add(&m, "\", \"errno\": \"");
		add(&m, error_name(error));
		add(&m, "\"}\n");
	}
	(void)SYS3(writev, STDOUT, m.parts, m.n);
	sys_exit_group(error >= 0 ? 0 : EXIT_ENGINE);
}

_Noreturn void probe_end_with(const char *extra, bool works)
{
	struct message m = { .n = 0 };

	add(&m, PROBE_YES ", \"");
	add(&m, extra);
	add(&m, works ? "\": true}\n" : "\": false}\n");
	(void)SYS3(writev, STDOUT, m.parts, m.n);
	sys_exit_group(0);
}
