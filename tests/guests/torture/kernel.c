/* torture: calls an engine must answer for: filters, privileges, mounts, clocks, limits. */
#include "torture.h"

#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sys/auxv.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/statfs.h>
#include <time.h>

static void paths_work(void)
{
	struct stat status;
	int fd = open("/etc/passwd", O_RDONLY | O_CLOEXEC);

	require(fd >= 0 && close(fd) == 0);
	require(stat("/usr/../etc/passwd", &status) == 0);
	require(mkdir("sub", 0755) == 0 && rmdir("sub") == 0);
}

static struct sock_fprog allow_everything(void)
{
	static struct sock_filter filter[] = {BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW)};

	return (struct sock_fprog){.len = 1, .filter = filter};
}

/* A filter like those of sshd and chromium: it kills what they never call, and knows nothing of openat2. */
static struct sock_fprog kill_openat2(void)
{
	static struct sock_filter filter[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_openat2, 0, 1),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_KILL_PROCESS),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
	};

	return (struct sock_fprog){.len = 4, .filter = filter};
}

CHECK(EVERYONE, no_new_privs)
{
	note("before=%d", prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0));
	observe("set", prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0));
	note("after=%d", prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0));
	observe("clear", prctl(PR_SET_NO_NEW_PRIVS, 0, 0, 0, 0));
	observe("odd", prctl(PR_SET_NO_NEW_PRIVS, 1, 1, 0, 0));
	paths_work();
}

CHECK(EVERYONE, seccomp_state)
{
	struct sock_fprog filter = allow_everything();

	note("before=%d", prctl(PR_GET_SECCOMP));
	require(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0);
	observe("set", prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &filter));
	note("after=%d", prctl(PR_GET_SECCOMP));
}

CHECK(EVERYONE, seccomp_filter_by_prctl)
{
	struct sock_fprog filter = kill_openat2();

	require(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0);
	require(prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &filter) == 0);
	paths_work();
	if (fork() == 0) {
		paths_work();
		_exit(0);
	}
	int status;
	require(wait(&status) > 0 && status == 0);
}

CHECK(EVERYONE, seccomp_filter_by_call)
{
	struct sock_fprog filter = kill_openat2();
	unsigned action = SECCOMP_RET_KILL_PROCESS;

	observe("available", syscall(SYS_seccomp, SECCOMP_GET_ACTION_AVAIL, 0, &action));
	observe("probe", syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, NULL));
	observe("probe_tsync", syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, SECCOMP_FILTER_FLAG_TSYNC, NULL));
	observe("bad_operation", syscall(SYS_seccomp, 99, 0, NULL));
	require(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0);
	observe("install", syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, SECCOMP_FILTER_FLAG_TSYNC, &filter));
	paths_work();
	char output[64];
	char *argv[] = {(char *)self_path, "--exit", "4", NULL}, *none[] = {NULL};
	note_status("exec", run_program(self_path, argv, none, output, sizeof(output)));
}

CHECK(EVERYONE, io_uring_is_refused_or_right)
{
	unsigned char parameters[120] = {0};
	long fd = syscall(SYS_io_uring_setup, 4, parameters);

	/* A ring would act behind an engine's back; refusing it is right, and so is a kernel that has none. */
	require(fd >= 0 || errno == ENOSYS || errno == EPERM);
}

CHECK(EVERYONE, mount_is_honest)
{
	struct statfs figures;

	require(mkdir("point", 0755) == 0);
	if (mount("none", "point", "tmpfs", 0, NULL) < 0) {
		require(errno == EPERM || errno == ENOSYS || errno == EACCES);
		return;
	}
	require(statfs("point", &figures) == 0 && figures.f_type == 0x01021994);
	require(umount2("point", MNT_DETACH) == 0);
}

CHECK(EVERYONE, clocks)
{
	struct timespec fast, slow;

	for (clockid_t clock = CLOCK_REALTIME; clock <= CLOCK_MONOTONIC; clock++) {
		require(clock_gettime(clock, &fast) == 0);
		require(syscall(SYS_clock_gettime, clock, &slow) == 0);
		require(slow.tv_sec - fast.tv_sec >= 0 && slow.tv_sec - fast.tv_sec < 5);
	}
	require(getauxval(AT_SYSINFO_EHDR) != 0);
	require(!memcmp((void *)getauxval(AT_SYSINFO_EHDR), "\177ELF", 4));
}

CHECK(EVERYONE, limits)
{
	struct rlimit limit, small = {16, 16};
	struct stat status;

	require(getrlimit(RLIMIT_STACK, &limit) == 0 && limit.rlim_cur > 0);
	require(getrlimit(RLIMIT_NOFILE, &limit) == 0);
	require(setrlimit(RLIMIT_NOFILE, &small) == 0);
	for (int fd = 3; fd < 16; fd++)
		close(fd);
	paths_work();
	require(symlink("/etc/passwd", "link") == 0 && stat("link", &status) == 0);
	char output[64];
	char *argv[] = {(char *)self_path, "--exit", "5", NULL}, *none[] = {NULL};
	note_status("exec", run_program(self_path, argv, none, output, sizeof(output)));
}

CHECK(EVERYONE, address_space_limit)
{
	struct rlimit small = {512 << 20, 512 << 20};

	require(setrlimit(RLIMIT_AS, &small) == 0);
	paths_work();
	char output[64];
	char *argv[] = {(char *)self_path, "--exit", "5", NULL}, *none[] = {NULL};
	note_status("exec", run_program(self_path, argv, none, output, sizeof(output)));
	require(mmap(NULL, 1 << 30, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0) == MAP_FAILED && errno == ENOMEM);
}

CHECK(EVERYONE, unknown_calls)
{
	observe("unknown", syscall(9999));
	observe("negative", syscall(-1));
	observe("gap", syscall(400));
	require(syscall(SYS_getppid) == getppid());
}

CHECK(EVERYONE, system_names)
{
	static char text[4096];

	require(slurp("/proc/sys/kernel/ostype", text, sizeof(text)) > 0);
	note("%.5s", text);
	require(access("/sys/kernel", F_OK) == 0);
	require(access("/dev/null", W_OK) == 0 && access("/dev/urandom", R_OK) == 0);
	int fd = open("/dev/null", O_RDWR | O_CLOEXEC);
	struct stat status;
	require(fd >= 0 && fstat(fd, &status) == 0 && S_ISCHR(status.st_mode));
	require(write(fd, "x", 1) == 1 && read(fd, text, 1) == 0);
	/* The node's /dev/shm is shared by every run there is. */
	char name[64];
	snprintf(name, sizeof(name), "/udockpy-torture-%d", getpid());
	fd = shm_open(name, O_RDWR | O_CREAT, 0600);
	require(fd >= 0 && ftruncate(fd, 4096) == 0 && shm_unlink(name) == 0);
}

CHECK(EVERYONE, terminals)
{
	char name[64];
	struct stat status;
	int master = posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC);

	require(master >= 0 && grantpt(master) == 0 && unlockpt(master) == 0);
	require(ptsname_r(master, name, sizeof(name)) == 0 && stat(name, &status) == 0);
	int slave = open(name, O_RDWR | O_NOCTTY | O_CLOEXEC);
	require(slave >= 0 && isatty(slave));
	require(ttyname_r(slave, name, sizeof(name)) == 0);
	note("%.9s", name);
}
