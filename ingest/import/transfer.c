#include "ingest/import/transfer.h"

#include <sodium/crypto_generichash.h>
#include <stdio.h>

#include "ingest/import/metric_names.h"
#include "ingest/import/request.h"

struct state {
	const struct transfer *t;
	struct upload *upload;
	struct request *request;
	uint64_t sequence; /* of the request in the making */
	struct metric_names names;
	struct line_facts facts;
	int64_t now_ns; /* time of the line in hand */
	struct transfer_result result;
};

static int send_request(struct state *s, bool last, struct fault *f)
{
	struct upload_answer answer;
	int err = request_encode(s->request, s->t->producer, s->sequence, last, &s->upload->body);

	if (err < 0)
		return fault_default(f, err);
	err = upload_send(s->upload, &answer, f);
	if (err < 0)
		return err;
	if (answer.rejected_samples + answer.rejected_lines > 0 && !s->result.reject_code[0])
		memcpy(s->result.reject_code, answer.reject_code, sizeof(s->result.reject_code));
	s->result.rejected_samples += answer.rejected_samples;
	s->result.rejected_lines += answer.rejected_lines;
	s->result.duplicates += answer.duplicate;
	s->result.requests++;
	s->sequence++;
	request_clear(s->request);
	return 0;
}

static int add_sample(struct state *s, const struct line_record *r)
{
	struct metric_name *name;
	int err = metric_names_get(&s->names, r->key, &name);

	if (err < 0)
		return err;
	if (!name) {
		s->result.refused_names++;
		return 0;
	}
	if (name->request != s->sequence) {
		err = request_add_series(s->request, r->key, &name->index);
		if (err < 0)
			return err;
		name->request = s->sequence;
	}
	s->result.samples++;
	return request_add_sample(s->request, name->index,
				  (struct point){ r->has_time ? r->t_ns : s->now_ns, r->step, r->number });
}

static int add_line(struct state *s, struct span line)
{
	int err = s->t->format->parse_line(line, &s->facts);

	if (err < 0)
		return err;
	if (s->facts.has_time)
		s->now_ns = s->facts.t_ns;
	if (s->result.lines++ == 0)
		s->result.first_ns = s->result.last_ns = s->now_ns;
	if (s->now_ns < s->result.first_ns)
		s->result.first_ns = s->now_ns;
	if (s->now_ns > s->result.last_ns)
		s->result.last_ns = s->now_ns;
	for (size_t i = 0; i < s->facts.n && err == 0; i++)
		if (s->facts.records[i].is_number)
			err = add_sample(s, &s->facts.records[i]);
	return err < 0 ? err : request_add_line(s->request, s->now_ns, line);
}

static int changed(struct fault *f)
{
	return fault_set(
	    f, ERR_CONFLICT, "file",
	    "the file changed while it was imported, and what is sent is no whole file: remove the "
	    "run, and import again when nothing writes to the file");
}

/* All surveyed bytes; the last request is left in s->request. */
static int send_lines(struct state *s, struct line_file *src, struct progress *p, struct fault *f)
{
	uint64_t left = s->t->survey->bytes;
	crypto_generichash_state hash;
	uint8_t digest[DIGEST_BYTES];
	struct span line;
	int err = 0;

	crypto_generichash_init(&hash, NULL, 0, sizeof(digest));
	while (left > 0 && (err = line_file_next(src, &line, f)) == 0) {
		if (line.len > left)
			line.len = (size_t)left;
		left -= line.len;
		crypto_generichash_update(&hash, line.data, line.len);
		if ((err = add_line(s, line)) < 0 ||
		    (left > 0 && request_is_full(s->request) && (err = send_request(s, false, f)) < 0))
			break;
		progress_show(p, line_file_done(src), line_file_size(src));
	}
	if (err < 0)
		return fault_default(f, err);
	crypto_generichash_final(&hash, digest, sizeof(digest));
	return memcmp(digest, s->t->survey->digest, sizeof(digest)) == 0 ? 0 : changed(f);
}

int transfer_file(struct line_file *src, const struct transfer *t, struct upload *u, struct progress *p,
		  struct transfer_result *ret, struct fault *f)
{
	struct state s = { .t = t, .upload = u, .sequence = 1, .now_ns = t->start_ns };
	int err = request_new(&s.request);

	line_facts_init(&s.facts);
	if (err < 0) {
		fault_default(f, err);
		goto done;
	}
	err = line_file_rewind(src, f);
	if (err < 0 || (err = send_lines(&s, src, p, f)) < 0 || (err = send_request(&s, true, f)) < 0)
		goto done;
	s.result.metrics = s.names.n;
	*ret = s.result;
done:
	request_free(s.request);
	metric_names_release(&s.names);
	line_facts_release(&s.facts);
	return err;
}
