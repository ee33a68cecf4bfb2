#include "ingest/line_time.h"

#include <time.h>

#include "ingest/line_chars.h"
#include "ingest/line_level.h"

#define DAY_S INT64_C(86400)

/* Where the parser stands. */
struct scan {
	const uint8_t *p, *end;
};

/* ---- years ---- */

static struct year_rule year_rule_of(int64_t t_ns, bool is_start)
{
	time_t seconds = t_ns / NS_PER_S;
	struct tm tm;

	gmtime_r(&seconds, &tm);
	return (struct year_rule){ is_start, t_ns, tm.tm_year + 1900 };
}

struct year_rule year_rule_until(int64_t t_ns) { return year_rule_of(t_ns, false); }

struct year_rule year_rule_from(int64_t t_ns) { return year_rule_of(t_ns, true); }

static bool is_leap(int year) { return year % 4 == 0 && (year % 100 != 0 || year % 400 == 0); }

static int days_of_month(int year, int month)
{
	static const int8_t days[] = { 31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31 };

	return days[month - 1] + (month == 2 && is_leap(year));
}

static bool in_year(const struct civil_time *t, int year, int64_t *ret_ns)
{
	int64_t s;

	if (t->day > days_of_month(year, t->month))
		return false;
	s = clock_days_from_civil(year, t->month, t->day) * DAY_S + t->hour * 3600 + t->minute * 60 +
	    t->second - t->zone_s;
	if (s >= LINE_TIME_END_NS / NS_PER_S)
		return false;
	*ret_ns = s * NS_PER_S + t->fraction_ns;
	return true;
}

/* 29 February comes back after eight years at most. */
static bool in_some_year(const struct civil_time *t, const struct year_rule *years, int64_t *ret_ns)
{
	int64_t day_ns = DAY_S * NS_PER_S, ns;

	for (int i = -1; i <= 8; i++) {
		if (!in_year(t, years->is_start ? years->year + i : years->year - i, &ns))
			continue;
		if (years->is_start ? ns >= years->t_ns - day_ns : ns <= years->t_ns + day_ns) {
			*ret_ns = ns;
			return true;
		}
	}
	return false;
}

bool civil_time_ns(const struct civil_time *t, const struct year_rule *years, int64_t *ret_ns)
{
	if (t->month < 1 || t->month > 12 || t->day < 1 || t->hour > 23 || t->minute > 59 || t->second > 60)
		return false;
	if (t->year == 0)
		return in_some_year(t, years, ret_ns);
	return t->year >= 1700 && t->year <= 2261 && in_year(t, t->year, ret_ns);
}

/* ---- numbers ---- */

bool decimal_time(struct span text, int64_t unit_ns, int64_t *ret_ns)
{
	int64_t t = 0, unit = unit_ns;
	bool negative = text.len > 0 && text.data[0] == '-', fraction = false, any = false;

	for (size_t i = negative; i < text.len; i++) {
		int digit = text.data[i] - '0';

		if (text.data[i] == '.' && !fraction && any) {
			fraction = true;
			continue;
		}
		if (digit < 0 || digit > 9)
			return false;
		any = true;
		if (fraction) {
			unit /= 10;
			t += digit * unit;
		} else if (t >= LINE_TIME_END_NS / 10) {
			return false;
		} else {
			t = t * 10 + digit * unit_ns;
		}
	}
	if (!any || t >= LINE_TIME_END_NS)
		return false;
	*ret_ns = negative ? -t : t;
	return true;
}

bool epoch_time(struct span text, int64_t *ret_ns)
{
	size_t whole = 0;
	int64_t unit = NS_PER_S;

	while (whole < text.len && is_digit(text.data[whole]))
		whole++;
	if (whole < 9 || whole > 20)
		return false;
	for (size_t digits = 11; digits < whole; digits += 3)
		unit /= 1000;
	return unit > 0 && decimal_time(text, unit, ret_ns);
}

/* n digits. */
static bool take_digits(struct scan *s, int n, int *ret)
{
	int v = 0;

	if (s->end - s->p < n)
		return false;
	for (int i = 0; i < n; i++) {
		if (!is_digit(s->p[i]))
			return false;
		v = v * 10 + (s->p[i] - '0');
	}
	s->p += n;
	*ret = v;
	return true;
}

static bool take(struct scan *s, char c)
{
	if (s->p == s->end || *s->p != (uint8_t)c)
		return false;
	s->p++;
	return true;
}

/* ".038" or ",038"; digits past the ninth are cut. */
static void take_fraction(struct scan *s, int64_t *ret_ns)
{
	int64_t unit = NS_PER_S;
	const uint8_t *p = s->p;

	if (s->end - p < 2 || (*p != '.' && *p != ',') || !is_digit(p[1]))
		return;
	for (p++; p < s->end && is_digit(*p); p++) {
		unit /= 10;
		*ret_ns += (*p - '0') * unit;
	}
	s->p = p;
}

