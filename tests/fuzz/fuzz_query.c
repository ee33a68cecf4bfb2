/*
 * Texts from outside that query/ takes apart: query strings of /query and of logs, specs and changes of them,
 * answers fed piece by piece, log text for a terminal, Accept headers, steps.  The first byte chooses.
 */
#include <assert.h>
#include <stdlib.h>

#include "query/accept.h"
#include "query/ask.h"
#include "query/cli/rowtext.h"
#include "query/cli/term.h"
#include "query/jsontext.h"
#include "query/logask.h"
#include "query/out.h"
#include "query/patch.h"
#include "query/policyjson.h"
#include "query/spec.h"
#include "query/steps.h"

#define NOW (INT64_C(1750000000) * NS_PER_S)

static void check_fault(int err, const struct fault *f)
{
	assert(err == 0 || (err < 0 && f->err == err && f->text[0]));
}

static void windows_hold(const struct ask *a, int64_t tier, int64_t from, int64_t to)
{
	struct fault f = { 0 };
	struct windows w, c;
	int err = ask_windows(a, tier, from, to, &w, &f);

	check_fault(err, &f);
	if (err < 0)
		return;
	assert(w.every_ns > 0 && w.every_ns % tier == 0);
	assert(w.from_ns % w.every_ns == 0 && w.to_ns % w.every_ns == 0 && w.from_ns <= w.to_ns);
	assert(a->points < 2 || (uint64_t)((w.to_ns - w.from_ns) / w.every_ns) <= a->points);
	assert(!a->points || w.every_ns == tier ||
	       (uint64_t)((w.to_ns - w.from_ns) / w.every_ns) * 2 >= a->points);
	assert(a->has_start || a->has_end || (w.from_ns <= from && w.to_ns >= to));
	c = windows_clip(&w, from, to);
	assert(c.from_ns >= w.from_ns && c.to_ns <= w.to_ns && c.from_ns <= c.to_ns);
}

static void query_string(struct span s)
{
	const struct series_name name = { .metric = span_str("train/loss"),
					  .labels = { { span_str("rank"), span_str("0") } },
					  .n_labels = 1 };
	struct params p;
	struct ask a;
	struct fault f = { 0 };
	int err = params_parse(s, &p, &f);

	check_fault(err, &f);
	if (err == 0)
		check_fault(err = ask_parse(&p, NOW, &a, &f), &f);
	if (err == 0) {
		ask_wants(&a, &name);
		assert(ask_merged_name(&a, &name).n_labels <= 1 && a.step_start <= a.step_end);
		windows_hold(&a, 30 * NS_PER_S, 30 * NS_PER_S, NOW - NOW % (30 * NS_PER_S));
		windows_hold(&a, NS_PER_S, NOW, NOW + 100 * NS_PER_S);
		windows_hold(&a, 300 * NS_PER_S, 0, 0);
	}
	params_release(&p);
}

static void log_query_string(struct span s)
{
	struct log_record r = {
		.seq = 1, .t_ns = NOW, .stream = span_str("stdout"), .text = span_str("a b c 1.5\n")
	};
	struct log_ask a;
	struct fault f = { 0 };
	bool found;
	int err = log_ask_parse(s, NOW, &a, &f);

	check_fault(err, &f);
	if (err == 0 && log_ask_selects(&a, &r))
		check_fault(log_ask_finds(&a, &r, &found, &f), &f);
	log_ask_release(&a);
}

/* What is kept of a spec is a spec again, of a run made in the same way, and the same one. */
static void spec(struct span s)
{
	struct run run = { 0 }, again = { 0 };
	struct buf kept = { 0 };
	struct fault f = { 0 };
	int err = spec_parse(s, "p", &policy_default, &run, &f);

	check_fault(err, &f);
	if (err == 0) {
		assert(json_check(buf_span(&run.spec_json), &f) == 0);
		buf_init(&kept, run.spec_json.len + 20);
		assert(buf_addstr(&kept, run.imported ? "{\"imported\":true," : "{") == 0 &&
		       buf_add(&kept, run.spec_json.data + 1, run.spec_json.len - 1) == 0);
		assert(spec_parse(buf_span(&kept), "p", &policy_default, &again, &f) == 0);
		assert(span_equal(buf_span(&run.spec_json), buf_span(&again.spec_json)));
		assert(run.window_ns == again.window_ns);
	}
	buf_release(&kept);
	run_release(&run);
	run_release(&again);
}

