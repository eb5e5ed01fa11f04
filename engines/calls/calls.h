/* The answers to intercepted system calls, given inside the guest's own process. A front end (a signal frame, a patched
 * site, a redirected tracee) fetches the arguments into a struct call, calls dispatch(), and delivers what it returns.
 *
 * Rules of everything reached from the handler: it runs at any instruction of the guest, on any stack, in any
 * thread, in a vfork child that shares its parent's memory. So: no locks, no heap, small stack frames, no state but
 * struct process. */
#ifndef CALLS_H
#define CALLS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "access.h"
#include "creds.h"
#include "dircache.h"
#include "exec.h"
#include "fakedb.h"
#include "plan.h"
#include "str.h"
#include "sys.h"
#include "syscalls.h"
#include "view.h"

/* No global offset table: the program is linked at a fixed, high address. */
#pragma GCC visibility push(hidden)

/* For what is big and not touched by every process: the linker puts it behind what is, so that this takes few pages. */
#define SELDOM __attribute__((section(".bss.seldom")))

struct siginfo;
struct ucontext;

/* One intercepted system call. */
struct call {
	long nr;
	unsigned long arg[6];
	unsigned long ip; /* where it returns to */
	unsigned long sp; /* the guest's stack pointer */
	struct ucontext *context; /* the signal frame, or NULL when a patched site called */
};

/* struct sigaction as the kernel has it (not as libc). */
struct kernel_sigaction {
	void *handler;
	unsigned long flags;
	void *restorer;
	uint64_t mask;
};


/* What a guest process is, as far as the engine pretends or remembers it. A vfork child shares the memory of its
 * parent: it gets a copy of its own when it changes something (process_writable). */
struct process {
	int pid; /* set before a vfork, so that the child can tell itself from its parent; else stale */
	bool chrooted;
	struct view *view;
	uint32_t umask;
	uint8_t seccomp; /* what PR_GET_SECCOMP says: the mode the guest asked for */
	uint64_t own_signal_in_mask; /* signals whose sa_mask holds the own one, which the kernel was not told */
	void *handlers[64]; /* the guest's, by signal number - 1; the kernel was given the engine's entry */
	struct kernel_sigaction own_signal_action; /* the guest's own */
	struct creds creds; /* last: threads may have others (process_creds_begin) */
};

/* Constant for the life of a program. */
struct engine {
	bool pretend;
	bool translate; /* path rows are on */
	bool shared;	/* files may be shared: shared.c */
	bool overlay;	/* the kernel shows them through overlayfs: what changes is born again */
	bool read_only; /* in the kernel's view: the root is */
	enum plan_owners owners;
	uint32_t uid, gid; /* real */
	int root_fd;
	/* Descriptors kept from the guest's hands: the root's, or in the kernel's view those that stand for state. */
	int hidden, n_hidden;
	int self_fd; /* of the engine's own program, 0 = none: then /proc/self/exe is always there */
	struct fakedb db;
	const char *db_path, *cache_path, *hold_path;
	const char *exe; /* guest path of the program */
	unsigned long no_patch_start, no_patch_end; /* code that must not be patched (Go) */
	bool patch;
	bool stats;
	bool has_openat2;
	bool own_signal_pending;

	unsigned last_cap;
};

extern struct engine engine;

/* Whose a file is of which nothing is remembered; `id` is what the kernel says, `own` the caller's. */
static inline uint32_t owner_shown(uint32_t id, uint32_t own)
{
	return engine.owners == OWNERS_ROOT || (engine.owners == OWNERS_CALLER && id == own) ? 0 : id;
}

static inline bool is_hidden(unsigned long fd)
{
	return (uint32_t)fd - (uint32_t)engine.hidden < (uint32_t)engine.n_hidden;
}

/* What a program of a guest gets from the one before it. */
struct resume_state {
	int exe_fd, interp_fd;
	unsigned flags;
	int root_fd, self_fd;
	uint32_t umask;
	bool own_signal_blocked, own_signal_ignored;
	uint8_t seccomp;
	bool secure;
	const char *creds;
};

