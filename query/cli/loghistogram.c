#include "query/cli/loghistogram.h"

#include <stdio.h>
#include <time.h>

#include "query/cli/term.h"
#include "query/cli/verb.h"
#include "store/model.h"

#define TIME_CHARS  19
#define COUNT_CHARS 10
#define BAR_LEAST   8
#define WIDTH       80 /* where stdout is no terminal */

/* What bars tell apart, from the left. */
enum { PART_ERROR, PART_WARN, PART_REST, PARTS };

struct window {
	int64_t start_ms;
	uint64_t n[LEVELS], all;
};

struct picture {
	const struct target *t;
	uint64_t levels[LEVELS], most;
	int bar;
};

static struct window window_of(struct json_object *row)
{
	struct window w = { .start_ms = json_object_get_int64(tree_item(row, 0)) };

	for (size_t i = 0; i < LEVELS; i++) {
		w.n[i] = json_object_get_uint64(tree_item(row, i + 1));
		w.all += w.n[i];
	}
	return w;
}

static void print_count(uint64_t n, bool blank)
{
	char text[SHORT_TEXT_MAX] = "";

	if (n > 0 || !blank)
		short_number((double)n, COUNT_CHARS - 1, text);
	cell(stdout, text, -COUNT_CHARS);
}

static void print_head(const struct picture *p)
{
	cell(stdout, "time, UTC", TIME_CHARS);
	cell(stdout, "records", -COUNT_CHARS);
	for (int i = LEVELS - 1; i >= 0; i--)
		if (p->levels[i])
			cell(stdout, i == LEVEL_NONE ? "no level" : level_name((enum level)i), -COUNT_CHARS);
	putchar('\n');
}

static uint64_t part_of(const struct window *w, int part)
{
	if (part == PART_ERROR)
		return w->n[LEVEL_ERROR] + w->n[LEVEL_FATAL];
	return part == PART_WARN ? w->n[LEVEL_WARN] : w->all - part_of(w, PART_ERROR) - part_of(w, PART_WARN);
}

static void print_bar(const struct picture *p, const struct window *w)
{
	static const char *const blocks[PARTS] = { "█", "▓", "░" }, *const ascii[PARTS] = { "#", "=", "-" };
	static const enum color colors[PARTS] = { COLOR_RED, COLOR_YELLOW, COLOR_NONE };

	fputs("  ", stdout);
	for (int part = 0; part < PARTS; part++) {
		uint64_t n = part_of(w, part);
		int cells = (int)((double)n / (double)p->most * p->bar + 0.5);

		if (n == 0)
			continue;
		fputs(color_start(p->t->color, colors[part]), stdout);
		for (int i = 0; i < cells || i == 0; i++)
			fputs((p->t->unicode ? blocks : ascii)[part], stdout);
		fputs(color_end(p->t->color, colors[part]), stdout);
	}
}

static void print_window(const struct picture *p, const struct window *w)
{
	time_t s = w->start_ms / 1000;
	char text[TIME_CHARS + 1] = "";
	struct tm tm;

	if (gmtime_r(&s, &tm))
		strftime(text, sizeof text, "%Y-%m-%d %H:%M:%S", &tm);
	cell(stdout, text, TIME_CHARS);
	print_count(w->all, false);
	for (int i = LEVELS - 1; i >= 0; i--)
		if (p->levels[i])
			print_count(w->n[i], true);
	print_bar(p, w);
	putchar('\n');
}

bool log_histogram_show(struct json_object *answer, const struct target *t)
{
	struct json_object *rows = tree_list(answer, "rows");
	int64_t every_ms = (int64_t)tree_u64(answer, "every_ms"), before_ms = 0;
	struct picture p = { .t = t, .most = 1 };
	size_t n = list_length(rows);

	p.bar = (t->columns ? t->columns : WIDTH) - TIME_CHARS - COUNT_CHARS - 3 - PARTS;
	for (size_t i = 0; i < n; i++) {
		struct window w = window_of(tree_item(rows, i));

		p.most = w.all > p.most ? w.all : p.most;
		for (int level = 0; level < LEVELS; level++)
			p.levels[level] += w.n[level];
	}
	for (int level = 0; level < LEVELS; level++)
		p.bar -= p.levels[level] ? COUNT_CHARS : 0;
	p.bar = p.bar < BAR_LEAST ? BAR_LEAST : p.bar;
	if (n > 0)
		print_head(&p);
	for (size_t i = 0; i < n; i++) {
		struct window w = window_of(tree_item(rows, i));

		if (i > 0 && w.start_ms - before_ms > every_ms)
			puts("...");
		print_window(&p, &w);
		before_ms = w.start_ms;
	}
	return n > 0;
}
