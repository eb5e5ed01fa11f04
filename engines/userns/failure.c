/* What went wrong at which step, in words: nodes refuse user namespaces at every step, each in its own way, and a bare
 * errno has told nobody what to do. */
#include <linux/errno.h>

#include "launch/report.h"
#include "str.h"
#include "userns.h"

/* name: of the probe's JSON. what: of the message. node: EPERM and the like here are the node's refusal. */
static const struct {
	const char *name, *what;
	bool node;
} steps[STEP_COUNT] = {
	[STEP_NONE] = { "", "", false },
	[STEP_HELPER] = { "identity-helper", "cannot open the identity helper", false },
	[STEP_STATE] = { "state", "cannot open the state file", false },
	[STEP_PROCESS] = { "process", "cannot start a process", false },
	[STEP_USERNS] = { "user-namespace", "cannot make a user namespace", true },
	[STEP_SETGROUPS] = { "setgroups", "cannot set up the user namespace", true },
	[STEP_UID_MAP] = { "uid-map", "cannot map the user id", true },
	[STEP_GID_MAP] = { "gid-map", "cannot map the group id", true },
	[STEP_NAMESPACES] = { "namespaces", "cannot make namespaces", true },
	[STEP_PROPAGATION] = { "propagation", "cannot mount in the namespace", true },
	[STEP_ROOTFS] = { "rootfs", "cannot open the root directory", false },
	[STEP_NEWROOT] = { "newroot", "cannot mount the root directory", true },
	[STEP_OVERLAY_DIR] = { "overlay-directory", "cannot open the overlay's directory", false },
	[STEP_OVERLAY] = { "overlay", "cannot mount the overlay", true },
	[STEP_READ_ONLY] = { "read-only", "cannot make read-only", true },
	[STEP_BIND_SOURCE] = { "bind-source", "cannot bind", false },
	[STEP_BIND_TARGET] = { "bind-target", "cannot make the mount point", false },
	[STEP_BIND] = { "bind", "cannot bind onto", true },
	[STEP_PROC] = { "proc", "cannot mount", true },
	[STEP_PIVOT] = { "pivot-root", "cannot change the root directory", true },
	[STEP_HOSTNAME] = { "hostname", "cannot set the host name", true },
	[STEP_IDENTITY] = { "identity", "cannot take on the guest's identity", false },
};

#define OTHER_ENGINE "; --engine auto takes another engine"

