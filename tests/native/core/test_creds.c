/* creds.c against the kernel it runs on: random sequences of credential calls are made for real and in the model, and
 * every answer and every state must be the same, over execve of set-id programs and programs with capabilities too. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <linux/securebits.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <sys/auxv.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/syscall.h>
#include <sys/utsname.h>
#include <sys/wait.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "creds.h"
#include "tap.h"

#ifdef __SANITIZE_ADDRESS__
#define SEQUENCES 400
#else
#define SEQUENCES 3000
#endif
#define STEPS 16
#define PROGRAMS 15

static uint64_t rng;

static uint32_t rnd(uint32_t n)
{
	rng ^= rng << 13;
	rng ^= rng >> 7;
	rng ^= rng << 17;
	return (uint32_t)(rng >> 32) % n;
}

/* Whether the kernel is older than MAJOR.MINOR. */
static bool older_than(int major, int minor)
{
	struct utsname u;
	int a = 0, b = 0;

	return uname(&u) == 0 && sscanf(u.release, "%d.%d", &a, &b) == 2 && (a < major || (a == major && b < minor));
}

/* What is executed: copies of this test with other owners, modes and file capabilities. */
struct program {
	mode_t mode;
	uid_t uid;
	gid_t gid;
	uint32_t magic; /* 0 = no capabilities */
	uint64_t permitted, inheritable;
};

#define V2 (VFS_CAP_REVISION_2)
#define V2E (VFS_CAP_REVISION_2 | VFS_CAP_FLAGS_EFFECTIVE)

static const struct program programs[PROGRAMS] = {
	{ 0755, 0, 0, 0, 0, 0 },
	{ 04755, 0, 0, 0, 0, 0 },
	{ 04755, 1000, 1000, 0, 0, 0 },
	{ 02755, 0, 1001, 0, 0, 0 },
	{ 02745, 0, 1002, 0, 0, 0 }, /* set-gid without group execute: no effect; nobody here is in group 1002 */
	{ 06755, 0, 0, 0, 0, 0 },
	{ 06755, 1001, 65534, 0, 0, 0 },
	{ 0755, 0, 0, V2E, 1ull << CAP_NET_RAW, 0 },
	{ 0755, 0, 0, V2, 1ull << CAP_NET_RAW | 1ull << CAP_SETUID, 0 },
	{ 0755, 0, 0, V2E, 0, 0x1ffffffffffull },
	{ 0755, 0, 0, V2E, 1ull << CAP_SETUID | 1ull << CAP_SETGID, 1ull << CAP_CHOWN },
	{ 04755, 0, 0, V2E, 1ull << CAP_CHOWN, 0 },
	{ 04755, 0, 0, V2, 0, 0 },
	{ 04755, 1000, 1000, V2E, 1ull << CAP_DAC_OVERRIDE | 1ull << CAP_SETPCAP, 0 },
	{ 0755, 0, 0, V2, 0, 0 },
};

static bool in_namespace; /* only id 0 exists, setgroups is denied, and only program 0 can be made */
static bool before_6_16;  /* other securebits, and another idea of what a set-id exec is */
static char dir[128];

static bool same(const struct creds *a, const struct creds *b)
{
	return a->ruid == b->ruid && a->euid == b->euid && a->suid == b->suid && a->fsuid == b->fsuid &&
	       a->rgid == b->rgid && a->egid == b->egid && a->sgid == b->sgid && a->fsgid == b->fsgid &&
	       a->cap_inheritable == b->cap_inheritable && a->cap_permitted == b->cap_permitted &&
	       a->cap_effective == b->cap_effective && a->cap_bounding == b->cap_bounding &&
	       a->cap_ambient == b->cap_ambient && a->securebits == b->securebits &&
	       a->no_new_privs == b->no_new_privs && a->last_cap == b->last_cap && a->n_groups == b->n_groups &&
	       !memcmp(a->groups, b->groups, a->n_groups * sizeof(a->groups[0]));
}