/* One of the system call interfaces that the kernel has for programs: its numbers, and the helper whose programs use
 * it. */
struct abi {
	uint32_t audit; /* AUDIT_ARCH_* */
	const struct syscall_row *(*row)(long nr);
	unsigned long text_start, text_end; /* calls from here are the helper's own */
	unsigned long block;		    /* address bits that say whether something is near the helper */
};

extern const struct abi native_abi;

typedef long answer_fn(struct call *c);

/* What a front end tells the code that all share. */
struct front_end {
	const char *name;      /* argv[0] of every program of a guest */
	const char *other;     /* the helper beside this one that holds programs of the other word size; NULL = none */
	const struct abi *other_abi; /* how those make calls, where a filter judges them; NULL = they are refused */
	unsigned groups;       /* rows that are active for its own sake: enum syscall_group */
	bool traced;	       /* the guest has a tracer that it must not see */
	const char *no_tracer; /* what helps a guest that wants to trace */
	/* Before the first program: from now on calls are intercepted. Returns only when they are. NULL = first
	 * programs are not started here. */
	void (*intercept)(void);
	/* In each program, before it is jumped to; returns 0 or -errno. */
	int (*prepare)(const struct resume_state *state);
	/* Answers a redirected call. */
	answer_fn *answer;
	/* Tries what a run needs and ends with probe_end(). */
	void (*probe)(void);
	/* The signal that intercepted calls raise, 0 = none: calls/signal.c then answers the rows of SYSCALL_SIGNAL. */
	int own_signal;
	/* Whether the own signal was raised by a call of the guest, which it fetches, with who answers it;
	 * c->context is set. */
	bool (*fetch)(const struct siginfo *info, struct call *c, answer_fn **ret_answer);
	/* Called for each executable piece of the programs that the loader maps; NULL = it need not be looked at.
	 * Returns 0 or -errno. */
	int (*code_mapped)(unsigned long start, size_t size, int prot, int fd, uint64_t offset);
};

extern const struct front_end front_end;
#define OWN_SIGNAL_BIT (1ull << (front_end.own_signal - 1))

/* process.c */
struct process *process_first(void);
const struct process *process_current(void);
struct process *process_writable(void); /* to change it, but for the credentials */
/* To change the calling thread's credentials, between the two. */
struct creds *process_creds_begin(void);
void process_creds_end(void);
void process_before_vfork(void);
/* Where the process stands; `relative` = a relative path asks. */
struct here process_here(const struct process *p, bool relative);
void process_cwd_changed(void);

/* guest.c: the guest's memory, which may not be there */
bool guest_readable(const void *address, size_t size);
bool guest_writable(void *address, size_t size);
/* Length of a string of less than PATH_MAX bytes, -EFAULT or -ENAMETOOLONG. */
long guest_strlen(const char *s);

/* scratch.c */
struct scratch *scratch_get(void);
void scratch_put(struct scratch *s);

/* The code whose calls go to the kernel: [start, start of the section behind it). */
extern const char __executable_start[], __start_guest_text[];

/* entry.S */
void patched_entry(void);
long guest_call3(long nr, long a, long b, long c); /* makes a call as a guest does, to be intercepted */
void restore_rt(void);
void gate_sigreturn(void);
void handler_entry(void); /* of every signal handler of the guest's */
/* Gates: each runs one vfork or clone in place of the guest's own instruction. */
#define GATES 64
#define GATE_SIZE 32
extern unsigned long gate_return[GATES]; /* where each gate goes back to */
extern char gates_vfork[], gates_clone[];
extern int engine_vm_shared; /* vfork children that run in this memory now */

/* signal.c */
/* Takes the own signal, as the guest's program before left it. Returns 0 or -errno. */
int signal_install(const struct resume_state *state);
bool own_signal_blocked(void); /* as the guest believes */
void own_signal_block(bool block);
long signal_answer(struct call *c, const struct syscall_row *row);
/* A handler of the guest's is about to run on this frame: returns its address. */
void *signal_enter(int signo, void *info, struct ucontext *uc);

