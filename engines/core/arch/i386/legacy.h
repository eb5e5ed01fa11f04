/* Calls of the table that i386 never had. */
#ifndef CORE_LEGACY_H
#define CORE_LEGACY_H

#define __NR_newfstatat SYSCALL_NR_GONE
#define __NR_accept SYSCALL_NR_GONE

#endif
