/*
 * The superaccumulator is one two's complement integer, S * 2^1074, so that adding a double is a
 * shift and a carry: the largest double ends at bit 2098, which leaves room for 2^77 of them.
 */
#include "store/bucket/sum.h"

#include <assert.h>
#include <math.h>
#include <stdlib.h>

#define LIMBS            34
#define LIMBS_FORM       (SUM_TERMS_MAX + 1)
#define DECODED_BITS_MAX 2162 /* 2^64 of the largest double: no sum of counted samples is larger */
#define FRACTION_BITS    52
#define INFINITY_BITS    (UINT64_C(0x7ff) << FRACTION_BITS)

struct sum_wide {
	uint64_t limb[LIMBS];
};

static void limbs_add(struct sum_wide *w, size_t at, uint64_t low, uint64_t high)
{
	unsigned __int128 t = (unsigned __int128)w->limb[at] + low;

	w->limb[at++] = (uint64_t)t;
	t = (t >> 64) + w->limb[at] + high;
	w->limb[at++] = (uint64_t)t;
	for (uint64_t carry = (uint64_t)(t >> 64); carry && at < LIMBS; at++)
		carry = ++w->limb[at] == 0;
}

static void limbs_sub(struct sum_wide *w, size_t at, uint64_t low, uint64_t high)
{
	unsigned __int128 t = (unsigned __int128)w->limb[at] - low;

	w->limb[at++] = (uint64_t)t;
	t = (unsigned __int128)w->limb[at] - high - ((uint64_t)(t >> 64) & 1);
	w->limb[at++] = (uint64_t)t;
	for (uint64_t borrow = (uint64_t)(t >> 64) & 1; borrow && at < LIMBS; at++)
		borrow = w->limb[at]-- == 0;
}

static void wide_add(struct sum_wide *w, double v)
{
	uint64_t bits = double_bits(v), mantissa = bits & ((UINT64_C(1) << FRACTION_BITS) - 1);
	unsigned exponent = (unsigned)(bits >> FRACTION_BITS) & 0x7ff, shift = 0, offset;
	uint64_t low, high;

	assert(exponent < 0x7ff);
	if (exponent) {
		mantissa |= UINT64_C(1) << FRACTION_BITS;
		shift = exponent - 1;
	}
	offset = shift % 64;
	low = mantissa << offset;
	high = offset ? mantissa >> (64 - offset) : 0;
	if (bits >> 63)
		limbs_sub(w, shift / 64, low, high);
	else
		limbs_add(w, shift / 64, low, high);
}

static void wide_merge(struct sum_wide *w, const struct sum_wide *other)
{
	unsigned __int128 t = 0;

	for (size_t i = 0; i < LIMBS; i++) {
		t += (unsigned __int128)w->limb[i] + other->limb[i];
		w->limb[i] = (uint64_t)t;
		t >>= 64;
	}
}

/* |S| * 2^1074; returns whether S is negative. */
static bool wide_magnitude(const struct sum_wide *w, struct sum_wide *ret)
{
	*ret = *w;
	if (!(w->limb[LIMBS - 1] >> 63))
		return false;
	for (size_t i = 0, carry = 1; i < LIMBS; i++) {
		ret->limb[i] = ~ret->limb[i] + carry;
		carry = carry && ret->limb[i] == 0;
	}
	return true;
}

static unsigned magnitude_bits(const struct sum_wide *m)
{
	for (size_t i = LIMBS; i-- > 0;)
		if (m->limb[i])
			return (unsigned)(i * 64) + 64 - (unsigned)__builtin_clzll(m->limb[i]);
	return 0;
}

static uint64_t magnitude_from(const struct sum_wide *m, unsigned bit)
{
	size_t i = bit / 64;
	unsigned offset = bit % 64;
	uint64_t v = m->limb[i] >> offset;

	return offset && i + 1 < LIMBS ? v | m->limb[i + 1] << (64 - offset) : v;
}

static bool magnitude_any_below(const struct sum_wide *m, unsigned bit)
{
	size_t i = bit / 64;

	if (bit % 64 && m->limb[i] << (64 - bit % 64))
		return true;
	while (i-- > 0)
		if (m->limb[i])
			return true;
	return false;
}

