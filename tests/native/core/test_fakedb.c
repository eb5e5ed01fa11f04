/* fakedb.c: what it remembers, that processes writing at once or killed at any instant lose nothing, that a full disk
 * is an error and no signal, and that a file which is no database is refused. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <linux/stat.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <sys/xattr.h>
#include <time.h>
#include <unistd.h>

#include "fakedb.h"
#include "fakedb_format.h"
#include "tap.h"

#ifdef __SANITIZE_ADDRESS__
#define KILLS 60
#else
#define KILLS 600
#endif

static char dir[64];
static char path[96];

static uint64_t rng = 88172645463325252ull;

static uint32_t rnd(uint32_t n)
{
	rng ^= rng << 13;
	rng ^= rng >> 7;
	rng ^= rng << 17;
	return (uint32_t)(rng >> 32) % n;
}

static struct fakedb_key key(uint64_t ino)
{
	return (struct fakedb_key){ .ino = ino, .dev_major = 8, .dev_minor = 1, .btime_ns = 1000 + ino };
}

static struct fakedb_record owner(uint32_t uid, uint32_t gid)
{
	return (struct fakedb_record){ .has = FAKEDB_OWNER, .uid = uid, .gid = gid };
}

static int set_owner(struct fakedb *db, const struct fakedb_key *k, uint32_t uid)
{
	struct fakedb_record r = owner(uid, uid + 1);

	return fakedb_update(db, k, &r);
}

/* A new, small database. */
static void fresh(struct fakedb *db, uint32_t slots, uint64_t entries, uint64_t heap)
{
	unlink(path);
	if (fakedb_create_sized(path, slots, entries, heap) < 0 || fakedb_open(db, path, false, false) < 0) {
		ok(false, "a fresh database");
		exit(done());
	}
}

static unsigned count_records(const struct fakedb *db)
{
	struct fakedb_record r;
	struct fakedb_key k;
	uint64_t cursor = 0;
	unsigned n = 0;

	while (fakedb_next(db, &cursor, &k, &r))
		n++;
	return n;
}

static void test_records(void)
{
	struct fakedb_record r, mode = { .has = FAKEDB_MODE, .mode = 0104755 };
	struct fakedb_record node = { .has = FAKEDB_NODE, .mode = S_IFBLK | 0600, .rdev_major = 7, .rdev_minor = 3 };
	struct fakedb_key a = key(10), b = key(11), k;
	uint64_t cursor = 0;
	struct fakedb db;

	fresh(&db, 64, 64, 65536);
	ok(!fakedb_get(&db, &a, &r) && !fakedb_maybe(&db, 10), "an unknown file is unknown");
	ok(set_owner(&db, &a, 42) == 0 && fakedb_get(&db, &a, &r) && r.has == FAKEDB_OWNER && r.uid == 42 &&
		   r.gid == 43,
	   "an owner is remembered");
	ok(fakedb_maybe(&db, 10) && !fakedb_maybe(&db, 11), "maybe: by inode number");
	ok(fakedb_update(&db, &a, &mode) == 0 && fakedb_get(&db, &a, &r) && r.has == (FAKEDB_OWNER | FAKEDB_MODE) &&
		   r.uid == 42 && r.mode == (S_IFREG | 04755),
	   "a mode is merged, with the type on the disk");
	ok(fakedb_update(&db, &a, &node) == 0 && fakedb_get(&db, &a, &r) && r.mode == (S_IFBLK | 04755) &&
		   r.rdev_major == 7 && r.rdev_minor == 3 && r.uid == 42,
	   "a device is merged, without permission bits");
	ok(!fakedb_get(&db, &b, &r), "another inode is another file");
	ok(set_owner(&db, &b, 3) == 0 && fakedb_withdraw(&db, &b, FAKEDB_MODE) == 0 && fakedb_get(&db, &b, &r) &&
		   r.has == FAKEDB_OWNER && r.uid == 3,
	   "withdraw: what was never said");
	ok(fakedb_update(&db, &b, &mode) == 0 && fakedb_withdraw(&db, &b, FAKEDB_OWNER) == 0 &&
		   fakedb_get(&db, &b, &r) && r.has == FAKEDB_MODE && !r.uid && r.mode == (S_IFREG | 04755),
	   "withdraw: one of two things");
	ok(fakedb_withdraw(&db, &b, FAKEDB_MODE) == 0 && !fakedb_get(&db, &b, &r) && !fakedb_maybe(&db, 11),
	   "withdraw: the last thing known");
	ok(set_owner(&db, &b, 1) == 0 && count_records(&db) == 2, "next: visits what is live, once");
	ok(fakedb_next(&db, &cursor, &k, &r) && k.ino == 10 && k.dev_major == 8 && k.dev_minor == 1 &&
		   k.btime_ns == 1010 && fakedb_next(&db, &cursor, &k, &r) && k.ino == 11,
	   "next: in the order of the last change");
	ok(fakedb_forget(&db, &a) == 0 && !fakedb_get(&db, &a, &r) && !fakedb_maybe(&db, 10) &&
		   fakedb_get(&db, &b, &r) && count_records(&db) == 1,
	   "forget: one file only");
	ok(fakedb_forget(&db, &a) == 0, "forget: an unknown file is no error");
	ok(set_owner(&db, &a, 7) == 0 && fakedb_get(&db, &a, &r) && r.has == FAKEDB_OWNER && r.uid == 7 && !r.mode,
	   "a forgotten file starts anew");
	r = (struct fakedb_record){ .has = FAKEDB_OWNER, .mode = S_IFLNK | 0777 };
	ok(fakedb_update(&db, &b, &r) == 0 && fakedb_get(&db, &b, &r) && (r.mode & S_IFMT) == S_IFLNK,
	   "the type of a file is known without its being pretended");
	r = (struct fakedb_record){ .has = FAKEDB_NODE, .mode = S_IFCHR };
	ok(fakedb_update(&db, &b, &r) == 0 && fakedb_get(&db, &b, &r) && (r.mode & S_IFMT) == S_IFCHR,
	   "else it is that");
	r = (struct fakedb_record){ .has = FAKEDB_OWNER, .mode = S_IFREG };
	ok(fakedb_update(&db, &b, &r) == 0 && fakedb_get(&db, &b, &r) && (r.mode & S_IFMT) == S_IFCHR, "and stays so");
	ok(fakedb_verify(&db) == 0, "verify: clean");
	fakedb_close(&db);
	ok(fakedb_open(&db, path, false, true) == 0 && fakedb_get(&db, &a, &r) && r.uid == 7, "records outlive maps");
	ok(set_owner(&db, &a, 8) == -EROFS && fakedb_forget(&db, &a) == -EROFS &&
		   fakedb_setxattr(&db, &a, "user.x", "", 0, 0) == -EROFS &&
		   fakedb_removexattr(&db, &a, "user.x") == -EROFS,
	   "read-only: changes are refused");
	fakedb_close(&db);
}

