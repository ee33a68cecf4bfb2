/*
 * sheet.h - windows of one series, one after another, column by column.
 *
 * For readers who look at the same few fields of many windows: what a struct bucket (bucket.h) says of one,
 * but for rare parts, times and steps.  Windows that lie in parts alone are decoded as columns, so no bucket
 * need be made of them.
 */
#ifndef STORE_SHEET_H
#define STORE_SHEET_H

#include "store/bucket/bucket.h"

/* A sheet has some of these fields. */
#define SHEET_FIELDS (WANT_VALUES | WANT_SUM | WANT_COUNT)

/* Each array has n items, by rising start; NULL where its field is not wanted. */
struct sheet {
	size_t n;
	int64_t window_ns;
	const int64_t *start_ns;
	const int64_t *count;                   /* of finite samples; 0: min and max mean nothing */
	const double *first, *last, *min, *max; /* WANT_FIRST ... */
	const struct sum *sum;                  /* WANT_SUM */
};

/* The sheet is borrowed for the call. */
typedef int (*sheet_fn)(void *arg, uint32_t sid, const struct sheet *s);

/* Those windows of it that start in [from, to). */
struct sheet sheet_clip(const struct sheet *s, int64_t from_ns, int64_t to_ns);

/* Merges windows [from, to) of it into b, which is empty or has windows of the series that came before.  Of
 * its first and last points the values are right, the times are somewhere in their windows.  ERR_NOMEM. */
int sheet_merge(const struct sheet *s, size_t from, size_t to, struct bucket *b);

#endif
