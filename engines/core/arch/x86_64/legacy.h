/* Calls of the table that the architecture never had: none on x86_64. */
#ifndef CORE_LEGACY_H
#define CORE_LEGACY_H
#endif
