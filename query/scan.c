#include "query/scan.h"

#define WIDEN_MAX 64 /* how many times wider a slot grows over stretches without any data */

struct walk {
	const struct scan *s;
	size_t series; /* index into sids of the bucket last seen */
	size_t found;  /* buckets of this slot */
	bool open;     /* acc holds a row not handed out yet */
	size_t acc_series;
	int64_t acc_start_ns;
	struct bucket acc;
};

static int row_out(struct walk *w)
{
	int err;

	if (!w->open)
		return 0;
	err = w->s->row(w->s->arg, w->acc_series, w->acc_start_ns, &w->acc);
	bucket_release(&w->acc);
	w->open = false;
	return err;
}

static int walk_bucket(void *arg, uint32_t sid, int64_t start_ns, const struct bucket *b)
{
	struct walk *w = arg;
	const struct scan *s = w->s;
	int64_t row_ns;
	int err;

	w->found++;
	while (w->series < s->n_sids && s->sids[w->series] != sid)
		w->series++;
	if (s->every_ns == s->window_ns)
		return s->row(s->arg, w->series, start_ns, b);
	if (w->open && w->acc_series == w->series && start_ns >= w->acc_start_ns &&
	    start_ns - w->acc_start_ns < s->every_ns)
		return bucket_merge_fields(&w->acc, b, s->fields ? s->fields : WANT_ALL);
	row_ns = s->every_ns == SCAN_WHOLE ? s->from_ns : window_start(start_ns, s->every_ns);
	err = row_out(w);
	if (err != 0)
		return err;
	w->acc_series = w->series;
	w->acc_start_ns = row_ns;
	err = bucket_copy(&w->acc, b);
	w->open = err == 0;
	return err;
}

/* One view over n series from first, and the windows that start in [from, to). */
static int slot_run(struct walk *w, size_t first, size_t n, int64_t from_ns, int64_t to_ns, bool *ret_partial)
{
	const struct scan *s = w->s;
	struct view *v;
	bool partial = false;
	int err = view_open(s->store, &v);

	if (err < 0)
		return err;
	w->series = first;
	w->found = 0;
	view_fields(v, s->fields);
	err = view_buckets(v, s->rid, s->sids + first, n, from_ns, to_ns, walk_bucket, w, &partial);
	view_close(v);
	*ret_partial |= partial;
	if (err == 0 && s->pause)
		err = s->pause(s->arg);
	return err;
}

/* One series whose range has more windows than a slot takes. */
static int long_run(struct walk *w, size_t first, bool *ret_partial)
{
	int64_t slot_ns = w->s->window_ns * SCAN_SLOT_BUCKETS, wide = 1;
	int err = 0;

	for (int64_t at = w->s->from_ns; err == 0 && at < w->s->to_ns;) {
		int64_t to = w->s->to_ns - at > slot_ns * wide ? at + slot_ns * wide : w->s->to_ns;

		err = slot_run(w, first, 1, at, to, ret_partial);
		at = to;
		wide = w->found == 0 && wide < WIDEN_MAX ? wide * 2 : w->found == 0 ? wide : 1;
	}
	return err;
}

int scan_run(const struct scan *s, bool *ret_partial)
{
	struct walk w = { .s = s };
	int64_t windows = (s->to_ns - s->from_ns) / s->window_ns;
	size_t together = windows <= 0 ? 0 : (size_t)(SCAN_SLOT_BUCKETS / windows);
	int err = 0;

	if (windows <= 0)
		return 0;
	for (size_t i = 0; err == 0 && i < s->n_sids; i += together ? together : 1) {
		size_t n = together < s->n_sids - i ? together : s->n_sids - i;

		err = n == 0 ? long_run(&w, i, ret_partial)
			     : slot_run(&w, i, n, s->from_ns, s->to_ns, ret_partial);
	}
	if (err == 0)
		err = row_out(&w);
	bucket_release(&w.acc);
	if (err == 0 && s->pause)
		err = s->pause(s->arg);
	return err;
}
