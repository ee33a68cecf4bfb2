#include "query/cli/logevents.h"

#include <stdlib.h>

#define XXH_INLINE_ALL
#include <xxhash.h>

#include "query/cli/logtrace.h"
#include "query/cli/verb.h"

#define LINE_BYTES_MAX (16u * 1024 * 1024)
#define WRITERS_MAX    1024 /* more are not told apart for long: the one heard of first is forgotten */

struct event {
	struct event *next;
	struct buf lines;
	size_t shown_bytes;      /* of lines */
	uint64_t number, last_i; /* of the event; of its last record */
	enum level level;
	bool found, hit, shown, over;
};

struct writer {
	uint64_t key;
	struct log_trace trace;
	struct event *open;
};

struct log_events {
	struct log_events_ask ask;
	struct event *first, **last;
	struct writer writers[WRITERS_MAX];
	size_t n_writers, next_writer;
	uint64_t records, numbers, hits, since_found, last_seq;
	bool any_hit, left_out, any_shown;
	uint64_t hit_i, hit_number; /* of the last one */
};

int log_events_new(const struct log_events_ask *ask, struct log_events **ret)
{
	struct log_events *e = calloc(1, sizeof *e);

	if (!e)
		return ERR_NOMEM;
	e->ask = *ask;
	e->last = &e->first;
	*ret = e;
	return 0;
}

static void drop_first(struct log_events *e)
{
	struct event *v = e->first;

	e->first = v->next;
	if (!e->first)
		e->last = &e->first;
	buf_release(&v->lines);
	free(v);
}

void log_events_free(struct log_events *e)
{
	if (!e)
		return;
	while (e->first)
		drop_first(e);
	free(e);
}

uint64_t log_events_found(const struct log_events *e) { return e->hits; }

/* ---- showing ---- */

static void show_lines(struct log_events *e, struct event *v)
{
	while (v->shown_bytes < v->lines.len) {
		const uint8_t *at = v->lines.data + v->shown_bytes;
		const uint8_t *end = memchr(at, '\n', v->lines.len - v->shown_bytes);
		size_t n = (size_t)(end + 1 - at);

		if (e->ask.show)
			e->ask.show(e->ask.arg, span_of(at, n), e->left_out && e->any_shown);
		e->left_out = false;
		e->any_shown = true;
		v->shown_bytes += n;
	}
}

/* Whether something still to come may have it shown. */
static bool is_undecided(const struct log_events *e, const struct event *v)
{
	const struct event *x = v->next;

	if (!e->ask.events)
		return e->records - v->last_i <= e->ask.around;
	for (uint64_t i = 0; i < e->ask.around; i++, x = x->next)
		if (!x || !x->over)
			return true;
	return false;
}

/* From the first event on, as far as is decided. */
static void settle(struct log_events *e, bool all)
{
	if (e->ask.live)
		for (struct event *v = e->first; v; v = v->next)
			if (v->shown)
				show_lines(e, v);
	while (e->first && (all || e->first->over)) {
		if (e->first->shown)
			show_lines(e, e->first);
		else if (!all && is_undecided(e, e->first))
			break;
		else
			e->left_out = true;
		drop_first(e);
	}
}

/* What lies around a hit is shown too. */
static void mark(struct log_events *e, const struct event *hit)
{
	for (struct event *v = e->first; v; v = v->next) {
		uint64_t away = v->number > hit->number ? v->number - hit->number : hit->number - v->number;

		if (e->ask.events ? away <= e->ask.around : v->last_i + e->ask.around >= e->records)
			v->shown = true;
	}
	e->any_hit = true;
	e->hit_i = e->records;
	if (hit->number > e->hit_number)
		e->hit_number = hit->number;
}

static bool is_behind_hit(const struct log_events *e, const struct event *v)
{
	if (!e->any_hit)
		return false;
	if (!e->ask.events)
		return e->records <= e->hit_i + e->ask.around;
	return v->number > e->hit_number && v->number <= e->hit_number + e->ask.around;
}

/* ---- writers ---- */

static void close_event(struct writer *w)
{
	if (w->open)
		w->open->over = true;
	w->open = NULL;
}

static struct writer *writer_of(struct log_events *e, uint64_t key)
{
	struct writer *w;

	for (size_t i = 0; i < e->n_writers; i++)
		if (e->writers[i].key == key)
			return &e->writers[i];
	if (e->n_writers < WRITERS_MAX) {
		w = &e->writers[e->n_writers++];
	} else {
		w = &e->writers[e->next_writer++ % WRITERS_MAX];
		close_event(w);
	}
	*w = (struct writer){ .key = key };
	return w;
}

