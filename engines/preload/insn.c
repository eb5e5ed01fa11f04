/* Lengths of x86-64 instructions. Intel's Software Developer's Manual, volume 2, appendix A (opcode maps) and chapter 2
 * (prefixes, VEX, EVEX); AMD's manual, volume 3 (3DNow!, SSE4A, XOP); Intel's APX specification (REX2, EVEX map 4). */
#include "insn.h"

#include <stdbool.h>

/* One letter for each opcode, what follows it:
 *
 *	.  nothing		m  ModRM		b  ModRM, imm8		z  ModRM, imm16/32
 *	1  imm8			4  imm16/32		v  imm16/32/64		o  an absolute address
 *	j  rel8			J  rel32		w  imm16, a return	e  enter: imm16, imm8
 *	i  imm8, an interrupt	r  nothing; control	F  ModRM, imm8 if /0 /1	G  ModRM, imm16/32 if /0 /1
 *	f  ModRM, /0 /1 only	c  group 5: call, jmp	l  lea: ModRM of memory
 *	h  nothing; privileged	H  imm8; privileged
 *	p  a prefix		q  REX			E  another map		x  invalid
 */
static const char one_byte[] =
	"mmmm14xxmmmm14xE" /* 0 */
	"mmmm14xxmmmm14xx"
	"mmmm14pxmmmm14px"
	"mmmm14pxmmmm14px"
	"qqqqqqqqqqqqqqqq" /* 4 */
	"................"
	"xxEmpppp4z1bhhhh"
	"jjjjjjjjjjjjjjjj"
	"bzxbmmmmmmmmmlmE" /* 8 */
	"..........x....."
	"oooo....14......"
	"11111111vvvvvvvv"
	"bbwrEEbze.wrrixr" /* c */
	"mmmmxEx.mmmmmmmm"
	"jjjjHHHHJJxjhhhh"
	"prpp.rFG..hh..fc";

static const char two_bytes[] =
	"mmmmxrhrhhxrxm.b" /* 0: 05 syscall, 0b ud2, 0f 3DNow! */
	"mmmmmmmmmmmmmmmm"
	"mmmmxxxxmmmmmmmm"
	"h.hhrrx.ExExxxxx"
	"mmmmmmmmmmmmmmmm" /* 4 */
	"mmmmmmmmmmmmmmmm"
	"mmmmmmmmmmmmmmmm"
	"bbbbmmm.mmxxmmmm"
	"JJJJJJJJJJJJJJJJ" /* 8 */
	"mmmmmmmmmmmmmmmm"
	"...mbmmm..hmbmmm"
	"mmmmmmmmmmbmmmmm"
	"mmbmbbbm........" /* c */
	"mmmmmmmmmmmmmmmm"
	"mmmmmmmmmmmmmmmm"
	"mmmmmmmmmmmmmmmm";

struct decoder {
	const uint8_t *code;
	size_t size;
	unsigned at;
	bool operand16, address32, wide; /* 66, 67, REX.W */
	bool sse_prefix, rex, lock; /* 66 f2 f3, REX, f0: none may stand before VEX */
	bool repne;
	unsigned flags;
};

static int byte_at(const struct decoder *d, unsigned at)
{
	return at < d->size && at < INSN_MAX ? d->code[at] : -1;
}

/* ModRM, SIB and displacement. Returns the register field, or -1. */
static int take_modrm(struct decoder *d)
{
	int modrm = byte_at(d, d->at), sib, mod, rm;

	if (modrm < 0)
		return -1;
	d->at++;
	mod = modrm >> 6;
	rm = modrm & 7;
	if (mod != 3) {
		if (rm == 4) {
			sib = byte_at(d, d->at);
			if (sib < 0)
				return -1;
			d->at++;
			if (mod == 0 && (sib & 7) == 5)
				d->at += 4;
		} else if (mod == 0 && rm == 5) {
			d->at += 4;
			d->flags |= INSN_RIP;
		}
		d->at += mod == 1 ? 1 : mod == 2 ? 4 : 0;
	}
	return (modrm >> 3 & 7) | (mod == 3 ? 8 : 0);
}

static unsigned word_size(const struct decoder *d)
{
	return d->operand16 && !d->wide ? 2 : 4;
}

/* What the letter says. Returns whether it is valid. */
static bool take_operands(struct decoder *d, char letter)
{
	int reg = 0;

	switch (letter) {
	case '.': return true;
	case 'r': d->flags |= INSN_CONTROL; return true;
	case 'h': d->flags |= INSN_PRIVILEGED; return true;
	case 'H': d->flags |= INSN_PRIVILEGED; d->at += 1; return true;
	case '1': d->at += 1; return true;
	case '4': d->at += word_size(d); return true;
	case 'v': d->at += d->wide ? 8 : word_size(d); return true;
	case 'o': d->at += d->address32 ? 4 : 8; return true;
	case 'j': d->at += 1; d->flags |= INSN_CONTROL; return true;
	case 'J': d->at += 4; d->flags |= INSN_CONTROL; return true;
	case 'w': d->at += 2; d->flags |= INSN_CONTROL; return true;
	case 'i': d->at += 1; d->flags |= INSN_CONTROL; return true;
	case 'e': d->at += 3; return true;
	default: break;
	}
	reg = take_modrm(d);
	if (reg < 0)
		return false;
	switch (letter) {
	case 'm': return true;
	case 'l': return reg < 8;
	case 'b': d->at += 1; return true;
	case 'z': d->at += word_size(d); return true;
	case 'F': d->at += (reg & 7) < 2 ? 1 : 0; return true;
	case 'G': d->at += (reg & 7) < 2 ? word_size(d) : 0; return true;
	case 'f': return (reg & 7) < 2;
	case 'c':
		reg &= 7;
		if (reg >= 2 && reg <= 5)
			d->flags |= INSN_CONTROL | (reg >= 4 ? INSN_INDIRECT : 0);
		return reg != 7;
	default: return false;
	}
}

