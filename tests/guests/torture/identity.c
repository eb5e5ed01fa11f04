/* torture: what a root (real or pretended) may do to itself. */
#include "torture.h"

#include <grp.h>
#include <linux/capability.h>
#include <pthread.h>
#include <sys/fsuid.h>
#include <sys/prctl.h>

static void note_ids(const char *what)
{
	uid_t r, e, s;
	gid_t gr, ge, gs;

	require(getresuid(&r, &e, &s) == 0 && getresgid(&gr, &ge, &gs) == 0);
	require(getuid() == r && geteuid() == e && getgid() == gr && getegid() == ge);
	note("%s=%d,%d,%d:%d,%d,%d", what, (int)r, (int)e, (int)s, (int)gr, (int)ge, (int)gs);
}

static void note_groups(const char *what)
{
	gid_t groups[64];
	int count = getgroups(64, groups);

	require(count >= 0 && getgroups(0, NULL) == count);
	note("%s=%d", what, count);
	for (int i = 0; i < count; i++)
		note("%d", (int)groups[i]);
}

/* Capabilities as three words; capget is not in every C library. */
static void note_capabilities(const char *what)
{
	struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
	struct __user_cap_data_struct data[2];

	require(syscall(SYS_capget, &header, data) == 0);
	/* Which capabilities root has depends on the machine, so: CAP_CHOWN, CAP_SETUID, CAP_DAC_OVERRIDE. */
	note("%s=%x,%x", what, data[0].effective & 0x83, data[0].permitted & 0x83);
}

CHECK(ROOT_ONLY, user_ids)
{
	note_ids("start");
	observe("setresuid", setresuid(1, 2, 3));
	note_ids("dropped");
	observe("back_to_real", seteuid(1));
	observe("to_saved", seteuid(3));
	observe("to_root", seteuid(0));
	observe("setuid_root", setuid(0));
	observe("setreuid", setreuid(3, 1));
	note_ids("end");
	observe("foreign", setresuid(7, -1, -1));
	observe("setgid", setgid(7));
	observe("setgroups", setgroups(0, NULL));
}

CHECK(ROOT_ONLY, effective_round_trip)
{
	observe("seteuid", seteuid(1000));
	note_ids("as_1000");
	note_capabilities("caps");
	observe("chown", chown("/", 0, 0));
	observe("back", seteuid(0));
	note_ids("root");
	note_capabilities("caps");
	observe("setegid", setegid(50));
	observe("setegid_back", setegid(0));
	observe("setreuid", setreuid(5, -1));
	note_ids("real_5");
	observe("setuid", setuid(1000));
	note_ids("setuid");
	observe("regain", setuid(0));
	observe("regain_effective", seteuid(0));
}

CHECK(ROOT_ONLY, user_ids_bad)
{
	observe("minus_one", setuid((uid_t)-1));
	observe("all_unchanged", setresuid(-1, -1, -1));
	note_ids("same");
	observe("high", setresuid(-1, 65534, -1));
	note_ids("nobody");
	observe("real", seteuid(0));
	note("setfsuid=%d,%d", setfsuid(9), setfsuid(-1));
	note("setfsgid=%d,%d", setfsgid(8), setfsgid(-1));
	note_ids("end");
}

CHECK(ROOT_ONLY, group_lists)
{
	gid_t many[] = {5, 1, 5, 1000000};

	observe("set", setgroups(4, many));
	note_groups("groups");
	observe("short", getgroups(2, many));
	observe("huge", setgroups(100000, many));
	observe("clear", setgroups(0, NULL));
	note_groups("cleared");
	observe("initgroups", initgroups("root", 77));
	note_groups("root");
	observe("setresgid", setresgid(10, 20, 30));
	note_ids("gids");
	require(setuid(1000) == 0);
	observe("setgid", setgid(10));
	note_ids("setgid");
	observe("setgid_foreign", setgid(0));
	observe("saved", setegid(30));
	observe("setregid", setregid(20, 10));
}

