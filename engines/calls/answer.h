/* For assembly: lets a C function answer a system call of the guest. x86_64. */

/* Enter with the guest's registers as at its syscall instruction, but: %rcx = the address after it, %r11 = its stack
 * pointer, %rsp = a stack to work on. Leaves as the call does, with %rcx = where to go on, %r11 = the guest's stack
 * pointer, and %rsp still on the stack that was worked on.
 *
 * A struct call is built on the stack: nr, arg[6], ip, sp, context. */
	.macro	answer function
	pushq	%rbp
	movq	%rsp, %rbp
	andq	$-16, %rsp
	pushq	$0			/* context: none */
	pushq	%r11			/* sp */
	pushq	%rcx			/* ip */
	pushq	%r9
	pushq	%r8
	pushq	%r10
	pushq	%rdx
	pushq	%rsi
	pushq	%rdi
	pushq	%rax			/* nr */
	movq	%rsp, %rdi
	cld
	call	\function
	popq	%rdi			/* nr: dropped */
	popq	%rdi
	popq	%rsi
	popq	%rdx
	popq	%r10
	popq	%r8
	popq	%r9
	popq	%rcx
	popq	%r11
	movq	(%rbp), %rbp
	.endm
