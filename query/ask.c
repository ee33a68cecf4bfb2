#include "query/ask.h"

static const char *const agg_names[AGGS] = {
	"count",      "sum",       "min",      "max",      "mean",       "first",
	"last",       "nan",       "pos_inf",  "neg_inf",  "first_time", "last_time",
	"first_step", "last_step", "step_min", "step_max", "bad_time",   "bad_step",
};

const char *agg_name(enum agg a) { return agg_names[a]; }

unsigned agg_fields(enum agg a)
{
	switch (a) {
	case AGG_COUNT:
		return WANT_COUNT;
	case AGG_SUM:
	case AGG_MEAN:
		return WANT_SUM;
	case AGG_MIN:
		return WANT_MIN;
	case AGG_MAX:
		return WANT_MAX;
	case AGG_FIRST:
		return WANT_FIRST | WANT_TIMES | WANT_STEPS;
	case AGG_LAST:
		return WANT_LAST | WANT_TIMES | WANT_STEPS;
	case AGG_FIRST_TIME:
	case AGG_LAST_TIME:
	case AGG_FIRST_STEP:
	case AGG_LAST_STEP:
	case AGG_STEP_MIN:
	case AGG_STEP_MAX:
		return WANT_TIMES | WANT_STEPS;
	default:
		return WANT_RARE;
	}
}

static int agg_add(struct ask *a, struct span name, struct fault *f)
{
	for (int i = 0; i < AGGS; i++) {
		if (!span_is(name, agg_names[i]))
			continue;
		for (size_t j = 0; j < a->n_aggs; j++)
			if (a->aggs[j] == (enum agg)i)
				return fault_set(f, ERR_REFUSED, "agg", "agg names %s twice; once is enough",
						 agg_names[i]);
		a->aggs[a->n_aggs++] = (enum agg)i;
		return 0;
	}
	if (span_is(name, "stddev") ||
	    (name.len > 1 && name.data[0] == 'p' && name.data[1] >= '0' && name.data[1] <= '9'))
		return fault_set(
		    f, ERR_REFUSED, "agg",
		    "agg=%.*s needs more than windows keep (count, sum, min, max, first, last); it is "
		    "not served by this version",
		    (int)(name.len < 60 ? name.len : 60), (const char *)name.data);
	return fault_set(
	    f, ERR_REFUSED, "agg",
	    "agg=%.*s is not known; there are count, sum, min, max, mean, first, "
	    "last, nan, pos_inf, neg_inf, first_time, last_time, first_step, last_step, step_min, "
	    "step_max, bad_time and bad_step",
	    (int)(name.len < 60 ? name.len : 60), (const char *)name.data);
}

static int aggs_parse(struct ask *a, struct fault *f)
{
	static const enum agg usual[] = { AGG_COUNT, AGG_MIN, AGG_MAX, AGG_MEAN, AGG_FIRST, AGG_LAST };
	struct span s;
	int err;

	if (!params_get(a->params, "agg", 0, &s)) {
		memcpy(a->aggs, usual, sizeof usual);
		a->n_aggs = sizeof usual / sizeof *usual;
		return 0;
	}
	for (;;) {
		const uint8_t *comma = memchr(s.data, ',', s.len);
		size_t n = comma ? (size_t)(comma - s.data) : s.len;

		if ((err = agg_add(a, span_of(s.data, n), f)) < 0 || !comma)
			return err;
		s = span_of(comma + 1, s.len - n - 1);
	}
}

static int width_parse(struct ask *a, struct fault *f)
{
	struct span s, points;

	if (!params_get(a->params, "every", 0, &s))
		return params_u64(a->params, "points", 1, ASK_ROWS_MAX, &a->points, f);
	if (params_get(a->params, "points", 0, &points))
		return fault_set(f, ERR_REFUSED, "points",
				 "every and points both say how wide a window is; give one");
	return params_duration(a->params, "every", &a->every_ns, f);
}

static int runs_parse(struct ask *a, struct fault *f)
{
	struct span s;
	int err;

	for (size_t i = 0; params_get(a->params, "run", i, &s); i++) {
		if (a->n_runs == ASK_RUNS_MAX)
			return fault_set(f, ERR_REFUSED, "run",
					 "more than %d runs are asked for; ask in several "
					 "requests",
					 ASK_RUNS_MAX);
		if ((err = id_check("run", s, f)) < 0)
			return err;
		for (size_t j = 0; j < a->n_runs; j++)
			if (span_equal(a->runs[j], s))
				return fault_set(f, ERR_REFUSED, "run", "run %.*s is asked for twice",
						 (int)s.len, (const char *)s.data);
		a->runs[a->n_runs++] = s;
	}
	if (a->n_runs == 0)
		return fault_set(f, ERR_REFUSED, "run", "no run is named; add run=ID, once for each run");
	return 0;
}

