/*
 * mllog.c - lines of MLPerf result logs, of all three generations (api 6):
 *
 *   :::MLLOG {"time_ms": 1652241819719, "key": K, "value": V, "metadata": {"epoch_num": 3, ...}}
 *   :::MLL 1558640136.479 K: {"value": V, "metadata": {"epoch_num": 3, ...}}
 *   :::MLPv0.5.0 MODEL 1541710891.402463675 (file.py:349) K: V
 *
 * A tag may stand anywhere in a line, and several in one.  What is broken says nothing; the search
 * goes on behind its tag, because the output of another rank may have run into it.  A record of the second
 * and the third form ends at the next tag or \r.
 *
 * A value that is a JSON number, or bare NaN, Infinity or -Infinity, is a sample of the metric of that key;
 * text, booleans, null, lists and objects are none.  The step is metadata.step_num, else metadata.epoch_num,
 * the first of them that is written as an integer (and is above -2^63, which stands for none).  Times
 * (time_ms, seconds) are converted from their decimal text; digits below a nanosecond are cut.  A time that
 * is negative, has an exponent or lies after 2261 is none.  Zero is one (some loggers write it); a log record
 * gets one nanosecond more then, because 0 on the wire asks for the time of receipt.  Keys that cannot be a
 * metric's name are counted and reported.
 */
#include "ingest/import/mllog.h"

#include <sys/types.h>

#include "ingest/import/format.h"
#include "ingest/import/json_span.h"
#include "store/base/number.h"

static const char any_tag[] = ":::ML";

static bool is_blank(uint8_t c) { return c == ' ' || c == '\t'; }

static struct span skip(struct span s, size_t n) { return span_of(s.data + n, s.len - n); }

static struct span skip_blanks(struct span s)
{
	while (s.len > 0 && is_blank(s.data[0]))
		s = skip(s, 1);
	return s;
}

static struct span trim(struct span s)
{
	s = skip_blanks(s);
	while (s.len > 0 && is_blank(s.data[s.len - 1]))
		s.len--;
	return s;
}

/* Cuts off and returns the word that s begins with; false when no blank ends it. */
static bool take_word(struct span *s, struct span *ret)
{
	size_t n = 0;

	while (n < s->len && !is_blank(s->data[n]))
		n++;
	if (n == 0 || n == s->len)
		return false;
	*ret = span_of(s->data, n);
	*s = skip_blanks(skip(*s, n));
	return true;
}

/* Cuts off and returns what comes before the first c, and c too. */
static bool take_until(struct span *s, char c, struct span *ret)
{
	const uint8_t *at = s->len ? memchr(s->data, c, s->len) : NULL;

	if (!at)
		return false;
	*ret = span_of(s->data, (size_t)(at - s->data));
	*s = skip(*s, ret->len + 1);
	return true;
}

/* Decimal text in units of unit_ns (10^k) to nanoseconds, exactly; digits below one are cut. */
static bool parse_time(struct span text, int64_t unit_ns, int64_t *ret_ns)
{
	int64_t t = 0, unit = unit_ns;
	bool fraction = false;

	for (size_t i = 0; i < text.len; i++) {
		int digit = text.data[i] - '0';

		if (text.data[i] == '.' && !fraction && i > 0) {
			fraction = true;
			continue;
		}
		if (digit < 0 || digit > 9)
			return false;
		if (fraction)
			unit /= 10;
		else if (t >= LINE_TIME_END_NS / 10)
			return false;
		t = fraction ? t + digit * unit : t * 10 + digit * unit_ns;
	}
	if (text.len == 0 || t >= LINE_TIME_END_NS)
		return false;
	*ret_ns = t;
	return true;
}

/* Number, and the text that a parameter would have. */
static void record_value(struct line_record *r, const struct json_value *v)
{
	const char *text = (const char *)v->text.data;

	r->is_number = (v->kind == JSON_NUMBER || v->kind == JSON_NON_FINITE) &&
		       number_parse(text, v->text.len, &r->number);
	if (v->kind == JSON_NUMBER || v->kind == JSON_STRING ||
	    (v->kind == JSON_WORD && !span_is(v->text, "null")))
		r->value = v->text;
}

