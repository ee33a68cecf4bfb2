/*
 * jsonl.c - the lines of `push` and of `export` as a format: they go to the server as they are.
 *
 * An export begins with a line about the run and ends with one that says it is whole; without that it
 * was cut, and nothing of it is taken.
 */
#include <inttypes.h>

#include "ingest/import/format.h"
#include "ingest/import/json_span.h"

#define LINE_BYTES_MAX (16u << 20) /* a text of 1 MiB in JSON, and in base64 */
#define LOOK_BYTES     (64u << 10)

enum member { RUN, END, ERROR, METRIC, BUCKET, LOG, TEXT_BASE64, TIME, MEMBERS };

static const char *const member_names[MEMBERS] = { "run",    "end", "error",       "metric",
						   "bucket", "log", "text_base64", "time" };

enum end_member { BUCKETS, SAMPLES, RECORDS, PARTIAL, END_MEMBERS };

static const char *const end_names[END_MEMBERS] = { "buckets", "samples", "records", "partial" };

struct jsonl {
	struct import_sink *sink;
	struct fault *f;
	uint64_t number; /* of the line */
	uint64_t n_buckets, n_samples, n_records;
	bool is_export, ended;
	struct json_value at[MEMBERS];
};

static int malformed(struct jsonl *j, const char *what)
{
	return fault_set(j->f, ERR_MALFORMED, "", "line %" PRIu64 ": %s", j->number, what);
}

/* ---- the run ---- */

enum run_member { SPEC, STATE, EXIT_CODE, STARTED_AT, ENDED_AT, RUN_MEMBERS };

static const char *const run_names[RUN_MEMBERS] = { "spec", "state", "exit_code", "started_at", "ended_at" };

static void find_members(struct span object, const char *const *names, size_t n, struct json_value *ret)
{
	struct json_value value;
	struct span name;

	memset(ret, 0, n * sizeof(*ret));
	while (json_member(&object, &name, &value))
		for (size_t i = 0; i < n; i++)
			if (span_is(name, names[i]) && !span_is(value.text, "null"))
				ret[i] = value;
}

/* The null that a member is; empty when it is another value, or not there. */
static struct span null_of(struct span object, const char *member)
{
	struct json_value value;
	struct span name;

	while (json_member(&object, &name, &value))
		if (span_is(name, member) && span_is(value.text, "null"))
			return value.text;
	return (struct span){ 0 };
}

static struct span text_of(const struct json_value *v)
{
	return v->kind == JSON_STRING ? span_of(v->text.data + 1, v->text.len - 2) : (struct span){ 0 };
}

static bool get_time(const struct json_value *v, int64_t *ret)
{
	struct span s = text_of(v);

	return v->kind == JSON_NONE || clock_parse((const char *)s.data, s.len, ret);
}

/* Imports end: a run that had not when it was exported is finished here. */
static enum run_state end_of(struct jsonl *j, struct span state)
{
	enum run_state s = run_state_parse(state);

	if (s == RUN_FINISHED || s == RUN_FAILED || s == RUN_KILLED)
		return s;
	sink_note(j->sink, "the run was %.*s when it was exported; here it ends as finished",
		  (int)(state.len < 40 ? state.len : 40), (const char *)state.data);
	return RUN_FINISHED;
}

static int read_run(struct jsonl *j)
{
	struct import_run run = { 0 };
	struct json_value at[RUN_MEMBERS];
	int64_t code;

	if (j->number > 1)
		return malformed(j, "\"run\" is there, which is the first line of an export");
	if (j->at[RUN].kind != JSON_OBJECT)
		return malformed(j, "\"run\" is no object");
	find_members(j->at[RUN].text, run_names, RUN_MEMBERS, at);
	if (at[SPEC].kind != JSON_OBJECT || !get_time(&at[STARTED_AT], &run.started_ns) ||
	    !get_time(&at[ENDED_AT], &run.ended_ns))
		return malformed(j, "\"run\" lacks its \"spec\", or has a time that is none");
	run.spec = at[SPEC].text;
	run.state = end_of(j, text_of(&at[STATE]));
	run.has_exit_code = json_integer(&at[EXIT_CODE], &code) && code >= INT32_MIN && code <= INT32_MAX;
	run.exit_code = run.has_exit_code ? (int32_t)code : 0;
	j->is_export = true;
	return j->sink->run(j->sink, &run);
}

/* ---- lines ---- */

static const char *const bucket_names[] = { "start" };

/* The time of a line as a hint for the lines without one, and for the run's start; the server judges it. */
static void see_time(struct jsonl *j, struct import_line *l)
{
	const struct json_value *v = &j->at[TIME];
	struct json_value start;
	int64_t ms;

	if (j->at[BUCKET].kind == JSON_OBJECT) {
		find_members(j->at[BUCKET].text, bucket_names, 1, &start);
		v = &start;
	}
	l->has_time = v->kind != JSON_NONE || j->at[BUCKET].kind != JSON_NONE;
	if (!l->has_time)
		l->null = null_of(l->text, "time");
	if (v->kind == JSON_STRING && get_time(v, &l->time.ns))
		l->time.kind = TIME_ABSOLUTE;
	else if (json_integer(v, &ms) && !__builtin_mul_overflow(ms, NS_PER_MS, &l->time.ns))
		l->time.kind = TIME_ABSOLUTE;
}

