/* Where a piece of code makes system calls. */
#ifndef PRELOAD_SITES_H
#define PRELOAD_SITES_H

#include <stddef.h>
#include <stdint.h>

#pragma GCC visibility push(hidden)

#define SITE_NR_UNKNOWN 0xffff

enum site_kind {
	SITE_SYSCALL, /* syscall; somebody may jump right to it */
	SITE_CHECKED, /* syscall that is reached only through its head */
	SITE_FOREIGN, /* int $0x80 or sysenter: calls of the 32-bit table */
};

/* One instruction that enters the kernel. The head is the instruction before it: where a jump to elsewhere can be put,
 * for it has room and can be run at any address. */
struct site {
	uint32_t offset; /* of the instruction, from the start of the code */
	uint16_t nr; /* the number it is always called with, or SITE_NR_UNKNOWN */
	uint8_t head; /* length of the head in bytes, 0 = there is none */
	uint8_t kind; /* enum site_kind */
};

/* Lists the sites in `code` by address. Returns how many, or -errno: -E2BIG when there are more than `max`, -ENOMEM,
 * -ENOEXEC when bytes may be a site or a part of something else and nothing tells which. */
long sites_find(const uint8_t *code, size_t size, struct site *list, size_t max);

#pragma GCC visibility pop

#endif
