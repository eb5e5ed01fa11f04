/* torture: how paths resolve, and what the calls that take them do. */
#include "torture.h"

#include <dirent.h>
#include <linux/openat2.h>
#include <sched.h>
#include <sys/inotify.h>
#include <sys/mman.h>
#include <sys/statfs.h>
#include <sys/time.h>
#include <sys/xattr.h>

static bool same_file(const char *one, const char *other)
{
	struct stat a, b;

	require(stat(one, &a) == 0 && stat(other, &b) == 0);
	return a.st_ino == b.st_ino && a.st_dev == b.st_dev;
}

/* Opens, notes the result, and closes again. */
static void try_open(const char *what, const char *path, int flags)
{
	long fd = observe(what, open(path, flags | O_CLOEXEC, 0644));

	if (fd >= 0)
		close((int)fd);
}

static void try_stat(const char *what, const char *path)
{
	struct stat status;

	if (observe(what, lstat(path, &status)) == 0)
		note("(%o,%d)", status.st_mode & S_IFMT, (int)status.st_nlink);
}

CHECK(EVERYONE, open_symlinks)
{
	struct stat status;
	char text[64];
	int fd;

	make_file("file", "x");
	require(symlink("file", "link") == 0 && symlink("nowhere", "dangling") == 0 && symlink(".", "here") == 0);
	try_open("nofollow", "link", O_RDONLY | O_NOFOLLOW);
	try_open("nofollow_directory", "here", O_RDONLY | O_NOFOLLOW | O_DIRECTORY);
	try_open("nofollow_slash", "here/", O_RDONLY | O_NOFOLLOW | O_DIRECTORY);
	try_open("directory_flag", "link", O_RDONLY | O_DIRECTORY);
	try_open("excl_link", "link", O_WRONLY | O_CREAT | O_EXCL);
	try_open("excl_dangling", "dangling", O_WRONLY | O_CREAT | O_EXCL);
	try_open("creat_nofollow", "dangling", O_WRONLY | O_CREAT | O_NOFOLLOW);
	try_stat("before", "nowhere");
	try_open("creat_dangling", "dangling", O_WRONLY | O_CREAT);
	try_stat("after", "nowhere");
	try_open("creat_slash", "new/", O_WRONLY | O_CREAT);
	try_open("creat_directory", ".", O_WRONLY | O_CREAT);
	try_open("write_directory", ".", O_WRONLY);
	try_open("excl_directory", ".", O_RDONLY | O_CREAT | O_EXCL);
	try_open("creat_and_directory", "made", O_RDONLY | O_CREAT | O_DIRECTORY);
	fd = open("link", O_PATH | O_NOFOLLOW | O_CLOEXEC);
	require(fd >= 0 && fstat(fd, &status) == 0 && S_ISLNK(status.st_mode));
	require(readlinkat(fd, "", text, sizeof(text)) == 4);
	observe("read_path_fd", read(fd, text, 1));
	observe("fchmod_path_fd", fchmod(fd, 0600));
	observe("fchmodat_link", fchmodat(AT_FDCWD, "link", 0600, AT_SYMLINK_NOFOLLOW));
	fd = open(".", O_PATH | O_DIRECTORY | O_CLOEXEC);
	require(fd >= 0 && fstatat(fd, "file", &status, 0) == 0);
	require(fchdir(fd) == 0);
}

CHECK(EVERYONE, symlink_escapes)
{
	char text[256];

	require(symlink("/etc/passwd", "absolute") == 0);
	require(symlink("../../../../../../../../../../../../../../etc/passwd", "relative") == 0);
	require(symlink("/..", "above") == 0 && symlink("/", "root") == 0);
	require(symlink("/../../..//etc/../../etc/./passwd", "messy") == 0);
	require(same_file("absolute", "/etc/passwd") && same_file("relative", "/etc/passwd"));
	require(same_file("messy", "/etc/passwd") && same_file("above/etc/passwd", "/etc/passwd"));
	require(same_file("/..", "/") && same_file("/../../../..", "/") && same_file("root/..", "/"));
	require(same_file("/proc/self/root/../..", "/") && same_file("above/../..", "/"));
	require(chdir("/") == 0 && chdir("../../..") == 0 && getcwd(text, sizeof(text)));
	note("cwd=%s", text);
	require(same_file(".", "/") && same_file("..", "/"));
	require(chdir("/etc") == 0 && same_file("../../../etc/passwd", "passwd"));
}

