/* Rewrites system call instructions in memory. Two forms:
 *
 * 	HEAD; syscall    the instruction before the call becomes a jump to a trampoline, which runs it and goes on to
 * 	                 the dispatch: as fast as a function call
 * 	syscall          its first byte becomes MARK: SIGILL, answered by a handler
 *
 * The first form has the second beneath it, for who jumps right to the instruction. Only where the number is not
 * known from the code and nobody can jump there (SITE_CHECKED) the instruction stays: the trampoline lets the guest
 * make calls that nobody intercepts by it, for C libraries tell by its address whether a thread may be cancelled in
 * it.
 *
 * A trampoline:
 *
 * 	HEAD
 * 	lea back(%rip), %rcx
 * 	jmp *entry(%rip)
 * */
#include <linux/errno.h>
#include <linux/mman.h>

#include "calls/calls.h"
#include "insn.h"
#include "preload.h"

#define NEAR (1l << 30)
#define PAGE 4096ul
#define SLOT_TAIL 13 /* bytes behind the head: lea, jmp */
#define JUMP_SIZE 5
#define PIECES 1024

/* Trampolines lie in an island of memory near the code, behind the addresses of the two entries. */
struct island {
	unsigned long entry, checked;
	uint8_t code[];
};

/* Code that was rewritten; a free one has no end. */
static struct piece {
	unsigned long start, end;
	unsigned long island;
	size_t island_size;
} pieces[PIECES];

const unsigned long rewrite_nr_last = SYSCALL_NR_LAST;
unsigned long rewrite_active[SYSCALL_NR_LAST / 64 + 1];

static bool is_active(long nr)
{
	return nr > SYSCALL_NR_LAST || (rewrite_active[nr / 64] >> nr % 64 & 1);
}

void rewrite_init(void)
{
	for (long nr = 0; nr <= SYSCALL_NR_LAST; nr++) {
		const struct syscall_row *row = syscall_row(nr);

		if (row && (row->groups & call_groups()))
			rewrite_active[nr / 64] |= 1ul << nr % 64;
	}
}

/* ---- what is known of code ---- */

static struct piece *piece_add(unsigned long start, unsigned long end)
{
	for (size_t i = 0; i < PIECES; i++) {
		unsigned long none = 0;

		if (!pieces[i].end && __atomic_compare_exchange_n(&pieces[i].end, &none, end, false, __ATOMIC_ACQ_REL,
								  __ATOMIC_RELAXED)) {
			pieces[i].start = start;
			pieces[i].island = 0;
			return &pieces[i];
		}
	}
	return NULL;
}

static void piece_drop(struct piece *p)
{
	if (p->island)
		(void)sys_munmap((void *)p->island, p->island_size);
	__atomic_store_n(&p->end, 0, __ATOMIC_RELEASE);
}

void rewrite_forget(unsigned long start, size_t size)
{
	for (size_t i = 0; i < PIECES; i++)
		if (pieces[i].end && pieces[i].start >= start && pieces[i].end <= start + size)
			piece_drop(&pieces[i]);
}

bool rewrite_knows(unsigned long start, size_t size)
{
	for (size_t i = 0; i < PIECES; i++)
		if (pieces[i].end && pieces[i].start < start + size && pieces[i].end > start)
			return true;
	return false;
}

/* ---- the two forms ---- */

static bool wants_rewriting(const struct site *s)
{
	return s->nr == SITE_NR_UNKNOWN || is_active(s->nr);
}

static bool has_jump(const struct code *code, const struct site *s)
{
	return s->head && s->kind != SITE_FOREIGN && !code->no_heads;
}

static size_t island_size(const struct code *code, const struct site *sites, size_t n)
{
	size_t size = 0;

	for (size_t i = 0; i < n; i++)
		if (wants_rewriting(&sites[i]) && has_jump(code, &sites[i]))
			size += sites[i].head + SLOT_TAIL;
	return size ? (size + sizeof(struct island) + PAGE - 1) & ~(PAGE - 1) : 0;
}

static bool is_near(const struct code *code, unsigned long at, size_t size)
{
	const unsigned long end = code->start + code->size;

	return at < code->start ? end - at < (unsigned long)NEAR : at + size - code->start < (unsigned long)NEAR;
}

static struct island *island_map(const struct code *code, size_t size)
{
	const long away[] = { 0, NEAR / 8, -NEAR / 8, NEAR / 4, -NEAR / 4, NEAR / 2, -NEAR / 2 };

