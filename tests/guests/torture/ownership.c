/* torture: what files remember for a root (real or pretended), and what others may do to them then. */
#include "torture.h"

#include <grp.h>
#include <sys/sysmacros.h>
#include <sys/xattr.h>

static void note_file(const char *what, const char *path)
{
	struct stat status, again;
	struct statx extended;
	int fd;

	if (lstat(path, &status) < 0) {
		note("%s=%s", what, errno_name(errno));
		return;
	}
	note("%s=%d:%d,%o", what, (int)status.st_uid, (int)status.st_gid, status.st_mode);
	if (S_ISCHR(status.st_mode) || S_ISBLK(status.st_mode))
		note("(%d,%d)", (int)major(status.st_rdev), (int)minor(status.st_rdev));
	require(sys_statx(AT_FDCWD, path, AT_SYMLINK_NOFOLLOW, STATX_BASIC_STATS, &extended) == 0);
	require(extended.stx_uid == status.st_uid && extended.stx_gid == status.st_gid);
	require(extended.stx_mode == status.st_mode);
	require(extended.stx_rdev_major == major(status.st_rdev) && extended.stx_rdev_minor == minor(status.st_rdev));
	fd = open(path, O_PATH | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0)
		return;
	require(fstat(fd, &again) == 0 && again.st_uid == status.st_uid && again.st_mode == status.st_mode);
	require(fstatat(fd, "", &again, AT_EMPTY_PATH) == 0 && again.st_gid == status.st_gid);
	close(fd);
}

CHECK(ROOT_ONLY, owners_remembered)
{
	int fd;

	make_file("file", "x");
	require(mkdir("dir", 0755) == 0 && symlink("file", "link") == 0 && mkfifo("fifo", 0644) == 0);
	note_file("new", "file");
	require(chown("file", 12, 34) == 0 && chown("dir", 56, 78) == 0 && chown("fifo", 1, 2) == 0);
	note_file("file", "file");
	note_file("dir", "dir");
	note_file("fifo", "fifo");
	require(chown("link", 5, (gid_t)-1) == 0);
	note_file("followed", "file");
	require(lchown("link", 90, 91) == 0);
	note_file("link", "link");
	note_file("target", "file");
	require(chown("file", (uid_t)-1, 35) == 0);
	note_file("group_only", "file");
	fd = open("file", O_RDONLY | O_CLOEXEC);
	require(fchown(fd, 70000, 4000000000U) == 0);
	note_file("big", "file");
	require(fchownat(fd, "", 3, 4, AT_EMPTY_PATH) == 0);
	note_file("empty_path", "file");
	require(fchownat(AT_FDCWD, "link", 8, 9, AT_SYMLINK_NOFOLLOW) == 0);
	note_file("link_again", "link");
	require(rename("file", "dir/renamed") == 0);
	note_file("renamed", "dir/renamed");
	require(link("dir/renamed", "hard") == 0);
	note_file("hard", "hard");
	require(chown("hard", 41, 42) == 0);
	note_file("both", "dir/renamed");
	observe("missing", chown("missing", 1, 1));
	fd = open("hard", O_PATH | O_CLOEXEC);
	observe("path_fd", fchown(fd, 1, 1));
}

CHECK(ROOT_ONLY, owners_forgotten_with_the_file)
{
	for (int round = 0; round < 50; round++) {
		struct stat status;

		make_file("file", "x");
		require(stat("file", &status) == 0 && status.st_uid == 0 && status.st_gid == 0);
		require(status.st_mode == (S_IFREG | 0644));
		require(chown("file", 100 + (uid_t)round, 7) == 0 && chmod("file", 04711) == 0);
		require(stat("file", &status) == 0 && status.st_uid == 100 + (uid_t)round);
		require(unlink("file") == 0);
		require(mkdir("dir", 0755) == 0 && stat("dir", &status) == 0 && status.st_uid == 0);
		require(chown("dir", 9, 9) == 0 && rmdir("dir") == 0);
	}
	/* A rename over a file forgets the one below. */
	make_file("one", "1");
	make_file("two", "2");
	require(chown("one", 1, 1) == 0 && chown("two", 2, 2) == 0 && rename("one", "two") == 0);
	note_file("over", "two");
}

