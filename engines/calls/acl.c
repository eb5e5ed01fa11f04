/* Access control lists that are remembered: an ordinary user could lock himself out with real ones. */
#include "acl.h"

#include <linux/errno.h>

#include "calls.h"

bool acl_recall(const struct fakedb_key *key, const char *name, struct acl *ret_acl)
{
	char value[ACL_VALUE_MAX];
	long n = fakedb_getxattr(&engine.db, key, name, value, sizeof(value));

	return n > 0 && acl_decode(ret_acl, value, (size_t)n) == 0 && ret_acl->n;
}

int acl_remember(const struct fakedb_key *key, const char *name, const struct acl *acl)
{
	char value[ACL_VALUE_MAX];
	int r;

	if (acl->n)
		return fakedb_setxattr(&engine.db, key, name, value, acl_encode(acl, value), 0);
	r = fakedb_removexattr(&engine.db, key, name);
	return r == -ENODATA ? 0 : r;
}
