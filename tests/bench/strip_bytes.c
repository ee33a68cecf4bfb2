/*
 * strip_bytes.c - what sealed buckets of a data directory take, column by column.
 *
 *   strip_bytes DIR [LIKE]     of series whose metric contains LIKE; no more than 4096 buckets a strip
 *
 * Sees the inside of strip.c: stands between it and column.c, scale.c.  A column's share of the loose
 * stream is counted as what the frame of its block makes of all of it, so columns add up to the block.
 */
#include <stdio.h>

#include "store/admin.h"
#include "store/base/compress.h"
#include "store/part/scale.h"
#include "store/read.h"

/* In the order of strip.h. */
static const char *const column_names[] = {
	"start",      "count",         "flags", "last time", "first time", "last step", "first step",
	"least step", "greatest step", "form",  "last",      "first",      "min",       "max",
	"sum",        "rest of sum",   "nan",   "+inf",      "-inf",       "bad time",  "bad step",
};
#define NAMES (sizeof(column_names) / sizeof(*column_names))

struct share {
	size_t dense, loose;
};

static struct share shares[NAMES];
static size_t column_at; /* of the strip that is being put */
static const struct column_out *column_to;
static struct share column_from;

static void begin_column(const struct column_out *o)
{
	column_to = o;
	column_from = (struct share){ o->dense.len, o->loose.len };
}

static int end_column(int err)
{
	struct share *s = &shares[column_at++ % NAMES];

	s->dense += column_to->dense.len - column_from.dense;
	s->loose += column_to->loose.len - column_from.loose;
	return err;
}

static int column_counted(struct column_out *o, const int64_t *v, size_t n, const int64_t *const *refs,
			  size_t n_refs)
{
	begin_column(o);
	return end_column(column_put(o, v, n, refs, n_refs));
}

static int numbers_counted(struct column_out *o, struct scale s, const double *v, size_t n,
			   const int64_t *const *refs, size_t n_refs, int64_t *ret_m)
{
	begin_column(o);
	return end_column(numbers_put(o, s, v, n, refs, n_refs, ret_m));
}

#define column_put  column_counted
#define numbers_put numbers_counted
#include "store/part/strip.c"
#include "store/part/strip_coder.c"
#undef column_put
#undef numbers_put

static struct strip *strip;
static struct strip_bucket buckets[STRIP_MAX];
static struct column_out out;
static size_t n_buckets;
static uint32_t last_sid;
static double bytes[NAMES], all_bytes;
static uint64_t all_buckets, all_samples, singles;

static void must(bool what, const char *why)
{
	if (!what) {
		fprintf(stderr, "strip_bytes: %s\n", why);
		exit(1);
	}
}

/* What has been put since the last block becomes one. */
static void end_block(void)
{
	struct buf packed;
	double shrunk;

	if (out.loose.len == 0)
		return;
	buf_init(&packed, 1 << 24);
	must(compress_block(buf_span(&out.loose), 9, &packed) == 0, "out of memory");
	shrunk = packed.len < out.loose.len ? (double)packed.len / (double)out.loose.len : 1;
	for (size_t i = 0; i < NAMES; i++)
		bytes[i] += (double)shares[i].dense + shrunk * (double)shares[i].loose;
	all_bytes += (double)out.dense.len + shrunk * (double)out.loose.len;
	memset(shares, 0, sizeof(shares));
	buf_clear(&out.dense);
	buf_clear(&out.loose);
	buf_release(&packed);
}

static void end_strip(void)
{
	static size_t in_block;

	if (n_buckets == 0)
		return;
	if (in_block + n_buckets > STRIP_MAX) {
		end_block();
		in_block = 0;
	}
	column_at = 0;
	must(strip_put(strip, &out, buckets, n_buckets) == 0, "a strip cannot be coded");
	must(column_at == NAMES, "a column has no name here");
	in_block += n_buckets;
	all_buckets += n_buckets;
	singles += n_buckets - strip->n_full;
	while (n_buckets)
		bucket_release(&buckets[--n_buckets].bucket);
}

static int on_bucket(void *arg, uint32_t sid, int64_t start_ns, const struct bucket *b)
{
	(void)arg;
	if (sid != last_sid || n_buckets == STRIP_MAX)
		end_strip();
	last_sid = sid;
	all_samples += bucket_samples(b);
	buckets[n_buckets].key = (struct block_key){ sid, start_ns, WINDOW_DEFAULT_NS };
	return bucket_copy(&buckets[n_buckets++].bucket, b);
}

struct walk {
	struct view *view;
	const char *like;
	uint32_t sids[100000];
	size_t n;
};

static int on_series(void *arg, uint32_t sid, const struct series_name *name)
{
	struct walk *w = arg;

	must(w->n < 100000, "too many series");
	if (memmem(name->metric.data, name->metric.len, w->like, strlen(w->like)))
		w->sids[w->n++] = sid;
	return 0;
}

static int on_run(void *arg, const struct run *r)
{
	struct walk *w = arg;

	w->n = 0;
	must(view_series(w->view, r->rid, on_series, w) == 0, "series");
	return view_windows(w->view, r->rid, w->sids, w->n, INT64_MIN, INT64_MAX, 0, on_bucket, NULL, NULL);
}

int main(int argc, char **argv)
{
	struct store_options o = { .read_only = true };
	static struct walk walk = { .like = "" };
	struct store *s;
	struct fault f = { 0 };

	must(argc >= 2, "usage: strip_bytes DIR [LIKE]");
	if (argc > 2)
		walk.like = argv[2];
	buf_init(&out.dense, 1 << 24);
	buf_init(&out.loose, 1 << 24);
	must(strip_new(&strip) == 0, "out of memory");
	must(store_open(argv[1], &o, &s, &f) == 0, f.text);
	must(view_open(s, &walk.view) == 0, "view");
	must(view_runs(walk.view, "default", 0, on_run, &walk) == 0, "runs");
	end_strip();
	end_block();
	view_close(walk.view);
	store_close(s);
	printf("%llu buckets of %.2f samples, %.0f %% of them one sample: %.2f bytes each\n",
	       (unsigned long long)all_buckets, (double)all_samples / (double)all_buckets,
	       100 * (double)singles / (double)all_buckets, all_bytes / (double)all_buckets);
	for (size_t i = 0; i < NAMES; i++)
		printf("  %-14s %7.3f\n", column_names[i], bytes[i] / (double)all_buckets);
	strip_free(strip);
	return 0;
}
