/* udockpy-ptrace-i386: a program of an i386 guest, and the code that answers its calls. udockpy-ptrace starts it in its
 * own place, and is the tracer: nothing begins here. */
#include "ptrace.h"

/* That it runs is all there is to find out. */
static void probe(void)
{
	sys_exit_group(0);
}

const struct front_end front_end = {
	.name = "udockpy-ptrace",
	.other = "udockpy-ptrace",
	.traced = true,
	.no_tracer = PTRACE_NO_TRACER,
	.answer = narrow_dispatch,
	.prepare = redirect_prepare,
	.probe = probe,
};
