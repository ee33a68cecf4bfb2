#include "ingest/import/time_format.h"

#include <limits.h>
#include <stdio.h>
#include <time.h>

#define UNSET INT_MIN

/* %f after the part before it; behind it what is left.  strptime keeps what it read before in tm. */
static const char *parse_parts(const char *format, const char *text, struct tm *tm, int64_t *ret_fraction_ns)
{
	char part[TIME_FORMAT_MAX + 1];
	const char *fraction;

	while ((fraction = strstr(format, "%f")) != NULL) {
		int64_t unit = NS_PER_S;

		snprintf(part, sizeof(part), "%.*s", (int)(fraction - format), format);
		text = strptime(text, part, tm);
		if (!text || *text < '0' || *text > '9')
			return NULL;
		for (*ret_fraction_ns = 0; *text >= '0' && *text <= '9'; text++) {
			unit /= 10;
			*ret_fraction_ns += (*text - '0') * unit;
		}
		format = fraction + 2;
	}
	return strptime(text, format, tm);
}

/* strptime's %s goes through the local time zone. */
static bool parse_epoch(const char *format, struct span text, bool whole, int64_t *ret_ns)
{
	size_t n = 0;

	if (strcmp(format, "%s") != 0 && strcmp(format, "%s.%f") != 0)
		return false;
	while (n < text.len && ((text.data[n] >= '0' && text.data[n] <= '9') || text.data[n] == '.'))
		n++;
	return (!whole || n == text.len) && decimal_time(span_of(text.data, n), NS_PER_S, ret_ns) &&
	       *ret_ns < INT64_MAX;
}

static struct span trim(struct span s)
{
	while (s.len > 0 && s.data[0] == ' ') {
		s.data++;
		s.len--;
	}
	while (s.len > 0 &&
	       (s.data[s.len - 1] == ' ' || s.data[s.len - 1] == '\r' || s.data[s.len - 1] == '\n'))
		s.len--;
	return s;
}

bool time_format_parse(const char *format, struct span text, bool whole, const struct year_rule *years,
		       int64_t *ret_ns)
{
	struct tm tm = { .tm_year = UNSET, .tm_mon = UNSET, .tm_mday = UNSET };
	char copy[TIME_FORMAT_MAX + 1];
	struct civil_time t = { 0 };
	const char *end;

	text = trim(text);
	if (strstr(format, "%s"))
		return parse_epoch(format, text, whole, ret_ns);
	if (whole && text.len > TIME_FORMAT_MAX)
		return false;
	if (text.len > TIME_FORMAT_MAX)
		text.len = TIME_FORMAT_MAX;
	memcpy(copy, text.data, text.len);
	copy[text.len] = 0;
	end = parse_parts(format, copy, &tm, &t.fraction_ns);
	if (!end || (whole && *end) || tm.tm_mon == UNSET || tm.tm_mday == UNSET)
		return false;
	if (tm.tm_year != UNSET && (tm.tm_year < -200 || tm.tm_year > 361))
		return false;
	t.year = tm.tm_year == UNSET ? 0 : tm.tm_year + 1900;
	t.month = tm.tm_mon + 1;
	t.day = tm.tm_mday;
	t.hour = tm.tm_hour;
	t.minute = tm.tm_min;
	t.second = tm.tm_sec;
	t.zone_s = (int32_t)tm.tm_gmtoff;
	return civil_time_ns(&t, years, ret_ns);
}

int time_format_check(const char *format, struct fault *f)
{
	struct year_rule years = year_rule_from(0);
	struct tm tm = {
		.tm_year = 125, .tm_mon = 2, .tm_mday = 6, .tm_hour = 12, .tm_wday = 4, .tm_yday = 64
	};
	char example[4 * TIME_FORMAT_MAX], plain[TIME_FORMAT_MAX + 1];
	const char *fraction = strstr(format, "%f");
	size_t n;
	int64_t t;

	if (strlen(format) > TIME_FORMAT_MAX)
		return fault_set(f, ERR_REFUSED, "time-format", "--time-format has at most %d bytes",
				 TIME_FORMAT_MAX);
	snprintf(plain, sizeof(plain), "%.*s%s%s", fraction ? (int)(fraction - format) : (int)strlen(format),
		 format, fraction ? "0" : "", fraction ? fraction + 2 : "");
	n = strftime(example, sizeof(example), plain, &tm);
	if (n == 0 || !time_format_parse(format, span_of(example, n), true, &years, &t))
		return fault_set(
		    f, ERR_REFUSED, "time-format",
		    "--time-format %.60s is not understood, or tells no day: it takes what strptime "
		    "does, and %%f, like \"%%d.%%m.%%Y %%H:%%M:%%S.%%f\"",
		    format);
	return 0;
}
