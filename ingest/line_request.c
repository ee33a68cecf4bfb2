/*
 * line_request.c - the line that a request may begin with: who sends it, and what becomes of the run.
 */
#include <sodium/utils.h>

#include "ingest/json_fields.h"
#include "ingest/line.h"

enum { ID, SEQUENCE, PRODUCER_MEMBERS };

static const char *const producer_names[PRODUCER_MEMBERS] = { "id", "sequence" };

static int get_id(struct lines *l, const struct json_value *v)
{
	struct span hex = v->kind == JSON_STRING ? inside_quotes(v->text) : (struct span){ 0 };
	size_t n = 0;

	if (hex.len == 2 * PRODUCER_ID_BYTES &&
	    sodium_hex2bin(l->b->producer, PRODUCER_ID_BYTES, (const char *)hex.data, hex.len, NULL, &n,
			   NULL) == 0 &&
	    n == PRODUCER_ID_BYTES)
		return 0;
	return line_refuse(l, ERR_REFUSED, "producer.id",
			   "\"producer.id\" has to be %d random bytes as %d hexadecimal digits",
			   PRODUCER_ID_BYTES, 2 * PRODUCER_ID_BYTES);
}

static int get_producer(struct lines *l)
{
	struct json_value at[PRODUCER_MEMBERS];
	struct fault f = { 0 };
	int64_t sequence;
	int err;

	if (!line_has(l, PRODUCER))
		return 0;
	if (l->at[PRODUCER].kind != JSON_OBJECT)
		return line_refuse_type(l, PRODUCER, "an object with id and sequence");
	err = json_fields(l->at[PRODUCER].text, producer_names, PRODUCER_MEMBERS, "producer", at, &f);
	if (err < 0)
		return line_refuse(l, err, f.field, "%s", f.text);
	if ((err = get_id(l, &at[ID])) < 0)
		return err;
	if (!json_integer(&at[SEQUENCE], &sequence) || sequence < 1)
		return line_refuse(l, ERR_REFUSED, "producer.sequence",
				   "\"producer.sequence\" has to be a whole number; number the requests of a "
				   "producer from 1");
	l->b->sequence = (uint64_t)sequence;
	l->b->has_producer = true;
	return 0;
}

static int get_state(struct lines *l, enum run_state *ret)
{
	struct span text = { 0 };
	int err = line_text(l, STATE, &text);
	enum run_state state = run_state_parse(text);

	if (err < 0 || !line_has(l, STATE))
		return err;
	if (state == 0 || state == RUN_LOST)
		return line_refuse_type(l, STATE, "queued, running, preempted, finished, failed or killed");
	*ret = state;
	return 0;
}

static int get_exit_code(struct lines *l, struct run_update *u)
{
	int64_t code;

	if (!line_has(l, EXIT_CODE))
		return 0;
	if (!json_integer(&l->at[EXIT_CODE], &code) || code < INT32_MIN || code > INT32_MAX)
		return line_refuse_type(l, EXIT_CODE, "an integer of 32 bits");
	u->has_exit_code = true;
	u->exit_code = (int32_t)code;
	return 0;
}

static int get_ended(struct lines *l, struct run_update *u)
{
	int err;

	if (!line_has(l, ENDED_AT))
		return 0;
	if (u->state <= RUN_PREEMPTED)
		return line_refuse(
		    l, ERR_REFUSED, "ended_at",
		    "\"ended_at\" goes with a \"state\" that is an end: finished, failed, killed");
	err = line_time(l, ENDED_AT, &u->ended_ns);
	if (err == 0 && intake_judge_time(l->in, u->ended_ns))
		return line_refuse_type(l, ENDED_AT, "a time from 1970 to now");
	return err;
}

int line_request(struct lines *l)
{
	struct run_update *u = &l->b->update;
	int err;

	if (l->taken > 0)
		return line_refuse(l, ERR_REFUSED, "producer",
				   "what is said of the whole request (producer, imported, state, exit_code, "
				   "ended_at) stands in its first line");
	if ((err = get_producer(l)) < 0 || (err = line_bool(l, IMPORTED, &l->b->imported)) < 0 ||
	    (err = get_state(l, &u->state)) < 0 || (err = get_exit_code(l, u)) < 0)
		return err;
	return get_ended(l, u);
}
