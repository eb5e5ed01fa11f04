/* Prints what a program is told when it starts, as far as it does not depend on addresses: run by the kernel and by
 * `load`, it must print the same. With "dig" as first argument it also works the stack and the heap. */
#define _GNU_SOURCE
#include <elf.h>
#include <link.h>
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/auxv.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

extern char **environ;
extern char _start[];

static char big_bss[40 << 20];
static int data = 42;

static void print_file(const char *path)
{
	FILE *f = fopen(path, "r");
	int c;

	printf("%s ", path);
	while (f && (c = getc(f)) != EOF)
		putchar(c ? c : '|');
	putchar('\n');
	if (f)
		fclose(f);
}

static ElfW(auxv_t) *find_auxv(void)
{
	char **p = environ;

	while (*p)
		p++;
	return (ElfW(auxv_t) *)(void *)(p + 1);
}

static void print_auxv(void)
{
	const ElfW(Phdr) *ph = (const ElfW(Phdr) *)getauxval(AT_PHDR);
	char read_back[1024] = { 0 };
	size_t n = 0, size;
	FILE *f;

	for (ElfW(auxv_t) *a = find_auxv(); a->a_type != AT_NULL; a++) {
		printf("auxv %lu", (unsigned long)a->a_type);
		switch (a->a_type) {
		case AT_PHDR:
		case AT_RANDOM:
		case AT_SYSINFO_EHDR:
		case AT_BASE:
			printf(a->a_un.a_val ? " set" : " 0");
			break;
		case AT_ENTRY:
			printf(a->a_un.a_val == (uintptr_t)_start ? " right" : " wrong");
			break;
		case AT_EXECFN:
		case AT_PLATFORM:
			printf(" %s", (const char *)a->a_un.a_val);
			break;
		default:
			printf(" %lu", (unsigned long)a->a_un.a_val);
		}
		putchar('\n');
		n++;
	}
	for (unsigned long i = 0; i < getauxval(AT_PHNUM); i++)
		printf("segment %u %lx %lx\n", ph[i].p_type, (unsigned long)ph[i].p_vaddr,
		       (unsigned long)ph[i].p_memsz);
	f = fopen("/proc/self/auxv", "r");
	size = f ? fread(read_back, 1, sizeof(read_back), f) : 0;
	/* The kernel's has zeros behind the end. */
	printf("/proc/self/auxv %s\n",
	       size >= (n + 1) * sizeof(ElfW(auxv_t)) && !memcmp(read_back, find_auxv(), n * sizeof(ElfW(auxv_t))) ?
		       "same" : "other");
	if (f)
		fclose(f);
}

static void *thread(void *arg)
{
	return arg;
}

/* Recursion over several pages of stack. */
static int deep(int n)
{
	volatile char page[4096];

	page[0] = (char)n;
	return n ? deep(n - 1) + page[0] - page[0] : 0;
}

static void dig(void)
{
	const size_t heap = 64 << 20;
	pthread_attr_t attr;
	pthread_t t;
	struct timespec now;
	/* The system call: musl has no sbrk(). */
	char *brk = (char *)syscall(SYS_brk, 0);
	void *stack;
	size_t size;

	if ((char *)syscall(SYS_brk, brk + heap) == brk + heap) {
		memset(brk, 1, heap);
		printf("brk %d\n", brk[heap - 1]);
	}
	syscall(SYS_brk, brk);
	printf("bss %d data %d\n", big_bss[0] + big_bss[sizeof(big_bss) / 2] + big_bss[sizeof(big_bss) - 1], data);
	memset(big_bss, 1, sizeof(big_bss));
	pthread_getattr_np(pthread_self(), &attr);
	pthread_attr_getstack(&attr, &stack, &size);
	pthread_attr_destroy(&attr);
	printf("stack %s\n",
	       (char *)&now >= (char *)stack && (char *)&now < (char *)stack + size ? "inside" : "outside");
	printf("depth %d\n", deep(20));
	if (pthread_create(&t, NULL, thread, &now) == 0)
		pthread_join(t, &stack);
	printf("thread %d\n", stack == &now);
	printf("clock %d\n", clock_gettime(CLOCK_MONOTONIC, &now));
}

static void at_exit(void)
{
	puts("exit function");
}

int main(int argc, char **argv)
{
	printf("argc %d\n", argc);
	for (int i = 0; i <= argc; i++)
		printf("argv %s\n", argv[i] ? argv[i] : "NULL");
	for (char **p = environ; *p; p++)
		printf("env %s\n", *p);
	print_auxv();
	print_file("/proc/self/cmdline");
	print_file("/proc/self/environ");
	print_file("/proc/self/comm");
	if (argc > 1 && strcmp(argv[1], "dig") == 0)
		dig();
	atexit(at_exit);
	fflush(stdout);
	return 42;
}
