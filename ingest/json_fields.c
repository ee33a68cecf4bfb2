#include "ingest/json_fields.h"

#include <math.h>

#include "ingest/names.h"
#include "store/base/bytes.h"
#include "store/base/number.h"

#define NAN_BITS_AT 4 /* behind "NaN:" */

/* Most names differ in their first byte. */
static inline bool is_name(struct span name, const char *known)
{
	return name.len > 0 && name.data[0] == (uint8_t)known[0] && span_is(name, known);
}

static int unknown(struct fault *f, const char *where, struct span name)
{
	char text[EXCERPT_MAX];

	name_excerpt(name, text);
	return where[0] ? fault_set(f, ERR_REFUSED, where, "\"%s\" is not a member of \"%s\"", text, where)
			: fault_set(f, ERR_REFUSED, where, "\"%s\" is not a member that lines have", text);
}

int json_fields(struct span object, const char *const *known, size_t n_known, const char *where,
		struct json_value *ret, struct fault *f)
{
	struct json_value value;
	uint32_t seen = 0;
	struct span name;

	memset(ret, 0, n_known * sizeof(*ret));
	while (json_member(&object, &name, &value)) {
		size_t m = 0;

		while (m < n_known && !is_name(name, known[m]))
			m++;
		if (m == n_known)
			return unknown(f, where, name);
		if (seen >> m & 1)
			return fault_set(f, ERR_MALFORMED, known[m], "\"%s\" is there twice", known[m]);
		seen |= UINT32_C(1) << m;
		ret[m] = value;
		if (span_is(value.text, "null"))
			ret[m].kind = JSON_NONE;
	}
	return 0;
}

static bool hex64(const uint8_t *p, uint64_t *ret)
{
	uint64_t v = 0;

	for (int i = 0; i < 16; i++) {
		if (p[i] >= '0' && p[i] <= '9')
			v = v << 4 | (uint64_t)(p[i] - '0');
		else if (p[i] >= 'a' && p[i] <= 'f')
			v = v << 4 | (uint64_t)(p[i] - 'a' + 10);
		else
			return false;
	}
	*ret = v;
	return true;
}

static bool word_double(struct span word, double *ret)
{
	uint64_t bits = UINT64_C(0x7ff8000000000000);

	if (span_is(word, "Infinity") || span_is(word, "-Infinity")) {
		*ret = word.data[0] == '-' ? -HUGE_VAL : HUGE_VAL;
		return true;
	}
	if (!span_is(word, "NaN") &&
	    (word.len != NAN_BITS_AT + 16 || memcmp(word.data, "NaN:", NAN_BITS_AT) != 0 ||
	     !hex64(word.data + NAN_BITS_AT, &bits) || !isnan(bits_double(bits))))
		return false;
	*ret = bits_double(bits);
	return true;
}

bool json_double(const struct json_value *v, double *ret)
{
	if (v->kind == JSON_NUMBER)
		return number_parse((const char *)v->text.data, v->text.len, ret) && isfinite(*ret);
	if (v->kind == JSON_STRING)
		return word_double(span_of(v->text.data + 1, v->text.len - 2), ret);
	return v->kind == JSON_NON_FINITE && word_double(v->text, ret);
}