/* Those that nobody went on with for long; all: the answer has left records out, or ends. */
static void close_quiet(struct log_events *e, bool all)
{
	for (size_t i = 0; i < e->n_writers; i++) {
		struct writer *w = &e->writers[i];

		if (w->open && (all || e->records - w->open->last_i > LOG_EVENT_REACH))
			close_event(w);
		if (all)
			w->trace = (struct log_trace){ 0 };
	}
}

/* ---- records ---- */

struct record {
	struct span text;
	enum level level;
	bool split, found;
	uint64_t seq, writer;
};

static struct record record_of(struct json_object *o)
{
	struct json_object *v;
	const char *stream = tree_text(o, "stream");
	int level = level_parse(span_str(tree_text(o, "level")));
	struct record r = { .level = level < 0 ? LEVEL_NONE : (enum level)level };
	size_t label;
	int64_t rank;

	if (json_object_object_get_ex(o, "text", &v) && json_object_is_type(v, json_type_string))
		r.text = span_of(json_object_get_string(v), (size_t)json_object_get_string_len(v));
	r.seq = tree_u64(o, "seq");
	r.split = json_object_object_get_ex(o, "continues", &v);
	r.found = !json_object_object_get_ex(o, "context", &v);
	rank = json_object_object_get_ex(o, "rank", &v) && v ? json_object_get_int64(v) : RANK_NONE;
	r.writer = XXH3_64bits_withSeed(stream, strlen(stream), (uint64_t)rank);
	label = log_label(r.text);
	if (label > 0) {
		size_t n = label - (r.text.data[label - 1] == ' ');

		r.writer = XXH3_64bits_withSeed(r.text.data, n, r.writer);
		r.text = span_of(r.text.data + label, r.text.len - label);
	}
	return r;
}

/* The event that the record is of, which is begun where it has to be. */
static struct event *event_for(struct log_events *e, struct writer *w, const struct record *r)
{
	enum log_part part = log_trace_next(&w->trace, r->text, r->level, r->split);

	if (part == LOG_PART_STARTS || (part == LOG_PART_GOES_ON && !e->ask.events))
		close_event(w);
	if (w->open)
		return w->open;
	w->open = calloc(1, sizeof *w->open);
	if (!w->open)
		return NULL;
	buf_init(&w->open->lines, LOG_EVENT_BYTES_MAX + LINE_BYTES_MAX);
	w->open->number = e->numbers++;
	*e->last = w->open;
	e->last = &w->open->next;
	return w->open;
}

static void take_found(struct log_events *e, struct event *v)
{
	bool hit = v->found && v->level >= e->ask.least;

	if (!hit || (v->hit && e->ask.events))
		return;
	if (!v->hit)
		e->hits++;
	v->hit = true;
	if (e->hits > e->ask.skip)
		mark(e, v);
}

/* What was found is this far away: unless its number says so, the record need not be the next one. */
static void note_gap(struct log_events *e, const struct record *r)
{
	bool far = e->ask.reach && !r->found && e->since_found >= e->ask.reach;

	if (far && r->seq != e->last_seq + 1) {
		close_quiet(e, true);
		settle(e, true);
		e->any_hit = false;
		e->left_out = true;
		e->since_found = 0;
	}
	e->since_found = r->found ? 0 : e->since_found + 1;
	e->last_seq = r->seq;
}

int log_events_add(struct log_events *e, struct json_object *record, struct span line)
{
	struct record r = record_of(record);
	struct writer *w;
	struct event *v;
	int err;

	note_gap(e, &r);
	w = writer_of(e, r.writer);
	e->records++;
	if (!(v = event_for(e, w, &r)))
		return ERR_NOMEM;
	if ((err = buf_add(&v->lines, line.data, line.len)) < 0 ||
	    (line.data[line.len - 1] != '\n' && (err = buf_addch(&v->lines, '\n')) < 0))
		return err;
	v->last_i = e->records;
	v->level = r.level > v->level ? r.level : v->level;
	v->found = v->found || r.found;
	v->shown = v->shown || is_behind_hit(e, v);
	if (e->ask.events || r.found)
		take_found(e, v);
	if (v->lines.len > LOG_EVENT_BYTES_MAX)
		close_event(w);
	close_quiet(e, false);
	settle(e, false);
	return 0;
}

void log_events_live(struct log_events *e)
{
	e->ask.live = true;
	settle(e, false);
}

void log_events_end(struct log_events *e)
{
	close_quiet(e, true);
	settle(e, true);
}
