/* Addresses of AF_UNIX sockets are paths, in and out. unix(7).
 *
 * sun_path has 108 bytes, host paths are longer than guest paths: what lies beneath the guest's root is named
 * through the hidden descriptor, /proc/self/fd/N/run/x. N is the same in every process of a container, so that name
 * can be told back by whoever asks for it, and people outside find the socket by its inode. A bound name too long for
 * that is /proc/self/fd/N/KEY/x: N is a directory beside the container's cache, KEY a symlink there to the socket's
 * directory, which every process of the container can read. */
#include <linux/errno.h>
#include <linux/socket.h>
#include <linux/un.h>

#include "calls.h"
#include "pathhash.h"

#define AF_UNIX_NR 1
#define AF_NETLINK_NR 16
#define NETLINK_AUDIT_NR 9
#define SOL_SOCKET_NR 1
#define SO_PEERCRED_NR 17
#define SCM_CREDENTIALS_NR 2
#define HEADER offsetof(struct sockaddr_un, sun_path)

struct msghdr {
	void *name;
	int name_size;
	void *iov;
	size_t n_iov;
	void *control;
	size_t control_size;
	unsigned flags;
};

struct mmsghdr {
	struct msghdr message;
	unsigned length;
};

#define KEY_LEN 3
#define KEY_TRIES 16

static const char self_fd[] = "/proc/self/fd/";

static bool is_path(const struct sockaddr_un *a, size_t size)
{
	return size > HEADER && a->sun_family == AF_UNIX_NR && a->sun_path[0];
}

/* "/proc/self/fd/N/NAME". Returns its length or -ENAMETOOLONG. */
static long name_by_fd(int fd, const char *name, char *buf, size_t size)
{
	long len = str_copy(buf, size, self_fd);

	len += str_from_u64(buf + len, (uint64_t)fd);
	buf[len] = '\0';
	len = str_append(buf, size, (size_t)len, "/");
	return len < 0 ? len : str_append(buf, size, (size_t)len, name);
}

/* N is the socket's directory: for what need not be told back. The caller closes *ret_fd. */
static long short_name(const struct where *w, char *buf, size_t size, int *ret_fd)
{
	char parent[PATH_MAX / 4];
	size_t n = path_directory_size(w->name);
	long fd;

	if (n + 2 > sizeof(parent))
		return -ENAMETOOLONG;
	memcpy(parent, w->name, n);
	if (!n)
		parent[n++] = '.';
	parent[n] = '\0';
	fd = sys_openat(w->fd, parent, O_PATH | O_DIRECTORY | O_CLOEXEC, 0);
	if (fd < 0)
		return fd;
	*ret_fd = (int)fd;
	return name_by_fd((int)fd, w->name + path_directory_size(w->name), buf, size);
}

/* Opens the directory of keys; makes it when `make`. Returns a descriptor or -errno. */
static long open_keys(struct scratch *s, bool make)
{
	long r;

	if (!engine.cache_path)
		return -ENOENT;
	r = str_copy(s->pending, sizeof(s->pending), engine.cache_path);
	if (r >= 0)
		r = str_append(s->pending, sizeof(s->pending), (size_t)r, ".sockets");
	if (r < 0)
		return r;
	if (make)
		(void)SYS3(mkdirat, AT_FDCWD, s->pending, 0700);
	return sys_openat(AT_FDCWD, s->pending, O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC, 0);
}

/* Finds or makes a key for the host directory in s->link. */
static long find_key(struct scratch *s, int keys, char key[KEY_LEN + 1])
{
	uint64_t hash = pathhash_component(PATHHASH_ROOT, s->link, strlen(s->link));
	long r = -EEXIST;

	for (unsigned i = 0; i < KEY_TRIES && r == -EEXIST; i++) {
		uint64_t rest = hash + i;

		for (unsigned j = 0; j < KEY_LEN; j++, rest /= 36)
			key[j] = "abcdefghijklmnopqrstuvwxyz0123456789"[rest % 36];
		key[KEY_LEN] = '\0';
		r = SYS3(symlinkat, s->link, keys, key);
		if (r == -EEXIST) {
			long n = sys_readlinkat(keys, key, s->pending, sizeof(s->pending) - 1);

			s->pending[n < 0 ? 0 : n] = '\0';
			r = str_eq(s->pending, s->link) ? 0 : -EEXIST;
		}
	}
	return r;
}

