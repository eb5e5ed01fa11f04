/* The parts of an ELF header that say how a program starts, in one form for both word sizes. elf(5). */
#ifndef CORE_ELFHEADER_H
#define CORE_ELFHEADER_H

#include <linux/elf.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "str.h"
#include "sys.h"

struct elf_header {
	uint16_t type, machine;
	uint16_t segment_size; /* e_phentsize */
	uint16_t segments;     /* e_phnum */
	uint64_t segments_at;  /* e_phoff */
	bool wide;	       /* a program of 64 bits; by its machine, as the kernel has it, and not by its class */
};

struct elf_segment {
	uint32_t type, flags;
	uint64_t offset, size; /* in the file */
};

static inline bool elf_is_wide(unsigned machine)
{
	return (machine == ARCH_EM_COMPAT) != (sizeof(long) == 8);
}

/* From the first bytes of a file, sizeof(Elf64_Ehdr) of them. What they are is not looked at. */
static inline void elf_header_read(const void *bytes, struct elf_header *ret_header)
{
	Elf64_Ehdr wide;
	Elf32_Ehdr narrow;

	memcpy(&wide, bytes, sizeof(wide));
	memcpy(&narrow, bytes, sizeof(narrow));
	*ret_header = (struct elf_header){ .type = wide.e_type,
					   .machine = wide.e_machine,
					   .wide = elf_is_wide(wide.e_machine) };
	ret_header->segment_size = ret_header->wide ? wide.e_phentsize : narrow.e_phentsize;
	ret_header->segments = ret_header->wide ? wide.e_phnum : narrow.e_phnum;
	ret_header->segments_at = ret_header->wide ? wide.e_phoff : narrow.e_phoff;
}

/* The size of a program header. */
static inline size_t elf_segment_size(const struct elf_header *h)
{
	return h->wide ? sizeof(Elf64_Phdr) : sizeof(Elf32_Phdr);
}

/* From the bytes of a program header. */
static inline void elf_segment_read(const struct elf_header *h, const void *bytes, struct elf_segment *ret_segment)
{
	Elf64_Phdr wide;
	Elf32_Phdr narrow;

	if (h->wide) {
		memcpy(&wide, bytes, sizeof(wide));
		*ret_segment = (struct elf_segment){ wide.p_type, wide.p_flags, wide.p_offset, wide.p_filesz };
	} else {
		memcpy(&narrow, bytes, sizeof(narrow));
		*ret_segment = (struct elf_segment){ narrow.p_type, narrow.p_flags, narrow.p_offset, narrow.p_filesz };
	}
}

#endif
