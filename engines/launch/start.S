/* Entry of a freestanding program: hands the kernel's initial stack (argc, argv, envp, auxv) to
 * int helper_main(long *stack) and exits with what it returns. */
	.text
	.globl	_start
	.type	_start, %function
_start:
#if defined(__x86_64__)
	xorl	%ebp, %ebp
	movq	%rsp, %rdi
	andq	$-16, %rsp
	call	helper_main
	movl	%eax, %edi
	movl	$231, %eax		/* exit_group */
	syscall
	hlt
#elif defined(__i386__)
	xorl	%ebp, %ebp
	movl	%esp, %eax
	andl	$-16, %esp
	subl	$12, %esp
	pushl	%eax
	call	helper_main
	movl	%eax, %ebx
	movl	$252, %eax		/* exit_group */
	int	$0x80
	hlt
#elif defined(__aarch64__)
	mov	x29, #0
	mov	x30, #0
	mov	x0, sp			/* the kernel starts us 16-byte aligned */
	bl	helper_main
	mov	x8, #94			/* exit_group */
	svc	#0
	brk	#0
#else
#error "no start code for this architecture"
#endif
	.size	_start, . - _start
	.section .note.GNU-stack, "", %progbits