/* A name that can be told back, for a socket in a directory of a long name. The caller closes *ret_fd. */
static long name_by_key(const struct process *p, struct scratch *s, const struct where *w, char *buf, size_t size,
			int *ret_fd)
{
	size_t n = path_directory_size(w->name);
	char name[KEY_LEN + 1 + sizeof(((struct sockaddr_un *)0)->sun_path)];
	long r, keys;

	/* The directory without its slash, as a host path. */
	if (n < 2 || n >= sizeof(s->link))
		return -ENAMETOOLONG;
	r = w->fd == AT_FDCWD ? 0 : str_copy(s->link, sizeof(s->link), p->view->root);
	if (r >= 0 && w->fd != AT_FDCWD)
		r = str_append(s->link, sizeof(s->link), (size_t)r, "/");
	if (r < 0 || (size_t)r + n >= sizeof(s->link))
		return -ENAMETOOLONG;
	memcpy(s->link + r, w->name, n - 1);
	s->link[(size_t)r + n - 1] = '\0';
	keys = open_keys(s, true);
	if (keys < 0)
		return keys;
	*ret_fd = (int)keys;
	r = find_key(s, (int)keys, name);
	if (r < 0)
		return r;
	name[KEY_LEN] = '/';
	r = str_copy(name + KEY_LEN + 1, sizeof(name) - KEY_LEN - 1, w->name + n);
	return r < 0 ? r : name_by_fd((int)keys, name, buf, size);
}

/* The host path of a name by key, in s->host; -ENOENT when it is none. */
static long path_of_key(struct scratch *s, const char *name)
{
	const char *p = name + sizeof(self_fd) - 1;
	char key[KEY_LEN + 1];
	unsigned fd = 0;
	long keys, r;

	if (!str_has_prefix(name, self_fd, sizeof(self_fd) - 1))
		return -ENOENT;
	for (; *p >= '0' && *p <= '9'; p++)
		fd = fd * 10 + (unsigned)(*p - '0');
	if (fd == (unsigned)engine.root_fd || *p++ != '/' || path_directory_size(p) != KEY_LEN + 1)
		return -ENOENT;
	memcpy(key, p, KEY_LEN);
	key[KEY_LEN] = '\0';
	keys = open_keys(s, false);
	if (keys < 0)
		return keys;
	r = sys_readlinkat((int)keys, key, s->host, sizeof(s->host) - 1);
	(void)sys_close((int)keys);
	return r < 0 ? r : str_append(s->host, sizeof(s->host), (size_t)r, p + KEY_LEN);
}

/* Whether a relative name leads the same way untranslated: then it is kept, for getsockname(2) to say it again. */
static bool stays(const char *guest, unsigned want)
{
	char parent[sizeof(((struct sockaddr_un *)0)->sun_path) + 1];
	const char *path = guest, *last = guest;
	long fd;

	if (guest[0] == '/')
		return false;
	if (want & WANT_PARENT) {
		for (const char *q = guest; *q; q++)
			if (*q == '/')
				last = q + 1;
		if (last == guest)
			return true;
		memcpy(parent, guest, (size_t)(last - guest));
		parent[last - guest] = '\0';
		path = parent;
	}
	fd = sys_openat2(AT_FDCWD, path, O_PATH | O_CLOEXEC, 0, RESOLVE_BENEATH);
	if (fd < 0)
		return false;
	(void)sys_close((int)fd);
	return true;
}

/* Rewrites a guest's address into *ret_address. Returns its size, 0 when it stays as it is, or -errno. *ret_fd is a
 * descriptor to close afterwards, or -1. */
static long address_in(const struct process *p, const void *address, size_t size, unsigned want,
		       struct sockaddr_un *ret_address, int *ret_fd)
{
	char guest[sizeof(ret_address->sun_path) + 1], *out = ret_address->sun_path;
	struct scratch *s;
	struct where w;
	long r;

