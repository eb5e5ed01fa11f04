/* The credential state machine. Every rule here is the kernel's: kernel/sys.c (set*id), kernel/groups.c,
 * security/commoncap.c (capabilities) and fs/exec.c (set-id bits), as of Linux 6.16; older kernels differ in corners.
 * tests/native/core/test_creds.c compares it with the kernel it runs on. */
#include "creds.h"

#include <linux/capability.h>
#include <linux/errno.h>
#include <linux/prctl.h>
#include <linux/securebits.h>

#include "str.h"

#define ROOT 0u
#define UNCHANGED UINT32_MAX /* also what no id may be */

#define CAP(n) (1ull << (n))

/* The capabilities that follow the file system uid (CAP_FS_SET). */
#define FS_CAPS \
	(CAP(CAP_CHOWN) | CAP(CAP_MKNOD) | CAP(CAP_DAC_OVERRIDE) | CAP(CAP_DAC_READ_SEARCH) | CAP(CAP_FOWNER) | \
	 CAP(CAP_FSETID) | CAP(CAP_LINUX_IMMUTABLE) | CAP(CAP_MAC_OVERRIDE))

/* SECBIT_EXEC_RESTRICT_FILE and SECBIT_EXEC_DENY_INTERACTIVE (6.14): bits that need no privilege. */
#define SECBITS_UNPRIVILEGED (1ul << 8 | 1ul << 10)
#define SECBITS_PRIVILEGED \
	(1ul << SECURE_NOROOT | 1ul << SECURE_NO_SETUID_FIXUP | 1ul << SECURE_KEEP_CAPS | \
	 1ul << SECURE_NO_CAP_AMBIENT_RAISE)
#define SECBITS_ALL (SECBITS_PRIVILEGED | SECBITS_UNPRIVILEGED)
#define SECBITS_LOCKS (SECBITS_ALL << 1)

static uint64_t valid_caps(unsigned last_cap)
{
	return last_cap >= 63 ? ~0ull : CAP(last_cap + 1) - 1;
}

static bool securebit(const struct creds *c, unsigned bit)
{
	return c->securebits >> bit & 1;
}

static bool subset(uint64_t a, uint64_t b)
{
	return !(a & ~b);
}

/* The kernel keeps supplementary groups sorted, and getgroups(2) shows it. */
static void set_groups(struct creds *c, const uint32_t *groups, unsigned n)
{
	for (unsigned i = 0; i < n; i++) {
		unsigned j = i;

		for (; j > 0 && c->groups[j - 1] > groups[i]; j--)
			c->groups[j] = c->groups[j - 1];
		c->groups[j] = groups[i];
	}
	c->n_groups = (uint16_t)n;
}

void creds_init(struct creds *c, uint32_t uid, uint32_t gid, const uint32_t *groups, unsigned n_groups,
		unsigned last_cap)
{
	memset(c, 0, sizeof(*c));
	c->ruid = c->euid = c->suid = c->fsuid = uid;
	c->rgid = c->egid = c->sgid = c->fsgid = gid;
	c->last_cap = (uint8_t)(last_cap < 63 ? last_cap : 63);
	c->cap_bounding = valid_caps(c->last_cap);
	if (uid == ROOT)
		c->cap_permitted = c->cap_effective = c->cap_bounding;
	set_groups(c, groups, n_groups < CREDS_GROUPS_MAX ? n_groups : CREDS_GROUPS_MAX);
}

bool creds_capable(const struct creds *c, unsigned cap)
{
	return cap < 64 && (c->cap_effective >> cap & 1);
}

/* The user or the group ids: the rules of the set*id calls are the same for both. */
struct ids {
	uint32_t r, e, s, fs;
};

static struct ids get_uids(const struct creds *c)
{
	return (struct ids){ c->ruid, c->euid, c->suid, c->fsuid };
}

static struct ids get_gids(const struct creds *c)
{
	return (struct ids){ c->rgid, c->egid, c->sgid, c->fsgid };
}

