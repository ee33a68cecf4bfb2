/*
 * astraml.c - the program: finds the verb, works out what it talks to, and calls it.
 */
#include <langinfo.h>
#include <locale.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "ingest/import/import.h"
#include "ingest/push.h"
#include "query/cli/term.h"
#include "query/cli/verbs.h"
#include "tools/serve.h"

enum need { NEED_NOTHING, NEED_READ, NEED_WRITE, NEED_DIRECTORY };

static const struct verb {
	const char *name;
	verb_fn fn;
	enum need need;
	const char *help;
} verbs[] = {
	{ "serve", verb_serve, NEED_NOTHING, "ingest, read API and compactor, in one process" },
	{ "push", verb_push, NEED_WRITE, "JSON lines from stdin into a run" },
	{ "import", verb_import, NEED_WRITE, "files of other tools into runs" },
	{ "runs", verb_runs, NEED_READ, "table of runs" },
	{ "show", verb_show, NEED_READ, "one run at a glance" },
	{ "metrics", verb_metrics, NEED_READ, "a run's metrics, over its whole life" },
	{ "get", verb_get, NEED_READ, "one metric, window by window" },
	{ "plot", verb_plot, NEED_READ, "a chart of a metric, of one run or several" },
	{ "compare", verb_compare, NEED_READ, "runs beside each other: parameters, best and last values" },
	{ "logs", verb_logs, NEED_READ, "a run's log: filtered, followed, or raw" },
	{ "tag", verb_tag, NEED_WRITE, "a run's tags: shown, set, taken away" },
	{ "wait", verb_wait, NEED_READ, "until a run has ended; ends as it did" },
	{ "rm", verb_rm, NEED_WRITE, "delete runs; for 7 days they can be brought back" },
	{ "undelete", verb_undelete, NEED_WRITE, "bring back runs that were deleted" },
	{ "project", verb_project, NEED_READ, "the projects there are, and new ones" },
	{ "policy", verb_policy, NEED_READ, "how long a project's data is kept, and in which windows" },
	{ "compact", verb_compact, NEED_NOTHING, "seal what is old into parts, without a server" },
	{ "export", verb_export, NEED_READ, "a run as lines that import again, or as CSV" },
	{ "stats", verb_stats, NEED_READ, "figures of the store" },
	{ "verify", verb_verify, NEED_READ, "check everything stored" },
	{ "backup", verb_backup, NEED_DIRECTORY, "copy a data directory while it is served" },
	{ "restore", verb_restore, NEED_DIRECTORY, "a data directory from a backup" },
};
#define VERBS (sizeof(verbs) / sizeof(*verbs))

/* First arguments with which a verb that reads writes. */
static const struct writing {
	const char *verb, *argument;
} writing[] = { { "policy", "set" }, { "project", "create" } };

/* What was said, and where; NULL: nowhere. */
struct said {
	const char *server, *data, *project, *token;
	bool json, no_color;
};

static void print_help(void)
{
	printf("usage: astraml VERB [ARGS] [--server URL | --data DIR] [--project P] [--json]\n"
	       "                    [--no-color]\n\n");
	for (size_t i = 0; i < VERBS; i++)
		printf("  %-9s %s\n", verbs[i].name, verbs[i].help);
	printf("\n"
	       "`astraml VERB --help` tells more.  Without --server or --data: ASTRAML_URL,\n"
	       "ASTRAML_DATA, ~/.config/astraml/config (lines url=, data=, token=, project=),\n"
	       "http://127.0.0.1:7480.\n"
	       "Exit status: 0 ok, 2 usage, 3 not found, 4 not allowed, 5 server, network or\n"
	       "storage.\n"
	       "\n"
	       "example: astraml serve --data ./data &\n"
	       "         export ASTRAML_DATA=./data\n"
	       "         echo '{\"metric\":\"loss\",\"value\":0.5}' | astraml push --run demo\n");
}

/* ---- common options ---- */

/* "--name VALUE" and "--name=VALUE"; NULL when argv[*i] is another option. */
static const char *value_of(const char *name, int argc, char **argv, int *i)
{
	size_t n = strlen(name);

	if (strncmp(argv[*i], name, n) != 0)
		return NULL;
	if (argv[*i][n] == '=')
		return argv[*i] + n + 1;
	if (argv[*i][n] != 0)
		return NULL;
	if (*i + 1 >= argc) {
		fprintf(stderr, "astraml: %s needs a value\n", name);
		exit(EXIT_USAGE);
	}
	return argv[++*i];
}

static bool take_common(struct said *s, int argc, char **argv, int *i)
{
	const char *v;

	if ((v = value_of("--server", argc, argv, i)))
		s->server = v;
	else if ((v = value_of("--data", argc, argv, i)))
		s->data = v;
	else if ((v = value_of("--project", argc, argv, i)))
		s->project = v;
	else if (strcmp(argv[*i], "--json") == 0)
		s->json = true;
	else if (strcmp(argv[*i], "--no-color") == 0)
		s->no_color = true;
	else
		return false;
	return true;
}

/* Takes the common options out of argv, wherever they stand before "--". */
static int strip(struct said *s, int argc, char **argv)
{
	int n = 0;

	for (int i = 0; i < argc; i++) {
		if (strcmp(argv[i], "--") == 0) {
			while (i < argc)
				argv[n++] = argv[i++];
			break;
		}
		if (!take_common(s, argc, argv, &i))
			argv[n++] = argv[i];
	}
	argv[n] = NULL;
	return n;
}

/* ---- the config file ---- */

static const char *config_value(char *line, const char *name)
{
	size_t n = strlen(name);
	char *v;

	line += strspn(line, " \t");
	if (strncmp(line, name, n) != 0)
		return NULL;
	v = line + n + strspn(line + n, " \t");
	if (*v++ != '=')
		return NULL;
	v += strspn(v, " \t\"");
	v[strcspn(v, "\"\r\n")] = 0;
	return strdup(v);
}