static void test_birth_time(void)
{
	struct fakedb_key old = key(5), new = key(5), none = key(5), other = key(5);
	struct fakedb_record r;
	struct fakedb db;

	new.btime_ns = 999999;
	none.btime_ns = 0;
	other.dev_minor = 2;
	fresh(&db, 64, 64, 65536);
	set_owner(&db, &old, 42);
	fakedb_setxattr(&db, &old, "user.x", "1", 1, 0);
	ok(!fakedb_get(&db, &new, &r), "a reused inode inherits no owner");
	ok(fakedb_getxattr(&db, &new, "user.x", NULL, 0) == -ENODATA, "a reused inode inherits no attribute");
	ok(fakedb_get(&db, &none, &r) && r.uid == 42, "without a birth time the inode number decides");
	ok(!fakedb_get(&db, &other, &r), "the same inode number of another device is another file");
	ok(fakedb_forget(&db, &new) == 0 && fakedb_get(&db, &old, &r), "forgetting the new file leaves the old");
	r = (struct fakedb_record){ .has = FAKEDB_MODE, .mode = 0600 };
	ok(fakedb_update(&db, &new, &r) == 0 && fakedb_get(&db, &new, &r) && r.has == FAKEDB_MODE && r.mode == 0600 &&
		   fakedb_getxattr(&db, &new, "user.x", NULL, 0) == -ENODATA,
	   "a stale entry is replaced, not merged");
	ok(!fakedb_get(&db, &old, &r) && count_records(&db) == 1, "what was stale is gone");
	ok(fakedb_removed(&db, &new) == 0 && count_records(&db) == 1,
	   "removed: a birth time tells its successor from it");
	ok(fakedb_removed(&db, &none) == 0 && !count_records(&db) && fakedb_removed(&db, &none) == 0,
	   "removed: without one it is forgotten");
	ok(fakedb_update(&db, &new, &r) == 0 && fakedb_get(&db, &new, &r) && r.has == FAKEDB_MODE, "and starts anew");
	ok(set_owner(&db, &other, 9) == 0 && fakedb_get(&db, &other, &r) && r.uid == 9 && fakedb_get(&db, &new, &r) &&
		   r.has == FAKEDB_MODE,
	   "two devices, one inode number");
	fakedb_close(&db);
}

/* Device numbers of file systems without a block device change from mount to mount. */
static void test_devices(void)
{
	struct fakedb_key at_home = key(5), anonymous = key(6), renumbered = key(6);
	struct fakedb_record r;
	struct fakedb db;

	anonymous.dev_major = renumbered.dev_major = 0;
	anonymous.dev_minor = 50;
	renumbered.dev_minor = 61;
	fresh(&db, 64, 64, 65536);
	at_home.dev_major = db.dev_major;
	at_home.dev_minor = db.dev_minor;
	set_owner(&db, &at_home, 42);
	set_owner(&db, &anonymous, 43);
	ok(fakedb_get(&db, &renumbered, &r) && r.uid == 43, "a renumbered device: the birth time decides");
	ok(set_owner(&db, &renumbered, 44) == 0 && count_records(&db) == 2, "a renumbered device: one record only");
	renumbered.btime_ns++;
	ok(!fakedb_get(&db, &renumbered, &r), "a renumbered device: another birth time is another file");
	renumbered.btime_ns = 0;
	renumbered.dev_minor = 62;
	ok(!fakedb_get(&db, &renumbered, &r), "a renumbered device: nothing is guessed without a birth time");
	/* The next mount, as far as the database can tell. */
	db.dev_major = at_home.dev_major = 0;
	db.dev_minor = at_home.dev_minor = 77;
	ok(fakedb_get(&db, &at_home, &r) && r.uid == 42, "the database's own file system may be renumbered");
	fakedb_close(&db);
}

