/* What the files of the user-namespace engine share. Every function returns >= 0 or -errno and, on failure, says in
 * *ret_failure which step failed on what; main.c alone reports. */
#ifndef USERNS_USERNS_H
#define USERNS_USERNS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "plan.h"
#include "sys.h"

#define PROC_FD_MAX 32 /* room for "/proc/self/fd/N" */

/* The order is that of a launch. Names and hints are in failure.c. */
enum step {
	STEP_NONE,
	STEP_HELPER,	  /* opening the identity helper */
	STEP_STATE,	  /* opening the fakedb or the cache */
	STEP_PROCESS,	  /* a pipe or a process of our own */
	STEP_USERNS,	  /* unshare(CLONE_NEWUSER) */
	STEP_SETGROUPS,	  /* /proc/self/setgroups */
	STEP_UID_MAP,	  /* /proc/self/uid_map */
	STEP_GID_MAP,	  /* /proc/self/gid_map */
	STEP_NAMESPACES,  /* unshare() of the others */
	STEP_PROPAGATION, /* the first mount(2) */
	STEP_ROOTFS,	  /* opening the root directory */
	STEP_NEWROOT,	  /* making it a mount */
	STEP_OVERLAY_DIR, /* opening the overlay's directories */
	STEP_OVERLAY,
	STEP_READ_ONLY,
	STEP_BIND_SOURCE,
	STEP_BIND_TARGET, /* finding or making the mount point */
	STEP_BIND,
	STEP_PROC,
	STEP_PIVOT,
	STEP_HOSTNAME,
	STEP_IDENTITY, /* setgroups, setresgid, setresuid, capabilities */
	STEP_COUNT,
};

struct failure {
	enum step step;
	const char *object; /* NULL = none; lives as long as the program */
	long error;	    /* -errno */
};

/* failure.c */

/* Fills *ret_failure and returns `error`. */
int fail(struct failure *ret_failure, enum step step, const char *object, long error);

/* Name of a step, as the probe's JSON has it. */
const char *step_name(enum step step);

/* Reports the failure with its hint and exits: EXIT_ENGINE for what the node refuses, EXIT_UDOCKPY otherwise. */
_Noreturn void die_of(const struct failure *failure);

/* util.c */

/* Writes "/proc/self/fd/N" into `buf`, and returns it. mount(2) and overlayfs take it as the path of an O_PATH fd. */
char *proc_fd(char buf[PROC_FD_MAX], int fd);

/* fork(2). */
long fork_process(void);

/* Waits for the end of child `pid`; returns its wait status or -errno. */
long wait_for(int pid);

/* Opens `path` and reads at most `size` - 1 bytes, adds a NUL; returns the length or -errno. */
long read_text(const char *path, char *buf, size_t size);

/* Writes `text` into the existing file `path` with one write(2). */
long write_text(const char *path, const char *text);

/* The value of environment variable `name`, or NULL. */
const char *env_value(char *const *envp, const char *name);

/* Calls execve(2) on `name` in each directory of $PATH, as execvp(3); a name with a slash is taken as it is.
 * Returns only on failure: -EACCES when one was found but cannot be run, else the last error. */
long exec_in_path(const char *name, const char *search, char *const *argv, char *const *envp);

/* `size` bytes of zeroed memory, or NULL. */
void *map_memory(size_t size);

/* idmap.c */

/* Who the guest's processes are to the kernel. */
struct identity {
	uint32_t uid, gid;		 /* the caller's, outside */
	uint32_t inner_uid, inner_gid;	 /* what they are mapped to */
	bool subuids;			 /* the whole subuid map is in force: ids can be changed */
};

/* Decides what the caller's ids are mapped to. */
void identity_plan(const struct plan *plan, struct identity *ret_identity);

/* A new user namespace for this process, with its maps written. With `want_subuids` newuidmap and newgidmap are tried
 * first; identity->subuids tells whether they did it. */
int identity_enter(struct identity *identity, bool want_subuids, char *const *envp, struct failure *ret_failure);

/* Takes on the planned ids and groups where the map allows it and gives up what the guest must not have.
 * The last step before the command. */
int identity_assume(const struct plan *plan, const struct identity *identity, struct failure *ret_failure);

/* namespace.c */

/* Unshares the mount namespace and those of the plan; the caller is in its user namespace already. */
int namespaces_enter(const struct plan *plan, struct failure *ret_failure);