CHECK(ROOT_ONLY, owners_of_new_files)
{
	require(chmod(".", 0777) == 0);
	require(mkdir("setgid", 0777) == 0 && chown("setgid", 0, 55) == 0 && chmod("setgid", 02777) == 0);
	require(setegid(200) == 0 && seteuid(1000) == 0);
	make_file("file", "x");
	require(mkdir("dir", 0755) == 0 && symlink("x", "link") == 0 && mkfifo("fifo", 0600) == 0);
	require(mkdir("setgid/sub", 0755) == 0);
	make_file("setgid/file", "x");
	require(seteuid(0) == 0 && setegid(0) == 0);
	note_file("file", "file");
	note_file("dir", "dir");
	note_file("link", "link");
	note_file("fifo", "fifo");
	note_file("setgid", "setgid");
	note_file("setgid_sub", "setgid/sub");
	note_file("setgid_file", "setgid/file");
}

CHECK(ROOT_ONLY, special_modes_remembered)
{
	struct stat status;
	int fd;

	make_file("file", "x");
	require(mkdir("dir", 0755) == 0);
	require(chmod("file", 06755) == 0 && chmod("dir", 03777) == 0);
	note_file("file", "file");
	note_file("dir", "dir");
	require(chmod("file", 04000) == 0);
	note_file("no_rights", "file");
	fd = open("file", O_RDWR | O_CLOEXEC);
	require(fd >= 0);
	require(chmod("file", 04755) == 0 && chown("file", 5, 5) == 0);
	note_file("after_chown", "file");
	require(chmod("file", 06755) == 0);
	require(write(fd, "y", 1) == 1);
	note_file("after_write", "file");
	require(ftruncate(fd, 0) == 0);
	note_file("after_truncate", "file");
	require(fchmod(fd, 02711) == 0 && fstat(fd, &status) == 0);
	note("fstat=%o", status.st_mode);
	require(chmod("dir", 0) == 0);
	note_file("dir_0", "dir");
	require(mkdir("dir/sub", 0) == 0 && rmdir("dir/sub") == 0);
	umask(077);
	require(mkdir("masked", 07777) == 0);
	note_file("masked", "masked");
	fd = open("created", O_WRONLY | O_CREAT | O_CLOEXEC, 06777);
	require(fd >= 0);
	note_file("created", "created");
}

CHECK(ROOT_ONLY, devices_remembered)
{
	observe("char", mknod("null", S_IFCHR | 0666, makedev(1, 3)));
	observe("block", mknod("disk", S_IFBLK | 0640, makedev(259, 70000)));
	observe("exists", mknod("null", S_IFCHR | 0666, makedev(1, 3)));
	note_file("char", "null");
	note_file("block", "disk");
	require(chown("disk", 0, 6) == 0 && chmod("disk", 0600) == 0);
	note_file("changed", "disk");
	require(rename("disk", "disk2") == 0 && link("disk2", "disk3") == 0);
	note_file("linked", "disk3");
	require(unlink("disk2") == 0 && unlink("disk3") == 0);
	make_file("disk", "x");
	note_file("replaced", "disk");
}

CHECK(ROOT_ONLY, root_attributes_remembered)
{
	/* VFS_CAP_REVISION_2 with CAP_NET_BIND_SERVICE, effective. */
	static const unsigned char capability[20] = {1, 0, 0, 2, 0, 4};
	char text[64], names[256];
	ssize_t length;

	make_file("file", "x");
	observe("get_none", getxattr("file", "security.capability", text, sizeof(text)));
	observe("set", setxattr("file", "security.capability", capability, sizeof(capability), 0));
	length = getxattr("file", "security.capability", text, sizeof(text));
	note("get=%zd,%s", length, length == 20 && !memcmp(text, capability, 20) ? "same" : "other");
	length = listxattr("file", names, sizeof(names));
	note("list=%zd", length);
	observe("bad", setxattr("file", "security.capability", "x", 1, 0));
	observe("trusted", setxattr("file", "trusted.one", "value", 5, 0));
	note("trusted=%zd", getxattr("file", "trusted.one", text, sizeof(text)));
	observe("create", setxattr("file", "trusted.one", "v", 1, XATTR_CREATE));
	require(chown("file", 3, 3) == 0);
	observe("after_chown", getxattr("file", "security.capability", text, sizeof(text)));
	note("trusted_after=%zd", getxattr("file", "trusted.one", text, sizeof(text)));
	observe("remove", removexattr("file", "trusted.one"));
	observe("removed", getxattr("file", "trusted.one", text, sizeof(text)));
	require(seteuid(1000) == 0);
	observe("as_user", setxattr("file", "trusted.two", "v", 1, 0));
}

