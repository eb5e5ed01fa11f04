/* A program without a C library: exits with 0 when every register is zero and the stack is aligned at its start,
 * and its arguments and its zeroed data are where they belong; else with the number of the check. */
	.section .note.GNU-stack, "", %progbits
	.bss
	.balign 8
zeros:	.skip 20000
	.text
	.globl _start
_start:
#if defined(__x86_64__)
	or	%rbx, %rax
	or	%rcx, %rax
	or	%rdx, %rax
	or	%rsi, %rax
	or	%rdi, %rax
	or	%rbp, %rax
	or	%r8, %rax
	or	%r9, %rax
	or	%r10, %rax
	or	%r11, %rax
	or	%r12, %rax
	or	%r13, %rax
	or	%r14, %rax
	or	%r15, %rax
	mov	$1, %edi
	test	%rax, %rax
	jnz	1f
	mov	$2, %edi
	test	$15, %rsp
	jnz	1f
	mov	$3, %edi
	mov	(%rsp), %rax
	cmpq	$0, 8(%rsp,%rax,8)
	jne	1f
	mov	$4, %edi
	lea	zeros(%rip), %rsi
	mov	$20000, %ecx
2:	cmpb	$0, -1(%rsi,%rcx)
	jne	1f
	dec	%ecx
	jnz	2b
	mov	$5, %edi
	pushf
	pop	%rax
	test	$0x400, %eax
	jnz	1f
	xor	%edi, %edi
1:	mov	$231, %eax
	syscall
#elif defined(__aarch64__)
	orr	x0, x0, x1
	orr	x0, x0, x2
	orr	x0, x0, x3
	orr	x0, x0, x8
	orr	x0, x0, x19
	orr	x0, x0, x29
	orr	x1, x0, x30
	mov	x0, #1
	cbnz	x1, 1f
	mov	x0, #2
	mov	x1, sp
	tst	x1, #15
	b.ne	1f
	mov	x0, #3
	ldr	x2, [sp]
	add	x2, x1, x2, lsl #3
	ldr	x2, [x2, #8]
	cbnz	x2, 1f
	mov	x0, #4
	adrp	x1, zeros
	add	x1, x1, :lo12:zeros
	mov	x2, #20000
2:	sub	x2, x2, #1
	ldrb	w3, [x1, x2]
	cbnz	w3, 1f
	cbnz	x2, 2b
	mov	x0, #0
1:	mov	x8, #94
	svc	#0
#endif