/*
 * S / 2^scale, rounded.  With `shift` bits cut off the magnitude's low end, the double's bits are
 * the 53 that are left plus shift << 52, for subnormals too; rounding up carries as it should.
 */
static double wide_round(const struct sum_wide *w, unsigned scale)
{
	struct sum_wide m;
	uint64_t sign = (uint64_t)wide_magnitude(w, &m) << 63, bits;
	unsigned n = magnitude_bits(&m), shift;

	if (n <= FRACTION_BITS + 1)
		return bits_double(sign | m.limb[0]);
	shift = n - FRACTION_BITS - 1;
	bits = magnitude_from(&m, shift);
	if ((magnitude_from(&m, shift - 1) & 1) && ((bits & 1) || magnitude_any_below(&m, shift - 1)))
		bits++;
	assert(shift >= scale);
	shift -= scale;
	if (shift > 0x7fe || (bits += (uint64_t)shift << FRACTION_BITS) > INFINITY_BITS)
		bits = INFINITY_BITS;
	return bits_double(sign | bits);
}

static int wide_terms(const struct sum_wide *w, double ret[SUM_TERMS_MAX])
{
	struct sum_wide rest = *w;

	for (int n = 0;; n++) {
		double v = wide_round(&rest, 0);

		if (v == 0)
			return n;
		if (n == SUM_TERMS_MAX || isinf(v))
			return -1;
		ret[n] = v;
		wide_add(&rest, -v);
	}
}

/* The sum as limbs: its own, or made in scratch. */
static const struct sum_wide *wide_of(const struct sum *s, struct sum_wide *scratch)
{
	if (s->wide)
		return s->wide;
	*scratch = (struct sum_wide){ 0 };
	wide_add(scratch, s->hi);
	wide_add(scratch, s->lo);
	return scratch;
}

/* Sets s, whose wide is NULL, to w: as two doubles when they can hold it. */
static int sum_set(struct sum *s, const struct sum_wide *w)
{
	double terms[SUM_TERMS_MAX] = { 0 };
	int n = wide_terms(w, terms);

	if (n < 0 || n > 2) {
		struct sum_wide *copy = malloc(sizeof(*copy));

		if (!copy)
			return ERR_NOMEM;
		*copy = *w;
		*s = (struct sum){ .wide = copy };
		return 0;
	}
	*s = (struct sum){ .hi = terms[0], .lo = terms[1] };
	return 0;
}

int sum_add_slow(struct sum *s, double v)
{
	struct sum_wide w;

	if (s->wide) {
		wide_add(s->wide, v);
		return 0;
	}
	wide_of(s, &w);
	wide_add(&w, v);
	return sum_set(s, &w);
}

int sum_merge(struct sum *s, const struct sum *other)
{
	struct sum_wide w, scratch;
	struct sum t = *s;

	if (s->wide) {
		wide_merge(s->wide, wide_of(other, &scratch));
		return 0;
	}
	if (other->wide) {
		wide_of(s, &w);
		wide_merge(&w, other->wide);
		return sum_set(s, &w);
	}
	/* once t is wide, which is its only way to fail, adding to it cannot fail */
	if (sum_add(&t, other->hi) < 0 || sum_add(&t, other->lo) < 0)
		return ERR_NOMEM;
	*s = t;
	return 0;
}

void sum_release(struct sum *s)
{
	free(s->wide);
	*s = (struct sum){ 0 };
}

int sum_copy(struct sum *dst, const struct sum *src)
{
	struct sum_wide *copy = NULL;

	if (src->wide) {
		copy = malloc(sizeof(*copy));
		if (!copy)
			return ERR_NOMEM;
		*copy = *src->wide;
	}
	*dst = (struct sum){ src->hi, src->lo, copy };
	return 0;
}

double sum_round(const struct sum *s) { return s->wide ? wide_round(s->wide, 0) : s->hi + s->lo; }

double sum_mean(const struct sum *s, uint64_t count)
{
	double round = sum_round(s);
	struct sum_wide scratch;

	if (isfinite(round))
		return round / (double)count;
	return wide_round(wide_of(s, &scratch), 64) / (double)count * 0x1p64;
}

