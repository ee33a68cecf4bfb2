#include "ingest/import/report.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "ingest/import/series_names.h"
#include "ingest/names.h"

void shown_name(const char *name, char ret[SHOWN_NAME_MAX + 1])
{
	bool good;
	size_t len = strlen(name);

	if (len > SHOWN_NAME_MAX)
		len = SHOWN_NAME_MAX;
	memcpy(ret, name, len);
	ret[len] = 0;
	good = name_is_clean(span_of(ret, len));
	for (size_t i = 0; i < len && !good; i++)
		if ((unsigned char)ret[i] < 0x20 || (unsigned char)ret[i] >= 0x7f)
			ret[i] = '?';
}

void report_problem(const char *name, const char *text)
{
	char shown[SHOWN_NAME_MAX + 1];

	shown_name(name, shown);
	fprintf(stderr, "astraml import: %s: ", shown);
	for (; *text; text++)
		fputc((unsigned char)*text < 0x20 || *text == 0x7f ? '?' : *text, stderr);
	fputc('\n', stderr);
}

int add_json_text(struct buf *b, const char *s)
{
	int err = buf_addch(b, '"');

	for (; *s && err == 0; s++) {
		if (*s == '"' || *s == '\\')
			err = buf_addch(b, '\\');
		if (err == 0)
			err = buf_addch(b, *s);
	}
	return err < 0 ? err : buf_addch(b, '"');
}

/* "1,234" */
static const char *grouped(uint64_t n, char ret[32])
{
	char plain[24];
	int len = snprintf(plain, sizeof(plain), "%" PRIu64, n), at = 0;

	for (int i = 0; i < len; i++) {
		if (i > 0 && (len - i) % 3 == 0)
			ret[at++] = ',';
		ret[at++] = plain[i];
	}
	ret[at] = 0;
	return ret;
}

/* Whole seconds. */
static void print_time(int64_t t_ns)
{
	char text[CLOCK_TEXT_MAX];

	clock_format(t_ns - t_ns % NS_PER_S, text);
	fputs(text, stdout);
}

void report_summary(const struct import_item *item, const char *run, const struct transfer_result *r)
{
	char lines[32], samples[32], series[32], windows[32];

	printf("%s -> run %s: %s line%s, %s sample%s", item->name, run, grouped(r->lines, lines),
	       r->lines == 1 ? "" : "s", grouped(r->samples, samples), r->samples == 1 ? "" : "s");
	if (r->windows > 0)
		printf(", %s window%s", grouped(r->windows, windows), r->windows == 1 ? "" : "s");
	else if (r->series > 0 || r->samples == 0) /* lines of JSON are sent as they are, uncounted */
		printf(" of %s series", grouped(r->series, series));
	if (r->lines + r->samples + r->windows > 0) {
		fputs(", ", stdout);
		print_time(r->first_ns);
		fputs(" .. ", stdout);
		print_time(r->last_ns);
	}
	puts(r->duplicates == r->requests ? " (already there)" : "");
	fflush(stdout);
}

void report_json(const struct import_item *item, const char *run, const struct transfer_result *r)
{
	char name[SHOWN_NAME_MAX + 1];
	struct buf b;

	shown_name(item->name, name);
	buf_init(&b, 64 * 1024);
	if (buf_addstr(&b, "{\"file\":") < 0 || add_json_text(&b, name) < 0 ||
	    buf_addf(&b,
		     ",\"run\":\"%s\",\"lines\":%" PRIu64 ",\"samples\":%" PRIu64 ",\"windows\":%" PRIu64
		     ",\"series\":%" PRIu64 ",\"already_there\":%s}",
		     run, r->lines, r->samples, r->windows, r->series,
		     r->duplicates == r->requests ? "true" : "false") < 0)
		abort(); /* a short line always fits */
	puts(buf_cstr(&b));
	fflush(stdout);
	buf_release(&b);
}

void report_left_out(const struct import_item *item, const struct transfer_result *r)
{
	const char *name = item->name;

	if (r->refused_names > 0)
		fprintf(stderr,
			"astraml import: %s: samples left out: %" PRIu64
			"; a metric's name has 1 to %d bytes of UTF-8 without control characters, labels the "
			"same, and a run at most %d series\n",
			name, r->refused_names, METRIC_NAME_MAX, SERIES_NAMES_MAX);
	if (r->refused_samples > 0)
		fprintf(stderr,
			"astraml import: %s: samples left out: %" PRIu64
			"; their time is before 1970 or in the future\n",
			name, r->refused_samples);
	if (r->moved_lines > 0)
		fprintf(stderr,
			"astraml import: %s: lines with a time before 1970 or in the future: %" PRIu64
			"; they got that of the line before\n",
			name, r->moved_lines);
	if (r->rejected_samples + r->rejected_lines > 0)
		fprintf(stderr,
			"astraml import: %s: left out by the server: %" PRIu64 " samples, %" PRIu64
			" lines (%s)\n",
			name, r->rejected_samples, r->rejected_lines, r->reject_code);
}
