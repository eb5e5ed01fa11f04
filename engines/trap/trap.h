/* The trap engine: system calls that need translating raise SIGSYS (seccomp RET_TRAP) and are answered by a handler
 * inside the process itself. */
#ifndef TRAP_H
#define TRAP_H

#include "calls/calls.h"

#pragma GCC visibility push(hidden)

/* entry.S */
void restore_rt(void);
void gate_sigreturn(void);
void handler_entry(void);

/* signal.c */
int signal_install(void);
bool sigsys_blocked(void);
void sigsys_block(bool block);
long signal_answer(struct call *c, const struct syscall_row *row);
/* A handler of the guest's is about to run on this frame: returns its address. */
void *signal_enter(int signo, void *info, struct ucontext *uc);

#pragma GCC visibility pop

#endif
