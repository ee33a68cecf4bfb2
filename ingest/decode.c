#include "ingest/decode.h"

#include <inttypes.h>
#include <stdlib.h>

#define XXH_INLINE_ALL
#include <xxhash.h>

#include "ingest/decode_buckets.h"
#include "ingest/names.h"
#include "proto/message.h"
#include "proto/samples.h"
#include "store/base/limits.h"

/* A request being decoded. */
struct decode {
	struct intake *in;
	struct batch *b;
	uint32_t *refs;      /* of each definition: its sid, or BATCH_NEW | index */
	struct label *attrs; /* room for all attributes not yet used */
};

/* ---- series ---- */

static void decode_label(struct span s, struct label *ret)
{
	struct reader r = reader_of(s);
	struct message_field f;

	*ret = (struct label){ 0 };
	while (message_next(&r, &f) == 0) {
		if (f.number == LABEL_KEY)
			ret->key = f.bytes;
		else if (f.number == LABEL_VALUE)
			ret->value = f.bytes;
	}
}

/* Writes no more of ret than is used: it is large. */
static int decode_name(struct decode *d, struct span s, struct series_name *ret)
{
	struct reader r = reader_of(s);
	struct message_field f;
	size_t n = 0;

	ret->metric = ret->unit = (struct span){ 0 };
	while (message_next(&r, &f) == 0) {
		if (f.number == SERIES_METRIC)
			ret->metric = f.bytes;
		else if (f.number == SERIES_UNIT)
			ret->unit = f.bytes;
		else if (f.number == SERIES_LABELS && n++ < LABELS_MAX)
			decode_label(f.bytes, &ret->labels[n - 1]);
	}
	if (n > LABELS_MAX)
		return fault_set(d->in->fault, ERR_REFUSED, "series.labels",
				 "a series has %zu labels and may have %d; put what varies into the step or "
				 "the time",
				 n, LABELS_MAX);
	ret->n_labels = n;
	return name_check_series(ret, d->in->fault);
}

static int decode_series(struct decode *d, struct span s)
{
	struct batch_series *bs = &d->b->series[d->b->n_series];
	uint32_t index = (uint32_t)d->b->n_series;
	int err = decode_name(d, s, &bs->name);

	if (err < 0)
		return err;
	bs->sid = 0;
	if (store_series_find(d->in->store, d->b->rid, &bs->name, &bs->sid) < 0) {
		err = intake_index(d->in, &bs->name, index, &index);
		if (err < 0)
			return err;
	}
	d->refs[d->b->n_series++] = bs->sid ? bs->sid : BATCH_NEW | index;
	return 0;
}

/* ---- samples ---- */

struct columns {
	struct span s;
	struct samples_shape shape;
	uint32_t *sid; /* where in the batch they go; borrowed */
	int64_t *t_ns, *step;
	double *value;
};

/* Writes the first of n elements over all others, in ever larger pieces. */
static void repeat_first(void *first, size_t size, size_t n)
{
	for (size_t done = 1; done < n; done *= 2)
		memcpy((char *)first + done * size, first, (done < n - done ? done : n - done) * size);
}

static int fill_from_ids(struct decode *d, const struct columns *c, const int64_t *ids)
{
	size_t n = c->shape.n_series, bad;

	for (size_t i = 0; i < n; i++)
		c->sid[i] = (uint64_t)ids[i] < BATCH_NEW ? (uint32_t)ids[i] : 0; /* 0 is nobody's */
	if (store_series_check(d->in->store, d->b->rid, c->sid, n, &bad) == 0)
		return 0;
	return fault_set(d->in->fault, ERR_REFUSED, "samples.series",
			 "samples.series: id %" PRId64
			 " is none that this run has given; define the series in the request",
			 ids[bad]);
}

static int fill_from_positions(struct decode *d, const struct columns *c, const int64_t *positions)
{
	for (size_t i = 0; i < c->shape.n_series; i++) {
		uint64_t at = (uint64_t)positions[i];

		if (at >= d->b->n_series)
			return fault_set(d->in->fault, ERR_REFUSED, "samples.series",
					 "samples.series refers to series %" PRId64
					 " of a request that defines %zu; count its definitions from 0",
					 positions[i], d->b->n_series);
		c->sid[i] = d->refs[at];
	}
	return 0;
}