/* metadata.step_num, else metadata.epoch_num, where that is an integer. */
static int64_t record_step(const struct json_value *metadata)
{
	struct span at = metadata->text, name;
	struct json_value v, step = { 0 }, epoch = { 0 };
	int64_t n;

	if (metadata->kind != JSON_OBJECT)
		return STEP_NONE;
	while (json_member(&at, &name, &v)) {
		if (span_is(name, "step_num"))
			step = v;
		else if (span_is(name, "epoch_num"))
			epoch = v;
	}
	return json_integer(&step, &n) || json_integer(&epoch, &n) ? n : STEP_NONE;
}

struct members {
	struct json_value time_ms, key, value, metadata;
};

/* Of several members of one name the last counts, as in Python's json. */
static void find_members(struct span object, struct members *ret)
{
	struct span name;
	struct json_value v;

	*ret = (struct members){ 0 };
	while (json_member(&object, &name, &v)) {
		if (span_is(name, "time_ms"))
			ret->time_ms = v;
		else if (span_is(name, "key"))
			ret->key = v;
		else if (span_is(name, "value"))
			ret->value = v;
		else if (span_is(name, "metadata"))
			ret->metadata = v;
	}
}

/* The parsers below stand behind their tag.  They return how many bytes they used up, 0 when it
 * is no record, or a negative error. */

static ssize_t parse_mllog(struct span s, struct line_facts *facts)
{
	struct line_record r = { .step = STEP_NONE };
	struct json_value object;
	struct members m;
	size_t used;
	int err;

	if (json_scan(s, &object) < 0 || object.kind != JSON_OBJECT)
		return 0;
	used = (size_t)(object.text.data + object.text.len - s.data);
	find_members(object.text, &m);
	if (m.time_ms.kind == JSON_NUMBER)
		r.has_time = parse_time(m.time_ms.text, NS_PER_MS, &r.t_ns);
	if (m.key.kind == JSON_STRING) {
		err = json_unescape(span_of(m.key.text.data + 1, m.key.text.len - 2), &facts->names, &r.key);
		if (err < 0)
			return err;
		record_value(&r, &m.value);
		r.step = record_step(&m.metadata);
	}
	err = line_facts_add(facts, &r);
	return err < 0 ? err : (ssize_t)used;
}

/* Ends at the next tag, at \r or at the line's end: what follows is not of this record. */
static struct span record_text(struct span s)
{
	const uint8_t *next = s.len ? memmem(s.data, s.len, any_tag, sizeof(any_tag) - 1) : NULL;

	if (next)
		s.len = (size_t)(next - s.data);
	for (size_t i = 0; i < s.len; i++)
		if (s.data[i] == '\r' || s.data[i] == '\n')
			s.len = i;
	return s;
}

static ssize_t parse_mll(struct span s, struct line_facts *facts)
{
	struct line_record r = { .step = STEP_NONE };
	struct span text = record_text(s), at = skip_blanks(text), seconds;
	struct json_value object;
	struct members m;
	int err;

	if (!take_word(&at, &seconds) || !parse_time(seconds, NS_PER_S, &r.t_ns) ||
	    !take_until(&at, ':', &r.key))
		return 0;
	r.has_time = true;
	r.key = trim(r.key);
	if (json_scan(at, &object) == 0 && object.kind == JSON_OBJECT) {
		find_members(object.text, &m);
		record_value(&r, &m.value);
		r.step = record_step(&m.metadata);
	}
	err = line_facts_add(facts, &r);
	return err < 0 ? err : (ssize_t)text.len;
}

static ssize_t parse_mlp(struct span s, struct line_facts *facts)
{
	struct line_record r = { .step = STEP_NONE };
	struct span text = record_text(s), at = skip_blanks(text), model, seconds, where;
	struct json_value v;
	int err;

	if (!take_word(&at, &model) || !take_word(&at, &seconds) || !parse_time(seconds, NS_PER_S, &r.t_ns))
		return 0;
	if (at.len == 0 || at.data[0] != '(' || !take_until(&at, ')', &where))
		return 0;
	r.has_time = true;
	if (take_until(&at, ':', &r.key)) {
		r.key = trim(r.key);
		at = trim(at);
		if (json_scan(at, &v) == 0 && v.text.len == at.len)
			record_value(&r, &v);
	}
	err = line_facts_add(facts, &r);
	return err < 0 ? err : (ssize_t)text.len;
}

