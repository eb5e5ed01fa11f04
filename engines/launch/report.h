/* What every helper program shares: how it reports a failure and with what exit status. */
#ifndef LAUNCH_REPORT_H
#define LAUNCH_REPORT_H

#include <stdbool.h>

/* Exit statuses, as docker(1) and podman(1) have them; docs/reference/exit-codes.md. */
enum exit_status {
	EXIT_ENGINE = 123,     /* this node or this guest rules the engine out */
	EXIT_UDOCKPY = 125,    /* udockpy itself failed */
	EXIT_NOT_EXECUTABLE = 126,
	EXIT_NOT_FOUND = 127,
};

/* Writes one line "udockpy: WHAT: OBJECT: REASON" and, when `hint` is not NULL, a second "hint: HINT" to standard
 * error. `object` may be NULL; `error` is -errno or 0 (then no reason is written). */
void report(const char *what, const char *object, long error, const char *hint);

/* The same, then exits with `status`. */
_Noreturn void die(int status, const char *what, const char *object, long error, const char *hint);

/* The guest's command could not be started, or its working directory not entered (-errno): says so with what to do
 * about it, the same in every engine, and exits with 126 or 127. -ELIBACC: the program is there, its interpreter is
 * not. */
_Noreturn void die_of_command(const char *name, long error);
_Noreturn void die_of_workdir(const char *path, long error);

/* Names the file (NULL = none) in which a probe's yes is remembered: die(EXIT_ENGINE) removes it, so that the next run
 * asks the node anew. */
void report_probe_memory(const char *path);

/* English text of -errno (as strerror(3)), or NULL when unknown. */
const char *error_text(long error);

/* "EPERM" for -EPERM; "EUNKNOWN" for what the table lacks. */
const char *error_name(long error);

/* Ends `HELPER --probe`: says on standard output, as one line of JSON, whether this node allows the engine, which is
 * what udockpy/engines/host.py reads. `step` names where a refusal (`error`, -errno) came; `error` >= 0 is a yes. */
_Noreturn void probe_end(const char *step, long error);

/* A yes, and whether what `extra` names works too, which the engine can do without. */
_Noreturn void probe_end_with(const char *extra, bool works);

#endif
