/* The userland exec. It runs before any C runtime, on the initial stack, and keeps nothing behind but its own text. */
#include "loader.h"

#include <linux/auxvec.h>
#include <linux/elf.h>
#include <linux/errno.h>
#include <linux/mman.h>
#include <linux/prctl.h>

#include "core/exec.h"
#include "str.h"
#include "sys.h"

#ifndef AT_MINSIGSTKSZ
#define AT_MINSIGSTKSZ 51
#endif
#ifndef MAP_FIXED_NOREPLACE
#define MAP_FIXED_NOREPLACE 0x100000 /* 4.17 */
#endif

#define PHDR_BATCH 14 /* as many as ordinary programs have */
#define COMM_SIZE 16  /* TASK_COMM_LEN */

/* An ELF file being mapped. */
struct elf {
	int fd;
	unsigned long page; /* size of one */
	ARCH_ELF(Ehdr) eh;
	ARCH_ELF(Phdr) batch[PHDR_BATCH];
	unsigned batch_first, batch_len;
	unsigned long start, end; /* span of the segments, once mapped absolute */
	unsigned long bias;	  /* what addresses in the file are relative to */
	unsigned long phdrs;	  /* address of the program headers, 0 when no segment holds them */
	unsigned long start_code, end_code, start_data, end_data;
};

/* One word of the auxiliary vector. */
struct aux {
	unsigned long type, val;
};

/* The initial stack of the guest. */
struct stack {
	char **argv, **envp;
	struct aux *auxv;
	size_t argc, envc;
	size_t n_aux; /* AT_NULL included */
};

/* struct prctl_mm_map as a kernel of 64 bits has it, also to programs of 32. */
struct mm_map {
	uint64_t start_code, end_code, start_data, end_data;
	uint64_t start_brk, brk;
	uint64_t start_stack;
	uint64_t arg_start, arg_end, env_start, env_end;
	uint64_t auxv;
	uint32_t auxv_size;
	uint32_t exe_fd;
};

/* A run of strings in memory. */
struct span {
	unsigned long start, end;
};

static unsigned long page_down(const struct elf *e, unsigned long a)
{
	return a & ~(e->page - 1);
}

static unsigned long page_up(const struct elf *e, unsigned long a)
{
	return page_down(e, a + e->page - 1);
}

/* Reads `size` bytes, all or -errno (-ENOEXEC at the end of the file). */
static int read_exactly(int fd, void *buf, size_t size, uint64_t offset)
{
	long n = sys_pread(fd, buf, size, (int64_t)offset);

	if (n < 0)
		return (int)n;
	return (size_t)n == size ? 0 : -ENOEXEC;
}

static int elf_open(struct elf *e, int fd, unsigned long page)
{
	int r;

	e->fd = fd;
	e->page = page;
	e->batch_first = e->batch_len = 0;
	e->bias = e->phdrs = 0;
	e->start_code = e->start_data = ~0UL;
	e->end_code = e->end_data = 0;
	r = read_exactly(fd, &e->eh, sizeof(e->eh), 0);
	if (r < 0)
		return r;
	if (e->eh.e_machine != ARCH_EM_MACHINE || e->eh.e_phentsize != sizeof(ARCH_ELF(Phdr)) ||
	    (e->eh.e_type != ET_EXEC && e->eh.e_type != ET_DYN))
		return -ENOEXEC;
	return 0;
}

/* Returns the i-th program header or NULL with *ret_error set; it is valid until the next call. */
static const ARCH_ELF(Phdr) *elf_phdr(struct elf *e, unsigned i, int *ret_error)
{
	if (i < e->batch_first || i >= e->batch_first + e->batch_len) {
		unsigned n = e->eh.e_phnum - i;

		n = n < PHDR_BATCH ? n : PHDR_BATCH;
		*ret_error = read_exactly(e->fd, e->batch, n * sizeof(ARCH_ELF(Phdr)),
					  e->eh.e_phoff + i * sizeof(ARCH_ELF(Phdr)));
		e->batch_first = i;
		e->batch_len = *ret_error < 0 ? 0 : n;
		if (*ret_error < 0)
			return NULL;
	}
	return &e->batch[i - e->batch_first];
}

