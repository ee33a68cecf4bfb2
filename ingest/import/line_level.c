#include "ingest/import/line_level.h"

#include "ingest/import/line_chars.h"

#define LEVEL_NEAR 4 /* words among which a level is looked for */

/* Where the search stands. */
struct scan {
	const uint8_t *p, *end;
};

enum level level_of_letter(uint8_t c)
{
	return c == 'I'   ? LEVEL_INFO
	       : c == 'W' ? LEVEL_WARN
	       : c == 'E' ? LEVEL_ERROR
	       : c == 'F' ? LEVEL_FATAL
			  : LEVEL_NONE;
}

static enum level word_level(struct span word)
{
	static const char *const known[] = { "DEBUG", "INFO",  "WARNING", "WARN",    "ERROR",
					     "FATAL", "TRACE", "NOTICE",  "CRITICAL" };

	if (word.len < 4 || word.len > 8)
		return LEVEL_NONE;
	for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++)
		if (span_is(word, known[i])) {
			int level = level_parse(word);

			return level < 0 ? LEVEL_INFO : (enum level)level; /* NOTICE is not one of ours */
		}
	return LEVEL_NONE;
}

/* [error] and its like: the only small letters that are taken for a level. */
static enum level bracket_level(struct span word)
{
	int level;

	if (span_is(word, "notice"))
		return LEVEL_INFO;
	if (span_is(word, "crit") || span_is(word, "alert") || span_is(word, "emerg"))
		return LEVEL_FATAL;
	level = level_parse(word);
	return level < 0 ? LEVEL_NONE : (enum level)level;
}

/* The next word, of letters, digits and _; NULL in it: there is none. */
static struct span next_word(struct scan *s)
{
	const uint8_t *start;

	while (s->p < s->end && !is_word(*s->p) && *s->p < 0x80)
		s->p++;
	start = s->p;
	while (s->p < s->end && (is_word(*s->p) || *s->p >= 0x80))
		s->p++;
	return span_of(start, (size_t)(s->p - start));
}

enum level level_near(struct span text, const uint8_t *line)
{
	struct scan s = { text.data, text.data + text.len };

	for (int i = 0; i < LEVEL_NEAR; i++) {
		struct span word = next_word(&s);
		bool bracketed =
		    word.len > 0 && word.data > line && word.data[-1] == '[' && s.p < s.end && *s.p == ']';
		enum level level = bracketed ? bracket_level(word) : LEVEL_NONE;

		if (word.len == 0)
			break;
		if (level == LEVEL_NONE)
			level = word_level(word);
		if (level == LEVEL_NONE && i == 0 && word.len == 1 && s.p < s.end && *s.p == ' ')
			level = level_of_letter(word.data[0]); /* TensorFlow: "...: E external/..." */
		if (level != LEVEL_NONE)
			return level;
	}
	return LEVEL_NONE;
}

/* facility * 8 + severity */
enum level level_of_priority(struct span line)
{
	static const uint8_t levels[] = { LEVEL_FATAL, LEVEL_FATAL, LEVEL_FATAL, LEVEL_ERROR,
					  LEVEL_WARN,  LEVEL_INFO,  LEVEL_INFO,  LEVEL_DEBUG };
	int v = 0;
	size_t i = 1;

	if (line.len < 3 || line.data[0] != '<')
		return LEVEL_NONE;
	for (; i < line.len && i < 5 && is_digit(line.data[i]); i++)
		v = v * 10 + (line.data[i] - '0');
	return i > 1 && i < line.len && line.data[i] == '>' && v < 192 ? levels[v & 7] : LEVEL_NONE;
}

/* "[W socket.cpp:601] ...", as PyTorch wrote before it had times there. */
static enum level cpp_level(struct span line)
{
	if (line.len < 3 || line.data[0] != '[' || line.data[2] != ' ' ||
	    !memmem(line.data, line.len, ".cpp:", 5))
		return LEVEL_NONE;
	return level_of_letter(line.data[1]);
}

enum level level_of_plain(struct span line)
{
	struct scan s = { line.data, line.data + line.len }, at = s;
	struct span word = next_word(&at);
	enum level level = level_of_priority(line);
	const uint8_t *nccl;

	if (level != LEVEL_NONE || (level = cpp_level(line)) != LEVEL_NONE)
		return level;
	if (word.len > 0 && word.data - line.data <= 1 && at.p < at.end && strchr(": ]-", *at.p) != NULL &&
	    (level = word_level(word)) != LEVEL_NONE)
		return level;
	nccl = memmem(line.data, line.len, "NCCL ", 5);
	if (!nccl)
		return LEVEL_NONE;
	at.p = nccl + 5;
	return word_level(next_word(&at));
}
