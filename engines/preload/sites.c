/* Where a piece of code makes system calls.
 *
 * The bytes 0f 05 also occur inside other instructions. What tells is where instructions begin, and for that no
 * symbol or unwind table is needed: an instruction is at most 15 bytes long, so among any 15 neighbouring addresses
 * one at least begins an instruction. Decoding is started at each of 15 addresses some way before the candidate.
 * Streams that meet an invalid instruction are not the true one; streams join each other after a few instructions;
 * and when all that are left agree about the candidate, the true one, which is among them, does so too. When they
 * do not, the start moves further back. */
#include "sites.h"

#include <linux/errno.h>
#include <stdbool.h>

#include "insn.h"
#include "str.h"
#include "syscalls.h"

#define STREAMS INSN_MAX
#define WINDOW_FIRST 64
#define WINDOW_LAST 4096
#define WINDOW_LEAST 16
#define WITNESSES 6 /* instructions after a candidate that are looked at */
#define PREPARED 32 /* instructions before it that are */
#define INDIRECT_REACH 512 /* how far before a site a jump through a table is looked for */

struct code {
	const uint8_t *bytes;
	size_t size;
};

enum verdict {
	NOT_CODE, /* no stream comes by: what is here is data */
	INSIDE, /* of another instruction */
	BEGINS, /* an instruction begins here */
	BEGINS_ONLY, /* it does, but which is before it is not clear */
	UNCLEAR,
};

/* Follows one stream from `at`, marking in `seen` where it has been, up to `candidate` or to where another has been. */
static enum verdict follow(const struct code *c, size_t at, size_t candidate, size_t start, uint64_t *seen,
			   bool plausible, size_t *ret_before)
{
	size_t before = at;

	while (at < candidate) {
		uint64_t *word = &seen[(at - start) / 64], bit = 1ull << (at - start) % 64;
		unsigned flags, len;

		if (*word & bit)
			return UNCLEAR; /* the other's answer is this one's */
		*word |= bit;
		len = insn_decode(c->bytes + at, c->size - at, &flags);
		if (!len || (plausible && (flags & INSN_PRIVILEGED)))
			return NOT_CODE;
		before = at;
		at += len;
	}
	*ret_before = before;
	return at == candidate ? BEGINS : INSIDE;
}

/* What all streams that start `window` bytes before the candidate say of it. *ret_before is where the instruction
 * before it begins (the candidate itself when there is none). */
static enum verdict ask_streams(const struct code *c, size_t candidate, size_t window, bool plausible,
				size_t *ret_before)
{
	const size_t start = candidate > window ? candidate - window : 0;
	uint64_t seen[WINDOW_LAST / 64 + 1];
	enum verdict said = NOT_CODE;

	memset(seen, 0, (window / 64 + 1) * sizeof(seen[0]));
	*ret_before = candidate;
	for (size_t at = start; at < start + STREAMS && at < candidate; at++) {
		size_t before;
		enum verdict v = follow(c, at, candidate, start, seen, plausible, &before);

		if (v == NOT_CODE || v == UNCLEAR)
			continue;
		if (said == NOT_CODE) {
			said = v;
			*ret_before = before;
		} else if ((v == BEGINS) != (said != INSIDE)) {
			return UNCLEAR;
		} else if (v == BEGINS && before != *ret_before) {
			said = BEGINS_ONLY;
		}
	}
	if (said == BEGINS_ONLY)
		*ret_before = candidate;
	return said;
}

static bool is_open(enum verdict v)
{
	return v == UNCLEAR || v == BEGINS_ONLY;
}

static enum verdict judge(const struct code *c, size_t candidate, size_t *ret_before)
{
	uint64_t seen[WINDOW_LAST / 64 + 1] = { 0 };
	enum verdict v = UNCLEAR;

	if (candidate == 0) {
		*ret_before = 0;
		return BEGINS;
	}
	for (size_t window = WINDOW_FIRST; window <= WINDOW_LAST && is_open(v); window *= 4)
		v = ask_streams(c, candidate, window, false, ret_before);
	/* A function's first instructions, behind data. */
	for (size_t window = WINDOW_FIRST / 2; window >= WINDOW_LEAST && v == NOT_CODE; window /= 2)
		v = ask_streams(c, candidate, window, false, ret_before);
	/* Instructions that only a kernel may execute are in no stream that a program runs. */
	for (size_t window = WINDOW_FIRST; window <= WINDOW_LAST && is_open(v); window *= 4)
		v = ask_streams(c, candidate, window, true, ret_before);
	/* The code itself begins with an instruction. */
	if (is_open(v) && candidate < WINDOW_LAST) {
		size_t before;
		enum verdict first = follow(c, 0, candidate, 0, seen, true, &before);

		if (first == BEGINS)
			*ret_before = before;
		v = first == NOT_CODE ? v : first;
	}
	return v;
}

