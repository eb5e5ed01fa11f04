/* struct stat is that of the calls with "64" in their names, struct stat32 the one from before them. */
#ifndef CORE_ARCH_STAT_H
#define CORE_ARCH_STAT_H

#define stat stat32
#include <asm/stat.h>
#undef stat
#define stat stat64

#endif