CHECK(EVERYONE, symlink_chains)
{
	char name[16], target[16];

	make_file("l0", "x");
	for (int i = 1; i <= 45; i++) {
		snprintf(name, sizeof(name), "l%d", i);
		snprintf(target, sizeof(target), "l%d", i - 1);
		require(symlink(target, name) == 0);
	}
	try_open("39", "l39", O_RDONLY);
	try_open("40", "l40", O_RDONLY);
	try_open("41", "l41", O_RDONLY);
	require(symlink("loop", "loop") == 0 && symlink("loop2", "loop1") == 0 && symlink("loop1", "loop2") == 0);
	try_open("loop", "loop", O_RDONLY);
	try_open("loops", "loop1", O_RDONLY);
	try_open("loop_below", "loop1/x", O_RDONLY);
	try_open("loop_nofollow", "loop", O_RDONLY | O_NOFOLLOW);
	try_stat("loop_lstat", "loop");
	try_open("loop_create", "loop", O_WRONLY | O_CREAT);
	require(mkdir("d0", 0755) == 0);
	for (int i = 1; i <= 45; i++) {
		snprintf(name, sizeof(name), "d%d", i);
		snprintf(target, sizeof(target), "../%.*s", 0, "");
		snprintf(target, sizeof(target), "d%d", i - 1);
		require(symlink(target, name) == 0);
	}
	try_open("directories_40", "d40/.", O_RDONLY);
	try_open("directories_41", "d41/.", O_RDONLY);
	try_open("directories_20_20", "d20/../d20", O_RDONLY);
	try_open("directories_20_21", "d20/../d21", O_RDONLY);
}

CHECK(EVERYONE, empty_paths_and_slashes)
{
	struct stat status;
	int fd;

	make_file("file", "x");
	require(mkdir("dir", 0755) == 0);
	require(symlink("file", "link") == 0 && symlink("dir", "dirlink") == 0 && symlink("nowhere", "dangling") == 0);
	fd = open("file", O_RDONLY | O_CLOEXEC);
	try_open("open_empty", "", O_RDONLY);
	try_open("creat_empty", "", O_WRONLY | O_CREAT);
	try_stat("stat_empty", "");
	observe("fstatat_empty", fstatat(fd, "", &status, 0));
	observe("fstatat_empty_flag", fstatat(fd, "", &status, AT_EMPTY_PATH));
	observe("fstatat_cwd_flag", fstatat(AT_FDCWD, "", &status, AT_EMPTY_PATH));
	observe("mkdir_empty", mkdir("", 0755));
	observe("unlink_empty", unlink(""));
	observe("rename_empty", rename("", "x"));
	observe("rename_to_empty", rename("file", ""));
	observe("symlink_empty", symlink("", "s"));
	observe("chdir_empty", chdir(""));
	observe("access_empty", access("", F_OK));
	try_open("file_slash", "file/", O_RDONLY);
	try_open("file_dot", "file/.", O_RDONLY);
	try_open("file_dotdot", "file/..", O_RDONLY);
	try_open("link_slash", "link/", O_RDONLY);
	try_open("dangling_slash", "dangling/", O_RDONLY);
	try_stat("dirlink_slash", "dirlink/");
	try_stat("dirlink", "dirlink");
	try_stat("link_slash_stat", "link/");
	try_stat("many_slashes", "//dir/../dirlink");
	try_stat("inner_slashes", ".//dir//.//..//dirlink///");
	observe("mkdir_slash", mkdir("new/", 0755));
	observe("mkdir_dot", mkdir("newer/.", 0755));
	observe("mkdir_dotdot", mkdir("dir/..", 0755));
	observe("mkdir_dangling", mkdir("dangling", 0755));
	observe("mkdir_dangling_slash", mkdir("dangling/", 0755));
	observe("mkdir_root", mkdir("/", 0755));
	observe("rmdir_dot", rmdir("dir/."));
	observe("rmdir_dotdot", rmdir("dir/.."));
	observe("rmdir_file", rmdir("file"));
	observe("rmdir_link", rmdir("dirlink"));
	observe("rmdir_link_slash", rmdir("dirlink/"));
	observe("unlink_directory", unlink("dir"));
	observe("unlink_file_slash", unlink("file/"));
	observe("unlink_link_slash", unlink("dirlink/"));
	observe("unlink_dotdot", unlink("dir/.."));
	observe("symlink_slash", symlink("x", "newlink/"));
	observe("rename_file_slash", rename("file/", "file2"));
	observe("rename_to_slash", rename("file", "file2/"));
	observe("rename_dir_slash", rename("dir/", "dir2/"));
	observe("rename_dot", rename(".", "elsewhere"));
	observe("rename_below_itself", rename("dir2", "dir2/sub"));
	observe("rename_missing", rename("missing", "x"));
	observe("rename_over_dir", rename("file", "dir2"));
	observe("rename_same", rename("file", "file"));
	observe("link_directory", link("dir2", "hard"));
	observe("link_slash", link("file", "hard/"));
	observe("link_symlink", link("link", "hardlink"));
	try_stat("hardlink", "hardlink");
	observe("readlink_file", readlink("file", (char[8]){0}, 8));
	observe("readlink_size_0", readlink("link", (char[8]){0}, 0));
	note("readlink_short=%zd", readlink("link", (char[8]){0}, 2));
	observe("truncate_directory", truncate("dir2", 0));
	observe("truncate_missing", truncate("missing", 0));
	observe("chdir_file", chdir("file"));
}

