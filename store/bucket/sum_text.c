/*
 * sum_text.c - sums from and to the forms in which they travel: doubles, and hexadecimal digits.
 * Both are the canonical bytes of sum_encode in other words, so one decoder judges them all.
 */
#include "store/bucket/sum.h"

#include <stdio.h>

#define ENCODED_MAX   512
#define LIMBS_FORM    (SUM_TERMS_MAX + 1)
#define LIMB_DIGITS   16
#define LIMBS_AT      4 /* the form, the sign, index and number of the limbs: a byte each */
#define HEX_EXPONENT  "p-1074"
#define DECODED_LIMBS 34

static int decode(const uint8_t *bytes, size_t n, struct sum *ret)
{
	struct reader r = reader_of(span_of(bytes, n));
	int err = sum_decode(&r, ret);

	return err == ERR_CORRUPT ? ERR_MALFORMED : err;
}

int sum_from_terms(const double *terms, size_t n, struct sum *ret)
{
	uint8_t bytes[1 + 8 * SUM_TERMS_MAX];

	if (n > SUM_TERMS_MAX)
		return ERR_MALFORMED;
	bytes[0] = (uint8_t)n;
	for (size_t i = 0; i < n; i++)
		put_le64(bytes + 1 + 8 * i, double_bits(terms[i]));
	return decode(bytes, 1 + 8 * n, ret);
}

size_t sum_hex(const struct sum *s, char ret[SUM_HEX_MAX])
{
	uint8_t room[ENCODED_MAX];
	struct buf b = { room, 0, sizeof(room), sizeof(room) };
	size_t from, n, len;

	sum_encode(s, &b); /* it fits the room */
	from = room[2];
	n = room[3];
	len = (size_t)snprintf(ret, SUM_HEX_MAX, "%s0x%llx", room[1] ? "-" : "",
			       (unsigned long long)get_le64(room + LIMBS_AT + 8 * (n - 1)));
	for (size_t i = from + n - 1; i-- > 0;)
		len += (size_t)snprintf(ret + len, SUM_HEX_MAX - len, "%016llx",
					i < from
					    ? 0
					    : (unsigned long long)get_le64(room + LIMBS_AT + 8 * (i - from)));
	memcpy(ret + len, HEX_EXPONENT, sizeof(HEX_EXPONENT) - 1);
	return len + sizeof(HEX_EXPONENT) - 1;
}

static int digit_value(uint8_t c)
{
	return c >= '0' && c <= '9' ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* The digits between "0x" and the exponent; an empty span when the text is of another form. */
static struct span digits_of(struct span text, bool *ret_negative)
{
	size_t tail = sizeof(HEX_EXPONENT) - 1;

	*ret_negative = text.len && text.data[0] == '-';
	if (*ret_negative)
		text = span_of(text.data + 1, text.len - 1);
	if (text.len < 3 + tail || memcmp(text.data, "0x", 2) != 0 || text.data[2] == '0' ||
	    memcmp(text.data + text.len - tail, HEX_EXPONENT, tail) != 0)
		return (struct span){ 0 };
	return span_of(text.data + 2, text.len - 2 - tail);
}

int sum_from_hex(struct span text, struct sum *ret)
{
	uint8_t bytes[LIMBS_AT + 8 * DECODED_LIMBS] = { LIMBS_FORM };
	uint64_t limb[DECODED_LIMBS] = { 0 };
	bool negative;
	struct span digits = digits_of(text, &negative);
	size_t from = 0, n = (digits.len + LIMB_DIGITS - 1) / LIMB_DIGITS;

	if (n == 0 || n > DECODED_LIMBS)
		return ERR_MALFORMED;
	for (size_t i = 0; i < digits.len; i++) {
		size_t place = digits.len - 1 - i;
		int v = digit_value(digits.data[i]);

		if (v < 0)
			return ERR_MALFORMED;
		limb[place / LIMB_DIGITS] |= (uint64_t)v << place % LIMB_DIGITS * 4;
	}
	while (!limb[from]) /* the first digit is none */
		from++;
	bytes[1] = negative;
	bytes[2] = (uint8_t)from;
	bytes[3] = (uint8_t)(n - from);
	for (size_t i = from; i < n; i++)
		put_le64(bytes + LIMBS_AT + 8 * (i - from), limb[i]);
	return decode(bytes, LIMBS_AT + 8 * (n - from), ret);
}

/* By doubling: v, 2 v, 4 v ... are sums like any other. */
int sum_add_times(struct sum *s, double v, uint64_t n)
{
	struct sum total = { 0 }, power = { .hi = v }, same = { 0 };
	int err = sum_copy(&total, s);

	for (; err == 0 && n > 0; n >>= 1) {
		if (n & 1)
			err = sum_merge(&total, &power);
		if (err == 0 && n > 1 && (err = sum_copy(&same, &power)) == 0) {
			err = sum_merge(&power, &same);
			sum_release(&same);
		}
	}
	sum_release(&power);
	if (err < 0) {
		sum_release(&total);
		return err;
	}
	sum_release(s);
	*s = total;
	return 0;
}
