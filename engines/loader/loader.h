/* Userland exec: puts a guest program into the calling process and starts it, as the kernel's ELF loader does after
 * execve. The caller is itself a program that has just been started by execve and has the guest's arguments,
 * environment and auxiliary vector on its initial stack. */
#ifndef LOADER_LOADER_H
#define LOADER_LOADER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "arch.h"

/* Where the engine's own program lies. A guest linked into this range is refused. */
#define LOADER_START ARCH_LOADER_START
#define LOADER_END ARCH_LOADER_END

struct loader_request {
	int exe_fd;    /* the ELF file, readable */
	int interp_fd; /* its interpreter, or -1 */
	/* The guest's arguments, NULL-terminated, followed by the environment and the auxiliary vector as the
	 * kernel laid them out. Up to 16 bytes before argv[-1], which becomes argc, are overwritten to align the
	 * block. */
	char **argv;
	const char *exe_guest; /* canonical guest path of the program */
	const char *execfn;    /* AT_EXECFN; must stay mapped */
	unsigned flags;	       /* enum exec_flags */
	bool secure;	       /* AT_SECURE */
	bool has_ids;	       /* AT_UID and the like become the following */
	uint32_t uid, euid, gid, egid;
	unsigned long sigstack_extra; /* added to AT_MINSIGSTKSZ: what the engine's signal handler needs */
	/* Called for each executable segment once it is mapped: where what the file holds of it lies, how it is
	 * protected, and where in the file that begins. NULL = not wanted. Returns 0, or -errno to give up. */
	int (*code_mapped)(unsigned long start, size_t size, int prot, int fd, uint64_t offset);
	bool debug;		      /* say on standard error what was mapped where */
};

struct loader_image {
	unsigned long entry; /* where to jump: of the interpreter when there is one */
	unsigned long sp;
	unsigned long exe_start, exe_end; /* what the program's segments span */
	unsigned long interp_base;	  /* AT_BASE; 0 without an interpreter */
	unsigned long brk;		  /* the program break, which stays the kernel's */
};

/* Maps both files, closes their descriptors and prepares stack, auxiliary vector and what /proc says of the process.
 * Returns 0 or -errno: -ENOEXEC (no segments, malformed), -ENOMEM (also for a fixed address that is taken), or an
 * error of mmap(2). After a failure the process can only report and exit. */
int loader_load(const struct loader_request *req, struct loader_image *ret_image);

/* Starts the program: registers as after execve, stack pointer `sp`. */
_Noreturn void loader_jump(unsigned long entry, unsigned long sp);

#endif
