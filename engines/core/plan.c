/* Parser of the words that every native helper speaks. Strict: what is not understood is refused, never skipped, for a
 * skipped --bind or --ro-rootfs would show the guest another world than the one that was asked for. */
#include "plan.h"

#include <linux/errno.h>

#include "str.h"
#include "sys.h"

#define HOSTNAME_MAX 64 /* __NEW_UTS_LEN */

/* Where words come from: the text of --args FD first, then argv. */
struct words {
	char **argv;	   /* the next word, or its NULL */
	char *text, *end;  /* NUL-terminated words still to read from the arena */
	bool had_args;	   /* --args was met: only one is allowed */
	char *arena;
	size_t size;
};

static int refuse(struct plan_error *e, const char *word, const char *message)
{
	e->word = word;
	e->message = message;
	return -EINVAL;
}

static char *next_word(struct words *w)
{
	char *word = w->text;

	if (word < w->end) {
		w->text += strlen(word) + 1;
		return word;
	}
	return *w->argv ? *w->argv++ : NULL;
}

static bool parse_u32(const char *s, const char *end, uint32_t *ret_v)
{
	uint64_t v = 0;

	if (s == end)
		return false;
	for (; s < end; s++) {
		if (*s < '0' || *s > '9')
			return false;
		v = v * 10 + (uint64_t)(*s - '0');
		if (v > UINT32_MAX)
			return false;
	}
	*ret_v = (uint32_t)v;
	return true;
}

/* An id: (uint32_t)-1 means "unchanged" to the kernel and is nobody's. */
static bool parse_id(const char *s, const char *end, uint32_t *ret_id)
{
	return parse_u32(s, end, ret_id) && *ret_id != UINT32_MAX;
}

static const char *check_host_path(const char *path)
{
	if (path[0] != '/')
		return "the host path is not absolute";
	if (strlen(path) >= PATH_MAX)
		return "the host path is too long";
	return NULL;
}

/* A guest path has one spelling here, so that binds can be compared as strings. */
static const char *check_guest_path(const char *path)
{
	if (path[0] != '/')
		return "the guest path is not absolute";
	if (strlen(path) >= PATH_MAX)
		return "the guest path is too long";
	if (path[1] == '\0')
		return NULL;
	for (const char *p = path; *p;) {
		const char *name = p + 1;
		size_t n = 0;

		while (name[n] && name[n] != '/')
			n++;
		if (n == 0)
			return "the guest path has an empty component or a trailing slash";
		if ((n == 1 && name[0] == '.') || (n == 2 && name[0] == '.' && name[1] == '.'))
			return "the guest path has a \".\" or \"..\" component";
		p = name + n;
	}
	return NULL;
}

static const char *check_name(const char *name)
{
	if (!*name)
		return "the name is empty";
	for (; *name; name++)
		if (*name == '=')
			return "the name holds \"=\"";
	return NULL;
}

static const char *check_hostname(const char *name)
{
	if (!*name)
		return "the host name is empty";
	if (strlen(name) > HOSTNAME_MAX)
		return "the host name is longer than 64 bytes";
	return NULL;
}

static const char *check_nonempty(const char *text)
{
	return *text ? NULL : "the value is empty";
}

/* Fetches the value of `word`, checked by `check` when that is not NULL. */
static int value_of(struct words *w, const char *word, const char *(*check)(const char *), const char **ret_value,
		    struct plan_error *e)
{
	const char *value = next_word(w);
	const char *message;

	if (!value)
		return refuse(e, word, "a value is missing");
	message = check ? check(value) : NULL;
	if (message)
		return refuse(e, word, message);
	*ret_value = value;
	return 0;
}

/* The same for a word that may be given once. */
static int single_value(struct words *w, const char *word, const char *(*check)(const char *), const char **field,
			struct plan_error *e)
{
	if (*field)
		return refuse(e, word, "given twice");
	return value_of(w, word, check, field, e);
}

static int parse_rootfs(struct words *w, const char *word, bool read_only, struct plan *p, struct plan_error *e)
{
	if (p->rootfs)
		return refuse(e, word, "the root directory is given twice");
	p->read_only = read_only;
	return value_of(w, word, check_host_path, &p->rootfs, e);
}

static int parse_bind(struct words *w, const char *word, bool read_only, struct plan *p, struct plan_error *e)
{
	struct plan_bind *bind = &p->binds[p->n_binds];
	int r;

	if (p->n_binds == PLAN_BINDS_MAX) {
		(void)refuse(e, word, "too many binds");
		return -E2BIG;
	}
	r = value_of(w, word, check_host_path, &bind->source, e);
	if (r == 0)
		r = value_of(w, word, check_guest_path, &bind->target, e);
	if (r < 0)
		return r;
	bind->read_only = read_only;
	p->n_binds++;
	return 0;
}