/* Splits off the guest's process in the new process namespace. Returns in the guest's process; the calling process
 * stays outside, passes signals on and ends as the guest ends. */
int pid_namespace_enter(struct failure *ret_failure);

/* command.c */

#define COMMAND_BINDS_MAX 8

/* What must be opened on the host before the guest's tree hides it. */
struct command {
	int helper;		  /* identity helper, -1 = none */
	char fakedb[PROC_FD_MAX]; /* "" = none */
	char cache[PROC_FD_MAX], hold[PROC_FD_MAX];
	/* Binds of files that have no mount point: the helper answers them. */
	struct command_bind {
		char source[PROC_FD_MAX], target[PATH_MAX];
		bool read_only;
	} binds[COMMAND_BINDS_MAX];
	unsigned n_binds;
	unsigned n_handed_over; /* descriptors that stay open for the helper */
};

/* Keeps `fd` open for the identity helper and writes how it is called inside. */
void command_hand_over(struct command *command, int fd, char ret_name[PROC_FD_MAX]);

/* Opens the identity helper and its files. */
int command_open(const struct plan *plan, struct command *ret_command, struct failure *ret_failure);

/* Starts the command, through the identity helper when there is one. Never returns: a failure is reported. */
_Noreturn void command_exec(const struct plan *plan, const struct command *command, char *const *envp);

/* inherited.c */

/* Makes the directories among the inherited descriptors ends of the world; one that cannot be is closed. The caller is
 * in its mount namespace, and the host's paths still mean the host's files. */
void inherited_confine(void);

/* mount.c */

/* Builds the guest's tree out of the plan and makes it the root directory. Binds that cannot be made without loss are
 * left to the command's identity helper. */
int mount_guest(const struct plan *plan, struct command *command, struct failure *ret_failure);

/* Makes all mounts of this namespace receive, and never send, mount events. */
int mount_isolate(struct failure *ret_failure);

/* Makes the current directory, which must be a mount, the root directory. */
int mount_pivot(struct failure *ret_failure);

/* mount(2) of an overlay onto `target`; the directories are given as O_PATH descriptors. Returns 0 or -errno. */
long mount_overlay(const char *target, int lower, int upper, int work);

/* mountpoint.c */

#define RANCHES_MAX 32

/* A tmpfs laid over a directory that lacks a mount point. */
struct ranch {
	int fd; /* O_PATH, of its root */
	uint64_t dev;
	bool is_volatile; /* stays writable */
};

/* The tree being built. It stands on the host's path `path` until it becomes the root. */
struct newroot {
	char path[PATH_MAX]; /* canonical */
	int fd;		     /* O_PATH of its topmost mount */
	bool read_only;
	uint64_t overlay_dev; /* of a writable overlay, 0 = none */
	char placed[PLAN_BINDS_MAX][PATH_MAX]; /* canonical targets of the binds made so far */
	bool placed_read_only[PLAN_BINDS_MAX];
	unsigned n_placed;
	struct ranch ranches[RANCHES_MAX];
	unsigned n_ranches;
};

/* A guest path with every symlink resolved inside the guest. */
struct target {
	char path[PATH_MAX]; /* "" = the root, else "/a/b" */
	size_t existing;     /* length of the part of it that exists */
};

/* Opens the topmost mount at newroot->path anew. */
long newroot_reopen(struct newroot *root);

/* Opens canonical guest path `path` O_PATH; never follows a symlink, never leaves the root. */
long newroot_open(const struct newroot *root, const char *path, int flags);

/* Resolves guest path `path`; what does not exist is no error. Returns 0 or -errno. */
long target_resolve(const struct newroot *root, const char *path, struct target *ret_target);

/* Whether making `target`, of which only the last name is missing, would lay a read-only tmpfs over a directory of the
 * image that the guest may change. */
bool target_costs_directory(const struct newroot *root, const struct target *target);

/* Makes what is missing of `target` without touching the image: in the overlay's upper directory, in a writable bind,
 * else in a tmpfs laid over the nearest directory that exists. */
long target_make(struct newroot *root, struct target *target, bool directory);

/* Makes the ranches read-only, so that what a guest writes there is refused and not lost. */
long ranches_close(struct newroot *root);

/* probe.c */

/* Tries all that a launch does, prints one line of JSON and returns the exit status. */
int probe(char *const *envp);

#endif
