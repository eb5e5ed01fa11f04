/* What a compiler takes for granted of a 64-bit number, and i386 has no instruction for: it calls these functions,
 * which are libgcc's and libatomic's elsewhere. A 32-bit variant of those is not installed with every compiler. */
#include <stdbool.h>
#include <stdint.h>

uint64_t __udivmoddi4(uint64_t a, uint64_t b, uint64_t *ret_rest);
uint64_t __udivdi3(uint64_t a, uint64_t b);
uint64_t __umoddi3(uint64_t a, uint64_t b);

/* Long division, bit by bit. */
uint64_t __udivmoddi4(uint64_t a, uint64_t b, uint64_t *ret_rest)
{
	uint64_t quotient = 0, rest = 0;

	for (int bit = 63; bit >= 0; bit--) {
		bool carry = rest >> 63;

		rest = rest << 1 | (a >> bit & 1);
		if (carry || rest >= b) {
			rest -= b;
			quotient |= 1ull << bit;
		}
	}
	*ret_rest = rest;
	return quotient;
}

uint64_t __udivdi3(uint64_t a, uint64_t b)
{
	uint64_t rest;

	return __udivmoddi4(a, b, &rest);
}

uint64_t __umoddi3(uint64_t a, uint64_t b)
{
	uint64_t rest;

	(void)__udivmoddi4(a, b, &rest);
	return rest;
}

/* If *p is `old` it becomes `new`; returns what it was. */
static uint64_t exchange_if(volatile void *p, uint64_t old, uint64_t new)
{
	__asm__ volatile("lock cmpxchg8b %1"
			 : "+A"(old), "+m"(*(volatile uint64_t *)p)
			 : "b"((uint32_t)new), "c"((uint32_t)(new >> 32))
			 : "memory", "cc");
	return old;
}

/* The compiler knows these names, and their types better than we may say them. */
uint64_t atomic_load_8(const volatile void *p, int order) __asm__("__atomic_load_8");
void atomic_store_8(volatile void *p, uint64_t value, int order) __asm__("__atomic_store_8");
bool atomic_compare_exchange_8(volatile void *p, void *expected, uint64_t value, int success, int failure)
	__asm__("__atomic_compare_exchange_8");
uint64_t atomic_exchange_8(volatile void *p, uint64_t value, int order) __asm__("__atomic_exchange_8");
uint64_t atomic_fetch_add_8(volatile void *p, uint64_t value, int order) __asm__("__atomic_fetch_add_8");
uint64_t atomic_fetch_or_8(volatile void *p, uint64_t value, int order) __asm__("__atomic_fetch_or_8");
uint64_t atomic_fetch_and_8(volatile void *p, uint64_t value, int order) __asm__("__atomic_fetch_and_8");

/* Without writing, for a page that was never written may cost a block of a full disk to write. Every CPU that runs a
 * 64-bit kernel has the register; it is the guest's, who gets it back. */
uint64_t atomic_load_8(const volatile void *p, int order)
{
	uint64_t value;
	char kept[16];

	(void)order;
	__asm__ volatile("movups %%xmm0, %1\n\t"
			 "movq %2, %%xmm0\n\t"
			 "movq %%xmm0, %0\n\t"
			 "movups %1, %%xmm0"
			 : "=m"(value), "=m"(kept)
			 : "m"(*(const volatile uint64_t *)p)
			 : "memory");
	return value;
}

bool atomic_compare_exchange_8(volatile void *p, void *expected, uint64_t value, int success, int failure)
{
	uint64_t *old = expected, found = exchange_if(p, *old, value);
	bool same = found == *old;

	(void)success;
	(void)failure;
	if (!same)
		*old = found;
	return same;
}

/* Makes *p what `of` says of what it was, which is returned. */
static uint64_t change(volatile void *p, uint64_t (*of)(uint64_t old, uint64_t value), uint64_t value)
{
	uint64_t old = atomic_load_8(p, 0);

	for (;;) {
		uint64_t found = exchange_if(p, old, of(old, value));

		if (found == old)
			return old;
		old = found;
	}
}

static uint64_t just_value(uint64_t old, uint64_t value)
{
	(void)old;
	return value;
}

static uint64_t sum(uint64_t old, uint64_t value)
{
	return old + value;
}

static uint64_t both(uint64_t old, uint64_t value)
{
	return old | value;
}

static uint64_t common(uint64_t old, uint64_t value)
{
	return old & value;
}

void atomic_store_8(volatile void *p, uint64_t value, int order)
{
	(void)order;
	(void)change(p, just_value, value);
}

uint64_t atomic_exchange_8(volatile void *p, uint64_t value, int order)
{
	(void)order;
	return change(p, just_value, value);
}

uint64_t atomic_fetch_add_8(volatile void *p, uint64_t value, int order)
{
	(void)order;
	return change(p, sum, value);
}

uint64_t atomic_fetch_or_8(volatile void *p, uint64_t value, int order)
{
	(void)order;
	return change(p, both, value);
}

uint64_t atomic_fetch_and_8(volatile void *p, uint64_t value, int order)
{
	(void)order;
	return change(p, common, value);
}
