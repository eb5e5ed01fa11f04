/* torture: AF_UNIX sockets, whose addresses are paths. */
#include "torture.h"

#include <sys/socket.h>
#include <sys/un.h>

static struct sockaddr_un address_of(const char *path, socklen_t *ret_length)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};

	require(strlen(path) <= sizeof(address.sun_path));
	memcpy(address.sun_path, path, strlen(path));
	*ret_length = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + strlen(path));
	if (strlen(path) < sizeof(address.sun_path))
		(*ret_length)++;
	return address;
}

static int bind_to(int fd, const char *path)
{
	socklen_t length;
	struct sockaddr_un address = address_of(path, &length);

	return bind(fd, (struct sockaddr *)&address, length);
}

static int connect_to(int fd, const char *path)
{
	socklen_t length;
	struct sockaddr_un address = address_of(path, &length);

	return connect(fd, (struct sockaddr *)&address, length);
}

/* Notes an address as it came back: its length and its path. The check's own directory is shortened to "@here". */
static void note_address(const char *what, const struct sockaddr_un *address, socklen_t length)
{
	static char here[PATH_MAX];
	char path[PATH_MAX] = "";
	size_t used =
		length > offsetof(struct sockaddr_un, sun_path) ? length - offsetof(struct sockaddr_un, sun_path) : 0;

	if (!here[0])
		require(getcwd(here, sizeof(here)));
	memcpy(path, address->sun_path, used < sizeof(address->sun_path) ? used : sizeof(address->sun_path));
	if (!strncmp(path, here, strlen(here)))
		note("%s=@here%s(%d)", what, path + strlen(here), (int)(length - strlen(here)));
	else
		note("%s=%s%s(%d)", what, used && !path[0] ? "@" : "", path[0] ? path : path + 1, (int)length);
}

static int new_socket(int type)
{
	int fd = socket(AF_UNIX, type | SOCK_CLOEXEC, 0);

	require(fd >= 0);
	return fd;
}

static void note_name(const char *what, int fd, int (*get)(int, struct sockaddr *, socklen_t *))
{
	struct sockaddr_un address = {0};
	socklen_t length = sizeof(address);

	if (get(fd, (struct sockaddr *)&address, &length) < 0)
		note("%s=%s", what, errno_name(errno));
	else
		note_address(what, &address, length);
}

static int get_sock(int fd, struct sockaddr *address, socklen_t *length)
{
	return getsockname(fd, address, length);
}

static int get_peer(int fd, struct sockaddr *address, socklen_t *length)
{
	return getpeername(fd, address, length);
}

/* A stream from bind to the last byte, by a path of the caller's choice. */
static void stream_by(const char *what, const char *path)
{
	struct sockaddr_un from = {0};
	socklen_t length = sizeof(from);
	int server = new_socket(SOCK_STREAM), client = new_socket(SOCK_STREAM), accepted;
	char text[8];

	note("%s:", what);
	if (observe("bind", bind_to(server, path)) < 0)
		return;
	require(listen(server, 4) == 0);
	note_name("name", server, get_sock);
	if (observe("connect", connect_to(client, path)) < 0)
		return;
	note_name("peer", client, get_peer);
	note_name("unnamed", client, get_sock);
	accepted = accept4(server, (struct sockaddr *)&from, &length, SOCK_CLOEXEC);
	require(accepted >= 0);
	note_address("from", &from, length);
	note_name("accepted", accepted, get_sock);
	require(write(client, "hello", 5) == 5 && read(accepted, text, sizeof(text)) == 5);
	close(server), close(client), close(accepted);
}

CHECK(EVERYONE, unix_streams)
{
	char here[PATH_MAX], path[PATH_MAX + 16], name[109];
	struct stat status;

	stream_by("relative", "socket");
	require(lstat("socket", &status) == 0 && S_ISSOCK(status.st_mode));
	note("mode=%o", status.st_mode & 07777);
	stream_by("in_use", "socket");
	require(getcwd(here, sizeof(here)));
	snprintf(path, sizeof(path), "%s/abs", here);
	require(strlen(path) < 108);
	stream_by("absolute", path);
	memset(name, 's', sizeof(name));
	name[100] = 0;
	stream_by("hundred", name);
	name[100] = 's';
	name[107] = 0;
	stream_by("hundred_seven", name);
	name[107] = 't';
	name[108] = 0;
	stream_by("hundred_eight", name);
	require(mkdir("dir", 0755) == 0 && symlink("dir", "link") == 0);
	stream_by("through_link", "link/socket");
	stream_by("dotted", "./dir/../dir/./other");
	stream_by("slash", "dir/");
	stream_by("no_directory", "missing/socket");
}

