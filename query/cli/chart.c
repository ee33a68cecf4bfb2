#include "query/cli/chart.h"

#include <float.h>
#include <math.h>

#include "query/cli/axis.h"
#include "query/cli/legend.h"

#define AXIS_ROWS    2  /* the line with its ticks, and their texts; dates and the unit come below */
#define LABEL_ROOM   14 /* what the texts of the y axis take at most, about: for chart_points */
#define TICK_APART   3  /* rows between ticks of the y axis */
#define LETTER_APART 24 /* columns between the letters along a curve */
#define WIDE_DOTS    8  /* four columns */
#define SPIKE_DOTS   8  /* two rows */

/* What is being drawn: the page, and how values lie on it. */
struct frame {
	const struct chart *c;
	struct canvas page;
	int left, columns, rows; /* where the drawing is, in cells; it begins in row 0 */
	double x0, x1, y0, y1;   /* y in logarithms where log_y */
	struct ticks xs, ys;
};

unsigned chart_points(int width)
{
	return (unsigned)(width > LABEL_ROOM + 10 ? width - LABEL_ROOM : 10) * DOTS_ACROSS;
}

static double scaled(const struct frame *f, double y) { return f->c->log_y ? log10(y) : y; }

static bool drawable(const struct frame *f, double y) { return isfinite(y) && (!f->c->log_y || y > 0); }

/* The share of the way from low to high, for ranges whose width is no double too. */
static double share(double v, double low, double high) { return (v / 2 - low / 2) / (high / 2 - low / 2); }

static int x_dot(const struct frame *f, double x)
{
	return f->left * DOTS_ACROSS + (int)lround(share(x, f->x0, f->x1) * (f->columns * DOTS_ACROSS - 1));
}

static int y_dot(const struct frame *f, double y)
{
	double at = share(scaled(f, y), f->y0, f->y1);

	at = at < 0 ? 0 : at > 1 ? 1 : at;
	return (int)lround((1 - at) * (f->rows * DOTS_DOWN - 1));
}

/* ---- ranges ---- */

/* A little room around the values, and some where they are all the same. */
static void widen(double *low, double *high)
{
	double room = (*high / 2 - *low / 2) * 0.06;

	if (room == 0)
		room = *low == 0 ? 1 : fabs(*low) * 0.1;
	if (isfinite(*low - room))
		*low -= room;
	if (isfinite(*high + room))
		*high += room;
}

static bool ranges_find(struct frame *f)
{
	struct curve_sum all = { .min = NAN, .max = NAN, .from = NAN, .to = NAN };

	for (size_t i = 0; i < f->c->n; i++) {
		struct curve_sum s = curve_sum(&f->c->curves[i]);

		all.min = fmin(all.min, f->c->log_y ? s.least_positive : s.min);
		all.max = fmax(all.max, s.max);
		all.from = fmin(all.from, s.from);
		all.to = fmax(all.to, s.to);
	}
	if (isnan(all.from) || !drawable(f, all.min) || !drawable(f, all.max))
		return false;
	f->x0 = all.from;
	f->x1 = all.to;
	if (f->x0 == f->x1) {
		f->x0 -= 1;
		f->x1 += 1;
	}
	f->y0 = scaled(f, all.min);
	f->y1 = scaled(f, all.max);
	widen(&f->y0, &f->y1);
	return true;
}

static int text_width(const char *s) { return (int)strlen(s); } /* of ticks: ASCII */

static void y_axis(struct frame *f)
{
	unsigned most = (unsigned)(f->rows + TICK_APART - 1) / TICK_APART + 1;
	int widest = 1;

	if (f->c->log_y)
		axis_log(fmax(pow(10, f->y0), DBL_TRUE_MIN), fmin(pow(10, f->y1), DBL_MAX), most, &f->ys);
	else
		axis_linear(f->y0, f->y1, most, &f->ys);
	for (size_t i = 0; i < f->ys.n; i++)
		if (text_width(f->ys.list[i].text) > widest)
			widest = text_width(f->ys.list[i].text);
	f->left = widest + 2;
	f->columns = f->c->width - f->left - (f->c->n > 1 ? 2 : 1);
}

static void x_ticks(struct frame *f, unsigned most)
{
	switch (f->c->x) {
	case CHART_TIME:
		axis_time(f->x0, f->x1, most, &f->xs);
		break;
	case CHART_REL:
		axis_spans(f->x0, f->x1, most, &f->xs);
		break;
	case CHART_STEP:
		axis_steps(f->x0, f->x1, most, &f->xs);
		break;
	}
}

/* Where the text of a tick begins, so that it lies under the tick and on the page. */
static int text_column(const struct frame *f, const struct tick *k, const char *text)
{
	int wide = text_width(text), at = x_dot(f, k->at) / DOTS_ACROSS - (wide - 1) / 2;

	if (at + wide > f->c->width)
		at = f->c->width - wide;
	return at < 0 ? 0 : at;
}

