/* The trap engine: system calls that need translating raise SIGSYS (seccomp RET_TRAP) and are answered by a handler
 * inside the process itself; hot call sites are patched to call dispatch() directly. */
#ifndef TRAP_H
#define TRAP_H

#include "calls/calls.h"

#pragma GCC visibility push(hidden)

/* entry.S */
void restore_rt(void);
void gate_sigreturn(void);
void handler_entry(void);
void patched_entry(void);

/* signal.c */
int signal_install(void);
/* A handler of the guest's is about to run on this frame: returns its address. */
void *signal_enter(int signo, void *info, struct ucontext *uc);

/* patch.c */
void patch_site(struct call *c);

/* filter.c */
int filter_install(void);

#pragma GCC visibility pop

#endif
