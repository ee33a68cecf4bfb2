/* What every match holds: examples, and random expressions against PCRE2 itself. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>

#include <cmocka.h>

#include "query/literal.h"
#include "query/pattern.h"
#include "tests/values.h"

static void examples(void **state)
{
	static const struct {
		const char *regex, *literal;
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
		{ "error|warning", "" },
		{ "(?i)error", "" },
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
		uint8_t literal[LITERAL_MAX];
		size_t n = regex_literal(span_str(cases[i].regex), literal);

		if (!span_is(span_of(literal, n), cases[i].literal))
			fail_msg("%s: got \"%.*s\", want \"%s\"", cases[i].regex, (int)n,
				 (const char *)literal, cases[i].literal);
	}
}

static size_t random_text(uint64_t *seed, const char *letters, size_t n_letters, char *ret, size_t max)
{
	size_t n = random_below(seed, max);

	for (size_t i = 0; i < n; i++)
		ret[i] = letters[random_below(seed, n_letters)];
	return n;
}

/* Whatever an expression of these characters means, what matches it holds its literal. */
static void every_match_holds_it(void **state)
{
	static const char syntax[] = "aabbc1|()[]^$*+?{},.\\dwQEbx:=!-i", letters[] = "aaabbbcc1-{},:=!ixdQE";
	uint64_t seed = 3;
	size_t matches = 0, told = 0;
	(void)state;

	for (int round = 0; round < 60000; round++) {
		char regex[16], text[24];
		uint8_t literal[LITERAL_MAX];
		size_t len = random_text(&seed, syntax, sizeof syntax - 1, regex, sizeof regex);
		size_t n = regex_literal(span_of(regex, len), literal);
		struct pattern *p;
		struct fault f = { 0 };

		if (n == 0 || pattern_new(span_of(regex, len), &p, &f) < 0)
			continue;
		told++;
		for (int i = 0; i < 40; i++) {
			size_t text_len = random_text(&seed, letters, sizeof letters - 1, text, sizeof text);
			bool match = false;

			if (pattern_match(p, span_of(text, text_len), &match, &f) < 0 || !match)
				continue;
			matches++;
			if (!memmem(text, text_len, literal, n))
				fail_msg("%.*s matches %.*s, which does not hold %.*s", (int)len, regex,
					 (int)text_len, text, (int)n, (const char *)literal);
		}
		pattern_free(p);
	}
	assert_true(told > 2000 && matches > 5000);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(examples),
		cmocka_unit_test(every_match_holds_it),
	};

	return cmocka_run_group_tests_name("query/literal", tests, NULL, NULL);
}