/* Whether all texts have two blanks between them. */
static bool texts_fit(const struct frame *f)
{
	int end = -2, day_end = -2;

	for (size_t i = 0; i < f->xs.n; i++) {
		const struct tick *k = &f->xs.list[i];

		if (text_column(f, k, k->text) < end + 2)
			return false;
		end = text_column(f, k, k->text) + text_width(k->text);
		if (!k->day[0])
			continue;
		if (text_column(f, k, k->day) < day_end + 2)
			return false;
		day_end = text_column(f, k, k->day) + text_width(k->day);
	}
	return true;
}

static void x_axis(struct frame *f)
{
	unsigned most = (unsigned)f->columns / 8;

	do
		x_ticks(f, most > 1 ? most : 2);
	while (!texts_fit(f) && --most > 1);
}

/* ---- axes ---- */

static void draw_y_axis(struct frame *f)
{
	bool u = f->c->unicode;

	for (int row = 0; row < f->rows; row++)
		canvas_text(&f->page, f->left - 1, row, COLOR_DIM, u ? "│" : "|");
	for (size_t i = 0; i < f->ys.n; i++) {
		const struct tick *k = &f->ys.list[i];
		int row = y_dot(f, k->at) / DOTS_DOWN;

		canvas_text(&f->page, f->left - 2 - text_width(k->text), row, COLOR_NONE, k->text);
		canvas_text(&f->page, f->left - 1, row, COLOR_DIM, u ? "┤" : "+");
	}
}

static void draw_x_axis(struct frame *f)
{
	static const char *const titles[] = { "UTC", "since start", "step" };
	bool u = f->c->unicode;
	const char *title = titles[f->c->x];
	int row = f->rows, below = row + AXIS_ROWS, end = 0;
	int title_at = f->left + f->columns - text_width(title);

	canvas_text(&f->page, f->left - 1, row, COLOR_DIM, u ? "└" : "+");
	for (int i = 0; i < f->columns; i++)
		canvas_text(&f->page, f->left + i, row, COLOR_DIM, u ? "─" : "-");
	for (size_t i = 0; i < f->xs.n; i++) {
		const struct tick *k = &f->xs.list[i];

		canvas_text(&f->page, x_dot(f, k->at) / DOTS_ACROSS, row, COLOR_DIM, u ? "┬" : "+");
		canvas_text(&f->page, text_column(f, k, k->text), row + 1, COLOR_NONE, k->text);
		canvas_text(&f->page, text_column(f, k, k->day), below, COLOR_DIM, k->day);
		end = k->day[0] ? text_column(f, k, k->day) + text_width(k->day) : end;
	}
	if (end < title_at)
		canvas_text(&f->page, title_at, below, COLOR_DIM, title);
}

/* ---- curves ---- */

/* Whether a window takes so much room that a chart of it should not be a mere block. */
static bool is_wide(const struct frame *f, const struct curve_point *p)
{
	return x_dot(f, p->to) - x_dot(f, p->from) > WIDE_DOTS;
}

/* One window's band, in every column that its samples reach. */
static void draw_range(struct frame *f, const struct curve_point *p, struct pen *edge, struct pen *fill)
{
	double low = f->c->log_y && p->min <= 0 ? pow(10, f->y0) : p->min;
	int top = y_dot(f, p->max), bottom = y_dot(f, low);
	bool wide = is_wide(f, p); /* a large area is filled thinly */

	for (int x = x_dot(f, p->from); x <= x_dot(f, p->to); x++) {
		canvas_dot(&f->page, edge, x, top);
		canvas_dot(&f->page, edge, x, bottom);
		for (int y = top + 1; y < bottom; y++)
			if (wide ? (x % 4 == 0 && (y + x / 2) % 4 == 0) : (x + y) % 2 == 0)
				canvas_dot(&f->page, fill, x, y);
	}
}

/* Whether the range stands out from the line by so much that it is to be seen among other curves. */
static bool stands_out(const struct frame *f, const struct curve_point *p)
{
	int line = y_dot(f, drawable(f, p->shown) ? p->shown : p->max);

	return line - y_dot(f, p->max) >= SPIKE_DOTS || y_dot(f, p->min) - line >= SPIKE_DOTS;
}

/* Bands of several curves can be told apart by colour alone; without it only spikes are drawn. */
static void draw_band(struct frame *f, size_t i)
{
	bool whole = f->c->n == 1 || f->c->color;
	const struct curve *curve = &f->c->curves[i];
	struct pen edge = chart_pen(f->c, i, CANVAS_EDGE), fill = chart_pen(f->c, i, CANVAS_FILL);

	for (size_t k = 0; k < curve->n; k++) {
		const struct curve_point *p = &curve->points[k];

		if (drawable(f, p->max) && (whole || stands_out(f, p)))
			draw_range(f, p, &edge, &fill);
	}
}

