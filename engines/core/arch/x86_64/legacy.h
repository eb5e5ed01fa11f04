/* Calls of the table that x86_64 never had. */
#ifndef CORE_LEGACY_H
#define CORE_LEGACY_H

#include "arch/ilp32_only.h"

#endif