/* dispatch.c */
#define IOCTLS 3
extern const uint32_t flag_ioctls[IOCTLS]; /* requests that change the flags of a file: WHEN_IOCTL */
/* Answers a call. Where it changes c->ip the guest goes on there instead, with its registers as they were but for the
 * one of the result. */
long dispatch(struct call *c);
/* narrow.c: the same on i386, for every call that it ever had. */
long narrow_dispatch(struct call *c);
/* Groups of the rows that are active: enum syscall_group. */
unsigned call_groups(void);
/* Whether a call must be intercepted: the filter's rule, where no filter can be installed. */
bool call_concerned(const struct abi *abi, const struct call *c);

/* filter.c */
#define CLONE_NEW_ANY 0x7e020000ul /* all CLONE_NEW* that clone(2) takes */
#define FILTER_OTHER 1u		     /* SECCOMP_RET_DATA of intercepted calls of the other abi */
/* Installs the filter for this process and all it starts; intercepted calls meet `action` (SECCOMP_RET_TRAP, _TRACE).
 * Returns 0 or -errno. */
int filter_install(uint32_t action);

/* patch.c */
/* Counts an answered call, and makes its site come to patched_entry by itself when it is a hot one. */
void patch_site(const struct call *c);

/* access.c: what the process may do as whom it pretends to be; 0 or -errno each */
bool access_restricted(const struct process *p, enum access_as as); /* whether there is anything to ask */
/* `want` (enum access_want) of a file as owner_record() found it; inode_owner_or_capable() of it. */
int access_record(const struct process *p, enum access_as as, const struct fakedb_key *key,
		  const struct fakedb_record *file, unsigned want);
bool access_is_owner(const struct process *p, const struct fakedb_record *file);
/* Has a resolution ask for search permission. */
void access_prepare(const struct process *p, enum access_as as, struct here *here);
/* `want` (enum access_want) of an object; `flags` as for statx(2). */
int access_file(const struct process *p, enum access_as as, int fd, const char *name, int flags, unsigned want);
/* The same when the kernel refused it to the real user, for whom a mode may stand that the guest did not give: 0, or
 * -EACCES after all. */
int access_refused(const struct process *p, enum access_as as, int fd, const char *name, int flags, unsigned want);
/* Whether that, or the directory that it is in, is on a read-only mount of the kernel's view. There the kernel is asked
 * after the permissions, which it would have looked at last. */
bool access_is_read_only(int fd, const char *name);
bool access_parent_is_read_only(int fd, const char *name);
/* To be in a directory. What is none, the call itself refuses. */
int access_search(const struct process *p, int fd, const char *name, int flags);
int access_truncate(const struct process *p, int fd, const char *name, int flags);
/* To make a name, or to remove it. */
int access_name(const struct process *p, const struct where *w, bool create);
/* `flags` as of renameat2(2). */
int access_rename(const struct process *p, const struct where *from, const struct where *to, unsigned long flags);
int access_open(const struct process *p, const struct where *w, unsigned long flags);
/* To set times, to `now` or any. */
int access_times(const struct process *p, const struct where *w, int flags, bool now);
/* To give a file another link: as with /proc/sys/fs/protected_hardlinks. */
int access_link(const struct process *p, const struct where *w, int flags);

/* path.c */
#define WANT_AS_REAL (1u << 16) /* beside enum want: search with the real ids */
/* Resolves argument `which` of the call. Returns 0 or -errno. `s` keeps the name. */
int path_resolve(const struct process *p, struct scratch *s, const struct call *c, const struct path_arg *arg,
		 unsigned want, struct where *ret_where);
/* The same for any path; with WANT_FOLLOW the answer is verified not to be a symlink (unless .magic). */
int path_resolve_at(const struct process *p, struct scratch *s, int dirfd, const char *path, unsigned want,
		    struct where *ret_where);
/* For calls that change something: holds the directory of the answer by a descriptor that no link can lead astray
 * any more, and makes *w relative to it. -ELOOP when a link came into the way since; path_unpin() lets go. */