/* As many as were written, so that no line in the middle is missing. */
static int read_end(struct jsonl *j)
{
	struct json_value at[END_MEMBERS];
	int64_t buckets = -1, samples = 0, records = -1;

	if (!j->is_export || j->at[END].kind != JSON_OBJECT)
		return malformed(j, "\"end\" is there, and the file does not begin as an export");
	find_members(j->at[END].text, end_names, END_MEMBERS, at);
	json_integer(&at[BUCKETS], &buckets);
	json_integer(&at[SAMPLES], &samples);
	json_integer(&at[RECORDS], &records);
	if (buckets != (int64_t)j->n_buckets || samples != (int64_t)j->n_samples ||
	    records != (int64_t)j->n_records)
		return malformed(
		    j, "lines of the export are missing, or there are too many; export the run again");
	if (span_is(at[PARTIAL].text, "true"))
		sink_note(j->sink, "the export lacks what was in damaged blocks of the store it is from");
	j->ended = true;
	return 0;
}

static int read_object(struct jsonl *j, struct span object)
{
	struct import_line l = { .text = object, .number = j->number, .kind = 's' };

	find_members(object, member_names, MEMBERS, j->at);
	if (j->ended)
		return malformed(j, "something follows the end of the export");
	if (j->at[RUN].kind != JSON_NONE)
		return read_run(j);
	if (j->at[ERROR].kind != JSON_NONE)
		return malformed(j, "the export broke off here; export the run again");
	if (j->at[END].kind != JSON_NONE)
		return read_end(j);
	if (j->at[BUCKET].kind != JSON_NONE)
		l.kind = span_is(j->at[BUCKET].text, "{}") ? 0 : 'b';
	else if (j->at[LOG].kind != JSON_NONE || j->at[TEXT_BASE64].kind != JSON_NONE)
		l.kind = 'l';
	else if (j->at[METRIC].kind == JSON_NONE)
		return malformed(j,
				 "not a line of `push` or `export`: neither \"metric\" nor \"log\" is there");
	j->n_buckets += l.kind == 'b';
	j->n_samples += l.kind == 's';
	j->n_records += l.kind == 'l';
	see_time(j, &l);
	return j->sink->line(j->sink, &l, j->f);
}

static bool is_blank(struct span s)
{
	while (s.len && memchr(" \t\r\n", s.data[s.len - 1], 4))
		s.len--;
	return s.len == 0;
}

static int read_line(struct jsonl *j, struct span line)
{
	struct json_value v;

	j->number++;
	if (is_blank(line))
		return 0;
	if (json_scan(line, &v) < 0 || v.kind != JSON_OBJECT ||
	    !is_blank(
		span_of(v.text.data + v.text.len, (size_t)(line.data + line.len - v.text.data) - v.text.len)))
		return malformed(j, "not a JSON object, and nothing else, on one line");
	return read_object(j, v.text);
}

/* The next line with its end; 1: no more. */
static int next_line(struct jsonl *j, struct input *in, struct span *ret)
{
	for (size_t n = LOOK_BYTES; n <= LINE_BYTES_MAX; n *= 2) {
		const uint8_t *end;
		int err = input_peek(in, n, ret, j->f);

		if (err < 0 || ret->len == 0)
			return err < 0 ? err : 1;
		end = memchr(ret->data, '\n', ret->len);
		if (end)
			ret->len = (size_t)(end - ret->data) + 1;
		if (end || ret->len < n)
			return 0;
	}
	j->number++;
	return malformed(j, "over 16 MiB");
}

static int jsonl_read(const struct import_context *c, struct input *in, struct import_sink *k,
		      struct fault *f)
{
	struct jsonl j = { .sink = k, .f = f };
	struct span line;
	int err;

	(void)c;
	while ((err = next_line(&j, in, &line)) == 0) {
		if ((err = read_line(&j, line)) < 0)
			return err;
		input_skip(in, line.len);
	}
	if (err == 1 && j.is_export && !j.ended)
		return fault_set(
		    f, ERR_MALFORMED, "",
		    "the export was cut: its last line, {\"end\":...}, is not there; export the run "
		    "again");
	return err < 0 ? err : 0;
}

static bool jsonl_takes(const char *name)
{
	return strstr(name, ".jsonl") || strstr(name, ".ndjson") || strstr(name, ".json");
}

static const char help[] = "The lines of `astraml push` and of `astraml export`.  An export becomes the run\n"
			   "that it was, under the name of the file: its spec, window, state, metrics and\n"
			   "log.  Lines without a time take that of the line before.\n"
			   "\n"
			   "examples: astraml export bert-1 -o bert-1.jsonl\n"
			   "          astraml import jsonl bert-1.jsonl\n";

const struct import_format jsonl_format = {
	.name = "jsonl",
	.version = "1",
	.summary = "the lines of `push` and of `export`",
	.help = help,
	.takes = jsonl_takes,
	.read = jsonl_read,
};
