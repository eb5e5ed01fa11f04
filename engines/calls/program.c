/* execve: a guest program never reaches the kernel's own exec. The engine plans what the kernel would run (exec.c),
 * starts itself again through /proc/self/exe with the plan in its arguments, and the loader puts the guest's
 * program in place. The plan words are the hand-over: what Python wrote for the first program is written anew for
 * each next one. */
#include <linux/errno.h>
#include <linux/mman.h>

#include "calls.h"
#include "launch/report.h"

#define POINTERS 1024 /* arguments that need no memory of their own */
#define ENGINE_WORDS (20 + 3 * VIEW_BINDS_MAX)
#define NUMBER_TEXT 24
#define STACK_SIZE 16384

/* The memory of one execve: too much for a guest's stack (posix_spawn's child has 32 KiB, a signal stack 8). */
struct exec_slot {
	struct exec_program program;
	struct scratch scratch;
	char state[CREDS_TEXT_MAX + 256];
	char script[PATH_MAX];
	char *argv[POINTERS + ENGINE_WORDS];
	_Alignas(16) char stack[STACK_SIZE];
};

/* One execve. */
struct start {
	int slot, dirfd, at_flags;
	const char *path;
	char **argv, **envp;
	bool say;
};

/* Slots stay mapped. One that a vfork child held when its exec succeeded is free again once nobody shares the
 * memory. */
#define SLOTS 4
static struct {
	struct exec_slot *slot;
	int taken;
	int in_vfork;
	void *extra; /* argument pointers beyond the slot's */
	size_t extra_size;
} slots[SLOTS];

/* Called when nobody shares the memory: what vfork children left is free. */
void program_before_vfork(void)
{
	for (int i = 0; i < SLOTS; i++)
		if (slots[i].in_vfork)
			__atomic_store_n(&slots[i].taken, 0, __ATOMIC_RELEASE);
}

