#include "query/logshow.h"

#include <stdio.h>

#include "query/term.h"
#include "query/verb.h"

#define LINE_MAX_BYTES (16u * 1024 * 1024)
#define HELD_MAX_BYTES (2u * 1024 * 1024)

void log_show_init(struct log_show *l, enum log_show_as as, bool color)
{
	*l = (struct log_show){ .as = as, .color = color };
	buf_init(&l->line, LINE_MAX_BYTES);
	buf_init(&l->held, HELD_MAX_BYTES);
	buf_init(&l->gathered, SOURCE_WHOLE_MAX);
}

void log_show_release(struct log_show *l)
{
	buf_release(&l->line);
	buf_release(&l->held);
	buf_release(&l->gathered);
}

void log_show_gather(struct log_show *l) { l->gather = true; }

static void put(struct log_show *l, struct span s)
{
	if (s.len > 0 && fwrite(s.data, 1, s.len, stdout) != s.len)
		l->closed = true;
}

/* ---- text ---- */

/* Warnings and errors stand out, but where the text has colours of its own. */
static enum color level_color(const char *level, struct span text)
{
	if (text.len == 0 || memchr(text.data, 0x1b, text.len))
		return COLOR_NONE;
	if (strcmp(level, "error") == 0 || strcmp(level, "fatal") == 0)
		return COLOR_RED;
	if (strcmp(level, "warn") == 0)
		return COLOR_YELLOW;
	return strcmp(level, "debug") == 0 || strcmp(level, "trace") == 0 ? COLOR_DIM : COLOR_NONE;
}

static void show_shaped(struct log_show *l, struct span text, const char *level, bool line_goes_on)
{
	enum color c = level_color(level, text);
	struct buf shown;
	bool ends;

	buf_init(&shown, HELD_MAX_BYTES);
	shown_text(text, l->color, &shown);
	ends = shown.len > 0 && shown.data[shown.len - 1] == '\n';
	put(l, span_str(color_start(l->color, c)));
	put(l, span_of(shown.data, shown.len - ends));
	put(l, span_str(color_end(l->color, c)));
	if (ends || !line_goes_on)
		put(l, span_str("\n"));
	buf_release(&shown);
}

static void held_show(struct log_show *l)
{
	if (l->held.len > 0)
		show_shaped(l, buf_span(&l->held), "", false);
	buf_clear(&l->held);
}

/* Whether the text is a state of a progress bar that the next record may overwrite. */
static bool is_bar(struct span text)
{
	return text.len > 0 && memchr(text.data, '\r', text.len) && text.data[text.len - 1] != '\n';
}

static void show_text(struct log_show *l, struct span text, struct json_object *record, long rank,
		      bool line_goes_on)
{
	const char *stream = tree_text(record, "stream");
	bool same = l->held.len > 0 && rank == l->held_rank && strcmp(stream, l->held_stream) == 0;

	if (same && text.len > 0 && (text.data[0] == '\r' || l->held.data[l->held.len - 1] == '\r'))
		buf_clear(&l->held);
	else
		held_show(l);
	if (text.len == 0 || !is_bar(text) || buf_add(&l->held, text.data, text.len) < 0) {
		show_shaped(l, text, tree_text(record, "level"), line_goes_on);
		return;
	}
	snprintf(l->held_stream, sizeof l->held_stream, "%s", stream);
	l->held_rank = rank;
}

/* ---- lines ---- */

static int value_of(uint8_t c)
{
	if (c >= 'A' && c <= 'Z')
		return c - 'A';
	if (c >= 'a' && c <= 'z')
		return c - 'a' + 26;
	if (c >= '0' && c <= '9')
		return c - '0' + 52;
	return c == '+' ? 62 : c == '/' ? 63 : -1;
}

static int base64_decode(const char *text, struct buf *out)
{
	uint32_t bits = 0;
	int n = 0, err = 0;

	for (; *text && *text != '=' && err == 0; text++) {
		bits = bits << 6 | (uint32_t)value_of((uint8_t)*text);
		if ((n += 6) >= 8) {
			n -= 8;
			err = buf_addch(out, (char)(bits >> n & 0xff));
		}
	}
	return err;
}