	*ret_fd = -1;
	if (!engine.translate || size > sizeof(*ret_address))
		return 0;
	if (!guest_readable(address, size))
		return -EFAULT;
	if (!is_path(address, size))
		return 0;
	memcpy(guest, ((const struct sockaddr_un *)address)->sun_path, size - HEADER);
	guest[size - HEADER] = '\0';
	s = scratch_get();
	if (!s)
		return -ENOMEM;
	r = path_resolve_at(p, s, AT_FDCWD, guest, want, &w);
	if (r == -EBUSY)
		r = -EADDRINUSE;
	if (r >= 0 && (want & WANT_PARENT))
		r = access_name(p, &w, true);
	else if (r >= 0)
		r = access_file(p, ACCESS_AS_EFFECTIVE, w.fd, w.name, 0, ACCESS_WRITE);
	if (r < 0)
		goto out;
	if (stays(guest, want)) {
		r = 0;
		goto out;
	}
	ret_address->sun_family = AF_UNIX_NR;
	if (w.fd == AT_FDCWD)
		r = str_copy(out, sizeof(ret_address->sun_path), w.name);
	else if (w.fd == engine.root_fd)
		r = name_by_fd(w.fd, w.name, out, sizeof(ret_address->sun_path));
	else
		r = -ENAMETOOLONG;
	if (r == -ENAMETOOLONG && (want & WANT_PARENT) && (w.fd == AT_FDCWD || w.fd == engine.root_fd))
		if (name_by_key(p, s, &w, out, sizeof(ret_address->sun_path), ret_fd) >= 0)
			r = (long)strlen(out);
	if (r == -ENAMETOOLONG) {
		if (*ret_fd >= 0)
			(void)sys_close(*ret_fd);
		*ret_fd = -1;
		r = short_name(&w, out, sizeof(ret_address->sun_path), ret_fd);
	}
	if (r >= 0)
		r += (long)HEADER + 1;
out:
	scratch_put(s);
	return r;
}

/* Rewrites an address the kernel gave, in place. Returns its new size. */
static size_t address_out(const struct process *p, struct sockaddr_un *a, size_t size)
{
	struct scratch *s;
	char host[sizeof(a->sun_path) + 1];
	size_t n = size;
	long len;

	if (!engine.translate || size > sizeof(*a) || !is_path(a, size))
		return size;
	s = scratch_get();
	if (!s)
		return size;
	memcpy(host, a->sun_path, size - HEADER);
	host[size - HEADER] = '\0';
	len = -ENOENT;
	if (host[0] == '/')
		len = view_unresolve(p->view, path_of_key(s, host) < 0 ? host : s->host, s->link, sizeof(s->link));
	if (len >= 0 && (size_t)len < sizeof(a->sun_path)) {
		n = HEADER + (size_t)len + 1;
		memcpy(a->sun_path, s->link, n - HEADER);
	}
	scratch_put(s);
	return n;
}

/* The kernel takes audit messages from nobody but root, and who cannot send one gives up: sudo, login. What a kernel
 * says that has no audit is what they are prepared for. */
long op_socket(struct call *c)
{
	if (c->arg[0] == AF_NETLINK_NR && c->arg[2] == NETLINK_AUDIT_NR)
		return -EPROTONOSUPPORT;
	return SYS3(socket, c->arg[0], c->arg[1], c->arg[2]);
}

static void socket_created(const struct process *p, const struct sockaddr_un *address)
{
	struct heritage from;

	owner_heritage(AT_FDCWD, address->sun_path, &from);
	(void)owner_created(p, AT_FDCWD, address->sun_path, AT_SYMLINK_NOFOLLOW, &from,
			    &(struct creation){ .mode = S_IFSOCK | 0777 });
}

long op_bind_connect(struct call *c, const struct syscall_row *row)
{
	const struct process *p = process_current();
	struct sockaddr_un address;
	bool bind = row->op == OP_BIND;
	int fd;
	long r = address_in(p, (void *)c->arg[1], (unsigned)c->arg[2], bind ? WANT_PARENT | WANT_WRITE : WANT_FOLLOW,
			    &address, &fd);

	if (r == -EFAULT)
		return r;
	if (r < 0)
		return bind && r == -EEXIST ? -EADDRINUSE : r;
	if (r == 0)
		r = arch_syscall3(c->nr, (long)c->arg[0], (long)c->arg[1], (long)c->arg[2]);
	else
		r = arch_syscall3(c->nr, (long)c->arg[0], (long)&address, r);
	if (r >= 0 && bind && engine.pretend && is_path((void *)c->arg[1], (unsigned)c->arg[2]))
		socket_created(p, engine.translate ? &address : (void *)c->arg[1]);
	if (fd >= 0)
		(void)sys_close(fd);
	return r;
}

