/* The registers in a signal frame of x86_64: the one place that knows their names. */
#ifndef CORE_ARCH_CONTEXT_H
#define CORE_ARCH_CONTEXT_H

#include <asm/sigcontext.h>
#include <asm/ucontext.h>

/* Number, arguments, return address and stack pointer of the system call a frame was raised by. */
static inline void context_get(const struct ucontext *uc, long *ret_nr, unsigned long ret_arg[6], unsigned long *ret_ip,
			       unsigned long *ret_sp)
{
	const struct sigcontext *r = &uc->uc_mcontext;

	*ret_nr = (long)r->rax;
	ret_arg[0] = r->rdi;
	ret_arg[1] = r->rsi;
	ret_arg[2] = r->rdx;
	ret_arg[3] = r->r10;
	ret_arg[4] = r->r8;
	ret_arg[5] = r->r9;
	*ret_ip = r->rip;
	*ret_sp = r->rsp;
}

static inline void context_set_result(struct ucontext *uc, long result)
{
	uc->uc_mcontext.rax = (unsigned long)result;
}

static inline void context_set_ip(struct ucontext *uc, unsigned long ip)
{
	uc->uc_mcontext.rip = ip;
}

/* Where rt_sigreturn finds the frame when it is called with this stack pointer. */
static inline struct ucontext *context_at(unsigned long sp)
{
	return (struct ucontext *)sp;
}

#endif