static void show_record(struct log_show *l, struct json_object *o)
{
	struct json_object *text, *base64, *rank, *goes_on;
	struct buf bytes;
	struct span s;

	if (!json_object_object_get_ex(o, "text", &text))
		return;
	s = span_of(json_object_get_string(text), (size_t)json_object_get_string_len(text));
	buf_init(&bytes, HELD_MAX_BYTES);
	if (json_object_object_get_ex(o, "text_base64", &base64) &&
	    json_object_is_type(base64, json_type_string) &&
	    base64_decode(json_object_get_string(base64), &bytes) == 0)
		s = buf_span(&bytes);
	json_object_object_get_ex(o, "rank", &rank);
	if (l->as == LOG_SHOW_RAW)
		put(l, s);
	else
		show_text(l, s, o, rank ? (long)json_object_get_int64(rank) : -1,
			  json_object_object_get_ex(o, "continues", &goes_on));
	buf_release(&bytes);
}

static void take_error(struct log_show *l, struct json_object *error)
{
	const char *code = tree_text(error, "code");

	l->fault.err = ERR_IO;
	for (int e = -1; e >= ERR_AHEAD; e--)
		if (strcmp(err_name(e), code) == 0)
			l->fault.err = e;
	fault_set(&l->fault, l->fault.err, tree_text(error, "field"), "%s", tree_text(error, "message"));
}

static void tell_effort(struct json_object *read)
{
	char opened[SHORT_TEXT_MAX], all[SHORT_TEXT_MAX];

	short_bytes(tree_u64(read, "opened_bytes"), opened);
	short_bytes(tree_u64(read, "bytes"), all);
	fprintf(stderr, "opened %llu of %llu stored blocks (%s of %s)\n",
		(unsigned long long)tree_u64(read, "opened_blocks"),
		(unsigned long long)tree_u64(read, "blocks"), opened, all);
}

static void take_end(struct log_show *l, struct json_object *end)
{
	uint64_t last = tree_u64(end, "last_seq");
	struct json_object *read;

	l->ended = true;
	if (last > l->last_seq)
		l->last_seq = last;
	if (json_object_object_get_ex(end, "read", &read))
		tell_effort(read);
}

static void show_line(struct log_show *l, struct span line)
{
	struct json_object *o, *v;

	if (l->as == LOG_SHOW_JSON)
		put(l, line);
	o = tree_parse(span_of(line.data, line.len - 1));
	if (json_object_object_get_ex(o, "end", &v)) {
		take_end(l, v);
	} else if (json_object_object_get_ex(o, "error", &v)) {
		take_error(l, v);
	} else {
		if (tree_u64(o, "seq") > l->last_seq)
			l->last_seq = tree_u64(o, "seq");
		if (l->as != LOG_SHOW_JSON)
			show_record(l, o);
	}
	json_object_put(o);
}

int log_show_piece(void *log_show, struct span piece)
{
	struct log_show *l = log_show;

	if (l->gather)
		return buf_add(&l->gathered, piece.data, piece.len) < 0;
	while (piece.len > 0 && !l->closed) {
		const uint8_t *end = memchr(piece.data, '\n', piece.len);
		size_t n = end ? (size_t)(end - piece.data) + 1 : piece.len;

		if (buf_add(&l->line, piece.data, n) < 0)
			return 1;
		piece = span_of(piece.data + n, piece.len - n);
		if (!end)
			break;
		if (l->line.len > 1)
			show_line(l, buf_span(&l->line));
		else
			held_show(l); /* a heartbeat: nothing overwrites what is held soon */
		buf_clear(&l->line);
	}
	if (fflush(stdout) != 0)
		l->closed = true;
	return l->closed;
}

/* From the last line to the first; the last is the answer's end, which is taken last. */
static void show_gathered(struct log_show *l)
{
	size_t end = l->gathered.len, last = end;

	while (end > 0) {
		size_t at = end - 1;

		while (at > 0 && l->gathered.data[at - 1] != '\n')
			at--;
		if (end == l->gathered.len)
			last = at;
		else
			show_line(l, span_of(l->gathered.data + at, end - at));
		end = at;
	}
	if (last < l->gathered.len)
		show_line(l, span_of(l->gathered.data + last, l->gathered.len - last));
	buf_release(&l->gathered);
}

int log_show_end(struct log_show *l, int err, struct fault *f)
{
	bool ended;

	if (l->gather)
		show_gathered(l);
	l->gather = false;
	buf_clear(&l->line);
	held_show(l);
	if (fflush(stdout) != 0)
		l->closed = true;
	ended = l->ended;
	l->ended = false;
	if (err == 0 && l->fault.err) {
		*f = l->fault;
		return f->err;
	}
	if (err == 0 && !ended)
		return fault_set(f, ERR_IO, "", "the answer ended in the middle");
	return err;
}