/* The room of the times, which come later, serves for the numbers of the series. */
static int fill_sids(struct decode *d, const struct columns *c)
{
	int err;

	samples_sums(c->s, SAMPLES_SERIES, c->t_ns); /* a million int32 do not leave 64 bits */
	err = c->shape.series_are_ids ? fill_from_ids(d, c, c->t_ns) : fill_from_positions(d, c, c->t_ns);
	if (err == 0 && c->shape.n_series == 1)
		repeat_first(c->sid, sizeof(*c->sid), c->shape.n);
	return err;
}

/* From units since start_ns to nanoseconds; false when one leaves 64 bits.  No time of this age
 * comes near that, so one look at all their bits together mostly settles it. */
static bool scale_times(const struct samples_shape *shape, int64_t *t)
{
	bool overflow = false, far = zigzag(shape->start_ns) >> 63;
	int64_t start = shape->start_ns, since;
	uint64_t unit = shape->time_unit_ns, bits = 0;

	for (size_t i = 0; i < shape->n_times; i++)
		bits |= zigzag(t[i]) >> 1;
	if (!far && bits < (UINT64_C(1) << 62) / unit) {
		for (size_t i = 0; i < shape->n_times; i++)
			t[i] = start + t[i] * (int64_t)unit;
		return true;
	}
	for (size_t i = 0; i < shape->n_times; i++) {
		overflow |= __builtin_mul_overflow(t[i], unit, &since);
		overflow |= __builtin_add_overflow(start, since, &t[i]);
	}
	return !overflow;
}

/* *ret_bad: some of the times cannot be kept. */
static int fill_times(struct decode *d, const struct columns *c, bool *ret_bad)
{
	size_t n = c->shape.n_times;
	bool bad = false;

	if (!samples_sums(c->s, SAMPLES_TIMES, c->t_ns) || !scale_times(&c->shape, c->t_ns))
		return fault_set(d->in->fault, ERR_MALFORMED, "samples.times",
				 "samples.times: a sum of differences leaves 64 bits of nanoseconds");
	for (size_t i = 0; i < n; i++)
		bad |= (uint64_t)c->t_ns[i] > (uint64_t)d->in->latest_ns;
	if (n == 0)
		c->t_ns[0] = d->in->now_ns;
	if (n <= 1)
		repeat_first(c->t_ns, sizeof(*c->t_ns), c->shape.n);
	*ret_bad |= bad;
	return 0;
}

static int fill_steps(struct decode *d, const struct columns *c, bool *ret_bad)
{
	size_t n = c->shape.n_steps;
	bool bad = false;

	if (!samples_sums(c->s, SAMPLES_STEPS, c->step))
		return fault_set(d->in->fault, ERR_MALFORMED, "samples.steps",
				 "samples.steps: a sum of differences leaves 64 bits");
	for (size_t i = 0; i < n; i++)
		bad |= c->step[i] == STEP_NONE;
	if (n == 0)
		c->step[0] = STEP_NONE;
	if (n <= 1)
		repeat_first(c->step, sizeof(*c->step), c->shape.n);
	*ret_bad |= bad;
	return 0;
}

static enum reject judge(const struct decode *d, const struct columns *c, size_t i)
{
	enum reject code = intake_judge_time(d->in, c->t_ns[i]);

	/* STEP_NONE came from outside as a number; as the absence of one it is fine */
	return !code && c->shape.n_steps && c->step[i] == STEP_NONE ? REJECT_STEP_RANGE : code;
}

/* Takes the bad ones out of the columns; *ret_n are left. */
static int drop_bad(struct decode *d, const struct columns *c, size_t *ret_n)
{
	size_t to = 0;

	for (size_t i = 0; i < c->shape.n; i++) {
		enum reject code = judge(d, c, i);
		int err = code ? intake_reject(d->in, 's', d->in->n_samples + i, code) : 0;

		if (err < 0)
			return err;
		if (code)
			continue;
		c->sid[to] = c->sid[i];
		c->t_ns[to] = c->t_ns[i];
		if (c->step)
			c->step[to] = c->step[i];
		c->value[to++] = c->value[i];
	}
	*ret_n = to;
	return 0;
}

