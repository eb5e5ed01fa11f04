/* torture: what the program does when a check executes it again. */
#include "torture.h"

#include <sys/auxv.h>
#include <sys/prctl.h>

extern char **environ;

static int print_words(int count, char **words)
{
	for (int i = 0; i < count; i++)
		printf("<%s>", words[i]);
	return 0;
}

/* The names by which a program knows itself. */
static int print_names(char **argv)
{
	char text[PATH_MAX], name[17] = "";
	ssize_t length = readlink("/proc/self/exe", text, sizeof(text) - 1);
	const char *function = (char *)getauxval(AT_EXECFN), *slash;

	text[length > 0 ? length : 0] = 0;
	slash = strrchr(text, '/');
	printf("exe=%s ", slash ? slash + 1 : text);
	slash = strrchr(function, '/');
	printf("execfn=%s%s argv0=%s ", *function == '/' ? "/" : "", slash ? slash + 1 : function, argv[0]);
	prctl(PR_GET_NAME, name);
	printf("comm=%s", name);
	return 0;
}

/* A file whose words end with zero bytes, printed with "|" between them. */
static void print_file(const char *path)
{
	static char text[4096];
	ssize_t length = slurp(path, text, sizeof(text));

	printf("%s=", path + strlen("/proc/self/"));
	for (ssize_t i = 0; i < length; i++)
		putchar(text[i] ? text[i] : '|');
	putchar(' ');
}

static int print_mask(void)
{
	sigset_t mask;
	struct sigaction action;

	sigprocmask(SIG_BLOCK, NULL, &mask);
	for (int signal_ = 1; signal_ < 32; signal_++)
		if (sigismember(&mask, signal_))
			printf("blocked=%d ", signal_);
	for (int signal_ = 1; signal_ < 32; signal_++)
		if (sigaction(signal_, NULL, &action) == 0 && action.sa_handler != SIG_DFL)
			printf("%s=%d ", action.sa_handler == SIG_IGN ? "ignored" : "handled", signal_);
	return access("/etc/passwd", F_OK) == 0 ? 0 : 1;
}

static int print_ids(void)
{
	uid_t uid[3];
	gid_t gid[3], groups[64];
	int count = getgroups(64, groups);

	getresuid(&uid[0], &uid[1], &uid[2]);
	getresgid(&gid[0], &gid[1], &gid[2]);
	printf("uid=%d,%d,%d gid=%d,%d,%d groups=", (int)uid[0], (int)uid[1], (int)uid[2], (int)gid[0], (int)gid[1],
	       (int)gid[2]);
	for (int i = 0; i < count; i++)
		printf("%d,", (int)groups[i]);
	printf(" secure=%ld auxv=%ld,%ld,%ld,%ld", (long)getauxval(AT_SECURE), (long)getauxval(AT_UID),
	       (long)getauxval(AT_EUID), (long)getauxval(AT_GID), (long)getauxval(AT_EGID));
	return 0;
}

int helper_main(int argc, char **argv)
{
	const char *verb = argv[1];

	if (!strcmp(verb, "--exit"))
		return atoi(argv[2]);
	if (!strcmp(verb, "--raise")) {
		raise(atoi(argv[2]));
		return 3;
	}
	if (!strcmp(verb, "--count")) {
		size_t bytes = 0;

		for (int i = 0; i < argc; i++)
			bytes += strlen(argv[i]) + 1;
		printf("count=%d bytes=%zu", argc, bytes - strlen(argv[0]));
		return 0;
	}
	if (!strncmp(verb, "--words", 7))
		return print_words(argc - 1, argv + 1);
	if (!strcmp(verb, "--environment")) {
		for (char **word = environ; *word; word++)
			printf("<%s>", *word);
		return 0;
	}
	if (!strcmp(verb, "--names"))
		return print_names(argv);
	if (!strcmp(verb, "--auxv")) {
		printf("execfn=%s secure=%ld", (char *)getauxval(AT_EXECFN), (long)getauxval(AT_SECURE));
		return 0;
	}
	if (!strcmp(verb, "--files")) {
		char name[17] = "";

		print_file("/proc/self/cmdline");
		print_file("/proc/self/environ");
		prctl(PR_GET_NAME, name);
		printf("comm=%s", name);
		return 0;
	}
	if (!strcmp(verb, "--mask"))
		return print_mask();
	if (!strcmp(verb, "--ids"))
		return print_ids();
	if (!strcmp(verb, "--sleep")) {
		pause();
		return 0;
	}
	return 99;
}
