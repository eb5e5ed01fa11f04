/* See acl.h. */
#include "acl.h"

#include <linux/errno.h>

#include "str.h"

#define PERMISSIONS 7u

static bool has_id(unsigned tag)
{
	return tag == ACL_USER || tag == ACL_GROUP;
}

static bool is_tag(unsigned tag)
{
	return has_id(tag) || tag == ACL_USER_OBJ || tag == ACL_GROUP_OBJ || tag == ACL_MASK || tag == ACL_OTHER;
}

int acl_decode(struct acl *ret_acl, const void *value, size_t size)
{
	const struct posix_acl_xattr_header *header = value;
	size_t n;

	ret_acl->n = 0;
	if (!size)
		return 0;
	if (size < sizeof(*header))
		return -EINVAL;
	if (header->a_version != POSIX_ACL_XATTR_VERSION)
		return -EOPNOTSUPP;
	n = (size - sizeof(*header)) / sizeof(*ret_acl->entry);
	if (size != sizeof(*header) + n * sizeof(*ret_acl->entry))
		return -EINVAL;
	if (n > ACL_ENTRIES_MAX)
		return -ENOSPC;
	memcpy(ret_acl->entry, header + 1, n * sizeof(*ret_acl->entry));
	for (unsigned i = 0; i < n; i++)
		if (!is_tag(ret_acl->entry[i].e_tag) ||
		    (has_id(ret_acl->entry[i].e_tag) && ret_acl->entry[i].e_id == (uint32_t)ACL_UNDEFINED_ID))
			return -EINVAL;
	ret_acl->n = (unsigned)n;
	return 0;
}

size_t acl_encode(const struct acl *acl, void *value)
{
	struct posix_acl_xattr_header *header = value;
	struct posix_acl_xattr_entry *entry = (void *)(header + 1);

	header->a_version = POSIX_ACL_XATTR_VERSION;
	for (unsigned i = 0; i < acl->n; i++) {
		entry[i] = acl->entry[i];
		if (!has_id(entry[i].e_tag))
			entry[i].e_id = (uint32_t)ACL_UNDEFINED_ID;
	}
	return sizeof(*header) + acl->n * sizeof(*entry);
}

/* The owner, users, the owning group, groups, a mask that users and groups need, others. */
bool acl_is_valid(const struct acl *acl)
{
	unsigned next = ACL_USER_OBJ;
	bool needs_mask = false;

	for (unsigned i = 0; i < acl->n; i++) {
		unsigned tag = acl->entry[i].e_tag;

		if (acl->entry[i].e_perm & ~PERMISSIONS)
			return false;
		if (has_id(tag)) {
			needs_mask = true;
			if (next != tag)
				return false;
		} else if (tag == ACL_USER_OBJ && next == ACL_USER_OBJ) {
			next = ACL_USER;
		} else if (tag == ACL_GROUP_OBJ && next == ACL_USER) {
			next = ACL_GROUP;
		} else if (tag == ACL_MASK && next == ACL_GROUP) {
			next = ACL_OTHER;
		} else if (tag == ACL_OTHER && (next == ACL_OTHER || (next == ACL_GROUP && !needs_mask))) {
			next = 0;
		} else {
			return false;
		}
	}
	return !next;
}

static struct posix_acl_xattr_entry *find(struct acl *acl, unsigned tag)
{
	for (unsigned i = 0; i < acl->n; i++)
		if (acl->entry[i].e_tag == tag)
			return &acl->entry[i];
	return NULL;
}

/* What the group bits of a mode stand for: the mask where there is one. */
static struct posix_acl_xattr_entry *find_group_class(struct acl *acl)
{
	struct posix_acl_xattr_entry *mask = find(acl, ACL_MASK);

	return mask ? mask : find(acl, ACL_GROUP_OBJ);
}

uint32_t acl_mode(const struct acl *acl, bool *ret_extended)
{
	uint32_t mode = 0, group = 0;
	bool masked = false;

	*ret_extended = false;
	for (unsigned i = 0; i < acl->n; i++) {
		const struct posix_acl_xattr_entry *e = &acl->entry[i];

		if (e->e_tag == ACL_USER_OBJ)
			mode |= (uint32_t)e->e_perm << 6;
		else if (e->e_tag == ACL_OTHER)
			mode |= e->e_perm;
		else if (e->e_tag == ACL_MASK || (e->e_tag == ACL_GROUP_OBJ && !masked))
			group = (uint32_t)e->e_perm << 3;
		masked |= e->e_tag == ACL_MASK;
		*ret_extended |= has_id(e->e_tag) || e->e_tag == ACL_MASK;
	}
	return mode | group;
}

void acl_set_mode(struct acl *acl, uint32_t mode)
{
	struct posix_acl_xattr_entry *user = find(acl, ACL_USER_OBJ), *group = find_group_class(acl),
				     *other = find(acl, ACL_OTHER);

	if (user)
		user->e_perm = mode >> 6 & PERMISSIONS;
	if (group)
		group->e_perm = mode >> 3 & PERMISSIONS;
	if (other)
		other->e_perm = mode & PERMISSIONS;
}

uint32_t acl_inherit(struct acl *acl, uint32_t mode, bool *ret_extended)
{
	struct posix_acl_xattr_entry *user = find(acl, ACL_USER_OBJ), *group = find_group_class(acl),
				     *other = find(acl, ACL_OTHER);

	if (user)
		user->e_perm &= mode >> 6;
	if (group)
		group->e_perm &= mode >> 3;
	if (other)
		other->e_perm &= mode;
	return (mode & ~0777u) | acl_mode(acl, ret_extended);
}
