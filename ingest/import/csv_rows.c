#include "ingest/import/csv_rows.h"

#include <inttypes.h>
#include <stdlib.h>

#include "store/base/array.h"
#include "store/model.h"

void csv_rows_init(struct csv_rows *r, struct input *in, char comment)
{
	*r = (struct csv_rows){ .in = in, .comment = comment };
	buf_init(&r->text, CSV_ROW_MAX);
}

void csv_rows_release(struct csv_rows *r)
{
	free(r->cells);
	buf_release(&r->text);
	*r = (struct csv_rows){ 0 };
}

static int bad_row(const struct csv_rows *r, struct fault *f, const char *what)
{
	return fault_set(f, ERR_MALFORMED, "file", "line %" PRIu64 " %s", r->line, what);
}

static int add_cell(struct csv_rows *r, struct span cell, struct fault *f)
{
	if (r->n == CSV_CELLS_MAX)
		return bad_row(r, f, "has more than 100,000 cells: this is no CSV file");
	if (array_grow(r->cells, r->n, r->cap) < 0)
		return fault_default(f, ERR_NOMEM);
	r->cells[r->n++] = cell;
	return 0;
}

static struct span trim(const uint8_t *start, const uint8_t *end)
{
	while (start < end && (*start == ' ' || *start == '\t'))
		start++;
	while (end > start && (end[-1] == ' ' || end[-1] == '\t'))
		end--;
	return span_of(start, (size_t)(end - start));
}

static const uint8_t *comma_or(const uint8_t *p, const uint8_t *end)
{
	const uint8_t *comma = p < end ? memchr(p, ',', (size_t)(end - p)) : NULL;

	return comma ? comma : end;
}

static int split_plain(struct csv_rows *r, struct span row, struct fault *f)
{
	const uint8_t *p = row.data, *end = row.data + row.len;

	for (;;) {
		const uint8_t *comma = comma_or(p, end);
		int err = add_cell(r, trim(p, comma), f);

		if (err < 0 || comma == end)
			return err;
		p = comma + 1;
	}
}

/* The cell in quotes that *p, behind the opening one, begins; doubled quotes become one where they
 * lie.  *p is then behind the closing quote. */
static bool take_quoted(uint8_t **p, const uint8_t *end, struct span *ret)
{
	uint8_t *from = *p, *to = *p, *start = *p;

	for (; from < end; from++) {
		if (*from == '"' && (from + 1 == end || from[1] != '"')) {
			*ret = span_of(start, (size_t)(to - start));
			*p = from + 1;
			return true;
		}
		from += *from == '"';
		*to++ = *from;
	}
	return false;
}

/* The row lies in r->text, which may be written to. */
static int split_quoted(struct csv_rows *r, size_t len, struct fault *f)
{
	uint8_t *p = r->text.data;
	const uint8_t *end = p + len;

	for (;;) {
		const uint8_t *comma = comma_or(p, end);
		struct span cell = trim(p, comma);
		int err;

		if (cell.len > 0 && cell.data[0] == '"') {
			p = (uint8_t *)cell.data + 1;
			if (!take_quoted(&p, end, &cell))
				return bad_row(r, f, "opens a quote that is never closed");
			comma = comma_or(p, end);
			if (trim(p, comma).len > 0)
				return bad_row(r, f,
					       "has text behind a closing quote: double quotes that are "
					       "inside a cell");
		}
		err = add_cell(r, cell, f);
		if (err < 0 || comma == end)
			return err;
		p = (uint8_t *)comma + 1;
	}
}

/* Whether a cell of the row is still open: its quotes are odd. */
static bool is_open(struct span s)
{
	const uint8_t *p = s.data, *end = s.data + s.len;
	bool open = false;

	while (p < end && (p = memchr(p, '"', (size_t)(end - p))) != NULL) {
		open = !open;
		p++;
	}
	return open;
}

static bool has_end(struct span line) { return line.len > 0 && line.data[line.len - 1] == '\n'; }

/* Reads on into r->text until the row is whole. */
static int read_on(struct csv_rows *r, struct span line, struct fault *f)
{
	bool open = is_open(line), ended = has_end(line);
	int err;

	buf_clear(&r->text);
	err = buf_add(&r->text, line.data, line.len);
	while (err == 0 && (open || !ended) && (err = input_line(r->in, &line, f)) == 0) {
		open ^= is_open(line);
		r->next_line += ended; /* not for another piece of the same line */
		ended = has_end(line);
		err = buf_add(&r->text, line.data, line.len);
	}
	if (err == ERR_FULL)
		return bad_row(r, f, "begins a row of more than 16 MiB: is a quote never closed?");
	return err == 1 ? 0 : err < 0 ? fault_default(f, err) : 0;
}

static struct span without_end(struct span s)
{
	if (has_end(s))
		s.len--;
	if (s.len > 0 && s.data[s.len - 1] == '\r')
		s.len--;
	return s;
}

static int split(struct csv_rows *r, struct span line, struct fault *f)
{
	bool quoted = memchr(line.data, '"', line.len) != NULL;
	int err = 0;

	if (quoted || (!has_end(line) && line.len == LOG_TEXT_MAX)) {
		err = read_on(r, line, f);
		line = buf_span(&r->text);
	}
	if (err < 0)
		return err;
	if (memchr(line.data, 0, line.len))
		return bad_row(r, f,
			       "holds NUL bytes: this is no CSV file, or one in UTF-16; make it UTF-8 first");
	line = without_end(line);
	return quoted ? split_quoted(r, line.len, f) : split_plain(r, line, f);
}

int csv_rows_next(struct csv_rows *r, struct fault *f)
{
	struct span line;
	int err;

	r->n = 0;
	do {
		err = input_line(r->in, &line, f);
		if (err != 0)
			return err;
		r->line = ++r->next_line;
		if (r->line == 1 && line.len >= 3 && memcmp(line.data, "\xef\xbb\xbf", 3) == 0)
			line = span_of(line.data + 3, line.len - 3);
	} while (without_end(line).len == 0);
	r->is_comment = r->comment && line.data[0] == (uint8_t)r->comment;
	if (r->is_comment)
		return add_cell(r, span_of(line.data + 1, without_end(line).len - 1), f);
	return split(r, line, f);
}