struct brush {
	struct frame *f;
	struct pen pen;
	bool down; /* on the page, at (x, y) */
	int x, y;
};

/* Draws on to there; what cannot be drawn lifts the brush. */
static void brush_to(struct brush *b, double x, double y)
{
	struct brush to = *b;

	if (!drawable(b->f, y)) {
		b->down = false;
		return;
	}
	to.x = x_dot(b->f, x);
	to.y = y_dot(b->f, y);
	canvas_line(&b->f->page, &to.pen, b->down ? b->x : to.x, b->down ? b->y : to.y, to.x, to.y);
	to.down = true;
	*b = to;
}

/* Through the means; where the first and last window have so much room, from the very first sample to
 * the very last. */
static void draw_line(struct frame *f, size_t i)
{
	const struct curve *curve = &f->c->curves[i];
	struct brush b = { .f = f, .pen = chart_pen(f->c, i, CANVAS_LINE) };

	for (size_t k = 0; k < curve->n; k++) {
		const struct curve_point *p = &curve->points[k];
		bool ends = f->c->smooth == 0 && is_wide(f, p);

		b.down = b.down && !p->after_gap;
		if (ends && k == 0 && drawable(f, p->first))
			brush_to(&b, p->from, p->first);
		brush_to(&b, curve_middle(p), p->shown);
		if (ends && k + 1 == curve->n && drawable(f, p->last))
			brush_to(&b, p->to, p->last);
	}
}

/* An x where samples were not finite: at the top, for -Infinity at the bottom. */
static void draw_bad(struct frame *f, size_t i)
{
	for (size_t k = 0; k < f->c->curves[i].n; k++) {
		const struct curve_point *p = &f->c->curves[i].points[k];
		int column = x_dot(f, curve_middle(p)) / DOTS_ACROSS;

		if (p->nan || p->pos_inf)
			canvas_text(&f->page, column, 0, COLOR_RED, "x");
		if (p->neg_inf)
			canvas_text(&f->page, column, f->rows - 1, COLOR_RED, "x");
	}
}

/* The curve's letter, as near as there is room to that place. */
static void put_letter(struct frame *f, size_t i, int column, int row)
{
	const char letter[] = { chart_letter(i), 0 };

	for (int away = 0; away < f->rows; away++) {
		for (int sign = -1; sign <= 1; sign += 2) {
			int r = row + sign * away;

			if (r < 0 || r >= f->rows || canvas_has_text(&f->page, column, r))
				continue;
			canvas_text(&f->page, column, r, chart_pen(f->c, i, CANVAS_LINE).color, letter);
			return;
		}
	}
}

/* At the end of the line, and every LETTER_APART columns along it, each curve elsewhere. */
static void draw_letters(struct frame *f, size_t i)
{
	const struct curve *curve = &f->c->curves[i];
	const struct curve_point *last = NULL;
	int next = f->left + LETTER_APART / 2 + (int)i * LETTER_APART / (int)f->c->n;

	for (size_t k = 0; k < curve->n; k++) {
		const struct curve_point *p = &curve->points[k];
		int column = x_dot(f, curve_middle(p)) / DOTS_ACROSS;

		if (!drawable(f, p->shown))
			continue;
		last = p;
		if (column < next)
			continue;
		put_letter(f, i, column, y_dot(f, p->shown) / DOTS_DOWN);
		while (next <= column)
			next += LETTER_APART;
	}
	if (last)
		put_letter(f, i, x_dot(f, curve_middle(last)) / DOTS_ACROSS + 1,
			   y_dot(f, last->shown) / DOTS_DOWN);
}

/* ---- all of it ---- */

static int print_page(const struct frame *f, FILE *out)
{
	struct buf row;
	int err = 0;

	buf_init(&row, 1024 * 1024);
	for (int i = 0; err == 0 && i < f->page.rows; i++) {
		buf_clear(&row);
		err = canvas_row(&f->page, i, f->c->unicode, f->c->color, &row);
		fwrite(row.data, 1, row.len, out);
	}
	buf_release(&row);
	return err;
}

int chart_draw(const struct chart *c, FILE *out)
{
	struct frame f = { .c = c, .rows = c->rows };
	int err;

	if (!ranges_find(&f))
		return ERR_NOT_FOUND;
	y_axis(&f);
	x_axis(&f);
	err = canvas_init(&f.page, c->width, f.rows + AXIS_ROWS + 1);
	if (err < 0)
		return err;
	for (size_t i = 0; i < c->n; i++)
		draw_band(&f, i);
	for (size_t i = c->n; i-- > 0;)
		draw_line(&f, i);
	draw_y_axis(&f);
	draw_x_axis(&f);
	for (size_t i = 0; c->n > 1 && i < c->n; i++)
		draw_letters(&f, i);
	for (size_t i = 0; i < c->n; i++)
		draw_bad(&f, i);
	err = print_page(&f, out);
	canvas_release(&f.page);
	legend_print(c, f.left, out);
	return err;
}
