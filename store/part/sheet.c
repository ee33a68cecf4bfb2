#include "store/part/sheet.h"

/* The first of n rising starts that is not before t. */
static size_t place_of(const int64_t *start_ns, size_t n, int64_t t_ns)
{
	size_t lo = 0, hi = n;

	while (lo < hi) {
		size_t mid = (lo + hi) / 2;

		if (start_ns[mid] < t_ns)
			lo = mid + 1;
		else
			hi = mid;
	}
	return lo;
}

struct sheet sheet_clip(const struct sheet *s, int64_t from_ns, int64_t to_ns)
{
	size_t from = place_of(s->start_ns, s->n, from_ns), to = place_of(s->start_ns, s->n, to_ns);

	if (from > to)
		from = to;
	return (struct sheet){ .n = to - from,
			       .window_ns = s->window_ns,
			       .start_ns = s->start_ns + from,
			       .count = s->count + from,
			       .first = s->first ? s->first + from : NULL,
			       .last = s->last ? s->last + from : NULL,
			       .min = s->min ? s->min + from : NULL,
			       .max = s->max ? s->max + from : NULL,
			       .sum = s->sum ? s->sum + from : NULL };
}

/* Of finite samples; windows without any have no least and greatest. */
static void widen_values(const struct sheet *s, size_t from, size_t to, struct bucket *b)
{
	for (size_t i = from; i < to && s->min; i++)
		if (s->count[i] && double_total_compare(s->min[i], b->min) < 0)
			b->min = s->min[i];
	for (size_t i = from; i < to && s->max; i++)
		if (s->count[i] && double_total_compare(s->max[i], b->max) > 0)
			b->max = s->max[i];
}

int sheet_merge(const struct sheet *s, size_t from, size_t to, struct bucket *b)
{
	int err = 0;

	if (from == to)
		return 0;
	for (size_t i = from; i < to; i++)
		b->count += (uint64_t)s->count[i];
	for (size_t i = from; i < to && s->sum && err == 0; i++)
		if (s->count[i])
			err = sum_merge(&b->sum, &s->sum[i]);
	widen_values(s, from, to, b);
	if (s->first && b->first.t_ns == INT64_MAX) {
		b->first.t_ns = s->start_ns[from];
		b->first.value = s->first[from];
	}
	if (s->last) {
		b->last.t_ns = s->start_ns[to - 1];
		b->last.value = s->last[to - 1];
	}
	return err;
}