/* Index of the three letters in names, from 1; 0: none of them. */
static int take_name(struct scan *s, const char *names)
{
	if (s->end - s->p < 3)
		return 0;
	for (int i = 0; names[3 * i]; i++)
		if (memcmp(s->p, names + 3 * i, 3) == 0) {
			s->p += 3;
			return i + 1;
		}
	return 0;
}

/* "Z", " UTC", "+01:00", " +0100"; what is something else is left. */
static void take_zone(struct scan *s, int32_t *ret_s)
{
	struct scan at = *s;
	int hours, minutes, sign;

	take(&at, ' ');
	if (at.end - at.p >= 3 && (memcmp(at.p, "UTC", 3) == 0 || memcmp(at.p, "GMT", 3) == 0))
		at.p += 3;
	else if (at.p == s->p && take(&at, 'Z'))
		;
	else if (at.p < at.end && (*at.p == '+' || *at.p == '-')) {
		sign = *at.p++ == '-' ? -1 : 1;
		if (!take_digits(&at, 2, &hours) || (take(&at, ':'), !take_digits(&at, 2, &minutes)) ||
		    hours > 15 || minutes > 59)
			return;
		*ret_s = sign * (hours * 3600 + minutes * 60);
	} else {
		return;
	}
	if (at.p == at.end || !is_word(*at.p))
		*s = at;
	else
		*ret_s = 0;
}

/* ---- forms ---- */

/*
 * A form is matched letter by letter:
 *   Y year, m d H M S two digits, n month of one, e day of one digit or two, b month's name, a weekday's
 * name, L glog's letter, f fraction, if any, p AM or PM, if any, z zone, if any, _ one blank or more; others
 * are themselves
 */
static const char *const forms[] = {
	"Y-m-dTH:M:Sfz", "Y-m-d_H:M:Sfpz", "Y/m/d_H:M:Sfpz", "Ymd_H:M:Sfz",      "YmdTH:M:Sfz",
	"Y-m-d:H:M:Sfz", "e/b/Y:H:M:Sfz",  "e b Y_H:M:Sfz",  "e-b-Y_H:M:Sfz",    "Lmd_H:M:Sf",
	"b_e_H:M:Sf_Y",  "b_e_H:M:Sf",     "a_b_e_H:M:S_Y",  "a, e b Y_H:M:Sfz", "Lnd_H:M:Sf",
};

/* Those that only a cell may have. */
static const char *const cell_forms[] = { "Y-m-d", "Y/m/d", "Y-m-d_H:Mz", "Y-m-dTH:Mz", "Y/m/d_H:Mz" };

#define FORM_LEN_MIN 13 /* "I306 12:06:29" */

#define N(forms) (sizeof(forms) / sizeof((forms)[0]))

/* " PM" behind an hour of 1 to 12. */
static void take_half(struct scan *s, int *hour)
{
	const uint8_t *p = s->p;

	if (s->end - p < 3 || p[0] != ' ' || (p[1] != 'A' && p[1] != 'P') || p[2] != 'M' ||
	    (s->end - p > 3 && is_word(p[3])) || *hour < 1 || *hour > 12)
		return;
	*hour = *hour % 12 + (p[1] == 'P' ? 12 : 0);
	s->p += 3;
}

static bool take_day(struct scan *s, int *ret) { return take_digits(s, 2, ret) || take_digits(s, 1, ret); }

static bool take_blanks(struct scan *s)
{
	const uint8_t *before = s->p;

	while (s->p < s->end && *s->p == ' ')
		s->p++;
	return s->p > before;
}

static bool take_letter_of_glog(struct scan *s, enum level *ret)
{
	*ret = s->p < s->end ? level_of_letter(*s->p) : LEVEL_NONE;
	s->p += *ret != LEVEL_NONE;
	return *ret != LEVEL_NONE;
}

static bool take_part(struct scan *s, char part, struct civil_time *t, enum level *level)
{
	switch (part) {
	case 'Y':
		return take_digits(s, 4, &t->year);
	case 'm':
		return take_digits(s, 2, &t->month);
	case 'n':
		return take_digits(s, 1, &t->month);
	case 'd':
		return take_digits(s, 2, &t->day);
	case 'e':
		return take_day(s, &t->day);
	case 'H':
		return take_digits(s, 2, &t->hour);
	case 'M':
		return take_digits(s, 2, &t->minute);
	case 'S':
		return take_digits(s, 2, &t->second);
	case 'b':
		return (t->month = take_name(s, "JanFebMarAprMayJunJulAugSepOctNovDec")) > 0;
	case 'a':
		return take_name(s, "MonTueWedThuFriSatSun") > 0;
	case 'L':
		return take_letter_of_glog(s, level);
	case 'f':
		take_fraction(s, &t->fraction_ns);
		return true;
	case 'p':
		take_half(s, &t->hour);
		return true;
	case 'z':
		take_zone(s, &t->zone_s);
		return true;
	case '_':
		return take_blanks(s);
	default:
		return take(s, part);
	}
}