CHECK(EVERYONE, unix_absolute_hundred)
{
	char path[128] = "";
	struct stat status;
	int server = new_socket(SOCK_STREAM), client = new_socket(SOCK_STREAM);

	/* A guest path of exactly 100 characters, absolute: an engine's host path for it is longer than 108. */
	require(getcwd(path, sizeof(path) - 1));
	strcat(path, "/");
	require(strlen(path) < 99);
	memset(path + strlen(path), 0x61, 100 - strlen(path));
	path[100] = 0;
	require(strlen(path) == 100);
	require(bind_to(server, path) == 0 && listen(server, 1) == 0);
	require(stat(path, &status) == 0 && S_ISSOCK(status.st_mode));
	note_name("name", server, get_sock);
	require(connect_to(client, path) == 0);
	note_name("peer", client, get_peer);
	require(unlink(path) == 0);
	note_name("unlinked", client, get_peer);
}

CHECK(EVERYONE, unix_connect_errors)
{
	int fd = new_socket(SOCK_STREAM), dead = new_socket(SOCK_STREAM);
	struct sockaddr_un address = {.sun_family = AF_UNIX};

	make_file("file", "x");
	require(symlink("socket", "link") == 0);
	observe("missing", connect_to(fd, "missing"));
	observe("file", connect_to(fd, "file"));
	observe("directory", connect_to(fd, "."));
	require(bind_to(dead, "socket") == 0);
	observe("not_listening", connect_to(fd, "socket"));
	require(listen(dead, 1) == 0);
	observe("link", connect_to(fd, "link"));
	note_name("peer", fd, get_peer);
	observe("wrong_type", connect_to(new_socket(SOCK_DGRAM), "socket"));
	observe("short", connect(fd, (struct sockaddr *)&address, 1));
	observe("empty", connect(new_socket(SOCK_STREAM), (struct sockaddr *)&address, 2));
	observe("long", connect(new_socket(SOCK_STREAM), (struct sockaddr *)&address, 200));
	observe("null", connect(new_socket(SOCK_STREAM), NULL, sizeof(address)));
	observe("not_socket", connect(open("file", O_RDONLY), (struct sockaddr *)&address, sizeof(address)));
	observe("bind_link", bind_to(new_socket(SOCK_STREAM), "link"));
	observe("bind_twice", bind_to(dead, "other"));
	note_name("unconnected", new_socket(SOCK_STREAM), get_peer);
}

CHECK(EVERYONE, unix_datagrams)
{
	int one = new_socket(SOCK_DGRAM), two = new_socket(SOCK_DGRAM), credentials = 1;
	struct sockaddr_un to, from = {0};
	char text[16] = "", control[256];
	socklen_t length, from_length = sizeof(from);
	struct iovec vector = {text, sizeof(text)};
	struct msghdr message = {.msg_iov = &vector, .msg_iovlen = 1};
	struct mmsghdr many[2];

	require(bind_to(one, "one") == 0 && bind_to(two, "./two") == 0);
	to = address_of("two", &length);
	require(sendto(one, "first", 5, 0, (struct sockaddr *)&to, length) == 5);
	require(recvfrom(two, text, sizeof(text), 0, (struct sockaddr *)&from, &from_length) == 5);
	note_address("from", &from, from_length);
	message.msg_name = &to;
	message.msg_namelen = length;
	vector.iov_len = 6;
	require(sendmsg(one, &message, 0) == 6);
	memset(&from, 0, sizeof(from));
	message = (struct msghdr){.msg_iov = &vector, .msg_iovlen = 1, .msg_name = &from, .msg_namelen = sizeof(from)};
	require(setsockopt(two, SOL_SOCKET, SO_PASSCRED, &credentials, sizeof(credentials)) == 0);
	message.msg_control = control;
	message.msg_controllen = sizeof(control);
	vector.iov_len = sizeof(text);
	require(recvmsg(two, &message, 0) == 6);
	note_address("recvmsg", &from, message.msg_namelen);
	memset(many, 0, sizeof(many));
	for (int i = 0; i < 2; i++)
		many[i].msg_hdr = (struct msghdr){
			.msg_iov = &vector, .msg_iovlen = 1, .msg_name = &to, .msg_namelen = length};
	note("sendmmsg=%d", sendmmsg(one, many, 2, 0));
	memset(&from, 0, sizeof(from));
	many[0].msg_hdr.msg_name = &from;
	many[0].msg_hdr.msg_namelen = sizeof(from);
	many[1].msg_hdr.msg_name = NULL;
	many[1].msg_hdr.msg_namelen = 0;
	note("recvmmsg=%d", recvmmsg(two, many, 2, 0, NULL));
	note_address("recvmmsg", &from, many[0].msg_hdr.msg_namelen);
	to = address_of("missing", &length);
	observe("sendto_missing", sendto(one, "x", 1, 0, (struct sockaddr *)&to, length));
	require(connect_to(one, "two") == 0);
	note_name("peer", one, get_peer);
	/* A buffer too small for the address: the kernel says the full length and cuts. */
	struct sockaddr_un small = {0};
	length = 6;
	require(getsockname(two, (struct sockaddr *)&small, &length) == 0);
	note("cut=%d,%.4s,", (int)length, small.sun_path);
	length = 2;
	require(getpeername(one, (struct sockaddr *)&small, &length) == 0);
	note("cut_to_nothing=%d", (int)length);
}