static int decode_samples(struct decode *d, struct span s)
{
	size_t at = d->b->n_samples, kept;
	struct columns c = { .s = s,
			     .sid = d->b->sid + at,
			     .t_ns = d->b->t_ns + at,
			     .step = d->b->step ? d->b->step + at : NULL,
			     .value = d->b->value + at };
	int err = samples_shape(s, &c.shape);
	bool bad = false;

	if (err < 0 || c.shape.n == 0)
		return err;
	if ((err = fill_sids(d, &c)) < 0 || (err = fill_times(d, &c, &bad)) < 0 ||
	    (c.step && (err = fill_steps(d, &c, &bad)) < 0))
		return err;
	samples_values(s, c.value);
	kept = c.shape.n;
	if (bad)
		err = drop_bad(d, &c, &kept);
	d->b->n_samples += kept;
	d->in->n_samples += c.shape.n;
	return err;
}

/* ---- logs ---- */

/* What its records have in common; it may come after them. */
static enum reject decode_log_head(struct span s, struct log_record *ret)
{
	struct reader r = reader_of(s);
	struct message_field f;
	uint32_t rank = 0;

	*ret = (struct log_record){ .rank = RANK_NONE };
	while (message_next(&r, &f) == 0) {
		if (f.number == LOGS_STREAM) {
			ret->stream = f.bytes;
		} else if (f.number == LOGS_RANK) {
			rank = (uint32_t)f.value;
			ret->rank = (int32_t)rank;
		}
	}
	if (name_check(ret->stream, "stream", 0, STREAM_NAME_MAX, NULL) < 0)
		return REJECT_LOG_STREAM;
	return rank > INT32_MAX ? REJECT_LOG_RANK : 0;
}

static enum reject decode_record(struct decode *d, struct span s, struct log_record *r)
{
	struct reader reader = reader_of(s);
	struct message_field f;
	uint32_t level = 0;

	r->attrs = d->attrs;
	while (message_next(&reader, &f) == 0) {
		if (f.number == RECORD_TEXT)
			r->text = f.bytes;
		else if (f.number == RECORD_TIME_NS)
			r->t_ns = (int64_t)f.value;
		else if (f.number == RECORD_LEVEL)
			level = (uint32_t)f.value;
		else if (f.number == RECORD_ATTRIBUTES)
			decode_label(f.bytes, &d->attrs[r->n_attrs++]);
	}
	if (r->n_attrs)
		d->attrs += r->n_attrs;
	if (r->t_ns == 0)
		r->t_ns = d->in->now_ns;
	if (level >= LEVELS)
		return REJECT_LOG_LEVEL;
	r->level = level ? (enum level)level : intake_level(d->in, r->text);
	return name_attributes_are_good(r->attrs, r->n_attrs) ? 0 : REJECT_LOG_ATTRIBUTES;
}

static int decode_logs(struct decode *d, struct span s)
{
	struct log_record head;
	enum reject head_code = decode_log_head(s, &head);
	struct reader r = reader_of(s);
	struct message_field f;
	int err = 0;

	while (err == 0 && message_next(&r, &f) == 0) {
		struct log_record record = head;
		enum reject code;

		if (f.number != LOGS_RECORDS)
			continue;
		code = decode_record(d, f.bytes, &record);
		err = intake_record(d->in, &record, head_code ? head_code : code);
	}
	return err;
}

/* ---- the request ---- */

static int decode_producer(struct decode *d, struct span s)
{
	struct reader r = reader_of(s);
	struct message_field f;
	struct span id = { 0 };

	while (message_next(&r, &f) == 0) {
		if (f.number == PRODUCER_ID)
			id = f.bytes;
		else if (f.number == PRODUCER_SEQUENCE)
			d->b->sequence = f.value;
	}
	if (id.len != PRODUCER_ID_BYTES)
		return fault_set(d->in->fault, ERR_REFUSED, "producer.id",
				 "producer.id has %zu bytes; take %d random ones", id.len, PRODUCER_ID_BYTES);
	if (d->b->sequence == 0)
		return fault_set(d->in->fault, ERR_REFUSED, "producer.sequence",
				 "producer.sequence is 0; number the requests of a producer from 1");
	memcpy(d->b->producer, id.data, PRODUCER_ID_BYTES);
	d->b->has_producer = true;
	return 0;
}

