/* Where the tracer sends calls of the guest. x86_64. */
#include "calls/answer.h"

#define STACKS 64
#define STACK_SHIFT 15

	.text

/* Arrives with the guest's registers as at its syscall instruction, but %rcx = the address after it, %r11 = the number
 * and %rax = anything. */
	.globl	redirected_entry
	.type	redirected_entry, @function
redirected_entry:
	movq	%r11, %rax
	movq	%rsp, %r11
	cmpq	$0, redirect_stacks(%rip)
	jne	1f
	leaq	-128(%rsp), %rsp	/* the guest's red zone */
	answer	redirected
	movq	%r11, %rsp
	jmp	*%rcx

	/* Nothing may be put onto the guest's stack: take one of ours. When all are in use, wait. */
1:	xorl	%r11d, %r11d
2:	lock btsq %r11, redirect_taken(%rip)
	jnc	3f
	pause
	incl	%r11d
	andl	$STACKS - 1, %r11d
	jmp	2b
3:	incl	%r11d
	shlq	$STACK_SHIFT, %r11
	addq	redirect_stacks(%rip), %r11
	xchgq	%rsp, %r11
	answer	redirected
	xchgq	%rsp, %r11
	subq	redirect_stacks(%rip), %r11
	shrq	$STACK_SHIFT, %r11
	lock btrq %r11, redirect_taken(%rip)
	jmp	*%rcx

	.section .note.GNU-stack, "", @progbits
