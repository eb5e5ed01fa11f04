/* The seccomp filter, built from the system call table when a container starts. seccomp(2), bpf of linux/filter.h.
 *
 * The number is tested first, by a binary search: calls without a row then keep the kernel's constant-action bitmap
 * and cost next to nothing. Calls from the loader's own text are allowed, everything else that matched goes to the
 * front end: raises SIGSYS, or stops for the tracer. */
#include <linux/audit.h>
#include <linux/errno.h>
#include <linux/filter.h>
#include <linux/prctl.h>
#include <linux/sched.h>
#include <linux/seccomp.h>

#include "calls.h"

#define FILTER_MAX BPF_MAXINSNS
#define NR offsetof(struct seccomp_data, nr)
#define ARCH offsetof(struct seccomp_data, arch)
#define IP_LOW offsetof(struct seccomp_data, instruction_pointer)
#define IP_HIGH (IP_LOW + 4)
#define ARG_LOW(n) (offsetof(struct seccomp_data, args) + 8 * (unsigned)(n))
#define ARG_HIGH(n) (ARG_LOW(n) + 4)


struct builder {
	struct sock_filter code[FILTER_MAX];
	unsigned n;
	/* of the abi that is being described */
	const struct abi *abi;
	uint16_t to_ip_check[SYSCALL_NR_LAST + 1]; /* jumps to be pointed at the common tail */
	unsigned n_fixups;
	const struct syscall_row *rows[256];
	unsigned n_rows;
};

static void emit(struct builder *b, uint16_t code, uint32_t k, uint8_t jt, uint8_t jf)
{
	if (b->n < FILTER_MAX)
		b->code[b->n] = (struct sock_filter){ .code = code, .jt = jt, .jf = jf, .k = k };
	b->n++;
}

static void load(struct builder *b, unsigned offset)
{
	emit(b, BPF_LD | BPF_W | BPF_ABS, offset, 0, 0);
}

static void ret(struct builder *b, uint32_t action)
{
	emit(b, BPF_RET | BPF_K, action, 0, 0);
}

/* Jumps to the test of where the call came from. */
static void intercept(struct builder *b)
{
	b->to_ip_check[b->n_fixups++] = (uint16_t)b->n;
	emit(b, BPF_JMP | BPF_JA, 0, 0, 0);
}

/* Allows the call unless the address is in the block that `start` is in, which is a half of it to look at. */
static void near_only(struct builder *b, unsigned low, unsigned long start, unsigned long block)
{
	bool high = !(uint32_t)block;
	unsigned shift = high ? 32 : 0;

	load(b, high ? low + 4 : low);
	if (!high)
		emit(b, BPF_ALU | BPF_AND | BPF_K, (uint32_t)block, 0, 0);
	emit(b, BPF_JMP | BPF_JEQ | BPF_K, (uint32_t)((start & block) >> shift), 1, 0);
	ret(b, SECCOMP_RET_ALLOW);
}

static void leaf(struct builder *b, const struct syscall_row *row)
{
	unsigned arg = (unsigned)row->when_arg;

	switch ((enum syscall_when)row->when) {
	case WHEN_ANY:
		break;
	case WHEN_NONNULL:
		load(b, ARG_LOW(arg));
		emit(b, BPF_JMP | BPF_JEQ | BPF_K, 0, 0, 3);
		load(b, ARG_HIGH(arg));
		emit(b, BPF_JMP | BPF_JEQ | BPF_K, 0, 0, 1);
		ret(b, SECCOMP_RET_ALLOW);
		break;
	case WHEN_HIDDEN:
		load(b, ARG_LOW(arg));
		emit(b, BPF_JMP | BPF_JGE | BPF_K, (uint32_t)engine.hidden, 0, 1);
		emit(b, BPF_JMP | BPF_JGE | BPF_K, (uint32_t)(engine.hidden + engine.n_hidden), 0, 1);
		ret(b, SECCOMP_RET_ALLOW);
		break;
	case WHEN_IOCTL:
		load(b, ARG_LOW(1));
		for (unsigned i = 0; i < IOCTLS; i++)
			emit(b, BPF_JMP | BPF_JEQ | BPF_K, flag_ioctls[i], (uint8_t)(IOCTLS + 3 - i), 0);
		load(b, ARG_LOW(0));
		emit(b, BPF_JMP | BPF_JGE | BPF_K, (uint32_t)engine.hidden, 0, 1);
		emit(b, BPF_JMP | BPF_JGE | BPF_K, (uint32_t)(engine.hidden + engine.n_hidden), 0, 1);
		ret(b, SECCOMP_RET_ALLOW);
		break;
	case WHEN_ADDRESS:
		near_only(b, ARG_LOW(arg), b->abi->text_start, b->abi->block);
		break;
	case WHEN_CLONE: /* threads and plain forks run free; shared memory needs a gate, namespaces a refusal */
		load(b, ARG_LOW(0));
		emit(b, BPF_JMP | BPF_JSET | BPF_K, CLONE_NEW_ANY, 3, 0);
		emit(b, BPF_JMP | BPF_JSET | BPF_K, CLONE_VM, 0, 1);
		emit(b, BPF_JMP | BPF_JSET | BPF_K, CLONE_THREAD, 0, 1);
		ret(b, SECCOMP_RET_ALLOW);
		break;
	case WHEN_REFUSE:
		ret(b, SECCOMP_RET_ERRNO | (uint32_t)row->when_arg);
		return;
	}
	intercept(b);
}

