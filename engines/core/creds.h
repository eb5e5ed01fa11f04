/* Credentials as the kernel keeps them (credentials(7), capabilities(7)), as a pure state machine: no system calls. */
#ifndef CORE_CREDS_H
#define CORE_CREDS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define CREDS_GROUPS_MAX 256 /* supplementary groups kept; more is -EINVAL, as beyond NGROUPS_MAX */
#define CREDS_TEXT_MAX 4096  /* room that creds_encode() may need */

struct creds {
	uint32_t ruid, euid, suid, fsuid;
	uint32_t rgid, egid, sgid, fsgid;
	uint64_t cap_inheritable, cap_permitted, cap_effective, cap_bounding, cap_ambient;
	uint32_t securebits;  /* SECBIT_*; SECBIT_KEEP_CAPS is PR_SET_KEEPCAPS */
	bool no_new_privs;    /* what the guest asked for, not what the engine needed */
	uint8_t last_cap;     /* CAP_LAST_CAP of this kernel: what the guest may probe for */
	uint16_t n_groups;
	uint32_t groups[CREDS_GROUPS_MAX];
};

/* Root with all capabilities, or uid/gid without any. `last_cap` is the kernel's CAP_LAST_CAP. */
void creds_init(struct creds *c, uint32_t uid, uint32_t gid, const uint32_t *groups, unsigned n_groups,
		unsigned last_cap);

/* The set*id system calls: 0 or -errno, -1 arguments as (uint32_t)-1. Capabilities follow as capabilities(7)
 * "Effect of user ID changes on capabilities" says. setfsuid/setfsgid return the previous id. */
int creds_setuid(struct creds *c, uint32_t uid);
int creds_setreuid(struct creds *c, uint32_t ruid, uint32_t euid);
int creds_setresuid(struct creds *c, uint32_t ruid, uint32_t euid, uint32_t suid);
uint32_t creds_setfsuid(struct creds *c, uint32_t uid);
int creds_setgid(struct creds *c, uint32_t gid);
int creds_setregid(struct creds *c, uint32_t rgid, uint32_t egid);
int creds_setresgid(struct creds *c, uint32_t rgid, uint32_t egid, uint32_t sgid);
uint32_t creds_setfsgid(struct creds *c, uint32_t gid);
int creds_setgroups(struct creds *c, const uint32_t *groups, size_t n);
/* Copies at most `size` groups; returns their count (also with size 0), or -EINVAL when size is too small. */
int creds_getgroups(const struct creds *c, uint32_t *groups, size_t size);
bool creds_in_group(const struct creds *c, uint32_t gid); /* fsgid or supplementary */
bool creds_capable(const struct creds *c, unsigned cap);  /* in the effective set */

/* capset(2) on the calling process, with 64-bit sets. */
int creds_capset(struct creds *c, uint64_t effective, uint64_t permitted, uint64_t inheritable);

/* The prctl(2) operations that concern credentials: PR_{GET,SET}_KEEPCAPS, PR_CAPBSET_{READ,DROP}, PR_CAP_AMBIENT,
 * PR_{GET,SET}_SECUREBITS, PR_{GET,SET}_NO_NEW_PRIVS. *ret_handled says whether `option` is one of them;
 * the return value is the call's (>= 0 or -errno). */
long creds_prctl(struct creds *c, long option, unsigned long a2, unsigned long a3, unsigned long a4, unsigned long a5,
		 bool *ret_handled);

/* A file about to be executed, as the guest sees it. */
struct creds_file {
	uint32_t mode, uid, gid;
	bool has_caps;			     /* security.capability is set */
	uint64_t cap_permitted, cap_inheritable; /* of it */
	bool cap_effective;
};

/* What execve does to credentials (set-id bits, file capabilities, securebits, ambient set, keepcaps).
 * Returns whether AT_SECURE must be 1 (0 or 1), or -EPERM, with *c unchanged, when the program's file capabilities ask
 * for more than the bounding set lets it have: execve(2) fails then. */
int creds_exec(struct creds *c, const struct creds_file *file);

/* Decodes a security.capability value (VFS_CAP_REVISION_1..3) into file->has_caps and cap_*; -EINVAL when malformed (so
 * then fails execve). Capabilities of another user namespace's root (revision 3, root id not 0) count as none. */
int creds_parse_file_caps(const void *value, size_t size, struct creds_file *file);

/* One line of text without spaces or newlines, for the hand-over at execve. Returns its length or -ENAMETOOLONG. */
long creds_encode(const struct creds *c, char *buf, size_t size);
int creds_decode(struct creds *c, const char *text); /* 0 or -EINVAL */

#endif
