/* Where trampolines lead: the guest's registers are as at its syscall instruction, but %rcx holds the address after it.
 * %rcx and %r11 are ours, like the kernel's; the red zone below %rsp is the guest's. x86_64. */

#include "calls/answer.h"

	.text

/* The number is not known from the code: calls that nobody intercepts are made by the guest's own instruction. */
	.globl	checked_entry
	.type	checked_entry, @function
checked_entry:
	cmpq	rewrite_nr_last(%rip), %rax
	ja	rewritten_entry
	btq	%rax, rewrite_active(%rip)
	jc	rewritten_entry
	subq	$2, %rcx
	jmp	*%rcx

	.globl	rewritten_entry
	.type	rewritten_entry, @function
rewritten_entry:
	movq	%rsp, %r11
	leaq	-128(%rsp), %rsp
	answer	preload_answer
	movq	%r11, %rsp
	jmp	*%rcx

	.section .note.GNU-stack, "", @progbits