/* The kernel's answer, from /proc/self/status. */
static void ask_kernel(struct creds *c)
{
	char buf[8192];
	int fd = open("/proc/self/status", O_RDONLY | O_CLOEXEC);
	ssize_t n = read(fd, buf, sizeof(buf) - 1);
	const char *p;

	close(fd);
	if (n <= 0)
		abort();
	buf[n] = '\0';
	memset(c, 0, sizeof(*c));
	sscanf(strstr(buf, "\nUid:"), "\nUid: %u %u %u %u", &c->ruid, &c->euid, &c->suid, &c->fsuid);
	sscanf(strstr(buf, "\nGid:"), "\nGid: %u %u %u %u", &c->rgid, &c->egid, &c->sgid, &c->fsgid);
	p = strstr(buf, "\nGroups:") + 8;
	for (int used; sscanf(p, "%*[ \t]%n", &used), *p != '\n'; p += used) {
		unsigned g;

		if (sscanf(p, " %u%n", &g, &used) != 1)
			break;
		if (strcspn(p, "\n") < (size_t)used)
			break;
		c->groups[c->n_groups++] = g;
	}
	c->cap_inheritable = strtoull(strstr(buf, "\nCapInh:") + 8, NULL, 16);
	c->cap_permitted = strtoull(strstr(buf, "\nCapPrm:") + 8, NULL, 16);
	c->cap_effective = strtoull(strstr(buf, "\nCapEff:") + 8, NULL, 16);
	c->cap_bounding = strtoull(strstr(buf, "\nCapBnd:") + 8, NULL, 16);
	c->cap_ambient = strtoull(strstr(buf, "\nCapAmb:") + 8, NULL, 16);
	c->no_new_privs = atoi(strstr(buf, "\nNoNewPrivs:") + 12);
	c->securebits = (uint32_t)prctl(PR_GET_SECUREBITS);
	while (c->last_cap < 63 && prctl(PR_CAPBSET_READ, c->last_cap + 1, 0, 0, 0) >= 0)
		c->last_cap++;
}

static void show(const char *who, const struct creds *c)
{
	fprintf(stderr, "#   %s: uid %u %u %u %u gid %u %u %u %u", who, c->ruid, c->euid, c->suid, c->fsuid, c->rgid,
		c->egid, c->sgid, c->fsgid);
	fprintf(stderr, " I %llx P %llx E %llx B %llx A %llx sec %x nnp %d groups",
		(unsigned long long)c->cap_inheritable, (unsigned long long)c->cap_permitted,
		(unsigned long long)c->cap_effective, (unsigned long long)c->cap_bounding,
		(unsigned long long)c->cap_ambient, c->securebits, c->no_new_privs);
	for (unsigned i = 0; i < c->n_groups; i++)
		fprintf(stderr, " %u", c->groups[i]);
	fprintf(stderr, "\n");
}

static uint32_t any_id(void)
{
	static const uint32_t ids[] = { 0, 1000, 1001, 65534, 0, 1000 };

	if (rnd(5) == 0)
		return UINT32_MAX;
	return in_namespace ? 0 : ids[rnd(6)];
}

static uint64_t any_caps(const struct creds *c)
{
	uint64_t few = 1ull << rnd(41) | 1ull << rnd(41) | 1ull << CAP_SETUID | 1ull << CAP_SETPCAP;

	switch (rnd(7)) {
	case 0:
		return 0;
	case 1:
		return c->cap_permitted;
	case 2:
		return c->cap_permitted & few;
	case 3:
		return c->cap_inheritable;
	case 4:
		return few;
	case 5:
		return c->cap_permitted & ~few;
	default:
		return ~0ull;
	}
}

static unsigned long any_cap(void)
{
	static const unsigned long caps[] = {
		CAP_CHOWN, CAP_SETUID, CAP_SETGID, CAP_SETPCAP, 40, 41, 63, 64, 1ul << 32
	};

	return rnd(3) ? rnd(41) : caps[rnd(9)];
}

static unsigned long any_securebits(const struct creds *c)
{
	if (before_6_16)
		return c->securebits ^ rnd(1 << 8);
	switch (rnd(4)) {
	case 0:
		return 0;
	case 1:
		return c->securebits ^ 1ul << rnd(14);
	case 2:
		return c->securebits | 1ul << (2 * rnd(4));
	default:
		return rnd(1 << 12);
	}
}

