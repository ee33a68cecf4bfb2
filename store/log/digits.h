/*
 * digits.h - which runs of digits, kept as numbers, hold digits that are looked for.
 *
 * A run is its value and how many digits it has, leading zeros counted.  By arithmetic, without making text
 * of it: v holds w of k digits from place j on when v / 10^j % 10^k is w.  Pure.
 */
#ifndef STORE_DIGITS_H
#define STORE_DIGITS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define RUN_DIGITS_MAX 18 /* so that a run fits 63 bits */

/* v / 10^n for v < 2^60 by a multiplication: 2^64 * 2^shift / 10^n, rounded up, is off by less than
 * 2^(shift + 1) / 10^n, which v makes no more than an eighth of a whole. */
struct divisor {
	uint64_t power, factor;
	unsigned shift;
};

/* Where a needle's run lies in it decides what it may be of a text's run. */
enum place {
	PLACE_INSIDE, /* the run */
	PLACE_FIRST,  /* its end */
	PLACE_LAST,   /* its beginning */
	PLACE_ALONE   /* any part of it */
};

struct wanted {
	uint64_t value;
	unsigned digits; /* RUN_DIGITS_MAX at most */
	enum place place;
	struct divisor divisor; /* by 10^digits: wanted_init */
};

void wanted_init(struct wanted *w);

bool digits_end_with(uint64_t v, unsigned digits, const struct wanted *w);

/* Anywhere in it. */
bool digits_hold(uint64_t v, unsigned digits, const struct wanted *w);

/* Whether the last `left` of the wanted digits begin a run and those before end the one before it. */
bool digits_join(uint64_t before, uint64_t v, unsigned digits, const struct wanted *w, unsigned left);

/* Keeps the marks of runs, one each, that fit what is wanted as its place says. */
void digits_keep(const uint64_t *values, const uint8_t *digits, size_t n, const struct wanted *w,
		 uint8_t *marks);

/* Sets the marks of runs that hold what is wanted anywhere; none has more than `most` digits. */
void digits_mark(const uint64_t *values, const uint8_t *digits, size_t n, unsigned most,
		 const struct wanted *w, uint8_t *marks);

#endif