static void read_config(struct said *ret)
{
	const char *home = getenv("XDG_CONFIG_HOME"), *v;
	char path[4096], line[1024];
	FILE *f;

	if (home && *home)
		snprintf(path, sizeof(path), "%s/astraml/config", home);
	else
		snprintf(path, sizeof(path), "%s/.config/astraml/config",
			 getenv("HOME") ? getenv("HOME") : "");
	f = fopen(path, "re");
	if (!f)
		return;
	while (fgets(line, sizeof(line), f)) {
		if ((v = config_value(line, "url")))
			ret->server = v;
		else if ((v = config_value(line, "data")))
			ret->data = v;
		else if ((v = config_value(line, "token")))
			ret->token = v;
		else if ((v = config_value(line, "project")))
			ret->project = v;
	}
	fclose(f);
}

/* ---- what the verb talks to ---- */

static const char *env(const char *name)
{
	const char *v = getenv(name);

	return v && *v ? v : NULL;
}

/* What was said on the command line wins, then the environment, then the config file; at each of
 * the three a server wins over a directory. */
static void resolve(struct said *s)
{
	struct said config = { 0 };

	read_config(&config);
	if (!s->server && !s->data) {
		s->server = env("ASTRAML_URL");
		s->data = s->server ? NULL : env("ASTRAML_DATA");
	}
	if (!s->server && !s->data) {
		s->server = config.server;
		s->data = config.server ? NULL : config.data;
	}
	s->token = env("ASTRAML_TOKEN") ? env("ASTRAML_TOKEN") : config.token;
	if (!s->project)
		s->project = env("ASTRAML_PROJECT") ? env("ASTRAML_PROJECT") : config.project;
	if (!s->token && (s->data || config.data)) {
		static char token[256];

		if (owner_token_read(s->data ? s->data : config.data, token, sizeof(token)) == 0)
			s->token = token;
	}
}

/* Writing into a directory goes through the server that holds it, or through one of our own. */
static int find_writer(const struct said *s, struct target *t, struct serve **ret_own)
{
	static char url[256], token[256];
	struct serve_options o;
	struct fault f = { 0 };
	long pid;

	if (store_holder(s->data, &pid, url, sizeof(url)) == 0) {
		if (!url[0]) {
			fprintf(stderr, "astraml: process %ld holds %s and serves nobody yet; try again\n",
				pid, s->data);
			return EXIT_TROUBLE;
		}
		t->url = url;
	} else {
		serve_defaults(&o);
		o.data = s->data;
		o.listen[o.n_listen++] = "127.0.0.1:0";
		if (serve_start(&o, ret_own, &f) < 0) {
			fprintf(stderr, "astraml: %s\n", f.text);
			return EXIT_TROUBLE;
		}
		t->url = serve_url(*ret_own);
	}
	if (owner_token_read(s->data, token, sizeof(token)) == 0)
		t->token = token;
	return EXIT_OK;
}

/* What stdout can show. */
static void find_terminal(const struct said *s, struct target *t)
{
	bool dumb = env("TERM") && strcmp(env("TERM"), "dumb") == 0;
	struct winsize size;

	setlocale(LC_CTYPE, "");
	t->unicode = !dumb && strcmp(nl_langinfo(CODESET), "UTF-8") == 0;
	term_unicode(t->unicode);
	if (!isatty(STDOUT_FILENO))
		return;
	t->color = !s->no_color && !env("NO_COLOR") && !dumb;
	if (ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) == 0) {
		t->columns = size.ws_col;
		t->rows = size.ws_row;
	}
}

static enum need need_of(const struct verb *v, int argc, char **argv)
{
	for (size_t i = 0; i < sizeof(writing) / sizeof(*writing); i++)
		if (argc > 1 && strcmp(v->name, writing[i].verb) == 0 &&
		    strcmp(argv[1], writing[i].argument) == 0)
			return NEED_WRITE;
	return v->need;
}

static int call(const struct verb *v, const struct said *s, int argc, char **argv)
{
	struct target t = { .url = s->server,
			    .token = s->token,
			    .data_dir = s->data,
			    .project = s->project ? s->project : "default",
			    .json = s->json };
	struct serve *own = NULL;
	bool help = argc > 1 && strcmp(argv[1], "--help") == 0;
	enum need need = need_of(v, argc, argv);
	int status = EXIT_OK;

	find_terminal(s, &t);
	if (!t.url && !t.data_dir && need != NEED_NOTHING)
		t.url = "http://127.0.0.1:7480";
	if (need == NEED_WRITE && !t.url && !help)
		status = find_writer(s, &t, &own);
	if (status == EXIT_OK)
		status = v->fn(&t, argc, argv);
	serve_stop(own);
	return status;
}

int main(int argc, char **argv)
{
	struct said said = { 0 };
	const struct verb *verb = NULL;

	argc = strip(&said, argc, argv);
	if (argc > 1 && strcmp(argv[1], "--version") == 0) {
		printf("astraml %s\n", ASTRAML_VERSION);
		return EXIT_OK;
	}
	if (argc < 2 || strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "help") == 0) {
		print_help();
		return argc < 2 ? EXIT_USAGE : EXIT_OK;
	}
	for (size_t i = 0; i < VERBS; i++)
		if (strcmp(argv[1], verbs[i].name) == 0)
			verb = &verbs[i];
	if (!verb) {
		fprintf(stderr, "astraml: there is no verb \"%s\"; see astraml --help\n", argv[1]);
		return EXIT_USAGE;
	}
	resolve(&said);
	return call(verb, &said, argc - 1, argv + 1);
}