static int decode_run(struct decode *d, struct span s)
{
	struct reader r = reader_of(s);
	struct message_field f;
	uint32_t state = 0;

	while (message_next(&r, &f) == 0) {
		if (f.number == RUN_UPDATE_STATE) {
			state = (uint32_t)f.value;
		} else if (f.number == RUN_UPDATE_ENDED_NS) {
			d->b->update.ended_ns = (int64_t)f.value;
		} else if (f.number == RUN_UPDATE_EXIT_CODE) {
			d->b->update.has_exit_code = true;
			d->b->update.exit_code = (int32_t)unzigzag((uint32_t)f.value);
		}
	}
	if (state > RUN_KILLED)
		return fault_set(
		    d->in->fault, ERR_REFUSED, "run.state",
		    "run.state %u is not known; it is 1 (queued) to %d (killed), or 0: no change", state,
		    RUN_KILLED);
	d->b->update.state = (enum run_state)state;
	if (d->b->update.ended_ns &&
	    (state <= RUN_PREEMPTED || intake_judge_time(d->in, d->b->update.ended_ns)))
		return fault_set(
		    d->in->fault, ERR_REFUSED, "run.ended_ns",
		    "run.ended_ns goes with a state that is an end, and is a time from 1970 to now");
	return 0;
}

/* Fields may come in any order, and samples refer to series; so these go first. */
static int decode_definitions(struct decode *d, struct span body)
{
	struct reader r = reader_of(body);
	struct message_field f;
	int err = 0;

	while (err == 0 && message_next(&r, &f) == 0) {
		if (f.number == REQUEST_SERIES)
			err = decode_series(d, f.bytes);
		else if (f.number == REQUEST_PRODUCER)
			err = decode_producer(d, f.bytes);
		else if (f.number == REQUEST_RUN)
			err = decode_run(d, f.bytes);
		else if (f.number == REQUEST_IMPORTED)
			d->b->imported = f.value != 0;
	}
	return err;
}

static int decode_records(struct decode *d, struct span body)
{
	struct reader r = reader_of(body);
	struct message_field f;
	int err = 0;

	while (err == 0 && message_next(&r, &f) == 0) {
		if (f.number == REQUEST_SAMPLES)
			err = decode_samples(d, f.bytes);
		else if (f.number == REQUEST_LOGS)
			err = decode_logs(d, f.bytes);
		else if (f.number == REQUEST_BUCKETS)
			err = decode_buckets(d->in, d->refs, f.bytes);
	}
	return err;
}

static int allocate(struct decode *d, const struct message_counts *n)
{
	struct batch *b = d->b;

	if (n->series && (!(b->series = malloc(n->series * sizeof(*b->series))) ||
			  !(d->refs = malloc(n->series * sizeof(*d->refs)))))
		return ERR_NOMEM;
	if (n->samples && (!(b->sid = malloc(n->samples * sizeof(*b->sid))) ||
			   !(b->t_ns = malloc(n->samples * sizeof(*b->t_ns))) ||
			   !(b->value = malloc(n->samples * sizeof(*b->value)))))
		return ERR_NOMEM;
	if (n->has_steps && !(b->step = malloc(n->samples * sizeof(*b->step))))
		return ERR_NOMEM;
	if (n->attributes && !(d->attrs = arena_alloc(&b->memory, n->attributes * sizeof(*d->attrs))))
		return ERR_NOMEM;
	if (n->records && !(b->logs = malloc(n->records * sizeof(*b->logs))))
		return ERR_NOMEM;
	d->in->logs_cap = n->records;
	return 0;
}

int decode_request(struct intake *in, struct span body)
{
	struct decode d = { .in = in, .b = in->batch };
	struct message_limits most = {
		.samples = limits.samples,
		.series = limits.series,
		.labels = limits.series * LABELS_MAX,
		.records = limits.records,
		.attributes = REQUEST_ATTRIBUTES_MAX,
		.buckets = limits.buckets,
		.fields = REQUEST_FIELDS_MAX,
	};
	struct message_counts counts;
	int err = message_check(body, &most, &counts, in->fault);

	if (err == 0)
		err = allocate(&d, &counts);
	if (err == 0)
		err = decode_definitions(&d, body);
	if (err == 0)
		err = decode_records(&d, body);
	if (err == 0)
		d.b->content_hash = XXH3_64bits(body.data, body.len);
	free(d.refs);
	return err < 0 ? fault_default(in->fault, err) : 0;
}