/* Finds what the segments span, in the file's own addresses, and the strictest alignment. */
static int elf_measure(struct elf *e, unsigned long *ret_align)
{
	*ret_align = e->page;
	e->start = ~0UL;
	e->end = 0;
	for (unsigned i = 0; i < e->eh.e_phnum; i++) {
		unsigned long end;
		int r = 0;
		const ARCH_ELF(Phdr) *ph = elf_phdr(e, i, &r);

		if (!ph)
			return r;
		if (ph->p_type != PT_LOAD || !ph->p_memsz)
			continue;
		if (ph->p_filesz > ph->p_memsz || __builtin_add_overflow(ph->p_vaddr, ph->p_memsz, &end) ||
		    end > ~0UL - e->page)
			return -ENOEXEC;
		if (page_down(e, ph->p_vaddr) < e->start)
			e->start = page_down(e, ph->p_vaddr);
		if (page_up(e, end) > e->end)
			e->end = page_up(e, end);
		if (ph->p_align > *ret_align && !(ph->p_align & (ph->p_align - 1)))
			*ret_align = ph->p_align;
	}
	return e->start < e->end ? 0 : -ENOEXEC;
}

/* Finds addresses for the whole span: where the file says, or where the kernel's randomisation likes. They are left
 * free, for splitting a mapping that reserves them costs more than the rest; only the segments are mapped meanwhile. */
static int elf_place(struct elf *e, unsigned long align)
{
	const unsigned long size = e->end - e->start;
	const int flags = MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE;
	const unsigned long spare = align > e->page ? align : 0;
	unsigned long base;
	long at;

	if (e->eh.e_type == ET_EXEC) {
		if (e->start < LOADER_END && e->end > LOADER_START)
			return -ENOMEM;
		at = sys_mmap((void *)e->start, size, PROT_NONE, flags | MAP_FIXED_NOREPLACE, -1, 0);
		if (sys_is_err(at))
			return at == -EEXIST ? -ENOMEM : (int)at;
		(void)sys_munmap((void *)at, size);
		/* Elsewhere: a kernel that takes the address for a hint found it taken. */
		return (unsigned long)at == e->start ? 0 : -ENOMEM;
	}
	if (size + spare < size)
		return -ENOMEM;
	at = sys_mmap(NULL, size + spare, PROT_NONE, flags, -1, 0);
	if (sys_is_err(at))
		return (int)at;
	(void)sys_munmap((void *)at, size + spare);
	base = (unsigned long)at;
	/* The first address is as aligned as its place in the file: p_vaddr = p_offset modulo p_align. */
	if (spare)
		base += (e->start - base) & (align - 1);
	e->bias = base - e->start;
	e->start = base;
	e->end = base + size;
	return 0;
}

static int to_prot(uint32_t p_flags)
{
	return (p_flags & PF_R ? PROT_READ : 0) | (p_flags & PF_W ? PROT_WRITE : 0) | (p_flags & PF_X ? PROT_EXEC : 0);
}

/* Remembers what the kernel tells in /proc/PID/stat. */
static void elf_note_ranges(struct elf *e, const ARCH_ELF(Phdr) *ph)
{
	const unsigned long start = e->bias + ph->p_vaddr, end = start + ph->p_filesz;

	if (e->eh.e_phoff >= ph->p_offset && e->eh.e_phoff - ph->p_offset < ph->p_filesz)
		e->phdrs = start + (e->eh.e_phoff - ph->p_offset);
	if (start < e->start_code)
		e->start_code = start;
	if (e->start_data == ~0UL || start > e->start_data)
		e->start_data = start;
	if ((ph->p_flags & PF_X) && end > e->end_code)
		e->end_code = end;
	if (end > e->end_data)
		e->end_data = end;
}

/* Maps one segment into the span. `*mapped` is the end of what the segments before it cover, `*writable` says
 * whether its last page may be written. */