int sum_terms(const struct sum *s, double ret[SUM_TERMS_MAX])
{
	struct sum_wide scratch;
	double hi, a, lo;

	if (!s->wide) {
		hi = s->hi + s->lo;
		a = hi - s->hi;
		lo = (s->hi - (hi - a)) + (s->lo - a);
		if (isfinite(lo)) {
			ret[0] = hi;
			ret[1] = lo;
			return hi == 0 ? 0 : lo == 0 ? 1 : 2;
		}
	}
	return wide_terms(wide_of(s, &scratch), ret);
}

static int encode_limbs(const struct sum_wide *w, struct buf *out)
{
	struct sum_wide m;
	bool negative = wide_magnitude(w, &m);
	size_t n = (magnitude_bits(&m) + 63) / 64, from = 0;
	int err = buf_reserve(out, 4 + LIMBS * 8);
	uint8_t *p;

	if (err < 0)
		return err;
	while (!m.limb[from])
		from++;
	p = out->data + out->len;
	*p++ = LIMBS_FORM;
	*p++ = negative;
	*p++ = (uint8_t)from;
	*p++ = (uint8_t)(n - from);
	for (; from < n; from++, p += 8)
		put_le64(p, m.limb[from]);
	out->len = (size_t)(p - out->data);
	return 0;
}

int sum_encode(const struct sum *s, struct buf *out)
{
	double terms[SUM_TERMS_MAX];
	int n = sum_terms(s, terms), err;
	struct sum_wide scratch;
	uint8_t *p;

	if (n < 0)
		return encode_limbs(wide_of(s, &scratch), out);
	err = buf_reserve(out, 1 + (size_t)n * 8);
	if (err < 0)
		return err;
	p = out->data + out->len;
	*p++ = (uint8_t)n;
	for (int i = 0; i < n; i++, p += 8)
		put_le64(p, double_bits(terms[i]));
	out->len = (size_t)(p - out->data);
	return 0;
}

static int decode_terms(struct reader *r, size_t n, struct sum *ret)
{
	double terms[SUM_TERMS_MAX] = { 0 }, canonical[SUM_TERMS_MAX];
	struct sum_wide w = { 0 };

	for (size_t i = 0; i < n; i++) {
		terms[i] = bits_double(read_le64(r));
		if (r->bad || !isfinite(terms[i]) || terms[i] == 0)
			return ERR_CORRUPT;
	}
	if (n <= 2) {
		if (terms[0] + terms[1] != terms[0])
			return ERR_CORRUPT;
		*ret = (struct sum){ .hi = terms[0], .lo = terms[1] };
		return 0;
	}
	for (size_t i = 0; i < n; i++)
		wide_add(&w, terms[i]);
	if (wide_terms(&w, canonical) != (int)n || memcmp(terms, canonical, n * sizeof(*terms)) != 0)
		return ERR_CORRUPT;
	return sum_set(ret, &w);
}

static int decode_limbs(struct reader *r, struct sum *ret)
{
	uint8_t negative = read_u8(r);
	uint64_t from = read_varint(r), n = read_varint(r);
	double terms[SUM_TERMS_MAX];
	struct sum_wide m = { 0 }, w;

	if (r->bad || negative > 1 || n == 0 || n > LIMBS || from > LIMBS - n)
		return ERR_CORRUPT;
	for (size_t i = from; i < from + n; i++)
		m.limb[i] = read_le64(r);
	if (r->bad || !m.limb[from] || !m.limb[from + n - 1] || magnitude_bits(&m) > DECODED_BITS_MAX)
		return ERR_CORRUPT;
	w = m;
	if (negative) {
		w = (struct sum_wide){ 0 };
		for (size_t i = 0, borrow = 0; i < LIMBS; i++) {
			w.limb[i] = 0 - m.limb[i] - borrow;
			borrow = borrow || m.limb[i];
		}
	}
	return wide_terms(&w, terms) < 0 ? sum_set(ret, &w) : ERR_CORRUPT;
}

int sum_decode(struct reader *r, struct sum *ret)
{
	uint64_t form = read_varint(r);

	if (r->bad || form > LIMBS_FORM)
		return ERR_CORRUPT;
	return form == LIMBS_FORM ? decode_limbs(r, ret) : decode_terms(r, (size_t)form, ret);
}