/* Whether the instruction sets rax as calls are prepared: mov, xor, pop or lea. */
static bool sets_rax(const uint8_t *p, unsigned len)
{
	const unsigned rex = len > 1 && (p[0] & 0xf0) == 0x40 ? p[0] : 0;
	const bool rm_high = rex & 1, reg_high = rex & 4; /* REX.B, REX.R: another register */
	unsigned modrm;

	if (rex) {
		p++;
		len--;
	}
	if (p[0] == 0x58 || p[0] == 0xb8)
		return !rm_high;
	if (len < 2)
		return false;
	modrm = p[1];
	switch (p[0]) {
	case 0xc7:
	case 0x31:
	case 0x33: return modrm == 0xc0 && !rm_high && !reg_high;
	case 0x89: return (modrm & 0xc7) == 0xc0 && !rm_high;
	case 0x8b:
	case 0x8d:
	case 0x63: return (modrm & 0x38) == 0 && !reg_high;
	default: return false;
	}
}

/* Whether the instruction looks at what a call returned in rax, or returns it. */
static bool uses_rax(const uint8_t *p, unsigned len)
{
	if (p[0] == 0xc3)
		return true;
	if (len > 1 && (p[0] == 0x48 || p[0] == 0x40)) {
		p++;
		len--;
	}
	return (len == 5 && p[0] == 0x3d) || (len == 3 && p[0] == 0x83 && p[1] == 0xf8) ||
	       (len == 2 && p[0] == 0x85 && p[1] == 0xc0) || (len == 2 && p[0] == 0x89 && (p[1] & 0xf8) == 0xc0);
}

/* Whether a stream of `window` bytes leads to the candidate (1: and sets rax shortly before, 0: and does not), or none
 * does (-1). */
static int prepares(const struct code *c, size_t candidate, size_t window)
{
	const size_t start = candidate > window ? candidate - window : 0;

	for (size_t first = start; first < start + STREAMS && first < candidate; first++) {
		size_t set = 0, count = 0, at = first;

		while (at < candidate) {
			unsigned flags, len = insn_decode(c->bytes + at, c->size - at, &flags);

			if (!len || (flags & INSN_PRIVILEGED))
				break;
			count++;
			if (sets_rax(c->bytes + at, len))
				set = count;
			at += len;
		}
		if (at == candidate)
			return set && count - set < PREPARED;
	}
	return -1;
}

static bool is_prepared(const struct code *c, size_t candidate)
{
	int r = -1;

	for (size_t window = 4 * WINDOW_FIRST; window >= WINDOW_LEAST && r < 0; window /= 2)
		r = prepares(c, candidate, window);
	return r > 0;
}

/* Whether the bytes around look like a call. Tables of constants in the code may decode as anything: they are left
 * alone unless they look as if they prepared a call, or looked at what it returned. */
static bool is_sensible(const struct code *c, size_t candidate)
{
	bool used = false;
	size_t at = candidate + 2;

	for (unsigned i = 0; i < WITNESSES && at < c->size; i++) {
		unsigned flags, len = insn_decode(c->bytes + at, c->size - at, &flags);

		if (!len || (flags & INSN_PRIVILEGED))
			return false;
		if (i < 2 && uses_rax(c->bytes + at, len))
			used = true;
		/* Nothing need follow a return or a jump. */
		if (c->bytes[at] == 0xc3 || c->bytes[at] == 0xe9 || c->bytes[at] == 0xeb)
			break;
		at += len;
	}
	return (used && c->bytes[candidate] == 0x0f) || is_prepared(c, candidate);
}

/* The number that the instruction at `at` (the one before the site) puts into eax, or SITE_NR_UNKNOWN. */
static uint16_t number_set(const uint8_t *at, size_t len)
{
	int32_t imm;

	if (len == 2 && (at[0] == 0x31 || at[0] == 0x33) && at[1] == 0xc0)
		return 0; /* xor %eax, %eax */
	if (!(len == 5 && at[0] == 0xb8) && !(len == 7 && at[0] == 0x48 && at[1] == 0xc7 && at[2] == 0xc0))
		return SITE_NR_UNKNOWN;
	memcpy(&imm, at + len - 4, 4);
	return imm >= 0 && imm <= SYSCALL_NR_LAST ? (uint16_t)imm : SITE_NR_UNKNOWN;
}

/* Whether a jump through a register or memory is near: its table may name any address around. */
static bool indirect_jump_near(const struct code *c, size_t site)
{
	for (size_t at = site > INDIRECT_REACH ? site - INDIRECT_REACH : 0; at + 1 < site; at++)
		if (c->bytes[at] == 0xff && (c->bytes[at + 1] & 0x38) == 0x20)
			return true;
	return false;
}