	for (unsigned i = 0; i < sizeof(away) / sizeof(away[0]); i++) {
		unsigned long hint = away[i] ? (code->start & ~(PAGE - 1)) + (unsigned long)away[i] : 0;
		long p = sys_mmap((void *)hint, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

		if (sys_is_err(p))
			continue;
		if (is_near(code, (unsigned long)p, size))
			return (struct island *)p;
		(void)sys_munmap((void *)p, size);
	}
	return NULL;
}

static uint8_t *put_relative(uint8_t *p, uint32_t opcode, unsigned opcode_size, unsigned long target)
{
	int32_t distance;

	memcpy(p, &opcode, opcode_size);
	p += opcode_size;
	distance = (int32_t)(long)(target - ((unsigned long)p + 4));
	memcpy(p, &distance, 4);
	return p + 4;
}

/* Writes the trampoline of a site at `slot` and the jump to it; returns the next free slot. */
static uint8_t *make_jump(struct island *island, uint8_t *slot, uint8_t *syscall, const struct site *s)
{
	uint8_t *head = syscall - s->head, *p = slot;

	memcpy(p, head, s->head);
	p = put_relative(p + s->head, 0x0d8d48, 3, (unsigned long)syscall + 2);
	p = put_relative(p, 0x25ff, 2, (unsigned long)(s->kind == SITE_CHECKED ? &island->checked : &island->entry));
	(void)put_relative(head, 0xe9, 1, (unsigned long)slot);
	memset(head + JUMP_SIZE, 0xcc, s->head - JUMP_SIZE);
	return p;
}

static bool is_there(const struct code *code, const struct site *s)
{
	const uint8_t *p = (const uint8_t *)code->start + s->offset;

	if (s->offset + 2ul > code->size || s->head > s->offset || (s->head && s->head < JUMP_SIZE) ||
	    s->head > INSN_MAX)
		return false;
	return s->kind == SITE_FOREIGN ? (p[0] == 0xcd && p[1] == 0x80) || (p[0] == 0x0f && p[1] == 0x34)
				       : p[0] == 0x0f && p[1] == 0x05;
}

/* Changes the memory, which is writable. Returns 0 or -ESTALE. */
static int rewrite_all(const struct code *code, const struct site *sites, size_t n, struct island *island)
{
	uint8_t *slot = island ? island->code : NULL;
	unsigned long page = 0;

	if (island) {
		island->entry = (unsigned long)rewritten_entry;
		island->checked = (unsigned long)checked_entry;
	}
	for (size_t i = 0; i < n; i++) {
		const struct site *s = &sites[i];
		uint8_t *syscall = (uint8_t *)code->start + s->offset;
		bool jump = island && has_jump(code, s);

		if (!wants_rewriting(s))
			continue;
		/* Its own copy of a page is made by one fault when it is written first, by two when it is read
		 * first. */
		if ((unsigned long)syscall / PAGE != page && s->offset < code->size) {
			page = (unsigned long)syscall / PAGE;
			(void)__atomic_fetch_or(syscall, 0, __ATOMIC_RELAXED);
		}
		if (!is_there(code, s))
			return -ESTALE;
		if (jump)
			slot = make_jump(island, slot, syscall, s);
		if (!jump || s->kind != SITE_CHECKED)
			*syscall = MARK;
	}
	return 0;
}

int rewrite(const struct code *code, const struct site *sites, size_t n)
{
	const size_t room = island_size(code, sites, n);
	unsigned long first = 0, last = 0;
	struct island *island = NULL;
	struct piece *piece;
	long r;

	for (size_t i = 0; i < n; i++) {
		if (!wants_rewriting(&sites[i]))
			continue;
		if (!last)
			first = code->start + sites[i].offset - sites[i].head;
		last = code->start + sites[i].offset + 2;
		if (last > code->start + code->size)
			return -ESTALE;
	}
	if (!last)
		return 0;
	piece = piece_add(code->start, code->start + code->size);
	if (!piece)
		return -ENOMEM;
	if (room)
		island = island_map(code, room); /* without one every site gets its mark */
	first &= ~(PAGE - 1);
	last = (last + PAGE - 1) & ~(PAGE - 1);
	r = SYS3(mprotect, first, last - first, PROT_READ | PROT_WRITE);
	if (r >= 0)
		r = rewrite_all(code, sites, n, island);
	if (r >= 0)
		r = SYS3(mprotect, first, last - first, code->prot);
	if (r >= 0 && island)
		r = SYS3(mprotect, island, room, PROT_READ | PROT_EXEC);
	if (island) {
		piece->island = (unsigned long)island;
		piece->island_size = room;
	}
	if (r < 0)
		piece_drop(piece);
	return r < 0 ? (int)r : 0;
}