static int set_id(struct ids *i, uint32_t id, bool capable)
{
	if (id == UNCHANGED)
		return -EINVAL;
	if (capable)
		i->r = i->s = id;
	else if (id != i->r && id != i->s)
		return -EPERM;
	i->e = i->fs = id;
	return 0;
}

static int set_re_ids(struct ids *i, uint32_t r, uint32_t e, bool capable)
{
	struct ids old = *i;

	if (r != UNCHANGED) {
		if (r != old.r && r != old.e && !capable)
			return -EPERM;
		i->r = r;
	}
	if (e != UNCHANGED) {
		if (e != old.r && e != old.e && e != old.s && !capable)
			return -EPERM;
		i->e = e;
	}
	if (r != UNCHANGED || (e != UNCHANGED && e != old.r))
		i->s = i->e;
	i->fs = i->e;
	return 0;
}

static bool is_new(const struct ids *i, uint32_t id)
{
	return id != UNCHANGED && id != i->r && id != i->e && id != i->s;
}

static int set_res_ids(struct ids *i, uint32_t r, uint32_t e, uint32_t s, bool capable)
{
	/* A call that changes nothing does not even reset the file system id. */
	if ((r == UNCHANGED || r == i->r) && (e == UNCHANGED || (e == i->e && e == i->fs)) &&
	    (s == UNCHANGED || s == i->s))
		return 0;
	if ((is_new(i, r) || is_new(i, e) || is_new(i, s)) && !capable)
		return -EPERM;
	if (r != UNCHANGED)
		i->r = r;
	if (e != UNCHANGED)
		i->e = e;
	if (s != UNCHANGED)
		i->s = s;
	i->fs = i->e;
	return 0;
}

static bool may_set_fs_id(const struct ids *i, uint32_t id, bool capable)
{
	return id != UNCHANGED && (capable || id == i->r || id == i->e || id == i->s || id == i->fs);
}

/* Stores changed r/e/s uids, and lets the capabilities follow (cap_emulate_setxuid). Passes `r` on. */
static int finish_uids(struct creds *c, const struct ids *new, int r)
{
	bool was_root = c->ruid == ROOT || c->euid == ROOT || c->suid == ROOT;
	bool was_effective = c->euid == ROOT;
	bool is_root = new->r == ROOT || new->e == ROOT || new->s == ROOT;

	if (r < 0)
		return r;
	c->ruid = new->r;
	c->euid = new->e;
	c->suid = new->s;
	c->fsuid = new->fs;
	if (securebit(c, SECURE_NO_SETUID_FIXUP))
		return 0;
	if (was_root && !is_root) {
		if (!securebit(c, SECURE_KEEP_CAPS))
			c->cap_permitted = c->cap_effective = 0;
		c->cap_ambient = 0;
	}
	if (was_effective && new->e != ROOT)
		c->cap_effective = 0;
	if (!was_effective && new->e == ROOT)
		c->cap_effective = c->cap_permitted;
	return 0;
}

static int finish_gids(struct creds *c, const struct ids *new, int r)
{
	if (r < 0)
		return r;
	c->rgid = new->r;
	c->egid = new->e;
	c->sgid = new->s;
	c->fsgid = new->fs;
	return 0;
}

int creds_setuid(struct creds *c, uint32_t uid)
{
	struct ids i = get_uids(c);
	int r = set_id(&i, uid, creds_capable(c, CAP_SETUID));

	return finish_uids(c, &i, r);
}

int creds_setreuid(struct creds *c, uint32_t ruid, uint32_t euid)
{
	struct ids i = get_uids(c);
	int r = set_re_ids(&i, ruid, euid, creds_capable(c, CAP_SETUID));

	return finish_uids(c, &i, r);
}

int creds_setresuid(struct creds *c, uint32_t ruid, uint32_t euid, uint32_t suid)
{
	struct ids i = get_uids(c);
	int r = set_res_ids(&i, ruid, euid, suid, creds_capable(c, CAP_SETUID));

	return finish_uids(c, &i, r);
}