static long answer(long r)
{
	return r < 0 ? -errno : r;
}

static long real_capset(uint64_t e, uint64_t p, uint64_t i)
{
	struct __user_cap_header_struct h = { .version = _LINUX_CAPABILITY_VERSION_3 };
	struct __user_cap_data_struct d[2] = {
		{ (uint32_t)e, (uint32_t)p, (uint32_t)i },
		{ (uint32_t)(e >> 32), (uint32_t)(p >> 32), (uint32_t)(i >> 32) },
	};

	return answer(syscall(SYS_capset, &h, d));
}

/* Makes one random call for real and in the model; the two answers. */
static void step(struct creds *c, char *what, long *ret_real, long *ret_model)
{
	uint32_t a = any_id(), b = any_id(), s = any_id(), groups[4] = { any_id(), any_id(), any_id(), any_id() };
	unsigned long x, y;
	uint64_t e, p, i;
	bool handled;
	size_t n;

	switch (rnd(in_namespace ? 18 : 19)) {
	case 0:
		sprintf(what, "setuid(%d)", (int)a);
		*ret_real = answer(syscall(SYS_setuid, a));
		*ret_model = creds_setuid(c, a);
		return;
	case 1:
		sprintf(what, "setreuid(%d, %d)", (int)a, (int)b);
		*ret_real = answer(syscall(SYS_setreuid, a, b));
		*ret_model = creds_setreuid(c, a, b);
		return;
	case 2:
	case 3:
		sprintf(what, "setresuid(%d, %d, %d)", (int)a, (int)b, (int)s);
		*ret_real = answer(syscall(SYS_setresuid, a, b, s));
		*ret_model = creds_setresuid(c, a, b, s);
		return;
	case 4:
		sprintf(what, "setfsuid(%d)", (int)a);
		*ret_real = (unsigned)syscall(SYS_setfsuid, a);
		*ret_model = creds_setfsuid(c, a);
		return;
	case 5:
		sprintf(what, "setgid(%d)", (int)a);
		*ret_real = answer(syscall(SYS_setgid, a));
		*ret_model = creds_setgid(c, a);
		return;
	case 6:
		sprintf(what, "setregid(%d, %d)", (int)a, (int)b);
		*ret_real = answer(syscall(SYS_setregid, a, b));
		*ret_model = creds_setregid(c, a, b);
		return;
	case 7:
		sprintf(what, "setresgid(%d, %d, %d)", (int)a, (int)b, (int)s);
		*ret_real = answer(syscall(SYS_setresgid, a, b, s));
		*ret_model = creds_setresgid(c, a, b, s);
		return;
	case 8:
		sprintf(what, "setfsgid(%d)", (int)a);
		*ret_real = (unsigned)syscall(SYS_setfsgid, a);
		*ret_model = creds_setfsgid(c, a);
		return;
	case 9:
	case 10:
		e = any_caps(c);
		p = rnd(2) ? c->cap_permitted : any_caps(c);
		i = any_caps(c);
		sprintf(what, "capset(E %llx, P %llx, I %llx)", (unsigned long long)e, (unsigned long long)p,
			(unsigned long long)i);
		*ret_real = real_capset(e, p, i);
		*ret_model = creds_capset(c, e, p, i);
		return;
	case 11:
	case 12:
		x = rnd(6);
		y = x == PR_CAP_AMBIENT_CLEAR_ALL ? rnd(2) : any_cap();
		n = rnd(8) == 0;
		sprintf(what, "prctl(PR_CAP_AMBIENT, %lu, %lu, %zu)", x, y, n);
		*ret_real = answer(prctl(PR_CAP_AMBIENT, x, y, n, 0ul));
		*ret_model = creds_prctl(c, PR_CAP_AMBIENT, x, y, n, 0, &handled);
		return;
	case 13:
		x = any_securebits(c);
		sprintf(what, "prctl(PR_SET_SECUREBITS, %lx)", x);
		*ret_real = answer(prctl(PR_SET_SECUREBITS, x, 0ul, 0ul, 0ul));
		*ret_model = creds_prctl(c, PR_SET_SECUREBITS, x, 0, 0, 0, &handled);
		return;
	case 14:
		x = rnd(6) ? 1 : rnd(3);
		sprintf(what, "prctl(PR_SET_KEEPCAPS, %lu)", x);
		*ret_real = answer(prctl(PR_SET_KEEPCAPS, x, 0ul, 0ul, 0ul));
		*ret_model = creds_prctl(c, PR_SET_KEEPCAPS, x, 0, 0, 0, &handled);
		return;
	case 15:
		x = any_cap();
		sprintf(what, "prctl(PR_CAPBSET_DROP, %lu)", x);
		*ret_real = answer(prctl(PR_CAPBSET_DROP, x, 0ul, 0ul, 0ul));
		*ret_model = creds_prctl(c, PR_CAPBSET_DROP, x, 0, 0, 0, &handled);
		return;
	case 16:
		x = any_cap();
		sprintf(what, "prctl(PR_CAPBSET_READ, %lu)", x);
		*ret_real = answer(prctl(PR_CAPBSET_READ, x, 0ul, 0ul, 0ul));
		*ret_model = creds_prctl(c, PR_CAPBSET_READ, x, 0, 0, 0, &handled);
		return;
	case 17:
		/* Rarely the real thing: it ends what the rest of the sequence can gain. */
		x = rnd(4) ? 2 : 1;
		y = rnd(4) == 0;
		sprintf(what, "prctl(PR_SET_NO_NEW_PRIVS, %lu, %lu)", x, y);
		*ret_real = answer(prctl(PR_SET_NO_NEW_PRIVS, x, y, 0ul, 0ul));
		*ret_model = creds_prctl(c, PR_SET_NO_NEW_PRIVS, x, y, 0, 0, &handled);
		return;
	default:
		n = rnd(5);
		sprintf(what, "setgroups(%zu: %d %d %d %d)", n, (int)groups[0], (int)groups[1], (int)groups[2],
			(int)groups[3]);
		*ret_real = answer(syscall(SYS_setgroups, n, groups));
		*ret_model = creds_setgroups(c, groups, n);
		return;
	}
}