static int elf_map_segment(struct elf *e, const ARCH_ELF(Phdr) *ph, unsigned long *mapped, bool *writable)
{
	const unsigned long vaddr = e->bias + ph->p_vaddr, start = page_down(e, vaddr);
	const unsigned long file_end = vaddr + ph->p_filesz, end = page_up(e, vaddr + ph->p_memsz);
	const int prot = to_prot(ph->p_flags);
	unsigned long bss = start; /* first whole page of zeros */
	long at;

	if (ph->p_filesz) {
		bss = page_up(e, file_end);
		at = sys_mmap((void *)start, bss - start, prot, MAP_PRIVATE | MAP_FIXED, e->fd,
			      (int64_t)(ph->p_offset - (vaddr - start)));
		if (sys_is_err(at))
			return (int)at;
		*writable = prot & PROT_WRITE;
		if (ph->p_memsz > ph->p_filesz && *writable)
			memset((void *)file_end, 0, bss - file_end);
	} else if (start < *mapped) {
		/* Zeros that begin in the last page of the segment before. */
		bss = *mapped;
		if (*writable && vaddr < bss)
			memset((void *)vaddr, 0, bss - vaddr);
	}
	if (end > bss) {
		at = sys_mmap((void *)bss, end - bss, prot | PROT_READ | PROT_WRITE,
			      MAP_PRIVATE | MAP_FIXED | MAP_ANONYMOUS, -1, 0);
		if (sys_is_err(at))
			return (int)at;
		*writable = true;
	}
	if (end > *mapped)
		*mapped = end;
	return 0;
}

static int elf_map(struct elf *e)
{
	unsigned long mapped = 0;
	bool writable = false;
	int r = 0;

	for (unsigned i = 0; r == 0 && i < e->eh.e_phnum; i++) {
		const ARCH_ELF(Phdr) *ph = elf_phdr(e, i, &r);

		if (!ph || ph->p_type != PT_LOAD || !ph->p_memsz)
			continue;
		r = elf_map_segment(e, ph, &mapped, &writable);
		if (r == 0)
			elf_note_ranges(e, ph);
	}
	return r;
}

/* Tells who asked what code there is now: he may map memory of his own. */
static int elf_tell_code(struct elf *e, const struct loader_request *req)
{
	int r = 0;

	for (unsigned i = 0; r == 0 && req->code_mapped && i < e->eh.e_phnum; i++) {
		const ARCH_ELF(Phdr) *ph = elf_phdr(e, i, &r);
		unsigned long vaddr, start;

		if (!ph || ph->p_type != PT_LOAD || !(ph->p_flags & PF_X) || !ph->p_filesz)
			continue;
		vaddr = e->bias + ph->p_vaddr;
		start = page_down(e, vaddr);
		r = req->code_mapped(start, vaddr + ph->p_filesz - start, to_prot(ph->p_flags), e->fd,
				     ph->p_offset - (vaddr - start));
	}
	return r;
}

/* Maps the ELF file behind `fd`. */
static int elf_load(struct elf *e, int fd, unsigned long page, const struct loader_request *req)
{
	unsigned long align;
	int r;

	r = elf_open(e, fd, page);
	if (r == 0)
		r = elf_measure(e, &align);
	if (r == 0)
		r = elf_place(e, align);
	if (r == 0)
		r = elf_map(e);
	return r == 0 ? elf_tell_code(e, req) : r;
}

static void stack_find(struct stack *st, char **argv)
{
	st->argv = argv;
	for (st->argc = 0; argv[st->argc];)
		st->argc++;
	st->envp = argv + st->argc + 1;
	for (st->envc = 0; st->envp[st->envc];)
		st->envc++;
	st->auxv = (struct aux *)(void *)(st->envp + st->envc + 1);
	for (st->n_aux = 0; st->auxv[st->n_aux].type != AT_NULL;)
		st->n_aux++;
	st->n_aux++;
}

static unsigned long stack_aux(const struct stack *st, unsigned long type, unsigned long missing)
{
	for (size_t i = 0; i < st->n_aux; i++)
		if (st->auxv[i].type == type)
			return st->auxv[i].val;
	return missing;
}

