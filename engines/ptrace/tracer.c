/* The tracer. It stops each thread of the guest at system calls that must not reach the host and sends them to
 * redirected_entry; everything else it lets pass as if it were not there. It knows no paths, reads no memory of the
 * guest and remembers nothing about it.
 *
 * The process that the user started becomes the guest, and its tracer is nobody's child: so the guest's status, its
 * stops, its signals and its terminal are the kernel's business alone. The tracer ends with the last process of the
 * guest; when it is killed, so are they (PTRACE_O_EXITKILL). ptrace(2). */
#include <linux/errno.h>
#include <linux/elf.h>
#include <linux/prctl.h>
#include <linux/ptrace.h>
#include <linux/signal.h>
#include <linux/uio.h>
#include <linux/wait.h>

#include "arch/i386/window.h"
#include "ptrace.h"
#include "tracee.h"

/* Not TRACEEXEC: of a seized thread an execve says nothing then, and nobody needs to know. */
#define TRACE_OPTIONS                                                                                                \
	(PTRACE_O_EXITKILL | PTRACE_O_TRACESYSGOOD | PTRACE_O_TRACEFORK | PTRACE_O_TRACEVFORK | PTRACE_O_TRACECLONE | \
	 PTRACE_O_TRACESECCOMP)
#define SYSCALL_STOP (SIGTRAP | 0x80) /* TRACESYSGOOD */


/* What wait4(2) says of a thread: an exit, or a stop. */
struct event {
	int tid;
	int status;
};

static long trace(int request, int tid, unsigned long address, unsigned long data)
{
	return SYS4(ptrace, request, tid, address, data);
}

/* Lets a stopped thread run. It may have been killed meanwhile: all errors say that. */
static void resume(int tid, int signal, bool filtered)
{
	(void)trace(filtered ? PTRACE_CONT : PTRACE_SYSCALL, tid, 0, (unsigned long)signal);
}

/* A call of an i386 program at its entry. Its stack takes what its registers have no room for: not reading the guest's
 * memory, but the one place where it is written. */
static void divert_i386(int tid, struct tracee_registers_i386 *r, long error)
{
	uint64_t words;

	if (!error) {
		words = tracee_redirect_i386(r, I386_REDIRECTED_ENTRY);
		if (trace(PTRACE_POKEDATA, tid, r->esp, words) >= 0)
			return;
		r->esp += sizeof(words);
		r->eip = (uint32_t)words;
		error = -EFAULT;
	}
	tracee_answer_i386(r, (int32_t)error);
}

/* A call at its entry: redirected, or when `error` is not 0 answered with it. `other` = it has the numbers of i386. */
static void divert(int tid, long error, bool other)
{
	union tracee_any_registers registers;
	struct iovec iov = { .iov_base = &registers, .iov_len = sizeof(registers) };

	if (trace(PTRACE_GETREGSET, tid, NT_PRSTATUS, (unsigned long)&iov) < 0)
		return;
	if (iov.iov_len == sizeof(registers.i386))
		divert_i386(tid, &registers.i386, error);
	else if (error || other) /* int 0x80 in a 64-bit program */
		tracee_answer(&registers.native, error ? error : -ENOSYS);
	else
		tracee_redirect(&registers.native, (unsigned long)redirected_entry);
	(void)trace(PTRACE_SETREGSET, tid, NT_PRSTATUS, (unsigned long)&iov);
}

/* At a call that the filter sent here. */
static void at_filtered_call(int tid)
{
	unsigned long message = 0;

	(void)trace(PTRACE_GETEVENTMSG, tid, 0, (unsigned long)&message);
	divert(tid, 0, message == FILTER_OTHER);
}

static const struct abi *abi_of(uint32_t audit)
{
	if (audit == native_abi.audit)
		return &native_abi;
	return front_end.other_abi && audit == front_end.other_abi->audit ? front_end.other_abi : NULL;
}

/* Without a filter every call stops, here at its entry and again at its exit. The rules are the filter's. */
static void at_any_call(int tid)
{
	struct ptrace_syscall_info info;
	struct call c = { 0 };
	const struct abi *abi;

	if (trace(PTRACE_GET_SYSCALL_INFO, tid, sizeof(info), (unsigned long)&info) < 0 ||
	    info.op != PTRACE_SYSCALL_INFO_ENTRY)
		return;
	abi = abi_of(info.arch);
	if (!abi) {
		divert(tid, -ENOSYS, false);
		return;
	}
	c.nr = (long)info.entry.nr;
	for (unsigned i = 0; i < 6; i++)
		c.arg[i] = info.entry.args[i];
	if (info.instruction_pointer >= abi->text_start && info.instruction_pointer <= abi->text_end)
		return;
	if (call_concerned(abi, &c))
		divert(tid, 0, abi != &native_abi);
}