struct pin {
	int fd; /* -1 = none */
};
int path_pin(struct scratch *s, struct where *w, struct pin *ret_pin);
void path_unpin(const struct pin *pin);
/* path_resolve() and path_pin(), again when a link came between. */
int path_resolve_pinned(const struct process *p, struct scratch *s, const struct call *c, const struct path_arg *arg,
			unsigned want, struct where *ret_where, struct pin *ret_pin);
/* For calls that know no descriptors: a string that leads to what the path means even when directories are renamed
 * meanwhile. Returns 0 or -errno; *ret_string lies in `s` or in `path`; path_unpin() lets go. */
int path_hold(const struct process *p, struct scratch *s, int dirfd, const char *path, unsigned want,
	      const char **ret_string, struct pin *ret_pin);
unsigned path_want(const struct call *c, const struct path_arg *arg);
long op_at(struct call *c, const struct syscall_row *row, unsigned want);
long op_string(struct call *c, const struct syscall_row *row, unsigned want);
long op_readlink(struct call *c, const struct syscall_row *row);
long op_access(struct call *c, const struct syscall_row *row);
long op_inotify(struct call *c);
long op_chdir(struct call *c);
long op_fchdir(struct call *c);
long op_getcwd(struct call *c);
long op_chroot(struct call *c);
long op_rmdir(struct call *c, const struct syscall_row *row);
long op_unlink(struct call *c, const struct syscall_row *row);
long op_rename(struct call *c, const struct syscall_row *row);
long op_link(struct call *c, const struct syscall_row *row);

/* open.c */
long op_open(struct call *c, const struct syscall_row *row);
long op_openat2(struct call *c);

/* shared.c */
/* Whether these are the mode bits of a shared file: an image's, which the container shares. */
static inline bool is_shared(uint32_t mode)
{
	return engine.shared && (mode & (S_IFMT | 01200)) == (S_IFREG | 01000);
}

/* The mode of a file as if it were not shared. */
static inline uint32_t own_mode(uint32_t mode)
{
	return is_shared(mode) ? mode ^ 01200 : mode;
}

/* Whether a file given as for fstatat(2) is shared. */
bool shared_is(int fd, const char *name, int flags);

/* Before a file given as for fstatat(2) is changed: a shared one becomes the container's own, under the same names. A
 * descriptor that names it, also as /proc/self/fd/N, becomes one of that file. `whole` = its content is still wanted.
 * Returns 1 when it did that, 0 when the file is not shared, or -errno. */
int shared_part(const struct process *p, int fd, const char *name, int flags, bool whole);

/* running.c */
/* Before a file given as for fstatat(2) is written: -ETXTBSY when it is the program of a process of the guest, else
 * 0. */
int running_refuses(const struct process *p, int fd, const char *name, int flags);

/* stat.c */
long op_stat(struct call *c, const struct syscall_row *row);
long op_fstat(struct call *c);
long op_statx(struct call *c, const struct syscall_row *row);

/* owner.c */
bool owner_record(int dirfd, const char *name, int flags, struct fakedb_key *ret_key, struct fakedb_record *ret_record);
/* Before something is remembered that really is not: 0 or -EROFS; *key is the file's, before and after. */
long owner_settle(int fd, const char *name, int flags, struct fakedb_key *key);
/* The directory that (dirfd, name) is in, as owner_record(), which it returns whether it is there. */
bool owner_parent(int dirfd, const char *name, struct fakedb_key *ret_key, struct fakedb_record *ret_record);
long owner_open_parent(int dirfd, const char *name); /* an O_PATH descriptor of it, or -errno */
#define GID_UNCHANGED (~0u)
/* What a new file gets of the directory it is made in. */
struct heritage {
	uint32_t gid; /* that of a set-group-id directory, else GID_UNCHANGED */
	bool acl;     /* perhaps there is a default access control list */
	struct fakedb_key parent;
};
/* Of a file of that name, or of one without a name in a directory. */
void owner_heritage(int dirfd, const char *name, struct heritage *ret_heritage);
void owner_heritage_in(int dirfd, const char *directory, struct heritage *ret_heritage);
struct creation {
	uint32_t mode; /* st_mode as asked for, before the umask */
	uint32_t rdev_major, rdev_minor;
};
/* Remembers a file that was just made. Returns 0 or -errno. */
int owner_created(const struct process *p, int dirfd, const char *name, int flags, const struct heritage *from,
		  const struct creation *new);
