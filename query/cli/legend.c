#include "query/cli/legend.h"

#include <math.h>

#define LEGEND_INDENT 7 /* at most; else as far as the axis */
#define SAMPLE_WIDE   5 /* of a line in the legend: its pattern is seen */

static const struct style {
	enum color color;
	char ascii; /* of a curve alone it is '*' */
	unsigned on, off;
} styles[CHART_CURVES_MAX] = {
	{ COLOR_CYAN, 'a', 1, 0 },  { COLOR_YELLOW, 'b', 5, 3 }, { COLOR_MAGENTA, 'c', 1, 1 },
	{ COLOR_GREEN, 'd', 2, 3 }, { COLOR_BLUE, 'e', 9, 3 },   { COLOR_RED, 'f', 1, 3 },
	{ COLOR_NONE, 'g', 4, 1 },  { COLOR_CYAN, 'h', 3, 5 },
};

char chart_letter(size_t i) { return styles[i].ascii; }

struct pen chart_pen(const struct chart *c, size_t i, enum canvas_layer layer)
{
	const struct style *s = &styles[i];
	struct pen pen = { .layer = layer, .color = s->color, .ascii = c->n > 1 ? s->ascii : '*', .on = 1 };

	if (layer != CANVAS_LINE) {
		pen.color = COLOR_FAINT + s->color;
		pen.ascii = layer == CANVAS_EDGE ? '.' : ':';
	} else if (c->n > 1) {
		pen.on = s->on;
		pen.off = s->off;
	}
	return pen;
}

/* A piece of a layer, as it looks in the drawing. */
static void print_sample(const struct chart *c, size_t i, enum canvas_layer layer, FILE *out)
{
	struct canvas page;
	struct buf row;
	struct pen pen = chart_pen(c, i, layer);

	if (canvas_init(&page, SAMPLE_WIDE + 1, 1) < 0)
		return;
	if (layer == CANVAS_LINE)
		canvas_line(&page, &pen, 0, 2, SAMPLE_WIDE * DOTS_ACROSS - 1, 2);
	else
		for (int x = 0; x < SAMPLE_WIDE * DOTS_ACROSS; x++)
			for (int y = 0; y < DOTS_DOWN; y++)
				if (layer == CANVAS_FILL ? (x + y) % 2 == 0 : y == 2 && x % 3 == 0)
					canvas_dot(&page, &pen, x, y);
	canvas_text(&page, SAMPLE_WIDE, 0, COLOR_NONE, "."); /* keeps the blanks before it, and is cut off */
	buf_init(&row, 4096);
	if (canvas_row(&page, 0, c->unicode, c->color, &row) == 0)
		fwrite(row.data, 1, row.len - strlen(".\n"), out);
	buf_release(&row);
	canvas_release(&page);
}

static void print_value(const char *name, double v, bool none, int width, FILE *out)
{
	char text[SHORT_TEXT_MAX] = "-";

	if (!none)
		short_number(v, 9, text);
	fprintf(out, "%s%*s", name, width, text);
}

static void print_bad(const struct chart *c, const struct curve_sum *s, FILE *out)
{
	const struct {
		uint64_t n;
		const char *name;
	} kinds[] = { { s->nan, "NaN" }, { s->pos_inf, "Inf" }, { s->neg_inf, "-Inf" } };
	const char *before = "   x ";

	if (!s->nan && !s->pos_inf && !s->neg_inf)
		return;
	fputs(color_start(c->color, COLOR_RED), out);
	for (size_t i = 0; i < 3; i++) {
		if (kinds[i].n)
			fprintf(out, "%s%llu %s", before, (unsigned long long)kinds[i].n, kinds[i].name);
		before = kinds[i].n ? ", " : before;
	}
	fputs(color_end(c->color, COLOR_RED), out);
}

/* Of the line.  alone: its points are samples. */
static void print_meaning(const struct chart *c, bool alone, FILE *out)
{
	if (c->smooth > 0)
		fprintf(out, " %ssmoothed %g   ", alone ? "" : "mean, ", c->smooth);
	else
		fputs(alone ? " each sample" : " mean   ", out);
}

static void print_one(const struct chart *c, int left, FILE *out)
{
	const struct curve_sum s = curve_sum(&c->curves[0]);
	bool alone = s.most <= 1;
	int indent = left < LEGEND_INDENT ? left : LEGEND_INDENT;

	fprintf(out, "%*s", indent, "");
	print_sample(c, 0, CANVAS_LINE, out);
	print_meaning(c, alone, out);
	if (!alone || c->smooth > 0) {
		print_sample(c, 0, alone ? CANVAS_EDGE : CANVAS_FILL, out);
		fputs(alone ? " each sample" : " least to greatest", out);
	}
	print_bad(c, &s, out);
	fprintf(out, "\n%*s", indent, "");
	print_value("last ", s.last, false, 0, out);
	print_value("   min ", s.min, isnan(s.min), 0, out);
	print_value("   max ", s.max, isnan(s.min), 0, out);
	fprintf(out, "   %llu sample%s\n", (unsigned long long)s.count, s.count == 1 ? "" : "s");
}

static void print_several(const struct chart *c, FILE *out)
{
	int name = c->width - 2 - SAMPLE_WIDE - 2 - 3 * 10 - 9 - 1;

	fprintf(out, "%s%*s%*s %9s %9s %9s %8s%s\n", color_start(c->color, COLOR_BOLD), 2 + SAMPLE_WIDE + 2,
		"", name, "", "LAST", "MIN", "MAX", "SAMPLES", color_end(c->color, COLOR_BOLD));
	for (size_t i = 0; i < c->n; i++) {
		const struct curve_sum s = curve_sum(&c->curves[i]);

		fprintf(out, "%s%c%s ", color_start(c->color, chart_pen(c, i, CANVAS_LINE).color),
			chart_letter(i), color_end(c->color, chart_pen(c, i, CANVAS_LINE).color));
		print_sample(c, i, CANVAS_LINE, out);
		fputs("  ", out);
		cell(out, c->names[i], name);
		print_value(" ", s.last, c->curves[i].n == 0, 9, out);
		print_value(" ", s.min, isnan(s.min), 9, out);
		print_value(" ", s.max, isnan(s.min), 9, out);
		fprintf(out, " %8llu", (unsigned long long)s.count);
		if (s.nan || s.pos_inf || s.neg_inf)
			fprintf(out, "\n%*s", 2 + SAMPLE_WIDE, "");
		print_bad(c, &s, out);
		fputc('\n', out);
	}
}

static void print_left_out(const struct chart *c, FILE *out)
{
	size_t n = 0, all = 0;

	for (size_t i = 0; c->log_y && i < c->n; i++) {
		n += curve_sum(&c->curves[i]).not_positive;
		all += c->curves[i].n;
	}
	if (n)
		fprintf(out, "%zu of %zu points hold values <= 0: not on a log axis\n", n, all);
}

void legend_print(const struct chart *c, int left, FILE *out)
{
	if (c->n == 1)
		print_one(c, left, out);
	else
		print_several(c, out);
	print_left_out(c, out);
}
