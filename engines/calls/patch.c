/* Lazy patching of hot call sites: after a few interceptions of one `syscall` instruction it is made to jump to the
 * dispatch directly, which costs a twentieth of a signal and less of a tracer's stop. x86_64.
 *
 * Three forms, all leaving every instruction boundary that anybody may return to:
 *
 *	mov $nr, %eax; syscall    the five bytes of the mov become jmp rel32; a jump straight to the syscall still traps
 *	mov $-100, %edi; syscall  the same
 *	syscall                   its two bytes become jmp rel8 to a long nop nearby, where jmp rel32 fits; who falls
 *	                          through the nop is led around it
 *
 * The bytes are written through /proc/self/mem, so that pages stay read-only and executable; where the kernel refuses
 * that, sites simply keep trapping. With several threads only a store inside one aligned word is made. */
#include <linux/errno.h>
#include <linux/mman.h>

#include "calls.h"

#define HITS_BEFORE_PATCH 4
#define NEVER 255
#define NEAR (1l << 30)
#define ISLAND_SIZE 4096
#define SLOT_SIZE 48
#define SLOTS ((ISLAND_SIZE - 8) / SLOT_SIZE)
#define NR_RT_SIGRETURN 15

/* Traps by site, hashed; a collision only makes patching a little earlier or later. */
static unsigned char hits[1024];

static struct island {
	unsigned long base;
	unsigned used;
} islands[16];

static long write_code(unsigned long address, const void *code, size_t size)
{
	long fd = sys_openat(AT_FDCWD, "/proc/self/mem", O_RDWR | O_CLOEXEC, 0), r;

	if (fd < 0)
		return fd;
	r = sys_pwrite((int)fd, code, size, (int64_t)address);
	(void)sys_close((int)fd);
	return r == (long)size ? 0 : -EPERM;
}

static bool single_threaded(void)
{
	struct stat st;

	/* /proc/PID/task has one directory for each thread. */
	return sys_fstatat(AT_FDCWD, "/proc/self/task", &st, 0) == 0 && st.st_nlink == 3;
}

static bool near(unsigned long a, unsigned long b)
{
	long d = (long)(a - b);

	return d > -NEAR && d < NEAR;
}

