#include "ingest/import/line_request.h"

#include <inttypes.h>
#include <sodium/utils.h>
#include <stdio.h>

#define TEXT_BYTES_MAX (48u << 20) /* a server unpacks 64 MiB */

void line_request_init(struct line_request *q)
{
	*q = (struct line_request){ 0 };
	buf_init(&q->text, TEXT_BYTES_MAX);
}

void line_request_release(struct line_request *q) { buf_release(&q->text); }

void line_request_clear(struct line_request *q)
{
	buf_clear(&q->text);
	q->n = 0;
}

bool line_request_is_full(const struct line_request *q)
{
	return q->text.len >= LINE_REQUEST_FULL_BYTES || q->n >= LINE_REQUEST_FULL_LINES;
}

/* In the place of the null, or before the closing brace. */
static int add_with_time(struct buf *b, const struct import_line *l, int64_t t_ns)
{
	size_t at = l->null.len ? (size_t)(l->null.data - l->text.data) : l->text.len - 1;
	char text[CLOCK_TEXT_MAX];
	int err = buf_add(b, l->text.data, at);

	clock_format(t_ns, text);
	if (err == 0)
		err = buf_addf(b, l->null.len ? "\"%s\"" : ",\"time\":\"%s\"", text);
	at += l->null.len;
	if (err == 0)
		err = buf_add(b, l->text.data + at, l->text.len - at);
	return err < 0 ? err : buf_addch(b, '\n');
}

/* Lines that were passed over stay as blank ones: so the server counts as the file does. */
int line_request_add(struct line_request *q, const struct import_line *l, int64_t t_ns)
{
	int err = 0;

	if (q->n == 0)
		q->first = q->next = l->number;
	for (; q->next < l->number && err == 0; q->next++)
		err = buf_addch(&q->text, '\n');
	if (err < 0)
		return err;
	q->next = l->number + 1;
	q->n++;
	q->used = true;
	if (!l->has_time)
		return add_with_time(&q->text, l, t_ns);
	err = buf_add(&q->text, l->text.data, l->text.len);
	return err < 0 ? err : buf_addch(&q->text, '\n');
}

static int add_end(struct buf *out, const struct import_run *run)
{
	static const struct import_run finished = { .state = RUN_FINISHED };
	char text[CLOCK_TEXT_MAX];
	int err;

	run = run ? run : &finished;
	err = buf_addf(out, ",\"state\":\"%s\"", run_state_name(run->state));
	if (err == 0 && run->has_exit_code)
		err = buf_addf(out, ",\"exit_code\":%" PRId32, run->exit_code);
	if (err < 0 || !run->ended_ns)
		return err;
	clock_format(run->ended_ns, text);
	return buf_addf(out, ",\"ended_at\":\"%s\"", text);
}

int line_request_encode(const struct line_request *q, const uint8_t producer[PRODUCER_ID_BYTES],
			uint64_t sequence, const struct import_run *run, bool last, struct buf *out)
{
	char id[2 * PRODUCER_ID_BYTES + 1];
	int err;

	sodium_bin2hex(id, sizeof(id), producer, PRODUCER_ID_BYTES);
	buf_clear(out);
	err = buf_addf(out, "{\"producer\":{\"id\":\"%s\",\"sequence\":%" PRIu64 "},\"imported\":true", id,
		       sequence);
	if (err == 0 && last)
		err = add_end(out, run);
	if (err == 0)
		err = buf_addstr(out, "}\n");
	return err < 0 ? err : buf_add(out, q->text.data, q->text.len);
}

void line_request_renumber(const struct line_request *q, struct fault *f)
{
	struct fault said = *f;
	uint64_t line = 0;
	int skip = 0;

	/* its first line is the producer's */
	if (sscanf(said.text, "line %" SCNu64 ": %n", &line, &skip) == 1 && skip > 0 && line > 1)
		fault_set(f, said.err, said.field, "line %" PRIu64 ": %s", q->first + line - 2,
			  said.text + skip);
}
