/* The other namespaces, and the three processes of a process namespace: the one outside that stands for the guest, the
 * namespace's init, and the guest's command, which is the outer one's own child, so that its death, its stops and its
 * status are seen as they are. */
#include <linux/errno.h>
#include <linux/prctl.h>
#include <linux/resource.h>
#include <linux/sched.h>
#include <linux/signal.h>
#include <linux/wait.h>

#include "userns.h"

#define SI_KERNEL_CODE 0x80 /* SI_KERNEL */
#define SI_QUEUE_CODE (-1)  /* SI_QUEUE */

/* struct kernel_sigaction of the 64-bit architectures we know */
struct action {
	uintptr_t handler; /* 0 = SIG_DFL, 1 = SIG_IGN */
	unsigned long flags;
	uintptr_t restorer;
	uint64_t mask;
};

/* The head of siginfo_t, and room for the whole. */
struct info {
	int signo, error, code, pad;
	int pid;
	uint32_t uid;
	char rest[128 - 24];
};

int namespaces_enter(const struct plan *plan, struct failure *ret_failure)
{
	unsigned long flags = CLONE_NEWNS;
	long r;

	if (plan->unshare_pid)
		flags |= CLONE_NEWPID;
	if (plan->unshare_ipc)
		flags |= CLONE_NEWIPC;
	if (plan->unshare_uts)
		flags |= CLONE_NEWUTS;
	if (plan->unshare_net)
		flags |= CLONE_NEWNET;
	r = SYS1(unshare, flags);
	if (r < 0)
		return fail(ret_failure, STEP_NAMESPACES, NULL, r);
	if (plan->hostname) {
		size_t n = 0;

		while (plan->hostname[n])
			n++;
		r = SYS2(sethostname, plan->hostname, n);
		if (r < 0)
			return fail(ret_failure, STEP_HOSTNAME, plan->hostname, r);
	}
	return 0;
}

static uint64_t bit(int sig)
{
	return (uint64_t)1 << (sig - 1);
}

static void change_mask(int how, uint64_t mask, uint64_t *ret_old)
{
	(void)SYS4(rt_sigprocmask, how, &mask, ret_old, sizeof(mask));
}

static void set_action(int sig, uintptr_t handler)
{
	struct action action = { .handler = handler };

	(void)SYS4(rt_sigaction, sig, &action, 0, sizeof(action.mask));
}

/* Closes every descriptor: a pipe whose other end waits for the guest alone must not be held open by us. */
static void close_all(void)
{
	struct {
		uint64_t cur, max;
	} limit = { 1024, 1024 };

	if (SYS3(close_range, 0, ~0u, 0) == 0)
		return;
	(void)SYS4(prlimit64, 0, RLIMIT_NOFILE, 0, &limit);
	for (uint64_t fd = 0; fd < limit.max && fd < 65536; fd++)
		(void)sys_close((int)fd);
}

/* Process 1 of the namespace. The kernel reaps for a parent that ignores SIGCHLD, so there is nothing left to do. */
static _Noreturn void be_init(int ready)
{
	uint64_t none = 0;

	(void)SYS5(prctl, PR_SET_NAME, "udockpy-init", 0, 0, 0);
	(void)SYS5(prctl, PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0);
	set_action(SIGCHLD, 1);
	/* Fails when the outer process was killed before it could have a death signal sent. */
	if (sys_write(ready, "", 1) != 1)
		sys_exit_group(0);
	close_all();
	for (;;)
		(void)SYS2(rt_sigsuspend, &none, sizeof(none));
}

/* Ends this process as the guest ended, so that whoever waits for it sees the guest's own status. */
static _Noreturn void end_as(int status)
{
	int sig = status & 0x7f;
	uint64_t limit[2] = { 0, 0 };

	if (sig == 0)
		sys_exit_group(status >> 8 & 0xff);
	/* The guest has dumped its core, or not; ours is of no use to anybody. */
	(void)SYS5(prctl, PR_SET_DUMPABLE, 0, 0, 0, 0);
	(void)SYS4(prlimit64, 0, RLIMIT_CORE, limit, 0);
	set_action(sig, 0);
	change_mask(SIG_UNBLOCK, bit(sig), NULL);
	(void)SYS2(kill, SYS0(getpid), sig);
	sys_exit_group(128 + sig);
}

