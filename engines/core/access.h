/* The kernel's permission rules over what a file pretends to be. */
#ifndef CORE_ACCESS_H
#define CORE_ACCESS_H

#include <stdbool.h>
#include <stdint.h>

#include "creds.h"

/* The bits of access(2) and of a mode's last digit. */
enum access_want {
	ACCESS_EXECUTE = 1, /* of a directory: search */
	ACCESS_WRITE = 2,
	ACCESS_READ = 4,
};

/* As whom: open(2) asks with the file-system ids and effective capabilities, access(2) with the real ids and what
 * root of these would have. */
enum access_as {
	ACCESS_AS_EFFECTIVE,
	ACCESS_AS_REAL,
};

/* Whether no mode keeps these credentials from reading and writing a file (CAP_DAC_OVERRIDE). */
bool access_is_unrestricted(const struct creds *c, enum access_as as);

/* Whether `want` (enum access_want, several) of a file with this owner, group and st_mode is granted: 0 or -EACCES.
 * generic_permission() of fs/namei.c, without ACLs. */
int access_check(const struct creds *c, enum access_as as, uint32_t uid, uint32_t gid, uint32_t mode, unsigned want);

#endif
