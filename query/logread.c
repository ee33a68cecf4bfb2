#include "query/logread.h"

#include <stdlib.h>

void out_log_origin(struct out *o, const struct log_record *r)
{
	out_raw(o, "\"time\":");
	out_time(o, r->t_ns);
	out_raw(o, ",\"level\":");
	if (r->level == LEVEL_NONE)
		out_raw(o, "null");
	else
		out_string(o, span_str(level_name(r->level)));
	out_raw(o, ",\"stream\":");
	out_string(o, r->stream);
	out_raw(o, ",\"rank\":");
	if (r->rank == RANK_NONE)
		out_raw(o, "null");
	else
		out_i64(o, r->rank);
}

void out_log_text(struct out *o, const struct log_record *r)
{
	out_string(o, r->text);
	if (utf8_valid(r->text))
		return;
	out_raw(o, ",\"text_base64\":");
	out_base64(o, r->text);
}

void out_log_attrs(struct out *o, const struct log_record *r)
{
	out_raw(o, "\"attrs\":{");
	for (size_t i = 0; i < r->n_attrs; i++) {
		if (i > 0)
			out_ch(o, ',');
		out_string(o, r->attrs[i].key);
		out_ch(o, ':');
		out_string(o, r->attrs[i].value);
	}
	out_raw(o, r->flags & LOG_CONTINUES ? "},\"continues\":true" : "}");
}

void out_log_line(struct out *o, const struct log_record *r, bool context)
{
	out_raw(o, "{\"seq\":");
	out_u64(o, r->seq);
	out_ch(o, ',');
	out_log_origin(o, r);
	out_raw(o, ",\"text\":");
	out_log_text(o, r);
	out_ch(o, ',');
	out_log_attrs(o, r);
	out_raw(o, context ? ",\"context\":true}\n" : "}\n");
}

int log_reader_init(struct log_reader *r, const struct log_ask *ask, uint32_t rid, struct view *v)
{
	uint64_t last = 0;
	int err = view_last_seq(v, rid, &last);

	if (err < 0)
		return err;
	*r = (struct log_reader){
		.ask = ask, .rid = rid, .from_seq = ask->after_seq + 1, .to_seq = ask->follow ? 0 : last + 1
	};
	if (ask->context == 0)
		return 0;
	r->ring = calloc(ask->context, sizeof *r->ring);
	return r->ring ? 0 : ERR_NOMEM;
}

void log_reader_release(struct log_reader *r)
{
	for (size_t i = 0; r->ring && i < r->ask->context; i++)
		buf_release(&r->ring[i]);
	free(r->ring);
	r->ring = NULL;
}

/* ---- context ---- */

static struct buf *ring_oldest(struct log_reader *r)
{
	size_t n = r->ask->context;

	return &r->ring[(r->ring_next + n - r->ring_n) % n];
}

static void ring_drop(struct log_reader *r)
{
	struct buf *b = ring_oldest(r);

	r->ring_bytes -= b->len;
	buf_release(b);
	r->ring_n--;
}

/* Keeps the line of a record that is not written now. */
static int ring_put(struct log_reader *r, const struct log_record *rec)
{
	struct out line;

	out_init(&line, NULL);
	out_log_line(&line, rec, true);
	if (line.err < 0) {
		out_release(&line);
		return line.err;
	}
	while (r->ring_n > 0 &&
	       (r->ring_n == r->ask->context || r->ring_bytes + line.b.len > LOG_RING_BYTES_MAX))
		ring_drop(r);
	r->ring[r->ring_next] = line.b;
	r->ring_next = (r->ring_next + 1) % r->ask->context;
	r->ring_n++;
	r->ring_bytes += line.b.len;
	return 0;
}

static void ring_write(struct log_reader *r)
{
	while (r->ring_n > 0) {
		struct buf *b = ring_oldest(r);

		out_bytes(r->out, b->data, b->len);
		ring_drop(r);
	}
}

static int not_found(struct log_reader *r, const struct log_record *rec)
{
	if (r->after > 0) {
		r->after--;
		out_log_line(r->out, rec, true);
		return 0;
	}
	return r->ask->context ? ring_put(r, rec) : 0;
}

static int record_read(struct log_reader *r, const struct log_record *rec)
{
	bool found = false;
	int err;

	if (!log_ask_selects(r->ask, rec))
		return 0;
	if ((err = log_ask_finds(r->ask, rec, &found, r->f)) < 0)
		return err;
	if (!found)
		return not_found(r, rec);
	ring_write(r);
	out_log_line(r->out, rec, false);
	r->after = r->ask->context;
	r->found++;
	r->last_found = rec->seq;
	return 0;
}