/* What a form may begin with, so that most of them are passed over at once. */
static bool may_begin(char part, uint8_t c) { return (part == 'Y' || part == 'e') == is_digit(c); }

/* The form at the place where s stands, which moves behind it. */
static bool take_form(struct scan *s, const char *form, const struct year_rule *years, struct line_time *ret)
{
	struct scan at = *s;
	struct civil_time t = { 0 };
	enum level level = LEVEL_NONE;

	while (*form && take_part(&at, *form, &t, &level))
		form++;
	if (*form || (at.p < at.end && is_digit(*at.p)) || !civil_time_ns(&t, years, &ret->t_ns))
		return false;
	ret->has_time = true;
	ret->level = level;
	*s = at;
	return true;
}

static bool is_lower(uint8_t c) { return c >= 'a' && c <= 'z'; }

static bool is_upper(uint8_t c) { return c >= 'A' && c <= 'Z'; }

/* Most words of most lines begin no form: a few bytes tell, at a fifth of the cost of trying them. */
static bool is_promising(const struct scan *s)
{
	const uint8_t *p = s->p;
	int digits = 0;

	if (s->end - p < FORM_LEN_MIN)
		return false;
	if (is_upper(p[0]))
		return is_digit(p[1]) ? is_digit(p[2])
				      : is_lower(p[1]) && is_lower(p[2]) && (p[3] == ' ' || p[3] == ',');
	while (digits < 9 && is_digit(p[digits]))
		digits++;
	if (digits == 4)
		return p[4] == '-' || p[4] == '/';
	return digits == 8 || (digits > 0 && digits <= 2 && is_upper(p[digits + 1]));
}

static bool take_time(struct scan *s, const struct year_rule *years, struct line_time *ret)
{
	if (!is_promising(s))
		return false;
	for (size_t i = 0; i < N(forms); i++)
		if (may_begin(forms[i][0], *s->p) && take_form(s, forms[i], years, ret))
			return true;
	return false;
}

/* Nothing follows but blanks. */
static bool is_whole(struct scan s)
{
	take_blanks(&s);
	return s.p == s.end;
}

bool line_time_parse(struct span cell, const struct year_rule *years, int64_t *ret_ns)
{
	struct scan start = { cell.data, cell.data + cell.len }, s;
	struct line_time found = { 0 };
	bool good;

	take_blanks(&start);
	s = start;
	good = s.p < s.end && take_time(&s, years, &found) && is_whole(s);
	for (size_t i = 0; i < N(cell_forms) && !good; i++) {
		s = start;
		good = take_form(&s, cell_forms[i], years, &found) && is_whole(s);
	}
	if (good)
		*ret_ns = found.t_ns;
	return good;
}

/* ---- lines ---- */

/* A time stands at the start of a line, or after one of these. */
static bool may_precede(uint8_t c)
{
	return c == ' ' || c == '\t' || c == '[' || c == '(' || c == '"' || c == ':' || c == '|' ||
	       c == '>' || c == 'm' || c == '\r';
}

void line_time_find(struct span line, const struct year_rule *years, struct line_time *ret)
{
	size_t reach = line.len < LINE_TIME_REACH ? line.len : LINE_TIME_REACH;
	struct scan all = { line.data, line.data + line.len };
	int words = 0;

	*ret = (struct line_time){ 0 };
	if (line.len == 0)
		return;
	for (size_t i = 0; i < reach && words <= LINE_TIME_WORDS; i++) {
		struct scan s = { line.data + i, all.end };
		uint8_t c = line.data[i];

		words += c == ' ' && i > 0 && line.data[i - 1] != ' ';
		if ((!is_digit(c) && (c < 'A' || c > 'Z')) || (i > 0 && !may_precede(line.data[i - 1])) ||
		    !take_time(&s, years, ret))
			continue;
		if (ret->level == LEVEL_NONE && i > 0) {
			ret->level = level_of_priority(line);
			if (ret->level == LEVEL_NONE)
				ret->level = level_near(span_of(line.data, i), line.data);
		}
		if (ret->level == LEVEL_NONE)
			ret->level = level_near(span_of(s.p, (size_t)(s.end - s.p)), line.data);
		if (ret->level == LEVEL_NONE)
			ret->level = level_of_library(span_of(line.data, reach));
		return;
	}
	ret->level = level_of_plain(line);
}