CHECK(ROOT_ONLY, rights_after_dropping)
{
	struct stat status;

	make_file("secret", "x");
	make_file("public", "x");
	require(chmod(".", 0755) == 0 && chmod("secret", 0600) == 0);
	require(mkdir("closed", 0700) == 0 && mkdir("open", 0777) == 0 && chmod("open", 0777) == 0);
	require(mkdir("sticky", 0777) == 0 && chmod("sticky", 01777) == 0);
	make_file("closed/file", "x");
	make_file("sticky/roots", "x");
	make_file("grouped", "x");
	require(chown("grouped", 0, 60) == 0 && chmod("grouped", 0640) == 0);
	require(mkdir("mine", 0700) == 0 && chown("mine", 1000, 1000) == 0);
	gid_t group = 60;
	require(setgroups(1, &group) == 0 && setegid(1000) == 0 && seteuid(1000) == 0);
	observe("read_secret", open("secret", O_RDONLY));
	observe("read_public", open("public", O_RDONLY));
	observe("write_public", open("public", O_WRONLY));
	observe("read_grouped", open("grouped", O_RDONLY));
	observe("write_grouped", open("grouped", O_WRONLY));
	observe("stat_closed", stat("closed/file", &status));
	observe("chdir_closed", chdir("closed"));
	observe("list_closed", open("closed", O_RDONLY | O_DIRECTORY));
	observe("create_here", open("new", O_WRONLY | O_CREAT, 0644));
	observe("create_open", open("open/new", O_WRONLY | O_CREAT, 0644));
	observe("create_mine", open("mine/new", O_WRONLY | O_CREAT, 0644));
	observe("unlink_here", unlink("public"));
	observe("rename_here", rename("public", "open/public"));
	observe("unlink_sticky", unlink("sticky/roots"));
	observe("rename_sticky", rename("sticky/roots", "sticky/other"));
	observe("chmod_foreign", chmod("public", 0666));
	observe("chmod_own", chmod("mine/new", 0600));
	observe("chown_own", chown("mine/new", 0, 0));
	observe("chgrp_own", chown("mine/new", (uid_t)-1, 60));
	observe("chgrp_foreign", chown("mine/new", (uid_t)-1, 61));
	observe("utimes_foreign", utimensat(AT_FDCWD, "public", (struct timespec[2]){{1, 0}, {1, 0}}, 0));
	observe("touch_foreign", utimensat(AT_FDCWD, "public", NULL, 0));
	observe("truncate_foreign", truncate("public", 0));
	observe("mknod_device", mknod("mine/device", S_IFCHR | 0600, makedev(1, 3)));
	observe("access_is_real", access("secret", R_OK));
	observe("access_effective", faccessat(AT_FDCWD, "secret", R_OK, AT_EACCESS));
	observe("exec_not_executable", execl("public", "public", (char *)NULL));
	observe("link_foreign", link("public", "open/hard"));
	observe("setgid_foreign_group", chmod("mine/new", 02755));
	require(seteuid(0) == 0);
	note_file("mine", "mine/new");
	note_file("open", "open/new");
}

CHECK(ROOT_ONLY, root_passes_every_mode)
{
	char text[16];

	make_file("file", "content");
	require(mkdir("dir", 0) == 0 && chmod("file", 0) == 0);
	require(slurp("file", text, sizeof(text)) == 7);
	observe("write", open("file", O_WRONLY | O_CLOEXEC));
	observe("access_x", access("file", X_OK));
	observe("access_dir", access("dir", R_OK | W_OK | X_OK));
	observe("execute", execl("./file", "file", (char *)NULL));
	make_file("dir/inside", "x");
	require(chown("dir", 1000, 1000) == 0 && chown("file", 1000, 1000) == 0);
	make_file("dir/more", "x");
	observe("chmod", chmod("file", 0400));
	observe("append", open("file", O_WRONLY | O_APPEND | O_CLOEXEC));
	observe("utimes", utimensat(AT_FDCWD, "file", (struct timespec[2]){{1, 0}, {1, 0}}, 0));
	observe("unlink", unlink("dir/inside"));
	note_file("more", "dir/more");
}
