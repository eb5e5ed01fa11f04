/* acl.c: values of every shape, and the rules that tests/rootlike compares with the kernel, one by one. */
#include <errno.h>
#include <string.h>

#include "access.h"
#include "acl.h"
#include "tap.h"

#define ANY ((uint32_t)ACL_UNDEFINED_ID)
#define LIST(...) \
	((struct acl){ sizeof((struct posix_acl_xattr_entry[]){ __VA_ARGS__ }) / sizeof(struct posix_acl_xattr_entry), \
		       { __VA_ARGS__ } })

/* rw-, user 3000 rwx, r--, group 60 rw-, mask rw-, others none */
static struct acl full(void)
{
	return LIST({ ACL_USER_OBJ, 6, ANY }, { ACL_USER, 7, 3000 }, { ACL_GROUP_OBJ, 4, ANY }, { ACL_GROUP, 6, 60 },
		    { ACL_MASK, 6, ANY }, { ACL_OTHER, 0, ANY });
}

static void test_values(void)
{
	unsigned char value[ACL_VALUE_MAX + 8];
	struct acl acl = full(), again;
	size_t size = acl_encode(&acl, value);

	ok(size == 4 + 6 * 8 && acl_decode(&again, value, size) == 0 && again.n == 6 &&
		   memcmp(again.entry, acl.entry, 6 * sizeof(*acl.entry)) == 0,
	   "what is written is read");
	ok(acl_decode(&again, value, 0) == 0 && !again.n && acl_decode(&again, value, 4) == 0 && !again.n,
	   "no entries are no list");
	ok(acl_decode(&again, value, 3) == -EINVAL && acl_decode(&again, value, size - 1) == -EINVAL, "a cut value");
	value[0] = 1;
	ok(acl_decode(&again, value, size) == -EOPNOTSUPP, "another version");
	value[0] = 2;
	value[4] = 3;
	ok(acl_decode(&again, value, size) == -EINVAL, "an unknown tag");
	ok(acl_decode(&again, value, sizeof(value)) == -ENOSPC, "more entries than are kept");
}

static void test_validity(void)
{
	struct acl acl = full();

	ok(acl_is_valid(&acl), "a list with users, groups and a mask");
	acl.n--;
	ok(!acl_is_valid(&acl), "no others");
	acl = LIST({ ACL_USER_OBJ, 6, ANY }, { ACL_USER, 7, 3000 }, { ACL_GROUP_OBJ, 4, ANY }, { ACL_OTHER, 0, ANY });
	ok(!acl_is_valid(&acl), "a user without a mask");
	acl = LIST({ ACL_GROUP_OBJ, 4, ANY }, { ACL_USER_OBJ, 6, ANY }, { ACL_OTHER, 0, ANY });
	ok(!acl_is_valid(&acl), "the wrong order");
	acl = LIST({ ACL_USER_OBJ, 8, ANY }, { ACL_GROUP_OBJ, 4, ANY }, { ACL_OTHER, 0, ANY });
	ok(!acl_is_valid(&acl), "unknown permissions");
}

static void test_modes(void)
{
	struct acl acl = full();
	bool extended;

	ok(acl_mode(&acl, &extended) == 0660 && extended, "the group's bits are the mask's");
	acl_set_mode(&acl, 0751);
	ok(acl.entry[0].e_perm == 7 && acl.entry[2].e_perm == 4 && acl.entry[4].e_perm == 5 && acl.entry[5].e_perm == 1,
	   "chmod changes the mask, not the group");
	acl = full();
	ok(acl_inherit(&acl, 0100640, &extended) == 0100640 && extended && acl.entry[4].e_perm == 4,
	   "what is inherited is no more than asked for");
	acl = LIST({ ACL_USER_OBJ, 7, ANY }, { ACL_GROUP_OBJ, 5, ANY }, { ACL_OTHER, 0, ANY });
	ok(acl_inherit(&acl, 0666, &extended) == 0640 && !extended, "a list that is a mode");
}

static bool granted(uint32_t uid, uint32_t gid, const struct acl *acl, uint32_t mode, unsigned want)
{
	const struct access_object object = { 1000, 50, mode, acl };
	struct creds c;

	creds_init(&c, uid, gid, NULL, 0, 40);
	return access_check(&c, ACCESS_AS_EFFECTIVE, &object, want) == 0;
}

static void test_access(void)
{
	struct acl acl = full();

	ok(granted(3000, 7, &acl, 0100660, ACCESS_READ | ACCESS_WRITE), "a user of the list");
	ok(!granted(3000, 7, &acl, 0100660, ACCESS_EXECUTE), "and the mask takes off");
	ok(granted(9, 60, &acl, 0100660, ACCESS_WRITE) && granted(9, 50, &acl, 0100660, ACCESS_READ), "groups");
	ok(!granted(9, 50, &acl, 0100660, ACCESS_WRITE) && !granted(9, 9, &acl, 0100660, ACCESS_READ), "and no more");
	ok(granted(1000, 9, &acl, 0100660, ACCESS_WRITE), "the owner by the mode");
	ok(!granted(3000, 7, &acl, 0100600, ACCESS_READ), "a mode without group bits is asked alone");
}

int main(void)
{
	test_values();
	test_validity();
	test_modes();
	test_access();
	return done();
}