/* A file was changed, or opened to be: set-id bits and capabilities do not survive it (file_remove_privs()). */
void owner_written(const struct process *p, int fd, const char *name, int flags);
/* setxattr(2) of an access control list, ACL_ACCESS or ACL_DEFAULT; without entries it is taken off. The file is there.
 */
long owner_set_list(const struct process *p, int fd, const char *name, int flags, const char *list, struct acl *acl);
long op_mkdir(struct call *c, const struct syscall_row *row);
long op_mknod(struct call *c, const struct syscall_row *row);
long op_symlink(struct call *c, const struct syscall_row *row);
long op_chmod(struct call *c, const struct syscall_row *row);
long op_fchmod(struct call *c);
long op_chown(struct call *c, const struct syscall_row *row);
long op_fchown(struct call *c);

/* acl.c */
#define ACL_ACCESS "system.posix_acl_access"
#define ACL_DEFAULT "system.posix_acl_default"
/* The list that is remembered of a file, if any. */
bool acl_recall(const struct fakedb_key *key, const char *name, struct acl *ret_acl);
/* Remembers it, or, without entries, forgets it. Returns 0 or -errno. */
int acl_remember(const struct fakedb_key *key, const char *name, const struct acl *acl);

/* xattr.c */
long op_xattr(struct call *c, const struct syscall_row *row);

/* socket.c */
long op_socket(struct call *c);
long op_bind_connect(struct call *c, const struct syscall_row *row);
long op_sendto(struct call *c);
long op_sendmsg(struct call *c);
long op_sendmmsg(struct call *c);
long op_name_out(struct call *c, unsigned address_arg, unsigned length_arg);
long op_recvmsg(struct call *c);
long op_recvmmsg(struct call *c);
long op_getsockopt(struct call *c);

/* fd.c */
/* Makes `number` a copy of `fd`, also above the soft limit of open files. Returns it or -errno. */
long fd_place(int fd, int number);
long op_hidden_fcntl(struct call *c);
long op_ioctl(struct call *c);
long op_dup2(struct call *c);
long op_close_range(struct call *c);
long op_memory(struct call *c);

/* ids.c */
struct ids {
	uint32_t ruid, euid, suid, rgid, egid, sgid;
};
/* Lets other processes know the ids of this one. */
void ids_publish(const struct creds *c);
/* The ids of any process of the real user; false when they cannot be seen. Who pretends nothing is root. */
bool ids_of(int pid, struct ids *ret_ids);
long op_kill(struct call *c);

/* listing.c */
long op_getdents(struct call *c);

/* identity.c */
long op_identity(struct call *c, const struct syscall_row *row);
long op_prctl(struct call *c);
long op_seccomp(struct call *c);
long op_unshare(struct call *c);
long op_ptrace(struct call *c);

/* program.c: execve, from a guest's call and from the launcher */
long op_execve(struct call *c, const struct syscall_row *row);
long op_vfork(struct call *c, bool wait);
/* Has the call made at a gate: for any clone whose child may not come back through the engine's stack frames. */
long call_at_gate(struct call *c);
long program_start(const char *path, char **argv, char **envp);
void program_before_vfork(void);
/* Writes the path of the helper that holds programs of the other word size, which lies beside this one. Returns its
 * length or -errno. */
long program_other_helper(char *buf, size_t size);
int resume_decode(const char *text, struct resume_state *ret_state);

/* proc.c: files of /proc whose contents name host paths or real ids */
/* Opens `name` (a host path under /proc) with its contents rewritten. Returns a descriptor, -errno, or -ENOSYS when the
 * file needs no rewriting. */
long proc_open(const struct process *p, struct scratch *s, const char *name, long flags);
/* The guest path of the program of process `pid`; its length or -errno. */
long proc_exe(const struct process *p, struct scratch *s, int pid, char *buf, size_t size);

#pragma GCC visibility pop

#endif
