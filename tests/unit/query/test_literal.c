/* What every match holds: examples, and random expressions against PCRE2 itself. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <strings.h>

#include <cmocka.h>

#include "query/literal.h"
#include "query/pattern.h"
#include "tests/values.h"

static void examples(void **state)
{
	static const struct {
		const char *regex, *literals;
	} cases[] = {
		{ "error", "error" },
		{ "loss=nan", "loss=nan" },
		{ "step \\d+ of 100", " of 100" },
		{ "(rank|node) 3 failed$", " 3 failed" },
		{ "^:::MLLOG.*train_loss", "train_loss" },
		{ "\\[rank[0-9]+\\]: Traceback", "]: Traceback" },
		{ "ab*cd", "cd" },
		{ "ab+cd", "ab" },
		{ "ab{2,3}cd", "cd" },
		{ "{\"value\": 3", "{\"value\": 3" },
		{ "caf\xc3\xa9?x", "caf" },
		{ "error|warning", "error|warning" },
		{ "a[bc]def|(g|h)ij|\\d+ k", "def|ij| k" },
		{ "error|[a-z]|warning", "" },
		{ "error|", "" },
		{ "a|b|c|d|e|f|g|h", "a|b|c|d|e|f|g|h" },
		{ "a|b|c|d|e|f|g|h|i", "" }, /* too many */
		{ "(?i)error", "error" },
		{ "(?im)warning|exception$", "warning|exception" },
		{ "(?i)task_\xc5\xbf", "ta" },
		{ "(?i)traceback", "tracebac" }, /* U+212A is a k, too */
		{ "x(?i)error", "" },
		{ "(?x)er ror", "" },
		{ "(*UCP)error", "" },
		{ "\\Qa|b\\E", "" },
		{ "x{,3}y", "" },
		{ "\\x41bc", "" },
		{ "[]a|]xyz", "xyz" },
		{ "", "" },
		{ "a\\", "" },
	};
	(void)state;

	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		char joined[LITERALS_MAX * (LITERAL_MAX + 1)] = "";
		struct literals l;

		regex_literals(span_str(cases[i].regex), &l);
		for (size_t j = 0; j < l.n; j++) {
			strcat(joined, j ? "|" : "");
			strncat(joined, (const char *)l.each[j].bytes, l.each[j].len);
		}
		if (strcmp(joined, cases[i].literals) != 0)
			fail_msg("%s: got \"%s\", want \"%s\"", cases[i].regex, joined, cases[i].literals);
	}
}

static size_t random_text(uint64_t *seed, const char *letters, size_t n_letters, char *ret, size_t max)
{
	size_t n = random_below(seed, max);

	for (size_t i = 0; i < n; i++)
		ret[i] = letters[random_below(seed, n_letters)];
	return n;
}

static bool holds_one(const struct literals *l, const char *text, size_t len)
{
	for (size_t i = 0; i < l->n; i++)
		for (size_t at = 0; at + l->each[i].len <= len; at++)
			if ((l->caseless ? strncasecmp : strncmp)(text + at, (const char *)l->each[i].bytes,
								  l->each[i].len) == 0)
				return true;
	return false;
}

/* Whatever an expression of these characters means, what matches it holds one of its literals. */
static void every_match_holds_one(void **state)
{
	static const char syntax[] = "aabbck1|()[]^$*+?{},.\\dwQEbx:=!-i",
			  letters[] = "aaabbbccAABk1-{},:=!ixdQE";
	uint64_t seed = 3;
	size_t matches = 0, told = 0;
	(void)state;

	for (int round = 0; round < 100000; round++) {
		char regex[20] = "(?i)", text[24];
		size_t flags = round % 3 ? 0 : 4;
		size_t len = flags + random_text(&seed, syntax, sizeof syntax - 1, regex + flags, 16);
		struct literals l;
		struct pattern *p;
		struct fault f = { 0 };

		regex_literals(span_of(regex, len), &l);
		if (l.n == 0 || pattern_new(span_of(regex, len), &p, &f) < 0)
			continue;
		told++;
		for (int i = 0; i < 40; i++) {
			size_t text_len = random_text(&seed, letters, sizeof letters - 1, text, sizeof text);
			bool match = false;

			if (pattern_match(p, span_of(text, text_len), &match, &f) < 0 || !match)
				continue;
			matches++;
			if (!holds_one(&l, text, text_len))
				fail_msg("%.*s matches %.*s, which holds none of %zu literals", (int)len,
					 regex, (int)text_len, text, l.n);
		}
		pattern_free(p);
	}
	assert_true(told > 4000 && matches > 10000);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(examples),
		cmocka_unit_test(every_match_holds_one),
	};

	return cmocka_run_group_tests_name("query/literal", tests, NULL, NULL);
}
