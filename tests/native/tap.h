/* A minimal TAP producer for the native unit tests: ok() for each check, done() as the last statement of main(). */
#ifndef TAP_H
#define TAP_H

#include <stdbool.h>
#include <stdio.h>

static unsigned tap_count, tap_failed;

/* One check. Returns `cond`, so that a test can stop when going on makes no sense. */
static inline bool ok(bool cond, const char *name)
{
	tap_count++;
	if (!cond)
		tap_failed++;
	printf("%sok %u - %s\n", cond ? "" : "not ", tap_count, name);
	fflush(stdout);
	return cond;
}

/* A check that cannot be made here, and why. */
static inline void skip(const char *name, const char *reason)
{
	printf("ok %u - %s # SKIP %s\n", ++tap_count, name, reason);
	fflush(stdout);
}

/* Prints the plan; the exit status of the test. */
static inline int done(void)
{
	printf("1..%u\n", tap_count);
	if (tap_failed)
		fprintf(stderr, "# %u of %u checks failed\n", tap_failed, tap_count);
	return tap_failed || !tap_count ? 1 : 0;
}

#endif
