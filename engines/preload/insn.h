/* Lengths of x86-64 instructions: enough of a decoder to tell where one ends and whether it may be moved. */
#ifndef PRELOAD_INSN_H
#define PRELOAD_INSN_H

#include <stddef.h>
#include <stdint.h>

#pragma GCC visibility push(hidden)

#define INSN_MAX 15 /* bytes of the longest */

enum insn_flags {
	INSN_CONTROL = 1 << 0, /* goes, or may go, somewhere else than to the next instruction */
	INSN_RIP = 1 << 1, /* an operand is relative to the instruction's address */
	INSN_INDIRECT = 1 << 2, /* jmp through a register or memory */
	INSN_PRIVILEGED = 1 << 3, /* faults in a program; hlt apart, which is put where none may get */
};

/* The length of the instruction at `code`, of which `size` bytes may be read; *ret_flags are of enum insn_flags.
 * 0 when it is invalid in 64-bit mode or not all there. */
unsigned insn_decode(const uint8_t *code, size_t size, unsigned *ret_flags);

#pragma GCC visibility pop

#endif
