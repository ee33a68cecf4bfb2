#include "ingest/import/transfer.h"

#include "ingest/import/line_request.h"
#include "ingest/import/request.h"
#include "ingest/import/series_names.h"

struct transfer_sink {
	struct import_sink sink;
	const struct transfer *t;
	struct upload *upload;
	struct request *request;
	struct line_request lines;
	uint64_t sequence; /* of the request in the making */
	struct series_names names;
	int64_t now_ns; /* time of the last log record */
	struct transfer_result result;
};

static struct transfer_sink *of(struct import_sink *k) { return (struct transfer_sink *)k; }

static int send_body(struct transfer_sink *s, bool is_lines, struct fault *f)
{
	struct upload_answer answer;
	int err = upload_send(s->upload, is_lines, &answer, f);

	if (err < 0)
		return err;
	if (answer.rejected_samples + answer.rejected_lines > 0 && !s->result.reject_code[0])
		memcpy(s->result.reject_code, answer.reject_code, sizeof(s->result.reject_code));
	s->result.rejected_samples += answer.rejected_samples;
	s->result.rejected_lines += answer.rejected_lines;
	s->result.duplicates += answer.duplicate;
	s->result.requests++;
	s->sequence++;
	return 0;
}

static int send_request(struct transfer_sink *s, bool last, struct fault *f)
{
	int err = request_encode(s->request, s->t->producer, s->sequence, last, &s->upload->body);

	if (err < 0)
		return fault_default(f, err);
	err = send_body(s, false, f);
	request_clear(s->request);
	return err;
}

/* The server counts lines from the beginning of the request, people from that of the file. */
static int send_lines(struct transfer_sink *s, bool last, struct fault *f)
{
	int err = line_request_encode(&s->lines, s->t->producer, s->sequence, last ? s->t->run : NULL, last,
				      &s->upload->body);

	if (err < 0)
		return fault_default(f, err);
	err = send_body(s, true, f);
	if (err < 0)
		line_request_renumber(&s->lines, f);
	line_request_clear(&s->lines);
	return err;
}

/* Before something is added, so that the last request is never empty unless the file says nothing. */
static int make_room(struct transfer_sink *s, struct fault *f)
{
	return request_is_full(s->request) ? send_request(s, false, f) : 0;
}

/* false: the time is none. */
static bool resolve_time(const struct transfer_sink *s, struct import_time t, int64_t *ret_ns)
{
	int64_t ns = t.ns;

	if (t.kind == TIME_UNKNOWN)
		ns = s->now_ns;
	else if (t.kind == TIME_RELATIVE && __builtin_add_overflow(s->t->origin_ns, t.ns, &ns))
		return false;
	*ret_ns = ns;
	return ns >= 0 && ns <= s->t->walk->latest_ns;
}

static void see_time(struct transfer_result *r, int64_t t_ns)
{
	if (r->lines + r->samples + r->windows == 0)
		r->first_ns = r->last_ns = t_ns;
	if (t_ns < r->first_ns)
		r->first_ns = t_ns;
	if (t_ns > r->last_ns)
		r->last_ns = t_ns;
}

static int take_sample(struct import_sink *k, const struct import_sample *sample, struct fault *f)
{
	struct transfer_sink *s = of(k);
	struct series_entry *series;
	int64_t t_ns;
	int err;

	if (!resolve_time(s, sample->time, &t_ns)) {
		s->result.refused_samples++;
		return 0;
	}
	if ((err = make_room(s, f)) < 0 || (err = series_names_get(&s->names, sample, &series)) < 0)
		return err;
	if (!series) {
		s->result.refused_names++;
		return 0;
	}
	if (series->request != s->sequence) {
		err = request_add_series(s->request, sample, &series->index);
		if (err < 0)
			return err;
		series->request = s->sequence;
	}
	see_time(&s->result, t_ns);
	s->result.samples++;
	return request_add_sample(s->request, series->index,
				  (struct point){ t_ns, sample->step, sample->value }, sample->is_float32);
}

static int take_log(struct import_sink *k, const struct import_log *l, struct fault *f)
{
	struct transfer_sink *s = of(k);
	int64_t t_ns;
	int err = make_room(s, f);

	if (err < 0)
		return err;
	if (resolve_time(s, l->time, &t_ns))
		s->now_ns = t_ns;
	else
		s->result.moved_lines++;
	see_time(&s->result, s->now_ns);
	s->result.lines++;
	return request_add_log(s->request, l, s->now_ns);
}

static int take_line(struct import_sink *k, const struct import_line *l, struct fault *f)
{
	struct transfer_sink *s = of(k);
	struct import_time t = l->time;
	int err = line_request_is_full(&s->lines) ? send_lines(s, false, f) : 0;
	int64_t t_ns;

	if (err < 0)
		return err;
	if (resolve_time(s, t, &t_ns))
		s->now_ns = t_ns;
	see_time(&s->result, s->now_ns);
	s->result.lines += l->kind == 'l';
	s->result.samples += l->kind == 's';
	s->result.windows += l->kind == 'b';
	err = line_request_add(&s->lines, l, s->now_ns);
	return err == ERR_FULL ? fault_set(f, ERR_TOO_LARGE, "", "line %llu is too long to be sent",
					   (unsigned long long)l->number)
			       : err;
}

static int pass_run(struct import_sink *k, const struct import_run *r)
{
	(void)k, (void)r; /* likewise */
	return 0;
}

static int pass_param(struct import_sink *k, struct span key, struct span value)
{
	(void)k, (void)key, (void)value; /* the run has it */
	return 0;
}

static void pass_note(struct import_sink *k, const char *text) { (void)k, (void)text; /* it has been said */ }

int transfer_files(const struct transfer *t, struct upload *u, struct transfer_result *ret, struct fault *f)
{
	struct transfer_sink s = { .sink = { take_sample, take_log, pass_param, pass_note, take_line,
					     pass_run },
				   .t = t,
				   .upload = u,
				   .sequence = 1,
				   .now_ns = t->start_ns };
	int err = request_new(&s.request);

	series_names_init(&s.names);
	line_request_init(&s.lines);
	if (err < 0)
		fault_default(f, err);
	else if ((err = walk_files(t->walk, true, &s.sink, f)) == 0)
		err = t->run || s.lines.used ? send_lines(&s, true, f) : send_request(&s, true, f);
	s.result.series = s.names.n;
	if (err == 0)
		*ret = s.result;
	request_free(s.request);
	series_names_release(&s.names);
	line_request_release(&s.lines);
	return err;
}