static unsigned long map_island(unsigned long site)
{
	const long away[] = { 0, NEAR / 4, -NEAR / 4, NEAR / 2, -NEAR / 2 };
	const unsigned long entry = (unsigned long)patched_entry;

	for (unsigned i = 0; i < sizeof(away) / sizeof(away[0]); i++) {
		unsigned long hint = away[i] ? (site & ~0xffful) + (unsigned long)away[i] : 0;
		long p = sys_mmap((void *)hint, ISLAND_SIZE, PROT_READ | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

		if (sys_is_err(p))
			continue;
		if (near((unsigned long)p, site) && write_code((unsigned long)p, &entry, sizeof(entry)) == 0)
			return (unsigned long)p;
		(void)sys_munmap((void *)p, ISLAND_SIZE);
	}
	return 0;
}

/* A free trampoline slot within reach of the site, or 0. */
static unsigned long take_slot(unsigned long site, unsigned long *ret_base)
{
	for (unsigned i = 0; i < sizeof(islands) / sizeof(islands[0]); i++) {
		unsigned long base = __atomic_load_n(&islands[i].base, __ATOMIC_ACQUIRE), none = 0;
		unsigned slot;

		if (!base) {
			base = map_island(site);
			if (!base)
				return 0;
			if (!__atomic_compare_exchange_n(&islands[i].base, &none, base, false, __ATOMIC_ACQ_REL,
							 __ATOMIC_ACQUIRE)) {
				(void)sys_munmap((void *)base, ISLAND_SIZE);
				base = none;
			}
		}
		if (!near(base, site))
			continue;
		slot = __atomic_fetch_add(&islands[i].used, 1, __ATOMIC_RELAXED);
		if (slot >= SLOTS)
			continue;
		*ret_base = base;
		return base + 8 + slot * SLOT_SIZE;
	}
	return 0;
}

static unsigned put_rip_relative(unsigned char *code, unsigned n, uint32_t opcode, unsigned opcode_size,
				 unsigned long at, unsigned long target)
{
	int32_t distance = (int32_t)(long)(target - (at + n + opcode_size + 4));

	memcpy(code + n, &opcode, opcode_size);
	memcpy(code + n + opcode_size, &distance, 4);
	return n + opcode_size + 4;
}

/* The trampoline:
 *
 *	[mov $nr, %eax]
 *	mov back(%rip), %rcx
 *	lea raw(%rip), %r11
 *	jmp *entry(%rip)
 * raw:	syscall				for calls that cannot be made inside dispatch: see patched_entry
 *	jmp *back(%rip)
 * back:	.quad ip
 */
static bool write_trampoline(unsigned long at, unsigned long base, const unsigned char *mov, unsigned long ip)
{
	const unsigned long back = at + SLOT_SIZE - 8;
	unsigned char code[SLOT_SIZE];
	unsigned n = 0, raw;

	memset(code, 0xcc, sizeof(code));
	if (mov) {
		memcpy(code, mov, 5);
		n = 5;
	}
	raw = n + 7 + 7 + 6;
	n = put_rip_relative(code, n, 0x0d8b48, 3, at, back);
	n = put_rip_relative(code, n, 0x1d8d4c, 3, at, at + raw);
	n = put_rip_relative(code, n, 0x25ff, 2, at, base);
	code[n++] = 0x0f;
	code[n++] = 0x05;
	(void)put_rip_relative(code, n, 0x25ff, 2, at, back);
	memcpy(code + SLOT_SIZE - 8, &ip, 8);
	return write_code(at, code, SLOT_SIZE) == 0;
}

static void jump_rel32(unsigned char code[5], unsigned long from, unsigned long to)
{
	int32_t distance = (int32_t)(long)(to - (from + 5));

	code[0] = 0xe9;
	memcpy(code + 1, &distance, 4);
}

/* Writes `n` bytes; among threads only when they lie in one aligned word, which is then written whole. */
static bool write_site(unsigned long at, const unsigned char *code, unsigned n, bool alone)
{
	unsigned char word[8];
	unsigned long aligned = at & ~7ul;

	if (at + n <= aligned + 8) {
		memcpy(word, (const void *)aligned, 8);
		memcpy(word + (at - aligned), code, n);
		return write_code(aligned, word, 8) == 0;
	}
	return alone && write_code(at, code, n) == 0;
}

/* mov $nr, %eax (b8 imm32), mov $nr, %rax (48 c7 c0 imm32) or, as in libc's openat(AT_FDCWD, ...), mov $-100, %edi
 * (bf imm32) right before the syscall instruction. */
static bool patch_mov(const struct call *c, bool alone)
{
	const unsigned char *ip = (const unsigned char *)c->ip;
	unsigned char jump[5], mov[5] = { 0xb8 };
	unsigned long base, at, site;
	bool rex = (ip[-8] & 0xf0) == 0x40;
	int32_t imm;

	memcpy(&imm, ip - 6, 4);
	if (ip[-7] == 0xb8 && !rex && imm == c->nr)
		site = c->ip - 7;
	else if (ip[-7] == 0xbf && !rex && imm == AT_FDCWD && c->arg[0] == (uint32_t)AT_FDCWD)
		site = c->ip - 7;
	else if (ip[-7] == 0xc0 && ip[-8] == 0xc7 && ip[-9] == 0x48 && imm == c->nr)
		site = c->ip - 9;
	else
		return false;
	if (!alone && (site & 7) > 3)
		return false;
	if (site == c->ip - 7)
		mov[0] = ip[-7];
	memcpy(mov + 1, &imm, 4);
	at = take_slot(site, &base);
	if (!at || !write_trampoline(at, base, mov, c->ip))
		return false;
	jump_rel32(jump, site, at);
	return write_site(site, jump, sizeof(jump), alone);
}

/* Length of the long nop at `p` (7 bytes or more), or 0. */
static unsigned long_nop(const unsigned char *p)
{
	unsigned prefix = 0;

	while (prefix < 5 && p[prefix] == 0x66)
		prefix++;
	if (p[prefix] == 0x2e)
		prefix++;
	p += prefix;
	if (p[0] != 0x0f || p[1] != 0x1f)
		return 0;
	if (p[2] == 0x80 && !p[3] && !p[4] && !p[5] && !p[6])
		return prefix + 7;
	if (p[2] == 0x84 && !p[3] && !p[4] && !p[5] && !p[6] && !p[7])
		return prefix + 8;
	return 0;
}

static bool patch_bare(const struct call *c, bool alone)
{
	const unsigned long site = c->ip - 2, first = site & ~0xffful, last = c->ip | 0xffful;
	unsigned char landing[7], jump[2] = { 0xeb };
	unsigned long base, at;

	if (!alone && (site & 7) > 6)
		return false;
	/* Stay inside the pages the instruction and what follows it are in: what lies beyond may not be mapped. */
	for (long d = -110; d <= 110; d++) {
		const unsigned char *p = (const unsigned char *)c->ip + d;
		unsigned n;

		if ((unsigned long)(p - 1) < first || (unsigned long)(p + 16) > last)
			continue;
		if (p[-1] != 0xc3)
			continue;
		n = long_nop(p);
		if (!n)
			continue;
		at = take_slot(site, &base);
		if (!at || !write_trampoline(at, base, NULL, c->ip))
			return false;
		landing[0] = 0xeb;
		landing[1] = (unsigned char)(n - 2);
		jump_rel32(landing + 2, (unsigned long)p + 2, at);
		if (!write_site((unsigned long)p, landing, sizeof(landing), alone))
			return false;
		jump[1] = (unsigned char)(signed char)(d + 2); /* past the leap over it */
		return write_site(site, jump, sizeof(jump), alone);
	}
	return false;
}

void patch_site(const struct call *c)
{
	const unsigned char *ip = (const unsigned char *)c->ip;
	unsigned char *count = &hits[(c->ip ^ c->ip >> 10 ^ c->ip >> 20) % sizeof(hits)];
	bool alone;

	if (!engine.patch || *count == NEVER)
		return;
	if (++*count < HITS_BEFORE_PATCH)
		return;
	*count = NEVER;
	if (c->nr == NR_RT_SIGRETURN || (c->ip >= engine.no_patch_start && c->ip < engine.no_patch_end))
		return;
	/* The page before may be another mapping, or none. */
	if (((c->ip - 10) ^ c->ip) >> 12 && !guest_readable(ip - 10, 10))
		return;
	if (ip[-2] != 0x0f || ip[-1] != 0x05)
		return;
	alone = single_threaded();
	if (!patch_mov(c, alone))
		(void)patch_bare(c, alone);
}
