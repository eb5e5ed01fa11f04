/* POSIX access control lists, as their extended attributes have them: acl(5), fs/posix_acl.c of the kernel. Pure: no
 * system calls. */
#ifndef CORE_ACL_H
#define CORE_ACL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <linux/posix_acl.h>
#include <linux/posix_acl_xattr.h>

#define ACL_ENTRIES_MAX 32
#define ACL_VALUE_MAX (sizeof(struct posix_acl_xattr_header) + ACL_ENTRIES_MAX * sizeof(struct posix_acl_xattr_entry))

struct acl {
	unsigned n;
	struct posix_acl_xattr_entry entry[ACL_ENTRIES_MAX]; /* little-endian, as all machines of ours */
};

/* Reads an attribute's value. Returns 0 (with no entries: the value stands for no list), -EINVAL, -EOPNOTSUPP (another
 * version), or -ENOSPC: more entries than are kept. */
int acl_decode(struct acl *ret_acl, const void *value, size_t size);

/* Writes the value, of at most ACL_VALUE_MAX bytes, and returns its size. */
size_t acl_encode(const struct acl *acl, void *value);

/* Whether the entries are those of a list, in their order. */
bool acl_is_valid(const struct acl *acl);

/* The permission bits of a mode that stand for a valid list. *ret_extended says whether it has more than these. */
uint32_t acl_mode(const struct acl *acl, bool *ret_extended);

/* Has the list follow a chmod(2) to these permission bits. */
void acl_set_mode(struct acl *acl, uint32_t mode);

/* Turns a directory's default list into that of a new file, which is made with these bits; returns those it gets.
 * *ret_extended as above. */
uint32_t acl_inherit(struct acl *acl, uint32_t mode, bool *ret_extended);

#endif
