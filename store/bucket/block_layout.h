/*
 * block_layout.h - the bytes of a block's body, for block.c and block_read.c.
 *
 * "v" is a varint, "z" a zigzag varint (bytes.h).  Each column is a run of items; a bucket adds to
 * the columns that its shape and form ask for, in the order of this table.
 *
 *   head     u16: bit 1 << column for each column that is not empty, time unit << COLUMNS;
 *            then v length in bytes of each of those columns; then these columns
 *
 *   SHAPES   u8 per bucket (below); one that equals the one before it is followed by
 *            v number of further equal ones
 *   KEYS     KEY_NEXT_SID, KEY_NEXT_WINDOW: nothing
 *            KEY_SAME_WIDTH: v sid - sid before, z (start - start before) / window
 *            KEY_ANY: v sid - sid before, v window in ns, z start / window
 *   COUNTS   v count, when the shape has SHAPE_COUNT
 *   TIMES    in the block's unit (the largest of 1 s, 1 ms, 1 us, 1 ns that divides them all):
 *            with SHAPE_TIMES v first - start, and unless single v last - first;
 *            with SHAPE_RARE v bad - start
 *   STEPS    relative to the last step of the bucket before, 0 when it has none:
 *            STEPS_SAME, STEPS_NONE: nothing.  After KEY_NEXT_WINDOW the same is that they go on as
 *            they did (same_steps below)
 *            STEPS_RISING (first is the least, last the greatest): z first, unless single v last - first
 *            STEPS_ANY: u8 (1: first has none, 2: last has none), z first, z last (those there are),
 *            z least, v greatest - least
 *   FORMS    u8 unless single: ((last * 3 + min) * 3 + max) * SUM_FORMS + sum, where
 *            last is 0 when it equals the first value bit for bit, 1 when it is stored;
 *            min and max are 0: the first value, 1: the last, 2: stored; all 0 when count is 0
 *   SINGLES  float32 le, unless SHAPE_WIDE: the first value, then last, min, max where stored
 *   DOUBLES  float64 le, with SHAPE_WIDE: the same
 *   SUMS     by the form of the sum:
 *            SUM_FORETOLD  nothing: two samples are the first and the last, three are these and the
 *                          stored one of min and max (neither stored: max); no sum when count is 0
 *            1 to 8        so many high bytes of the one double it is, the low ones being zero
 *            SUM_ZERO      nothing
 *            SUM_TWO       u8 (bytes of hi - 1) | (bytes of lo - 1) << 4, then these bytes likewise
 *            SUM_ANY       sum.h's bytes
 *   RARE     with SHAPE_RARE v nan, v pos_inf, v neg_inf, z bad step (relative as above)
 *
 * A bucket is single when its count is 1 and it has no rare part: one value says all of it.
 * What has no item of its own is as in the bucket before; before the first bucket all is 0, the
 * count 1, the steps none.  A writer uses the first that fits of what is listed, so equal buckets
 * give equal bytes.
 */
#ifndef STORE_BLOCK_LAYOUT_H
#define STORE_BLOCK_LAYOUT_H

#include "store/bucket/block.h"

enum column { SHAPES, KEYS, COUNTS, TIMES, STEPS, FORMS, SINGLES, DOUBLES, SUMS, RARE, COLUMNS };

enum { KEY_NEXT_SID, KEY_NEXT_WINDOW, KEY_SAME_WIDTH, KEY_ANY };
enum { STEPS_SAME, STEPS_NONE, STEPS_RISING, STEPS_ANY };

/* A shape: key | steps << SHAPE_STEPS | the flags. */
#define SHAPE_KEY   3
#define SHAPE_STEPS 2
#define SHAPE_COUNT 16
#define SHAPE_TIMES 32
#define SHAPE_WIDE  64
#define SHAPE_RARE  128

enum { SUM_FORETOLD, SUM_ZERO = 9, SUM_TWO, SUM_ANY, SUM_FORMS };
_Static_assert(2 * 3 * 3 * SUM_FORMS <= 256, "a form is a byte");

#define TIME_UNITS 4
static const int64_t time_units[TIME_UNITS] = { 1000000000, 1000000, 1000, 1 };

/* What a bucket is told relative to. */
struct before {
	struct block_key key;
	uint64_t count, first_offset_ns, last_offset_ns;
	int64_t first_step, last_step, step_min, step_max;
};

static const struct before before_first = {
	.count = 1,
	.first_step = STEP_NONE,
	.last_step = STEP_NONE,
	.step_min = STEP_NONE,
	.step_max = STEP_NONE,
};

static inline uint64_t step_base(const struct before *before)
{
	return before->last_step == STEP_NONE ? 0 : (uint64_t)before->last_step;
}

struct steps {
	int64_t first, last, min, max;
};

/* What STEPS_SAME stands for: the steps of the bucket before; or, in its next window, as many more
 * at the distance that its steps have on average, when they rise and there is room for them. */
static inline struct steps same_steps(const struct before *b, unsigned key_form)
{
	struct steps s = { b->first_step, b->last_step, b->step_min, b->step_max };
	uint64_t range = (uint64_t)s.last - (uint64_t)s.first, on;

	if (key_form != KEY_NEXT_WINDOW || b->count < 2 || s.first == STEP_NONE || s.first != s.min ||
	    s.last != s.max || range >> 62)
		return s;
	on = range + range / (b->count - 1);
	if (on > (uint64_t)INT64_MAX - (uint64_t)s.last)
		return s;
	s.last = s.max = s.last + (int64_t)on;
	s.first = s.min = s.last - (int64_t)range;
	return s;
}

/* The sum of a bucket of two or three finite samples, from its other fields; false when it cannot
 * be told.  A sum is only foretold where two doubles hold it, so there is nothing to release. */
static inline bool foretell_sum(const struct bucket *b, bool min_stored, struct sum *ret)
{
	*ret = (struct sum){ .hi = b->first.value + 0.0 }; /* -0.0 adds up to +0.0 */
	if (b->count == 2)
		return sum_add_quick(ret, b->last.value);
	return b->count == 3 && sum_add_quick(ret, b->last.value) &&
	       sum_add_quick(ret, min_stored ? b->min : b->max);
}

#endif
