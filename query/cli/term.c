#include "query/cli/term.h"

#include <math.h>

#include "query/out.h"

/* What the terminal can show is one fact of the process, and asked for in every cell of a table. */
static bool unicode = true;

void term_unicode(bool on) { unicode = on; }

static const char *ellipsis(void) { return unicode ? "…" : "~"; }

const char *color_start(bool on, enum color c)
{
	static const char *const codes[] = {
		"",           "\x1b[31m",   "\x1b[32m",   "\x1b[33m",   "\x1b[34m",   "\x1b[35m",
		"\x1b[36m",   "\x1b[2m",    "\x1b[1m",    "\x1b[2m",    "\x1b[2;31m", "\x1b[2;32m",
		"\x1b[2;33m", "\x1b[2;34m", "\x1b[2;35m", "\x1b[2;36m",
	};

	return on ? codes[c] : "";
}

const char *color_end(bool on, enum color c) { return on && c != COLOR_NONE ? "\x1b[0m" : ""; }

/* Bytes of the character at s; broken UTF-8 counts byte by byte. */
static size_t char_bytes(const char *s)
{
	size_t bad, n = utf8_at((const uint8_t *)s, strlen(s), &bad);

	return n ? n : 1;
}

static size_t char_count(const char *s)
{
	size_t n = 0;

	for (; *s; s += char_bytes(s))
		n++;
	return n;
}

static void put_chars(FILE *out, const char *s, size_t from, size_t to)
{
	for (size_t i = 0; *s && i < to; i++) {
		size_t n = char_bytes(s);

		if (i >= from && n == 1 && ((unsigned char)*s < 0x20 || (unsigned char)*s >= 0x7f))
			putc(*s == '\t' ? ' ' : '?', out);
		else if (i >= from)
			fwrite(s, 1, n, out);
		s += n;
	}
}

void cell(FILE *out, const char *text, int width)
{
	size_t w = (size_t)(width < 0 ? -width : width), n = char_count(text);

	if (n > w) {
		size_t head = (w - 1) / 2;

		put_chars(out, text, 0, head);
		fputs(ellipsis(), out);
		put_chars(out, text, n - (w - 1 - head), n);
		return;
	}
	if (width < 0)
		fprintf(out, "%*s", (int)(w - n), "");
	put_chars(out, text, 0, n);
	if (width > 0)
		fprintf(out, "%*s", (int)(w - n), "");
}

void cell_start(FILE *out, const char *text, int width)
{
	bool whole = char_count(text) <= (size_t)width;

	put_chars(out, text, 0, (size_t)(whole ? width : width - 1));
	fputs(whole ? "" : ellipsis(), out);
}

void cell_name(FILE *out, const char *text, int width)
{
	if (char_count(text) <= (size_t)width) {
		cell(out, text, width);
		return;
	}
	put_chars(out, text, 0, SIZE_MAX);
	fprintf(out, "\n%*s", width, "");
}

void short_number(double v, int width, char ret[SHORT_TEXT_MAX])
{
	int n, digits = 6;

	if (isnan(v)) {
		snprintf(ret, SHORT_TEXT_MAX, "NaN");
		return;
	}
	if (fabs(v) < 1e15 && v == trunc(v) && snprintf(ret, SHORT_TEXT_MAX, "%.0f", v) <= width)
		return;
	do
		n = snprintf(ret, SHORT_TEXT_MAX, "%.*g", digits, v);
	while (n > width && --digits > 0);
}

void short_bytes(uint64_t bytes, char ret[SHORT_TEXT_MAX])
{
	static const char *const units[] = { "B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB" };
	double v = (double)bytes;
	size_t i = 0;

	while (v >= 1024 && i + 1 < sizeof units / sizeof *units) {
		v /= 1024;
		i++;
	}
	snprintf(ret, SHORT_TEXT_MAX, i ? "%.1f %s" : "%.0f %s", v, units[i]);
}

void short_age(int64_t ns, char ret[SHORT_TEXT_MAX])
{
	static const struct {
		long long s;
		char unit;
	} units[] = { { 365 * 86400, 'y' }, { 86400, 'd' }, { 3600, 'h' }, { 60, 'm' }, { 1, 's' } };
	long long s = ns > 0 ? ns / 1000000000 : 0;
	size_t i = 0;

	while (i + 1 < sizeof units / sizeof *units && s < units[i].s)
		i++;
	snprintf(ret, SHORT_TEXT_MAX, "%lld%c", s / units[i].s, units[i].unit);
}

void spark(FILE *out, const struct spark_point *p, size_t n)
{
	static const char *const blocks[] = { "▁", "▂", "▃", "▄", "▅", "▆", "▇", "█" };
	static const char *const ascii[] = { "_", ".", ",", "-", "~", "+", "*", "#" };
	const char *const *bars = unicode ? blocks : ascii;
	double least = INFINITY, most = -INFINITY;

	for (size_t i = 0; i < n; i++) {
		if (!p[i].gap && isfinite(p[i].value)) {
			least = fmin(least, p[i].value);
			most = fmax(most, p[i].value);
		}
	}
	for (size_t i = 0; i < n; i++) {
		double at = most > least ? (p[i].value / 2 - least / 2) / (most / 2 - least / 2) : 0.5;

		fputs(p[i].gap ? " " : !isfinite(p[i].value) ? "x" : bars[(size_t)(at * 7.999)], out);
	}
}

/* Length of the escape sequence at s (s[0] is ESC); *ret_color: it sets colours. */
static size_t escape_bytes(const uint8_t *s, size_t left, bool *ret_color)
{
	size_t n = 2;

	*ret_color = false;
	if (left < 2)
		return left;
	if (s[1] == '[') {
		while (n < left && s[n] >= 0x20 && s[n] < 0x40)
			n++;
		*ret_color = n < left && s[n] == 'm';
		return n < left ? n + 1 : left;
	}
	if (s[1] != ']')
		return n;
	while (n < left && s[n] != 7 && s[n] != 0x1b)
		n++;
	if (n < left && s[n] == 0x1b && n + 1 < left && s[n + 1] == '\\')
		n++;
	return n < left ? n + 1 : left;
}

int shown_text(struct span text, bool color, struct buf *out)
{
	size_t line = out->len; /* where '\r' goes back to */
	bool back = false, colored;
	int err = 0;

	for (size_t i = 0, n; i < text.len && err == 0; i += n) {
		uint8_t c = text.data[i];

		n = 1;
		if (c == '\r') {
			back = true;
			continue;
		}
		if (c == 0x1b) {
			n = escape_bytes(text.data + i, text.len - i, &colored);
			if (!colored || !color)
				continue;
		} else if ((c < 0x20 && c != '\n' && c != '\t') || c == 0x7f) {
			continue;
		}
		if (back && c != '\n')
			out->len = line;
		back = false;
		err = buf_add(out, text.data + i, n);
		if (c == '\n')
			line = out->len;
	}
	return err;
}