static bool slice_full(struct log_reader *r)
{
	return r->out->b.len >= r->max_bytes || r->scanned >= LOG_SLICE_RECORDS ||
	       (r->scanned % 64 == 0 && clock_mono_ns() > r->until_ns);
}

/* The limit is reached, and the context after the last record is written. */
static bool limit_reached(const struct log_reader *r)
{
	return !r->ask->follow && r->found >= r->ask->limit && r->after == 0;
}

static int slice_record(void *arg, const struct log_record *rec)
{
	struct log_reader *r = arg;
	int err;

	/* records after the limit are only looked at as context of the last one */
	if (!r->ask->follow && r->found >= r->ask->limit && log_ask_selects(r->ask, rec)) {
		r->after--;
		out_log_line(r->out, rec, true);
		err = 0;
	} else {
		err = record_read(r, rec);
	}
	if (err < 0)
		return err;
	if (r->out->err < 0)
		return r->out->err;
	if (r->ask->backward)
		r->to_seq = rec->seq;
	else
		r->from_seq = rec->seq + 1;
	r->scanned++;
	if (limit_reached(r)) {
		r->limited = true;
		return 1;
	}
	return slice_full(r) ? 1 : 0;
}

/* Blocks were passed over: the cursor goes on, and a slice without any record ends too. */
static int slice_passed(void *arg, uint64_t next_seq)
{
	struct log_reader *r = arg;

	if (r->ask->backward)
		r->to_seq = next_seq;
	else
		r->from_seq = next_seq;
	return clock_mono_ns() > r->until_ns ? 1 : 0;
}

/* A run may be deleted while its log is read. */
static int still_there(const struct log_reader *r, struct view *v, struct fault *f)
{
	char deleted[CLOCK_TEXT_MAX];
	int64_t deleted_ns = 0;
	int err = view_deleted(v, r->rid, &deleted_ns);

	if (err == ERR_NOT_FOUND)
		return fault_set(f, err, "run", "the run was deleted, and is gone");
	if (err < 0 || deleted_ns == 0)
		return err;
	clock_format(window_start(deleted_ns, NS_PER_S), deleted);
	return fault_set(f, ERR_NOT_FOUND, "run", "the run was deleted on %s", deleted);
}

int log_slice(struct log_reader *r, struct view *v, struct out *o, size_t max_bytes, struct fault *f)
{
	const struct log_ask *a = r->ask;
	struct log_range range = { .from_seq = r->from_seq,
				   .to_seq = r->to_seq,
				   .backward = a->backward,
				   .from_ns = a->from_ns,
				   .to_ns = a->to_ns,
				   .least = a->context ? LEVEL_NONE : a->least,
				   .holds = a->context ? span_of(NULL, 0) : log_ask_holds(a),
				   .passed = slice_passed,
				   .effort = &r->effort };
	uint64_t last = 0;
	bool partial = false;
	int err = view_last_seq(v, r->rid, &last);

	if (err == 0)
		err = view_first_seq(v, r->rid, &r->first_kept);
	if (err == 0)
		err = still_there(r, v, f);
	if (err < 0)
		return err;
	r->limited = limit_reached(r);
	if (r->limited || r->from_seq > last || (r->to_seq && r->from_seq >= r->to_seq))
		return 0;
	r->out = o;
	r->f = f;
	r->max_bytes = max_bytes;
	r->scanned = 0;
	r->until_ns = clock_mono_ns() + LOG_SLICE_NS;
	err = view_logs(v, r->rid, &range, slice_record, r, &partial);
	r->partial |= partial;
	if (err == 1)
		return r->limited ? 0 : 1;
	if (err < 0)
		return err;
	if (a->backward)
		r->to_seq = r->from_seq;
	else
		r->from_seq = r->to_seq ? r->to_seq : last + 1;
	return 0;
}

int log_tail_start(struct store *s, const struct log_ask *ask, uint32_t rid, uint64_t *ret_from_seq,
		   struct fault *f)
{
	struct log_ask back = *ask;
	struct log_reader r = { 0 };
	struct out o;
	uint64_t last = 0;
	bool first = true;
	int err;

	back.follow = false;
	back.backward = true;
	back.context = 0;
	back.limit = ask->has_limit ? ask->limit : LOG_TAIL_DEFAULT;
	out_init(&o, NULL);
	do {
		struct view *v;

		if ((err = view_open(s, &v)) < 0)
			break;
		if (first && (err = log_reader_init(&r, &back, rid, v)) == 0) {
			last = r.to_seq;
			err = 1;
		}
		first = false;
		if (err >= 0)
			err = log_slice(&r, v, &o, OUT_FLUSH_BYTES, f);
		view_close(v);
		buf_clear(&o.b);
	} while (err == 1);
	out_release(&o);
	if (err < 0)
		return err;
	*ret_from_seq = r.found ? r.last_found : last;
	return 0;
}