static void test_xattrs(void)
{
	static char big[65536], back[65536], name[258];
	struct fakedb_key k = key(20);
	struct fakedb_record r;
	char list[64], buf[8];
	struct fakedb db;

	fresh(&db, 64, 256, 1 << 20);
	ok(fakedb_getxattr(&db, &k, "user.a", buf, 8) == -ENODATA && fakedb_listxattr(&db, &k, NULL, 0) == 0 &&
		   fakedb_removexattr(&db, &k, "user.a") == -ENODATA,
	   "xattr: none");
	ok(fakedb_setxattr(&db, &k, "user.a", "12345", 5, XATTR_REPLACE) == -ENODATA, "xattr: nothing to replace");
	ok(fakedb_setxattr(&db, &k, "user.a", "12345", 5, XATTR_CREATE) == 0, "xattr: create");
	ok(fakedb_setxattr(&db, &k, "user.a", "1", 1, XATTR_CREATE) == -EEXIST, "xattr: there already");
	ok(fakedb_getxattr(&db, &k, "user.a", NULL, 0) == 5 && fakedb_getxattr(&db, &k, "user.a", buf, 4) == -ERANGE &&
		   fakedb_getxattr(&db, &k, "user.a", buf, 5) == 5 && !memcmp(buf, "12345", 5),
	   "xattr: read, with the size asked for and checked");
	ok(fakedb_get(&db, &k, &r) && r.has == FAKEDB_XATTR, "xattr: the record knows");
	ok(set_owner(&db, &k, 3) == 0 && fakedb_getxattr(&db, &k, "user.a", buf, 8) == 5, "xattr: kept by an update");
	ok(fakedb_setxattr(&db, &k, "security.capability", "", 0, 0) == 0 &&
		   fakedb_getxattr(&db, &k, "security.capability", buf, 8) == 0,
	   "xattr: an empty value is a value");
	ok(fakedb_listxattr(&db, &k, NULL, 0) == 27 && fakedb_listxattr(&db, &k, list, 26) == -ERANGE &&
		   fakedb_listxattr(&db, &k, list, 27) == 27 && !memcmp(list, "user.a\0security.capability", 27),
	   "xattr: list");
	ok(fakedb_setxattr(&db, &k, "user.a", "xy", 2, XATTR_REPLACE) == 0 &&
		   fakedb_getxattr(&db, &k, "user.a", buf, 8) == 2 && fakedb_listxattr(&db, &k, NULL, 0) == 27,
	   "xattr: replace");
	for (size_t i = 0; i < sizeof(big); i++)
		big[i] = (char)rnd(256);
	ok(fakedb_setxattr(&db, &k, "user.big", big, 65537, 0) == -E2BIG, "xattr: too big");
	ok(fakedb_setxattr(&db, &k, "user.big", big, 65536, 0) == 0 &&
		   fakedb_getxattr(&db, &k, "user.big", back, 65536) == 65536 && !memcmp(big, back, 65536),
	   "xattr: 64 KiB");
	ok(fakedb_getxattr(&db, &k, "user.a", buf, 8) == 2 && !memcmp(buf, "xy", 2), "xattr: others are kept");
	memset(name, 'n', 256);
	ok(fakedb_setxattr(&db, &k, name, "", 0, 0) == -ERANGE && fakedb_getxattr(&db, &k, "", buf, 8) == -ERANGE,
	   "xattr: a name too long, a name too short");
	name[255] = '\0';
	ok(fakedb_setxattr(&db, &k, name, "v", 1, 0) == 0 && fakedb_getxattr(&db, &k, name, buf, 8) == 1,
	   "xattr: the longest name");
	ok(fakedb_setxattr(&db, &k, "user.a", "", 0, 4) == -EINVAL, "xattr: unknown flags");
	ok(fakedb_removexattr(&db, &k, name) == 0 && fakedb_removexattr(&db, &k, "user.big") == 0 &&
		   fakedb_removexattr(&db, &k, "user.a") == 0 &&
		   fakedb_removexattr(&db, &k, "security.capability") == 0 && fakedb_listxattr(&db, &k, NULL, 0) == 0,
	   "xattr: remove");
	ok(fakedb_get(&db, &k, &r) && r.has == FAKEDB_OWNER && r.uid == 3, "xattr: the owner stays");
	ok(fakedb_verify(&db) == 0, "xattr: verify");
	fakedb_close(&db);
}

/* Random changes, checked against arrays. */
static void test_random(void)
{
	enum { FILES = 700, CHANGES = 20000 };
	static struct fakedb_record want[FILES];
	static int attr[FILES]; /* -1 = none */
	struct fakedb_record r;
	unsigned live = 0, bad = 0;
	struct fakedb db;
	char value[8];

	fresh(&db, 1024, CHANGES + 2, 4 << 20);
	for (unsigned i = 0; i < FILES; i++)
		attr[i] = -1;
	for (unsigned i = 0; i < CHANGES; i++) {
		unsigned n = rnd(FILES);
		struct fakedb_key k = key(1 + n % 350);

		k.dev_minor = n / 350; /* half of the inode numbers twice */
		switch (rnd(5)) {
		case 0:
		case 1:
			r = owner(rnd(4), rnd(4));
			bad += fakedb_update(&db, &k, &r) != 0;
			want[n].has |= FAKEDB_OWNER;
			want[n].uid = r.uid;
			want[n].gid = r.gid;
			break;
		case 2:
			r = (struct fakedb_record){ .has = FAKEDB_MODE, .mode = rnd(010000) };
			bad += fakedb_update(&db, &k, &r) != 0;
			want[n].has |= FAKEDB_MODE;
			want[n].mode = r.mode;
			break;
		case 3:
			attr[n] = (int)rnd(1000);
			sprintf(value, "%d", attr[n]);
			bad += fakedb_setxattr(&db, &k, "user.n", value, strlen(value), 0) != 0;
			want[n].has |= FAKEDB_XATTR;
			break;
		default:
			bad += fakedb_forget(&db, &k) != 0;
			want[n] = (struct fakedb_record){ 0 };
			attr[n] = -1;
			break;
		}
	}
	for (unsigned n = 0; n < FILES; n++) {
		struct fakedb_key k = key(1 + n % 350);
		long got;
		bool known;

		k.dev_minor = n / 350;
		known = fakedb_get(&db, &k, &r);
		bad += known != (want[n].has != 0) || (known && memcmp(&r, &want[n], sizeof(r)));
		got = fakedb_getxattr(&db, &k, "user.n", value, sizeof(value) - 1);
		if (got >= 0)
			value[got] = '\0';
		bad += attr[n] < 0 ? got != -ENODATA : got < 0 || atoi(value) != attr[n];
		live += known;
	}
	ok(bad == 0, "random changes: as an array would answer");
	ok(count_records(&db) == live && fakedb_verify(&db) == 0, "random changes: counted and verified");
	fakedb_close(&db);
}

