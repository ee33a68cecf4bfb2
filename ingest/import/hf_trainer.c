/*
 * hf_trainer.c - trainer_state.json of the Hugging Face Trainer (api 6): one JSON object as Python's
 * json writes it, bare NaN and Infinity included, with a list log_history of records like
 *
 *   {"epoch": 1.0, "loss": 0.69, "learning_rate": 5e-05, "step": 500}
 *
 * Every number of a record, but step and epoch, is a sample of the metric of that name at that step; texts,
 * booleans, nulls, lists and objects are none.  It holds no times: a step stands for a second, and the
 * greatest one is at --end, else when the file was last changed, as it was when it was first imported (the
 * run keeps that).  A record whose step is missing, negative or no integer has no second of its own and takes
 * that of the record before; how many is told.  A document of 256 MiB and more, or nested deeper than 64, is
 * refused. Source: transformers/trainer_callback.py, TrainerState.
 */
#include "ingest/import/hf_trainer.h"

#include <inttypes.h>

#include "ingest/import/format.h"
#include "ingest/import/json_span.h"
#include "store/base/number.h"

#define STEP_END (LINE_TIME_END_NS / NS_PER_S)
/* Escapes make a name at most six times as long; what is longer cannot be a metric's name. */
#define NAME_BYTES_MAX (6 * METRIC_NAME_MAX)

struct history {
	struct import_sink *sink;
	struct fault *f;
	struct arena names;
	int64_t second;    /* of the record in hand, or of the last one that has one */
	uint64_t stepless; /* records without a step that can be a second */
	uint64_t others;   /* entries that are no records */
};

/* The last member of that name, as in Python; JSON_NONE when there is none. */
static struct json_value find_member(const struct json_value *object, const char *want)
{
	struct json_value v, found = { 0 };
	struct span at = object->text, name;

	while (json_member(&at, &name, &v))
		if (span_is(name, want))
			found = v;
	return found;
}

static int send_member(struct history *h, struct span quoted, const struct json_value *v, int64_t step)
{
	struct import_sample s = { .time = { TIME_RELATIVE, h->second * NS_PER_S }, .step = step };
	int err = 0;

	if ((v->kind != JSON_NUMBER && v->kind != JSON_NON_FINITE) || span_is(quoted, "step") ||
	    span_is(quoted, "epoch") || !number_parse((const char *)v->text.data, v->text.len, &s.value))
		return 0;
	s.metric = quoted;
	if (quoted.len <= NAME_BYTES_MAX) {
		arena_reset(&h->names);
		err = json_unescape(quoted, &h->names, &s.metric);
	}
	return err < 0 ? err : h->sink->sample(h->sink, &s, h->f);
}

static int send_record(struct history *h, const struct json_value *record)
{
	struct json_value step = find_member(record, "step"), v;
	struct span at = record->text, name;
	int64_t n = STEP_NONE;
	int err = 0;

	if (json_integer(&step, &n) && n >= 0 && n < STEP_END)
		h->second = n;
	else
		h->stepless++;
	while (err == 0 && json_member(&at, &name, &v))
		err = send_member(h, name, &v, n);
	return err;
}

static int send_history(struct history *h, const struct json_value *list)
{
	struct span at = list->text;
	struct json_value v;
	int err = 0;

	while (err == 0 && json_element(&at, &v)) {
		if (v.kind == JSON_OBJECT)
			err = send_record(h, &v);
		else
			h->others++;
	}
	if (err == 0 && h->stepless > 0)
		sink_note(h->sink,
			  "%" PRIu64 " records have no step from 0 to %" PRId64
			  ", and were given the time of the record before",
			  h->stepless, (int64_t)STEP_END - 1);
	if (err == 0 && h->others > 0)
		sink_note(h->sink, "%" PRIu64 " entries of log_history are no objects, and were left out",
			  h->others);
	return err;
}

