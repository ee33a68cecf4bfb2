/*
 * strip_bytes.c - what sealed buckets of a data directory take, column by column.
 *
 *   strip_bytes DIR [WINDOWS]     all windows of a series in strips of at most WINDOWS buckets (2880)
 *
 * Sees the inside of strip.c: a column's share of the loose stream is counted as what the whole
 * block's frame makes of it, so columns add up to the block.
 */
#include <stdio.h>

#include "store/admin.h"
#include "store/base/compress.h"
#include "store/read.h"
#include "store/strip.c"

enum { KEYS_AND_COUNTS, TIMES_OF, STEPS_OF, VALUES_OF, SUMS_OF, RARE_OF, GROUPS };
static const char *const group_names[GROUPS] = { "keys, counts", "times", "steps", "values", "sums", "rare" };

static struct strip *strip;
static struct strip_bucket buckets[STRIP_MAX];
static struct column_out out;
static size_t n_buckets, strip_max = 2880;
static uint32_t last_sid;
static double bytes[GROUPS];
static uint64_t all_buckets, all_samples, singles, all_bytes;

static void must(bool what, const char *why)
{
	if (!what) {
		fprintf(stderr, "strip_bytes: %s\n", why);
		exit(1);
	}
}

static int (*const steps_of_code[GROUPS])(struct coder *) = { code_keys,   code_times, code_steps,
							      code_values, code_sums,  code_rare };

static void measure(void)
{
	struct coder c = { .s = strip, .out = &out };
	size_t dense[GROUPS + 1] = { 0 }, loose[GROUPS + 1] = { 0 };
	struct buf packed;
	double shrunk;

	if (n_buckets == 0)
		return;
	buf_clear(&out.dense);
	buf_clear(&out.loose);
	strip->n = strip->n_full = strip->n_rare = 0;
	strip->window_ns = buckets[0].key.window_ns;
	for (size_t i = 0; i < n_buckets; i++)
		take_bucket(strip, &buckets[i]);
	for (int g = 0; g < GROUPS; g++) {
		must(steps_of_code[g](&c) == 0, "a column cannot be coded");
		dense[g + 1] = out.dense.len;
		loose[g + 1] = out.loose.len;
	}
	buf_init(&packed, 1 << 22);
	must(compress_block(buf_span(&out.loose), 9, &packed) == 0, "out of memory");
	shrunk = packed.len < out.loose.len ? (double)packed.len / (double)out.loose.len : 1;
	for (int g = 0; g < GROUPS; g++)
		bytes[g] += (double)(dense[g + 1] - dense[g]) + shrunk * (double)(loose[g + 1] - loose[g]);
	all_bytes += out.dense.len + (size_t)(shrunk * (double)out.loose.len);
	all_buckets += n_buckets;
	singles += n_buckets - strip->n_full;
	while (n_buckets)
		bucket_release(&buckets[--n_buckets].bucket);
	buf_release(&packed);
}

static int on_bucket(void *arg, uint32_t sid, int64_t start_ns, const struct bucket *b)
{
	(void)arg;
	if (sid != last_sid || n_buckets == strip_max)
		measure();
	last_sid = sid;
	all_samples += bucket_samples(b);
	buckets[n_buckets].key = (struct block_key){ sid, start_ns, WINDOW_DEFAULT_NS };
	return bucket_copy(&buckets[n_buckets++].bucket, b);
}

struct walk {
	struct view *view;
	uint32_t sids[100000];
	size_t n;
};

static int on_series(void *arg, uint32_t sid, const struct series_name *name)
{
	struct walk *w = arg;

	(void)name;
	must(w->n < 100000, "too many series");
	w->sids[w->n++] = sid;
	return 0;
}

static int on_run(void *arg, const struct run *r)
{
	struct walk *w = arg;

	w->n = 0;
	must(view_series(w->view, r->rid, on_series, w) == 0, "series");
	return view_buckets(w->view, r->rid, w->sids, w->n, INT64_MIN, INT64_MAX, on_bucket, NULL, NULL);
}

int main(int argc, char **argv)
{
	struct store_options o = { .read_only = true };
	static struct walk walk;
	struct store *s;
	struct fault f = { 0 };

	must(argc >= 2, "usage: strip_bytes DIR [WINDOWS]");
	if (argc > 2)
		strip_max = (size_t)atoi(argv[2]);
	buf_init(&out.dense, 1 << 24);
	buf_init(&out.loose, 1 << 24);
	must(strip_new(&strip) == 0, "out of memory");
	must(store_open(argv[1], &o, &s, &f) == 0, f.text);
	must(view_open(s, &walk.view) == 0, "view");
	must(view_runs(walk.view, "default", 0, on_run, &walk) == 0, "runs");
	measure();
	view_close(walk.view);
	store_close(s);
	printf("%llu buckets of %.2f samples, %.0f %% of them one sample: %.2f bytes each\n",
	       (unsigned long long)all_buckets, (double)all_samples / (double)all_buckets,
	       100 * (double)singles / (double)all_buckets, (double)all_bytes / (double)all_buckets);
	for (int g = 0; g < GROUPS; g++)
		printf("  %-14s %6.2f\n", group_names[g], bytes[g] / (double)all_buckets);
	return 0;
}
