/* The guest's side of a redirected call. */
#include <linux/errno.h>
#include <linux/mman.h>

#include "ptrace.h"

/* Stacks for programs that make system calls on stacks with no room left: Go's are a few KiB and grow by checks that
 * its system calls skip. Its signal handlers all have a stack of their own, so they never land on one of these.
 * entry.S takes one for a call and gives it back. */
#define STACKS 64
#define STACK_SIZE 32768

unsigned long redirect_stacks; /* their memory, or 0: calls run on the guest's stack */
uint64_t redirect_taken;

/* A vfork child shares them with its parent, and leaves one behind when its execve succeeds. */
static uint64_t left_by_exec;

static int use_stacks(void)
{
	long p = sys_mmap(NULL, STACKS * STACK_SIZE, PROT_READ | PROT_WRITE,
			  MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	if (sys_is_err(p))
		return (int)p;
	redirect_stacks = (unsigned long)p;
	return 0;
}

int redirect_prepare(const struct resume_state *state)
{
	return state->flags & EXEC_FLAG_GO ? use_stacks() : 0;
}

/* The bit of the stack that the caller runs on. */
static uint64_t own_stack(const struct call *c)
{
	return 1ull << ((unsigned long)c - redirect_stacks) / STACK_SIZE;
}

/* Stacks of vfork children that are programs of their own by now; nobody shares the memory. */
static void take_back(void)
{
	uint64_t left = __atomic_exchange_n(&left_by_exec, 0, __ATOMIC_ACQ_REL);

	__atomic_fetch_and(&redirect_taken, ~left, __ATOMIC_ACQ_REL);
}

static long redirected_exec(struct call *c)
{
	bool shared = __atomic_load_n(&engine_vm_shared, __ATOMIC_ACQUIRE);
	long r;

	if (!shared)
		take_back();
	else
		__atomic_fetch_or(&left_by_exec, own_stack(c), __ATOMIC_ACQ_REL);
	r = front_end.answer(c);
	if (shared)
		__atomic_fetch_and(&left_by_exec, ~own_stack(c), __ATOMIC_ACQ_REL);
	return r;
}

/* From entry.S. */
long redirected(struct call *c)
{
	const unsigned long ip = c->ip;
	const struct syscall_row *row = syscall_row(c->nr);
	long r;

	if (redirect_stacks && row && (row->op == OP_EXECVE || row->op == OP_EXECVEAT))
		return redirected_exec(c);
	if (redirect_stacks && row && row->op == OP_CLONE && !__atomic_load_n(&engine_vm_shared, __ATOMIC_ACQUIRE))
		take_back();
	r = front_end.answer(c);
	/* A call that sent the guest elsewhere (a gate) has no site. */
	if (c->ip == ip)
		patch_site(c);
	return r;
}