static bool is_param(struct span name)
{
	static const char *const known[] = {
		"best_global_step",
		"best_metric",
		"best_model_checkpoint",
		"epoch",
		"eval_steps",
		"global_step",
		"logging_steps",
		"max_steps",
		"num_train_epochs",
		"num_input_tokens_seen",
		"save_steps",
		"total_flos",
		"train_batch_size",
		"trial_name",
	};

	for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++)
		if (span_is(name, known[i]))
			return true;
	return false;
}

/* The hyperparameters go to the sink, log_history is found. */
static int read_members(const struct json_value *document, struct import_sink *k,
			struct json_value *ret_history)
{
	struct span at = document->text, name;
	struct json_value v;
	int err = 0;

	while (err == 0 && json_member(&at, &name, &v)) {
		if (span_is(name, "log_history"))
			*ret_history = v;
		else if (is_param(name) && (v.kind == JSON_STRING || v.kind == JSON_NUMBER))
			err = k->param(k, name, v.text);
	}
	return err;
}

static bool only_blanks(struct span s)
{
	while (s.len > 0 && memchr(" \t\r\n", s.data[0], 4))
		s = span_of(s.data + 1, s.len - 1);
	return s.len == 0;
}

static int parse_document(struct span text, struct json_value *ret, struct fault *f)
{
	const uint8_t *end = text.data + text.len, *behind;

	if (json_scan(text, ret) < 0)
		return fault_set(
		    f, ERR_MALFORMED, "file",
		    "this is no JSON, or cut short, or nested deeper than %d: a trainer_state.json "
		    "is one object, written when the trainer saves a checkpoint",
		    JSON_DEPTH_MAX);
	behind = ret->text.data + ret->text.len;
	if (ret->kind != JSON_OBJECT || !only_blanks(span_of(behind, (size_t)(end - behind))))
		return fault_set(
		    f, ERR_MALFORMED, "file",
		    "this is JSON, but not one object and nothing else, as a trainer_state.json is");
	return 0;
}

int hf_trainer_parse(struct span text, struct import_sink *k, struct fault *f)
{
	struct history h = { .sink = k, .f = f };
	struct json_value document, list = { 0 };
	int err = parse_document(text, &document, f);

	if (err < 0 || (err = read_members(&document, k, &list)) < 0)
		return fault_default(f, err);
	if (list.kind != JSON_ARRAY)
		return fault_set(f, ERR_MALFORMED, "file",
				 "there is no list log_history: is this a trainer_state.json?");
	arena_init(&h.names, 64 * 1024);
	err = send_history(&h, &list);
	arena_release(&h.names);
	return fault_default(f, err);
}

static int read_state(const struct import_context *c, struct input *in, struct import_sink *k,
		      struct fault *f)
{
	struct span text;
	int err = input_peek(in, INPUT_PEEK_MAX, &text, f);

	(void)c;
	if (err < 0)
		return err;
	if (text.len >= INPUT_PEEK_MAX)
		return fault_set(
		    f, ERR_TOO_LARGE, "file",
		    "a trainer_state.json of %u MiB and more is not read: its log_history grows by "
		    "a record every logging_steps; is this another file?",
		    INPUT_PEEK_MAX >> 20);
	return hf_trainer_parse(text, k, f);
}

/* A checkpoint has other JSON beside it: config.json, tokenizer.json ... */
static bool takes(const char *name) { return strstr(name, "trainer_state") != NULL; }

const struct import_format hf_trainer_format = {
	.name = "hf-trainer",
	.version = "1",
	.summary = "trainer_state.json of the Hugging Face Trainer",
	.help = "Every number of a record of log_history, but step and epoch, becomes a sample of\n"
		"the metric of that name, at its step.  A step takes a second: the last one is at\n"
		"--end, else when the file was last changed.  best_metric, global_step,\n"
		"num_train_epochs and the like become hyperparameters.  Of a directory those\n"
		"files are taken that have trainer_state in their names.\n"
		"\n"
		"example: astraml import hf-trainer --run ner-1 checkpoint-500/trainer_state.json\n",
	.takes = takes,
	.read = read_state,
};