static int steps_parse(struct ask *a, struct fault *f)
{
	struct span s;
	int err;

	if ((err = params_i64(a->params, "step_start", &a->step_start, f)) < 0 ||
	    (err = params_i64(a->params, "step_end", &a->step_end, f)) < 0)
		return err;
	if (a->step_start > a->step_end)
		return fault_set(f, ERR_REFUSED, "step_start",
				 "step_start lies after step_end; exchange them");
	if (!params_get(a->params, "x", 0, &s))
		return 0;
	a->x_step = span_is(s, "step");
	if (!a->x_step && !span_is(s, "time"))
		return fault_set(f, ERR_REFUSED, "x", "x=%.*s is neither time nor step",
				 (int)(s.len < 60 ? s.len : 60), (const char *)s.data);
	return 0;
}

static int by_parse(struct ask *a, struct fault *f)
{
	struct span s;

	for (size_t i = 0; params_get(a->params, "by", i, &s); i++) {
		a->merge = true;
		if (s.len == 0)
			continue;
		if (a->n_by == ASK_BY_MAX)
			return fault_set(f, ERR_REFUSED, "by",
					 "by= names more than %d labels; no series has as many", ASK_BY_MAX);
		a->by[a->n_by++] = s;
	}
	return 0;
}

static int samples_parse(struct ask *a, struct fault *f)
{
	static const char *const of_windows[] = { "every", "points", "agg", "by" };
	struct span s;

	if (!params_get(a->params, "samples", 0, &s))
		return 0;
	a->samples = span_is(s, "true");
	if (!a->samples && !span_is(s, "false"))
		return fault_set(f, ERR_REFUSED, "samples", "samples=%.*s is neither true nor false",
				 (int)(s.len < 60 ? s.len : 60), (const char *)s.data);
	for (size_t i = 0; a->samples && i < sizeof of_windows / sizeof *of_windows; i++)
		if (params_get(a->params, of_windows[i], 0, &s))
			return fault_set(
			    f, ERR_REFUSED, of_windows[i],
			    "%s says something of windows, and samples=true asks for every sample "
			    "by itself; leave one of them out",
			    of_windows[i]);
	return 0;
}

/* What needs attempts, of which nothing is kept. */
static int unsupported_check(const struct params *p, struct fault *f)
{
	struct span s;

	if (params_get(p, "attempt", 0, &s))
		return fault_set(
		    f, ERR_REFUSED, "attempt",
		    "attempt=%.*s is not served by this version: attempts of a run are not kept apart; "
		    "x=step shows the newest, x=time all of them",
		    (int)(s.len < 60 ? s.len : 60), (const char *)s.data);
	return 0;
}

int ask_parse(const struct params *p, int64_t now_ns, struct ask *ret, struct fault *f)
{
	static const char *const known[] = { "run*",       "metric*",  "label.",  "start",   "end",
					     "step_start", "step_end", "every",   "points",  "agg",
					     "x",          "by*",      "samples", "attempt", NULL };
	struct ask a = { .params = p,
			 .start_ns = INT64_MIN,
			 .end_ns = INT64_MIN,
			 .step_start = INT64_MIN,
			 .step_end = INT64_MAX };
	int err;

	if ((err = params_check(p, known, f)) < 0 || (err = unsupported_check(p, f)) < 0 ||
	    (err = runs_parse(&a, f)) < 0 || (err = aggs_parse(&a, f)) < 0 ||
	    (err = width_parse(&a, f)) < 0 || (err = steps_parse(&a, f)) < 0 || (err = by_parse(&a, f)) < 0 ||
	    (err = samples_parse(&a, f)) < 0 || (err = params_time(p, "start", now_ns, &a.start_ns, f)) < 0 ||
	    (err = params_time(p, "end", now_ns, &a.end_ns, f)) < 0)
		return err;
	a.has_start = a.start_ns != INT64_MIN;
	a.has_end = a.end_ns != INT64_MIN;
	if (a.has_start && a.has_end && a.start_ns > a.end_ns)
		return fault_set(f, ERR_REFUSED, "start", "start lies after end; exchange them");
	*ret = a;
	return 0;
}

static struct span label_value(const struct series_name *name, struct span key)
{
	for (size_t i = 0; i < name->n_labels; i++)
		if (span_equal(name->labels[i].key, key))
			return name->labels[i].value;
	return span_str("");
}