/* A changed spec is JSON, and the same change changes it no further. */
static void merged(struct span s)
{
	static const char spec[] = "{\"api_version\":\"2.1\",\"tags\":{\"a\":\"b\",\"c\":\"d\"},"
				   "\"hyperparams\":{\"lr\":3e-5,\"o\":{\"x\":[1],\"y\":null}},\"m\":1}";
	struct buf once = { 0 }, twice = { 0 };
	struct fault f = { 0 };
	struct patch p;
	int err = patch_parse(s, &p, &f);

	check_fault(err, &f);
	if (err == 0 && patch_apply(&p, span_str(spec), &once, &f) == 0 && !f.err) {
		assert(json_check(buf_span(&once), &f) == 0);
		assert(patch_apply(&p, buf_span(&once), &twice, &f) == 0 && !f.err);
		assert(span_equal(buf_span(&once), buf_span(&twice)));
	}
	buf_release(&once);
	buf_release(&twice);
	patch_release(&p);
}

/* What is told of a policy changes it to what it is. */
static void policy(struct span s)
{
	struct policy_change change, again;
	struct fault f = { 0 };
	struct buf told;
	struct out o;
	int err = policy_parse(s, &change, &f);

	check_fault(err, &f);
	if (err < 0 || change.given != POLICY_ALL)
		return;
	change.values.set = change.given;
	out_init(&o, NULL);
	change.values.set = change.given; /* as in a project that took it */
	out_policy(&o, &change.values, change.values.grace_ns);
	buf_init(&told, o.b.len + 1);
	assert(o.err == 0 &&
	       buf_add(&told, o.b.data, strstr(buf_cstr(&o.b), ",\"source\"") - (char *)o.b.data) == 0);
	assert(buf_addch(&told, '}') == 0 && policy_parse(buf_span(&told), &again, &f) == 0);
	again.values.set = again.given;
	assert(again.given == POLICY_ALL &&
	       memcmp(&again.values, &change.values, sizeof(change.values)) == 0);
	buf_release(&told);
	out_release(&o);
}

static int take(void *arg, struct span s)
{
	*(size_t *)arg += s.len;
	return 0;
}

/* Pieces make no difference. */
static void answer(struct span s)
{
	size_t whole = 0, pieces = 0;
	struct rowtext a, b;
	int err, last = 0;

	rowtext_init(&a);
	rowtext_init(&b);
	a.series = a.row = b.series = b.row = take;
	a.arg = &whole;
	b.arg = &pieces;
	err = rowtext_feed(&a, s);
	for (size_t i = 0; i < s.len && last == 0; i++)
		last = rowtext_feed(&b, span_of(s.data + i, 1));
	assert(err == last && whole == pieces && span_equal(buf_span(&a.rest), buf_span(&b.rest)));
	rowtext_release(&a);
	rowtext_release(&b);
}

static void shown(struct span s)
{
	struct buf out;
	struct out json;
	struct fault f = { 0 };

	buf_init(&out, s.len);
	assert(shown_text(s, true, &out) == 0);
	buf_clear(&out);
	assert(shown_text(s, false, &out) == 0);
	assert(!memchr(out.data ? out.data : (const uint8_t *)"", 0x1b, out.len));
	buf_release(&out);
	out_init(&json, NULL);
	out_string(&json, s);
	if (json_check(buf_span(&json.b), &f) < 0)
		abort();
	out_release(&json);
}

/* An offer that is chosen stays so when it is the only one; none is chosen when each alone is not. */
static void accept(struct span s)
{
	static const char *const offers[] = { "application/json", "text/csv", "application/x-protobuf",
					      NULL };
	int chosen = accept_choose(s, offers);

	for (int i = 0; offers[i]; i++) {
		const char *const one[] = { offers[i], NULL };

		assert(i == chosen ? accept_choose(s, one) == 0 : chosen >= 0 || accept_choose(s, one) < 0);
	}
}

/* Windows of any steps: what comes behind the last step back is shown, whatever came before. */
static void steps(struct span s)
{
	struct step_window w[64];
	int64_t reached = INT64_MIN;
	size_t n = s.len / 2 < 64 ? s.len / 2 : 64, last = 0;

	for (size_t i = 0; i < n; i++) {
		int64_t least = (int8_t)s.data[2 * i];

		w[i] = (struct step_window){ (int64_t)i, least, least + s.data[2 * i + 1], true };
		if (w[i].least < reached)
			last = i;
		reached = last == i || w[i].greatest > reached ? w[i].greatest : reached;
	}
	assert(steps_hide(w, n) == 0);
	for (size_t i = last; i < n; i++)
		assert(!w[i].hidden);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static void (*const targets[])(struct span s) = { query_string, log_query_string, spec,  answer,
							  shown,        accept,           steps, policy,
							  merged };

	if (size > 0)
		targets[data[0] % (sizeof(targets) / sizeof(*targets))](span_of(data + 1, size - 1));
	return 0;
}