struct outer {
	int init, guest;
	bool terminal; /* somebody may do job control with us */
	bool stopped;
};

static void mirror_stop(struct outer *o, int sig)
{
	o->stopped = true;
	/* A guest stopped with SIGSTOP may be continued from inside, and nobody could then wake this process; at a
	 * terminal it is a shell's "suspend", and the shell outside must take over. */
	if (sig == SIGSTOP && !o->terminal)
		return;
	if (sig != SIGSTOP)
		set_action(sig, 0);
	/* First sent, then let in: it becomes one with the terminal's, which may be waiting too, so we stop once. */
	(void)SYS2(kill, SYS0(getpid), sig);
	change_mask(SIG_UNBLOCK, bit(sig), NULL);
	change_mask(SIG_BLOCK, bit(sig), NULL);
}

static void look_at_guest(struct outer *o)
{
	int status;

	while (SYS4(wait4, o->guest, &status, WNOHANG | WUNTRACED | WCONTINUED | __WALL, 0) > 0) {
		if ((status & 0xff) == 0x7f) {
			mirror_stop(o, status >> 8 & 0xff);
		} else if (status == 0xffff) {
			o->stopped = false;
		} else {
			/* Ends with the namespace, so that nothing of the guest outlives the helper. */
			(void)SYS2(kill, o->init, SIGKILL);
			(void)wait_for(o->init);
			end_as(status);
		}
	}
}

/* The terminal and the kernel tell the whole process group, guest included; only what was sent to this process alone
 * is passed on. Which of the two a kill(2) was cannot be seen, but the guest's own is not news to it. */
static void pass_on(const struct outer *o, struct info *info)
{
	if (info->code == SI_KERNEL_CODE || (info->code <= 0 && info->pid == o->guest))
		return;
	if (info->signo == SIGCONT && !o->stopped)
		return;
	if (info->code == SI_QUEUE_CODE && SYS3(rt_sigqueueinfo, o->guest, info->signo, info) == 0)
		return;
	(void)SYS2(kill, o->guest, info->signo);
}

static _Noreturn void stand_for_guest(struct outer *o)
{
	uint64_t all = ~(uint64_t)0;
	struct info info;

	for (;;) {
		long sig = SYS4(rt_sigtimedwait, &all, &info, 0, sizeof(all));

		if (sig == SIGCHLD)
			look_at_guest(o);
		else if (sig > 0)
			pass_on(o, &info);
	}
}

static bool has_terminal(void)
{
	long fd = sys_openat(AT_FDCWD, "/dev/tty", O_RDONLY | O_NOCTTY | O_CLOEXEC, 0);

	if (fd < 0)
		return false;
	(void)sys_close((int)fd);
	return true;
}

/* Starts process 1 and waits until it dies with us. Returns its pid. */
static long start_init(void)
{
	int fds[2];
	long r = SYS2(pipe2, fds, O_CLOEXEC);
	long pid;
	char byte;

	if (r < 0)
		return r;
	pid = fork_process();
	if (pid == 0) {
		(void)sys_close(fds[0]);
		be_init(fds[1]);
	}
	(void)sys_close(fds[1]);
	if (pid > 0)
		r = sys_read(fds[0], &byte, 1);
	(void)sys_close(fds[0]);
	if (pid < 0)
		return pid;
	return r == 1 ? pid : -EPIPE;
}

int pid_namespace_enter(struct failure *ret_failure)
{
	struct outer outer = { .terminal = has_terminal() };
	struct action child = { 0 };
	uint64_t mask = 0;
	long r;

	change_mask(SIG_BLOCK, ~(uint64_t)0, &mask);
	(void)SYS4(rt_sigaction, SIGCHLD, 0, &child, sizeof(child.mask));
	set_action(SIGCHLD, 0); /* an ignored SIGCHLD would lose the guest's status */
	r = start_init();
	if (r < 0)
		return fail(ret_failure, STEP_NAMESPACES, "process 1", r);
	outer.init = (int)r;
	r = fork_process();
	if (r < 0)
		return fail(ret_failure, STEP_PROCESS, "the guest's", r);
	if (r > 0) {
		outer.guest = (int)r;
		close_all();
		stand_for_guest(&outer);
	}
	set_action(SIGCHLD, child.handler);
	change_mask(SIG_SETMASK, mask, NULL);
	return 0;
}
