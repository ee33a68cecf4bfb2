#include "store/log/digits.h"

#include <string.h>

#include "store/log/logtext_layout.h"

void wanted_init(struct wanted *w)
{
	struct divisor *d = &w->divisor;

	d->power = powers_of_ten[w->digits];
	d->shift = 63 - (unsigned)__builtin_clzll(d->power);
	d->factor = (uint64_t)(((unsigned __int128)1 << (64 + d->shift)) / d->power + 1);
}

static uint64_t remainder_of(uint64_t v, const struct divisor *d)
{
	uint64_t high = (uint64_t)((unsigned __int128)v * d->factor >> 64);

	return v - (high >> d->shift) * d->power;
}

bool digits_end_with(uint64_t v, unsigned digits, const struct wanted *w)
{
	return digits >= w->digits && remainder_of(v, &w->divisor) == w->value;
}

/* Whether one of the places at the end of a run, `places` of them and where it is long enough, has it. */
static bool end_holds(uint64_t v, unsigned digits, const struct wanted *w, unsigned places)
{
	for (; digits >= w->digits && places; digits--, places--, v /= 10)
		if (remainder_of(v, &w->divisor) == w->value)
			return true;
	return false;
}

bool digits_hold(uint64_t v, unsigned digits, const struct wanted *w)
{
	return end_holds(v, digits, w, RUN_DIGITS_MAX);
}

bool digits_join(uint64_t before, uint64_t v, unsigned digits, const struct wanted *w, unsigned left)
{
	return left <= digits && before % powers_of_ten[w->digits - left] == w->value / powers_of_ten[left] &&
	       v / powers_of_ten[digits - left] == w->value % powers_of_ten[left];
}

/* ---- many runs ---- */

static bool begins_with(uint64_t v, unsigned digits, const struct wanted *w)
{
	uint64_t rest = powers_of_ten[digits - w->digits];

	return v - w->value * rest < rest;
}

void digits_keep(const uint64_t *values, const uint8_t *digits, size_t n, const struct wanted *w,
		 uint8_t *marks)
{
	switch (w->place) {
	case PLACE_INSIDE:
		for (size_t i = 0; i < n; i++)
			marks[i] &= values[i] == w->value && digits[i] == w->digits;
		break;
	case PLACE_FIRST:
		for (size_t i = 0; i < n; i++)
			marks[i] &= digits_end_with(values[i], digits[i], w);
		break;
	case PLACE_LAST:
		for (size_t i = 0; i < n; i++)
			marks[i] &= digits[i] >= w->digits && begins_with(values[i], digits[i], w);
		break;
	case PLACE_ALONE:
		for (size_t i = 0; i < n; i++)
			marks[i] = marks[i] && digits_hold(values[i], digits[i], w);
	}
}

/* What runs in a row have in common but for this many digits, as times have, is looked through once. */
#define SHARED_DIGITS 3

static void mark_long(const uint64_t *values, const uint8_t *digits, size_t n, const struct wanted *w,
		      uint8_t *marks)
{
	uint64_t upper = 0;
	unsigned upper_digits = 0; /* none yet */
	bool held = false;

	for (size_t i = 0; i < n; i++) {
		bool found = end_holds(values[i], digits[i], w, SHARED_DIGITS);

		if (!found && digits[i] >= w->digits + SHARED_DIGITS) {
			uint64_t v = values[i] / 1000;

			if (v != upper || digits[i] != upper_digits + SHARED_DIGITS) {
				upper = v;
				upper_digits = digits[i] - (unsigned)SHARED_DIGITS;
				held = digits_hold(upper, upper_digits, w);
			}
			found = held;
		}
		marks[i] |= found;
	}
}

#define SHORT_DIGITS 8 /* a number below 10^8 and its quotients take 32 bits */
#define BATCH        64

/* Adds to hits[] which of BATCH numbers have w->value from `place` on, as v - w * 10^place, modulo
 * 10^(place + w->digits), is below 10^place.  Shorter runs whose zeros in front are not theirs may be hits.
 */
static inline __attribute__((always_inline)) void hit_place(const uint32_t *v, const struct wanted *w,
							    unsigned place, uint32_t *hits)
{
	uint32_t below = (uint32_t)powers_of_ten[place], from = (uint32_t)w->value * below;
	uint32_t power = (uint32_t)powers_of_ten[place + w->digits];
	unsigned shift = 31 - (unsigned)__builtin_clz(power);
	/* rounded up, it is off by less than 10^n / 2^(31 + shift), which v < 2^27 makes less than 1 / 10^n
	 */
	uint32_t factor = (uint32_t)((UINT64_C(1) << (31 + shift)) / power + 1);

	for (int i = 0; i < BATCH; i++) {
		uint32_t high = (uint32_t)((uint64_t)v[i] * factor >> 32) >> (shift - 1);

		hits[i] |= v[i] - high * power - from < below;
	}
}

static inline __attribute__((always_inline)) void hit_all(const uint32_t *v, unsigned most,
							  const struct wanted *w, uint32_t *hits)
{
	for (unsigned place = 0; place + w->digits <= most; place++)
		hit_place(v, w, place, hits);
}

static void hit_plain(const uint32_t *v, unsigned most, const struct wanted *w, uint32_t *hits)
{
	hit_all(v, most, w, hits);
}

#if defined(__x86_64__)
__attribute__((target("avx2"))) static void hit_avx2(const uint32_t *v, unsigned most, const struct wanted *w,
						     uint32_t *hits)
{
	hit_all(v, most, w, hits);
}
#define hit_batch (__builtin_cpu_supports("avx2") ? hit_avx2 : hit_plain)
#else
#define hit_batch hit_plain
#endif

static void mark_short(const uint64_t *values, const uint8_t *digits, size_t n, unsigned most,
		       const struct wanted *w, uint8_t *marks)
{
	for (size_t from = 0; from < n; from += BATCH) {
		size_t len = n - from < BATCH ? n - from : BATCH;
		uint32_t v[BATCH] = { 0 }, hits[BATCH] = { 0 };

		for (size_t i = 0; i < len; i++)
			v[i] = (uint32_t)values[from + i];
		hit_batch(v, most, w, hits);
		for (size_t i = 0; i < len; i++)
			if (hits[i])
				marks[from + i] |= digits_hold(values[from + i], digits[from + i], w);
	}
}

void digits_mark(const uint64_t *values, const uint8_t *digits, size_t n, unsigned most,
		 const struct wanted *w, uint8_t *marks)
{
	if (most < w->digits)
		return;
	(most <= SHORT_DIGITS ? (void)mark_short(values, digits, n, most, w, marks)
			      : mark_long(values, digits, n, w, marks));
}