static void test_full(void)
{
	struct fakedb_key k = key(1);
	struct fakedb_record r;
	struct fakedb db;
	unsigned n = 0;
	int e = 0;

	fresh(&db, 64, 1000, 4096);
	while (n < 100 && e == 0) {
		struct fakedb_key other = key(100 + n);

		e = set_owner(&db, &other, n);
		n += e == 0;
	}
	ok(e == -ENOSPC && n == 64, "full: no slot is left");
	k = key(100);
	ok(set_owner(&db, &k, 77) == 0 && fakedb_get(&db, &k, &r) && r.uid == 77, "full: known files can still change");
	ok(!fakedb_maybe(&db, 5000) && fakedb_verify(&db) == 0, "full: lookups of unknown files end");
	fakedb_close(&db);

	fresh(&db, 64, 10, 4096);
	for (n = 0, e = 0; n < 100 && e == 0; n += e == 0)
		e = set_owner(&db, &k, n);
	ok(e == -ENOSPC && n == 9 && fakedb_get(&db, &k, &r) && r.uid == 8, "full: no entry is left");
	ok(set_owner(&db, &k, 8) == 0, "full: what is known already needs no room");
	fakedb_close(&db);

	fresh(&db, 64, 1000, 4096);
	for (n = 0, e = 0; n < 100 && e == 0; n += e == 0)
		e = fakedb_setxattr(&db, &k, "user.x", "0123456789", n % 10, 0);
	ok(e == -ENOSPC && n > 50 && fakedb_getxattr(&db, &k, "user.x", NULL, 0) == (n - 1) % 10,
	   "full: the heap, the last value stands");
	ok(fakedb_verify(&db) == 0, "full: verify");
	fakedb_close(&db);
}

/* Lets the group exist in a new user namespace: the files of a tmpfs must have one. */
static int map_gid(unsigned gid)
{
	char map[32];
	int fd = open("/proc/self/setgroups", O_WRONLY), n = sprintf(map, "0 %u 1", gid);

	if (fd < 0 || write(fd, "deny", 4) != 4)
		return -1;
	fd = open("/proc/self/gid_map", O_WRONLY);
	return fd >= 0 && write(fd, map, (size_t)n) == n ? 0 : -1;
}

/* The file system itself is full: an error, where a store into the map would kill. */
static void test_full_disk(void)
{
	const char *name = "full disk: -ENOSPC and no signal";
	int status;
	pid_t pid;

	fflush(stdout);
	pid = fork();
	if (pid == 0) {
		char map[32], big[65536] = { 0 };
		unsigned uid = geteuid(), gid = getegid();
		struct fakedb_record r;
		struct fakedb_key k;
		struct fakedb db;
		int fd, e = 0;
		uint64_t n;

		if (unshare(uid ? CLONE_NEWUSER | CLONE_NEWNS : CLONE_NEWNS) < 0)
			_exit(77);
		sprintf(map, "0 %u 1", uid);
		fd = open("/proc/self/uid_map", O_WRONLY);
		if (uid && (write(fd, map, strlen(map)) < 0 || map_gid(gid) < 0))
			_exit(77);
		if (mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0 ||
		    mount("none", dir, "tmpfs", 0, "size=400k") < 0)
			_exit(77);
		if (fakedb_open(&db, path, true, false) < 0)
			_exit(2);
		for (n = 0; n < 100000 && e == 0; n++) {
			k = key(n);
			e = set_owner(&db, &k, (uint32_t)n);
		}
		if (e != -ENOSPC || n < 50 || n == 100000)
			_exit(3);
		if (fakedb_setxattr(&db, &k, "user.big", big, sizeof(big), 0) != -ENOSPC)
			_exit(4);
		/* all that was answered with success is there, and nothing else */
		for (uint64_t i = 0; i < n; i++) {
			k = key(i);
			if (fakedb_get(&db, &k, &r) != (i < n - 1) || (i < n - 1 && r.uid != i))
				_exit(5);
		}
		_exit(fakedb_verify(&db) == 0 ? 0 : 6);
	}
	waitpid(pid, &status, 0);
	if (WIFEXITED(status) && WEXITSTATUS(status) == 77) {
		skip(name, "no tmpfs can be mounted here, not even in a user namespace");
		return;
	}
	if (!ok(status == 0, name))
		fprintf(stderr, "# status %x\n", status);
}

