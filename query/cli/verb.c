#include "query/cli/verb.h"

#include <errno.h>
#include <math.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "store/base/clock.h"

#define TREE_DEPTH_MAX 64 /* a spec of 32 levels within a list of runs */

static const struct option_text *option_find(const struct verb_args *a, const char *arg, size_t *ret_len)
{
	for (size_t i = 0; i < a->n_options; i++) {
		const struct option_text *o = &a->options[i];
		size_t n = strlen(o->name);

		*ret_len = n;
		if (strncmp(arg, o->name, n) == 0 && (arg[n] == 0 || arg[n] == '='))
			return o;
		*ret_len = 2;
		if (o->letter && arg[0] == '-' && arg[1] == o->letter && (o->value || arg[2] == 0))
			return o;
	}
	return NULL;
}

/* Takes the option at argv[*i]; false: said what is wrong. */
static bool option_take(struct verb_args *a, int argc, char **argv, int *i)
{
	size_t n;
	const struct option_text *o = option_find(a, argv[*i], &n);
	const char *rest;

	if (!o) {
		fprintf(stderr, "astraml %s: there is no option %s; see astraml %s --help\n", argv[0],
			argv[*i], argv[0]);
		return false;
	}
	rest = argv[*i] + n;
	if (!o->value) {
		*o->flag = true;
		if (*rest)
			fprintf(stderr, "astraml %s: %s takes no value\n", argv[0], o->name);
		return *rest == 0;
	}
	if (*rest == '=')
		rest++;
	else if (*rest == 0 && *i + 1 < argc)
		rest = argv[++*i];
	else if (*rest == 0)
		rest = NULL;
	if (!rest)
		fprintf(stderr, "astraml %s: %s needs a value; see astraml %s --help\n", argv[0], o->name,
			argv[0]);
	*o->value = rest;
	return rest != NULL;
}

static bool asks_help(int argc, char **argv)
{
	for (int i = 1; i < argc && strcmp(argv[i], "--") != 0; i++)
		if (strcmp(argv[i], "--help") == 0 || strcmp(argv[i], "-h") == 0)
			return true;
	return false;
}

bool verb_parse(struct verb_args *a, int argc, char **argv, int *ret_status)
{
	bool options = true;

	if (asks_help(argc, argv)) {
		fputs(a->help, stdout);
		*ret_status = EXIT_OK;
		return false;
	}
	*ret_status = EXIT_USAGE;
	for (int i = 1; i < argc; i++) {
		if (options && strcmp(argv[i], "--") == 0) {
			options = false;
		} else if (options && argv[i][0] == '-' && argv[i][1]) {
			if (!option_take(a, argc, argv, &i))
				return false;
		} else if (a->n_positional == a->max_positional) {
			fprintf(stderr,
				"astraml %s: \"%s\" is one argument too many; see astraml %s --help\n",
				argv[0], argv[i], argv[0]);
			return false;
		} else {
			a->positional[a->n_positional++] = argv[i];
		}
	}
	return true;
}

const char *verb_run_id(struct verb_args *a, const char *verb, int wanted)
{
	const char *run = getenv("ASTRAML_RUN");

	if (a->n_positional == wanted)
		return a->positional[0];
	if (a->n_positional == wanted - 1 && run && *run) {
		if (wanted == 2)
			a->positional[1] = a->positional[0];
		return run;
	}
	fprintf(stderr, "astraml %s: %s is missing; see astraml %s --help\n", verb,
		wanted == 2 && a->n_positional == 1 ? "METRIC" : "the run's id", verb);
	return NULL;
}

int verb_fault(const struct fault *f)
{
	fprintf(stderr, "astraml: %s\n", f->text);
	if (f->err == ERR_UNAUTHENTICATED)
		fprintf(stderr, "astraml: TOKEN is what ASTRAML_TOKEN says, or token= in the config; with "
				"--data DIR it is the owner's\n");
	return exit_status_of(f->err);
}

int verb_apart(const char *dir, int (*fn)(void *arg), void *arg)
{
	pid_t parent = getpid(), pid;
	int status;

	fflush(NULL);
	pid = fork();
	if (pid == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		if (getppid() != parent)
			_exit(EXIT_TROUBLE);
		exit(fn(arg));
	}
	if (pid < 0) {
		fprintf(stderr, "astraml: no process can be made: %s\n", strerror(errno));
		return EXIT_TROUBLE;
	}
	while (waitpid(pid, &status, 0) < 0)
		if (errno != EINTR)
			return EXIT_TROUBLE;
	if (WIFEXITED(status))
		return WEXITSTATUS(status);
	fprintf(stderr,
		"astraml: reading %s ended by signal %d (%s): the structure of its hot/data.mdb is damaged; "
		"restore a backup\n",
		dir, WTERMSIG(status), strsignal(WTERMSIG(status)));
	return EXIT_TROUBLE;
}

bool verb_number(const char *option, const char *text, uint64_t least, uint64_t most, uint64_t *ret)
{
	char *end;
	unsigned long long v;

	v = strtoull(text, &end, 10);
	if (*text < '0' || *text > '9' || *end || v < least || v > most) {
		fprintf(stderr, "astraml: %s %s is not a whole number from %llu to %llu\n", option, text,
			(unsigned long long)least, (unsigned long long)most);
		return false;
	}
	*ret = v;
	return true;
}

bool verb_pair(const char *option, const char *pair)
{
	size_t key = pair ? strcspn(pair, "=") : 1;

	if (pair && (key == 0 || key > 250 || !pair[key])) {
		fprintf(stderr, "astraml: %s %s is not KEY=VALUE\n", option, pair);
		return false;
	}
	return true;
}

