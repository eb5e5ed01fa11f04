/* See access.h. */
#include "access.h"

#include <linux/capability.h>
#include <linux/errno.h>
#include <linux/securebits.h>

#define TYPE_MASK 0170000u
#define TYPE_DIRECTORY 0040000u

static uint64_t capabilities(const struct creds *c, enum access_as as)
{
	if (as == ACCESS_AS_EFFECTIVE || (c->securebits & SECBIT_NO_SETUID_FIXUP))
		return c->cap_effective;
	return c->ruid ? 0 : c->cap_permitted;
}

static bool has(uint64_t capabilities_, unsigned cap)
{
	return capabilities_ >> cap & 1;
}

static uint32_t id_of(const struct creds *c, enum access_as as)
{
	return as == ACCESS_AS_REAL ? c->ruid : c->fsuid;
}

static bool in_group(const struct creds *c, enum access_as as, uint32_t gid)
{
	if (gid == (as == ACCESS_AS_REAL ? c->rgid : c->fsgid))
		return true;
	for (unsigned i = 0; i < c->n_groups; i++)
		if (c->groups[i] == gid)
			return true;
	return false;
}

bool access_is_unrestricted(const struct creds *c, enum access_as as)
{
	return has(capabilities(c, as), CAP_DAC_OVERRIDE);
}

/* posix_acl_permission(): 0, or -EACCES. The owner has been dealt with. */
static int check_list(const struct creds *c, enum access_as as, uint32_t gid, const struct acl *acl, unsigned want)
{
	unsigned mask = 7, granted = 0;
	bool found = false;

	for (unsigned i = 0; i < acl->n; i++)
		if (acl->entry[i].e_tag == ACL_MASK)
			mask = acl->entry[i].e_perm;
	for (unsigned i = 0; i < acl->n; i++) {
		const struct posix_acl_xattr_entry *e = &acl->entry[i];

		if (e->e_tag == ACL_USER && e->e_id == id_of(c, as))
			return want & ~(e->e_perm & mask) ? -EACCES : 0;
		if ((e->e_tag == ACL_GROUP_OBJ && in_group(c, as, gid)) ||
		    (e->e_tag == ACL_GROUP && in_group(c, as, e->e_id))) {
			found = true;
			if (!(want & ~e->e_perm))
				return want & ~mask ? -EACCES : 0;
		}
		if (e->e_tag == ACL_OTHER)
			granted = e->e_perm;
	}
	return found || (want & ~granted) ? -EACCES : 0;
}

/* acl_permission_check(): without capabilities. */
static int check_mode(const struct creds *c, enum access_as as, const struct access_object *object, unsigned want)
{
	uint32_t granted = object->mode;

	if (object->uid == id_of(c, as))
		granted = object->mode >> 6;
	else if (object->acl && (object->mode & 0070))
		return check_list(c, as, object->gid, object->acl, want);
	else if (in_group(c, as, object->gid))
		granted = object->mode >> 3;
	return want & ~granted ? -EACCES : 0;
}

int access_check(const struct creds *c, enum access_as as, const struct access_object *object, unsigned want)
{
	uint64_t caps = capabilities(c, as);
	bool directory = (object->mode & TYPE_MASK) == TYPE_DIRECTORY;

	if (check_mode(c, as, object, want) == 0)
		return 0;
	if (has(caps, CAP_DAC_READ_SEARCH) && (directory ? !(want & ACCESS_WRITE) : want == ACCESS_READ))
		return 0;
	if (has(caps, CAP_DAC_OVERRIDE) && (directory || !(want & ACCESS_EXECUTE) || (object->mode & 0111)))
		return 0;
	return -EACCES;
}
