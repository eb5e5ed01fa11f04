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

int access_check(const struct creds *c, enum access_as as, uint32_t uid, uint32_t gid, uint32_t mode, unsigned want)
{
	uint64_t caps = capabilities(c, as);
	bool directory = (mode & TYPE_MASK) == TYPE_DIRECTORY;
	uint32_t granted = mode;

	if (uid == (as == ACCESS_AS_REAL ? c->ruid : c->fsuid))
		granted = mode >> 6;
	else if (in_group(c, as, gid))
		granted = mode >> 3;
	if (!(want & ~granted))
		return 0;
	if (has(caps, CAP_DAC_READ_SEARCH) && (directory ? !(want & ACCESS_WRITE) : want == ACCESS_READ))
		return 0;
	if (has(caps, CAP_DAC_OVERRIDE) && (directory || !(want & ACCESS_EXECUTE) || (mode & 0111)))
		return 0;
	return -EACCES;
}
