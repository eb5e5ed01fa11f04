/* The kernel's permission rules over what a file pretends to be. */
#ifndef CORE_ACCESS_H
#define CORE_ACCESS_H

#include <stdbool.h>
#include <stdint.h>

#include "acl.h"
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

/* What is asked about: owner, group, st_mode, and the access control list where there is one, else NULL. */
struct access_object {
	uint32_t uid, gid, mode;
	const struct acl *acl;
};

/* Whether `want` (enum access_want, several) of it is granted: 0 or -EACCES. generic_permission() of fs/namei.c. */
int access_check(const struct creds *c, enum access_as as, const struct access_object *object, unsigned want);

#endif
