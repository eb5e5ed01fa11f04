/* loader_jump(entry, sp): starts the guest program with the registers that execve leaves.
 *
 * x86_64: all registers are zero (rdx too: it would be registered as an exit function), the direction flag is clear.
 * The entry address travels on the stack, just below sp, so that no register keeps it. i386: the same.
 * aarch64: all are zero but x16, through which a branch may reach any landing pad. */

	.section .note.GNU-stack, "", %progbits
	.text
	.globl loader_jump
	.hidden loader_jump
	.type loader_jump, %function
loader_jump:
#if defined(__x86_64__)
	mov	%rsi, %rsp
	push	%rdi
	xor	%eax, %eax
	xor	%ebx, %ebx
	xor	%ecx, %ecx
	xor	%edx, %edx
	xor	%esi, %esi
	xor	%edi, %edi
	xor	%ebp, %ebp
	xor	%r8d, %r8d
	xor	%r9d, %r9d
	xor	%r10d, %r10d
	xor	%r11d, %r11d
	xor	%r12d, %r12d
	xor	%r13d, %r13d
	xor	%r14d, %r14d
	xor	%r15d, %r15d
	cld
	ret
#elif defined(__i386__)
	mov	4(%esp), %eax
	mov	8(%esp), %esp
	push	%eax
	xor	%eax, %eax
	xor	%ebx, %ebx
	xor	%ecx, %ecx
	xor	%edx, %edx
	xor	%esi, %esi
	xor	%edi, %edi
	xor	%ebp, %ebp
	cld
	ret
#elif defined(__aarch64__)
	mov	x16, x0
	mov	sp, x1
	mov	x0, xzr
	mov	x1, xzr
	mov	x2, xzr
	mov	x3, xzr
	mov	x4, xzr
	mov	x5, xzr
	mov	x6, xzr
	mov	x7, xzr
	mov	x8, xzr
	mov	x9, xzr
	mov	x10, xzr
	mov	x11, xzr
	mov	x12, xzr
	mov	x13, xzr
	mov	x14, xzr
	mov	x15, xzr
	mov	x17, xzr
	mov	x18, xzr
	mov	x19, xzr
	mov	x20, xzr
	mov	x21, xzr
	mov	x22, xzr
	mov	x23, xzr
	mov	x24, xzr
	mov	x25, xzr
	mov	x26, xzr
	mov	x27, xzr
	mov	x28, xzr
	mov	x29, xzr
	mov	x30, xzr
	br	x16
#else
#error "no loader for this architecture"
#endif
	.size loader_jump, . - loader_jump
