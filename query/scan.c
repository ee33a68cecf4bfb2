#include "query/scan.h"

#define SLOT_BUCKETS_MAX ((size_t)SCAN_SLOT_BUCKETS * 5 / 4) /* one that would hold more is given up */
#define GROW_MAX         16                                  /* times that slots become longer at once */
#define APART_MAX_NS     (365 * NS_PER_DAY)

struct walk {
	const struct scan *s;
	int64_t apart_ns; /* buckets of a series seem to be so far apart; at least the run's window */
	size_t series;    /* index into sids of the window last seen */
	bool open;        /* acc holds a row not handed out yet */
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

static void walk_to(struct walk *w, uint32_t sid)
{
	while (w->series < w->s->n_sids && w->s->sids[w->series] != sid)
		w->series++;
}

/* Whether the open row is the one of a window that starts then. */
static bool row_has(const struct walk *w, int64_t start_ns)
{
	return w->open && w->acc_series == w->series && start_ns >= w->acc_start_ns &&
	       start_ns - w->acc_start_ns < w->s->every_ns;
}

/* How many windows from `from` on go into the row that is open. */
static size_t row_windows(const struct walk *w, const struct sheet *s, size_t from)
{
	size_t to = from;

	while (to < s->n && row_has(w, s->start_ns[to]))
		to++;
	return to - from;
}

static int walk_sheet(void *arg, uint32_t sid, const struct sheet *s)
{
	struct walk *w = arg;
	int err = 0;

	walk_to(w, sid);
	if (s->window_ns >= w->s->every_ns) {
		err = row_out(w);
		return err ? err : w->s->sheet(w->s->arg, w->series, s);
	}
	for (size_t i = 0, n; i < s->n && err == 0; i += n) {
		n = row_windows(w, s, i);
		err = n ? sheet_merge(s, i, i + n, &w->acc) : row_out(w);
		if (n || err)
			continue;
		w->open = true;
		w->acc_series = w->series;
		w->acc_start_ns = window_start(s->start_ns[i], w->s->every_ns);
		bucket_init(&w->acc);
	}
	return err;
}

static int walk_window(void *arg, uint32_t sid, int64_t start_ns, const struct bucket *b)
{
	struct walk *w = arg;
	const struct scan *s = w->s;
	int64_t row_ns;
	int err;

	walk_to(w, sid);
	if (s->every_ns == s->width_ns && !w->open)
		return s->row(s->arg, w->series, start_ns, b);
	if (row_has(w, start_ns))
		return bucket_merge_fields(&w->acc, b, s->fields ? s->fields : WANT_ALL);
	row_ns = window_start(start_ns, s->every_ns);
	err = row_out(w);
	if (err != 0)
		return err;
	w->acc_series = w->series;
	w->acc_start_ns = row_ns;
	err = bucket_copy(&w->acc, b);
	w->open = err == 0;
	return err;
}

/* What a slot of so many windows tells of the next one, when so many buckets were found. */
static void learn(struct walk *w, size_t windows, size_t found)
{
	int64_t grow = (int64_t)(windows / (2 * found + 1));

	if (found > SLOT_BUCKETS_MAX)
		w->apart_ns /= GROW_MAX;
	else if (grow > 1)
		w->apart_ns *= grow < GROW_MAX ? grow : GROW_MAX;
	if (w->apart_ns < w->s->window_ns)
		w->apart_ns = w->s->window_ns;
	if (w->apart_ns > APART_MAX_NS)
		w->apart_ns = APART_MAX_NS;
}

/* One view over n series from first, and the windows that start in [from, to).  *ret_again: that is too
 * much at once, and nothing was told. */
static int slot_run(struct walk *w, size_t first, size_t n, int64_t from_ns, int64_t to_ns, bool *ret_again,
		    bool *ret_partial)
{
	const struct scan *s = w->s;
	bool least = w->apart_ns == s->window_ns, partial = false;
	size_t windows = n * (size_t)((to_ns - from_ns) / w->apart_ns), found = 0;
	struct view *v;
	int err = view_open(s->store, &v);

	if (err < 0)
		return err;
	view_bound(v, least ? SIZE_MAX : SLOT_BUCKETS_MAX, &found);
	w->series = first;
	view_fields(v, s->fields);
	view_sheets(v, s->sheet ? walk_sheet : NULL);
	err = view_windows(v, s->rid, s->sids + first, n, from_ns, to_ns, s->width_ns, walk_window, w,
			   &partial);
	view_close(v);
	learn(w, windows, found);
	*ret_again = !least && err == ERR_FULL && found > SLOT_BUCKETS_MAX;
	if (*ret_again)
		return 0;
	*ret_partial |= partial;
	if (err == 0 && s->pause)
		err = s->pause(s->arg);
	return err;
}

/* Where a slot of one series ends that begins at `at`. */
static int64_t slot_end(const struct walk *w, int64_t at)
{
	int64_t width = w->s->width_ns, n = w->apart_ns * SCAN_SLOT_BUCKETS / width, len;

	if (__builtin_mul_overflow(n > 0 ? n : 1, width, &len) || w->s->to_ns - at <= len)
		return w->s->to_ns;
	return at + len;
}

static int long_run(struct walk *w, size_t first, bool *ret_partial)
{
	bool again;
	int err = 0;

	for (int64_t at = w->s->from_ns, to; err == 0 && at < w->s->to_ns; at = again ? at : to) {
		to = slot_end(w, at);
		err = slot_run(w, first, 1, at, to, &again, ret_partial);
	}
	return err;
}

/* How many series of the whole range go into a slot; 0: not even one. */
static size_t together(const struct walk *w, size_t left)
{
	int64_t windows = (w->s->to_ns - w->s->from_ns) / w->apart_ns;
	size_t n = (size_t)(SCAN_SLOT_BUCKETS / (windows > 0 ? windows : 1));

	return n < left ? n : left;
}

int scan_run(const struct scan *s, bool *ret_partial)
{
	struct walk w = { .s = s, .apart_ns = s->window_ns };
	int err = 0;

	if (s->from_ns >= s->to_ns)
		return 0;
	for (size_t i = 0, n; err == 0 && i < s->n_sids; i += n) {
		bool again = false;

		n = together(&w, s->n_sids - i);
		if (n > 0)
			err = slot_run(&w, i, n, s->from_ns, s->to_ns, &again, ret_partial);
		else
			err = long_run(&w, i, ret_partial);
		n = again ? 0 : n > 0 ? n : 1;
	}
	if (err == 0)
		err = row_out(&w);
	bucket_release(&w.acc);
	if (err == 0 && s->pause)
		err = s->pause(s->arg);
	return err;
}
