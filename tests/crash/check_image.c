/*
 * check_image.c - opens a data directory as the server would, verifies it and prints what it holds.
 *
 *   check_image DIR
 *
 * One line each, to be compared by the tests:
 *   trouble SENTENCE                                     from store_verify
 *   log RUN SEQ TEXT
 *   bucket RUN METRIC START_NS COUNT SUM MIN MAX         of the project "default"
 *   sample RUN METRIC TIME_NS STEP VALUE
 *   ok
 * Exit 1, without "ok", when the directory cannot be opened or read.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "store/admin.h"
#include "store/read.h"

#define RUNS_MAX   64
#define SERIES_MAX 1024

struct seen {
	struct view *view;
	uint32_t rid[RUNS_MAX];
	char id[RUNS_MAX][ID_MAX + 1];
	size_t n_runs, run;
	uint32_t sid[SERIES_MAX];
	char metric[SERIES_MAX][METRIC_NAME_MAX + 1];
	size_t n_series;
};

static void on_trouble(void *arg, const char *sentence)
{
	(void)arg;
	printf("trouble %s\n", sentence);
}

static int on_run(void *arg, const struct run *r)
{
	struct seen *s = arg;
	if (s->n_runs == RUNS_MAX)
		return ERR_FULL;
	s->rid[s->n_runs] = r->rid;
	memcpy(s->id[s->n_runs++], r->id, sizeof(r->id));
	return 0;
}

static int on_series(void *arg, uint32_t sid, const struct series_name *name)
{
	struct seen *s = arg;
	if (s->n_series == SERIES_MAX)
		return ERR_FULL;
	s->sid[s->n_series] = sid;
	memcpy(s->metric[s->n_series], name->metric.data, name->metric.len);
	s->metric[s->n_series++][name->metric.len] = '\0';
	return 0;
}

static int on_bucket(void *arg, uint32_t sid, int64_t start_ns, const struct bucket *b)
{
	struct seen *s = arg;
	size_t i = 0;
	while (i < s->n_series && s->sid[i] != sid)
		i++;
	if (i == s->n_series)
		return ERR_CORRUPT;
	printf("bucket %s %s %" PRId64 " %" PRIu64 " %.17g %.17g %.17g\n", s->id[s->run], s->metric[i],
	       start_ns, b->count, sum_round(&b->sum), b->min, b->max);
	return 0;
}

static int on_sample(void *arg, size_t series, const struct point *p)
{
	struct seen *s = arg;
	printf("sample %s %s %" PRId64 " %" PRId64 " %.17g\n", s->id[s->run], s->metric[series], p->t_ns,
	       p->step, p->value);
	return 0;
}

static int on_log(void *arg, const struct log_record *r)
{
	struct seen *s = arg;
	printf("log %s %" PRIu64 " %.*s\n", s->id[s->run], r->seq, (int)r->text.len,
	       (const char *)r->text.data);
	return 0;
}

static int dump_run(struct seen *s)
{
	struct log_range all = { .from_ns = INT64_MIN, .to_ns = INT64_MAX };
	int64_t from_ns = 0, to_ns = 0;
	bool partial = false;
	uint32_t rid = s->rid[s->run];
	s->n_series = 0;
	int err = view_series(s->view, rid, on_series, s);
	if (err == 0)
		err = view_logs(s->view, rid, &all, on_log, s, &partial);
	if (err == 0) {
		err = view_time_range(s->view, rid, &from_ns, &to_ns);
		if (err == ERR_NOT_FOUND)
			return 0;
	}
	if (err == 0)
		err = view_buckets(s->view, rid, s->sid, s->n_series, from_ns, to_ns + 1, on_bucket, s,
				   &partial);
	if (err == 0) {
		struct samples_at at = { 0 };
		int more = 1;
		while (more == 1)
			more = view_samples(s->view, rid, s->sid, s->n_series, INT64_MIN, INT64_MAX, 1000,
					    &at, on_sample, s, &partial);
		err = more;
	}
	if (partial)
		printf("trouble an answer about run %s is partial\n", s->id[s->run]);
	return err;
}

static int dump(struct store *store, struct seen *s)
{
	int err = view_open(store, &s->view);
	if (err < 0)
		return err;
	err = view_runs(s->view, "default", 0, on_run, s);
	for (s->run = 0; err == 0 && s->run < s->n_runs; s->run++)
		err = dump_run(s);
	view_close(s->view);
	return err;
}

int main(int argc, char **argv)
{
	static struct seen seen;
	struct store_options options = { .map_max_bytes = (size_t)1 << 30 };
	struct verify_counts counts;
	struct store *store;
	struct fault fault = { 0 };
	if (argc != 2) {
		fprintf(stderr, "usage: check_image DIR\n");
		return 2;
	}
	int err = store_open(argv[1], &options, &store, &fault);
	if (err < 0) {
		fprintf(stderr, "open: %s: %s\n", err_name(err), fault.text);
		return 1;
	}
	err = store_verify(store, on_trouble, NULL, NULL, &counts);
	if (err >= 0)
		err = dump(store, &seen);
	store_close(store);
	if (err < 0) {
		fprintf(stderr, "read: %s\n", err_name(err));
		return 1;
	}
	printf("ok\n");
	return 0;
}
