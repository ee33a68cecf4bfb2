/* Which runs hold digits, against their text: every place, zeros in front of both, runs of every length. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "store/log/logtext_layout.h"
#include "tests/values.h"

#define RUNS     200
#define TEXT_MAX 24

struct runs {
	uint64_t values[RUNS];
	uint8_t digits[RUNS];
	char text[RUNS][TEXT_MAX];
	unsigned most;
};

/* Of at most so many digits, as times that go on or as anything; few different ones, so that much is found.
 */
static void make_runs(struct runs *r, uint64_t *seed, unsigned most)
{
	uint64_t at = random_below(seed, powers_of_ten[most]);

	r->most = most;
	for (int i = 0; i < RUNS; i++) {
		unsigned digits = 1 + (unsigned)random_below(seed, most);

		at = random_below(seed, 3) ? at + random_below(seed, 50)
					   : random_below(seed, powers_of_ten[digits]);
		r->values[i] = at % powers_of_ten[digits];
		r->digits[i] = (uint8_t)digits;
		snprintf(r->text[i], sizeof r->text[i], "%0*llu", (int)digits,
			 (unsigned long long)r->values[i]);
	}
}

/* A part of a run, or any digits. */
static struct wanted choose_wanted(const struct runs *r, uint64_t *seed, char *ret_text)
{
	const char *run = r->text[random_below(seed, RUNS)];
	size_t len = strlen(run), at = random_below(seed, len), n = 1 + random_below(seed, len - at);
	struct wanted w = { .digits = (unsigned)n };

	snprintf(ret_text, TEXT_MAX, "%.*s", (int)n, run + at);
	if (random_below(seed, 3) == 0)
		ret_text[random_below(seed, n)] = (char)('0' + random_below(seed, 10));
	w.value = strtoull(ret_text, NULL, 10);
	wanted_init(&w);
	return w;
}

static bool fits_as_text(const char *run, const char *wanted, enum place place)
{
	size_t n = strlen(run), k = strlen(wanted);

	switch (place) {
	case PLACE_INSIDE:
		return strcmp(run, wanted) == 0;
	case PLACE_FIRST:
		return n >= k && strcmp(run + n - k, wanted) == 0;
	case PLACE_LAST:
		return strncmp(run, wanted, k) == 0;
	default:
		return strstr(run, wanted);
	}
}

static void check(const struct runs *r, struct wanted *w, const char *wanted)
{
	uint8_t marks[RUNS] = { 0 };

	digits_mark(r->values, r->digits, RUNS, r->most, w, marks);
	for (int i = 0; i < RUNS; i++)
		if (marks[i] != fits_as_text(r->text[i], wanted, PLACE_ALONE))
			fail_msg("%s in %s of %u digits at most: %d", wanted, r->text[i], r->most, marks[i]);
	for (int place = PLACE_INSIDE; place <= PLACE_ALONE; place++) {
		w->place = (enum place)place;
		memset(marks, 1, sizeof marks);
		digits_keep(r->values, r->digits, RUNS, w, marks);
		for (int i = 0; i < RUNS; i++)
			if (marks[i] != fits_as_text(r->text[i], wanted, w->place))
				fail_msg("%s in %s, place %d: %d", wanted, r->text[i], place, marks[i]);
	}
}

static void every_place(void **state)
{
	static struct runs r;
	char wanted[TEXT_MAX];
	uint64_t seed = 5;
	(void)state;

	for (int i = 0; i < 3000; i++) {
		struct wanted w;

		if (i % 10 == 0)
			make_runs(&r, &seed, 1 + (unsigned)random_below(&seed, RUN_DIGITS_MAX));
		w = choose_wanted(&r, &seed, wanted);
		check(&r, &w, wanted);
	}
}

/* What lies in the end of one run and the beginning of the next. */
static void two_runs(void **state)
{
	static struct runs r;
	char wanted[TEXT_MAX], both[2 * TEXT_MAX];
	uint64_t seed = 6;
	(void)state;

	for (int i = 0; i < 20000; i++) {
		int a = (int)random_below(&seed, RUNS), b = (int)random_below(&seed, RUNS);
		struct wanted w;

		if (i % 100 == 0)
			make_runs(&r, &seed, RUN_DIGITS_MAX);
		w = choose_wanted(&r, &seed, wanted);
		snprintf(both, sizeof both, "%s%s", r.text[a], r.text[b]);
		for (unsigned left = 1; left < w.digits; left++) {
			bool want = r.digits[b] >= left && r.digits[a] >= w.digits - left &&
				    strncmp(both + r.digits[a] - (w.digits - left), wanted, w.digits) == 0;

			if (r.digits[a] >= w.digits - left)
				assert_int_equal(digits_join(r.values[a], r.values[b], r.digits[b], &w, left),
						 want);
		}
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(every_place), cmocka_unit_test(two_runs) };

	return cmocka_run_group_tests_name("digits", tests, NULL, NULL);
}
