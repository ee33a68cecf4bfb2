#include "ingest/line_level.h"

#include "ingest/line_chars.h"

#define LEVEL_NEAR    4   /* words among which a level is looked for */
#define PLAIN_REACH   96  /* bytes of a line without a time that are looked at */
#define WARNING_REACH 256 /* for one of Python's warnings */

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

/* Behind a time a level is the first word or the second, where it has nothing about it: "host WARN text". */
static bool is_early(struct span text, struct span word)
{
	int blanks = 0;

	for (const uint8_t *p = text.data; p < word.data; p++)
		blanks += *p == ' ' && (p == text.data || p[-1] != ' ');
	return blanks <= 1 + (text.len > 0 && text.data[0] == ' ');
}

/* Signs stand before or behind it, as in "a.b.c - WARN - text" and "a b c WARN: text"; a dash with a
 * blank between, as "non-FATAL" is no level. */
static bool is_set_off(struct span text, struct span word)
{
	const uint8_t *before = word.data, *behind = word.data + word.len, *end = text.data + text.len;

	while (before > text.data && before[-1] == ' ')
		before--;
	if (before > text.data && is_one_of(before[-1], before < word.data ? "-|:])" : "|:])"))
		return true;
	if (behind < end && is_one_of(*behind, "|:])"))
		return true;
	return end - behind > 1 && *behind == ' ' && is_one_of(behind[1], "-|:");
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
		if (level == LEVEL_NONE && (is_early(text, word) || is_set_off(text, word)))
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

enum level level_of_library(struct span line)
{
	static const char *const names[] = { "NCCL ", "UCX " };

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		const uint8_t *at = memmem(line.data, line.len, names[i], strlen(names[i]));
		struct scan s = { at, line.data + line.len };

		if (at && (at == line.data || at[-1] == ' ')) {
			s.p += strlen(names[i]);
			return word_level(next_word(&s));
		}
	}
	return LEVEL_NONE;
}

/* "train.py:12: UserWarning: text", as Python's warnings are shown; paths may be long. */
static enum level warning_level(struct span line)
{
	size_t reach = line.len < WARNING_REACH ? line.len : WARNING_REACH;
	const uint8_t *at = memmem(line.data, reach, "Warning: ", 9), *word = at;

	while (word && word > line.data && is_word(word[-1]))
		word--;
	return word && word - line.data > 3 && *word >= 'A' && *word <= 'Z' && word[-1] == ' ' &&
		       word[-2] == ':' && is_digit(word[-3]) &&
		       !memchr(line.data, ' ', (size_t)(word - 1 - line.data))
		   ? LEVEL_WARN
		   : LEVEL_NONE;
}

/* [HCTR][12:06:29.123][INFO][RANK0]: a word that has brackets to itself, among the first ones. */
static enum level brackets_level(struct span line)
{
	const uint8_t *p = line.data, *end = line.data + line.len;

	while (p < end && *p == '[') {
		const uint8_t *close = memchr(p, ']', (size_t)(end - p));
		enum level level = close ? word_level(span_of(p + 1, (size_t)(close - p - 1))) : LEVEL_NONE;

		if (!close || level != LEVEL_NONE)
			return level;
		p = close + 1;
		p += p < end && *p == ' ';
	}
	return LEVEL_NONE;
}

/* "WARNING:root:", "INFO - ", "ERROR [main]", or in a column of its own: "INFO     text". */
static enum level first_word_level(struct span line)
{
	struct scan s = { line.data, line.data + line.len };
	struct span word = next_word(&s);
	bool sign = s.p < s.end && is_one_of(*s.p, ":|\x1b");
	bool blank = s.end - s.p > 2 && *s.p == ' ' && is_one_of(s.p[1], " -|:[(~");

	return word.data == line.data && (sign || blank) ? word_level(word) : LEVEL_NONE;
}

static bool begins_with(struct span line, const char *what)
{
	size_t n = strlen(what);

	return line.len >= n && memcmp(line.data, what, n) == 0;
}

/* "srun: error: node3: task 24: Killed": Slurm's own words, which are small. */
static enum level slurm_level(struct span line)
{
	static const char *const names[] = { "srun: ", "slurmstepd: ", "sbatch: ", "salloc: " };

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		if (!begins_with(line, names[i]))
			continue;
		line = span_of(line.data + strlen(names[i]), line.len - strlen(names[i]));
		return begins_with(line, "error: ")     ? LEVEL_ERROR
		       : begins_with(line, "warning: ") ? LEVEL_WARN
							: LEVEL_NONE;
	}
	return LEVEL_NONE;
}

/* Without colours, and what srun and PyTorch put before lines: "3: ", " 3: ", "[rank3]: ". */
static struct span without_labels(struct span line)
{
	const uint8_t *p = line.data, *end = line.data + line.len, *before = NULL;

	while (p < end && *p == ' ')
		p++;
	if (p == end || !is_digit(*p))
		p = line.data;

	while (p != before) {
		const uint8_t *at = p;

		before = p;
		if (end - p > 6 && memcmp(p, "[rank", 5) == 0)
			at = p + 5;
		else if (end - p > 2 && p[0] == 0x1b && p[1] == '[')
			at = p + 2;
		while (at < end && (is_digit(*at) || (*at == ';' && p[0] == 0x1b)))
			at++;
		if (p[0] == 0x1b && at < end && *at == 'm')
			p = at + 1;
		else if (p[0] == '[' && at > p + 5 && end - at > 2 && at[0] == ']' && at[1] == ':')
			p = at + 2 + (at[2] == ' ');
		else if (at > p && is_digit(p[0]) && end - at > 2 && at[0] == ':' && at[1] == ' ')
			p = at + 2;
	}
	return span_of(p, (size_t)(end - p));
}

enum level level_of_plain(struct span line)
{
	enum level level = level_of_priority(line);
	struct span whole = without_labels(line);

	line = span_of(whole.data, whole.len < PLAIN_REACH ? whole.len : PLAIN_REACH);
	if (level == LEVEL_NONE)
		level = cpp_level(line);
	if (level == LEVEL_NONE)
		level = brackets_level(line);
	if (level == LEVEL_NONE)
		level = first_word_level(line);
	if (level == LEVEL_NONE)
		level = slurm_level(line);
	if (level == LEVEL_NONE)
		level = warning_level(whole);
	return level == LEVEL_NONE ? level_of_library(line) : level;
}
