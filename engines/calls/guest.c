/* The guest's memory. A pointer it passes may be bad; the kernel would answer EFAULT, and so must we: reading it
 * blindly would kill the guest. Each page is asked about with a system call that reads or writes eight bytes and
 * does nothing. */
#include <linux/errno.h>

#include "calls.h"

#define PAGE 4096ul

/* The page that this very code has its stack on needs no question. */
static bool is_stack(unsigned long address)
{
	return ((address ^ (unsigned long)__builtin_frame_address(0)) & ~(PAGE - 1)) == 0;
}

/* rt_sigprocmask(2) copies the new set in before it looks at `how`: EFAULT when it cannot, EINVAL when it can. */
static bool page_readable(unsigned long address)
{
	if (address < PAGE)
		return false; /* a null set would be no set at all */
	if (is_stack(address))
		return true;
	return arch_syscall4(__NR_rt_sigprocmask, 99, (long)(address & ~7ul), 0, 8) != -EFAULT;
}

/* With no new set it only copies the old one out; what it overwrites is put back. */
static bool page_writable(unsigned long address)
{
	uint64_t *p = (uint64_t *)(address & ~7ul), keep;

	if (is_stack(address))
		return true;
	if (!page_readable(address))
		return false;
	keep = *p;
	if (arch_syscall4(__NR_rt_sigprocmask, 0, 0, (long)p, 8) < 0)
		return false;
	*p = keep;
	return true;
}

static bool check(unsigned long start, size_t size, bool (*page_ok)(unsigned long))
{
	unsigned long end;

	if (!size)
		return true;
	if (__builtin_add_overflow(start, size - 1, &end))
		return false;
	for (unsigned long page = start;; page = (page & ~(PAGE - 1)) + PAGE) {
		if (page > end)
			return true;
		if (!page_ok(page))
			return false;
	}
}

bool guest_readable(const void *address, size_t size)
{
	return check((unsigned long)address, size, page_readable);
}

bool guest_writable(void *address, size_t size)
{
	return check((unsigned long)address, size, page_writable);
}

long guest_strlen(const char *s)
{
	size_t n = 0;

	if (!page_readable((unsigned long)s))
		return -EFAULT;
	while (s[n]) {
		n++;
		if (n >= PATH_MAX)
			return -ENAMETOOLONG;
		if (!((unsigned long)(s + n) & (PAGE - 1)) && !page_readable((unsigned long)(s + n)))
			return -EFAULT;
	}
	return (long)n;
}
