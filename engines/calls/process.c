/* The state of the guest process, and who it belongs to when a vfork child shares the memory, or a thread has
 * credentials of its own. */
#include <linux/errno.h>
#include <linux/mman.h>

#include "calls.h"

struct engine engine;

/* The first is the process itself; the others are vfork children that changed something before their exec. */
#define PROCESSES 12
static struct process processes[PROCESSES];
static int process_taken[PROCESSES];
static int processes_apart; /* how many may be taken */

struct process *process_first(void)
{
	return &processes[0];
}

static struct process *find(int pid)
{
	for (unsigned i = 0; i < PROCESSES; i++)
		if ((i == 0 || process_taken[i]) && processes[i].pid == pid)
			return &processes[i];
	return NULL;
}

/* Credentials are each thread's own, credentials(7). Mostly all have those of the process. One that changed its own
 * alone stands here, with a copy of the process that holds them. */
#define THREADS 512
struct thread {
	int tid; /* 0 = free */
	unsigned long pointer; /* its thread pointer, by which a forked child knows whose copy it is */
	struct process process;
};
static struct thread *threads;	/* mapped when needed */
static int threads_pid;		/* of the process they are of */
static int threads_apart;	/* how many there are */

static struct thread *find_thread(void)
{
	bool forked = (int)SYS0(getpid) != threads_pid;
	unsigned long pointer = forked ? arch_thread_pointer() : 0;
	int tid = (int)SYS0(gettid);

	for (unsigned i = 0; i < THREADS; i++) {
		struct thread *t = &threads[i];
		int owner = __atomic_load_n(&t->tid, __ATOMIC_ACQUIRE);

		if (owner && (forked ? t->pointer == pointer : owner == tid))
			return t;
	}
	return NULL;
}

static void forget_threads(void)
{
	for (unsigned i = 0; i < THREADS; i++)
		__atomic_store_n(&threads[i].tid, 0, __ATOMIC_RELEASE);
	__atomic_store_n(&threads_apart, 0, __ATOMIC_RELEASE);
}

/* `p` as the calling thread sees it. */
static const struct process *of_thread(struct process *p)
{
	struct thread *t = find_thread();

	/* The only thread of a new process: its credentials are the process'. */
	if ((int)SYS0(getpid) != threads_pid && !__atomic_load_n(&engine_vm_shared, __ATOMIC_RELAXED)) {
		if (t)
			p->creds = t->process.creds;
		forget_threads();
		return p;
	}
	if (!t)
		return p;
	memcpy(&t->process, p, offsetof(struct process, creds));
	return &t->process;
}

const struct process *process_current(void)
{
	struct process *p = &processes[0];
	int pid;

	/* The common case: nobody shares this memory, or changed anything in it, so the state is ours. */
	if (__atomic_load_n(&engine_vm_shared, __ATOMIC_RELAXED) &&
	    __atomic_load_n(&processes_apart, __ATOMIC_RELAXED)) {
		pid = (int)SYS0(getpid);
		p = find(pid);
		if (p && p != &processes[0])
			return p;
		if (!p)
			p = find((int)SYS0(getppid));
		if (!p)
			p = &processes[0];
	}
	return __atomic_load_n(&threads_apart, __ATOMIC_RELAXED) ? of_thread(p) : p;
}

struct process *process_writable(void)
{
	const struct process *from;
	struct process *p;
	int pid;

	if (!__atomic_load_n(&engine_vm_shared, __ATOMIC_RELAXED))
		return &processes[0];
	pid = (int)SYS0(getpid);
	p = find(pid);
	if (p)
		return p;
	from = process_current();
	for (unsigned i = 1; i < PROCESSES; i++) {
		if (__atomic_exchange_n(&process_taken[i], 1, __ATOMIC_ACQ_REL))
			continue;
		p = &processes[i];
		memcpy(p, from, sizeof(*p));
		p->pid = pid;
		__atomic_add_fetch(&processes_apart, 1, __ATOMIC_ACQ_REL);
		return p;
	}
	return &processes[PROCESSES - 1]; /* more vfork children at once than anybody has */
}

/* /proc/PID/task has one directory for each thread. */
static int count_threads(void)
{
	struct stat st;

	return sys_fstatat(AT_FDCWD, "/proc/self/task", &st, 0) == 0 ? (int)st.st_nlink - 2 : 1;
}

static struct thread *new_thread(void)
{
	const struct process *p = process_current();
	int tid = (int)SYS0(gettid);
	long memory;

