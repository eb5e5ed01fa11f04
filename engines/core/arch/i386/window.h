/* Where the helper of i386 guests lies, for itself and for the tracer, which is a program of x86_64: above what is
 * linked to a fixed address and the shadow memory of sanitizers, below what the kernel places. The program break
 * follows it. */
#ifndef CORE_ARCH_I386_WINDOW_H
#define CORE_ARCH_I386_WINDOW_H

#define I386_LOADER_START 0x40de0000ul
#define I386_LOADER_END 0x41000000ul
#define I386_LOADER_BLOCK 0xff000000ul

/* Where a tracer sends calls: ptrace/helper_i386.ld puts redirected_entry there. */
#define I386_REDIRECTED_ENTRY (I386_LOADER_START + 0x100)

#endif