static void search(struct builder *b, unsigned low, unsigned high)
{
	unsigned middle = (low + high) / 2, jump;

	if (high - low == 1) {
		emit(b, BPF_JMP | BPF_JEQ | BPF_K, b->rows[low]->nr, 1, 0);
		ret(b, SECCOMP_RET_ALLOW);
		leaf(b, b->rows[low]);
		return;
	}
	emit(b, BPF_JMP | BPF_JGE | BPF_K, b->rows[middle]->nr, 0, 1);
	jump = b->n;
	emit(b, BPF_JMP | BPF_JA, 0, 0, 0);
	search(b, low, middle);
	b->code[jump].k = b->n - jump - 1;
	search(b, middle, high);
}

static void collect_rows(struct builder *b)
{
	b->n_rows = 0;
	for (long nr = 0; nr <= SYSCALL_NR_LAST; nr++) {
		const struct syscall_row *row = b->abi->row(nr);

		if (row && (row->groups & call_groups()))
			b->rows[b->n_rows++] = row;
	}
}

/* Judges all calls made by one abi. */
static void judge(struct builder *b, const struct abi *abi, uint32_t action)
{
	b->abi = abi;
	b->n_fixups = 0;
	collect_rows(b);
	load(b, NR);
	/* Calls newer than the table may take paths. */
	emit(b, BPF_JMP | BPF_JGT | BPF_K, SYSCALL_NR_LAST, 0, 1);
	ret(b, SECCOMP_RET_ERRNO | ENOSYS);
	search(b, 0, b->n_rows);
	for (unsigned i = 0; i < b->n_fixups; i++)
		b->code[b->to_ip_check[i]].k = b->n - b->to_ip_check[i] - 1;
	load(b, IP_HIGH);
	emit(b, BPF_JMP | BPF_JEQ | BPF_K, (uint32_t)(abi->text_start >> 16 >> 16), 0, 4);
	load(b, IP_LOW);
	emit(b, BPF_JMP | BPF_JGE | BPF_K, (uint32_t)abi->text_start, 0, 2);
	emit(b, BPF_JMP | BPF_JGT | BPF_K, (uint32_t)abi->text_end, 1, 0);
	ret(b, SECCOMP_RET_ALLOW);
	ret(b, action);
}

static void build(struct builder *b, uint32_t action)
{
	const struct abi *other = front_end.other_abi;
	unsigned jump;

	load(b, ARCH);
	emit(b, BPF_JMP | BPF_JEQ | BPF_K, native_abi.audit, 0, 1);
	jump = b->n;
	emit(b, BPF_JMP | BPF_JA, 0, 0, 0);
	if (other) {
		emit(b, BPF_JMP | BPF_JEQ | BPF_K, other->audit, 1, 0);
		ret(b, SECCOMP_RET_ERRNO | ENOSYS);
		judge(b, other, action | FILTER_OTHER);
	} else {
		/* int 0x80 and x32 have other tables; nothing there may reach the host. */
		ret(b, SECCOMP_RET_ERRNO | ENOSYS);
	}
	b->code[jump].k = b->n - jump - 1;
	judge(b, &native_abi, action);
}

int filter_install(uint32_t action)
{
	static SELDOM struct builder b; /* used once, before the first guest program */
	struct sock_fprog program;
	long r;

	build(&b, action);
	if (b.n > FILTER_MAX)
		return -E2BIG;
	program = (struct sock_fprog){ .len = (unsigned short)b.n, .filter = b.code };
	r = SYS5(prctl, PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
	if (r < 0)
		return (int)r;
	/* Without SPEC_ALLOW the kernel turns costly speculation mitigations on for the process. */
	r = SYS3(seccomp, SECCOMP_SET_MODE_FILTER, SECCOMP_FILTER_FLAG_SPEC_ALLOW, &program);
	if (r == -EINVAL || r == -ENOSYS)
		r = SYS5(prctl, PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program, 0, 0);
	return (int)r;
}