long op_sendto(struct call *c)
{
	const struct process *p = process_current();
	struct sockaddr_un address;
	unsigned long *a = c->arg;
	int fd;
	long r = address_in(p, (void *)a[4], (unsigned)a[5], WANT_FOLLOW, &address, &fd);

	if (r < 0)
		return r;
	r = r ? SYS6(sendto, a[0], a[1], a[2], a[3], &address, r) : SYS6(sendto, a[0], a[1], a[2], a[3], a[4], a[5]);
	if (fd >= 0)
		(void)sys_close(fd);
	return r;
}

/* struct ucred */
struct sender {
	int pid;
	uint32_t uid, gid;
};

struct control {
	size_t size;
	int level, type;
	struct sender sender;
};

#define CONTROL_HEADER offsetof(struct control, sender)
#define CONTROL_SIZE (CONTROL_HEADER + sizeof(struct sender))

/* Where the next one begins: they are aligned as words are. */
static size_t control_after(size_t at, const struct control *k)
{
	return at + ((k->size + sizeof(size_t) - 1) & ~(sizeof(size_t) - 1));
}

/* A process may only send credentials that are its own; the real ones stand for the pretended. */
static long send_control(const struct process *p, struct msghdr *m, char *copy, size_t room)
{
	(void)p;
	if (!engine.pretend || !m->control || m->control_size < CONTROL_SIZE || m->control_size > room)
		return 0;
	if (!guest_readable(m->control, m->control_size))
		return -EFAULT;
	memcpy(copy, m->control, m->control_size);
	for (size_t at = 0; at + CONTROL_SIZE <= m->control_size;) {
		struct control *k = (struct control *)(void *)(copy + at);

		if (k->size < CONTROL_HEADER)
			break;
		if (k->level == SOL_SOCKET_NR && k->type == SCM_CREDENTIALS_NR) {
			k->sender.uid = engine.uid;
			k->sender.gid = engine.gid;
		}
		at = control_after(at, k);
	}
	m->control = copy;
	return 0;
}

static long send_message(const struct process *p, int socket, const struct msghdr *given, unsigned long flags)
{
	char control[512] __attribute__((aligned(8)));
	struct sockaddr_un address;
	struct msghdr m;
	int fd = -1;
	long r;

	if (!guest_readable(given, sizeof(*given)))
		return -EFAULT;
	memcpy(&m, given, sizeof(m));
	if (m.name) {
		r = address_in(p, m.name, (unsigned)m.name_size, WANT_FOLLOW, &address, &fd);
		if (r < 0)
			return r;
		if (r > 0) {
			m.name = &address;
			m.name_size = (int)r;
		}
	}
	r = send_control(p, &m, control, sizeof(control));
	if (r >= 0)
		r = SYS3(sendmsg, socket, &m, flags);
	if (fd >= 0)
		(void)sys_close(fd);
	return r;
}

long op_sendmsg(struct call *c)
{
	return send_message(process_current(), (int)c->arg[0], (struct msghdr *)c->arg[1], c->arg[2]);
}

long op_sendmmsg(struct call *c)
{
	const struct process *p = process_current();
	struct mmsghdr *list = (struct mmsghdr *)c->arg[1];
	unsigned n = (unsigned)c->arg[2], i;
	long r = 0;

	for (i = 0; i < n && i < 1024; i++) {
		if (!guest_writable(&list[i], sizeof(list[i])))
			return i ? (long)i : -EFAULT;
		r = send_message(p, (int)c->arg[0], &list[i].message, c->arg[3]);
		if (r < 0)
			break;
		list[i].length = (unsigned)r;
	}
	return i ? (long)i : r;
}

/* An address of any family, received whole: what the guest has no room for may be the part that needs translating. */
union any_address {
	struct sockaddr_un un;
	char bytes[sizeof(struct sockaddr_un) + 18]; /* struct sockaddr_storage */
};

