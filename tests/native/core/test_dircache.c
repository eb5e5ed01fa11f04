/* The directory cache: what is found and what is not, sharing between processes, files that cannot be used. */
#define _GNU_SOURCE
#include "dircache.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tap.h"
#include "vectors.h"

static struct vectors t;
static char path[400];

static uint64_t hash_of(const char *name)
{
	return dircache_hash_component(dircache_hash_root(), name, strlen(name));
}

static uint64_t hash_of_number(unsigned i)
{
	char name[16];

	snprintf(name, sizeof(name), "%u", i);
	return hash_of(name);
}

static void write_file(const void *data, size_t n)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0600);

	if (fd < 0 || write(fd, data, n) != (ssize_t)n)
		exit(1);
	close(fd);
}

static void test_hash(void)
{
	char buf[256];
	uint64_t a, b;
	unsigned same = 0;

	a = dircache_hash_component(dircache_hash_component(dircache_hash_root(), "ab", 2), "c", 1);
	b = dircache_hash_component(dircache_hash_component(dircache_hash_root(), "a", 1), "bc", 2);
	ok(a != b, "/ab/c is not /a/bc");
	a = dircache_hash_component(dircache_hash_component(dircache_hash_root(), "12345678", 8), "9", 1);
	ok(a != hash_of("123456789"), "/12345678/9 is not /123456789");
	ok(hash_of("a") == hash_of("a") && hash_of("a") != hash_of("b"), "a hash is of the name");
	ok(hash_of("a") != dircache_hash_root(), "a directory is not the root");
	/* Every byte of a name of every length counts, also NULs that cannot be in one. */
	for (unsigned n = 1; n <= 255; n++) {
		memset(buf, 'x', n);
		a = dircache_hash_component(dircache_hash_root(), buf, n);
		same += a == dircache_hash_component(dircache_hash_root(), buf, n - 1);
		for (unsigned i = 0; i < n; i++) {
			buf[i] = '\0';
			same += a == dircache_hash_component(dircache_hash_root(), buf, n);
			buf[i] = 'x';
		}
	}
	ok(same == 0, "every byte counts");
}

static void test_entries(void)
{
	struct dircache *c = dircache_open(NULL);
	uint64_t g = dircache_generation(c);
	unsigned found = 0, wrong = 0, stale = 0;

	ok(g > 0, "a generation");
	ok(dircache_find(c, g, hash_of("a")) == DIR_UNKNOWN, "nothing is known at first");
	dircache_add(c, g, hash_of("a"), DIR_ROOT);
	dircache_add(c, g, hash_of("b"), DIR_IDENTITY);
	ok(dircache_find(c, g, hash_of("a")) == DIR_ROOT && dircache_find(c, g, hash_of("b")) == DIR_IDENTITY,
	   "two are found");
	dircache_add(c, g, hash_of("a"), DIR_IDENTITY);
	ok(dircache_find(c, g, hash_of("a")) == DIR_IDENTITY, "the last word counts");
	dircache_bump(c);
	ok(dircache_generation(c) > g, "another generation");
	ok(dircache_find(c, dircache_generation(c), hash_of("a")) == DIR_UNKNOWN, "knows nothing of the one before");
	dircache_add(c, g, hash_of("late"), DIR_ROOT);
	ok(dircache_find(c, dircache_generation(c), hash_of("late")) == DIR_UNKNOWN, "nor what is added late for it");
	g = dircache_generation(c);
	for (unsigned i = 0; i < 4 * DIRCACHE_SLOTS; i++)
		dircache_add(c, g, hash_of_number(i), i % 2 ? DIR_ROOT : DIR_IDENTITY);
	for (unsigned i = 0; i < 4 * DIRCACHE_SLOTS; i++) {
		enum dir_kind kind = dircache_find(c, g, hash_of_number(i));

		found += kind != DIR_UNKNOWN;
		wrong += kind != DIR_UNKNOWN && kind != (i % 2 ? DIR_ROOT : DIR_IDENTITY);
	}
	ok(wrong == 0, "an overfull cache forgets, but tells nothing wrong");
	ok(found > DIRCACHE_SLOTS * 3 / 4 && found <= DIRCACHE_SLOTS, "and stays full");
	for (unsigned i = 0; i < 1000000; i++)
		wrong += dircache_find(c, g, hash_of_number(10000000 + i)) != DIR_UNKNOWN;
	ok(wrong == 0, "a million others are not found");
	dircache_bump(c);
	for (unsigned i = 0; i < 4 * DIRCACHE_SLOTS; i++)
		stale += dircache_find(c, g + 1, hash_of_number(i)) != DIR_UNKNOWN;
	ok(stale == 0, "all is forgotten at once");
	/* A working set of a quarter of the slots finds room. */
	for (unsigned round = 0; round < 2; round++)
		for (unsigned i = 0; i < DIRCACHE_SLOTS / 4; i++)
			dircache_add(c, g + 1, hash_of_number(i), DIR_ROOT);
	found = 0;
	for (unsigned i = 0; i < DIRCACHE_SLOTS / 4; i++)
		found += dircache_find(c, g + 1, hash_of_number(i)) == DIR_ROOT;
	ok(found > DIRCACHE_SLOTS / 4 * 8 / 10, "a small working set stays among stale entries");
}