	if (!threads) {
		memory = sys_mmap(NULL, THREADS * sizeof(*threads), PROT_READ | PROT_WRITE,
				  MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
		if (sys_is_err(memory))
			return NULL;
		threads = (struct thread *)memory;
	}
	threads_pid = (int)SYS0(getpid);
	for (unsigned i = 0; i < THREADS; i++) {
		int none = 0;

		if (!__atomic_compare_exchange_n(&threads[i].tid, &none, -1, false, __ATOMIC_ACQ_REL, __ATOMIC_RELAXED))
			continue;
		threads[i].pointer = arch_thread_pointer();
		threads[i].process = *p;
		__atomic_store_n(&threads[i].tid, tid, __ATOMIC_RELEASE);
		__atomic_add_fetch(&threads_apart, 1, __ATOMIC_ACQ_REL);
		return &threads[i];
	}
	return NULL;
}

static void drop_thread(struct thread *t)
{
	__atomic_store_n(&t->tid, 0, __ATOMIC_RELEASE);
	__atomic_sub_fetch(&threads_apart, 1, __ATOMIC_ACQ_REL);
}

struct creds *process_creds_begin(void)
{
	const struct process *now = process_current();
	struct process *p = process_writable();
	struct thread *t;

	/* A vfork child has a process of its own. */
	if (p != &processes[0])
		return &p->creds;
	if (count_threads() == 1) {
		if (now != p) {
			p->creds = now->creds;
			forget_threads();
		}
		return &p->creds;
	}
	t = now != p ? find_thread() : new_thread();
	return t ? &t->process.creds : &p->creds;
}

/* A C library has every thread make the change in turn: with the last of them it is the process'. */
static void settle_threads(void)
{
	struct thread *mine = threads_apart ? find_thread() : NULL;
	int alive, same = 0;

	if (!mine)
		return;
	if (memcmp(&mine->process.creds, &processes[0].creds, sizeof(struct creds)) == 0) {
		drop_thread(mine);
		return;
	}
	alive = count_threads();
	if (threads_apart < alive)
		return;
	for (unsigned i = 0; i < THREADS; i++) {
		struct thread *t = &threads[i];

		if (t->tid > 0 && SYS3(tgkill, threads_pid, t->tid, 0) == -ESRCH)
			drop_thread(t);
		else if (t->tid > 0)
			same += memcmp(&t->process.creds, &mine->process.creds, sizeof(struct creds)) == 0;
	}
	if (same == alive) {
		processes[0].creds = mine->process.creds;
		forget_threads();
	}
}

void process_creds_end(void)
{
	settle_threads();
	ids_publish(&process_current()->creds);
}

void process_before_vfork(void)
{
	struct process *p;

	/* Nobody shares the memory at this moment, so copies of earlier children are of no use. */
	if (!__atomic_load_n(&engine_vm_shared, __ATOMIC_ACQUIRE)) {
		for (unsigned i = 1; i < PROCESSES; i++)
			__atomic_store_n(&process_taken[i], 0, __ATOMIC_RELEASE);
		__atomic_store_n(&processes_apart, 0, __ATOMIC_RELEASE);
		program_before_vfork();
	}
	p = process_writable();
	p->pid = (int)SYS0(getpid);
	__atomic_add_fetch(&engine_vm_shared, 1, __ATOMIC_ACQ_REL);
}

/* The working directory, kept while it is known: relative paths then need no question to the kernel. */
static struct {
	unsigned version; /* odd while being written */
	uint64_t generation;
	uint64_t hash;
	char path[1024];
} cwd;

void process_cwd_changed(void)
{
	__atomic_add_fetch(&cwd.version, 2, __ATOMIC_ACQ_REL);
	__atomic_store_n(&cwd.path[0], '\0', __ATOMIC_RELEASE);
}

/* Asks for the working directory and remembers it. Returns whether it is known now. */
static bool learn_cwd(const struct process *p)
{
	unsigned version = __atomic_load_n(&cwd.version, __ATOMIC_ACQUIRE);
	uint64_t generation, hash;
	char path[sizeof(cwd.path)];
	long n;

	if (version & 1)
		return false;
	generation = dircache_generation(p->view->cache);
	n = view_path_of_fd(p->view, AT_FDCWD, path, sizeof(path));
	if (n <= 0)
		return false;
	hash = dircache_hash_root();
	for (const char *s = path + 1, *e; *s; s = *e ? e + 1 : e) {
		for (e = s; *e && *e != '/'; e++)
			;
		hash = dircache_hash_component(hash, s, (size_t)(e - s));
	}
	if (!__atomic_compare_exchange_n(&cwd.version, &version, version + 1, false, __ATOMIC_ACQ_REL,
					 __ATOMIC_ACQUIRE))
		return false;
	cwd.generation = generation;
	cwd.hash = hash;
	memcpy(cwd.path, path, (size_t)n + 1);
	__atomic_store_n(&cwd.version, version + 2, __ATOMIC_RELEASE);
	return true;
}

struct here process_here(const struct process *p, bool relative)
{
	struct here here = { .exe = engine.exe };

	access_prepare(p, ACCESS_AS_EFFECTIVE, &here);
	if (!relative || !p->view->cache || __atomic_load_n(&engine_vm_shared, __ATOMIC_RELAXED))
		return here;
	if ((cwd.version & 1) || !cwd.path[0] || cwd.generation != dircache_generation(p->view->cache)) {
		if (!learn_cwd(p))
			return here;
	}
	here.cwd = cwd.path;
	here.cwd_hash = cwd.hash;
	return here;
}