/* Gives the guest as much of the address as it has room for, and the full size, as the kernel does. */
static long give_address(union any_address *a, int size, void *address, int room, int *ret_size)
{
	int n = (int)address_out(process_current(), &a->un, (size_t)size);

	if (room > 0 && !guest_writable(address, (size_t)(n < room ? n : room)))
		return -EFAULT;
	if (room > 0)
		memcpy(address, a, (size_t)(n < room ? n : room));
	*ret_size = n;
	return 0;
}

/* Calls that give an address and its size: getsockname, getpeername, accept, recvfrom. */
long op_name_out(struct call *c, unsigned address_arg, unsigned length_arg)
{
	void *address = (void *)c->arg[address_arg];
	int *length = (int *)c->arg[length_arg], room = 0, size = 0;
	unsigned long a[6];
	union any_address name;
	long r, given;

	memcpy(a, c->arg, sizeof(a));
	if (address) {
		if (!guest_writable(length, sizeof(*length)))
			return -EFAULT;
		room = *length;
		if (room < 0)
			return -EINVAL;
		size = (int)sizeof(name);
		a[address_arg] = (unsigned long)&name;
		a[length_arg] = (unsigned long)&size;
	}
	r = arch_syscall6(c->nr, (long)a[0], (long)a[1], (long)a[2], (long)a[3], (long)a[4], (long)a[5]);
	if (r < 0 || !address)
		return r;
	given = give_address(&name, size, address, room, length);
	return given < 0 ? given : r;
}

/* Of the real user it is told who he pretends to be; who is gone, was root. */
static void pretend_sender(struct sender *who)
{
	struct ids ids = { 0 };

	if (who->uid != engine.uid)
		return;
	if (who->pid)
		(void)ids_of(who->pid, &ids);
	who->uid = ids.euid;
	if (who->gid == engine.gid)
		who->gid = ids.egid;
}

/* Credentials that came with a message. */
static void received_control(const struct msghdr *m)
{
	char *control = m->control;

	for (size_t at = 0; engine.pretend && control && at + CONTROL_SIZE <= m->control_size;) {
		struct control *k = (struct control *)(void *)(control + at);

		if (k->size < CONTROL_HEADER)
			break;
		if (k->level == SOL_SOCKET_NR && k->type == SCM_CREDENTIALS_NR)
			pretend_sender(&k->sender);
		at = control_after(at, k);
	}
}

long op_recvmsg(struct call *c)
{
	struct msghdr *guest = (struct msghdr *)c->arg[1], m;
	union any_address name;
	long r, given;

	if (!guest_writable(guest, sizeof(*guest)))
		return -EFAULT;
	memcpy(&m, guest, sizeof(m));
	if (m.name) {
		m.name = &name;
		m.name_size = (int)sizeof(name);
	}
	r = SYS3(recvmsg, c->arg[0], &m, c->arg[2]);
	if (r < 0)
		return r;
	if (guest->name) {
		given = give_address(&name, m.name_size, guest->name, guest->name_size, &guest->name_size);
		if (given < 0)
			return given;
	}
	guest->control_size = m.control_size;
	guest->flags = m.flags;
	received_control(&m);
	return r;
}

long op_recvmmsg(struct call *c)
{
	struct mmsghdr *list = (struct mmsghdr *)c->arg[1];
	long r = SYS5(recvmmsg, c->arg[0], list, c->arg[2], c->arg[3], c->arg[4]);

	for (long i = 0; i < r; i++) {
		struct msghdr *m = &list[i].message;

		/* What was cut off here cannot be told back: its room was the guest's. */
		if (m->name && m->name_size > 0 && m->name_size <= (int)sizeof(struct sockaddr_un))
			m->name_size = (int)address_out(process_current(), m->name, (size_t)m->name_size);
		received_control(m);
	}
	return r;
}

/* SO_PEERCRED: the kernel knows who the peer was when it connected, this who it is now. */
long op_getsockopt(struct call *c)
{
	struct sender *peer = (void *)c->arg[3];
	long r = SYS5(getsockopt, c->arg[0], c->arg[1], c->arg[2], c->arg[3], c->arg[4]);

	if (r >= 0 && c->arg[1] == SOL_SOCKET_NR && c->arg[2] == SO_PEERCRED_NR &&
	    *(int *)c->arg[4] >= (int)sizeof(*peer))
		pretend_sender(peer);
	return r;
}
