/* Expressions over shapes: examples, and random expressions against PCRE2 itself, never missing a match. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>

#include <cmocka.h>

#include "query/pattern.h"
#include "query/shape.h"
#include "tests/values.h"

/* By the words of shape.h alone. */
static size_t shape_of(const char *text, size_t n, char *ret)
{
	size_t len = 0, digits = 0;

	for (size_t i = 0; i < n; i++) {
		bool digit = text[i] >= '0' && text[i] <= '9';

		digits = digit ? digits + 1 : 0;
		if (!digit)
			ret[len++] = text[i];
		else if (digits % 18 == 1)
			ret[len++] = '0';
	}
	return len;
}

static void examples(void **state)
{
	static const struct {
		const char *regex, *shape;
		enum regex_shape kind;
	} cases[] = {
		{ "error|warn", "error|warn", SHAPE_EXACT },
		{ "(?i)error", "(?i)error", SHAPE_EXACT },
		{ "[a-z]+_stop$", "[a-z]+_stop$", SHAPE_EXACT },
		{ "File \".*\", line \\d+, in \\w+", "File \".*\", line \\d+, in \\w+", SHAPE_EXACT },
		{ "\\d{3}\\.\\d{2,}ms", "\\d{1,3}\\.\\d+ms", SHAPE_LOOSE },
		{ "0\\.7[0-9]+", "0\\.(?:7|0)[0-9]*", SHAPE_LOOSE },
		{ "a\\d+\\w+b", "a\\d+\\w*b", SHAPE_LOOSE },
		{ "a\\d+\\w*b", "a\\d+\\w*b", SHAPE_EXACT },
		{ "x\\Bx", "xx", SHAPE_LOOSE },
		{ "(?=a)b", "", SHAPE_NONE },
		{ "(a)\\1", "", SHAPE_NONE },
		{ "a(?i)b", "", SHAPE_NONE },
		{ "\\x41", "", SHAPE_NONE },
		{ "\\Qa\\E", "", SHAPE_NONE },
		{ "a++", "", SHAPE_NONE },
		{ "", "", SHAPE_NONE },
	};
	(void)state;

	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		struct buf out;

		buf_init(&out, 1000);
		assert_int_equal(regex_shape(span_str(cases[i].regex), &out), cases[i].kind);
		if (cases[i].kind != SHAPE_NONE && strcmp(buf_cstr(&out), cases[i].shape) != 0)
			fail_msg("%s: got \"%s\"", cases[i].regex, buf_cstr(&out));
		buf_release(&out);
	}
}

struct tally {
	size_t told, exact, matches, misses;
};

static void random_letters(uint64_t *seed, const char *letters, size_t n_letters, char *to, size_t n)
{
	for (size_t i = 0; i < n; i++)
		to[i] = letters[random_below(seed, n_letters)];
}

/* Pieces that mean something more often than single characters do. */
static size_t random_regex(uint64_t *seed, char *to)
{
	static const char *const pieces[] = {
		"a",   "b",      "0",      "7",      "12",    "x",     ".",     "\\d",  "\\D",
		"\\w", "\\W",    "\\s",    "\\b",    "\\B",   "^",     "$",     "|",    "(",
		")",   "(?:",    "[0-9]",  "[1-9a]", "[^0]",  "[^a]",  "[a-c]", "[.7]", "*",
		"+",   "?",      "{2}",    "{1,}",   "{0,3}", "{2,3}", "*?",    "+?",   " ",
		"\\.", "[^\\d]", "[\\d.]", "\\h*",   "\\r?",  "\\n",   "-",     "{",
	};
	size_t n = 0, count = 1 + random_below(seed, 8);

	to[0] = 0;
	if (random_below(seed, 8) == 0)
		n = (size_t)sprintf(to, "(?%s)", random_below(seed, 2) ? "i" : "ms");
	while (count--)
		n +=
		    (size_t)sprintf(to + n, "%s", pieces[random_below(seed, sizeof pieces / sizeof *pieces)]);
	return n;
}

static void check(struct pattern *p, struct pattern *shaped, bool exact, const char *regex, const char *text,
		  size_t n, struct tally *t)
{
	struct fault f = { 0 };
	char shape[256];
	size_t len = shape_of(text, n, shape);
	bool match = false, fits = false;

	if (pattern_match(p, span_of(text, n), &match, &f) < 0 ||
	    pattern_match(shaped, span_of(shape, len), &fits, &f) < 0)
		return;
	if (match && !fits)
		fail_msg("%s matches \"%.*s\", but not its shape", regex, (int)n, text);
	if (exact && fits && !match)
		fail_msg("%s is exact, matches the shape of \"%.*s\" and not the text", regex, (int)n, text);
	t->matches += match;
	t->misses += !fits;
}

static void check_regex(uint64_t *seed, const char *regex, size_t len, struct tally *t)
{
	static const char letters[] = "aabbABx00112377799..  -{\r\n";
	struct pattern *p, *shaped;
	struct fault f = { 0 };
	enum regex_shape kind;
	struct buf out;

	buf_init(&out, PATTERN_BYTES_MAX);
	kind = regex_shape(span_of(regex, len), &out);
	if (kind != SHAPE_NONE && pattern_new(span_of(regex, len), &p, &f) == 0) {
		if (pattern_new(buf_span(&out), &shaped, &f) < 0)
			fail_msg("%s: its shape \"%s\" does not compile", regex, buf_cstr(&out));
		t->told++;
		t->exact += kind == SHAPE_EXACT;
		for (int i = 0; i < 40; i++) {
			char text[64];
			size_t n = random_below(seed, i % 8 ? 12 : sizeof text);

			random_letters(seed, i % 5 ? letters : "a0123456789", i % 5 ? sizeof letters - 1 : 11,
				       text, n);
			check(p, shaped, kind == SHAPE_EXACT, regex, text, n, t);
		}
		pattern_free(p);
		pattern_free(shaped);
	}
	buf_release(&out);
}

static void no_match_is_missed(void **state)
{
	uint64_t seed = 5;
	struct tally t = { 0 };
	(void)state;

	for (int round = 0; round < 60000; round++) {
		char regex[128];

		check_regex(&seed, regex, random_regex(&seed, regex), &t);
	}
	assert_true(t.told > 20000 && t.exact > 2000 && t.matches > 100000 && t.misses > 100000);
}

/* Whatever these characters mean. */
static void no_match_of_wild_ones_is_missed(void **state)
{
	static const char syntax[] = "ab07|()[]^$*+?{},.\\dDwbBQEx:=!-i19";
	uint64_t seed = 6;
	struct tally t = { 0 };
	(void)state;

	for (int round = 0; round < 100000; round++) {
		char regex[20] = "";
		size_t n = random_below(&seed, 16);

		random_letters(&seed, syntax, sizeof syntax - 1, regex, n);
		check_regex(&seed, regex, n, &t);
	}
	assert_true(t.told > 2000 && t.matches > 10000);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(examples),
		cmocka_unit_test(no_match_is_missed),
		cmocka_unit_test(no_match_of_wild_ones_is_missed),
	};

	return cmocka_run_group_tests_name("query/shape", tests, NULL, NULL);
}
