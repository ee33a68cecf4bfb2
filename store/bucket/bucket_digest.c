#include "store/bucket/bucket_digest.h"

#define XXH_INLINE_ALL
#include <xxhash.h>

enum { WORDS = 16, RARE_WORDS = 5 };

/* The canonical sum in two words.  One of more than two doubles is hashed by itself; its second word is no
 * double that a sum may have. */
static void put_sum(const struct sum *s, uint64_t ret[2])
{
	double terms[SUM_TERMS_MAX];
	uint8_t room[SUM_BYTES_MAX];
	struct buf bytes = { room, 0, SUM_BYTES_MAX, SUM_BYTES_MAX };
	int n = sum_terms(s, terms);

	if (n >= 0 && n <= 2) {
		ret[0] = n > 0 ? double_bits(terms[0]) : 0;
		ret[1] = n > 1 ? double_bits(terms[1]) : 0;
		return;
	}
	sum_encode(s, &bytes); /* the room is enough for any */
	ret[0] = XXH3_64bits(bytes.data, bytes.len);
	ret[1] = UINT64_MAX;
}

static void put_point(const struct point *p, uint64_t ret[3])
{
	ret[0] = (uint64_t)p->t_ns;
	ret[1] = (uint64_t)p->step;
	ret[2] = double_bits(p->value);
}

void bucket_digest_add(struct bucket_digest *d, struct block_key key, const struct bucket *b)
{
	uint64_t w[WORDS + RARE_WORDS] = { key.sid,
					   (uint64_t)key.start_ns,
					   (uint64_t)key.window_ns,
					   b->count,
					   double_bits(b->min),
					   double_bits(b->max),
					   (uint64_t)b->step_min,
					   (uint64_t)b->step_max };

	put_sum(&b->sum, w + 8);
	put_point(&b->first, w + 10);
	put_point(&b->last, w + 13);
	d->buckets++;
	if (!b->rare) {
		d->sum += XXH3_64bits(w, WORDS * sizeof(*w));
		return;
	}
	w[WORDS] = b->rare->nan;
	w[WORDS + 1] = b->rare->pos_inf;
	w[WORDS + 2] = b->rare->neg_inf;
	w[WORDS + 3] = (uint64_t)b->rare->bad_t_ns;
	w[WORDS + 4] = (uint64_t)b->rare->bad_step;
	d->sum += XXH3_64bits(w, sizeof(w));
}
