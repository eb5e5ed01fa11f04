/* torture: signals. An engine inside the process lives on SIGSYS, which the program believes to be its own. */
#include "torture.h"

#include <poll.h>
#include <pthread.h>
#include <setjmp.h>
#include <sys/auxv.h>
#include <sys/epoll.h>
#include <sys/select.h>
#include <sys/signalfd.h>
#include <ucontext.h>

static volatile sig_atomic_t caught, seen_code, path_errno;
static sigjmp_buf jump;

static void count(int signal_)
{
	(void)signal_;
	caught++;
}

/* A handler that needs the file system, as they do. */
static void count_and_stat(int signal_)
{
	struct stat status;

	(void)signal_;
	path_errno = stat("/etc/../etc/passwd", &status) < 0 ? errno : 0;
	caught++;
}

static void jump_out(int signal_)
{
	(void)signal_;
	siglongjmp(jump, 1);
}

static sigset_t everything(void)
{
	sigset_t set;

	sigfillset(&set);
	return set;
}

/* Every signal blocked but this one. */
static sigset_t everything_but(int signal_)
{
	sigset_t set = everything();

	sigdelset(&set, signal_);
	return set;
}

static void block_pending_usr1(void)
{
	sigset_t set;

	handle(SIGUSR1, count, 0, NULL);
	sigemptyset(&set);
	sigaddset(&set, SIGUSR1);
	require(sigprocmask(SIG_BLOCK, &set, NULL) == 0);
	require(raise(SIGUSR1) == 0);
	require(caught == 0);
}

static void paths_work(void)
{
	struct stat status;
	int fd = open("/etc/passwd", O_RDONLY | O_CLOEXEC);

	require(fd >= 0 && fstat(fd, &status) == 0);
	require(stat("/etc/passwd", &status) == 0);
	require(access("/usr/../etc/passwd", R_OK) == 0);
	require(close(fd) == 0);
}

CHECK(EVERYONE, sigsys_blocked_and_read_back)
{
	sigset_t set = everything(), back;

	require(sigprocmask(SIG_BLOCK, &set, NULL) == 0);
	paths_work();
	require(sigprocmask(SIG_BLOCK, NULL, &back) == 0);
	require(sigismember(&back, SIGSYS) == 1 && sigismember(&back, SIGTERM) == 1);
	require(sigismember(&back, SIGKILL) == 0);
	sigemptyset(&set);
	sigaddset(&set, SIGSYS);
	require(sigprocmask(SIG_UNBLOCK, &set, &back) == 0);
	require(sigismember(&back, SIGSYS) == 1);
	require(sigprocmask(SIG_SETMASK, NULL, &back) == 0);
	require(sigismember(&back, SIGSYS) == 0 && sigismember(&back, SIGTERM) == 1);
	paths_work();
}

CHECK(EVERYONE, sigsys_blocked_in_status_file)
{
	char text[8192];
	sigset_t set;
	char *found;

	sigemptyset(&set);
	sigaddset(&set, SIGSYS);
	require(sigprocmask(SIG_SETMASK, &set, NULL) == 0);
	require(slurp("/proc/self/status", text, sizeof(text)) > 0);
	found = strstr(text, "SigBlk:");
	require(found);
	note("%.24s", found);
}

CHECK(EVERYONE, sigaction_mask_full)
{
	sigset_t set = everything();
	struct sigaction back;

	handle(SIGUSR1, count_and_stat, 0, &set);
	require(raise(SIGUSR1) == 0);
	require(caught == 1 && path_errno == 0);
	require(sigaction(SIGUSR1, NULL, &back) == 0);
	require(sigismember(&back.sa_mask, SIGSYS) == 1);
	paths_work();
}

CHECK(EVERYONE, sigsys_action_reads_back)
{
	struct sigaction back;
	sigset_t set;

	require(sigaction(SIGSYS, NULL, &back) == 0);
	require(back.sa_handler == SIG_DFL);
	sigemptyset(&set);
	sigaddset(&set, SIGTERM);
	handle(SIGSYS, count, SA_RESTART, &set);
	require(sigaction(SIGSYS, NULL, &back) == 0);
	require(back.sa_handler == count && (back.sa_flags & SA_RESTART) && sigismember(&back.sa_mask, SIGTERM));
	handle(SIGSYS, SIG_IGN, 0, NULL);
	require(sigaction(SIGSYS, NULL, &back) == 0 && back.sa_handler == SIG_IGN);
	paths_work();
}