static void test_foreign(void)
{
	struct fakedb_key k = key(1);
	struct fakedb db;
	off_t entries, slots;
	bool refused = true;
	char page[8192];
	int fd;

	fresh(&db, 64, 64, 4096);
	set_owner(&db, &k, 1);
	fakedb_close(&db);
	fd = open(path, O_RDWR);
	for (unsigned at = 0; at < 80; at++) {
		unsigned char byte;

		if (pread(fd, &byte, 1, at) != 1)
			abort();
		byte ^= 0x10;
		if (pwrite(fd, &byte, 1, at) != 1)
			abort();
		refused = refused && fakedb_open(&db, path, true, false) == -EUCLEAN && !db.map && db.error == -EUCLEAN;
		byte ^= 0x10;
		if (pwrite(fd, &byte, 1, at) != 1)
			abort();
	}
	ok(refused, "foreign: every changed byte of the header is noticed");
	if (getuid() != 0 && chmod(path, 0444) == 0)
		ok(fakedb_open(&db, path, true, false) == 0 && fakedb_maybe(&db, k.ino) &&
			   set_owner(&db, &k, 2) == -EROFS,
		   "foreign: what may only be read is read");
	fakedb_close(&db);
	chmod(path, 0600);
	ok(fakedb_open(&db, path, false, false) == 0, "foreign: restored, it opens");
	/* a flipped bit in the entry, and a slot that points beyond all entries */
	ok(fakedb_verify(&db) == 0, "damage: none yet");
	slots = (off_t)header(&db)->slots_offset;
	entries = (off_t)header(&db)->entries_offset;
	if (pread(fd, page, 4096, entries) != 4096)
		abort();
	page[64 + 30] ^= 1;
	if (pwrite(fd, page, 4096, entries) != 4096)
		abort();
	ok(fakedb_verify(&db) == 1, "damage: a changed entry is counted");
	page[64 + 30] ^= 1;
	if (pwrite(fd, page, 4096, entries) != 4096)
		abort();
	memset((char *)db.map + PAGE, 0, FILTER_SIZE);
	ok(fakedb_verify(&db) == 1 && !fakedb_maybe(&db, 1), "damage: an entry that the filter lost is counted");
	ok(set_owner(&db, &k, 2) == 0 && fakedb_verify(&db) == 0, "damage: the next change of it mends that");
	memset(page, 0xff, 256);
	if (pwrite(fd, page, 256, slots) != 256)
		abort();
	ok(fakedb_verify(&db) == 64 && !fakedb_maybe(&db, 1) && set_owner(&db, &k, 2) == -ENOSPC,
	   "damage: wild slots are counted, and lead nowhere");
	fakedb_close(&db);
	if (ftruncate(fd, 9000) < 0)
		abort();
	ok(fakedb_open(&db, path, true, false) == -EUCLEAN, "foreign: a truncated file is refused");
	if (ftruncate(fd, 0) < 0)
		abort();
	ok(fakedb_open(&db, path, true, false) == -EUCLEAN, "foreign: an empty file is refused, not overwritten");
	close(fd);
	unlink(path);
	ok(mkfifo(path, 0600) == 0 && fakedb_open(&db, path, true, false) == -EUCLEAN, "foreign: a fifo");
	unlink(path);
	ok(fakedb_open(&db, path, false, false) == -ENOENT && fakedb_verify(&db) == -ENOENT, "missing: none is made");
	ok(fakedb_open(&db, "/proc/version", false, true) == -EUCLEAN, "foreign: /proc/version");
}

/* A file of version 2 has no filter. */
static void test_unfiltered(void)
{
	struct fakedb_key k = key(1);
	struct fakedb_record r;
	struct fakedb db;
	struct header *h;

	fresh(&db, 64, 64, 4096);
	h = header(&db);
	h->version = VERSION_UNFILTERED;
	h->slots_offset = PAGE;
	h->check = checksum(h->seed, h, offsetof(struct header, check));
	fakedb_close(&db);
	ok(fakedb_open(&db, path, false, false) == 0, "version 2 opens");
	ok(set_owner(&db, &k, 1) == 0 && fakedb_get(&db, &k, &r) && r.uid == 1 && fakedb_maybe(&db, 1) &&
		   !fakedb_maybe(&db, 2) && fakedb_verify(&db) == 0,
	   "version 2 is read and written");
	h = header(&db);
	h->version = VERSION;
	h->check = checksum(h->seed, h, offsetof(struct header, check));
	fakedb_close(&db);
	ok(fakedb_open(&db, path, false, false) == -EUCLEAN, "a file of version 3 has a filter");
}

/* Without a database nothing is remembered, and nothing fails. */
static void test_none(void)
{
	struct fakedb_key k = key(1), k2;
	struct fakedb_record r;
	struct fakedb db = { 0 };
	uint64_t cursor = 0;

	ok(set_owner(&db, &k, 1) == 0 && fakedb_forget(&db, &k) == 0 && !fakedb_get(&db, &k, &r) &&
		   !fakedb_maybe(&db, 1),
	   "none: changes succeed and are forgotten");
	ok(fakedb_setxattr(&db, &k, "user.a", "", 0, 0) == 0 &&
		   fakedb_getxattr(&db, &k, "user.a", NULL, 0) == -ENODATA &&
		   fakedb_listxattr(&db, &k, NULL, 0) == 0 && fakedb_removexattr(&db, &k, "user.a") == -ENODATA,
	   "none: attributes too");
	ok(!fakedb_next(&db, &cursor, &k2, &r), "none: nothing to visit");
}

static void test_statx(void)
{
	struct statx stx;
	struct fakedb_key k;

	memset(&stx, 0, sizeof(stx));
	stx.stx_ino = 9;
	stx.stx_dev_major = 253;
	stx.stx_dev_minor = 4;
	stx.stx_btime.tv_sec = 2;
	stx.stx_btime.tv_nsec = 5;
	fakedb_key_from_statx(&k, &stx);
	ok(k.ino == 9 && k.dev_major == 253 && k.dev_minor == 4 && k.btime_ns == 0, "key: no birth time");
	stx.stx_mask = STATX_BTIME;
	fakedb_key_from_statx(&k, &stx);
	ok(k.btime_ns == 2000000005, "key: birth time");
}