uint32_t creds_setfsuid(struct creds *c, uint32_t uid)
{
	struct ids i = get_uids(c);

	if (!may_set_fs_id(&i, uid, creds_capable(c, CAP_SETUID)) || uid == i.fs)
		return i.fs;
	c->fsuid = uid;
	if (!securebit(c, SECURE_NO_SETUID_FIXUP)) {
		if (i.fs == ROOT)
			c->cap_effective &= ~FS_CAPS;
		else if (uid == ROOT)
			c->cap_effective |= c->cap_permitted & FS_CAPS;
	}
	return i.fs;
}

int creds_setgid(struct creds *c, uint32_t gid)
{
	struct ids i = get_gids(c);
	int r = set_id(&i, gid, creds_capable(c, CAP_SETGID));

	return finish_gids(c, &i, r);
}

int creds_setregid(struct creds *c, uint32_t rgid, uint32_t egid)
{
	struct ids i = get_gids(c);
	int r = set_re_ids(&i, rgid, egid, creds_capable(c, CAP_SETGID));

	return finish_gids(c, &i, r);
}

int creds_setresgid(struct creds *c, uint32_t rgid, uint32_t egid, uint32_t sgid)
{
	struct ids i = get_gids(c);
	int r = set_res_ids(&i, rgid, egid, sgid, creds_capable(c, CAP_SETGID));

	return finish_gids(c, &i, r);
}

uint32_t creds_setfsgid(struct creds *c, uint32_t gid)
{
	struct ids i = get_gids(c);

	if (may_set_fs_id(&i, gid, creds_capable(c, CAP_SETGID)))
		c->fsgid = gid;
	return i.fs;
}

int creds_setgroups(struct creds *c, const uint32_t *groups, size_t n)
{
	if (!creds_capable(c, CAP_SETGID))
		return -EPERM;
	if (n > CREDS_GROUPS_MAX)
		return -EINVAL;
	for (size_t i = 0; i < n; i++)
		if (groups[i] == UNCHANGED)
			return -EINVAL;
	set_groups(c, groups, (unsigned)n);
	return 0;
}

int creds_getgroups(const struct creds *c, uint32_t *groups, size_t size)
{
	if (size == 0)
		return c->n_groups;
	if (size < c->n_groups)
		return -EINVAL;
	memcpy(groups, c->groups, c->n_groups * sizeof(*groups));
	return c->n_groups;
}

bool creds_in_group(const struct creds *c, uint32_t gid)
{
	if (gid == c->fsgid)
		return true;
	for (unsigned i = 0; i < c->n_groups; i++)
		if (c->groups[i] == gid)
			return true;
	return false;
}

int creds_capset(struct creds *c, uint64_t effective, uint64_t permitted, uint64_t inheritable)
{
	uint64_t valid = valid_caps(c->last_cap);

	effective &= valid;
	permitted &= valid;
	inheritable &= valid;
	if (!creds_capable(c, CAP_SETPCAP) && !subset(inheritable, c->cap_inheritable | c->cap_permitted))
		return -EPERM;
	if (!subset(inheritable, c->cap_inheritable | c->cap_bounding))
		return -EPERM;
	if (!subset(permitted, c->cap_permitted) || !subset(effective, permitted))
		return -EPERM;
	c->cap_effective = effective;
	c->cap_permitted = permitted;
	c->cap_inheritable = inheritable;
	c->cap_ambient &= permitted & inheritable;
	return 0;
}

static long set_securebits(struct creds *c, unsigned long bits)
{
	unsigned long changed = c->securebits ^ bits;

	if ((c->securebits & SECBITS_LOCKS) >> 1 & changed)
		return -EPERM;
	if (c->securebits & SECBITS_LOCKS & ~bits)
		return -EPERM;
	if (bits & ~(SECBITS_ALL | SECBITS_LOCKS))
		return -EPERM;
	if (!creds_capable(c, CAP_SETPCAP) &&
	    (!changed || (changed & ~(SECBITS_UNPRIVILEGED | SECBITS_UNPRIVILEGED << 1))))
		return -EPERM;
	c->securebits = (uint32_t)bits;
	return 0;
}