static void test_file(void)
{
	struct dircache *a, *b;
	struct stat st;
	uint64_t g;
	int status;
	pid_t child;

	a = dircache_open(path);
	ok(a && stat(path, &st) == 0 && st.st_size == DIRCACHE_SIZE && (st.st_mode & 07777) == 0600, "a file is made");
	b = dircache_open(path);
	g = dircache_generation(a);
	dircache_add(a, g, hash_of("a"), DIR_ROOT);
	ok(b && b != a && dircache_find(b, dircache_generation(b), hash_of("a")) == DIR_ROOT, "and shared");
	fflush(stdout);
	child = fork();
	if (child == 0) {
		struct dircache *c = dircache_open(path);

		dircache_bump(c);
		_exit(0);
	}
	waitpid(child, &status, 0);
	ok(dircache_generation(a) == g + 1 && dircache_find(a, g + 1, hash_of("a")) == DIR_UNKNOWN,
	   "another process' generation counts");
}

/* Whether a cache opened at `path` works alone and leaves the file as it is. */
static void expect_private(const char *what)
{
	struct stat before = { .st_size = -1 }, after = { .st_size = -1 };
	struct dircache *c, *d;
	char message[200];
	uint64_t g;
	bool alone;

	(void)stat(path, &before);
	c = dircache_open(path);
	d = dircache_open(path);
	if (!c || !d) {
		ok(false, what);
		return;
	}
	g = dircache_generation(c);
	dircache_add(c, g, hash_of("a"), DIR_ROOT);
	alone = dircache_find(c, g, hash_of("a")) == DIR_ROOT && dircache_find(d, g, hash_of("a")) == DIR_UNKNOWN;
	(void)stat(path, &after);
	snprintf(message, sizeof(message), "%s: a private cache", what);
	ok(alone && before.st_size == after.st_size, message);
}

static void test_bad_files(void)
{
	static char data[DIRCACHE_SIZE];
	char saved[400];
	struct dircache *c;

	unlink(path);
	write_file("short", 5);
	expect_private("a short foreign file");
	memset(data, 'x', sizeof(data));
	write_file(data, 100);
	expect_private("a foreign file");
	write_file(data, sizeof(data));
	expect_private("a long foreign file");
	memset(data, 0, sizeof(data));
	memcpy(data, "ud_dir99", 8);
	write_file(data, sizeof(data));
	expect_private("another version");
	/* Entries that somebody wrote without knowing the seed. */
	unlink(path);
	memset(data, 0, sizeof(data));
	write_file(data, 0);
	c = dircache_open(path);
	dircache_add(c, dircache_generation(c), hash_of("a"), DIR_ROOT);
	ok(dircache_find(dircache_open(path), dircache_generation(c), hash_of("a")) == DIR_ROOT,
	   "an empty file is used");
	write_file(data, sizeof(data));
	c = dircache_open(path);
	ok(c && dircache_find(c, dircache_generation(c), hash_of("a")) == DIR_UNKNOWN, "a file of zeros is used");
	unlink(path);
	if (symlink("elsewhere", path) < 0)
		exit(1);
	expect_private("a link");
	unlink(path);
	if (mkdir(path, 0700) < 0)
		exit(1);
	expect_private("a directory");
	rmdir(path);
	if (mkfifo(path, 0600) < 0)
		exit(1);
	expect_private("a pipe");
	unlink(path);
	strcpy(saved, path);
	strcat(path, "/missing/cache");
	expect_private("a missing directory");
	strcpy(path, saved);
}

int main(void)
{
	vectors_make_tmp(&t);
	snprintf(path, sizeof(path), "%s/cache", t.tmp);
	test_hash();
	test_entries();
	test_file();
	test_bad_files();
	vectors_remove(&t);
	return done();
}