static bool is_stop(int signal)
{
	return signal == SIGSTOP || signal == SIGTSTP || signal == SIGTTIN || signal == SIGTTOU;
}

static void dispatch_event(const struct event *e, bool filtered)
{
	const int signal = e->status >> 8 & 0xff, kind = e->status >> 16;
	int deliver = 0;

	if ((e->status & 0xff) != 0x7f)
		return; /* it is gone */
	if (kind == PTRACE_EVENT_STOP && is_stop(signal)) {
		/* The whole process is stopped: the thread stays so until somebody continues it. */
		(void)trace(PTRACE_LISTEN, e->tid, 0, 0);
		return;
	}
	if (kind == PTRACE_EVENT_SECCOMP)
		at_filtered_call(e->tid);
	else if (signal == SYSCALL_STOP)
		at_any_call(e->tid);
	else if (!kind)
		deliver = signal; /* with the siginfo it came with */
	resume(e->tid, deliver, filtered);
}

/* Waits for something to happen. Returns false when there is no guest any more. */
static bool next_event(struct event *ret_event)
{
	long r;

	do
		r = SYS4(wait4, -1, &ret_event->status, __WALL, NULL);
	while (r == -EINTR);
	ret_event->tid = (int)r;
	return r > 0;
}

/* Closes the descriptors that /proc/self/fd lists, but one. */
static void close_listed(int but)
{
	char buf[1024];
	long n, dir = sys_openat(AT_FDCWD, "/proc/self/fd", O_RDONLY | O_DIRECTORY, 0);

	if (dir < 0)
		return;
	while ((n = SYS3(getdents64, dir, buf, sizeof(buf))) > 0) {
		for (long at = 0; at < n; at += *(uint16_t *)(void *)(buf + at + 16)) {
			int fd = 0;

			for (const char *s = buf + at + 19; *s >= '0' && *s <= '9'; s++)
				fd = fd * 10 + (*s - '0');
			if (buf[at + 19] != '.' && fd != but && fd != (int)dir)
				(void)sys_close(fd);
		}
	}
	(void)sys_close((int)dir);
}

/* Leaves everything that is the guest's alone: its session and terminal, its files, its directory. `keep` stays. */
static void let_go(int keep)
{
	(void)SYS0(setsid);
	(void)SYS1(chdir, "/");
	if ((keep > 0 && SYS3(close_range, 0, keep - 1, 0) < 0) || SYS3(close_range, keep + 1, ~0u, 0) < 0)
		close_listed(keep);
	(void)SYS2(prctl, PR_SET_NAME, "udockpy-tracer");
}

/* The tracer's life. `report` is the pipe to the guest, which waits to hear whether it is traced. */
static _Noreturn void trace_guest(int guest, int report, bool filtered)
{
	struct event event;
	int r;

	let_go(report);
	r = (int)trace(PTRACE_SEIZE, guest, 0, TRACE_OPTIONS);
	/* It has to stop once to be resumed our way. */
	if (r >= 0)
		r = (int)trace(PTRACE_INTERRUPT, guest, 0, 0);
	(void)sys_write(report, &r, sizeof(r));
	(void)sys_close(report);
	while (r >= 0 && next_event(&event))
		dispatch_event(&event, filtered);
	sys_exit_group(0);
}

static int fork_quietly(void)
{
	/* No signal at its end: who started us may have SIGCHLD blocked or ignored, and the guest inherits that. */
	return (int)SYS5(clone, 0, 0, 0, 0, 0);
}

int tracer_start(bool filtered)
{
	const int guest = (int)SYS0(getpid);
	int report[2], child, result;
	long r;

	r = SYS2(pipe2, report, O_CLOEXEC);
	if (r < 0)
		return (int)r;
	/* Yama's ptrace_scope 1 lets only ancestors trace, and whom one names. */
	(void)SYS5(prctl, PR_SET_PTRACER, PR_SET_PTRACER_ANY, 0, 0, 0);
	child = fork_quietly();
	if (child == 0) {
		/* A grandchild, whose parent is gone: the guest must not find a child that it did not make. */
		if (fork_quietly() == 0)
			trace_guest(guest, report[1], filtered);
		sys_exit_group(0);
	}
	(void)sys_close(report[1]);
	while (child > 0 && SYS4(wait4, child, NULL, __WALL, NULL) == -EINTR)
		;
	do
		r = sys_read(report[0], &result, sizeof(result));
	while (r == -EINTR);
	(void)sys_close(report[0]);
	(void)SYS5(prctl, PR_SET_PTRACER, 0, 0, 0, 0);
	return r == sizeof(result) ? result : child < 0 ? child : -EAGAIN;
}