CHECK(ROOT_ONLY, keep_capabilities)
{
	struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
	struct __user_cap_data_struct data[2] = {0};

	note("keep=%d", prctl(PR_GET_KEEPCAPS));
	note_capabilities("start");
	require(prctl(PR_SET_KEEPCAPS, 1) == 0);
	note("keep=%d", prctl(PR_GET_KEEPCAPS));
	require(setresuid(6, 6, 6) == 0);
	note_capabilities("kept");
	observe("without_effective", setuid(7));
	data[0].effective = data[0].permitted = 1U << CAP_SETUID | 1U << CAP_CHOWN;
	observe("capset", syscall(SYS_capset, &header, data));
	note_capabilities("raised");
	observe("setuid", setresuid(8, 8, 8));
	note_ids("moved");
	data[0].effective = data[0].permitted = 1U << CAP_SETUID | 1U << CAP_DAC_OVERRIDE;
	observe("regain", syscall(SYS_capset, &header, data));
	char output[256];
	char *argv[] = {(char *)self_path, "--ids", NULL}, *none[] = {NULL};
	note_status("exec", run_program(self_path, argv, none, output, sizeof(output)));
	note("keep=%d", prctl(PR_GET_KEEPCAPS));
}

CHECK(ROOT_ONLY, capabilities_dropped_for_good)
{
	struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
	struct __user_cap_data_struct data[2] = {0};

	observe("capset", syscall(SYS_capset, &header, data));
	note_capabilities("none");
	make_file("file", "x");
	observe("chown", chown("file", 5, 5));
	observe("setuid", setuid(5));
	observe("setgroups", setgroups(0, NULL));
	note_ids("root_still");
}

CHECK(ROOT_ONLY, vfork_child_changes_itself_only)
{
	int status;
	volatile int seen = -1;
	pid_t pid = vfork();

	if (!pid) {
		/* Raw: the C library would tell the threads of the parent. */
		syscall(SYS_setresuid, 1000, 1000, 1000);
		seen = (int)syscall(SYS_getuid);
		_exit(9);
	}
	require(waitpid(pid, &status, 0) == pid && WEXITSTATUS(status) == 9);
	note("child=%d", seen);
	note_ids("parent");
	require(syscall(SYS_getuid) == 0);
	make_file("file", "x");
	require(chown("file", 3, 4) == 0);
}

static void *drop_in_thread(void *unused)
{
	(void)unused;
	require(syscall(SYS_setresuid, 1000, 1000, 1000) == 0);
	return (void *)syscall(SYS_geteuid);
}

CHECK(ROOT_ONLY, threads_have_own_ids)
{
	pthread_t thread;
	void *result;

	require(pthread_create(&thread, NULL, drop_in_thread, NULL) == 0);
	require(pthread_join(thread, &result) == 0);
	note("thread=%ld main=%ld", (long)result, syscall(SYS_geteuid));
}

static void *drop_and_fork(void *unused)
{
	char output[256];
	char *argv[] = {(char *)self_path, "--ids", NULL}, *none[] = {NULL};
	int status;
	pid_t pid;

	(void)unused;
	require(syscall(SYS_setresuid, 1000, 1000, 1000) == 0);
	pid = fork();
	require(pid >= 0);
	if (!pid)
		_exit(syscall(SYS_geteuid) == 1000 && syscall(SYS_setresuid, 0, 0, 0) < 0 ? 11 : 12);
	require(waitpid(pid, &status, 0) == pid);
	note_status("fork", status);
	note_status("exec", run_program(self_path, argv, none, output, sizeof(output)));
	note("[%s]", strstr(output, "uid="));
	return NULL;
}

CHECK(ROOT_ONLY, thread_with_own_ids_forks)
{
	pthread_t thread;

	require(pthread_create(&thread, NULL, drop_and_fork, NULL) == 0);
	require(pthread_join(thread, NULL) == 0);
	note("main=%ld", syscall(SYS_geteuid));
	require(chown(".", 3, 4) == 0 && setuid(5) == 0);
	note("dropped=%ld", syscall(SYS_geteuid));
}

static void *read_ids(void *unused)
{
	(void)unused;
	usleep(50000);
	return (void *)(long)geteuid();
}

CHECK(ROOT_ONLY, library_changes_all_threads)
{
	pthread_t thread;
	void *result;

	require(pthread_create(&thread, NULL, read_ids, NULL) == 0);
	require(setuid(1000) == 0);
	require(pthread_join(thread, &result) == 0);
	note("thread=%ld", (long)result);
}

