#include "query/cli/logtrace.h"

#define HEAD "Traceback (most recent call last):"

enum phase {
	PHASE_NONE,
	PHASE_FRAMES,  /* below the head of a traceback */
	PHASE_RAISED,  /* below its exception */
	PHASE_CHAINED, /* another traceback is announced */
};

static bool is_digit(uint8_t c) { return c >= '0' && c <= '9'; }

static bool is_word(uint8_t c)
{
	return is_digit(c) || ((c | 0x20) >= 'a' && (c | 0x20) <= 'z') || c == '_' || c == '$' || c >= 0x80;
}

static bool starts(struct span s, const char *with)
{
	size_t n = strlen(with);

	return s.len >= n && memcmp(s.data, with, n) == 0;
}

static struct span behind(struct span s, size_t n) { return span_of(s.data + n, s.len - n); }

static size_t digits(struct span s)
{
	size_t n = 0;

	while (n < s.len && is_digit(s.data[n]))
		n++;
	return n;
}

/* ---- labels ---- */

/* "3: " of srun; "3:" alone where the line is empty. */
static size_t srun_label(struct span s)
{
	size_t n = digits(s);

	if (n == 0 || n > 6 || n == s.len || s.data[n] != ':')
		return 0;
	n++;
	if (n < s.len && s.data[n] == ' ')
		return n + 1;
	return n == s.len || s.data[n] == '\n' || s.data[n] == '\r' ? n : 0;
}

/* "[rank3]: " of torchrun; of its C++ side "[rank3]:". */
static size_t torchrun_label(struct span s)
{
	size_t n = starts(s, "[rank") ? digits(behind(s, 5)) : 0;

	if (n == 0 || s.len < n + 7 || memcmp(s.data + 5 + n, "]:", 2) != 0)
		return 0;
	n += 7;
	return n + (n < s.len && s.data[n] == ' ');
}

size_t log_label(struct span text)
{
	size_t n = srun_label(text);

	return n + torchrun_label(behind(text, n));
}

/* ---- lines ---- */

static bool is_blank(struct span s)
{
	for (size_t i = 0; i < s.len; i++)
		if (!memchr(" \t\r\n", s.data[i], 4))
			return false;
	return true;
}

/* '\r' in it, but as a line end. */
static bool is_bar(struct span s)
{
	const uint8_t *cr = s.len ? memchr(s.data, '\r', s.len) : NULL;

	return cr && (cr + 1 == s.data + s.len || cr[1] != '\n');
}

static bool is_set_in(struct span s) { return s.len > 0 && (s.data[0] == ' ' || s.data[0] == '\t'); }

static struct span without_indent(struct span s)
{
	while (is_set_in(s))
		s = behind(s, 1);
	return s;
}

/* Length of a dotted name at the start; *ret_last: where its last part begins. */
static size_t name_bytes(struct span s, size_t *ret_last)
{
	size_t n = 0;

	*ret_last = 0;
	if (s.len == 0 || !is_word(s.data[0]) || is_digit(s.data[0]))
		return 0;
	for (; n < s.len && (is_word(s.data[n]) || s.data[n] == '.'); n++)
		if (s.data[n] == '.')
			*ret_last = n + 1;
	return n;
}

/* "ValueError: bad", "torch.cuda.OutOfMemoryError: ...", "KeyboardInterrupt". */
static bool is_exception(struct span s)
{
	size_t last, n = name_bytes(s, &last);

	return n > 0 && (n == s.len || s.data[n] == ':' || is_blank(behind(s, n)));
}

static bool ends_with(struct span s, const char *end)
{
	size_t n = strlen(end);

	return s.len >= n && memcmp(s.data + s.len - n, end, n) == 0;
}

/* "java.lang.IllegalStateException: text" */
static bool is_java_exception(struct span s)
{
	size_t last, n = name_bytes(s, &last);
	struct span name = span_of(s.data, n);

	return last > 0 && is_exception(s) &&
	       (ends_with(name, "Exception") || ends_with(name, "Error") || ends_with(name, "Throwable"));
}

/* Frames of Java, C++ and the like, which stand below whatever was said before them. */
static bool is_frame(struct span s)
{
	struct span bare = without_indent(s);
	size_t n;

	if (starts(s, "Caused by: "))
		return true;
	if (starts(bare, "frame #"))
		return digits(behind(bare, 7)) > 0;
	if (!is_set_in(s))
		return false;
	n = starts(bare, "... ") ? digits(behind(bare, 4)) : 0;
	return starts(bare, "at ") || starts(bare, "Suppressed: ") ||
	       (n > 0 && starts(behind(bare, 4 + n), " "));
}

/* ---- a writer ---- */

/* What the phase makes of it; false: nothing, the phase is over. */
static bool phase_takes(struct log_trace *t, struct span s, enum level level)
{
	bool blank = is_blank(s);

	switch ((enum phase)t->phase) {
	case PHASE_FRAMES:
		if (blank || is_set_in(s))
			return true;
		if (level != LEVEL_NONE || !is_exception(s))
			return false;
		t->phase = PHASE_RAISED;
		return true;
	case PHASE_RAISED:
		if (starts(s, "During handling of the above exception") ||
		    starts(s, "The above exception was the direct cause"))
			t->phase = PHASE_CHAINED;
		return blank || is_set_in(s) || t->phase == PHASE_CHAINED;
	case PHASE_CHAINED:
		return blank;
	case PHASE_NONE:
		break;
	}
	return false;
}

static enum log_part part_of(struct log_trace *t, struct span s, enum level level)
{
	bool chained = t->phase == PHASE_CHAINED;

	if (is_bar(s)) {
		t->phase = PHASE_NONE;
		return LOG_PART_STARTS;
	}
	if (starts(s, HEAD)) {
		bool logged = t->phase == PHASE_NONE && t->level >= LEVEL_ERROR;

		t->phase = PHASE_FRAMES;
		return chained || logged ? LOG_PART_TRACE : LOG_PART_STARTS;
	}
	if (phase_takes(t, s, level))
		return LOG_PART_TRACE;
	t->phase = PHASE_NONE;
	if (is_frame(s) || (is_java_exception(s) && t->level >= LEVEL_WARN))
		return LOG_PART_TRACE;
	if (s.len && memmem(s.data, s.len, HEAD, strlen(HEAD)))
		t->phase = PHASE_FRAMES;
	return is_set_in(s) && !is_blank(s) ? LOG_PART_GOES_ON : LOG_PART_STARTS;
}

enum log_part log_trace_next(struct log_trace *t, struct span text, enum level level, bool split)
{
	enum log_part part = t->split ? LOG_PART_TRACE : part_of(t, text, level);

	if (!t->any)
		part = LOG_PART_STARTS;
	t->any = true;
	t->split = split;
	t->level = level;
	return part;
}
