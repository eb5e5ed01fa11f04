/* The ptrace engine: a tracer sends the guest's system calls that need translating to code inside the guest's own
 * process, which answers them as in the trap engine. */
#ifndef PTRACE_H
#define PTRACE_H

#include "calls/calls.h"

#pragma GCC visibility push(hidden)

#define PTRACE_NO_TRACER "the guest is traced already: for a debugger or strace inside use --engine userns"

/* entry.S */
void redirected_entry(void); /* where the tracer sends a call */

/* redirect.c */
long redirected(struct call *c);
/* In each program: gives redirected calls stacks of their own where they need that. Returns 0 or -errno. */
int redirect_prepare(const struct resume_state *state);

/* tracer.c */
/* Starts a tracer for this process and all it starts; `filtered` = a filter stops them at the calls that matter,
 * else every call does. Returns 0 or -errno, -EPERM when ptrace is not allowed. */
int tracer_start(bool filtered);

#pragma GCC visibility pop

#endif
