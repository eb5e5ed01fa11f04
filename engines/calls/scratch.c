/* Scratch memory for path resolution: a small pool, taken and given back without locks. A slot is lost when a
 * guest's signal handler jumps out of an interrupted call; when none is left, memory is mapped for the one call. */
#include <linux/mman.h>

#include "calls.h"

#define SLOTS 6

static SELDOM struct {
	struct scratch scratch;
} pool[SLOTS];
static unsigned char taken[SLOTS];

struct scratch *scratch_get(void)
{
	long p;

	for (unsigned i = 0; i < SLOTS; i++)
		if (!__atomic_exchange_n(&taken[i], 1, __ATOMIC_ACQUIRE))
			return &pool[i].scratch;
	p = sys_mmap(NULL, sizeof(struct scratch), PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	return sys_is_err(p) ? NULL : (struct scratch *)p;
}

void scratch_put(struct scratch *s)
{
	unsigned long offset = (unsigned long)s - (unsigned long)pool;

	if (offset < sizeof(pool))
		__atomic_store_n(&taken[offset / sizeof(pool[0])], 0, __ATOMIC_RELEASE);
	else
		(void)sys_munmap(s, sizeof(*s));
}