static bool agree(const struct creds *c, const char *what, long real, long model)
{
	struct creds k;

	ask_kernel(&k);
	if (real == model && same(c, &k))
		return true;
	fprintf(stderr, "# %s: kernel says %ld, model %ld\n", what, real, model);
	show("kernel", &k);
	show("model ", c);
	return false;
}

static void file_of(const struct program *p, struct creds_file *file)
{
	*file = (struct creds_file){ .mode = S_IFREG | p->mode, .uid = p->uid, .gid = p->gid };
	if (!p->magic)
		return;
	file->has_caps = true;
	file->cap_effective = p->magic & VFS_CAP_FLAGS_EFFECTIVE;
	file->cap_permitted = p->permitted;
	file->cap_inheritable = p->inheritable;
}

/* Executes a program that goes on with the sequence from what the model predicts. Returns only when execve fails. */
static bool step_exec(struct creds *c, unsigned left)
{
	unsigned which = in_namespace ? 0 : rnd(PROGRAMS);
	char path[160], seed[32], rest[16], secure[16], text[CREDS_TEXT_MAX], what[64];
	struct creds_file file;
	struct creds next = *c;
	long r;

	if (before_6_16 && (c->euid != c->ruid || c->egid != c->rgid || programs[which].mode & S_ISGID))
		return true;
	file_of(&programs[which], &file);
	r = creds_exec(&next, &file);
	if (creds_encode(&next, text, sizeof(text)) < 0)
		return false;
	snprintf(path, sizeof(path), "%s/%u", dir, which);
	snprintf(seed, sizeof(seed), "%llu", (unsigned long long)rng);
	snprintf(rest, sizeof(rest), "%u", left);
	snprintf(secure, sizeof(secure), "%ld", r);
	snprintf(what, sizeof(what), "execve(program %u)", which);
	execl(path, path, "--go-on", text, secure, seed, rest, dir, in_namespace ? "1" : "0", (char *)NULL);
	return agree(c, what, -errno, r); /* a refusal changes nothing */
}

