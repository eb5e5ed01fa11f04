/* Entry of the test program: room below the initial stack for the loader to move the arguments down into, as many as a
 * shebang chain adds, then load_main(initial stack pointer). */

#define ROOM 1024

	.section .note.GNU-stack, "", %progbits
	.text
	.globl _start
	.type _start, %function
_start:
#if defined(__x86_64__)
	mov	%rsp, %rdi
	sub	$ROOM, %rsp
	and	$-16, %rsp
	xor	%ebp, %ebp
	call	load_main
	ud2
#elif defined(__aarch64__)
	mov	x0, sp
	sub	sp, sp, #ROOM
	mov	x29, xzr
	mov	x30, xzr
	bl	load_main
	brk	#0
#endif
	.size _start, . - _start
