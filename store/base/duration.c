#include "store/base/duration.h"

#include <stdio.h>

#include "store/base/clock.h"

#define YEAR_NS      (INT64_C(365) * 86400 * NS_PER_S)
#define YEARS_100_NS (INT64_C(36525) * 86400 * NS_PER_S)

/* At least one digit; false when the number does not fit. */
static bool digits_parse(struct span s, int64_t *ret)
{
	int64_t v = 0;

	for (size_t i = 0; i < s.len; i++)
		if (__builtin_mul_overflow(v, 10, &v) || __builtin_add_overflow(v, s.data[i] - '0', &v))
			return false;
	*ret = v;
	return s.len > 0;
}

/* A unit at s; returns its length, 0 when there is none. */
static size_t unit_parse(struct span s, int64_t *ret_ns)
{
	static const struct {
		char name[3];
		int64_t ns;
	} units[] = { { "ms", NS_PER_MS },      { "s", NS_PER_S },         { "m", 60 * NS_PER_S },
		      { "h", 3600 * NS_PER_S }, { "d", 86400 * NS_PER_S }, { "w", 7 * 86400 * NS_PER_S },
		      { "y", YEAR_NS } };

	for (size_t i = 0; i < sizeof units / sizeof *units; i++) {
		size_t n = strlen(units[i].name);

		if (s.len >= n && memcmp(s.data, units[i].name, n) == 0) {
			*ret_ns = units[i].ns;
			return n;
		}
	}
	return 0;
}

bool duration_parse(struct span s, int64_t *ret_ns)
{
	int64_t total = 0, unit = 0, part, v;

	for (size_t i = 0, n; i < s.len; i += n) {
		size_t digits = 0;

		while (i + digits < s.len && s.data[i + digits] >= '0' && s.data[i + digits] <= '9')
			digits++;
		if (!digits_parse(span_of(s.data + i, digits), &v))
			return false;
		i += digits;
		n = unit_parse(span_of(s.data + i, s.len - i), &unit);
		if (n == 0 || __builtin_mul_overflow(v, unit, &part) ||
		    __builtin_add_overflow(total, part, &total) || total > YEARS_100_NS)
			return false;
	}
	if (total <= 0)
		return false;
	*ret_ns = total;
	return true;
}

void duration_print(int64_t ns, char ret[DURATION_TEXT_MAX])
{
	static const struct {
		const char *name;
		int64_t ns;
	} units[] = { { "y", YEAR_NS },       { "d", 86400 * NS_PER_S }, { "h", 3600 * NS_PER_S },
		      { "m", 60 * NS_PER_S }, { "s", NS_PER_S },         { "ms", NS_PER_MS } };
	size_t i = 0;

	while (i + 1 < sizeof units / sizeof *units && ns % units[i].ns != 0)
		i++;
	snprintf(ret, DURATION_TEXT_MAX, "%lld%s", (long long)(ns / units[i].ns), units[i].name);
}

bool keep_parse(struct span s, int64_t *ret_ns)
{
	if (span_is(s, "forever"))
		*ret_ns = INT64_MAX;
	else if (span_is(s, "0s"))
		*ret_ns = 0;
	else
		return duration_parse(s, ret_ns);
	return true;
}

void keep_print(int64_t ns, char ret[DURATION_TEXT_MAX])
{
	if (ns == INT64_MAX)
		strcpy(ret, "forever");
	else if (ns == 0)
		strcpy(ret, "0s");
	else
		duration_print(ns, ret);
}