/* The sequence of one child: exits 0 when kernel and model agree all along. */
_Noreturn static void go(struct creds *c, unsigned left)
{
	char what[160];
	long real, model;

	while (left--) {
		if (rnd(14) == 0) {
			if (!step_exec(c, left))
				_exit(1);
			continue;
		}
		step(c, what, &real, &model);
		if (!agree(c, what, real, model))
			_exit(1);
	}
	_exit(0);
}

/* main() of an executed program. */
static int go_on(char **argv)
{
	struct creds c;
	char what[64];

	if (creds_decode(&c, argv[2]) < 0) {
		fprintf(stderr, "# cannot decode %s\n", argv[2]);
		return 1;
	}
	sprintf(what, "AT_SECURE after execve of %.30s", argv[0]);
	if (!agree(&c, what, (long)getauxval(AT_SECURE), atol(argv[3])))
		return 1;
	rng = strtoull(argv[4], NULL, 10);
	snprintf(dir, sizeof(dir), "%s", argv[6]);
	in_namespace = *argv[7] == '1';
	before_6_16 = older_than(6, 16);
	go(&c, (unsigned)atoi(argv[5]));
}

static bool run_sequence(uint64_t seed)
{
	int status;
	pid_t pid = fork();

	if (pid == 0) {
		struct creds c;

		rng = seed * 0x9E3779B97F4A7C15ull + 1;
		ask_kernel(&c);
		go(&c, STEPS);
	}
	if (pid < 0 || waitpid(pid, &status, 0) != pid)
		return false;
	if (status)
		fprintf(stderr, "# sequence %llu failed, status %x\n", (unsigned long long)seed, status);
	return status == 0;
}

static bool make_program(unsigned n)
{
	const struct program *p = &programs[n];
	struct vfs_cap_data data = { .magic_etc = p->magic };
	char path[160], buf[65536];
	bool good = true;
	ssize_t got;
	int in = open("/proc/self/exe", O_RDONLY), out;

	snprintf(path, sizeof(path), "%s/%u", dir, n);
	out = open(path, O_WRONLY | O_CREAT | O_EXCL, 0700);
	while ((got = read(in, buf, sizeof(buf))) > 0)
		good = good && write(out, buf, (size_t)got) == got;
	good = good && got == 0 && out >= 0;
	close(in);
	if (!in_namespace)
		good = good && fchown(out, p->uid, p->gid) == 0;
	good = good && fchmod(out, p->mode) == 0;
	close(out);
	for (unsigned i = 0; i < 2; i++) {
		data.data[i].permitted = (uint32_t)(p->permitted >> 32 * i);
		data.data[i].inheritable = (uint32_t)(p->inheritable >> 32 * i);
	}
	if (p->magic)
		good = good && setxattr(path, "security.capability", &data, XATTR_CAPS_SZ_2, 0) == 0;
	return good;
}

static bool write_file(const char *path, const char *text)
{
	int fd = open(path, O_WRONLY);
	bool good = fd >= 0 && write(fd, text, strlen(text)) == (ssize_t)strlen(text);

	close(fd);
	return good;
}

/* Becomes root of a new user namespace that knows only this user. */
static const char *enter_namespace(void)
{
	char map[32], gmap[32];

	sprintf(map, "0 %u 1", geteuid());
	sprintf(gmap, "0 %u 1", getegid());
	if (unshare(CLONE_NEWUSER) < 0)
		return "not root, and user namespaces are denied";
	if (!write_file("/proc/self/setgroups", "deny") || !write_file("/proc/self/uid_map", map) ||
	    !write_file("/proc/self/gid_map", gmap))
		return "not root, and user namespaces cannot be mapped";
	in_namespace = true;
	return NULL;
}

static void remove_dir(void)
{
	char path[160];

	for (unsigned i = 0; i < PROGRAMS; i++) {
		snprintf(path, sizeof(path), "%s/%u", dir, i);
		unlink(path);
	}
	rmdir(dir);
}