static const struct hint {
	enum step step;
	int error; /* 0 = any */
	const char *text;
} hints[] = {
	{ STEP_USERNS, EPERM,
	  "this node does not allow you user namespaces (kernel.unprivileged_userns_clone, AppArmor, a seccomp filter "
	  "of the batch system or container, or a chroot)" OTHER_ENGINE },
	{ STEP_USERNS, EACCES, "a security module of this node forbids user namespaces" OTHER_ENGINE },
	{ STEP_USERNS, ENOSPC,
	  "user.max_user_namespaces is 0 or used up on this node (or in the container you are in)" OTHER_ENGINE },
	{ STEP_USERNS, EUSERS, "user namespaces are nested too deeply" OTHER_ENGINE },
	{ STEP_USERNS, EINVAL, "this kernel was built or booted without user namespaces" OTHER_ENGINE },
	{ STEP_USERNS, ENOSYS, "this kernel, or a seccomp filter, has no user namespaces" OTHER_ENGINE },
	{ STEP_USERNS, 0, "see user_namespaces(7)" OTHER_ENGINE },
	{ STEP_SETGROUPS, 0, "a security module of this node forbids it, or /proc is not mounted" OTHER_ENGINE },
	{ STEP_UID_MAP, ENOENT, "/proc is not mounted" OTHER_ENGINE },
	{ STEP_UID_MAP, 0,
	  "a security module of this node takes the rights of user namespaces away (on Ubuntu: "
	  "kernel.apparmor_restrict_unprivileged_userns)" OTHER_ENGINE },
	{ STEP_GID_MAP, 0, "a security module of this node takes the rights of user namespaces away" OTHER_ENGINE },
	{ STEP_NAMESPACES, ENOSPC,
	  "a limit user.max_mnt_namespaces, max_pid_namespaces, max_ipc_namespaces, max_uts_namespaces or "
	  "max_net_namespaces of this node is reached" OTHER_ENGINE },
	{ STEP_NAMESPACES, EINVAL, "this kernel lacks one of the namespaces asked for" },
	{ STEP_NAMESPACES, 0,
	  "a security module or seccomp filter of this node forbids namespaces inside user namespaces" OTHER_ENGINE },
	{ STEP_PROPAGATION, 0, "a security module or seccomp filter of this node forbids mounts" OTHER_ENGINE },
	{ STEP_ROOTFS, ENOENT, "check the path of the root filesystem" },
	{ STEP_ROOTFS, ENOTDIR, "it is not a directory: unpack the image first" },
	{ STEP_ROOTFS, EACCES, "you need search permission on it and on the directories above" },
	{ STEP_ROOTFS, EINVAL, "the host's own root directory cannot be the guest's" },
	{ STEP_NEWROOT, 0, "this node forbids bind mounts there" OTHER_ENGINE },
	{ STEP_OVERLAY_DIR, 0, "the overlay's upper and work directories must exist" },
	{ STEP_OVERLAY, EPERM, "this kernel has no overlays for ordinary users (Linux 5.11 is needed): run without" },
	{ STEP_OVERLAY, ENODEV, "this kernel has no overlay filesystem: run without" },
	{ STEP_OVERLAY, 0,
	  "the upper and work directories must be empty or an overlay's own, on one filesystem that can hold an upper "
	  "layer: not NFS, Lustre or FUSE" },
	{ STEP_READ_ONLY, 0, "this node forbids changing mounts" OTHER_ENGINE },
	{ STEP_BIND_SOURCE, ENOENT, "the source of a bind must exist on the host" },
	{ STEP_BIND_SOURCE, 0, "you need access to the source of a bind" },
	{ STEP_BIND_TARGET, ELOOP, "the path runs through a loop of symbolic links in the image" },
	{ STEP_BIND_TARGET, ENOTDIR, "the path runs through something in the image that is not a directory" },
	{ STEP_BIND_TARGET, 0, "make the mount point in the image, or bind to another path" },
	{ STEP_BIND, ENOTDIR, "a directory can only be bound onto a directory, a file onto a file" },
	{ STEP_BIND, EINVAL, "the source is, or holds, a mount that cannot be bound" },
	{ STEP_BIND, 0, "this node forbids the bind mount" OTHER_ENGINE },
	{ STEP_PROC, 0, "run without --unshare-pid" },
	{ STEP_PIVOT, 0, "this node forbids changing the root directory" OTHER_ENGINE },
	{ STEP_IDENTITY, EINVAL, "the id is not in the range of /etc/subuid and /etc/subgid" },
	{ STEP_HELPER, 0, "reinstall udockpy: its helpers must be readable and executable" },
};

int fail(struct failure *ret_failure, enum step step, const char *object, long error)
{
	*ret_failure = (struct failure){ .step = step, .object = object, .error = error };
	return (int)error;
}

const char *step_name(enum step step)
{
	return steps[step].name;
}

static const char *hint_of(const struct failure *failure)
{
	for (size_t i = 0; i < sizeof(hints) / sizeof(hints[0]); i++)
		if (hints[i].step == failure->step && (!hints[i].error || hints[i].error == -failure->error))
			return hints[i].text;
	return NULL;
}

/* A node says no with one of these; ENOENT, ENOTDIR, ENOMEM and so on are somebody else's fault. */
static bool is_refusal(long error)
{
	return error == -EPERM || error == -EACCES || error == -ENOSPC || error == -EINVAL || error == -EUSERS ||
	       error == -ENOSYS || error == -ENODEV || error == -EOPNOTSUPP;
}

_Noreturn void die_of(const struct failure *failure)
{
	bool refused = steps[failure->step].node && is_refusal(failure->error);

	if (failure->step == STEP_UID_MAP || failure->step == STEP_GID_MAP || failure->step == STEP_SETGROUPS)
		refused = true;
	die(refused ? EXIT_ENGINE : EXIT_UDOCKPY, steps[failure->step].what, failure->object, failure->error,
	    hint_of(failure));
}