/* Whether the series has one of the values that the parameters give for this label. */
static bool label_wanted(const struct params *p, struct span param_name, const struct series_name *name)
{
	struct span value = label_value(name, span_of(param_name.data + 6, param_name.len - 6));

	for (size_t i = 0; i < p->n; i++)
		if (span_equal(p->list[i].name, param_name) && span_equal(p->list[i].value, value))
			return true;
	return false;
}

bool ask_wants(const struct ask *a, const struct series_name *name)
{
	const struct params *p = a->params;
	bool any = false, hit = false;

	for (size_t i = 0; i < p->n; i++) {
		struct span key = p->list[i].name;

		if (span_is(key, "metric")) {
			any = true;
			hit = hit || glob_match(p->list[i].value, name->metric);
		} else if (key.len > 6 && memcmp(key.data, "label.", 6) == 0 && !label_wanted(p, key, name)) {
			return false;
		}
	}
	return hit || !any;
}

size_t ask_metrics(const struct ask *a, struct span *ret)
{
	const struct params *p = a->params;
	size_t n = 0;

	for (size_t i = 0; i < p->n; i++) {
		struct span value = p->list[i].value;

		if (!span_is(p->list[i].name, "metric"))
			continue;
		if (n == ASK_METRICS_MAX || (value.len && memchr(value.data, '*', value.len)))
			return 0;
		ret[n++] = value;
	}
	return n;
}

bool ask_wants_step(const struct ask *a, int64_t step)
{
	bool bounded = a->step_start != INT64_MIN || a->step_end != INT64_MAX;

	if (step == STEP_NONE)
		return !a->x_step && !bounded;
	return step >= a->step_start && (step < a->step_end || a->step_end == INT64_MAX);
}

static bool by_has(const struct ask *a, struct span key)
{
	for (size_t i = 0; i < a->n_by; i++)
		if (span_equal(a->by[i], key))
			return true;
	return false;
}

struct series_name ask_merged_name(const struct ask *a, const struct series_name *name)
{
	struct series_name merged = { .metric = name->metric };

	for (size_t i = 0; i < name->n_labels; i++)
		if (by_has(a, name->labels[i].key) && name->labels[i].value.len > 0)
			merged.labels[merged.n_labels++] = name->labels[i];
	return merged;
}

int64_t window_end(int64_t t_ns, int64_t width_ns)
{
	uint64_t width = (uint64_t)width_ns, up = ((uint64_t)t_ns + width - 1) / width * width;

	return up > INT64_MAX ? t_ns - t_ns % width_ns : (int64_t)up;
}

static struct windows windows_of(const struct ask *a, int64_t start, int64_t end, int64_t every)
{
	struct windows w = { .every_ns = every, .to_ns = window_end(end, every) };

	w.from_ns = a->has_start ? window_end(start, every) : window_start(start, every);
	if (w.to_ns < w.from_ns)
		w.to_ns = w.from_ns;
	return w;
}

int ask_windows(const struct ask *a, int64_t tier_ns, int64_t life_from_ns, int64_t life_to_ns,
		struct windows *ret, struct fault *f)
{
	int64_t start = a->has_start                             ? a->start_ns
			: a->has_end && a->end_ns < life_from_ns ? a->end_ns
								 : life_from_ns;
	int64_t end = a->has_end                                 ? a->end_ns
		      : a->has_start && a->start_ns > life_to_ns ? a->start_ns
								 : life_to_ns;
	int64_t every = a->every_ns ? window_end(a->every_ns, tier_ns) : tier_ns;
	struct windows w;

	if (start > end)
		return fault_set(f, ERR_REFUSED, "start", "start lies after end; exchange them");
	w = windows_of(a, start, end, every);
	while (a->points && (uint64_t)((w.to_ns - w.from_ns) / every) > a->points && every <= INT64_MAX / 2) {
		every *= 2;
		w = windows_of(a, start, end, every);
	}
	*ret = w;
	return 0;
}

struct windows windows_clip(const struct windows *w, int64_t life_from_ns, int64_t life_to_ns)
{
	struct windows c = *w;
	int64_t from = window_start(life_from_ns, w->every_ns), to = window_end(life_to_ns, w->every_ns);

	if (from > c.from_ns)
		c.from_ns = from;
	if (to < c.to_ns)
		c.to_ns = to;
	if (c.to_ns < c.from_ns)
		c.from_ns = c.to_ns = w->from_ns;
	return c;
}

int64_t width_join(int64_t a_ns, int64_t b_ns)
{
	int64_t a = a_ns, b = b_ns;

	while (b > 0) {
		int64_t rest = a % b;

		a = b;
		b = rest;
	}
	return a_ns / a * b_ns;
}
