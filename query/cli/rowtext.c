#include "query/cli/rowtext.h"

enum { SERIES_DEPTH = 3, ROWS_DEPTH = 4 };

void rowtext_init(struct rowtext *r)
{
	*r = (struct rowtext){ 0 };
	buf_init(&r->rest, ROWTEXT_REST_MAX);
	buf_init(&r->line, ROWTEXT_ROW_MAX);
}

void rowtext_release(struct rowtext *r)
{
	buf_release(&r->rest);
	buf_release(&r->line);
}

static bool key_is_rows(const struct rowtext *r)
{
	return r->depth == SERIES_DEPTH && r->string_end > r->string_at &&
	       span_is(span_of(r->rest.data + r->string_at, r->string_end - r->string_at), "rows");
}

/* The '[' of "rows": the object up to here, closed, is the series. */
static int rows_begin(struct rowtext *r)
{
	size_t len = r->rest.len;
	int err = buf_addstr(&r->rest, "]}");

	if (err < 0)
		return err;
	err = r->series(r->arg, span_of(r->rest.data + r->series_at, r->rest.len - r->series_at));
	r->rest.len = len;
	r->in_rows = true;
	return err;
}

static int opened(struct rowtext *r, uint8_t c)
{
	bool rows = c == '[' && !r->in_rows && key_is_rows(r);

	r->depth++;
	if (c == '{' && r->depth == SERIES_DEPTH)
		r->series_at = r->rest.len - 1;
	return rows ? rows_begin(r) : 0;
}

/* A character of a row (or between rows), when not in a string. */
static int row_char(struct rowtext *r, uint8_t c)
{
	int err;

	if (c == '[') {
		r->depth++;
	} else if (c == ']' && r->depth == ROWS_DEPTH) {
		r->depth--;
		r->in_rows = false;
		return buf_addch(&r->rest, ']');
	} else if (c == ']') {
		r->depth--;
	} else if (r->depth == ROWS_DEPTH) {
		return 0;
	}
	if ((err = buf_addch(&r->line, (char)c)) < 0 || r->depth > ROWS_DEPTH)
		return err;
	err = r->row(r->arg, buf_span(&r->line));
	buf_clear(&r->line);
	return err;
}

static int in_string(struct rowtext *r, uint8_t c)
{
	struct buf *b = r->in_rows ? &r->line : &r->rest;

	if (r->escaped)
		r->escaped = false;
	else if (c == '\\')
		r->escaped = true;
	else if (c == '"')
		r->in_string = false;
	if (!r->in_string && !r->in_rows)
		r->string_end = r->rest.len;
	return buf_addch(b, (char)c);
}

static int feed_char(struct rowtext *r, uint8_t c)
{
	int err;

	if (r->in_string)
		return in_string(r, c);
	if (c == '"') {
		r->in_string = true;
		if (!r->in_rows)
			r->string_at = r->rest.len + 1;
		return buf_addch(r->in_rows ? &r->line : &r->rest, '"');
	}
	if (r->in_rows)
		return row_char(r, c);
	if ((err = buf_addch(&r->rest, (char)c)) < 0)
		return err;
	if (c == '{' || c == '[')
		return opened(r, c);
	if (c == '}' || c == ']')
		r->depth--;
	return r->depth < 0 ? ERR_MALFORMED : 0;
}

int rowtext_feed(struct rowtext *r, struct span piece)
{
	int err = 0;

	for (size_t i = 0; i < piece.len && err == 0; i++)
		err = feed_char(r, piece.data[i]);
	return err;
}
