/*
 * The chunked coding as a state machine over bytes:
 *
 *   SIZE -> [EXT_SPACE -> EXT] -> SIZE_LF -> DATA -> DATA_CR -> DATA_LF -> SIZE ...
 *                                   | size 0
 *                                   v
 *                              LINE -> [NAME -> VALUE -> VALUE_LF -> LINE] -> LAST_LF -> done
 */
#include "proto/http_parse.h"

enum { SIZE, EXT_SPACE, EXT, SIZE_LF, DATA, DATA_CR, DATA_LF, LINE, NAME, VALUE, VALUE_LF, LAST_LF };

#define SIZE_DIGITS_MAX 15 /* 60 bits: no sum with it can overflow */

void http_chunks_init(struct http_chunks *k, size_t overhead_max)
{
	*k = (struct http_chunks){ .state = SIZE, .overhead_max = overhead_max };
}

static int hex_digit(uint8_t c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	c |= 0x20;
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* Each returns the next state, or -1 for a byte that may not stand there. */

static int after_size_digit(struct http_chunks *k, uint8_t c)
{
	int digit = hex_digit(c);

	if (digit >= 0) {
		k->left = k->left << 4 | (uint64_t)digit;
		return k->digits++ < SIZE_DIGITS_MAX ? SIZE : -1;
	}
	if (k->digits == 0)
		return -1;
	return c == '\r' ? SIZE_LF : c == ';' ? EXT : c == ' ' || c == '\t' ? EXT_SPACE : -1;
}

static int after_size_line(struct http_chunks *k, uint8_t c)
{
	if (c != '\n')
		return -1;
	k->digits = 0;
	return k->left ? DATA : LINE;
}

static int after_text(uint8_t c, int same, int at_cr)
{
	return c == '\r' ? at_cr : http_is_value_char(c) ? same : -1;
}

static int next_state(struct http_chunks *k, uint8_t c)
{
	switch (k->state) {
	case SIZE:
		return after_size_digit(k, c);
	case EXT_SPACE:
		return c == ';' ? EXT : c == ' ' || c == '\t' ? EXT_SPACE : -1;
	case EXT:
		return after_text(c, EXT, SIZE_LF);
	case SIZE_LF:
		return after_size_line(k, c);
	case DATA_CR:
		return c == '\r' ? DATA_LF : -1;
	case DATA_LF:
		return c == '\n' ? SIZE : -1;
	case LINE:
		return c == '\r' ? LAST_LF : http_is_token_char(c) ? NAME : -1;
	case NAME:
		return c == ':' ? VALUE : http_is_token_char(c) ? NAME : -1;
	case VALUE:
		return after_text(c, VALUE, VALUE_LF);
	case VALUE_LF:
		return c == '\n' ? LINE : -1;
	default:
		k->done = c == '\n';
		return k->done ? LAST_LF : -1;
	}
}

static bool is_overhead(int state)
{
	return state == EXT_SPACE || state == EXT || state == NAME || state == VALUE;
}

int http_chunks_next(struct http_chunks *k, struct span in, size_t *ret_used, struct span *ret_data,
		     struct http_refusal *r)
{
	size_t i = 0;

	*ret_data = span_of(in.data, 0);
	while (i < in.len && k->state != DATA && !k->done) {
		uint8_t c = in.data[i++];
		int state = next_state(k, c);

		if (state < 0)
			return http_refuse(r, 400, "Transfer-Encoding",
					   "the chunked body holds byte 0x%02x where it may not stand", c);
		k->state = state;
		k->overhead += is_overhead(state);
		if (k->overhead > k->overhead_max)
			return http_refuse(r, 431, "Transfer-Encoding",
					   "chunk extensions and trailers have more than %zu bytes",
					   k->overhead_max);
	}
	if (k->state == DATA && i < in.len) {
		size_t n = in.len - i < k->left ? in.len - i : (size_t)k->left;

		*ret_data = span_of(in.data + i, n);
		i += n;
		k->left -= n;
		if (k->left == 0)
			k->state = DATA_CR;
	}
	*ret_used = i;
	return 0;
}
