/* The registers in a signal frame: the one place of the trap engine that knows their names. */
#ifndef TRAP_CONTEXT_H
#define TRAP_CONTEXT_H

#include <linux/signal.h>
#include <asm/sigcontext.h>
#include <asm/ucontext.h>

#include "trap.h"

#ifdef __x86_64__
static inline void context_to_call(struct ucontext *uc, struct call *c)
{
	const struct sigcontext *r = &uc->uc_mcontext;

	c->nr = (long)r->rax;
	c->arg[0] = r->rdi;
	c->arg[1] = r->rsi;
	c->arg[2] = r->rdx;
	c->arg[3] = r->r10;
	c->arg[4] = r->r8;
	c->arg[5] = r->r9;
	c->ip = r->rip;
	c->sp = r->rsp;
	c->context = uc;
}

static inline void context_set_result(struct ucontext *uc, long result)
{
	uc->uc_mcontext.rax = (unsigned long)result;
}

static inline void context_set_ip(struct ucontext *uc, unsigned long ip)
{
	uc->uc_mcontext.rip = ip;
}

/* Where rt_sigreturn finds the frame, for a guest that is about to call it. */
static inline struct ucontext *context_of_sigreturn(const struct call *c)
{
	return (struct ucontext *)c->sp;
}
#endif

#define CONTEXT_MASK(uc) (*(uint64_t *)&(uc)->uc_sigmask)

#endif