/* Several processes make the database at once: all see one and the same. */
static void test_creation_race(void)
{
	unsigned bad = 0;

	for (unsigned round = 0; round < 20; round++) {
		struct fakedb_record r;
		struct fakedb db;
		pid_t pids[6];
		int status;

		unlink(path);
		for (unsigned i = 0; i < 6; i++) {
			pids[i] = fork();
			if (pids[i] == 0) {
				struct fakedb_key k = key(1 + i);

				_exit(fakedb_open(&db, path, true, false) == 0 && set_owner(&db, &k, i) == 0 ? 0 : 1);
			}
		}
		for (unsigned i = 0; i < 6; i++)
			bad += waitpid(pids[i], &status, 0) != pids[i] || status;
		bad += fakedb_open(&db, path, false, true) != 0;
		for (unsigned i = 0; i < 6; i++) {
			struct fakedb_key k = key(1 + i);

			bad += !fakedb_get(&db, &k, &r) || r.uid != i;
		}
		fakedb_close(&db);
	}
	ok(bad == 0, "creation: six processes at once, one database");
}

static void test_file_limit(void)
{
	struct rlimit old, small;
	struct fakedb db;
	int r;

	unlink(path);
	getrlimit(RLIMIT_FSIZE, &old);
	small = old;
	small.rlim_cur = 8 << 20;
	setrlimit(RLIMIT_FSIZE, &small);
	r = fakedb_open(&db, path, true, false);
	setrlimit(RLIMIT_FSIZE, &old);
	ok(r == 0 && db.size <= 8 << 20, "creation: a smaller one under ulimit -f, and no SIGXFSZ");
	fakedb_close(&db);
}

static void test_sparse(void)
{
	struct fakedb_key k = key(1);
	struct fakedb db;
	struct stat st;

	unlink(path);
	ok(fakedb_open(&db, path, true, false) == 0 && set_owner(&db, &k, 1) == 0 && stat(path, &st) == 0 &&
		   st.st_blocks * 512 <= 5 << 20 && (st.st_mode & 07777) == 0600,
	   "creation: little more than the index on the disk, and for its owner only");
	ok(fakedb_create_sized(path, 64, 64, 4096) == -EEXIST, "creation: never over an existing file");
	fakedb_close(&db);
}

/* Two processes change the same files' different fields: no change is lost, and a reader never sees half a change. */
static void test_two_writers(void)
{
	enum { FILES = 16, ROUNDS = 4000 };
	struct fakedb_record r;
	struct fakedb db;
	unsigned bad = 0, seen = 0;
	int status;
	pid_t pids[2];

	fresh(&db, 64, 4 * FILES * ROUNDS, 1 << 20);
	for (unsigned p = 0; p < 2; p++) {
		pids[p] = fork();
		if (pids[p])
			continue;
		for (uint32_t i = 1; i <= ROUNDS; i++) {
			struct fakedb_key k = key(1 + i % FILES);
			struct fakedb_record mine = { .has = p ? FAKEDB_NODE : FAKEDB_OWNER,
						      .uid = i,
						      .gid = ~i,
						      .mode = S_IFCHR,
						      .rdev_major = i,
						      .rdev_minor = ~i };

			if (fakedb_update(&db, &k, &mine) < 0 || !fakedb_get(&db, &k, &r))
				_exit(1);
			/* nobody else changes this field: it must be what was written */
			if (p ? r.rdev_major != i : r.uid != i)
				_exit(2);
		}
		_exit(0);
	}
	while (waitpid(pids[0], &status, WNOHANG) == 0) {
		struct fakedb_key k = key(1 + seen++ % FILES);

		if (fakedb_get(&db, &k, &r))
			bad += (r.has & FAKEDB_OWNER && r.gid != ~r.uid) ||
			       (r.has & FAKEDB_NODE && r.rdev_minor != ~r.rdev_major);
	}
	bad += status != 0;
	bad += waitpid(pids[1], &status, 0) != pids[1] || status;
	ok(bad == 0, "two writers: no change is lost, no reader sees half of one");
	bad = 0;
	for (unsigned i = 0; i < FILES; i++) {
		struct fakedb_key k = key(1 + i);
		uint32_t last = i ? ROUNDS / FILES * FILES - FILES + i : ROUNDS / FILES * FILES;

		bad += !fakedb_get(&db, &k, &r) || r.uid != last || r.rdev_major != last;
	}
	ok(bad == 0 && count_records(&db) == FILES && fakedb_verify(&db) == 0, "two writers: one record a file");
	fakedb_close(&db);
}

/* One writer: on file f, value n, announcing n in shared memory when it is done. Every field of a file holds n. */
_Noreturn static void write_until_killed(struct fakedb *db, volatile uint32_t *finished, unsigned files, uint64_t seed)
{
	rng = seed;
	for (;;) {
		unsigned f = rnd(files);
		struct fakedb_key k = key(1 + f);
		uint32_t n = finished[f] + 1;
		struct fakedb_record r = { .has = FAKEDB_OWNER | FAKEDB_NODE,
					   .uid = n,
					   .gid = n,
					   .mode = S_IFCHR,
					   .rdev_major = n,
					   .rdev_minor = n };

		if (fakedb_update(db, &k, &r) < 0 || fakedb_setxattr(db, &k, "user.n", &n, sizeof(n), 0) < 0)
			_exit(1);
		finished[f] = n;
	}
}

