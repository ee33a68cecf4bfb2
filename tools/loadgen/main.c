/*
 * loadgen - the load of the benchmark: sends prepared requests to a server and times the answers.
 *
 * Everything is serialised, compressed and made known to the server first (one sample of each
 * series, at step -1); then it prints "ready", waits for a line on stdin, sends, and prints one
 * line of JSON.  Whoever measures the server reads its counters in between.
 */
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>

#include "store/base/clock.h"
#include "tools/loadgen/load.h"

static const char usage[] =
    "loadgen MODE [OPTIONS]\n"
    "  astraml        ingest requests of the server `astraml serve`\n"
    "  remote-write   the same samples as Prometheus remote write requests\n"
    "  influx         the same samples as lines of InfluxDB's protocol\n"
    "  files FILE...  POST each file once, to --path\n"
    "  get            GET --path, --count times\n"
    "  sync           write and fdatasync --bytes, at --rate, in --dir\n"
    "  follow         --count writes of --records log lines, at --rate, to the run at --path, or, without\n"
    "                 --url, to a file in --dir; --connections followers, or processes `tail -F`\n"
    "options: --url http://IP:PORT --token T --path P --connections N --rate R (a second; 0: closed loop)\n"
    "         --fresh (a connection for each request)\n"
    "         --runs N --series N (of a run) --steps N --batch N --start SECONDS --step SECONDS --f64\n"
    "         --dir D --bytes N --count N --records N\n"
    "example: loadgen astraml --url http://127.0.0.1:7480 --token $T --runs 1 --series 10000 --steps 60\n"
    "         --batch 10000 --start 1750000000\n";

/* ---- shared by the modes ---- */

void load_wait_for_go(void)
{
	char line[16];

	printf("ready\n");
	fflush(stdout);
	if (!fgets(line, sizeof(line), stdin))
		return; /* nobody there to say so: go */
}

static int by_value(const void *a, const void *b)
{
	int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;

	return (x > y) - (x < y);
}

void load_print_latency(const char *name, int64_t *latency_ns, size_t n)
{
	const char *joint = *name ? "_" : "";

	qsort(latency_ns, n, sizeof(*latency_ns), by_value);
	printf(",\"%s%sp50_ms\":%.4f,\"%s%sp99_ms\":%.4f,\"%s%smax_ms\":%.4f", name, joint,
	       (double)latency_ns[n / 2] / 1e6, name, joint, (double)latency_ns[n * 99 / 100] / 1e6, name,
	       joint, (double)latency_ns[n - 1] / 1e6);
}

/* ---- modes ---- */

static bool has_samples(const struct load *l) { return l->url && l->work.start_ns; }
static bool has_files(const struct load *l) { return l->url && l->path && l->n_files; }
static bool has_path(const struct load *l) { return l->url && l->path && l->count; }
static bool has_sync(const struct load *l) { return l->dir && l->bytes && l->count && l->rate > 0; }
static bool has_follow(const struct load *l)
{
	return (l->url ? l->path : l->dir) && l->count && l->records && l->rate > 0;
}

static const struct mode {
	const char *name;
	bool (*complete)(const struct load *l);
	int (*run)(struct load *l, struct fault *f);
} modes[] = {
	{ "astraml", has_samples, load_astraml },
	{ "remote-write", has_samples, load_remote_write },
	{ "influx", has_samples, load_influx },
	{ "files", has_files, load_files },
	{ "get", has_path, load_get },
	{ "sync", has_sync, load_sync },
	{ "follow", has_follow, load_follow },
};

static const struct mode *find_mode(const char *name)
{
	for (size_t i = 0; i < sizeof(modes) / sizeof(*modes); i++)
		if (strcmp(modes[i].name, name) == 0)
			return &modes[i];
	return NULL;
}

/* ---- options ---- */

static const struct option options[] = {
	{ "url", 1, NULL, 'u' },         { "token", 1, NULL, 't' },   { "path", 1, NULL, 'p' },
	{ "connections", 1, NULL, 'c' }, { "rate", 1, NULL, 'r' },    { "runs", 1, NULL, 'R' },
	{ "series", 1, NULL, 's' },      { "steps", 1, NULL, 'n' },   { "batch", 1, NULL, 'b' },
	{ "start", 1, NULL, 'S' },       { "step", 1, NULL, 'i' },    { "f64", 0, NULL, 'd' },
	{ "dir", 1, NULL, 'D' },         { "bytes", 1, NULL, 'B' },   { "count", 1, NULL, 'C' },
	{ "fresh", 0, NULL, 'f' },       { "records", 1, NULL, 'l' }, { NULL, 0, NULL, 0 },
};

static bool set_text(struct load *l, int option, const char *value)
{
	switch (option) {
	case 'u':
		l->url = value;
		return driver_address(value, &l->address) == 0;
	case 't':
		l->token = value;
		return true;
	case 'p':
		l->path = value;
		return true;
	case 'D':
		l->dir = value;
		return true;
	case 'd':
		l->work.f64 = true;
		return true;
	case 'f':
		l->fresh = true;
		return true;
	default:
		return false;
	}
}

static bool set_number(struct load *l, int option, double number)
{
	switch (option) {
	case 'r':
		l->rate = number;
		return number >= 0;
	case 'c':
		l->connections = (unsigned)number;
		return number >= 1 && number <= 1000;
	case 'R':
		l->work.runs = (unsigned)number;
		return number >= 1 && number <= 10000;
	case 's':
		l->work.series_per_run = (unsigned)number;
		return number >= 1 && number <= 100000;
	case 'n':
		l->work.steps = (unsigned)number;
		return number >= 1 && number <= 1e6;
	case 'b':
		l->work.batch = (unsigned)number;
		return number >= 1 && number <= 1e6;
	case 'S':
		l->work.start_ns = (int64_t)number * NS_PER_S;
		return number >= 1e6;
	case 'i':
		l->work.step_ns = (int64_t)(number * 1e3) * NS_PER_MS;
		return number >= 0.001;
	case 'B':
		l->bytes = (size_t)number;
		return number >= 1 && number <= 1e8;
	case 'C':
		l->count = (size_t)number;
		return number >= 1 && number <= 1e7;
	case 'l':
		l->records = (size_t)number;
		return number >= 1 && number <= 1000;
	default:
		return false;
	}
}

/* NULL: the usage is to be shown. */
static const struct mode *parse(struct load *l, int argc, char **argv)
{
	const struct mode *mode = argc < 2 ? NULL : find_mode(argv[1]);
	int option;

	while (mode && (option = getopt_long(argc - 1, argv + 1, "", options, NULL)) != -1) {
		bool number = strchr("rcRsnbSiBCl", option) != NULL;

		if (!(number ? set_number(l, option, atof(optarg)) : set_text(l, option, optarg)))
			return NULL;
	}
	l->files = argv + 1 + optind;
	l->n_files = (size_t)(argc - 1 - optind);
	return mode && mode->complete(l) ? mode : NULL;
}

int main(int argc, char **argv)
{
	struct load l = { .connections = 8,
			  .work = { .runs = 1,
				    .series_per_run = 10000,
				    .steps = 60,
				    .batch = 10000,
				    .step_ns = 10 * NS_PER_S } };
	const struct mode *mode = parse(&l, argc, argv);
	struct fault f = { 0 };
	int err;

	if (!mode) {
		fputs(usage, stderr);
		return 2;
	}
	err = mode->run(&l, &f);
	if (err < 0) {
		fault_default(&f, err);
		fprintf(stderr, "loadgen: %s\n", f.text);
	}
	return err < 0 ? 1 : 0;
}
