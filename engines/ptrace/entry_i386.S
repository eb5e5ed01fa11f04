/* Where the tracer sends calls of an i386 guest. No register is free to carry anything: the address to go on at and the
 * number of the call lie on the guest's stack. */

#define STACKS 64
#define STACK_SHIFT 15

/* With %eax = those two words and %esp = a stack to work on: answers the call, and goes on. A struct call is built on
 * the stack: nr, arg[6], ip, sp, context. */
	.macro	answer
	pushl	%eax
	pushl	$0			/* context: none */
	addl	$8, %eax
	pushl	%eax			/* sp */
	pushl	-8(%eax)		/* ip */
	pushl	%ebp
	pushl	%edi
	pushl	%esi
	pushl	%edx
	pushl	%ecx
	pushl	%ebx
	pushl	-4(%eax)		/* nr */
	movl	%esp, %ebp
	andl	$-16, %esp
	subl	$12, %esp
	pushl	%ebp
	cld
	call	redirected
	movl	%ebp, %esp
	addl	$4, %esp		/* nr */
	popl	%ebx
	popl	%ecx
	popl	%edx
	popl	%esi
	popl	%edi
	popl	%ebp
	pushl	%eax
	movl	16(%esp), %eax		/* the two words: they become ip and the result */
	pushl	4(%esp)
	popl	(%eax)
	popl	4(%eax)
	xchgl	%esp, %eax
	.endm

	.section .text.redirected, "ax", @progbits
	.globl	redirected_entry
	.type	redirected_entry, @function
redirected_entry:
	movl	%esp, %eax
	cmpl	$0, redirect_stacks
	jne	1f
	answer
	movl	4(%esp), %eax
	ret	$4

	/* Nothing more may be put onto the guest's stack: take one of ours. When all are in use, wait. */
1:	pushl	%ecx
	xorl	%ecx, %ecx
2:	lock btsl %ecx, redirect_taken
	jnc	3f
	pause
	incl	%ecx
	andl	$STACKS - 1, %ecx
	jmp	2b
3:	incl	%ecx
	shll	$STACK_SHIFT, %ecx
	addl	redirect_stacks, %ecx
	xchgl	%esp, %ecx		/* the guest's %ecx is at (%ecx) */
	movl	(%ecx), %ecx
	answer
	subl	redirect_stacks, %eax
	shrl	$STACK_SHIFT, %eax
	lock btrl %eax, redirect_taken
	movl	4(%esp), %eax
	ret	$4

	.section .note.GNU-stack, "", @progbits
