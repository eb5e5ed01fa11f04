/* Files of /proc that name host paths (maps, smaps, ...) or real ids (status): the guest gets a copy with its own. */
#include <linux/errno.h>
#include <linux/memfd.h>

#include "calls.h"
#include "loader/loader.h"
#include "walk.h"

enum kind { KIND_NONE, KIND_MAPS, KIND_STATUS };

/* "/proc/PID/NAME" or "/proc/PID/task/TID/NAME"; *ret_pid is the process, 0 for "self". */
static enum kind classify(const char *name, int *ret_pid)
{
	const char *s = name + 6, *last = s;
	uint64_t pid = 0;

	if (str_has_prefix(s, "self/", 5) || str_has_prefix(s, "thread-self/", 12)) {
		;
	} else if (*s >= '0' && *s <= '9') {
		for (; *s >= '0' && *s <= '9'; s++)
			pid = pid * 10 + (uint64_t)(*s - '0');
	} else {
		return KIND_NONE;
	}
	for (; *s; s++)
		if (*s == '/')
			last = s + 1;
	*ret_pid = (int)pid;
	if (str_eq(last, "maps") || str_eq(last, "smaps") || str_eq(last, "numa_maps"))
		return KIND_MAPS;
	if (str_eq(last, "status") && (engine.pretend || front_end.traced || own_signal_blocked()))
		return KIND_STATUS;
	return KIND_NONE;
}

static bool own_process(int pid)
{
	return !pid || pid == (int)SYS0(getpid) || pid == (int)SYS0(gettid);
}

/* Whether a line of maps begins with an address of this engine's own program, which is at the same place everywhere. */
static bool is_loader(const char *line)
{
	uint64_t address = 0;

	for (; (*line >= '0' && *line <= '9') || (*line >= 'a' && *line <= 'f'); line++)
		address = address << 4 | (unsigned)(*line <= '9' ? *line - '0' : *line - 'a' + 10);
	return address >= LOADER_START && address < LOADER_END;
}

/* A line of maps: what follows the first '/' (or "file=/" in numa_maps) is a host path. The line is in s->pending. */
static void write_maps_line(const struct process *p, struct scratch *s, int out, char *line, size_t n)
{
	size_t at = 0;
	long len;

	while (at < n && line[at] != '/')
		at++;
	if (at == n || (at && line[at - 1] != ' ' && line[at - 1] != '=')) {
		(void)sys_write(out, line, n);
		return;
	}
	line[n - 1] = '\0'; /* the newline */
	if (is_loader(line) || str_eq(line + at, s->canon))
		len = -ENOENT;
	else
		len = view_unresolve(p->view, line + at, s->link, sizeof(s->link) - 1);
	if (len < 0)
		len = str_copy(s->link, sizeof(s->link), "[udockpy]");
	s->link[len++] = '\n';
	(void)sys_write(out, line, at);
	(void)sys_write(out, s->link, (size_t)len);
}

/* Writes the path of the fakedb in s->canon, which in the kernel's view is no stranger to the view as it is in ours. */
static void name_fakedb(struct scratch *s)
{
	long n = -ENOENT;

	if (engine.db_path && !engine.translate)
		n = sys_readlinkat(AT_FDCWD, engine.db_path, s->canon, sizeof(s->canon) - 1);
	s->canon[n > 0 ? n : 0] = '\0';
}

static char *put(char *d, const char *text)
{
	while (*text)
		*d++ = *text++;
	return d;
}

static char *put_ids(char *d, const char *label, uint32_t a, uint32_t b, uint32_t c, uint32_t e)
{
	const uint32_t ids[] = { a, b, c, e };

	d = put(d, label);
	for (unsigned i = 0; i < 4; i++) {
		*d++ = '\t';
		d += str_from_u64(d, ids[i]);
	}
	*d++ = '\n';
	return d;
}

static char *put_caps(char *d, const char *label, uint64_t caps)
{
	d = put(d, label);
	*d++ = '\t';
	for (int shift = 60; shift >= 0; shift -= 4)
		*d++ = "0123456789abcdef"[caps >> shift & 15];
	*d++ = '\n';
	return d;
}

/* The lines of another process' status that say who it is. */
static void write_other_line(const struct ids *ids, struct scratch *s, int out, const char *line, size_t n)
{
	char *d = s->link;

	if (str_has_prefix(line, "Uid:", 4))
		d = put_ids(d, "Uid:", ids->ruid, ids->euid, ids->suid, ids->euid);
	else if (str_has_prefix(line, "Gid:", 4))
		d = put_ids(d, "Gid:", ids->rgid, ids->egid, ids->sgid, ids->egid);
	else if (str_has_prefix(line, "Groups:", 7))
		d = put(d, "Groups:\t \n"); /* the real user's are not theirs, and theirs are not known */
	if (d == s->link)
		(void)sys_write(out, line, n);
	else
		(void)sys_write(out, s->link, (size_t)(d - s->link));
}