static long set_keepcaps(struct creds *c, unsigned long keep)
{
	if (keep > 1)
		return -EINVAL;
	if (securebit(c, SECURE_KEEP_CAPS_LOCKED))
		return -EPERM;
	c->securebits &= ~SECBIT_KEEP_CAPS;
	if (keep)
		c->securebits |= SECBIT_KEEP_CAPS;
	return 0;
}

static long drop_bounding(struct creds *c, unsigned long cap)
{
	if (!creds_capable(c, CAP_SETPCAP))
		return -EPERM;
	if (cap > c->last_cap)
		return -EINVAL;
	c->cap_bounding &= ~CAP(cap);
	return 0;
}

static long change_ambient(struct creds *c, unsigned long op, unsigned long cap, unsigned long a4, unsigned long a5)
{
	if (a4 | a5)
		return -EINVAL;
	if (op == PR_CAP_AMBIENT_CLEAR_ALL) {
		if (cap)
			return -EINVAL;
		c->cap_ambient = 0;
		return 0;
	}
	if (cap > c->last_cap)
		return -EINVAL;
	switch (op) {
	case PR_CAP_AMBIENT_IS_SET:
		return c->cap_ambient >> cap & 1;
	case PR_CAP_AMBIENT_LOWER:
		c->cap_ambient &= ~CAP(cap);
		return 0;
	case PR_CAP_AMBIENT_RAISE:
		if (!(c->cap_permitted & c->cap_inheritable & CAP(cap)) || securebit(c, SECURE_NO_CAP_AMBIENT_RAISE))
			return -EPERM;
		c->cap_ambient |= CAP(cap);
		return 0;
	default:
		return -EINVAL;
	}
}

long creds_prctl(struct creds *c, long option, unsigned long a2, unsigned long a3, unsigned long a4, unsigned long a5,
		 bool *ret_handled)
{
	*ret_handled = true;
	/* The kernel's prctl() takes the option as an int. */
	switch ((int)option) {
	case PR_GET_KEEPCAPS:
		return securebit(c, SECURE_KEEP_CAPS);
	case PR_SET_KEEPCAPS:
		return set_keepcaps(c, a2);
	case PR_CAPBSET_READ:
		return a2 > c->last_cap ? -EINVAL : (long)(c->cap_bounding >> a2 & 1);
	case PR_CAPBSET_DROP:
		return drop_bounding(c, a2);
	case PR_CAP_AMBIENT:
		return change_ambient(c, a2, a3, a4, a5);
	case PR_GET_SECUREBITS:
		return c->securebits;
	case PR_SET_SECUREBITS:
		return set_securebits(c, a2);
	case PR_GET_NO_NEW_PRIVS:
		return a2 || a3 || a4 || a5 ? -EINVAL : c->no_new_privs;
	case PR_SET_NO_NEW_PRIVS:
		if (a2 != 1 || a3 || a4 || a5)
			return -EINVAL;
		c->no_new_privs = true;
		return 0;
	default:
		*ret_handled = false;
		return -EINVAL;
	}
}

/* The capabilities that the program's file and root's privilege give: *ret_effective says whether they are switched on.
 * bprm_caps_from_vfs_caps() and handle_privileged_root(). */
