/* The registers of a stopped tracee of x86_64: the one place that knows their names. */
#ifndef CORE_ARCH_TRACEE_H
#define CORE_ARCH_TRACEE_H

#include <asm/unistd.h>

/* NT_PRSTATUS: user_regs_struct of arch/x86/include/asm/user_64.h. */
struct tracee_registers {
	unsigned long r15, r14, r13, r12, rbp, rbx, r11, r10, r9, r8;
	unsigned long rax, rcx, rdx, rsi, rdi, orig_rax, rip, cs, eflags, rsp, ss;
	unsigned long fs_base, gs_base, ds, es, fs, gs;
};

/* At the entry of a system call: a harmless one is made in its place, then the tracee goes on at `entry` with the
 * return address in %rcx, which is where the instruction itself leaves it, and the number in %r11. Number -1, which
 * makes no call, is not used for it: filters from outside judge that too, and not all let it pass. */
static inline void tracee_redirect(struct tracee_registers *r, unsigned long entry)
{
	r->rcx = r->rip;
	r->rip = entry;
	r->r11 = r->orig_rax;
	r->orig_rax = __NR_getpid;
}

/* At the entry of a system call: it is not made and returns `result`. */
static inline void tracee_answer(struct tracee_registers *r, long result)
{
	r->rax = (unsigned long)result;
	r->orig_rax = (unsigned long)-1;
}

#endif
