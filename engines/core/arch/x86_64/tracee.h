/* The registers of a stopped tracee of x86_64: the one place that knows their names. */
#ifndef CORE_ARCH_TRACEE_H
#define CORE_ARCH_TRACEE_H

#include <asm/unistd.h>
#include <stdint.h>

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

/* The same of a tracee that is an i386 program: user_regs_struct32 of arch/x86/include/asm/user32.h. */
struct tracee_registers_i386 {
	uint32_t ebx, ecx, edx, esi, edi, ebp, eax, ds, es, fs, gs, orig_eax, eip, cs, eflags, esp, ss;
};

/* Which of the two the kernel gave depends on the code that the tracee runs. */
union tracee_any_registers {
	struct tracee_registers native;
	struct tracee_registers_i386 i386;
};

/* As tracee_redirect(). The return address and the number have no register to be in: they are returned, the address in
 * the lower half, and belong to where the stack pointer points then. */
static inline uint64_t tracee_redirect_i386(struct tracee_registers_i386 *r, uint32_t entry)
{
	const uint64_t words = r->eip | (uint64_t)r->orig_eax << 32;

	r->esp -= sizeof(words);
	r->eip = entry;
	r->orig_eax = 20; /* getpid */
	return words;
}

static inline void tracee_answer_i386(struct tracee_registers_i386 *r, int32_t result)
{
	r->eax = (uint32_t)result;
	r->orig_eax = (uint32_t)-1;
}

/* At the entry of a system call: it is not made and returns `result`. */
static inline void tracee_answer(struct tracee_registers *r, long result)
{
	r->rax = (unsigned long)result;
	r->orig_rax = (unsigned long)-1;
}

#endif