static int parse_env(struct words *w, const char *word, bool set, struct plan *p, struct plan_error *e)
{
	int r;

	if (p->n_env == PLAN_ENV_MAX) {
		(void)refuse(e, word, "too many environment changes");
		return -E2BIG;
	}
	r = value_of(w, word, check_name, &p->env[p->n_env].name, e);
	if (r == 0 && set)
		r = value_of(w, word, NULL, &p->env[p->n_env].value, e);
	if (r < 0)
		return r;
	p->n_env++;
	return 0;
}

static void parse_clearenv(struct plan *p)
{
	p->clear_env = true;
	memset(p->env, 0, sizeof(p->env));
	p->n_env = 0;
}

static int parse_id_word(struct words *w, const char *word, uint32_t *id, bool *has_id, struct plan_error *e)
{
	const char *value;
	int r;

	if (*has_id)
		return refuse(e, word, "given twice");
	r = value_of(w, word, NULL, &value, e);
	if (r < 0)
		return r;
	if (!parse_id(value, value + strlen(value), id))
		return refuse(e, word, "not a number from 0 to 4294967294");
	*has_id = true;
	return 0;
}

static int parse_owners(struct words *w, const char *word, struct plan *p, struct plan_error *e)
{
	const char *value;
	int r;

	if (p->owners)
		return refuse(e, word, "given twice");
	r = value_of(w, word, NULL, &value, e);
	if (r < 0)
		return r;
	if (str_eq(value, "root"))
		p->owners = OWNERS_ROOT;
	else if (str_eq(value, "real"))
		p->owners = OWNERS_REAL;
	else
		return refuse(e, word, "neither \"root\" nor \"real\"");
	return 0;
}

/* N,N,...; an empty word means no supplementary groups at all. */
static int parse_groups(struct words *w, const char *word, struct plan *p, struct plan_error *e)
{
	const char *s;
	int r;

	if (p->has_groups)
		return refuse(e, word, "given twice");
	r = value_of(w, word, NULL, &s, e);
	if (r < 0)
		return r;
	p->has_groups = true;
	while (*s) {
		const char *end = s;

		while (*end && *end != ',')
			end++;
		if (p->n_groups == PLAN_GROUPS_MAX) {
			(void)refuse(e, word, "too many groups");
			return -E2BIG;
		}
		if (!parse_id(s, end, &p->groups[p->n_groups]) || (*end && !end[1]))
			return refuse(e, word, "not a list of group numbers N,N,...");
		p->n_groups++;
		s = *end ? end + 1 : end;
	}
	return 0;
}

/* Reads all of descriptor FD into the arena. The descriptor is closed: the guest must not inherit it. */
static int parse_args(struct words *w, const char *word, struct plan_error *e)
{
	const char *value;
	uint32_t fd;
	size_t n = 0;
	long r;

	if (w->had_args)
		return refuse(e, word, "given twice");
	w->had_args = true;
	r = value_of(w, word, NULL, &value, e);
	if (r < 0)
		return (int)r;
	if (!parse_u32(value, value + strlen(value), &fd) || fd > INT32_MAX)
		return refuse(e, word, "not a descriptor number");
	do {
		if (n == w->size) {
			(void)refuse(e, word, "the words of the descriptor are too long");
			return -E2BIG;
		}
		r = sys_read((int)fd, w->arena + n, w->size - n);
		if (r > 0)
			n += (size_t)r;
	} while (r > 0 || r == -EINTR);
	if (r < 0) {
		(void)refuse(e, word, "the descriptor cannot be read");
		return (int)r;
	}
	(void)sys_close((int)fd);
	/* A writer that died half-way must not start half a plan. */
	if (n && w->arena[n - 1] != '\0')
		return refuse(e, word, "the last word of the descriptor is not terminated");
	w->text = w->arena;
	w->end = w->arena + n;
	return 0;
}

static int parse_overlay(struct words *w, const char *word, struct plan *p, struct plan_error *e)
{
	int r = single_value(w, word, check_host_path, &p->overlay_upper, e);

	return r < 0 ? r : value_of(w, word, check_host_path, &p->overlay_work, e);
}

