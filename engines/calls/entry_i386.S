/* The gates of i386: see entry.S. They are entered with the registers that the guest had at its own instruction. */

	.text
	.set	GATES, 64

	.globl	gates_vfork
	.balign	32
gates_vfork:
	.set	i, 0
	.rept	GATES
	.balign	32
	int	$0x80
	testl	%eax, %eax
	jz	1f			/* the child: the parent counts it out */
	lock decl engine_vm_shared
1:	jmp	*gate_return + 4 * i
	.set	i, i + 1
	.endr

	.globl	gates_clone
	.balign	32
gates_clone:
	.set	i, 0
	.rept	GATES
	.balign	32
	int	$0x80
	jmp	*gate_return + 4 * i
	.set	i, i + 1
	.endr

	.bss
	.balign	4
	.globl	gate_return
gate_return:
	.skip	4 * GATES
	.globl	engine_vm_shared
engine_vm_shared:
	.skip	4

	.section .note.GNU-stack, "", @progbits