static void note_code(int signal_, siginfo_t *info, void *context)
{
	(void)signal_, (void)context;
	seen_code = info->si_code;
	caught++;
}

CHECK(EVERYONE, sigsys_sent_by_kill)
{
	struct sigaction action = {.sa_sigaction = note_code, .sa_flags = SA_SIGINFO};

	require(sigaction(SIGSYS, &action, NULL) == 0);
	require(kill(getpid(), SIGSYS) == 0);
	require(caught == 1);
	require(seen_code == SI_USER);
	paths_work();
	require(caught == 1);
}

static void die_of_sigsys(void *unused)
{
	(void)unused;
	kill(getpid(), SIGSYS);
	_exit(7);
}

static void ignore_sigsys(void *unused)
{
	(void)unused;
	signal(SIGSYS, SIG_IGN);
	kill(getpid(), SIGSYS);
	paths_work();
	_exit(8);
}

CHECK(EVERYONE, sigsys_default_kills)
{
	note_status("default", in_child(die_of_sigsys, NULL));
	note_status("ignored", in_child(ignore_sigsys, NULL));
}

CHECK(EVERYONE, sigsys_pending)
{
	sigset_t set, pending;

	handle(SIGSYS, count, 0, NULL);
	sigemptyset(&set);
	sigaddset(&set, SIGSYS);
	require(sigprocmask(SIG_BLOCK, &set, NULL) == 0);
	require(kill(getpid(), SIGSYS) == 0);
	paths_work();
	require(caught == 0);
	require(sigpending(&pending) == 0);
	note("pending=%d", sigismember(&pending, SIGSYS));
	require(sigprocmask(SIG_UNBLOCK, &set, NULL) == 0);
	note("caught=%d", (int)caught);
}

CHECK(EVERYONE, sigsuspend_full_mask)
{
	sigset_t set = everything_but(SIGUSR1);

	block_pending_usr1();
	require(sigsuspend(&set) == -1 && errno == EINTR);
	require(caught == 1);
	paths_work();
}

CHECK(EVERYONE, ppoll_full_mask)
{
	sigset_t set = everything_but(SIGUSR1);
	struct timespec limit = {.tv_sec = 5};

	block_pending_usr1();
	require(ppoll(NULL, 0, &limit, &set) == -1 && errno == EINTR);
	require(caught == 1);
	paths_work();
}

CHECK(EVERYONE, pselect_full_mask)
{
	sigset_t set = everything_but(SIGUSR1);
	struct timespec limit = {.tv_sec = 5};

	block_pending_usr1();
	require(pselect(0, NULL, NULL, NULL, &limit, &set) == -1 && errno == EINTR);
	require(caught == 1);
	paths_work();
}

CHECK(EVERYONE, epoll_pwait_full_mask)
{
	sigset_t set = everything_but(SIGUSR1);
	struct epoll_event event;
	int fd = epoll_create1(EPOLL_CLOEXEC);

	block_pending_usr1();
	require(fd >= 0);
	require(epoll_pwait(fd, &event, 1, 5000, &set) == -1 && errno == EINTR);
	require(caught == 1);
	paths_work();
}

CHECK(EVERYONE, signalfd_and_sigwait)
{
	struct signalfd_siginfo info;
	sigset_t set = everything();
	struct timespec limit = {.tv_sec = 5};
	int fd;

	require(sigprocmask(SIG_BLOCK, &set, NULL) == 0);
	fd = signalfd(-1, &set, SFD_CLOEXEC);
	require(fd >= 0 && raise(SIGUSR2) == 0);
	require(read(fd, &info, sizeof(info)) == (ssize_t)sizeof(info) && info.ssi_signo == SIGUSR2);
	require(raise(SIGTERM) == 0);
	require(sigtimedwait(&set, NULL, &limit) == SIGTERM);
	paths_work();
}

static void edit_context_mask(int signal_, siginfo_t *info, void *context)
{
	ucontext_t *frame = context;

	(void)signal_, (void)info;
	sigaddset(&frame->uc_sigmask, SIGSYS);
	sigaddset(&frame->uc_sigmask, SIGUSR2);
}