CHECK(EVERYONE, unix_abstract_and_pairs)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	int server = new_socket(SOCK_STREAM), client = new_socket(SOCK_STREAM), pair[2], passed;
	char byte = 'x', control[CMSG_SPACE(sizeof(int))] = {0};
	struct iovec vector = {&byte, 1};
	struct msghdr message = {
		.msg_iov = &vector, .msg_iovlen = 1, .msg_control = control, .msg_controllen = sizeof(control)};
	struct cmsghdr *header;
	socklen_t length = offsetof(struct sockaddr_un, sun_path) + 1 + 16;

	snprintf(address.sun_path + 1, 17, "udockpy-%08d", (int)getpid());
	require(bind(server, (struct sockaddr *)&address, length) == 0 && listen(server, 1) == 0);
	require(connect(client, (struct sockaddr *)&address, length) == 0);
	length = sizeof(address);
	require(getpeername(client, (struct sockaddr *)&address, &length) == 0);
	note("abstract=%d,%d", (int)length, address.sun_path[0]);
	require(bind(client, (struct sockaddr *)&address, sizeof(sa_family_t)) == 0);
	length = sizeof(address);
	require(getsockname(client, (struct sockaddr *)&address, &length) == 0);
	note("autobind=%d,%d", (int)length, address.sun_path[0]);
	require(socketpair(AF_UNIX, SOCK_STREAM, 0, pair) == 0);
	note_name("pair", pair[0], get_peer);
	header = CMSG_FIRSTHDR(&message);
	*header = (struct cmsghdr){ .cmsg_level = SOL_SOCKET,
				    .cmsg_type = SCM_RIGHTS,
				    .cmsg_len = CMSG_LEN(sizeof(int)) };
	passed = open("/etc", O_RDONLY | O_DIRECTORY);
	memcpy(CMSG_DATA(header), &passed, sizeof(passed));
	require(sendmsg(pair[0], &message, 0) == 1);
	message.msg_controllen = sizeof(control);
	require(recvmsg(pair[1], &message, MSG_CMSG_CLOEXEC) == 1);
	memcpy(&passed, CMSG_DATA(CMSG_FIRSTHDR(&message)), sizeof(passed));
	require(faccessat(passed, "passwd", R_OK, 0) == 0 && faccessat(passed, "../etc/passwd", R_OK, 0) == 0);
}

CHECK(ROOT_ONLY, unix_credentials)
{
	struct ucred credentials;
	socklen_t length = sizeof(credentials);
	int pair[2];

	require(socketpair(AF_UNIX, SOCK_STREAM, 0, pair) == 0);
	require(getsockopt(pair[0], SOL_SOCKET, SO_PEERCRED, &credentials, &length) == 0);
	note("%d:%d", (int)credentials.uid, (int)credentials.gid);
}

CHECK(ROOT_ONLY, unix_scm_credentials)
{
	struct ucred mine = {.pid = getpid(), .uid = 0, .gid = 0};
	char byte = 'x', control[CMSG_SPACE(sizeof(mine))] = {0};
	struct iovec vector = {&byte, 1};
	struct msghdr message = {
		.msg_iov = &vector, .msg_iovlen = 1, .msg_control = control, .msg_controllen = sizeof(control)};
	struct cmsghdr *header = CMSG_FIRSTHDR(&message);
	int pair[2], yes = 1;

	require(socketpair(AF_UNIX, SOCK_STREAM, 0, pair) == 0);
	require(setsockopt(pair[1], SOL_SOCKET, SO_PASSCRED, &yes, sizeof(yes)) == 0);
	*header = (struct cmsghdr){
		.cmsg_level = SOL_SOCKET, .cmsg_type = SCM_CREDENTIALS, .cmsg_len = CMSG_LEN(sizeof(mine))};
	memcpy(CMSG_DATA(header), &mine, sizeof(mine));
	observe("send", sendmsg(pair[0], &message, 0));
	message.msg_controllen = sizeof(control);
	require(recvmsg(pair[1], &message, MSG_DONTWAIT) == 1);
	memcpy(&mine, CMSG_DATA(CMSG_FIRSTHDR(&message)), sizeof(mine));
	note("%d:%d", (int)mine.uid, (int)mine.gid);
}