/* Makes an empty argument list the {""} that the kernel makes of it (5.18), writes argc and aligns the stack pointer,
 * which becomes &argv[-1]. */
static unsigned long stack_finish(struct stack *st, const char *execfn)
{
	size_t off;

	if (st->argc == 0) {
		st->argv--;
		st->argv[0] = (char *)execfn + strlen(execfn);
		st->argc = 1;
	}
	off = ((unsigned long)&st->argv[-1] & 15) / sizeof(char *);
	if (off) {
		char **const to = st->argv - off;

		memmove(to, st->argv, (unsigned long)(st->auxv + st->n_aux) - (unsigned long)st->argv);
		stack_find(st, to);
	}
	st->argv[-1] = (char *)st->argc;
	return (unsigned long)&st->argv[-1];
}

static void stack_edit_auxv(struct stack *st, const struct loader_request *req, const struct elf *exe,
			    unsigned long interp_base)
{
	for (size_t i = 0; i < st->n_aux; i++) {
		unsigned long *const val = &st->auxv[i].val;

		switch (st->auxv[i].type) {
		case AT_PHDR:
			*val = exe->phdrs;
			break;
		case AT_PHENT:
			*val = sizeof(ARCH_ELF(Phdr));
			break;
		case AT_PHNUM:
			*val = exe->eh.e_phnum;
			break;
		case AT_BASE:
			*val = interp_base;
			break;
		case AT_ENTRY:
			*val = exe->bias + exe->eh.e_entry;
			break;
		case AT_EXECFN:
			*val = (unsigned long)req->execfn;
			break;
		case AT_SECURE:
			*val = req->secure;
			break;
		case AT_MINSIGSTKSZ:
			*val += req->sigstack_extra;
			break;
		case AT_UID:
			*val = req->has_ids ? req->uid : *val;
			break;
		case AT_EUID:
			*val = req->has_ids ? req->euid : *val;
			break;
		case AT_GID:
			*val = req->has_ids ? req->gid : *val;
			break;
		case AT_EGID:
			*val = req->has_ids ? req->egid : *val;
			break;
		default:
			break;
		}
	}
}

/* Finds the run of memory that holds `n` strings one behind the other, as the kernel lays them out and as /proc shows
 * them. Strings that an engine has added lie elsewhere: then all are copied. Returns 0 or -errno. */
static int gather(char **list, size_t n, struct span *ret_span)
{
	size_t size = 0;
	bool contiguous = true;
	long at;

	if (n == 0)
		return 0;
	for (size_t i = 0; i < n; i++) {
		contiguous = contiguous && list[i] == list[0] + size;
		size += strlen(list[i]) + 1;
	}
	if (!contiguous) {
		at = sys_mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
		if (sys_is_err(at))
			return (int)at;
		size = 0;
		for (size_t i = 0; i < n; i++) {
			char *const to = (char *)at + size;
			const size_t len = strlen(list[i]) + 1;

			memcpy(to, list[i], len);
			list[i] = to;
			size += len;
		}
	}
	ret_span->start = (unsigned long)list[0];
	ret_span->end = ret_span->start + size;
	return 0;
}

static int stack_make_executable(const struct elf *e, const struct stack *st, unsigned long sp)
{
	const unsigned long start = page_down(e, sp), end = page_up(e, (unsigned long)(st->auxv + st->n_aux));

	return (int)SYS3(mprotect, start, end - start, PROT_READ | PROT_WRITE | PROT_EXEC | PROT_GROWSDOWN);
}

/* Tells the kernel what the process is made of now: /proc/PID/{cmdline,environ,auxv,stat}. A kernel built without
 * CONFIG_CHECKPOINT_RESTORE refuses, and only those files stay the engine's. */
