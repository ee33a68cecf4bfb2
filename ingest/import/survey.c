#include "ingest/import/survey.h"

#include <sodium/crypto_generichash.h>
#include <stdio.h>

#include "ingest/import/json_span.h"
#include "ingest/import/report.h"
#include "ingest/names.h"
#include "store/base/bytes.h"

#define PARAM_BYTES_MAX  1024
#define PARAMS_BYTES_MAX (64 * 1024)
#define SPEC_BYTES_MAX   (2u << 20)
/* Rises when the same facts are cut into other requests (request.c, line_request.c): a sequence never
 * changes. */
#define LAYOUT_VERSION "2"

struct survey_sink {
	struct import_sink sink;
	const struct walk *walk;
	struct survey survey;
	struct arena scratch;
};

static struct survey_sink *of(struct import_sink *k) { return (struct survey_sink *)k; }

static void see_time(struct survey_sink *s, struct import_time t)
{
	struct survey *v = &s->survey;

	if (t.kind == TIME_ABSOLUTE && !v->has_time && t.ns >= 0 && t.ns <= s->walk->latest_ns) {
		v->has_time = true;
		v->first_ns = t.ns;
	}
	if (t.kind != TIME_RELATIVE)
		return;
	v->least_ns = v->has_relative && v->least_ns < t.ns ? v->least_ns : t.ns;
	v->greatest_ns = v->has_relative && v->greatest_ns > t.ns ? v->greatest_ns : t.ns;
	v->has_relative = true;
}

static int see_sample(struct import_sink *k, const struct import_sample *sample, struct fault *f)
{
	(void)f;
	see_time(of(k), sample->time);
	return 0;
}

static int see_log(struct import_sink *k, const struct import_log *l, struct fault *f)
{
	(void)f;
	see_time(of(k), l->time);
	return 0;
}

/* Strings with half a surrogate pair, or bytes that are not UTF-8, cannot be sent as JSON; control
 * characters have no place in a parameter. */
static bool value_ok(struct span value, struct arena *a)
{
	struct span text;

	if (value.len == 0 || value.len > PARAM_BYTES_MAX)
		return false;
	if (value.data[0] != '"')
		return value.data[0] != '{' && value.data[0] != '[' && !span_is(value, "null");
	return json_unescape(span_of(value.data + 1, value.len - 2), a, &text) == 0 && name_is_clean(text);
}

/* A key that JSON would write otherwise is no parameter of ours. */
static bool key_ok(struct span key)
{
	for (size_t i = 0; i < key.len; i++)
		if (key.data[i] == '"' || key.data[i] == '\\')
			return false;
	return key.len > 0 && key.len <= METRIC_NAME_MAX && name_is_clean(key);
}

static bool has_param(struct span params, struct span key)
{
	struct span name;
	struct json_value v;
	struct span at = params;

	while (json_member(&at, &name, &v))
		if (span_equal(name, key))
			return true;
	return false;
}

/* The members are kept with a brace before them, as json_member wants it. */
static int see_param(struct import_sink *k, struct span key, struct span value)
{
	struct survey_sink *s = of(k);
	struct buf *params = &s->survey.params;
	int err;

	arena_reset(&s->scratch);
	if (!key_ok(key) || !value_ok(value, &s->scratch) || has_param(buf_span(params), key))
		return 0;
	err = buf_addf(params, "%s\"%.*s\":%.*s", params->len > 1 ? "," : "", (int)key.len,
		       (const char *)key.data, (int)value.len, (const char *)value.data);
	return err == ERR_FULL ? 0 : err;
}

static int see_line(struct import_sink *k, const struct import_line *l, struct fault *f)
{
	(void)f;
	see_time(of(k), l->time);
	return 0;
}

static int see_run(struct import_sink *k, const struct import_run *r)
{
	struct survey *v = &of(k)->survey;
	int err = buf_add(&v->spec, r->spec.data, r->spec.len);

	if (err < 0)
		return err;
	snprintf(v->window, sizeof(v->window), "%.*s", (int)r->window.len, (const char *)r->window.data);
	v->run = *r;
	v->run.spec = buf_span(&v->spec);
	v->run.window = span_of(v->window, strlen(v->window));
	v->has_run = true;
	return 0;
}

static void see_note(struct import_sink *k, const char *text)
{
	const struct walk *w = of(k)->walk;

	progress_clear(w->progress);
	report_problem(w->item->name, text);
}

int survey_files(const struct walk *w, struct survey *ret, struct fault *f)
{
	struct survey_sink s = { .sink = { see_sample, see_log, see_param, see_note, see_line, see_run },
				 .walk = w };
	int err;

	buf_init(&s.survey.params, PARAMS_BYTES_MAX);
	buf_init(&s.survey.spec, SPEC_BYTES_MAX);
	arena_init(&s.scratch, 64 * 1024);
	err = buf_addch(&s.survey.params, '{');
	err = err < 0 ? fault_default(f, err) : walk_files(w, false, &s.sink, f);
	arena_release(&s.scratch);
	if (err < 0) {
		survey_release(&s.survey);
		return err;
	}
	buf_consume(&s.survey.params, 1);
	*ret = s.survey;
	return 0;
}

void survey_release(struct survey *v)
{
	buf_release(&v->params);
	buf_release(&v->spec);
}

/* With its length, so that no two lists of parts give the same bytes. */
static void hash_text(crypto_generichash_state *hash, const char *s)
{
	uint8_t n[8];

	put_le64(n, strlen(s));
	crypto_generichash_update(hash, n, sizeof(n));
	crypto_generichash_update(hash, (const uint8_t *)s, strlen(s));
}

void survey_producer(const struct walk *w, const char *run, uint8_t ret[PRODUCER_ID_BYTES])
{
	crypto_generichash_state hash;

	crypto_generichash_init(&hash, NULL, 0, PRODUCER_ID_BYTES);
	hash_text(&hash, LAYOUT_VERSION);
	hash_text(&hash, w->format->name);
	hash_text(&hash, w->format->version);
	hash_text(&hash, run);
	for (size_t i = 0; i < w->context.args->n; i++) {
		const struct import_arg *arg = &w->context.args->given[i];

		if (arg->option->is_silent)
			continue;
		hash_text(&hash, arg->option->name);
		hash_text(&hash, arg->value);
	}
	for (size_t i = 0; i < w->item->n_paths; i++)
		crypto_generichash_update(&hash, w->content[i].digest, INPUT_DIGEST_BYTES);
	crypto_generichash_final(&hash, ret, PRODUCER_ID_BYTES);
}