static const struct {
	const char *tag;
	ssize_t (*parse)(struct span s, struct line_facts *facts);
} tags[] = {
	{ ":::MLLOG", parse_mllog },
	{ ":::MLL ", parse_mll },
	{ ":::MLPv0.5.0 ", parse_mlp },
};

/* How far a record reaches that s, standing on any_tag, begins with. */
static ssize_t parse_tag(struct span s, struct line_facts *facts)
{
	for (size_t i = 0; i < sizeof(tags) / sizeof(tags[0]); i++) {
		size_t n = strlen(tags[i].tag);
		ssize_t used;

		if (s.len < n || memcmp(s.data, tags[i].tag, n) != 0)
			continue;
		used = tags[i].parse(skip(s, n), facts);
		return used < 0 ? used : (ssize_t)n + used;
	}
	return sizeof(any_tag) - 1;
}

int mllog_parse_line(struct span line, struct line_facts *ret)
{
	const uint8_t *at, *end = line.data + line.len;

	line_facts_clear(ret);
	while (line.len > 0 && (at = memmem(line.data, line.len, any_tag, sizeof(any_tag) - 1))) {
		ssize_t used = parse_tag(span_of(at, (size_t)(end - at)), ret);

		if (used < 0)
			return (int)used;
		line = span_of(at + used, (size_t)(end - at - used));
	}
	return 0;
}

static bool is_parameter(struct span key)
{
	static const char *const known[] = {
		"submission_benchmark",
		"submission_division",
		"submission_org",
		"submission_platform",
		"submission_status",
		"seed",
		"run_set_random_seed",
		"global_batch_size",
		"d_batch_size",
		"gradient_accumulation_steps",
		"max_sequence_length",
		"train_samples",
		"eval_samples",
		"opt_name",
		"opt_base_learning_rate",
		"opt_learning_rate_warmup_steps",
		"opt_learning_rate_warmup_epochs",
		"opt_weight_decay",
		"opt_momentum",
	};

	for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++)
		if (span_is(key, known[i]))
			return true;
	return false;
}

static int report_record(struct import_sink *k, const struct line_record *r, struct fault *f)
{
	struct import_sample sample = { .metric = r->key, .step = r->step, .value = r->number };
	int err = is_parameter(r->key) ? k->param(k, r->key, r->value) : 0;

	if (err < 0 || !r->is_number)
		return err;
	if (r->has_time)
		sample.time = (struct import_time){ TIME_ABSOLUTE, r->t_ns };
	return k->sample(k, &sample, f);
}

static int report_line(struct import_sink *k, struct span line, const struct line_facts *facts,
		       struct fault *f)
{
	struct import_log log = { .text = line, .rank = RANK_NONE };
	int err;

	if (facts->has_time)
		log.time = (struct import_time){ TIME_ABSOLUTE, facts->t_ns };
	err = k->log(k, &log, f);
	for (size_t i = 0; i < facts->n && err == 0; i++)
		err = report_record(k, &facts->records[i], f);
	return err;
}

static int mllog_read(const struct import_context *c, struct input *in, struct import_sink *k,
		      struct fault *f)
{
	struct line_facts facts;
	struct span line;
	int err;

	(void)c;
	line_facts_init(&facts);
	while ((err = input_line(in, &line, f)) == 0)
		if ((err = mllog_parse_line(line, &facts)) < 0 || (err = report_line(k, line, &facts, f)) < 0)
			break;
	line_facts_release(&facts);
	return err < 0 ? err : 0;
}

static const char help[] = "Result logs of MLPerf Training.  :::MLLOG, :::MLL and :::MLPv0.5.0 lines become\n"
			   "metrics, every line a log record of stream `console`.\n"
			   "\n"
			   "example: astraml import mllog --run bert-1 results/bert/result_1.txt.gz\n";

const struct import_format mllog_format = {
	.name = "mllog",
	.version = "1",
	.summary = "result logs of MLPerf Training: metrics, and the console text",
	.help = help,
	.read = mllog_read,
};
