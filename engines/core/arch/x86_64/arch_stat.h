/* struct stat. */
#ifndef CORE_ARCH_STAT_H
#define CORE_ARCH_STAT_H

#include <asm/stat.h>

#endif