/* An opcode of VEX, EVEX or XOP: always a ModRM byte, and the immediate of its map. */
static bool take_vector(struct decoder *d, unsigned map, bool evex)
{
	int opcode = byte_at(d, d->at++);

	if (opcode < 0 || d->sse_prefix || d->rex || d->lock)
		return false;
	switch (map) {
	case 1:
		if (opcode == 0x77 && !evex)
			return true;
		return take_operands(d, two_bytes[opcode] == 'b' ? 'b' : 'm');
	case 2:
	case 5:
	case 6:
	case 9: return take_operands(d, 'm');
	case 3:
	case 8: return take_operands(d, 'b');
	case 4: { /* APX: the legacy map again */
		char letter = one_byte[opcode];

		return take_operands(d, letter == 'b' || letter == 'z' || letter == 'F' || letter == 'G' ||
						letter == 'f' ? letter : 'm');
	}
	case 7:
	case 10:
		d->at += 4;
		return take_operands(d, 'm');
	default: return false;
	}
}

static bool take_two_bytes(struct decoder *d)
{
	int opcode = byte_at(d, d->at++);

	if (opcode < 0)
		return false;
	if (opcode == 0x38 || opcode == 0x3a) {
		d->at++;
		return byte_at(d, d->at - 1) >= 0 && take_operands(d, opcode == 0x38 ? 'm' : 'b');
	}
	/* SSE4A's extrq and insertq have two immediates. */
	if (opcode == 0x78 && (d->operand16 || d->repne))
		d->at += 2;
	return take_operands(d, two_bytes[opcode]);
}

static bool take_escape(struct decoder *d, int opcode)
{
	int next = byte_at(d, d->at), second = byte_at(d, d->at + 1);

	switch (opcode) {
	case 0x0f: return take_two_bytes(d);
	case 0xc5:
		d->at += 1;
		return next >= 0 && take_vector(d, 1, false);
	case 0xc4:
		d->at += 2;
		d->operand16 = false;
		return second >= 0 && take_vector(d, next & 31, false);
	case 0x62:
		d->at += 3;
		if (next < 0 || second < 0)
			return false;
		/* APX in map 4: the operand size is in the payload */
		d->wide = second >> 7;
		d->operand16 = false;
		if ((next & 7) == 4 && (second & 3) == 1) {
			d->operand16 = true;
		}
		return take_vector(d, next & 7, true);
	case 0x8f:
		if (next < 0)
			return false;
		if ((next & 31) < 8)
			return take_operands(d, 'm');
		d->at += 2;
		return take_vector(d, next & 31, false);
	case 0xd5: /* REX2 */
		d->at += 1;
		if (next < 0 || d->rex)
			return false;
		d->wide = next >> 3 & 1;
		if (next >> 7)
			return take_two_bytes(d);
		opcode = byte_at(d, d->at++);
		return opcode >= 0 && one_byte[opcode] != 'E' && one_byte[opcode] != 'p' && one_byte[opcode] != 'q' &&
		       take_operands(d, one_byte[opcode]);
	default: return false;
	}
}

static void note_prefix(struct decoder *d, int prefix)
{
	switch (prefix) {
	case 0x66:
		d->operand16 = true;
		d->sse_prefix = true;
		break;
	case 0x67: d->address32 = true; break;
	case 0xf0: d->lock = true; break;
	case 0xf2: d->repne = true; d->sse_prefix = true; break;
	case 0xf3: d->sse_prefix = true; break;
	default: break;
	}
}

unsigned insn_decode(const uint8_t *code, size_t size, unsigned *ret_flags)
{
	struct decoder d = { .code = code, .size = size };
	int opcode;
	bool ok;

	for (;;) {
		opcode = byte_at(&d, d.at++);
		if (opcode < 0)
			return 0;
		if (one_byte[opcode] == 'p') {
			d.rex = d.wide = false; /* REX counts only right before the opcode */
			note_prefix(&d, opcode);
		} else if (one_byte[opcode] == 'q') {
			d.rex = true;
			d.wide = opcode >> 3 & 1;
		} else {
			break;
		}
	}
	ok = one_byte[opcode] == 'E' ? take_escape(&d, opcode) : take_operands(&d, one_byte[opcode]);
	if (!ok || d.at > size || d.at > INSN_MAX)
		return 0;
	*ret_flags = d.flags;
	return d.at;
}