CHECK(EVERYONE, context_mask_edited_by_handler)
{
	struct sigaction action = {.sa_sigaction = edit_context_mask, .sa_flags = SA_SIGINFO};
	sigset_t back;

	require(sigaction(SIGUSR1, &action, NULL) == 0);
	for (int round = 0; round < 3; round++) {
		require(raise(SIGUSR1) == 0);
		paths_work();
	}
	require(sigprocmask(SIG_BLOCK, NULL, &back) == 0);
	require(sigismember(&back, SIGUSR2) == 1 && sigismember(&back, SIGSYS) == 1);
	require(sigismember(&back, SIGUSR1) == 0);
}

static void note_context_mask(int signal_, siginfo_t *info, void *context)
{
	ucontext_t *frame = context;

	(void)signal_, (void)info;
	seen_code = sigismember(&frame->uc_sigmask, SIGSYS);
	caught++;
}

CHECK(EVERYONE, context_mask_shows_sigsys)
{
	struct sigaction action = {.sa_sigaction = note_context_mask, .sa_flags = SA_SIGINFO};
	sigset_t set;

	require(sigaction(SIGUSR1, &action, NULL) == 0);
	require(raise(SIGUSR1) == 0 && caught == 1 && seen_code == 0);
	sigemptyset(&set);
	sigaddset(&set, SIGSYS);
	require(sigprocmask(SIG_BLOCK, &set, NULL) == 0);
	require(raise(SIGUSR1) == 0 && caught == 2);
	note("blocked=%d", (int)seen_code);
}

CHECK(EVERYONE, siglongjmp_out_of_open)
{
	volatile int rounds = 0;

	require(mkfifo("fifo", 0600) == 0);
	handle(SIGALRM, jump_out, 0, NULL);
	for (int round = 0; round < 5; round++) {
		if (!sigsetjmp(jump, 1)) {
			/* Again and again: the first may come before the open waits. */
			alarm_us(20000, 20000);
			(void)open("fifo", O_RDONLY);
			require(!"the open returned");
		}
		alarm_us(0, 0);
		rounds++;
		paths_work();
	}
	require(rounds == 5);
}

CHECK(EVERYONE, eintr_from_open)
{
	require(mkfifo("fifo", 0600) == 0);
	handle(SIGALRM, count, 0, NULL);
	alarm_us(20000, 20000);
	require(open("fifo", O_RDONLY) == -1 && errno == EINTR);
	alarm_us(0, 0);
	require(caught >= 1);
}

CHECK(EVERYONE, restart_of_open)
{
	int fd, status;
	pid_t pid;

	require(mkfifo("fifo", 0600) == 0);
	pid = fork();
	require(pid >= 0);
	if (!pid) {
		usleep(150000);
		fd = open("fifo", O_WRONLY);
		_exit(fd < 0);
	}
	handle(SIGALRM, count, SA_RESTART, NULL);
	alarm_us(20000, 30000);
	fd = open("fifo", O_RDONLY);
	alarm_us(0, 0);
	require(fd >= 0);
	require(caught >= 1);
	require(waitpid(pid, &status, 0) == pid && status == 0);
}

CHECK(EVERYONE, small_alternate_stack)
{
	static char memory[8192] __attribute__((aligned(64)));
	stack_t stack = {.ss_sp = memory, .ss_size = sizeof(memory)}, back;

	require(sigaltstack(&stack, NULL) == 0);
	handle(SIGUSR1, count_and_stat, SA_ONSTACK, NULL);
	for (int round = 0; round < 50; round++)
		require(raise(SIGUSR1) == 0 && path_errno == 0);
	require(caught == 50);
	require(sigaltstack(NULL, &back) == 0);
	require(back.ss_sp == memory && back.ss_size == sizeof(memory) && back.ss_flags == 0);
}

CHECK(EVERYONE, minimal_alternate_stack)
{
	unsigned long least = getauxval(AT_MINSIGSTKSZ);
	size_t size = least > 2048 ? least : 2048;
	stack_t stack = {.ss_sp = malloc(size), .ss_size = size};

	/* What the kernel says is enough for a handler that calls nothing; leave room for the handler's own calls. */
	stack.ss_size = size + 1024;
	stack.ss_sp = malloc(stack.ss_size);
	require(stack.ss_sp && sigaltstack(&stack, NULL) == 0);
	handle(SIGUSR1, count_and_stat, SA_ONSTACK, NULL);
	require(raise(SIGUSR1) == 0);
	require(caught == 1 && path_errno == 0);
}

