/* Where guests enter that is not C: patched call sites, and the gates that run a system call in place of the guest's
 * own instruction. x86_64. */

#include "calls/answer.h"

#define NR_RT_SIGRETURN 15
#define NR_CLONE 56
#define NR_VFORK 58

	.text

/* A patched site arrives here with the guest's registers as at its syscall instruction, and in %rcx the address
 * after it: just what the instruction itself leaves in %rcx; %r11 is where the call can be made raw. %rcx and %r11
 * are ours, like the kernel's. Flags are clobbered, as every compiler assumes of the instruction. The red zone
 * below %rsp is the guest's. */
	.globl	patched_entry
	.type	patched_entry, @function
patched_entry:
	cmpl	$NR_CLONE, %eax
	je	1f
	cmpl	$NR_VFORK, %eax
	je	1f
	cmpl	$NR_RT_SIGRETURN, %eax
	je	1f
	movq	%rsp, %r11
	leaq	-128(%rsp), %rsp
	answer	dispatch
	movq	%r11, %rsp
	jmp	*%rcx
	/* A call that comes back on another stack, or not at all: made by the trampoline, which traps if it must. */
1:	jmp	*%r11

/* Gates: vfork and clone with a new stack cannot run inside the handler, since the child would return through a
 * frame that is not on its stack. The guest is resumed at a gate instead, registers untouched; the gate
 * makes the call and jumps back behind the guest's instruction, parent and child alike. Each site has its own gate,
 * for the way back must be in no register and on no stack. */
	.set	GATES, 64

	.globl	gates_vfork
	.balign	32
gates_vfork:
	.set	i, 0
	.rept	GATES
	.balign	32
	syscall
	testl	%eax, %eax
	jz	1f			/* the child: the parent counts it out */
	lock decl engine_vm_shared(%rip)
1:	jmp	*gate_return + 8 * i(%rip)
	.set	i, i + 1
	.endr

	.globl	gates_clone
	.balign	32
gates_clone:
	.set	i, 0
	.rept	GATES
	.balign	32
	syscall
	jmp	*gate_return + 8 * i(%rip)
	.set	i, i + 1
	.endr

/* SA_RESTORER of the engine's signal handler. */
	.globl	restore_rt
	.type	restore_rt, @function
restore_rt:
/* rt_sigreturn on behalf of the guest: entered with its stack pointer. */
	.globl	gate_sigreturn
	.type	gate_sigreturn, @function
gate_sigreturn:
	movl	$NR_RT_SIGRETURN, %eax
	syscall
	hlt

/* What the kernel is told of every handler of the guest's: shows it the mask it believes in, then is gone. The
 * registers are as a handler finds them. */
	.globl	handler_entry
	.type	handler_entry, @function
handler_entry:
	pushq	%rdi
	pushq	%rsi
	pushq	%rdx
	call	signal_enter
	movq	%rax, %rcx
	popq	%rdx
	popq	%rsi
	popq	%rdi
	xorl	%eax, %eax
	jmp	*%rcx

/* Makes a call as a guest does: from outside .text, which alone may call the kernel freely. The linker puts the section
 * behind it and names its start. */
	.section guest_text, "ax", @progbits
	.globl	guest_call3
	.type	guest_call3, @function
guest_call3:
	movq	%rdi, %rax
	movq	%rsi, %rdi
	movq	%rdx, %rsi
	movq	%rcx, %rdx
	syscall
	ret

	.bss
	.balign	8
	.globl	gate_return
gate_return:
	.skip	8 * GATES
	.globl	engine_vm_shared
engine_vm_shared:
	.skip	8

	.section .note.GNU-stack, "", @progbits
