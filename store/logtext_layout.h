/*
 * logtext_layout.h - what logtext.c and logtext_read.c share of the packed form.
 */
#ifndef STORE_LOGTEXT_LAYOUT_H
#define STORE_LOGTEXT_LAYOUT_H

#include "store/base/bytes.h"

#define SLOT           '0' /* stands in a template for a run of digits */
#define RUN_DIGITS_MAX 18  /* so that a run fits 63 bits */

enum column { COLUMN_SAME = 1, COLUMN_PLAIN, COLUMN_DELTA, COLUMN_DIGITS };

static inline bool is_digit(uint8_t c) { return (uint8_t)(c - '0') < 10; }

static inline unsigned digits_of(uint64_t v)
{
	unsigned n = 1;

	while (v >= 10) {
		v /= 10;
		n++;
	}
	return n;
}

/* The last `digits` digits of v, with zeros in front. */
static inline void print_run(uint8_t *out, uint64_t v, unsigned digits)
{
	while (digits--) {
		out[digits] = (uint8_t)('0' + v % 10);
		v /= 10;
	}
}

#endif
