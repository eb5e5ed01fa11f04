/* The signal restorers of the trap engine. x86_64. */

#define NR_RT_SIGRETURN 15

	.text

/* SA_RESTORER of our handler. */
	.globl	restore_rt
	.type	restore_rt, @function
restore_rt:
	movl	$NR_RT_SIGRETURN, %eax
	syscall
	hlt

/* rt_sigreturn on behalf of the guest: entered with its stack pointer. */
	.globl	gate_sigreturn
	.type	gate_sigreturn, @function
gate_sigreturn:
	movl	$NR_RT_SIGRETURN, %eax
	syscall
	hlt

/* What the kernel is told of every handler of the guest's: shows it the mask it believes in, then is gone. The registers
 * are as a handler finds them. */
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

	.section .note.GNU-stack, "", @progbits
