/* The one grammar of words that every helper speaks:
 *
 *   udockpy-ENGINE [--args FD] WORD... -- COMMAND [ARG...]
 *
 * Python writes it, plan_parse() reads it, docs/reference/plan.md defines it. Words also come NUL-separated through
 * `--args FD`, so that a front end never meets ARG_MAX or quoting. Each process hands the plan on over execve in the
 * same words. */
#ifndef CORE_PLAN_H
#define CORE_PLAN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define PLAN_BINDS_MAX 128
#define PLAN_ENV_MAX 256
#define PLAN_GROUPS_MAX 64

/* Whose the files are of which nothing is remembered, to a pretended root. */
enum plan_owners {
	OWNERS_CALLER, /* the caller's are root's, others stay others': the files of an image */
	OWNERS_ROOT,   /* all are root's: fakeroot's way */
	OWNERS_REAL,   /* --owners real: the kernel's answer stands */
};

struct plan_bind {
	const char *source; /* host path, absolute */
	const char *target; /* guest path, absolute, no trailing slash, no "." or ".." */
	bool read_only;
};

struct plan {
	/* view */
	const char
		*rootfs; /* host path of the guest's root directory; NULL = the kernel's view (userns with pretence) */
	bool read_only;	    /* --ro-rootfs */
	unsigned n_binds;
	const char *chdir; /* guest path */
	const char *cache; /* host path of the shared directory cache; NULL = private */
	const char *probe_memory; /* --probe-memory FILE: host file, removed when this node refuses the engine */
	/* identity */
	bool pretend;	    /* --pretend: the pretended root and its memory */
	bool shared;	    /* --shared: files may be shared, which are an image's: calls/shared.c */
	const char *fakedb; /* host path; NULL = nothing is remembered */
	const char *hold;   /* --hold /proc/self/fd/N: stays open, and out of the guest's hands, while a process of it
			     * lives: a lock */
	enum plan_owners owners; /* --owners root|real */
	uint32_t uid, gid;  /* --uid --gid; valid when has_uid/has_gid */
	bool has_uid, has_gid;
	unsigned n_groups;
	bool has_groups;
	/* namespaces (userns only) */
	bool unshare_pid, unshare_ipc, unshare_uts, unshare_net;
	const char *hostname;
	const char *overlay_upper, *overlay_work; /* --overlay UPPER WORK, over --rootfs as the lower directory */
	bool map_subuids;			  /* --map-subuids: newuidmap and newgidmap set the map */
	const char *identity_helper; /* --identity-helper PATH: the program that delivers the pretence inside */
	/* environment changes, applied in order: value NULL = unset */
	bool clear_env; /* --clearenv: start from an empty environment; it also drops the changes given before it */
	unsigned n_env;
	/* hand-over from one program of a guest process to the next (never written by Python) */
	const char *resume; /* --resume STATE: this is an execve of a guest process, not a launch */
	/* command */
	char **command; /* NULL-terminated, inside the given argv */
	unsigned n_command;
	/* What is long stands last, for each program of a guest parses a plan: most of it never becomes memory. */
	struct plan_bind binds[PLAN_BINDS_MAX]; /* in the order given: later ones cover earlier ones */
	uint32_t groups[PLAN_GROUPS_MAX];	/* --groups N,N,... */
	struct {
		const char *name, *value;
	} env[PLAN_ENV_MAX];
};

/* What plan_parse() found wrong: the word and a message without the word, for "udockpy: WORD: MESSAGE". */
struct plan_error {
	const char *word;
	const char *message;
};

/* Parses `argv` (argv[0] is skipped; NULL-terminated) into *ret_plan. All strings stay where they are.
 * `arena` (of `size` bytes) receives the words of --args FD. Returns 0, or -EINVAL, -E2BIG or a read error with
 * *ret_error filled. */
int plan_parse(char **argv, char *arena, size_t size, struct plan *ret_plan, struct plan_error *ret_error);

#endif