/* The lines of status that say who the process is. */
static void write_status_line(const struct process *p, struct scratch *s, int out, char *line, size_t n)
{
	const struct creds *c = &p->creds;
	char *d = s->link;

	if (str_has_prefix(line, "SigBlk:", 7) && own_signal_blocked()) {
		uint64_t mask = OWN_SIGNAL_BIT;

		for (unsigned i = 0; i < 16; i++) {
			char digit = line[8 + i];

			mask |= (uint64_t)(digit <= '9' ? digit - '0' : digit - 'a' + 10) << 4 * (15 - i);
		}
		d = put_caps(d, "SigBlk:", mask);
	} else if (str_has_prefix(line, "TracerPid:", 10) && front_end.traced) {
		d = put(d, "TracerPid:\t0\n");
	} else if (!engine.pretend) {
		(void)sys_write(out, line, n);
		return;
	} else if (str_has_prefix(line, "Uid:", 4)) {
		d = put_ids(d, "Uid:", c->ruid, c->euid, c->suid, c->fsuid);
	} else if (str_has_prefix(line, "Gid:", 4)) {
		d = put_ids(d, "Gid:", c->rgid, c->egid, c->sgid, c->fsgid);
	} else if (str_has_prefix(line, "Groups:", 7)) {
		d = put(d, "Groups:\t");
		for (unsigned i = 0; i < c->n_groups; i++) {
			if (i)
				*d++ = ' ';
			d += str_from_u64(d, c->groups[i]);
		}
		d = put(d, " \n");
	} else if (str_has_prefix(line, "CapInh:", 7)) {
		d = put_caps(d, "CapInh:", c->cap_inheritable);
	} else if (str_has_prefix(line, "CapPrm:", 7)) {
		d = put_caps(d, "CapPrm:", c->cap_permitted);
	} else if (str_has_prefix(line, "CapEff:", 7)) {
		d = put_caps(d, "CapEff:", c->cap_effective);
	} else if (str_has_prefix(line, "CapBnd:", 7)) {
		d = put_caps(d, "CapBnd:", c->cap_bounding);
	} else if (str_has_prefix(line, "CapAmb:", 7)) {
		d = put_caps(d, "CapAmb:", c->cap_ambient);
	} else if (str_has_prefix(line, "NoNewPrivs:", 11)) {
		d = put(d, c->no_new_privs ? "NoNewPrivs:\t1\n" : "NoNewPrivs:\t0\n");
	} else if (str_has_prefix(line, "Seccomp:", 8)) {
		d = put(d, p->seccomp == 2 ? "Seccomp:\t2\n" : p->seccomp ? "Seccomp:\t1\n" : "Seccomp:\t0\n");
	} else if (str_has_prefix(line, "Seccomp_filters:", 16)) {
		d = put(d, "Seccomp_filters:\t0\n");
	} else {
		(void)sys_write(out, line, n);
		return;
	}
	(void)sys_write(out, s->link, (size_t)(d - s->link));
}

/* `other` is who a process that is not this one pretends to be. */
static long copy_lines(const struct process *p, struct scratch *s, int in, int out, enum kind kind,
		       const struct ids *other)
{
	size_t have = 0;
	long n;

	for (;;) {
		char *line = s->pending, *end = s->pending + have;

		n = sys_read(in, end, sizeof(s->pending) - 1 - have);
		if (n < 0)
			return n;
		end += n;
		for (char *q = line; q < end; q++) {
			if (*q != '\n')
				continue;
			if (kind == KIND_MAPS)
				write_maps_line(p, s, out, line, (size_t)(q + 1 - line));
			else if (other)
				write_other_line(other, s, out, line, (size_t)(q + 1 - line));
			else
				write_status_line(p, s, out, line, (size_t)(q + 1 - line));
			line = q + 1;
		}
		have = (size_t)(end - line);
		memmove(s->pending, line, have);
		if (!n || have == sizeof(s->pending) - 1) {
			(void)sys_write(out, s->pending, have);
			return 0;
		}
	}
}

long proc_open(const struct process *p, struct scratch *s, const char *name, long flags)
{
	int pid = 0;
	enum kind kind = classify(name, &pid);
	bool is_other = kind == KIND_STATUS && !own_process(pid);
	struct ids ids;
	long in, out, r;

	if (kind == KIND_NONE || (is_other && (!engine.pretend || !ids_of(pid, &ids))))
		return -ENOSYS;
	in = sys_openat(AT_FDCWD, name, (int)flags | O_CLOEXEC, 0);
	if (in < 0)
		return in;
	out = SYS2(memfd_create, "proc", flags & O_CLOEXEC ? MFD_CLOEXEC : 0);
	if (out < 0)
		return in; /* without memory files the host's paths show */
	name_fakedb(s);
	r = copy_lines(p, s, (int)in, (int)out, kind, is_other ? &ids : NULL);
	(void)sys_close((int)in);
	if (r < 0) {
		(void)sys_close((int)out);
		return r;
	}
	(void)SYS3(lseek, out, 0, 0);
	return out;
}

long proc_exe(const struct process *p, struct scratch *s, int pid, char *buf, size_t size)
{
	char link[40] = "/proc/";
	size_t n = 6;

	if (pid == (int)SYS0(getpid))
		return str_copy(buf, size, engine.exe);
	n += str_from_u64(link + n, (uint64_t)pid);
	(void)str_copy(link + n, sizeof(link) - n, "/exe");
	return proc_target(p->view, NULL, s, PROC_EXE, (uint64_t)pid, link, buf);
}