static void test_kill(void)
{
	enum { FILES = 8, WRITERS = 2 };
	uint32_t *finished = mmap(NULL, 4096 * WRITERS, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	unsigned bad = 0, died = 0;
	struct fakedb db;

	fresh(&db, 64, 1 << 22, 1 << 28);
	for (unsigned round = 0; round < KILLS; round++) {
		pid_t pids[WRITERS];
		int status;

		for (unsigned w = 0; w < WRITERS; w++) {
			uint64_t seed = 1 + rnd(1u << 30);

			pids[w] = fork();
			if (pids[w] == 0) {
				/* each writer has files of its own, in the same index */
				struct fakedb mine = db;

				write_until_killed(&mine, finished + w * 1024, FILES, seed);
			}
		}
		usleep(200 + rnd(1500));
		for (unsigned w = 0; w < WRITERS; w++)
			kill(pids[w], SIGKILL);
		for (unsigned w = 0; w < WRITERS; w++) {
			waitpid(pids[w], &status, 0);
			died += WIFSIGNALED(status);
		}
		bad += fakedb_verify(&db) != 0;
		for (unsigned f = 0; f < FILES; f++) {
			uint32_t a = finished[f], b = finished[1024 + f], n = 0;
			struct fakedb_key k = key(1 + f);
			struct fakedb_record r;
			bool known = fakedb_get(&db, &k, &r);

			/* Both writers count on the same files: what is there is the last or the unfinished change of
			 * one of them, whole. */
			if (!known) {
				bad += a || b;
				continue;
			}
			bad += r.uid != r.gid || r.uid != r.rdev_major || r.uid != r.rdev_minor;
			bad += r.uid > (a > b ? a : b) + 1;
			if (r.has & FAKEDB_XATTR)
				bad += fakedb_getxattr(&db, &k, "user.n", &n, 4) != 4 || n > (a > b ? a : b) + 1;
		}
	}
	printf("# %u writers killed\n", died);
	ok(died == KILLS * WRITERS, "kill: all writers died at work");
	ok(bad == 0, "kill: the database is whole after each kill");
	fakedb_close(&db);

	/* One writer alone: nothing that it had finished is lost. */
	bad = 0;
	memset(finished, 0, 4096);
	fresh(&db, 64, 1 << 22, 1 << 28);
	for (unsigned round = 0; round < KILLS / 3; round++) {
		uint64_t seed = 1 + rnd(1u << 30);
		pid_t pid = fork();

		if (pid == 0)
			write_until_killed(&db, finished, FILES, seed);
		usleep(200 + rnd(1500));
		kill(pid, SIGKILL);
		waitpid(pid, NULL, 0);
		for (unsigned f = 0; f < FILES; f++) {
			struct fakedb_key k = key(1 + f);
			struct fakedb_record r = { 0 };
			uint32_t n = 0;

			(void)fakedb_get(&db, &k, &r);
			(void)fakedb_getxattr(&db, &k, "user.n", &n, 4);
			bad += r.uid != finished[f] && r.uid != finished[f] + 1;
			bad += n != finished[f] && n != finished[f] + 1;
		}
		bad += fakedb_verify(&db) != 0;
	}
	ok(bad == 0, "kill: what was finished is never lost");
	fakedb_close(&db);
	munmap(finished, 4096 * WRITERS);
}

/* A second database, made from the first. */
static long salvaged(const struct fakedb *db, struct fakedb *ret_fresh)
{
	static char other[112];

	snprintf(other, sizeof(other), "%s.fresh", path);
	unlink(other);
	if (fakedb_create_sized(other, 64, 64, 65536) < 0 || fakedb_open(ret_fresh, other, false, false) < 0) {
		ok(false, "a database to salvage into");
		exit(done());
	}
	unlink(other);
	return fakedb_salvage(db, ret_fresh);
}

/* What is damaged is lost, and nothing else is: in the index, in an entry, in attributes, in the counters. */
static void test_salvage(void)
{
	struct fakedb_key k[4] = { key(1), key(2), key(3), key(4) }, reborn = key(4);
	struct fakedb_record r;
	struct fakedb_usage usage;
	struct fakedb db, made;
	uint64_t *header;
	char value[8];
	char *map;

	fresh(&db, 64, 64, 65536);
	for (unsigned i = 0; i < 4; i++)
		for (uint32_t uid = 10; uid < 14; uid++)
			set_owner(&db, &k[i], uid + i);
	fakedb_setxattr(&db, &k[0], "user.a", "value", 5, 0);
	fakedb_setxattr(&db, &k[1], "user.b", "other", 5, 0);
	fakedb_forget(&db, &k[2]);
	reborn.btime_ns++;
	set_owner(&db, &reborn, 77);
	ok(salvaged(&db, &made) == 3 && count_records(&made) == 3 && fakedb_verify(&made) == 0,
	   "salvage: every file once");
	ok(fakedb_get(&made, &k[0], &r) && r.uid == 13 &&
		   fakedb_getxattr(&made, &k[0], "user.a", value, sizeof(value)) == 5 && !memcmp(value, "value", 5),
	   "salvage: its last state, with attributes");
	ok(!fakedb_get(&made, &k[2], &r), "salvage: what was forgotten stays so");
	ok(fakedb_get(&made, &reborn, &r) && r.uid == 77 && !fakedb_get(&made, &k[3], &r),
	   "salvage: who got a used inode number replaces who had it");
	fakedb_usage(&db, &usage);
	ok(usage.entries == 64 && usage.entries_used == 21, "usage: changes");
	fakedb_usage(&made, &usage);
	ok(usage.entries_used == 5 && usage.heap == 65536 && usage.heap_used < 200,
	   "usage: salvage leaves old ones behind");
	fakedb_close(&made);

	/* The index is gone, and so are the counters. */
	map = db.map;
	header = db.map;
	memset(map + header[6], 0xff, 64 * sizeof(uint32_t));
	header[16] = header[17] = 3;
	ok(fakedb_verify(&db) > 0 && salvaged(&db, &made) == 3 && fakedb_get(&made, &k[1], &r) && r.uid == 14,
	   "salvage: without an index");
	fakedb_close(&made);

	/* Of a damaged change the one before it counts; of damaged attributes nothing does. */
	for (unsigned n = 1; n < 64; n++) {
		uint64_t *entry = (uint64_t *)(map + header[7]) + n * 8;

		if (entry[0] == 3 && !*(uint32_t *)(entry + 3))
			entry[4] ^= 1;
	}
	for (char *p = map + header[8]; p < map + header[8] + 200; p++)
		if (!memcmp(p, "value", 5))
			*p = 'V';
	ok(salvaged(&db, &made) == 4 && fakedb_get(&made, &k[2], &r) && r.uid == 15,
	   "salvage: the last sound state of each");
	ok(fakedb_get(&made, &k[0], &r) && r.has == FAKEDB_OWNER && r.uid == 13,
	   "salvage: damaged attributes are left behind, their file is not");
	ok(fakedb_getxattr(&made, &k[1], "user.b", value, sizeof(value)) == 5, "salvage: sound ones are kept");
	ok(fakedb_verify(&made) == 0, "salvage: what it makes is sound");
	fakedb_close(&made);
	ok(fakedb_salvage(&(struct fakedb){ 0 }, &db) == -EINVAL, "salvage: nothing to salvage from");
	fakedb_close(&db);
}

static double now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec * 1e9 + (double)t.tv_nsec;
}

