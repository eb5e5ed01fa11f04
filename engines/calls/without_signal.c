/* For architectures where calls are only ever redirected: no signal of ours is in the guest's way, and no call site is
 * patched. */
#include <linux/errno.h>

#include "calls.h"

bool own_signal_blocked(void)
{
	return false;
}

void own_signal_block(bool block)
{
	(void)block;
}

long signal_answer(struct call *c, const struct syscall_row *row)
{
	(void)c;
	(void)row;
	return -ENOSYS;
}

void patch_site(const struct call *c)
{
	(void)c;
}
