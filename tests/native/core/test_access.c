/* access.c against the kernel it runs on: every mode of a file and a directory, asked for by every kind of caller. To
 * become another user takes real root. */
#define _GNU_SOURCE
#include <fcntl.h>
#include <linux/capability.h>
#include <linux/securebits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "access.h"
#include "tap.h"

#define OWNER 1001
#define GROUP 1002
#define READ_SEARCH (1u << CAP_DAC_READ_SEARCH)
#define OVERRIDE (1u << CAP_DAC_OVERRIDE)

struct caller {
	const char *name;
	uint32_t uid, gid, other; /* its supplementary group */
	uint32_t caps;
};

static const struct caller callers[] = {
	{ "the owner", OWNER, 7, 8, 0 },
	{ "the owner, in the group", OWNER, GROUP, 8, 0 },
	{ "the group", 9, GROUP, 8, 0 },
	{ "a supplementary group", 9, 7, GROUP, 0 },
	{ "a stranger", 9, 7, 8, 0 },
	{ "a stranger with CAP_DAC_READ_SEARCH", 9, 7, 8, READ_SEARCH },
	{ "a stranger with CAP_DAC_OVERRIDE", 9, 7, 8, OVERRIDE },
	{ "the owner with CAP_DAC_READ_SEARCH", OWNER, 7, 8, READ_SEARCH },
};

static void become(const struct caller *c)
{
	struct __user_cap_header_struct header = { .version = _LINUX_CAPABILITY_VERSION_3 };
	struct __user_cap_data_struct data[2] = { { .effective = c->caps, .permitted = c->caps } };
	gid_t other = c->other;

	/* Raw: the C library has its own ideas of threads. */
	if (prctl(PR_SET_KEEPCAPS, 1) < 0 || syscall(SYS_setgroups, 1, &other) < 0 ||
	    syscall(SYS_setresgid, c->gid, c->gid, c->gid) < 0 || syscall(SYS_setresuid, c->uid, c->uid, c->uid) < 0 ||
	    syscall(SYS_capset, &header, data) < 0)
		_exit(3);
}

/* The child's exit status: 0 when the kernel says the same of each question. */
static int ask(const struct caller *c, const char *path, uint32_t type, uint32_t mode)
{
	struct creds creds;
	const struct access_object object = { OWNER, GROUP, type | mode, NULL };
	uint32_t other = c->other;

	creds_init(&creds, c->uid, c->gid, &other, 1, CAP_LAST_CAP);
	creds.cap_effective = creds.cap_permitted = c->caps;
	become(c);
	for (unsigned want = 1; want <= 7; want++) {
		bool granted = syscall(SYS_faccessat2, AT_FDCWD, path, want, AT_EACCESS) == 0;

		if (granted != (access_check(&creds, ACCESS_AS_EFFECTIVE, &object, want) == 0))
			return 1;
	}
	return 0;
}

static void compare(const struct caller *c, const char *path, uint32_t type)
{
	char name[128];
	bool same = true;

	for (uint32_t mode = 0; mode <= 0777 && same; mode += type == S_IFDIR ? 3 : 1) {
		int status = 1;
		pid_t pid;

		if (chmod(path, mode) < 0 || (pid = fork()) < 0)
			exit(1);
		if (!pid)
			_exit(ask(c, path, type, mode));
		waitpid(pid, &status, 0);
		same = status == 0;
		snprintf(name, sizeof(name), "%s, %s%s%o", c->name, type == S_IFDIR ? "directory" : "file",
			 same ? ", all modes to " : ", mode ", mode);
	}
	ok(same, name);
}

static void test_kernel(void)
{
	char dir[] = "/tmp/udockpy-access-XXXXXX", file[64], sub[64];

	if (geteuid() != 0) {
		skip("the rule is the kernel's", "only real root can become another user");
		return;
	}
	if (!mkdtemp(dir) || chmod(dir, 0755) < 0)
		exit(1);
	snprintf(file, sizeof(file), "%s/file", dir);
	snprintf(sub, sizeof(sub), "%s/sub", dir);
	close(open(file, O_CREAT | O_WRONLY | O_CLOEXEC, 0600));
	if (mkdir(sub, 0700) < 0 || chown(file, OWNER, GROUP) < 0 || chown(sub, OWNER, GROUP) < 0)
		exit(1);
	for (unsigned i = 0; i < sizeof(callers) / sizeof(*callers); i++) {
		compare(&callers[i], file, S_IFREG);
		compare(&callers[i], sub, S_IFDIR);
	}
	unlink(file);
	rmdir(sub);
	rmdir(dir);
}

static void test_real_ids(void)
{
	const struct access_object file = { 0, 0, S_IFREG | 0600, NULL };
	struct creds c;

	creds_init(&c, 0, 0, NULL, 0, CAP_LAST_CAP);
	(void)creds_setresuid(&c, 0, OWNER, 0);
	ok(!access_is_unrestricted(&c, ACCESS_AS_EFFECTIVE), "an effective user is restricted");
	ok(access_is_unrestricted(&c, ACCESS_AS_REAL), "whose real id is root's is not");
	ok(access_check(&c, ACCESS_AS_EFFECTIVE, &file, ACCESS_READ) < 0, "he cannot open root's file");
	ok(access_check(&c, ACCESS_AS_REAL, &file, ACCESS_READ) == 0, "but access(2) says he may");
	ok(access_check(&c, ACCESS_AS_REAL, &file, ACCESS_EXECUTE) < 0, "though not execute it");
}

int main(void)
{
	test_real_ids();
	test_kernel();
	return done();
}