void verb_pair_param(struct buf *path, const char *prefix, const char *pair)
{
	size_t n = pair ? strcspn(pair, "=") : 0;
	char key[256 + 8];

	if (!pair)
		return;
	snprintf(key, sizeof key, "%s.%.*s", prefix, (int)n, pair);
	path_param(path, key, pair + n + 1);
}

bool verb_label(struct buf *path, const char *label)
{
	if (!verb_pair("--label", label))
		return false;
	verb_pair_param(path, "label", label);
	return true;
}

static bool step_param(struct buf *path, const char *name, const char *text, size_t len)
{
	char step[24], *end;

	if (len == 0)
		return true;
	snprintf(step, sizeof step, "%.*s", (int)len, text);
	strtoll(step, &end, 10);
	if (len >= sizeof step || *end || *step == ' ')
		return false;
	path_param(path, name, step);
	return true;
}

bool verb_steps(struct buf *path, const char *steps)
{
	const char *colon = steps ? strchr(steps, ':') : NULL;

	if (!steps)
		return true;
	if (colon && step_param(path, "step_start", steps, (size_t)(colon - steps)) &&
	    step_param(path, "step_end", colon + 1, strlen(colon + 1)))
		return true;
	fprintf(stderr,
		"astraml: --step %s is not A:B, steps from A on and before B; either may be left out\n",
		steps);
	return false;
}

void verb_run_path(struct buf *path, const struct target *t, const char *run, const char *rest)
{
	path_init(path, t);
	path_add(path, "/runs");
	path_part(path, run);
	path_add(path, rest);
}

static int print_piece(void *arg, struct span piece)
{
	(void)arg;
	return fwrite(piece.data, 1, piece.len, stdout) == piece.len ? 0 : 1;
}

int verb_print(struct source *s, const char *path) { return verb_print_as(s, path, "*/*"); }

int verb_print_as(struct source *s, const char *path, const char *accept)
{
	struct fault f = { 0 };
	int err = source_get_as(s, path, accept, print_piece, NULL, &f);

	if (fflush(stdout) != 0 || (err == ERR_GONE && ferror(stdout))) {
		fprintf(stderr, "astraml: cannot write to stdout\n");
		return EXIT_TROUBLE;
	}
	return err < 0 ? verb_fault(&f) : EXIT_OK;
}

struct json_object *tree_parse(struct span text)
{
	struct json_tokener *k = json_tokener_new_ex(TREE_DEPTH_MAX);
	struct json_object *o = NULL;

	if (k && text.len <= INT32_MAX)
		o = json_tokener_parse_ex(k, (const char *)text.data, (int)text.len);
	json_tokener_free(k);
	return o;
}

struct json_object *verb_tree(struct source *s, const char *path, struct fault *f)
{
	struct buf text = { 0 };
	struct json_object *o = NULL;

	if (source_fetch(s, path, &text, f) == 0) {
		o = tree_parse(buf_span(&text));
		if (!o)
			fault_set(f, ERR_IO, "", "the answer to %s is no JSON; is this an astraml server?",
				  path);
	}
	buf_release(&text);
	return o;
}

struct json_object *verb_run_tree(struct source *s, const struct target *t, const char *run, const char *rest,
				  struct fault *f)
{
	struct json_object *o;
	struct buf path;

	verb_run_path(&path, t, run, rest);
	o = verb_tree(s, buf_cstr(&path), f);
	buf_release(&path);
	return o;
}

const char *tree_text(struct json_object *o, const char *key)
{
	struct json_object *v;

	if (!json_object_object_get_ex(o, key, &v) || !json_object_is_type(v, json_type_string))
		return "";
	return json_object_get_string(v);
}

struct json_object *tree_list(struct json_object *o, const char *key)
{
	struct json_object *v;

	return json_object_object_get_ex(o, key, &v) && json_object_is_type(v, json_type_array) ? v : NULL;
}

size_t list_length(struct json_object *list)
{
	return json_object_is_type(list, json_type_array) ? json_object_array_length(list) : 0;
}

struct json_object *tree_item(struct json_object *list, size_t i)
{
	return i < list_length(list) ? json_object_array_get_idx(list, i) : NULL;
}

const char *tree_item_text(struct json_object *list, size_t i)
{
	struct json_object *o = tree_item(list, i);

	return json_object_is_type(o, json_type_string) ? json_object_get_string(o) : "";
}

struct json_object *tree_member(struct json_object *o, const char *key)
{
	struct json_object *v = NULL;

	json_object_object_get_ex(o, key, &v);
	return v;
}

bool tree_flag(struct json_object *o, const char *key)
{
	return json_object_get_boolean(tree_member(o, key));
}

uint64_t tree_u64(struct json_object *o, const char *key)
{
	struct json_object *v;

	return json_object_object_get_ex(o, key, &v) ? json_object_get_uint64(v) : 0;
}

int64_t tree_time(struct json_object *o, const char *key)
{
	const char *text = tree_text(o, key);
	int64_t t_ns;

	return clock_parse(text, strlen(text), &t_ns) ? t_ns : 0;
}

bool tree_number(struct json_object *o, double *ret)
{
	const char *text;

	if (!o)
		return false;
	if (!json_object_is_type(o, json_type_string)) {
		*ret = json_object_get_double(o);
		return true;
	}
	text = json_object_get_string(o);
	*ret = strcmp(text, "NaN") == 0 ? NAN : *text == '-' ? -INFINITY : INFINITY;
	return true;
}