/* Figures, not checks: they depend on the machine. */
static void print_speed(void)
{
	enum { FILES = 20000 };
	struct fakedb_record r;
	struct fakedb db;
	unsigned found = 0;
	double t[6];

	unlink(path);
	fakedb_open(&db, path, true, false);
	t[0] = now();
	for (unsigned i = 0; i < FILES; i++) {
		struct fakedb_key k = key(1000 + i);

		set_owner(&db, &k, i);
	}
	t[1] = now();
	for (unsigned i = 0; i < FILES; i++) {
		struct fakedb_key k = key(1000 + i * 7919u % FILES);

		found += fakedb_get(&db, &k, &r);
	}
	t[2] = now();
	for (unsigned i = 0; i < FILES; i++) {
		struct fakedb_key k = key(1000 + i % 64);

		found += fakedb_get(&db, &k, &r);
	}
	t[3] = now();
	for (unsigned i = 0; i < FILES; i++)
		found += fakedb_maybe(&db, 900000 + i);
	t[4] = now();
	for (unsigned i = 0; i < FILES; i++) {
		struct fakedb_key k = key(1000 + i);

		set_owner(&db, &k, i + 1);
	}
	t[5] = now();
	printf("# ns: new %.0f, get of 20000 %.0f, get of 64 %.0f, maybe (unknown) %.0f, change %.0f\n",
	       (t[1] - t[0]) / FILES, (t[2] - t[1]) / FILES, (t[3] - t[2]) / FILES, (t[4] - t[3]) / FILES,
	       (t[5] - t[4]) / FILES);
	ok(found == 2 * FILES && fakedb_verify(&db) == 0, "20000 files are found");
	fakedb_close(&db);
}

static void test_inherit(void)
{
	struct fakedb_record r, links = { .has = FAKEDB_LINKS }, mode = { .has = FAKEDB_MODE, .mode = 04755 };
	struct fakedb_key a = key(10), b = key(11), c = key(12);
	struct fakedb db;
	char value[8];

	fresh(&db, 64, 64, 65536);
	ok(fakedb_update(&db, &a, &links) == 0 && fakedb_get(&db, &a, &r) && r.has == FAKEDB_LINKS,
	   "that a file had several names is remembered");
	ok(set_owner(&db, &a, 42) == 0 && fakedb_update(&db, &a, &mode) == 0 &&
		   fakedb_setxattr(&db, &a, "trusted.a", "one", 3, 0) == 0 &&
		   fakedb_setxattr(&db, &a, "trusted.b", "two", 3, 0) == 0 && fakedb_inherit(&db, &b, &db, &a) == 0,
	   "inherit: all kinds of things");
	ok(fakedb_get(&db, &b, &r) && r.has == (FAKEDB_OWNER | FAKEDB_MODE | FAKEDB_XATTR) && r.uid == 42 &&
		   r.mode == 04755,
	   "inherit: but not the number of names");
	ok(fakedb_getxattr(&db, &b, "trusted.b", value, sizeof(value)) == 3 && !memcmp(value, "two", 3) &&
		   fakedb_removexattr(&db, &b, "trusted.a") == 0 &&
		   fakedb_getxattr(&db, &a, "trusted.a", value, sizeof(value)) == 3,
	   "inherit: attributes are the copy's own");
	ok(fakedb_inherit(&db, &b, &db, &c) == 0 && !fakedb_get(&db, &b, &r) && fakedb_get(&db, &a, &r),
	   "inherit: nothing from an unknown file");
	b.btime_ns = 7;
	ok(!fakedb_get(&db, &b, &r) && fakedb_unguard(&db) == 0 && set_owner(&db, &c, 1) == 0, "unguard");
	a.btime_ns = c.btime_ns = 7;
	ok(fakedb_get(&db, &a, &r) && r.uid == 42 && !fakedb_get(&db, &c, &r),
	   "unguard: what was known is known whenever it is born, what comes is not");
	ok(fakedb_forget(&db, &a) == 0 && !fakedb_get(&db, &a, &r), "forget: the number of names, too");
	ok(fakedb_verify(&db) == 0, "verify: clean");
	fakedb_close(&db);
}

int main(void)
{
	const char *tmp = getenv("TMPDIR");

	snprintf(dir, sizeof(dir), "%s/fakedb-XXXXXX", tmp && strlen(tmp) < 40 ? tmp : "/tmp");
	if (!mkdtemp(dir))
		return 1;
	snprintf(path, sizeof(path), "%s/db", dir);
	test_none();
	test_statx();
	test_records();
	test_inherit();
	test_birth_time();
	test_devices();
	test_xattrs();
	test_random();
	test_full();
	test_full_disk();
	test_foreign();
	test_unfiltered();
	test_creation_race();
	test_file_limit();
	test_sparse();
	test_two_writers();
	test_salvage();
	test_kill();
	print_speed();
	unlink(path);
	ok(rmdir(dir) == 0, "nothing is left behind");
	return done();
}