static void describe_process(const struct elf *exe, const struct stack *st, unsigned long sp, unsigned long brk,
			     const struct span *args, const struct span *env)
{
	struct mm_map map = {
		.start_code = exe->start_code,
		.end_code = exe->end_code,
		.start_data = exe->start_data,
		.end_data = exe->end_data,
		.start_brk = brk,
		.brk = brk,
		.start_stack = sp,
		.arg_start = args->start,
		.arg_end = args->end,
		.env_start = env->start,
		.env_end = env->end,
		.auxv = (unsigned long)st->auxv,
		.auxv_size = (uint32_t)(st->n_aux * sizeof(*st->auxv)),
		.exe_fd = (uint32_t)-1,
	};

	if (SYS5(prctl, PR_SET_MM, PR_SET_MM_MAP, &map, sizeof(map), 0) >= 0)
		return;
	/* Before 5.16 data may not lie above the program break, and without code there may be none: say what is true of
	 * the engine's own program then. */
	map.start_code = map.start_data = map.end_data = LOADER_START;
	map.end_code = LOADER_END;
	(void)SYS5(prctl, PR_SET_MM, PR_SET_MM_MAP, &map, sizeof(map), 0);
}

/* The process's name is the last component of what was executed, a script included. */
static void name_process(const char *execfn)
{
	char comm[COMM_SIZE] = { 0 };
	const char *base = execfn;

	for (const char *p = execfn; *p; p++)
		if (*p == '/')
			base = p + 1;
	for (size_t i = 0; i < sizeof(comm) - 1 && base[i]; i++)
		comm[i] = base[i];
	(void)SYS2(prctl, PR_SET_NAME, comm);
}

static size_t put_hex(char *buf, size_t len, const char *label, uint64_t v)
{
	const size_t n = strlen(label);

	memcpy(buf + len, label, n);
	len += n;
	for (int shift = 60; shift >= 0; shift -= 4)
		buf[len++] = "0123456789abcdef"[(v >> shift) & 15];
	return len;
}

static void say_image(const struct loader_image *image)
{
	char line[160];
	size_t n = 0;

	n = put_hex(line, n, "loader: exe ", image->exe_start);
	n = put_hex(line, n, "-", image->exe_end);
	n = put_hex(line, n, " interp ", image->interp_base);
	n = put_hex(line, n, " entry ", image->entry);
	n = put_hex(line, n, " sp ", image->sp);
	line[n++] = '\n';
	(void)sys_write(2, line, n);
}

/* See loader.h. */
int loader_load(const struct loader_request *req, struct loader_image *ret_image)
{
	struct elf exe, interp;
	struct stack st;
	struct span args = { 0, 0 }, env;
	unsigned long page;
	int r;

	stack_find(&st, req->argv);
	page = stack_aux(&st, AT_PAGESZ, 4096);
	r = elf_load(&exe, req->exe_fd, page, req);
	if (r < 0)
		return r;
	ret_image->exe_start = exe.start;
	ret_image->exe_end = exe.end;
	ret_image->entry = exe.bias + exe.eh.e_entry;
	ret_image->interp_base = 0;
	if (req->interp_fd >= 0) {
		r = elf_load(&interp, req->interp_fd, page, req);
		if (r < 0)
			return r;
		ret_image->entry = interp.bias + interp.eh.e_entry;
		ret_image->interp_base = interp.bias;
		(void)sys_close(req->interp_fd);
	}
	(void)sys_close(req->exe_fd);

	ret_image->sp = stack_finish(&st, req->execfn);
	stack_edit_auxv(&st, req, &exe, ret_image->interp_base);
	r = gather(st.argv, st.argc, &args);
	if (r < 0)
		return r;
	env.start = env.end = args.end;
	r = gather(st.envp, st.envc, &env);
	if (r < 0)
		return r;
	if (req->flags & EXEC_FLAG_EXECSTACK) {
		r = stack_make_executable(&exe, &st, ret_image->sp);
		if (r < 0)
			return r;
	}
	ret_image->brk = (unsigned long)SYS1(brk, 0);
	describe_process(&exe, &st, ret_image->sp, ret_image->brk, &args, &env);
	name_process(req->execfn);
	if (req->debug)
		say_image(ret_image);
	return 0;
}
