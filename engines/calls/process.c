/* The state of the guest process, and who it belongs to when a vfork child shares the memory. */
#include "calls.h"

struct engine engine;

/* The first is the process itself; the others are vfork children that changed something before their exec. */
#define PROCESSES 12
static struct process processes[PROCESSES];
static int process_taken[PROCESSES];

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

const struct process *process_current(void)
{
	struct process *p;

	/* The common case: nobody shares this memory, so the state is ours. */
	if (!__atomic_load_n(&engine_vm_shared, __ATOMIC_RELAXED))
		return &processes[0];
	p = find((int)SYS0(getpid));
	if (!p)
		p = find((int)SYS0(getppid));
	return p ? p : &processes[0];
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
		return p;
	}
	return &processes[PROCESSES - 1]; /* more vfork children at once than anybody has */
}

void process_before_vfork(void)
{
	struct process *p;

	/* Nobody shares the memory at this moment, so copies of earlier children are of no use. */
	if (!__atomic_load_n(&engine_vm_shared, __ATOMIC_ACQUIRE)) {
		for (unsigned i = 1; i < PROCESSES; i++)
			__atomic_store_n(&process_taken[i], 0, __ATOMIC_RELEASE);
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