static void test_against_kernel(void)
{
	const char *name = "random sequences: the kernel and the model agree", *why = NULL;
	struct statvfs vfs;
	unsigned failed = 0;
	bool made = true;

	if (prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0) == 1) {
		skip(name, "no_new_privs is already set");
		return;
	}
	if (older_than(6, 4)) {
		skip(name, "the model follows a newer kernel: before 6.4 a setresuid() of nothing resets the fsuid");
		return;
	}
	before_6_16 = older_than(6, 16);
	if (geteuid() != 0)
		why = enter_namespace();
	if (why) {
		skip(name, why);
		return;
	}
	/* /var/tmp too is a place for all users, and more often than /tmp on a disk without nosuid */
	strcpy(dir, "/var/tmp/udockpy-creds-XXXXXX");
	if (!ok(mkdtemp(dir) && chmod(dir, 0755) == 0, "a directory for the programs"))
		return;
	if (statvfs(dir, &vfs) == 0 && vfs.f_flag & (ST_NOSUID | ST_NOEXEC)) {
		skip(name, "/var/tmp is mounted nosuid or noexec");
		remove_dir();
		return;
	}
	for (unsigned i = 0; i < (in_namespace ? 1 : PROGRAMS); i++)
		made = made && make_program(i);
	if (ok(made, "programs with set-id bits and capabilities")) {
		for (uint64_t seed = 1; seed <= SEQUENCES && failed < 5; seed++)
			failed += !run_sequence(seed);
		printf("# %d sequences of %d calls%s\n", SEQUENCES, STEPS,
		       in_namespace ? ", in a user namespace of one id" : "");
		ok(failed == 0, name);
	}
	remove_dir();
}

/* How apt becomes _apt, and checks that there is no way back. */
static void test_apt(void)
{
	const uint32_t groups[] = { 65534 };
	struct creds c;

	creds_init(&c, 0, 0, NULL, 0, 40);
	ok(creds_setgroups(&c, groups, 1) == 0, "apt: setgroups");
	ok(creds_setresgid(&c, 65534, 65534, 65534) == 0 && creds_setresuid(&c, 42, 42, 42) == 0, "apt: becomes _apt");
	ok(c.cap_permitted == 0 && c.cap_effective == 0, "apt: no capability is left");
	ok(creds_setuid(&c, 0) == -EPERM && creds_setreuid(&c, 0, -1u) == -EPERM && creds_setgid(&c, 0) == -EPERM,
	   "apt: cannot become root again");
	ok(creds_in_group(&c, 65534) && !creds_in_group(&c, 0), "apt: is in its group only");
}

static void test_groups(void)
{
	uint32_t in[CREDS_GROUPS_MAX + 1], out[CREDS_GROUPS_MAX];
	struct creds c;

	creds_init(&c, 0, 0, NULL, 0, 40);
	for (unsigned i = 0; i <= CREDS_GROUPS_MAX; i++)
		in[i] = CREDS_GROUPS_MAX - i;
	ok(creds_setgroups(&c, in, CREDS_GROUPS_MAX + 1) == -EINVAL, "setgroups: too many are refused");
	ok(creds_setgroups(&c, in, CREDS_GROUPS_MAX) == 0, "setgroups: as many as are kept");
	ok(creds_getgroups(&c, NULL, 0) == CREDS_GROUPS_MAX, "getgroups: count");
	ok(creds_getgroups(&c, out, 3) == -EINVAL, "getgroups: too small");
	ok(creds_getgroups(&c, out, CREDS_GROUPS_MAX) == CREDS_GROUPS_MAX && out[0] == 1 && out[255] == 256,
	   "getgroups: sorted");
	in[1] = UINT32_MAX;
	ok(creds_setgroups(&c, in, 2) == -EINVAL, "setgroups: -1 is no group");
}