static int gained_caps(const struct creds *c, const struct creds_file *file, uint32_t euid, uint64_t *ret_permitted,
		       bool *ret_effective)
{
	bool effective = false;
	uint64_t permitted = 0;

	if (file->has_caps) {
		uint64_t forced = file->cap_permitted & valid_caps(c->last_cap);

		effective = file->cap_effective;
		permitted = (c->cap_bounding & forced) | (c->cap_inheritable & file->cap_inheritable);
		/* A program that knows nothing of capabilities could not tell that it lacks some. */
		if (effective && !subset(forced, permitted))
			return -EPERM;
	}
	/* A set-uid root program that has file capabilities gets these alone, unless root runs it. */
	if (!securebit(c, SECURE_NOROOT) && !(file->has_caps && euid == ROOT && c->ruid != ROOT)) {
		if (euid == ROOT || c->ruid == ROOT)
			permitted = c->cap_bounding | c->cap_inheritable;
		if (euid == ROOT)
			effective = true;
	}
	*ret_permitted = permitted;
	*ret_effective = effective;
	return 0;
}

int creds_exec(struct creds *c, const struct creds_file *file)
{
	uint32_t euid = c->euid, egid = c->egid;
	bool effective, id_changed, secure;
	uint64_t permitted;
	int r;

	if (!c->no_new_privs) {
		if (file->mode & 04000)
			euid = file->uid;
		if ((file->mode & 02010) == 02010)
			egid = file->gid;
	}
	r = gained_caps(c, file, euid, &permitted, &effective);
	if (r < 0)
		return r;

	id_changed = euid != c->euid || !creds_in_group(c, egid);
	if (c->no_new_privs && (id_changed || !subset(permitted, c->cap_permitted))) {
		euid = c->ruid;
		egid = c->rgid;
		permitted &= c->cap_permitted;
	}
	c->euid = c->suid = c->fsuid = euid;
	c->egid = c->sgid = c->fsgid = egid;
	if (file->has_caps || id_changed)
		c->cap_ambient = 0;
	c->cap_permitted = permitted | c->cap_ambient;
	c->cap_effective = effective ? c->cap_permitted : c->cap_ambient;
	c->securebits &= ~SECBIT_KEEP_CAPS;

	secure = id_changed || euid != c->ruid || egid != c->rgid;
	if (c->ruid != ROOT && (effective || !subset(c->cap_permitted, c->cap_ambient)))
		secure = true;
	return secure;
}

static uint32_t le32(const unsigned char *p)
{
	return p[0] | (uint32_t)p[1] << 8 | (uint32_t)p[2] << 16 | (uint32_t)p[3] << 24;
}

int creds_parse_file_caps(const void *value, size_t size, struct creds_file *file)
{
	const unsigned char *p = value;
	uint32_t magic;
	bool wide = true;

	file->has_caps = file->cap_effective = false;
	file->cap_permitted = file->cap_inheritable = 0;
	if (size < sizeof(magic))
		return -EINVAL;
	magic = le32(p);
	switch (magic & VFS_CAP_REVISION_MASK) {
	case VFS_CAP_REVISION_1:
		if (size != XATTR_CAPS_SZ_1)
			return -EINVAL;
		wide = false;
		break;
	case VFS_CAP_REVISION_2:
		if (size != XATTR_CAPS_SZ_2)
			return -EINVAL;
		break;
	case VFS_CAP_REVISION_3:
		if (size != XATTR_CAPS_SZ_3)
			return -EINVAL;
		if (le32(p + XATTR_CAPS_SZ_2) != ROOT)
			return 0;
		break;
	default:
		return -EINVAL;
	}
	file->has_caps = true;
	file->cap_effective = magic & VFS_CAP_FLAGS_EFFECTIVE;
	file->cap_permitted = le32(p + 4);
	file->cap_inheritable = le32(p + 8);
	if (wide) {
		file->cap_permitted |= (uint64_t)le32(p + 12) << 32;
		file->cap_inheritable |= (uint64_t)le32(p + 16) << 32;
	}
	return 0;
}

/* The text: 17 hexadecimal numbers and then the groups, separated by commas. The first is the version. */
#define TEXT_VERSION 1
#define TEXT_NUMBERS 17

