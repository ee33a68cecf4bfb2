#include "query/cli/logshow.h"

#include <stdio.h>

#include "query/cli/term.h"
#include "query/cli/verb.h"

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
	log_events_free(l->events);
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

/* Whether colours of the text's own are still set behind it. */
static bool is_colored_on(struct span shown)
{
	const uint8_t *at = memrchr(shown.data, 0x1b, shown.len);
	size_t left = at ? (size_t)(shown.data + shown.len - at) : 0;

	return at && !(left >= 3 && memcmp(at, "\x1b[m", 3) == 0) &&
	       !(left >= 4 && memcmp(at, "\x1b[0m", 4) == 0);
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
	if (shown.len > 0 && is_colored_on(buf_span(&shown)))
		put(l, span_str("\x1b[0m")); /* they are not those of the next record */
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
	l->more = tree_flag(end, "more");
	if (last > l->last_seq)
		l->last_seq = last;
	if (json_object_object_get_ex(end, "read", &read))
		tell_effort(read);
}

/* A record to show, with its line. */
static void show_one(struct log_show *l, struct json_object *o, struct span line)
{
	if (l->as == LOG_SHOW_JSON)
		put(l, line);
	else
		show_record(l, o);
}

static void show_chosen(void *arg, struct span line, bool apart)
{
	struct log_show *l = arg;
	struct json_object *o = tree_parse(span_of(line.data, line.len - 1));

	if (apart && l->apart && l->as == LOG_SHOW_TEXT) {
		held_show(l);
		put(l, span_str(color_start(l->color, COLOR_DIM)));
		put(l, span_str("--"));
		put(l, span_str(color_end(l->color, COLOR_DIM)));
		put(l, span_str("\n"));
	}
	show_one(l, o, line);
	json_object_put(o);
}

static void take_record(struct log_show *l, struct json_object *o, struct span line)
{
	struct json_object *context;
	uint64_t seq = tree_u64(o, "seq");
	int err;

	if (seq > l->last_found && !json_object_object_get_ex(o, "context", &context))
		l->last_found = seq;
	if (seq <= l->passed)
		return;
	if (seq > l->last_seq)
		l->last_seq = seq;
	if (!l->events)
		show_one(l, o, line);
	else if ((err = log_events_add(l->events, o, line)) < 0)
		fault_default(&l->fault, err);
}

static void show_line(struct log_show *l, struct span line)
{
	struct json_object *o = tree_parse(span_of(line.data, line.len - 1)), *v;
	bool end = json_object_object_get_ex(o, "end", &v), error = false;

	if (!end)
		error = json_object_object_get_ex(o, "error", &v);
	if ((end || error) && l->events && !l->live)
		log_events_end(l->events);
	if ((end || error) && l->as == LOG_SHOW_JSON)
		put(l, line);
	if (end)
		take_end(l, v);
	else if (error)
		take_error(l, v);
	else
		take_record(l, o, line);
	json_object_put(o);
}

int log_show_piece(void *log_show, struct span piece)
{
	struct log_show *l = log_show;

	if (l->gather && buf_add(&l->gathered, piece.data, piece.len) == 0)
		return 0;
	if (l->gather) {
		fault_set(
		    &l->fault, ERR_TOO_LARGE, "tail",
		    "the last records and what lies around them are more than %u MiB; ask for fewer of them",
		    SOURCE_WHOLE_MAX >> 20);
		return 1;
	}
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
static void each_gathered(struct log_show *l, void (*take)(struct log_show *l, struct span line))
{
	size_t end = l->gathered.len, last = end;

	while (end > 0) {
		size_t at = end - 1;

		while (at > 0 && l->gathered.data[at - 1] != '\n')
			at--;
		if (end == l->gathered.len)
			last = at;
		else
			take(l, span_of(l->gathered.data + at, end - at));
		end = at;
	}
	if (last < l->gathered.len)
		take(l, span_of(l->gathered.data + last, l->gathered.len - last));
}

/* ---- events ---- */

int log_show_events(struct log_show *l, const struct log_events_ask *ask, bool apart)
{
	struct log_events_ask own = *ask;

	own.show = show_chosen;
	own.arg = l;
	log_events_free(l->events);
	l->events = NULL;
	l->apart = apart;
	return log_events_new(&own, &l->events);
}

void log_show_live(struct log_show *l)
{
	l->live = true;
	l->passed = l->last_seq;
	if (l->events)
		log_events_live(l->events);
}

uint64_t log_show_resume(const struct log_show *l)
{
	return l->events && l->last_found ? l->last_found - 1 : l->last_seq;
}

static void count_line(struct log_show *l, struct span line)
{
	struct json_object *o = tree_parse(span_of(line.data, line.len - 1)), *v;

	if (json_object_object_get_ex(o, "end", &v))
		l->more = tree_flag(v, "more");
	else if (!json_object_object_get_ex(o, "error", &v))
		log_events_add(l->events, o, line);
	json_object_put(o);
}

int log_show_tail(struct log_show *l, const struct log_events_ask *ask, bool apart, uint64_t n,
		  bool *ret_enough)
{
	struct log_events_ask count = *ask, last = *ask;
	uint64_t found;
	int err;

	count.show = NULL;
	log_events_free(l->events);
	if ((err = log_events_new(&count, &l->events)) < 0)
		return err;
	l->more = false; /* as it stays where the answer ends with an error, which is shown */
	each_gathered(l, count_line);
	found = log_events_found(l->events);
	*ret_enough = found > n || !l->more;
	if (!*ret_enough) {
		buf_clear(&l->gathered);
		l->ended = false;
	}
	last.skip = found > n ? found - n : 0;
	return log_show_events(l, &last, apart);
}

int log_show_end(struct log_show *l, int err, struct fault *f)
{
	bool ended;

	if (l->gather)
		each_gathered(l, show_line);
	buf_release(&l->gathered);
	l->gather = false;
	if (l->events && !l->live)
		log_events_end(l->events);
	buf_clear(&l->line);
	held_show(l);
	if (fflush(stdout) != 0)
		l->closed = true;
	ended = l->ended;
	l->ended = false;
	if ((err == 0 || err == ERR_GONE) && l->fault.err) {
		*f = l->fault;
		return f->err;
	}
	if (err == 0 && !ended)
		return fault_set(f, ERR_IO, "", "the answer ended in the middle");
	return err;
}