CHECK(ROOT_ONLY, ids_over_fork_and_exec)
{
	char output[256];
	char *argv[] = {(char *)self_path, "--ids", NULL}, *none[] = {NULL};
	gid_t group = 44;

	note_status("root", run_program(self_path, argv, none, output, sizeof(output)));
	note("[%s]", strstr(output, "uid="));
	require(setgroups(1, &group) == 0 && setresgid(11, 12, 13) == 0 && setresuid(0, 1000, 0) == 0);
	note_status("effective", run_program(self_path, argv, none, output, sizeof(output)));
	note("[%s]", output);
	require(seteuid(0) == 0 && setresuid(21, 22, 23) == 0);
	note_status("mixed", run_program(self_path, argv, none, output, sizeof(output)));
	note("[%s]", output);
}

CHECK(ROOT_ONLY, set_id_programs)
{
	char output[256];
	char *argv[] = {"prog", "--ids", NULL}, *none[] = {NULL};
	gid_t group = 44;

	copy_self("prog");
	require(chmod(".", 0755) == 0 && setgroups(1, &group) == 0);
	require(chown("prog", 12, 34) == 0 && chmod("prog", 04755) == 0);
	require(setresgid(1000, 1000, 1000) == 0 && setresuid(0, 1000, 0) == 0);
	note_status("setuid", run_program("./prog", argv, none, output, sizeof(output)));
	note("[%s]", output);
	require(seteuid(0) == 0 && chmod("prog", 06755) == 0 && seteuid(1000) == 0);
	note_status("both", run_program("./prog", argv, none, output, sizeof(output)));
	note("[%s]", output);
	require(seteuid(0) == 0 && chown("prog", 0, 0) == 0 && chmod("prog", 04711) == 0);
	require(setresuid(1000, 1000, 1000) == 0);
	note_status("to_root", run_program("./prog", argv, none, output, sizeof(output)));
	note("[%s]", output);
	require(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0);
	note_status("no_new_privs", run_program("./prog", argv, none, output, sizeof(output)));
	note("[%s]", output);
}

CHECK(ROOT_ONLY, chroot_re_roots)
{
	struct stat status;
	char text[256];

	require(mkdir("jail", 0755) == 0 && mkdir("jail/etc", 0755) == 0 && mkdir("jail/bin", 0755) == 0);
	make_file("jail/etc/passwd", "jailed");
	make_file("outside", "outside");
	require(symlink("/etc/passwd", "jail/absolute") == 0);
	require(symlink("../../../../outside", "jail/escape") == 0);
	observe("missing", chroot("nowhere"));
	observe("file", chroot("outside"));
	require(chroot("jail") == 0);
	require(slurp("/etc/passwd", text, sizeof(text)) == 6);
	/* The working directory stays where it was: outside. */
	observe("cwd_outside", stat("outside", &status));
	require(chdir("/") == 0 && getcwd(text, sizeof(text)));
	note("cwd=%s", text);
	observe("above", stat("/../outside", &status));
	observe("escape", stat("escape", &status));
	require(slurp("absolute", text, sizeof(text)) == 6);
	require(slurp("/../../etc/../etc/passwd", text, sizeof(text)) == 6);
	observe("nothing_else", stat("/usr", &status));
	observe("again", chroot("/etc"));
	require(slurp("/passwd", text, sizeof(text)) == 6);
	if (fork() == 0)
		_exit(slurp("/passwd", text, sizeof(text)) == 6 ? 0 : 1);
	int wstatus;
	require(wait(&wstatus) > 0 && wstatus == 0);
}

CHECK(ROOT_ONLY, chroot_and_execute)
{
	char output[256];
	char *argv[] = {"prog", "--ids", NULL}, *none[] = {NULL};

	require(mkdir("jail", 0755) == 0);
	copy_self("jail/prog");
	require(chroot("jail") == 0 && chdir("/") == 0);
	/* A dynamic program misses its interpreter in there; a static one runs. */
	note_status("exec", run_program("/prog", argv, none, output, sizeof(output)));
	note_status("outside", run_program(self_path, argv, none, output, sizeof(output)));
	require(setuid(1000) == 0);
	observe("as_user", chroot("/"));
}

CHECK(ROOT_ONLY, root_stays_usable)
{
	observe("setpgid", setpgid(0, 0));
	observe("setsid", fork() == 0 ? (_exit(setsid() > 0 ? 0 : 1), 0) : 0);
	note_status("session", ({ int status; wait(&status); status; }));
	observe("nice", nice(1) == -1 ? -1 : 0);
	observe("kill", kill(getpid(), 0));
}