/* Whether a short jump leads right to the site. */
static bool short_jump_leads_to(const struct code *c, size_t site)
{
	for (size_t end = site > 128 ? site - 128 : 2; end <= site + 130 && end <= c->size; end++) {
		const uint8_t opcode = end < 2 ? 0 : c->bytes[end - 2];

		size_t before;

		if (((opcode & 0xf0) == 0x70 || opcode == 0xeb || (opcode & 0xfc) == 0xe0) &&
		    end + (size_t)(long)(int8_t)c->bytes[end - 1] == site &&
		    judge(c, end - 2, &before) != INSIDE)
			return true;
	}
	return false;
}

static void add_head(const struct code *c, struct site *s, size_t before)
{
	unsigned flags, len = insn_decode(c->bytes + before, c->size - before, &flags);

	/* Five bytes: a jump's. */
	if (before + len == s->offset && len >= 5 && !(flags & (INSN_CONTROL | INSN_RIP)))
		s->head = (uint8_t)len;
	if (s->kind != SITE_SYSCALL)
		return;
	if (short_jump_leads_to(c, s->offset))
		return;
	if (before + len == s->offset)
		s->nr = number_set(c->bytes + before, len);
	if (s->head && s->nr == SITE_NR_UNKNOWN && !indirect_jump_near(c, s->offset))
		s->kind = SITE_CHECKED;
}

/* A jump from afar leads right to this site: only the site itself can tell with what number. */
static void reached_by_jump(struct site *list, size_t n, uint32_t target)
{
	size_t low = 0, high = n;

	while (low < high) {
		size_t middle = (low + high) / 2;

		if (list[middle].offset < target)
			low = middle + 1;
		else
			high = middle;
	}
	if (low < n && list[low].offset == target && list[low].kind != SITE_FOREIGN) {
		list[low].nr = SITE_NR_UNKNOWN;
		list[low].kind = SITE_SYSCALL;
	}
}

/* Looks for 32-bit distances that lead to a site, at every address: of jumps and calls, and of lea, which takes an
 * address to jump to later. */
static void find_far_jumps(const struct code *c, struct site *list, size_t n)
{
	uint64_t filter[1024] = { 0 }; /* one bit for each site's offset modulo 64 Ki */

	for (size_t i = 0; i < n; i++)
		filter[(list[i].offset & 0xffff) / 64] |= 1ull << list[i].offset % 64;
	for (size_t at = 0; at + 4 <= c->size; at++) {
		int32_t distance;
		size_t target;

		memcpy(&distance, c->bytes + at, 4);
		target = at + 4 + (size_t)(long)distance;
		if (target >= c->size || !(filter[(target & 0xffff) / 64] >> target % 64 & 1))
			continue;
		reached_by_jump(list, n, (uint32_t)target);
	}
}

/* The next address at or after `at` whose two bytes may be a site: 0f 05, 0f 34, cd 80. `size` when there is none. */
static size_t next_candidate(const struct code *c, size_t at)
{
	const uint64_t ones = 0x0101010101010101, high = 0x8080808080808080;
	const uint8_t *p = c->bytes;

	while (at + 1 < c->size) {
		/* Eight bytes at once: is any of them 05, 34 or 80? These are rarer than 0f. */
		if (at + 9 <= c->size) {
			uint64_t w, a, b, d;

			memcpy(&w, p + at + 1, 8);
			a = w ^ 0x05 * ones;
			b = w ^ 0x34 * ones;
			d = w ^ 0x80 * ones;
			if (!(((a - ones) & ~a) & high) && !(((b - ones) & ~b) & high) && !(((d - ones) & ~d) & high)) {
				at += 8;
				continue;
			}
		}
		for (size_t end = at + 8; at < end && at + 1 < c->size; at++)
			if ((p[at] == 0x0f && (p[at + 1] == 0x05 || p[at + 1] == 0x34)) ||
			    (p[at] == 0xcd && p[at + 1] == 0x80))
				return at;
	}
	return c->size;
}

long sites_find(const uint8_t *code, size_t size, struct site *list, size_t max)
{
	const struct code c = { .bytes = code, .size = size };
	size_t n = 0;

	if (size > UINT32_MAX)
		return -E2BIG;
	for (size_t at = next_candidate(&c, 0); at < size; at = next_candidate(&c, at + 1)) {
		size_t before;
		enum verdict v = judge(&c, at, &before);

		if (v == INSIDE || v == NOT_CODE || !is_sensible(&c, at))
			continue;
		if (v == UNCLEAR)
			return -ENOEXEC; /* either a call is missed, or something else is broken */
		if (n == max)
			return -E2BIG;
		list[n] = (struct site){
			.offset = (uint32_t)at,
			.nr = SITE_NR_UNKNOWN,
			.kind = code[at + 1] == 0x05 ? SITE_SYSCALL : SITE_FOREIGN,
		};
		add_head(&c, &list[n++], before);
	}
	if (n)
		find_far_jumps(&c, list, n);
	return (long)n;
}