CHECK(EVERYONE, at_calls)
{
	int here = open(".", O_RDONLY | O_DIRECTORY | O_CLOEXEC), file, sub;
	struct stat status;
	char text[64];

	make_file("file", "x");
	require(mkdir("sub", 0755) == 0 && mkdir("sub/deep", 0755) == 0);
	file = open("file", O_RDONLY | O_CLOEXEC);
	sub = open("sub", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	require(here >= 0 && file >= 0 && sub >= 0);
	observe("dotdot", fstatat(sub, "../file", &status, 0));
	observe("not_directory", fstatat(file, "x", &status, 0));
	observe("bad_fd", fstatat(-1, "file", &status, 0));
	observe("closed_fd", fstatat(1023, "file", &status, 0));
	observe("absolute_bad_fd", fstatat(-1, "/etc/passwd", &status, 0));
	observe("bad_flag", fstatat(here, "file", &status, 0x40000));
	observe("symlinkat", symlinkat("../file", sub, "link"));
	note("readlinkat=%zd", readlinkat(sub, "link", text, sizeof(text)));
	observe("renameat", renameat(sub, "link", here, "link"));
	observe("linkat_follow", linkat(here, "link", sub, "hard", AT_SYMLINK_FOLLOW));
	observe("unlinkat_dir", unlinkat(here, "sub", 0));
	observe("unlinkat_removedir", unlinkat(here, "file", AT_REMOVEDIR));
	observe("unlinkat_flag", unlinkat(here, "file", 0x1));
	observe("mkdirat", mkdirat(sub, "made", 0700));
	observe("mknodat_fifo", mknodat(sub, "fifo", S_IFIFO | 0600, 0));
	observe("mknodat_socket", mknodat(sub, "socket", S_IFSOCK | 0600, 0));
	observe("mknodat_file", mknodat(sub, "plain", 0600, 0));
	observe("mknodat_exists", mknodat(sub, "plain", 0600, 0));
	observe("mknodat_directory", mknodat(sub, "d", S_IFDIR | 0600, 0));
	try_stat("fifo", "sub/fifo");
	try_stat("socket", "sub/socket");
	observe("fchmodat", fchmodat(sub, "plain", 0640, 0));
	observe("faccessat", faccessat(sub, "plain", R_OK | W_OK, 0));
	observe("faccessat_exec", faccessat(sub, "plain", X_OK, AT_EACCESS));
	observe("faccessat2", syscall(SYS_faccessat2, sub, "plain", R_OK, AT_SYMLINK_NOFOLLOW));
	observe("utimensat", utimensat(sub, "plain", NULL, AT_SYMLINK_NOFOLLOW));
	observe("utimensat_fd", syscall(SYS_utimensat, file, NULL, NULL, 0));
	observe("futimesat", syscall(SYS_futimesat, sub, "plain", NULL));
	/* The directory moves; its descriptor does not mind. */
	require(rename("sub", "moved") == 0);
	observe("moved", fstatat(sub, "plain", &status, 0));
	observe("moved_dotdot", fstatat(sub, "../file", &status, 0));
	require(fchdir(sub) == 0);
	observe("cwd_deep", stat("deep", &status));
	require(rename("deep", "../raised") == 0 && fchdir(here) == 0);
	observe("raised", stat("raised", &status));
	observe("fchdir_file", fchdir(file));
}

CHECK(EVERYONE, renameat2_flags)
{
	struct stat status;
	char text[16];

	make_file("one", "1");
	make_file("two", "2");
	observe("noreplace", sys_renameat2(AT_FDCWD, "one", AT_FDCWD, "two", RENAME_NOREPLACE));
	observe("exchange", sys_renameat2(AT_FDCWD, "one", AT_FDCWD, "two", RENAME_EXCHANGE));
	require(slurp("one", text, sizeof(text)) == 1);
	note("one=%s", text);
	observe("exchange_missing", sys_renameat2(AT_FDCWD, "one", AT_FDCWD, "three", RENAME_EXCHANGE));
	observe("both", sys_renameat2(AT_FDCWD, "one", AT_FDCWD, "two", RENAME_EXCHANGE | RENAME_NOREPLACE));
	observe("noreplace_new", sys_renameat2(AT_FDCWD, "one", AT_FDCWD, "three", RENAME_NOREPLACE));
	observe("gone", stat("one", &status));
}

CHECK(EVERYONE, links_by_descriptor)
{
	char path[64];
	struct stat status;
	int fd;

	make_file("file", "x");
	fd = open("file", O_RDONLY | O_CLOEXEC);
	observe("empty_path", linkat(fd, "", AT_FDCWD, "hard", AT_EMPTY_PATH));
	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	observe("by_proc", linkat(AT_FDCWD, path, AT_FDCWD, "hard2", AT_SYMLINK_FOLLOW));
	try_stat("file", "file");
	fd = open(".", O_TMPFILE | O_RDWR | O_CLOEXEC, 0640);
	if (observe("tmpfile", fd) < 0)
		return;
	require(write(fd, "abc", 3) == 3);
	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	observe("name_it", linkat(AT_FDCWD, path, AT_FDCWD, "named", AT_SYMLINK_FOLLOW));
	require(stat("named", &status) == 0);
	note("size=%d mode=%o", (int)status.st_size, status.st_mode & 07777);
}

CHECK(EVERYONE, working_directory)
{
	char text[PATH_MAX], first[PATH_MAX];
	struct stat status;

	require(getcwd(first, sizeof(first)));
	require(mkdir("real", 0755) == 0 && mkdir("real/sub", 0755) == 0 && symlink("real/sub", "link") == 0);
	require(chdir("link") == 0 && getcwd(text, sizeof(text)));
	note("physical=%s", text + strlen(first));
	require(same_file("../sub", "."));
	require(rename("../../real", "../../renamed") == 0 && getcwd(text, sizeof(text)));
	note("renamed=%s", text + strlen(first));
	require(readlink("/proc/self/cwd", text, sizeof(text)) > 0 && same_file("/proc/self/cwd", "."));
	observe("short", getcwd(text, 4) ? 0 : -1);
	note("raw=%s", syscall(SYS_getcwd, text, sizeof(text)) == (long)strlen(text) + 1 ? "length" : "other");
	require(rmdir("../sub") == 0);
	observe("removed", getcwd(text, sizeof(text)) ? 0 : -1);
	try_open("open_dot", ".", O_RDONLY);
	try_open("create", "file", O_WRONLY | O_CREAT);
	observe("dotdot", stat("..", &status));
	observe("chdir_dot", chdir("."));
	observe("chdir_back", chdir(first));
}

CHECK(EVERYONE, long_paths)
{
	static char path[2 * PATH_MAX];
	char name[300];
	struct stat status;
	size_t length = 0;

	memset(name, 'n', sizeof(name));
	name[255] = 0;
	try_open("name_255", name, O_WRONLY | O_CREAT);
	name[255] = 'n';
	name[256] = 0;
	try_open("name_256", name, O_WRONLY | O_CREAT);
	try_stat("stat_256", name);
	/* Absolute, long but legal: an engine that puts a prefix before it has no room left. */
	while (length < 4080)
		length += (size_t)sprintf(path + length, "/.");
	strcpy(path + length, "/etc/passwd");
	path[4095] = 0;
	memmove(path + (4095 - 11 - length), path, length);
	length = 0;
	while (length < 4095 - 11)
		path[length++] = '/';
	strcpy(path + length, "/etc/passwd");
	note("length=%zu", strlen(path));
	observe("stat_4095", stat(path, &status));
	try_open("open_4095", path, O_RDONLY);
	path[0] = '/';
	memmove(path + 1, path, 4096);
	note("length=%zu", strlen(path));
	observe("stat_4096", stat(path, &status));
	observe("mkdir_4096", mkdir(path, 0755));
	memset(path, 'x', 4500);
	path[4500] = 0;
	observe("symlink_target", symlink(path, "link"));
	path[4095] = 0;
	observe("symlink_4095", symlink(path, "link"));
	observe("through_it", stat("link", &status));
}

CHECK(EVERYONE, deep_directories)
{
	char name[201], text[64];
	static char big[64 * 1024];
	struct stat status;

	memset(name, 'd', 200);
	name[200] = 0;
	for (int depth = 0; depth < 30; depth++)
		require(mkdir(name, 0755) == 0 && chdir(name) == 0);
	make_file("file", "x");
	require(stat("file", &status) == 0 && access("./file", R_OK) == 0);
	require(symlink("file", "link") == 0 && readlink("link", text, sizeof(text)) == 4);
	require(rename("file", "file2") == 0 && unlink("file2") == 0);
	note("raw=%s", syscall(SYS_getcwd, big, sizeof(big)) > 0 ? "ok" : errno_name(errno));
	observe("above", stat("../..", &status));
	for (int depth = 0; depth < 30; depth++)
		require(chdir("..") == 0);
	require(stat(name, &status) == 0);
}

CHECK(EVERYONE, strange_names)
{
	static const char *const names[] = {
		"new\nline", "\xff\xfe\x80", " leading", "trailing ", "back\\slash", "*?[", "-rf",
		"...",	     "tab\t",	     "\x01",	 "quote'\"",  "%s%n",	     "~",   "#",
		"a:b",	     "e\xcc\x81",    "..x",	 ".hidden",
	};
	char text[64];
	size_t listed = 0;
	struct dirent *entry;
	struct stat status;
	DIR *stream;

	for (size_t i = 0; i < sizeof(names) / sizeof(*names); i++) {
		make_file(names[i], "x");
		require(stat(names[i], &status) == 0);
		require(symlink(names[i], "link") == 0);
		require(readlink("link", text, sizeof(text)) == (ssize_t)strlen(names[i]));
		require(stat("link", &status) == 0 && unlink("link") == 0);
		require(mkdir("dir", 0755) == 0 && rename(names[i], "dir/moved") == 0 && rename("dir", "x") == 0);
		require(rename("x/moved", names[i]) == 0 && rmdir("x") == 0);
	}
	require((stream = opendir(".")));
	while ((entry = readdir(stream))) {
		require(lstat(entry->d_name, &status) == 0);
		require(status.st_ino == entry->d_ino || !strcmp(entry->d_name, ".."));
		listed++;
	}
	note("listed=%zu", listed);
	closedir(stream);
}

CHECK(EVERYONE, umask_and_modes)
{
	struct stat status;

	umask(0777);
	require(mkdir("dir", 0777) == 0);
	require(close(open("file", O_WRONLY | O_CREAT | O_CLOEXEC, 0666)) == 0);
	require(mknod("fifo", S_IFIFO | 0666, 0) == 0 && symlink("file", "link") == 0);
	require(stat("dir", &status) == 0);
	note("dir=%o", status.st_mode & 07777);
	require(stat("file", &status) == 0);
	note("file=%o", status.st_mode & 07777);
	require(lstat("link", &status) == 0);
	note("link=%o", status.st_mode & 07777);
	try_open("read", "file", O_RDONLY);
	try_open("write", "file", O_WRONLY);
	try_open("below", "dir/new", O_WRONLY | O_CREAT);
	try_open("list", "dir", O_RDONLY | O_DIRECTORY);
	observe("access", access("file", R_OK));
	observe("access_x", access("file", X_OK));
	observe("chdir", chdir("dir"));
	require(umask(022) == 0777);
	require(chdir(".") == 0 || errno == EACCES);
	observe("execute", execl("file", "file", (char *)NULL));
}

CHECK(EVERYONE, file_modes_change)
{
	static const mode_t modes[] = {0, 0400, 0200, 0100, 0777, 0644, 01777, 0111};
	struct stat status;
	int fd;

	make_file("file", "x");
	require(mkdir("dir", 0755) == 0);
	fd = open("file", O_RDONLY | O_CLOEXEC);
	for (size_t i = 0; i < sizeof(modes) / sizeof(*modes); i++) {
		require(chmod("file", modes[i]) == 0 && stat("file", &status) == 0);
		note("%o", status.st_mode);
		observe("r", access("file", R_OK));
		observe("w", access("file", W_OK));
		observe("x", access("file", X_OK));
		require(chmod("dir", modes[i]) == 0 && stat("dir", &status) == 0);
		note("dir=%o", status.st_mode);
		try_open("in_dir", "dir/new", O_RDONLY | O_CREAT);
	}
	require(fchmod(fd, 0604) == 0 && fstat(fd, &status) == 0);
	note("fchmod=%o", status.st_mode);
	observe("chmod_missing", chmod("missing", 0644));
	observe("chown_self", chown("file", geteuid(), getegid()));
	observe("chown_nothing", chown("file", (uid_t)-1, (gid_t)-1));
	observe("fchownat_empty", fchownat(fd, "", (uid_t)-1, (gid_t)-1, AT_EMPTY_PATH));
}

CHECK(EVERYONE, stat_calls_agree)
{
	struct stat status;
	struct statx extended;
	static const char *const paths[] = {"/", "/etc/passwd", "/proc", "/dev/null", ".", "/proc/self/exe", "/.."};

	for (size_t i = 0; i < sizeof(paths) / sizeof(*paths); i++) {
		require(stat(paths[i], &status) == 0);
		require(sys_statx(AT_FDCWD, paths[i], 0, STATX_ALL, &extended) == 0);
		require(status.st_ino == extended.stx_ino && status.st_mode == extended.stx_mode);
		require(status.st_uid == extended.stx_uid && status.st_gid == extended.stx_gid);
		require(status.st_size == (off_t)extended.stx_size);
		/* The links of /proc are the processes of the moment. */
		require(status.st_nlink == extended.stx_nlink || !strcmp(paths[i], "/proc"));
		require(fstatat(AT_FDCWD, paths[i], &status, AT_NO_AUTOMOUNT) == 0);
		require(status.st_ino == extended.stx_ino);
	}
	observe("empty", sys_statx(AT_FDCWD, "", AT_EMPTY_PATH, STATX_BASIC_STATS, &extended));
	observe("missing", sys_statx(AT_FDCWD, "missing", 0, STATX_BASIC_STATS, &extended));
	observe("null_path", syscall(SYS_statx, 0, NULL, AT_EMPTY_PATH, STATX_TYPE, &extended));
	observe("bad_flag", sys_statx(AT_FDCWD, ".", 0x6000 | 0x40000000, STATX_TYPE, &extended));
}

CHECK(EVERYONE, filesystem_figures)
{
	struct statfs here, root;
	int fd = open(".", O_RDONLY | O_CLOEXEC);

	require(statfs(".", &here) == 0 && fstatfs(fd, &root) == 0 && here.f_type == root.f_type);
	require(statfs("/etc/passwd", &root) == 0);
	require(statfs("/proc", &root) == 0);
	note("proc=%lx", (long)root.f_type);
	observe("missing", statfs("missing", &root));
	observe("below_file", statfs("/etc/passwd/x", &root));
}

CHECK(EVERYONE, user_attributes)
{
	char text[64];
	int fd;

	make_file("file", "x");
	require(symlink("file", "link") == 0 && symlink("missing", "dangling") == 0);
	fd = open("file", O_RDONLY | O_CLOEXEC);
	if (observe("set", setxattr("link", "user.one", "value", 5, 0)) < 0)
		return;
	observe("create", setxattr("file", "user.one", "again", 5, XATTR_CREATE));
	observe("replace", setxattr("file", "user.two", "", 0, XATTR_REPLACE));
	note("get=%zd", getxattr("link", "user.one", text, sizeof(text)));
	note("size=%zd", getxattr("link", "user.one", NULL, 0));
	observe("range", getxattr("link", "user.one", text, 2));
	observe("none", getxattr("link", "user.none", text, sizeof(text)));
	observe("lget", lgetxattr("link", "user.one", text, sizeof(text)));
	observe("lset", lsetxattr("link", "user.one", "v", 1, 0));
	note("fget=%zd", fgetxattr(fd, "user.one", text, sizeof(text)));
	observe("fset", fsetxattr(fd, "user.three", "3", 1, 0));
	note("list=%zd", listxattr("file", NULL, 0));
	note("flist=%zd", flistxattr(fd, text, sizeof(text)));
	note("llist=%zd", llistxattr("link", text, sizeof(text)));
	observe("remove", removexattr("link", "user.one"));
	observe("remove_again", removexattr("link", "user.one"));
	observe("dangling", getxattr("dangling", "user.one", text, sizeof(text)));
	observe("bad_name", setxattr("file", "nonsense", "", 0, 0));
	observe("bad_prefix", setxattr("file", "nonsense.x", "", 0, 0));
}

CHECK(EVERYONE, inotify_watches)
{
	char buffer[4096] __attribute__((aligned(8)));
	struct inotify_event *event = (struct inotify_event *)buffer;
	int fd = inotify_init1(IN_CLOEXEC | IN_NONBLOCK);

	make_file("file", "x");
	require(symlink("file", "link") == 0);
	require(fd >= 0);
	observe("missing", inotify_add_watch(fd, "missing", IN_ALL_EVENTS));
	observe("onlydir", inotify_add_watch(fd, "file", IN_ALL_EVENTS | IN_ONLYDIR));
	require(inotify_add_watch(fd, "link", IN_MODIFY) >= 0);
	make_file("file", "changed");
	require(read(fd, buffer, sizeof(buffer)) > 0);
	note("mask=%x", event->mask);
	require(inotify_add_watch(fd, ".", IN_CREATE) >= 0);
	make_file("created", "x");
	while (read(fd, buffer, sizeof(buffer)) > 0 && !(event->mask & IN_CREATE))
		;
	note("name=%s", event->len ? event->name : "");
	require(inotify_add_watch(fd, "/etc/../etc", IN_CREATE) >= 0);
}

/* Path pointers that cannot be read; the last one begins in a mapped page and runs into an unmapped one. */
static const char *bad_pointers[5];

static void find_bad_pointers(void)
{
	char *pages = mmap(NULL, 8192, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	require(pages != MAP_FAILED && munmap(pages + 4096, 4096) == 0);
	memset(pages, 'x', 4096);
	bad_pointers[0] = NULL;
	bad_pointers[1] = (const char *)1;
	bad_pointers[2] = (const char *)0xffff800000000000;
	bad_pointers[3] = pages + 4096;
	bad_pointers[4] = pages + 4096 - 3;
}

CHECK(EVERYONE, bad_pointers)
{
	struct stat status;
	struct statfs figures;
	char text[16];

	find_bad_pointers();
	for (size_t i = 0; i < 5; i++) {
		const char *bad = bad_pointers[i];

		note("%zu:", i);
		observe("open", syscall(SYS_open, bad, O_RDONLY));
		observe("openat", syscall(SYS_openat, AT_FDCWD, bad, O_RDONLY));
		observe("stat", syscall(SYS_stat, bad, &status));
		observe("newfstatat", syscall(SYS_newfstatat, AT_FDCWD, bad, &status, 0));
		observe("access", syscall(SYS_access, bad, F_OK));
		observe("readlink", syscall(SYS_readlink, bad, text, sizeof(text)));
		observe("execve", syscall(SYS_execve, bad, NULL, NULL));
		observe("unlink", syscall(SYS_unlink, bad));
		observe("rename", syscall(SYS_rename, bad, "x"));
		observe("rename2", syscall(SYS_rename, "x", bad));
		observe("mkdir", syscall(SYS_mkdir, bad, 0755));
		observe("rmdir", syscall(SYS_rmdir, bad));
		observe("symlink", syscall(SYS_symlink, bad, "s"));
		observe("symlink2", syscall(SYS_symlink, "s", bad));
		observe("link", syscall(SYS_link, bad, "s"));
		observe("chdir", syscall(SYS_chdir, bad));
		observe("chmod", syscall(SYS_chmod, bad, 0755));
		observe("chown", syscall(SYS_chown, bad, -1, -1));
		observe("truncate", syscall(SYS_truncate, bad, 0L));
		observe("statfs", syscall(SYS_statfs, bad, &figures));
		observe("mknod", syscall(SYS_mknod, bad, S_IFIFO, 0));
		observe("getxattr", syscall(SYS_getxattr, bad, "user.x", text, sizeof(text)));
		observe("inotify", syscall(SYS_inotify_add_watch, inotify_init(), bad, IN_CREATE));
	}
}

CHECK(EVERYONE, bad_buffers)
{
	char *bad = (char *)8;

	require(symlink("target", "link") == 0);
	observe("stat", syscall(SYS_stat, "/", bad));
	observe("fstat", syscall(SYS_fstat, 0, bad));
	observe("statx", syscall(SYS_statx, AT_FDCWD, "/", 0, STATX_TYPE, bad));
	observe("readlink", syscall(SYS_readlink, "link", bad, 16));
	observe("proc_readlink", syscall(SYS_readlink, "/proc/self/exe", bad, 16));
	observe("getcwd", syscall(SYS_getcwd, bad, 64));
	observe("statfs", syscall(SYS_statfs, "/", bad));
	observe("getdents", syscall(SYS_getdents64, open(".", O_RDONLY), bad, 4096));
	observe("sigaction", syscall(SYS_rt_sigaction, SIGUSR1, bad, NULL, 8));
	observe("sigaction_old", syscall(SYS_rt_sigaction, SIGUSR1, NULL, bad, 8));
	observe("sigprocmask", syscall(SYS_rt_sigprocmask, SIG_BLOCK, bad, NULL, 8));
	observe("sigprocmask_old", syscall(SYS_rt_sigprocmask, SIG_BLOCK, NULL, bad, 8));
	observe("sigsuspend", syscall(SYS_rt_sigsuspend, bad, 8));
	observe("argv", syscall(SYS_execve, self_path, bad, NULL));
	observe("envp", syscall(SYS_execve, self_path, NULL, bad));
	char *words[] = {"zero", bad, NULL};
	observe("word", syscall(SYS_execve, self_path, words, NULL));
	observe("openat2", syscall(SYS_openat2, AT_FDCWD, "/", bad, sizeof(struct open_how)));
	observe("getgroups", syscall(SYS_getresuid, bad, bad, bad));
}

CHECK(EVERYONE, path_at_the_end_of_a_page)
{
	char *pages = mmap(NULL, 8192, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	static const char path[] = "/etc/passwd";
	struct stat status;

	require(pages != MAP_FAILED && munmap(pages + 4096, 4096) == 0);
	memcpy(pages + 4096 - sizeof(path), path, sizeof(path));
	require(stat(pages + 4096 - sizeof(path), &status) == 0);
	require(access(pages + 4096 - sizeof(path), R_OK) == 0);
	require(mprotect(pages, 4096, PROT_READ) == 0);
	try_open("open", pages + 4096 - sizeof(path), O_RDONLY);
	/* A buffer that ends with the page, as large as said. */
	require(mprotect(pages, 4096, PROT_READ | PROT_WRITE) == 0);
	note("readlink=%zd", readlink("/proc/self/root", pages + 4096 - 8, 8));
}

static void try_openat2(const char *what, const char *path, uint64_t flags, uint64_t resolve)
{
	struct open_how how = {.flags = flags | O_CLOEXEC, .resolve = resolve};
	long fd = observe(what, syscall(SYS_openat2, AT_FDCWD, path, &how, sizeof(how)));

	if (fd >= 0)
		close((int)fd);
}

CHECK(EVERYONE, openat2_rules)
{
	struct open_how how = {.flags = O_RDONLY};
	char big[64] = {0};

	make_file("file", "x");
	require(symlink("file", "link") == 0 && symlink("/etc/passwd", "absolute") == 0 && mkdir("dir", 0755) == 0);
	try_openat2("plain", "link", O_RDONLY, 0);
	try_openat2("absolute", "/etc/passwd", O_RDONLY, 0);
	try_openat2("beneath", "link", O_RDONLY, RESOLVE_BENEATH);
	try_openat2("beneath_absolute", "/etc/passwd", O_RDONLY, RESOLVE_BENEATH);
	try_openat2("beneath_dotdot", "../x", O_RDONLY, RESOLVE_BENEATH);
	try_openat2("beneath_link", "absolute", O_RDONLY, RESOLVE_BENEATH);
	try_openat2("in_root", "/dir/../../../file", O_RDONLY, RESOLVE_IN_ROOT);
	try_openat2("in_root_link", "absolute", O_RDONLY, RESOLVE_IN_ROOT);
	try_openat2("no_symlinks", "link", O_RDONLY, RESOLVE_NO_SYMLINKS);
	try_openat2("no_symlinks_plain", "file", O_RDONLY, RESOLVE_NO_SYMLINKS);
	try_openat2("no_magic", "/proc/self/exe", O_RDONLY, RESOLVE_NO_MAGICLINKS);
	try_openat2("both_roots", "file", O_RDONLY, RESOLVE_BENEATH | RESOLVE_IN_ROOT);
	try_openat2("bad_resolve", "file", O_RDONLY, 1 << 20);
	try_openat2("bad_flags", "file", 1ULL << 40, 0);
	try_openat2("path_write", "file", O_PATH | O_RDWR, 0);
	how.mode = 0644;
	observe("mode_without_creat", syscall(SYS_openat2, AT_FDCWD, "file", &how, sizeof(how)));
	how.mode = 0;
	observe("small", syscall(SYS_openat2, AT_FDCWD, "file", &how, sizeof(how) - 8));
	memcpy(big, &how, sizeof(how));
	observe("bigger_zero", syscall(SYS_openat2, AT_FDCWD, "file", big, sizeof(big)));
	big[40] = 1;
	observe("bigger", syscall(SYS_openat2, AT_FDCWD, "file", big, sizeof(big)));
	how.flags = O_WRONLY | O_CREAT | O_EXCL;
	how.mode = 0640;
	observe("create", syscall(SYS_openat2, AT_FDCWD, "new", &how, sizeof(how)));
	observe("create_again", syscall(SYS_openat2, AT_FDCWD, "new", &how, sizeof(how)));
}

static int change_directory_alone(void *unused)
{
	(void)unused;
	return chdir("/etc") == 0 && access("passwd", F_OK) == 0 ? 0 : 1;
}

CHECK(EVERYONE, working_directory_of_tasks)
{
	static char stack[2][65536] __attribute__((aligned(64)));
	char before[PATH_MAX], after[PATH_MAX];
	int status;
	pid_t pid;

	require(getcwd(before, sizeof(before)));
	make_file("here", "x");
	pid = clone(change_directory_alone, stack[0] + sizeof(stack[0]), CLONE_VM | SIGCHLD, NULL);
	require(pid > 0 && waitpid(pid, &status, 0) == pid && status == 0);
	require(getcwd(after, sizeof(after)) && !strcmp(before, after) && access("here", F_OK) == 0);
	pid = clone(change_directory_alone, stack[1] + sizeof(stack[1]), CLONE_FS | CLONE_VM | SIGCHLD, NULL);
	require(pid > 0 && waitpid(pid, &status, 0) == pid && status == 0);
	require(getcwd(after, sizeof(after)));
	note("shared=%s", after);
	require(access("here", F_OK) < 0 && access("passwd", F_OK) == 0);
}

CHECK(EVERYONE, directory_listing_agrees)
{
	static const char *const names[] = {"/", "/etc", "/opt/udockpy"};
	struct dirent *entry;
	struct stat status;
	DIR *stream;

	for (size_t i = 0; i < sizeof(names) / sizeof(*names); i++) {
		require((stream = opendir(names[i])));
		while ((entry = readdir(stream)))
			require(fstatat(dirfd(stream), entry->d_name, &status, AT_SYMLINK_NOFOLLOW) == 0);
		closedir(stream);
	}
}

CHECK(EVERYONE, times_and_old_calls)
{
	struct timespec times[2] = {{.tv_sec = 1000000000}, {.tv_sec = 1234567890, .tv_nsec = 5}};
	struct timeval old[2] = {{.tv_sec = 1000000001}, {.tv_sec = 1234567891}};
	struct stat status;

	make_file("file", "x");
	require(symlink("file", "link") == 0);
	require(utimensat(AT_FDCWD, "link", times, AT_SYMLINK_NOFOLLOW) == 0 && lstat("link", &status) == 0);
	note("link=%ld", (long)status.st_mtime);
	require(utimensat(AT_FDCWD, "link", times, 0) == 0 && stat("file", &status) == 0);
	note("file=%ld.%ld", (long)status.st_mtime, status.st_mtim.tv_nsec);
	require(utimes("link", old) == 0 && stat("file", &status) == 0);
	note("utimes=%ld", (long)status.st_mtime);
	observe("creat", syscall(SYS_creat, "created", 0600));
	observe("uselib", syscall(SYS_uselib, "/etc/passwd") == 0 ? 0 : -1);
	observe("lchown", syscall(SYS_lchown, "link", -1, -1));
	observe("acct", is_root ? 0 : syscall(SYS_acct, "/nonexistent"));
}
