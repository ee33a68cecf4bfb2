#include "query/logread.h"

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
	if (out_string(o, r->text))
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

/* One record as a line of JSON (api 2). */
static void out_line(struct out *o, const struct log_record *r, bool context)
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
	r->edge = ask->backward ? r->to_seq : r->from_seq;
	return ask->follow ? 0 : log_desk_new(&r->desk);
}

void log_reader_release(struct log_reader *r)
{
	log_desk_free(r->desk);
	r->desk = NULL;
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

/* The cursor goes on: all before next_seq is done (backward: from it on). */
static void move_on(struct log_reader *r, uint64_t next_seq)
{
	if (r->ask->backward)
		r->to_seq = next_seq;
	else
		r->from_seq = next_seq;
}

static uint64_t next_after(const struct log_reader *r, uint64_t seq)
{
	return r->ask->backward ? seq : seq + 1;
}

/* Where going back from a record goes on. */
static uint64_t back_of(const struct log_reader *r, uint64_t seq) { return r->ask->backward ? seq + 1 : seq; }

static void write_record(struct log_reader *r, const struct log_record *rec, bool context)
{
	out_line(r->out, rec, context);
	r->edge = next_after(r, rec->seq);
}

static void write_found(struct log_reader *r, const struct log_record *rec)
{
	write_record(r, rec, false);
	r->after = r->ask->context;
	r->found++;
	r->last_found = rec->seq;
}

static void turn_to(struct log_reader *r, enum log_turn turn)
{
	r->turn = turn;
	r->turned = true;
}

/* ---- turns ---- */

/* 1: the walk ends here, before the record. */
static int search_record(struct log_reader *r, const struct log_record *rec)
{
	bool found = false;
	int err;

	if (!log_ask_selects(r->ask, rec))
		return 0;
	if ((err = log_ask_finds(r->ask, rec, &found, r->f)) < 0)
		return err;
	if (!found)
		return 0;
	if (r->ask->context) {
		r->hit = rec->seq;
		r->back = back_of(r, rec->seq);
		r->left = r->ask->context;
		turn_to(r, LOG_LOOK_BACK);
		return 1;
	}
	write_found(r, rec);
	return 0;
}

/* Before the hit there is nothing that is searched for, and after the limit nothing is. */
static int go_on_record(struct log_reader *r, const struct log_record *rec)
{
	bool before = r->ask->backward ? rec->seq > r->hit : rec->seq < r->hit, found = rec->seq == r->hit;
	int err;

	if (!log_ask_selects(r->ask, rec))
		return 0;
	if (!before && !found && r->found < r->ask->limit &&
	    (err = log_ask_finds(r->ask, rec, &found, r->f)) < 0)
		return err;
	if (found) {
		write_found(r, rec);
		return 0;
	}
	write_record(r, rec, true);
	r->after -= !before;
	if (!before && r->after == 0)
		turn_to(r, LOG_SEARCH);
	return 0;
}

static int slice_record(void *arg, const struct log_record *rec)
{
	struct log_reader *r = arg;
	int err = (r->turn == LOG_GO_ON ? go_on_record : search_record)(r, rec);

	if (err != 0)
		return err;
	if (r->out->err < 0)
		return r->out->err;
	move_on(r, next_after(r, rec->seq));
	r->scanned++;
	if (limit_reached(r)) {
		r->limited = true;
		return 1;
	}
	return r->turned || slice_full(r) ? 1 : 0;
}

static int look_back_record(void *arg, const struct log_record *rec)
{
	struct log_reader *r = arg;

	r->back = back_of(r, rec->seq);
	r->scanned++;
	if (log_ask_selects(r->ask, rec) && --r->left == 0) {
		turn_to(r, LOG_GO_ON);
		return 1;
	}
	return slice_full(r) ? 1 : 0;
}

/* Blocks were passed over: the cursor goes on, and a slice without any record ends too. */
static int slice_passed(void *arg, uint64_t next_seq)
{
	struct log_reader *r = arg;

	if (r->turn == LOG_LOOK_BACK)
		r->back = next_seq;
	else
		move_on(r, next_seq);
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

/* From the hit back to what was written. */
static int look_back(struct log_reader *r, struct view *v, struct log_range *range, bool *ret_partial)
{
	bool backward = r->ask->backward;
	int err = 0;

	range->from_seq = backward ? r->back : r->edge;
	range->to_seq = backward ? r->edge : r->back;
	range->backward = !backward;
	range->textless = true;
	if (range->from_seq < range->to_seq)
		err = view_logs(v, r->rid, range, look_back_record, r, ret_partial);
	if (err == 0)
		turn_to(r, LOG_GO_ON);
	if (backward ? r->back > r->edge : r->back < r->edge) /* the rest of a block */
		r->back = r->edge;
	if (err >= 0 && r->turned)
		move_on(r, r->back);
	return err;
}

/* One turn, or a part of it; as view_logs. */
static int take_turn(struct log_reader *r, struct view *v, bool *ret_partial)
{
	const struct log_ask *a = r->ask;
	struct log_range range = { .from_seq = r->from_seq,
				   .to_seq = r->to_seq,
				   .backward = a->backward,
				   .from_ns = a->from_ns,
				   .to_ns = a->to_ns,
				   .passed = slice_passed,
				   .effort = a->explain ? &r->effort : NULL,
				   .desk = r->desk };

	r->turned = false;
	if (r->turn == LOG_LOOK_BACK)
		return look_back(r, v, &range, ret_partial);
	if (r->turn == LOG_SEARCH) {
		range.hint = log_ask_hint(a);
		range.least = a->least;
	}
	return view_logs(v, r->rid, &range, slice_record, r, ret_partial);
}

int log_slice(struct log_reader *r, struct view *v, struct out *o, size_t max_bytes, struct fault *f)
{
	uint64_t last = 0;
	bool partial = false;
	int err = view_last_seq(v, r->rid, &last);

	if (err == 0 && !r->ask->follow) /* it looks at all parts, and followers do not tell it */
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
	do
		err = take_turn(r, v, &partial);
	while (err >= 0 && r->turned && !r->limited && !slice_full(r));
	r->partial |= partial;
	if (err < 0)
		return err;
	if (r->limited || r->turned || err == 1)
		return r->limited ? 0 : 1;
	if (r->ask->backward)
		r->to_seq = r->from_seq;
	else if (r->to_seq || r->from_seq <= last) /* else a newer snapshot had more (view_logs) */
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
	log_reader_release(&r);
	out_release(&o);
	if (err < 0)
		return err;
	*ret_from_seq = r.found ? r.last_found : last;
	return 0;
}