static int parse_word(struct words *w, const char *word, struct plan *p, struct plan_error *e)
{
	if (str_eq(word, "--rootfs"))
		return parse_rootfs(w, word, false, p, e);
	if (str_eq(word, "--ro-rootfs"))
		return parse_rootfs(w, word, true, p, e);
	if (str_eq(word, "--bind"))
		return parse_bind(w, word, false, p, e);
	if (str_eq(word, "--ro-bind"))
		return parse_bind(w, word, true, p, e);
	if (str_eq(word, "--chdir"))
		return single_value(w, word, check_guest_path, &p->chdir, e);
	if (str_eq(word, "--cache"))
		return single_value(w, word, check_host_path, &p->cache, e);
	if (str_eq(word, "--probe-memory"))
		return single_value(w, word, check_host_path, &p->probe_memory, e);
	if (str_eq(word, "--fakedb"))
		return single_value(w, word, check_host_path, &p->fakedb, e);
	if (str_eq(word, "--hold"))
		return single_value(w, word, check_host_path, &p->hold, e);
	if (str_eq(word, "--owners"))
		return parse_owners(w, word, p, e);
	if (str_eq(word, "--uid"))
		return parse_id_word(w, word, &p->uid, &p->has_uid, e);
	if (str_eq(word, "--gid"))
		return parse_id_word(w, word, &p->gid, &p->has_gid, e);
	if (str_eq(word, "--groups"))
		return parse_groups(w, word, p, e);
	if (str_eq(word, "--hostname"))
		return single_value(w, word, check_hostname, &p->hostname, e);
	if (str_eq(word, "--overlay"))
		return parse_overlay(w, word, p, e);
	if (str_eq(word, "--identity-helper"))
		return single_value(w, word, check_host_path, &p->identity_helper, e);
	if (str_eq(word, "--setenv"))
		return parse_env(w, word, true, p, e);
	if (str_eq(word, "--unsetenv"))
		return parse_env(w, word, false, p, e);
	if (str_eq(word, "--args"))
		return parse_args(w, word, e);
	if (str_eq(word, "--resume"))
		return single_value(w, word, check_nonempty, &p->resume, e);
	/* Words without a value may be repeated: saying a thing twice does not change it. */
	if (str_eq(word, "--pretend"))
		p->pretend = true;
	else if (str_eq(word, "--shared"))
		p->shared = true;
	else if (str_eq(word, "--unshare-pid"))
		p->unshare_pid = true;
	else if (str_eq(word, "--unshare-ipc"))
		p->unshare_ipc = true;
	else if (str_eq(word, "--unshare-uts"))
		p->unshare_uts = true;
	else if (str_eq(word, "--unshare-net"))
		p->unshare_net = true;
	else if (str_eq(word, "--map-subuids"))
		p->map_subuids = true;
	else if (str_eq(word, "--clearenv"))
		parse_clearenv(p);
	else
		return refuse(e, word, "unknown word");
	return 0;
}

/* The command stands after "--", in argv or wholly in the words of --args; then its pointers go into the arena. */
static int take_command(struct words *w, struct plan *p, struct plan_error *e)
{
	if (w->text < w->end) {
		uintptr_t at = (uintptr_t)w->end;
		size_t room;

		if (*w->argv)
			return refuse(e, *w->argv, "the command is already given through --args");
		at = (at + sizeof(char *) - 1) & ~(sizeof(char *) - 1);
		room = at < (uintptr_t)w->arena + w->size ? ((uintptr_t)w->arena + w->size - at) / sizeof(char *) : 0;
		p->command = (char **)at;
		for (char *word; w->text < w->end;) {
			word = next_word(w);
			if (p->n_command + 1 >= room) {
				(void)refuse(e, word, "the words of --args are too long");
				return -E2BIG;
			}
			p->command[p->n_command++] = word;
		}
		p->command[p->n_command] = NULL;
		return 0;
	}
	p->command = w->argv;
	while (p->command[p->n_command])
		p->n_command++;
	return p->n_command ? 0 : refuse(e, "--", "the command is missing");
}

static int check_together(const struct plan *p, struct plan_error *e)
{
	if (p->overlay_upper && !p->rootfs)
		return refuse(e, "--overlay", "needs --rootfs as the lower directory");
	if (p->hostname && !p->unshare_uts)
		return refuse(e, "--hostname", "needs --unshare-uts");
	return 0;
}

int plan_parse(char **argv, char *arena, size_t size, struct plan *ret_plan, struct plan_error *ret_error)
{
	struct words w = { .argv = argv, .arena = arena, .size = size };
	char *word;
	int r = 0;

	memset(ret_plan, 0, offsetof(struct plan, binds));
	*ret_error = (struct plan_error){ 0 };
	if (*w.argv)
		w.argv++;
	for (;;) {
		word = next_word(&w);
		if (!word)
			return refuse(ret_error, "--", "the command is missing");
		if (str_eq(word, "--"))
			break;
		r = parse_word(&w, word, ret_plan, ret_error);
		if (r < 0)
			return r;
	}
	r = take_command(&w, ret_plan, ret_error);
	return r < 0 ? r : check_together(ret_plan, ret_error);
}