static void test_file_caps(void)
{
	uint32_t v[6] = { V2E, 0x2000, 1, 4, 8, 0 };
	struct creds_file f;

	ok(creds_parse_file_caps(v, 20, &f) == 0 && f.has_caps && f.cap_effective &&
		   f.cap_permitted == 0x400002000ull && f.cap_inheritable == 0x800000001ull,
	   "file capabilities: revision 2");
	v[0] = V2;
	ok(creds_parse_file_caps(v, 20, &f) == 0 && f.has_caps && !f.cap_effective, "file capabilities: not effective");
	ok(creds_parse_file_caps(v, 24, &f) == -EINVAL && !f.has_caps, "file capabilities: size of another revision");
	ok(creds_parse_file_caps(v, 19, &f) == -EINVAL && creds_parse_file_caps(v, 0, &f) == -EINVAL,
	   "file capabilities: truncated");
	v[0] = VFS_CAP_REVISION_1 | VFS_CAP_FLAGS_EFFECTIVE;
	ok(creds_parse_file_caps(v, 12, &f) == 0 && f.cap_permitted == 0x2000 && f.cap_inheritable == 1,
	   "file capabilities: revision 1");
	v[0] = VFS_CAP_REVISION_3;
	ok(creds_parse_file_caps(v, 24, &f) == 0 && f.has_caps, "file capabilities: revision 3");
	v[5] = 1000;
	ok(creds_parse_file_caps(v, 24, &f) == 0 && !f.has_caps, "file capabilities: another namespace's are none");
	v[0] = 0x04000000;
	ok(creds_parse_file_caps(v, 24, &f) == -EINVAL, "file capabilities: unknown revision");
}

static void test_text(void)
{
	static const char *const bad[] = {
		"", "1", "2,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,28", "1,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0",
		"1,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,28,", "1,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,28,5,4",
		"1,ffffffff,0,0,0,0,0,0,0,0,0,0,0,0,0,0,28", "1,00,0,0,0,0,0,0,0,0,0,0,0,0,0,0,28",
		"1,0,0,0,0,0,0,0,0,0,0,1,0,0,0,0,28", /* effective but not permitted */
		"1,0,0,0,0,0,0,0,0,0,0,0,0,0,0,2,28", "1,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,28,x",
		"1,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,28 ", "1,0,0,0,0,0,0,0,0,0,0,0,11111111111111111,0,0,0,28",
		"1,A,0,0,0,0,0,0,0,0,0,0,0,0,0,0,28",
	};
	uint32_t groups[CREDS_GROUPS_MAX];
	char text[CREDS_TEXT_MAX], small[8];
	struct creds c, d;
	bool refused = true;
	long n;

	for (unsigned i = 0; i < CREDS_GROUPS_MAX; i++)
		groups[i] = 4294967000u + i;
	creds_init(&c, 4294967294u, 4294967294u, groups, CREDS_GROUPS_MAX, 40);
	c.no_new_privs = true;
	n = creds_encode(&c, text, sizeof(text));
	ok(n > 0 && (size_t)n == strlen(text) && !strpbrk(text, " \n"), "text: the longest fits");
	ok(creds_decode(&d, text) == 0 && same(&c, &d), "text: round trip");
	ok(creds_encode(&c, small, sizeof(small)) == -ENAMETOOLONG, "text: too small a buffer");
	ok(creds_encode(&c, text, (size_t)n + 1) == n && creds_encode(&c, text, (size_t)n) == -ENAMETOOLONG,
	   "text: exactly fitting");
	for (unsigned i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		if (creds_decode(&d, bad[i]) != -EINVAL) {
			fprintf(stderr, "# accepted: %s\n", bad[i]);
			refused = false;
		}
	ok(refused, "text: malformed ones are refused");
	ok(creds_decode(&d, "1,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,28,4,4,5") == 0 && d.n_groups == 3, "text: groups");
}

static void test_prctl(void)
{
	bool handled = true;
	struct creds c;

	creds_init(&c, 1000, 1000, NULL, 0, 40);
	(void)creds_prctl(&c, PR_SET_NAME, 0, 0, 0, 0, &handled);
	ok(!handled, "prctl: other options are not ours");
	ok(creds_prctl(&c, PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0, &handled) == 0 && handled, "prctl: no_new_privs reads 0");
	ok(creds_prctl(&c, PR_CAPBSET_READ, 40, 0, 0, 0, &handled) == 1 &&
		   creds_prctl(&c, PR_CAPBSET_READ, 41, 0, 0, 0, &handled) == -EINVAL,
	   "prctl: the last capability can be found");
}

int main(int argc, char **argv)
{
	if (argc == 8 && !strcmp(argv[1], "--go-on"))
		return go_on(argv);
	test_apt();
	test_groups();
	test_file_caps();
	test_text();
	test_prctl();
	test_against_kernel();
	return done();
}