static long put_hex(char *buf, size_t size, size_t len, uint64_t v)
{
	char digits[16];
	unsigned n = 0;

	do {
		digits[n++] = "0123456789abcdef"[v & 15];
		v >>= 4;
	} while (v);
	if (len + n + 1 >= size)
		return -ENAMETOOLONG;
	if (len)
		buf[len++] = ',';
	while (n)
		buf[len++] = digits[--n];
	buf[len] = '\0';
	return (long)len;
}

long creds_encode(const struct creds *c, char *buf, size_t size)
{
	const uint64_t numbers[TEXT_NUMBERS] = {
		TEXT_VERSION, c->ruid, c->euid, c->suid, c->fsuid, c->rgid, c->egid, c->sgid, c->fsgid,
		c->cap_inheritable, c->cap_permitted, c->cap_effective, c->cap_bounding, c->cap_ambient,
		c->securebits, c->no_new_privs, c->last_cap,
	};
	long len = 0;

	for (unsigned i = 0; i < TEXT_NUMBERS && len >= 0; i++)
		len = put_hex(buf, size, (size_t)len, numbers[i]);
	for (unsigned i = 0; i < c->n_groups && len >= 0; i++)
		len = put_hex(buf, size, (size_t)len, c->groups[i]);
	return len;
}

/* Reads one number and the comma or NUL after it; *text moves on to the next number, or to NULL. */
static bool get_hex(const char **text, uint64_t *ret_v)
{
	const char *s = *text;
	uint64_t v = 0;

	if (!s || (s[0] == '0' && s[1] != ',' && s[1] != '\0'))
		return false;
	for (; *s && *s != ','; s++) {
		unsigned digit;

		if (*s >= '0' && *s <= '9')
			digit = (unsigned)(*s - '0');
		else if (*s >= 'a' && *s <= 'f')
			digit = (unsigned)(*s - 'a') + 10;
		else
			return false;
		if (v >> 60)
			return false;
		v = v << 4 | digit;
	}
	if (s == *text)
		return false;
	*text = *s ? s + 1 : NULL;
	*ret_v = v;
	return true;
}

/* What the kernel never lets happen is no state that was encoded here. */
static bool is_sound(const struct creds *c)
{
	uint64_t all = c->cap_inheritable | c->cap_permitted | c->cap_bounding;

	return subset(all, valid_caps(c->last_cap)) && subset(c->cap_effective, c->cap_permitted) &&
	       subset(c->cap_ambient, c->cap_permitted & c->cap_inheritable) &&
	       subset(c->securebits, SECBITS_ALL | SECBITS_LOCKS);
}

int creds_decode(struct creds *c, const char *text)
{
	uint64_t v[TEXT_NUMBERS], group;
	uint32_t *const ids[8] = { &c->ruid, &c->euid, &c->suid, &c->fsuid, &c->rgid, &c->egid, &c->sgid, &c->fsgid };

	memset(c, 0, sizeof(*c));
	for (unsigned i = 0; i < TEXT_NUMBERS; i++)
		if (!get_hex(&text, &v[i]))
			return -EINVAL;
	if (v[0] != TEXT_VERSION || v[14] > UINT32_MAX || v[15] > 1 || v[16] > 63)
		return -EINVAL;
	for (unsigned i = 0; i < 8; i++) {
		if (v[1 + i] >= UNCHANGED)
			return -EINVAL;
		*ids[i] = (uint32_t)v[1 + i];
	}
	c->cap_inheritable = v[9];
	c->cap_permitted = v[10];
	c->cap_effective = v[11];
	c->cap_bounding = v[12];
	c->cap_ambient = v[13];
	c->securebits = (uint32_t)v[14];
	c->no_new_privs = v[15];
	c->last_cap = (uint8_t)v[16];
	while (text) {
		if (c->n_groups == CREDS_GROUPS_MAX || !get_hex(&text, &group) || group >= UNCHANGED)
			return -EINVAL;
		if (c->n_groups && group < c->groups[c->n_groups - 1])
			return -EINVAL;
		c->groups[c->n_groups++] = (uint32_t)group;
	}
	return is_sound(c) ? 0 : -EINVAL;
}
