/* The ids that a process pretends, for others to see: who may be signalled, SO_PEERCRED, /proc/PID/status.
 *
 * A process publishes them where everybody of its user may look, and where fork() takes them along: in /proc/PID/maps.
 * Each id is the offset, in pages, of a mapping that gives access to nothing, at an address that is the same in every
 * program of the engine. Without the mapping an id is root's. */
#include <linux/errno.h>
#include <linux/mman.h>
#include <linux/signal.h>

#include "calls.h"

#define CAP_KILL 5
#define SIGNALS_MAX 64
#define PAGE 4096ul
#define IDS (sizeof(struct ids) / sizeof(uint32_t))

union id_list {
	struct ids ids;
	uint32_t each[IDS];
};

static char pages[IDS][PAGE] __attribute__((aligned(PAGE)));
static union id_list published;

static union id_list list_of(const struct creds *c)
{
	return (union id_list){ .ids = { c->ruid, c->euid, c->suid, c->rgid, c->egid, c->sgid } };
}

void ids_publish(const struct creds *c)
{
	union id_list now = list_of(c);
	long fd = -1;

	/* A vfork child must not speak for its parent; its program will. */
	if (!engine.pretend || __atomic_load_n(&engine_vm_shared, __ATOMIC_RELAXED))
		return;
	for (unsigned i = 0; i < IDS; i++) {
		if (now.each[i] == published.each[i])
			continue;
		if (fd < 0)
			fd = sys_openat(AT_FDCWD, "/proc/self/exe", O_RDONLY | O_CLOEXEC, 0);
		if (fd < 0)
			return;
		if (!sys_is_err(sys_mmap(pages[i], PAGE, PROT_NONE, MAP_PRIVATE | MAP_FIXED, (int)fd,
					 (int64_t)now.each[i] * (int64_t)PAGE)))
			published.each[i] = now.each[i];
	}
	if (fd >= 0)
		(void)sys_close((int)fd);
}

static const char *hex(const char *s, uint64_t *ret)
{
	for (*ret = 0; (*s >= '0' && *s <= '9') || (*s >= 'a' && *s <= 'f'); s++)
		*ret = *ret << 4 | (unsigned)(*s <= '9' ? *s - '0' : *s - 'a' + 10);
	return s;
}

/* "START-END PERM OFFSET DEVICE INODE": takes the ids that the mapping stands for. Returns whether there may be more
 * in later lines. */
static bool read_line(const char *line, union id_list *ids)
{
	uint64_t start, end, offset, number;
	const char *s = hex(line, &start);

	s = hex(s + (*s == '-'), &end);
	s = hex(s + (*s ? 6 : 0), &offset); /* " ---p " */
	s = hex(s + (*s == ' '), &number);
	s = hex(s + (*s == ':'), &number);
	for (unsigned i = 0; i < IDS; i++) {
		uintptr_t page = (uintptr_t)pages[i];

		/* Where it was never mapped there is no file. */
		if (page >= start && page < end && *s == ' ' && s[1] != '0')
			ids->each[i] = (uint32_t)((offset + page - start) / PAGE);
	}
	return start < (uintptr_t)pages + sizeof(pages);
}

bool ids_of(int pid, struct ids *ret_ids)
{
	union id_list ids = { { 0 } };
	char name[32] = "/proc/", text[1024];
	size_t have = str_from_u64(name + 6, (uint64_t)pid);
	bool more = true;
	long fd, n;

	if (pid == (int)SYS0(getpid)) {
		*ret_ids = list_of(&process_current()->creds).ids;
		return true;
	}
	(void)str_copy(name + 6 + have, sizeof(name) - 6 - have, "/maps");
	fd = sys_openat(AT_FDCWD, name, O_RDONLY | O_CLOEXEC, 0);
	if (fd < 0)
		return false;
	for (have = 0; more && (n = sys_read((int)fd, text + have, sizeof(text) - 1 - have)) > 0;) {
		char *line = text;

		have += (size_t)n;
		for (char *s = text; more && s < text + have; s++) {
			if (*s != '\n')
				continue;
			*s = '\0';
			more = read_line(line, &ids);
			line = s + 1;
		}
		have -= (size_t)(line - text);
		/* The end of a line that is longer than all that matters of it. */
		if (have == sizeof(text) - 1)
			have = 0;
		memmove(text, line, have);
	}
	(void)sys_close((int)fd);
	*ret_ids = ids.ids;
	return true;
}

/* kill_ok_by_cred() and, for SIGCONT, the session. */
static bool may_signal(const struct creds *c, int pid, int signo)
{
	struct ids to;

	if (creds_capable(c, CAP_KILL) || !ids_of(pid, &to))
		return true;
	if (c->euid == to.suid || c->euid == to.ruid || c->ruid == to.suid || c->ruid == to.ruid)
		return true;
	return signo == SIGCONT && SYS1(getsid, pid) == SYS1(getsid, 0);
}

/* kill(2) and rt_sigqueueinfo(2). To groups of processes the kernel sends what the real user may. */
long op_kill(struct call *c)
{
	int pid = (int)c->arg[0], signo = (int)c->arg[1];

	if (pid > 0 && signo >= 0 && signo <= SIGNALS_MAX && SYS2(kill, pid, 0) == 0 &&
	    !may_signal(&process_current()->creds, pid, signo))
		return -EPERM;
	return arch_syscall3(c->nr, (long)c->arg[0], (long)c->arg[1], (long)c->arg[2]);
}