static int slot_get(void)
{
	bool shared = __atomic_load_n(&engine_vm_shared, __ATOMIC_ACQUIRE);

	for (int i = 0; i < SLOTS; i++) {
		if (__atomic_exchange_n(&slots[i].taken, 1, __ATOMIC_ACQUIRE))
			continue;
		slots[i].in_vfork = shared;
		if (slots[i].extra)
			(void)sys_munmap(slots[i].extra, slots[i].extra_size);
		slots[i].extra = NULL;
		if (!slots[i].slot) {
			long p = sys_mmap(NULL, sizeof(struct exec_slot), PROT_READ | PROT_WRITE,
					  MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

			if (sys_is_err(p)) {
				slots[i].taken = 0;
				return -ENOMEM;
			}
			slots[i].slot = (struct exec_slot *)p;
		}
		return i;
	}
	return -EAGAIN;
}

static void slot_put(int i)
{
	__atomic_store_n(&slots[i].taken, 0, __ATOMIC_RELEASE);
}

static char *put_number(char *p, uint64_t v, char after)
{
	p += str_from_u64(p, v);
	*p++ = after;
	return p;
}

/* What the next program must know that words do not say; resume_decode() reads it. */
static long encode_state(const struct process *p, const struct exec_program *program, const struct creds *creds,
			 bool secure, char *buf, size_t size)
{
	char *s = buf;
	long n;

	s = put_number(s, (uint64_t)program->exe_fd, ',');
	s = put_number(s, (uint64_t)(program->interp_fd + 1), ',');
	s = put_number(s, program->flags, ',');
	s = put_number(s, (uint64_t)(engine.root_fd + 1), ',');
	s = put_number(s, (uint64_t)engine.self_fd, ',');
	s = put_number(s, p->umask, ',');
	s = put_number(s, own_signal_blocked(), ',');
	s = put_number(s, p->own_signal_action.handler == (void *)1, ',');
	s = put_number(s, secure, ',');
	s = put_number(s, p->seccomp, ',');
	n = creds_encode(creds, s, size - (size_t)(s - buf));
	return n < 0 ? n : (s - buf) + n;
}

static bool get_number(const char **text, uint64_t *ret_v)
{
	uint64_t v = 0;
	const char *s = *text;

	if (*s < '0' || *s > '9')
		return false;
	for (; *s >= '0' && *s <= '9'; s++)
		v = v * 10 + (uint64_t)(*s - '0');
	if (*s != ',')
		return false;
	*text = s + 1;
	*ret_v = v;
	return true;
}

int resume_decode(const char *text, struct resume_state *ret_state)
{
	uint64_t v[10];

	for (unsigned i = 0; i < 10; i++)
		if (!get_number(&text, &v[i]))
			return -EINVAL;
	*ret_state = (struct resume_state){
		.exe_fd = (int)v[0],
		.interp_fd = (int)v[1] - 1,
		.flags = (unsigned)v[2],
		.root_fd = (int)v[3] - 1,
		.self_fd = (int)v[4],
		.umask = (uint32_t)v[5],
		.own_signal_blocked = v[6],
		.own_signal_ignored = v[7],
		.secure = v[8],
		.seccomp = (uint8_t)v[9],
		.creds = text,
	};
	return 0;
}

/* Words that say the view and the identity; returns how many. */
static unsigned engine_words(const struct process *p, char *state, char **argv)
{
	const struct view *v = p->view;
	unsigned n = 0;

	argv[n++] = (char *)front_end.name;
	if (engine.translate) {
		argv[n++] = (char *)(v->root_read_only ? "--ro-rootfs" : "--rootfs");
		argv[n++] = (char *)(v->root[0] ? v->root : "/");
	}
	for (unsigned i = 0; i < v->n_binds; i++) {
		argv[n++] = (char *)(v->binds[i].read_only ? "--ro-bind" : "--bind");
		argv[n++] = (char *)(v->binds[i].host[0] ? v->binds[i].host : "/");
		argv[n++] = (char *)v->binds[i].guest;
	}
	if (engine.cache_path) {
		argv[n++] = (char *)"--cache";
		argv[n++] = (char *)engine.cache_path;
	}
	if (engine.pretend)
		argv[n++] = (char *)"--pretend";
	if (engine.owners) {
		argv[n++] = (char *)"--owners";
		argv[n++] = (char *)(engine.owners == OWNERS_ROOT ? "root" : "real");
	}
	if (engine.shared)
		argv[n++] = (char *)"--shared";
	if (engine.db_path) {
		argv[n++] = (char *)"--fakedb";
		argv[n++] = (char *)engine.db_path;
	}
	if (engine.hold_path) {
		argv[n++] = (char *)"--hold";
		argv[n++] = (char *)engine.hold_path;
	}
	argv[n++] = (char *)"--resume";
	argv[n++] = state;
	argv[n++] = (char *)"--";
	return n;
}

static long count_pointers(char **list)
{
	long n = 0;

	if (!list)
		return 0;
	if (!guest_readable(list, sizeof(*list)))
		return -EFAULT;
	while (list[n]) {
		n++;
		if (!((unsigned long)(list + n) & 4095) && !guest_readable(list + n, sizeof(*list)))
			return -EFAULT;
	}
	return n;
}

/* Credentials after the exec: set-id bits and file capabilities as the file pretends them. */
static bool exec_creds(const struct process *p, const struct exec_program *program, struct creds *ret_creds)
{
	struct creds_file file = { 0 };
	struct fakedb_record record;
	struct fakedb_key key;
	unsigned char caps[64];
	long n;

	*ret_creds = p->creds;
	if (!engine.pretend)
		return false;
	if (owner_record(program->exe_fd, "", AT_EMPTY_PATH, &key, &record)) {
		file.mode = record.mode;
		file.uid = record.uid;
		file.gid = record.gid;
		if (record.has & FAKEDB_XATTR) {
			n = fakedb_getxattr(&engine.db, &key, "security.capability", caps, sizeof(caps));
			file.has_caps = n > 0 && creds_parse_file_caps(caps, (size_t)n, &file) == 0;
		}
	}
	return creds_exec(ret_creds, &file);
}

/* A program that this kernel might run and this engine cannot (of the other word size) is -EPERM: shells take -ENOEXEC
 * for a script. What is for another machine altogether gets the kernel's own answer. */
static long refusal(const struct exec_program *program)
{
	return program->machine == ARCH_EM_COMPAT ? -EPERM : -ENOEXEC;
}

static void say_refused(const struct exec_program *program, const char *path)
{
	report("exec", path, refusal(program),
	       "it is a program for another machine or word size: use --engine ptrace or userns");
}

static void close_program(const struct exec_program *program)
{
	(void)sys_close(program->exe_fd);
	if (program->interp_fd >= 0)
		(void)sys_close(program->interp_fd);
}

long program_other_helper(char *buf, size_t size)
{
	long n = sys_readlinkat(AT_FDCWD, "/proc/self/exe", buf, size - 1);

	if (n < 0)
		return n;
	buf[n] = '\0';
	return str_append(buf, size, path_directory_size(buf), front_end.other);
}

/* Runs the helper that holds the program, in the place of this one. */
static long start_helper(const struct exec_program *program, struct scratch *s, char **words, char **envp)
{
	long r;

	if (program->machine == ARCH_EM_MACHINE)
		return engine.self_fd ? SYS5(execveat, engine.self_fd, "", words, envp, AT_EMPTY_PATH) :
					SYS3(execve, "/proc/self/exe", words, envp);
	r = program_other_helper(s->pending, sizeof(s->pending));
	if (r >= 0)
		r = SYS3(execve, s->pending, words, envp);
	/* It was not built, or the kernel runs no programs of that size. */
	return r == -ENOENT || r == -ENOEXEC ? refusal(program) : r;
}

/* Room for `n` argument pointers. */
static char **argument_room(int slot, size_t n)
{
	size_t size = (n + ENGINE_WORDS) * sizeof(char *);
	long p;

	if (n <= POINTERS)
		return slots[slot].slot->argv;
	p = sys_mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (sys_is_err(p))
		return NULL;
	slots[slot].extra = (void *)p;
	slots[slot].extra_size = size;
	return (char **)p;
}

static long start(void *argument)
{
	const struct start *asked = argument;
	const struct process *p = process_current();
	struct here here = process_here(p, asked->path[0] != '/');
	struct exec_slot *s = slots[asked->slot].slot;
	struct exec_program *program = &s->program;
	unsigned n, from = 0;
	long argc, r;
	char **words;
	bool secure;
	struct creds *creds;

	argc = count_pointers(asked->argv);
	if (argc < 0)
		return argc;
	program->machine = 0;
	r = exec_plan(p->view, &here, &s->scratch, asked->dirfd, asked->path, asked->at_flags, program);
	if (r < 0) {
		if (r != -ENOEXEC || !program->machine)
			return r;
		if (asked->say)
			say_refused(program, asked->path);
		return refusal(program);
	}
	if (program->machine != ARCH_EM_MACHINE && !front_end.other) {
		close_program(program);
		if (asked->say)
			say_refused(program, asked->path);
		return refusal(program);
	}
	r = access_file(p, ACCESS_AS_EFFECTIVE, program->exe_fd, "", AT_EMPTY_PATH, ACCESS_EXECUTE);
	if (r < 0) {
		close_program(program);
		return r;
	}
	/* The scratch is free again: its memory holds the credentials until they are text. */
	creds = (struct creds *)(void *)s->scratch.link;
	secure = exec_creds(p, program, creds);
	r = encode_state(p, program, creds, secure, s->state, sizeof(s->state));
	words = r < 0 ? NULL : argument_room(asked->slot, (size_t)argc + program->n_prefix + 4);
	if (!words) {
		close_program(program);
		return r < 0 ? r : -ENOMEM;
	}
	n = engine_words(p, s->state, words);
	words[n++] = program->exe_guest;
	words[n++] = (char *)program->execfn;
	for (unsigned i = 0; i < program->n_prefix; i++)
		words[n++] = program->prefix[i];
	if (program->n_prefix)
		from = 1;
	for (long i = from; i < argc; i++)
		words[n++] = asked->argv[i];
	/* The kernel gives an empty argument list one empty argument (Linux 5.18). */
	if (!argc && !program->n_prefix)
		words[n++] = (char *)"";
	words[n] = NULL;
	r = start_helper(program, &s->scratch, words, asked->envp);
	close_program(program);
	if (asked->say && program->machine != ARCH_EM_MACHINE && r == refusal(program))
		say_refused(program, asked->path);
	return r;
}

static long run(int dirfd, const char *path, int at_flags, char **argv, char **envp, bool say)
{
	struct start asked = {
		.slot = slot_get(),
		.dirfd = dirfd,
		.at_flags = at_flags,
		.path = path,
		.argv = argv,
		.envp = envp,
		.say = say,
	};
	long r;

	if (asked.slot < 0)
		return asked.slot;
	/* A vfork child may have little stack: musl's posix_spawn gives it 5 KiB, and a signal frame takes three. A
	 * guest's own handlers may want more than ours, but such a child has none. */
	if (__atomic_load_n(&engine_vm_shared, __ATOMIC_ACQUIRE))
		r = arch_call_on(slots[asked.slot].slot->stack + STACK_SIZE, start, &asked);
	else
		r = start(&asked);
	slot_put(asked.slot);
	return r;
}

long op_execve(struct call *c, const struct syscall_row *row)
{
	const struct path_arg *arg = &row->path[0];
	int dirfd = arg->dirfd < 0 ? AT_FDCWD : (int)c->arg[arg->dirfd];
	const char *path = (const char *)c->arg[arg->path];
	unsigned long *rest = &c->arg[arg->path + 1];
	int flags = row->op == OP_EXECVEAT ? (int)c->arg[4] : 0;
	long n = guest_strlen(path);

	if (n < 0)
		return n;
	if (flags & ~(AT_EMPTY_PATH | AT_SYMLINK_NOFOLLOW))
		return -EINVAL;
	return run(dirfd, path, flags, (char **)rest[0], (char **)rest[1], true);
}

long program_start(const char *path, char **argv, char **envp)
{
	return run(AT_FDCWD, path, 0, argv, envp, false);
}

/* A gate that goes back to where the call does, or 0. */
static unsigned long gate_for(const struct call *c, const char *gates)
{
	for (unsigned i = 0; i < GATES; i++) {
		unsigned long none = 0;

		if (__atomic_compare_exchange_n(&gate_return[i], &none, c->ip, false, __ATOMIC_ACQ_REL,
						__ATOMIC_ACQUIRE) ||
		    none == c->ip)
			return (unsigned long)gates + i * GATE_SIZE;
	}
	return 0;
}

long call_at_gate(struct call *c)
{
	unsigned long gate = gate_for(c, gates_clone);

	if (!gate)
		return -EAGAIN;
	c->ip = gate;
	return c->nr; /* the gate makes the guest's own call */
}

long op_vfork(struct call *c, bool wait)
{
	unsigned long gate = gate_for(c, wait ? gates_vfork : gates_clone);

	if (!gate)
		return -EAGAIN;
	process_before_vfork();
	c->ip = gate;
	return c->nr;
}