static void *stat_in_thread(void *unused)
{
	struct stat status;
	int fd;

	(void)unused;
	if (stat("/etc/passwd", &status) < 0)
		return (void *)1L;
	fd = open("/etc/../etc/passwd", O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return (void *)2L;
	close(fd);
	return NULL;
}

CHECK(EVERYONE, smallest_thread_stack)
{
	pthread_attr_t attributes;
	pthread_t thread;
	void *result;
	long least = sysconf(_SC_THREAD_STACK_MIN);

	require(pthread_attr_init(&attributes) == 0);
	require(pthread_attr_setstacksize(&attributes, least > 16384 ? (size_t)least : 16384) == 0);
	require(pthread_create(&thread, &attributes, stat_in_thread, NULL) == 0);
	require(pthread_join(thread, &result) == 0 && result == NULL);
}

CHECK(EVERYONE, timer_storm)
{
	char text[64];
	struct stat status;

	make_file("file", "content");
	require(symlink("file", "link") == 0);
	handle(SIGALRM, count_and_stat, SA_RESTART, NULL);
	alarm_us(500, 500);
	for (int round = 0; round < 4000 || caught < 20; round++) {
		int fd;

		require(stat("link", &status) == 0 && status.st_size == 7);
		require(readlink("link", text, sizeof(text)) == 4);
		fd = open("link", O_RDONLY | O_CLOEXEC);
		require(fd >= 0);
		require(read(fd, text, sizeof(text)) == 7 && !memcmp(text, "content", 7));
		require(close(fd) == 0);
	}
	alarm_us(0, 0);
	require(path_errno == 0);
}

static volatile bool stop;

static void *stat_until_stopped(void *ret_failures)
{
	struct stat status;
	long *failures = ret_failures;

	while (!stop) {
		*failures += stat("/usr/bin/../../etc/passwd", &status) != 0;
		*failures += access("does-not-exist", F_OK) == 0;
	}
	return NULL;
}

CHECK(EVERYONE, threads_and_signals)
{
	enum { N = 8 };
	pthread_t threads[N];
	long failures[N] = {0}, all = 0;

	handle(SIGUSR1, count_and_stat, SA_RESTART, NULL);
	for (int i = 0; i < N; i++)
		require(pthread_create(&threads[i], NULL, stat_until_stopped, &failures[i]) == 0);
	for (int round = 0; round < 200; round++) {
		require(pthread_kill(threads[round % N], SIGUSR1) == 0);
		usleep(500);
	}
	stop = true;
	for (int i = 0; i < N; i++) {
		require(pthread_join(threads[i], NULL) == 0);
		all += failures[i];
	}
	require(all == 0 && path_errno == 0);
	require(caught > 0);
}

CHECK(EVERYONE, mask_inherited_over_exec)
{
	char output[256];
	char *argv[] = {(char *)self_path, "--mask", NULL}, *none[] = {NULL};
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIGSYS);
	sigaddset(&set, SIGUSR1);
	require(sigprocmask(SIG_BLOCK, &set, NULL) == 0);
	handle(SIGUSR2, SIG_IGN, 0, NULL);
	handle(SIGTERM, count, 0, NULL);
	note_status("exec", run_program(self_path, argv, none, output, sizeof(output)));
	note("%s", output);
}

CHECK(EVERYONE, raw_sigreturn_restores_mask)
{
	sigset_t before, after, set = everything();

	require(sigprocmask(SIG_BLOCK, NULL, &before) == 0);
	handle(SIGUSR1, count_and_stat, SA_NODEFER, &set);
	for (int round = 0; round < 20; round++)
		require(raise(SIGUSR1) == 0);
	require(caught == 20);
	require(sigprocmask(SIG_BLOCK, NULL, &after) == 0);
	for (int signal_ = 1; signal_ < 32; signal_++)
		require(sigismember(&before, signal_) == sigismember(&after, signal_));
}
