/* The drawing of charts: dots and text in cells, round ticks, curves, and what a chart must show. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "query/cli/axis.h"
#include "query/cli/canvas.h"
#include "query/cli/chart.h"

/* ---- canvas ---- */

static const char *row_of(const struct canvas *c, int row, bool unicode, bool color)
{
	static char text[1024];
	struct buf b;

	buf_init(&b, 4096);
	assert_int_equal(canvas_row(c, row, unicode, color, &b), 0);
	snprintf(text, sizeof text, "%s", buf_cstr(&b));
	buf_release(&b);
	return text;
}

static void every_dot_has_its_place(void **state)
{
	/* Unicode 15, chart 2800: dots 1 2 3 7 down the left, 4 5 6 8 down the right */
	static const char *const want[4][2] = { { "\u2801\n", "\u2808\n" },
						{ "\u2802\n", "\u2810\n" },
						{ "\u2804\n", "\u2820\n" },
						{ "\u2840\n", "\u2880\n" } };
	(void)state;

	for (int y = 0; y < 4; y++) {
		for (int x = 0; x < 2; x++) {
			struct pen pen = { .layer = CANVAS_LINE, .ascii = '*', .on = 1 };
			struct canvas c;

			assert_int_equal(canvas_init(&c, 3, 2), 0);
			canvas_dot(&c, &pen, 2 + x, 4 + y);
			assert_string_equal(row_of(&c, 0, true, false), "\n");
			assert_string_equal(row_of(&c, 1, true, false) + 1, want[y][x]);
			assert_string_equal(row_of(&c, 1, false, false), " *\n");
			canvas_release(&c);
		}
	}
}

static void outside_is_nothing(void **state)
{
	struct pen pen = { .layer = CANVAS_LINE, .ascii = '*', .on = 1 };
	struct canvas c;
	(void)state;

	assert_int_equal(canvas_init(&c, 2, 1), 0);
	for (int i = -9; i < 9; i++) {
		canvas_dot(&c, &pen, i, i < 0 ? 0 : 4);
		canvas_dot(&c, &pen, i < 0 ? i : i + 4, 0);
	}
	canvas_text(&c, -2, 0, COLOR_NONE, "ab");
	canvas_text(&c, 0, 1, COLOR_NONE, "ab");
	canvas_text(&c, 2, 0, COLOR_NONE, "ab");
	assert_string_equal(row_of(&c, 0, true, true), "\n");
	canvas_release(&c);
}

static void lines_and_layers(void **state)
{
	struct pen line = { .layer = CANVAS_LINE, .color = COLOR_CYAN, .ascii = '*', .on = 1 };
	struct pen fill = { .layer = CANVAS_FILL, .color = COLOR_DIM, .ascii = ':', .on = 1 };
	struct pen edge = { .layer = CANVAS_EDGE, .color = COLOR_DIM, .ascii = '.', .on = 1 };
	struct pen dashed = { .layer = CANVAS_LINE, .ascii = '-', .on = 2, .off = 2 };
	struct canvas c;
	(void)state;

	assert_int_equal(canvas_init(&c, 4, 1), 0);
	canvas_line(&c, &line, 0, 3, 3, 0); /* a diagonal over two cells */
	assert_string_equal(row_of(&c, 0, true, false), "\u2860\u280a\n");
	canvas_dot(&c, &fill, 0, 0); /* hidden where a line is */
	assert_string_equal(row_of(&c, 0, true, false), "\u2860\u280a\n");
	canvas_dot(&c, &edge, 0, 0); /* never hidden */
	assert_string_equal(row_of(&c, 0, true, false), "\u2861\u280a\n");
	canvas_dot(&c, &fill, 4, 3);
	assert_string_equal(row_of(&c, 0, true, false), "\u2861\u280a\u2840\n");
	assert_string_equal(row_of(&c, 0, false, false), "**:\n");
	assert_string_equal(row_of(&c, 0, false, true), "\x1b[36m**\x1b[0m\x1b[2m:\x1b[0m\n");
	canvas_text(&c, 1, 0, COLOR_NONE, "\u00e9\n");
	assert_string_equal(row_of(&c, 0, true, false), "\u2861\u00e9?\n");
	canvas_release(&c);

	assert_int_equal(canvas_init(&c, 4, 1), 0);
	canvas_line(&c, &dashed, 7, 0, 0, 0); /* from the right: two on, two off */
	assert_string_equal(row_of(&c, 0, true, false), " \u2809 \u2809\n");
	canvas_release(&c);
}

/* ---- axes ---- */

static const char *texts(const struct ticks *t)
{
	static char all[2048];

	all[0] = 0;
	for (size_t i = 0; i < t->n; i++)
		snprintf(all + strlen(all), sizeof all - strlen(all), "%s%s%s%s", i ? " " : "",
			 t->list[i].text, t->list[i].day[0] ? "/" : "", t->list[i].day);
	return all;
}

static void ticks_are_round(void **state)
{
	struct ticks t;
	(void)state;

	axis_linear(0.03, 1.47, 6, &t);
	assert_string_equal(texts(&t), "0.5 1.0");
	axis_linear(0.03, 1.47, 8, &t);
	assert_string_equal(texts(&t), "0.2 0.4 0.6 0.8 1.0 1.2 1.4");
	axis_linear(-1, 1, 5, &t);
	assert_string_equal(texts(&t), "-1.0 -0.5 0 0.5 1.0");
	axis_linear(1e-5, 3.2e-5, 6, &t);
	assert_string_equal(texts(&t), "1.0e-5 1.5e-5 2.0e-5 2.5e-5 3.0e-5");
	axis_linear(0, 3.1e7, 5, &t);
	assert_string_equal(texts(&t), "0 1e7 2e7 3e7");
	axis_linear(2916, 2985, 5, &t);
	assert_string_equal(texts(&t), "2920 2940 2960 2980");
	axis_steps(0, 13780, 8, &t);
	assert_string_equal(texts(&t), "0 2000 4000 6000 8000 10k 12k");
	axis_steps(0, 2.6e6, 6, &t);
	assert_string_equal(texts(&t), "0 500k 1M 1.5M 2M 2.5M");
	axis_steps(3, 5, 20, &t); /* no half steps */
	assert_string_equal(texts(&t), "3 4 5");
	axis_log(0.02, 400, 10, &t);
	assert_string_equal(texts(&t), "0.05 0.1 0.5 1 5 10 50 100");
	axis_log(1e-9, 1e9, 6, &t);
	assert_string_equal(texts(&t), "1e-8 0.0001 1 10000 1e8");
	axis_log(2, 5, 5, &t);
	assert_string_equal(texts(&t), "2 3 4 5");
	axis_spans(0, 600, 6, &t);
	assert_string_equal(texts(&t), "0 2m 4m 6m 8m 10m");
	axis_spans(-60, 5400, 5, &t);
	assert_string_equal(texts(&t), "0 30m 1h 1h30m");
	axis_spans(0, 400 * 86400., 5, &t);
	assert_string_equal(texts(&t), "0 100d 200d 300d 400d");
}

static void times_are_utc(void **state)
{
	const double day = 1773705600; /* 2026-03-17T00:00:00Z */
	struct ticks t;
	(void)state;

	axis_time(day - 5400, day + 4000, 6, &t);
	assert_string_equal(texts(&t), "22:30/2026-03-16 23:00 23:30 00:00/2026-03-17 00:30 01:00");
	axis_time(day + 1, day + 12, 4, &t);
	assert_string_equal(texts(&t), "00:00:05/2026-03-17 00:00:10");
	axis_time(day, day + 3 * 86400, 4, &t);
	assert_string_equal(texts(&t), "Mar 17/2026 Mar 18 Mar 19 Mar 20");
	axis_time(day, day + 200 * 86400., 8, &t);
	assert_string_equal(texts(&t), "2026-04 2026-05 2026-06 2026-07 2026-08 2026-09 2026-10");
	axis_time(day, day + 4000 * 86400., 7, &t);
	assert_string_equal(texts(&t), "2028 2030 2032 2034 2036");
}

static uint64_t seed = 1;

static double random_share(void)
{
	seed = seed * 6364136223846793005u + 1442695040888963407u;
	return (double)(seed >> 11) / 9007199254740992.0;
}

static void check_ticks(const struct ticks *t, double low, double high, unsigned most)
{
	assert_true(t->n <= most);
	for (size_t i = 0; i < t->n; i++) {
		assert_true(t->list[i].at >= low && t->list[i].at <= high);
		assert_true(t->list[i].text[0]);
		if (i > 0) {
			assert_true(t->list[i].at > t->list[i - 1].at);
			assert_string_not_equal(t->list[i].text, t->list[i - 1].text);
		}
	}
}

/* Whatever the range: within it, no more than asked, and no two texts alike; a number's text is the
 * number itself. */
static void ticks_of_any_range(void **state)
{
	(void)state;

	for (int i = 0; i < 20000; i++) {
		double size = pow(10, random_share() * 600 - 300), at = (random_share() - 0.5) * size * 2;
		double width = size * pow(10, -random_share() * 14), low = at, high = at + width;
		unsigned most = 2 + (unsigned)(random_share() * 40);
		unsigned capped = most < AXIS_TICKS_MAX ? most : AXIS_TICKS_MAX;
		struct ticks t;

		if (!(low < high) || !isfinite(high))
			continue;
		axis_linear(low, high, most, &t);
		check_ticks(&t, low, high, capped);
		for (size_t k = 0; k < t.n; k++)
			assert_true(fabs(strtod(t.list[k].text, NULL) - t.list[k].at) <=
				    1e-9 * (high - low) + 1e-15 * fabs(t.list[k].at));
		if (low > 0) {
			axis_log(low, high, most, &t);
			check_ticks(&t, low, high, capped);
		}
		low = floor(random_share() * 9e15);
		high = low + 1 + floor(pow(10, random_share() * 15));
		axis_steps(low, high, most, &t);
		check_ticks(&t, low, high, capped);
		low = random_share() * 9e9;
		high = low + pow(10, random_share() * 9 - 1);
		high = high > 9.2e9 ? 9.2e9 : high;
		axis_time(low, high, most, &t);
		assert_true(t.n <= capped);
		axis_spans(low, high, most, &t);
		check_ticks(&t, low, high, capped);
	}
}

static void ranges_that_doubles_cannot_divide(void **state)
{
	struct ticks t;
	(void)state;

	axis_linear(-1.7e308, 1.7e308, 5, &t);
	check_ticks(&t, -1.7e308, 1.7e308, 5);
	axis_linear(1, nextafter(1, 2), 5, &t);
	check_ticks(&t, 1, nextafter(1, 2), 5);
	axis_linear(0, 5e-324, 5, &t);
	check_ticks(&t, 0, 5e-324, 5);
	axis_log(5e-324, 1.7e308, 5, &t);
	check_ticks(&t, 5e-324, 1.7e308, 5);
}

/* ---- curves ---- */

static void add(struct curve *c, double x, double mean, double min, double max)
{
	assert_int_equal(curve_add(c, (struct curve_point){ .from = x,
							    .to = x,
							    .mean = mean,
							    .min = min,
							    .max = max,
							    .last = mean,
							    .count = !isnan(mean),
							    .nan = isnan(mean) }),
			 0);
}

static void smoothing_is_tensorboards(void **state)
{
	/* by its formula: s1 = .5*2/.5 = 2, s2 = (.5*1+.5*4)/.75, s3 = (.5*2.5+.5*6)/.875 */
	const double want[] = { 2, 10. / 3, NAN, 34. / 7 };
	struct curve c = { 0 };
	(void)state;

	add(&c, 0, 2, 2, 2);
	add(&c, 1, 4, 3, 5);
	add(&c, 2, NAN, NAN, NAN);
	add(&c, 3, 6, 6, 6);
	curve_smooth(&c, 0.5);
	for (size_t i = 0; i < 4; i++)
		assert_true(i == 2 ? isnan(c.points[i].shown) : fabs(c.points[i].shown - want[i]) < 1e-12);
	assert_true(c.points[1].mean == 4 && c.points[1].min == 3 && c.points[1].max == 5);
	curve_smooth(&c, 0);
	assert_true(c.points[3].shown == 6);
	curve_release(&c);
}

static void gaps_are_what_is_unusual(void **state)
{
	const double at[] = { 0, 1, 2, 3, 7, 8, 13, 14 }; /* 4 apart is not more than 4 times 1, 5 is */
	struct curve c = { 0 };
	(void)state;

	for (size_t i = 0; i < sizeof at / sizeof *at; i++)
		add(&c, at[i], 1, 1, 1);
	assert_int_equal(curve_gaps(&c, 0), 0);
	for (size_t i = 0; i < c.n; i++)
		assert_int_equal(c.points[i].after_gap, i == 6);
	assert_int_equal(curve_gaps(&c, 6), 0);
	assert_false(c.points[6].after_gap);
	curve_release(&c);
}

/* ---- charts ---- */

static const char *drawn(struct chart *c)
{
	static char text[65536];
	FILE *out = fmemopen(text, sizeof text, "w");

	assert_non_null(out);
	assert_int_equal(chart_draw(c, out), 0);
	fclose(out);
	return text;
}

/* Lines of the drawing that hold this. */
static int rows_with(const char *text, int rows, const char *what)
{
	int n = 0;

	for (int i = 0; i < rows; i++) {
		const char *end = strchr(text, '\n');
		const char *hit = strstr(text, what);

		n += hit && hit < end;
		text = end + 1;
	}
	return n;
}

static const char *line_of(const char *text, int row)
{
	while (row-- > 0)
		text = strchr(text, '\n') + 1;
	return text;
}

static void a_spike_of_one_sample_is_seen(void **state)
{
	struct curve c = { 0 };
	struct chart chart = {
		.x = CHART_STEP, .width = 80, .rows = 16, .curves = &c, .names = { "a" }, .n = 1
	};
	(void)state;

	for (int i = 0; i < 20000; i++)
		add(&c, i, 1 + 0.001 * (i % 7), 1, i == 7777 ? 9 : 1.01);
	c.points[0].max = 9; /* the same axis with and without the spike */
	for (int row = 1; row < 15; row++) {
		const char *line = line_of(drawn(&chart), row);

		assert_true(memchr(line + 20, ':', strcspn(line, "\n") - 20));
	}
	c.points[7777].max = 1.01;
	for (int row = 1; row < 10; row++)
		assert_true(strcspn(line_of(drawn(&chart), row), "\n") < 20);
	curve_release(&c);
}

static void what_is_not_finite_is_marked(void **state)
{
	struct curve c = { 0 };
	struct chart chart = {
		.x = CHART_STEP, .width = 80, .rows = 8, .curves = &c, .names = { "a" }, .n = 1
	};
	const char *text;
	(void)state;

	for (int i = 0; i < 30; i++)
		add(&c, i, i, i, i);
	add(&c, 30, NAN, NAN, NAN);
	text = drawn(&chart);
	assert_int_equal(rows_with(text, 1, "x"), 1);
	assert_non_null(strstr(text, "x 1 NaN"));
	c.points[30].nan = 0;
	c.points[30].neg_inf = 3;
	text = drawn(&chart);
	assert_int_equal(rows_with(text, 7, "x"), 0);
	assert_int_equal(rows_with(text, 8, "x"), 1);
	assert_non_null(strstr(text, "x 3 -Inf"));
	curve_release(&c);
}

static void a_log_axis_tells_what_it_leaves_out(void **state)
{
	struct curve c = { 0 };
	struct chart chart = { .x = CHART_STEP,
			       .width = 80,
			       .rows = 12,
			       .log_y = true,
			       .curves = &c,
			       .names = { "a" },
			       .n = 1 };
	FILE *none = fopen("/dev/null", "w");
	(void)state;

	add(&c, 0, -1, -1, -1);
	assert_int_equal(chart_draw(&chart, none), ERR_NOT_FOUND);
	fclose(none);
	add(&c, 1, 0.01, 0.01, 0.01);
	add(&c, 2, 100, 100, 100);
	assert_non_null(strstr(drawn(&chart), "1 of 3 points hold values <= 0"));
	assert_non_null(strstr(drawn(&chart), "0.1 +"));
	curve_release(&c);
}

/* Any values, any size: drawn within the width. */
static void anything_fits(void **state)
{
	static const double odd[] = { 0,       -0.0,    1e308, -1e308, 5e-324,   1.7976931348623157e308,
				      -5e-324, 1.0 / 3, NAN,   1e-300, 123456789 };
	(void)state;

	term_unicode(false); /* so that bytes are characters */
	for (int i = 0; i < 3000; i++) {
		struct curve c[3] = { { 0 } };
		struct chart chart = {
			.x = (enum chart_x)(i % 3),
			.width = CHART_WIDTH_LEAST + i % 50,
			.rows = 4 + i % 9,
			.log_y = i % 5 == 0,
			.unicode = false,
			.curves = c,
			.names = { "a", "a name that is much longer than what there is room for in it", "" },
			.n = 1 + (size_t)i % 3
		};
		static char text[65536];
		FILE *out = fmemopen(text, sizeof text, "w");
		int err;

		for (size_t k = 0; k < chart.n; k++) {
			for (int p = 0; p < i % 40; p++) {
				double v = odd[(size_t)(random_share() * 11)],
				       w = odd[(size_t)(random_share() * 10)];

				v = isnan(v) || isnan(w) ? NAN : v;
				add(&c[k], 1e6 * p, v, fmin(v, w), isnan(v) ? NAN : fmax(v, w));
			}
			curve_smooth(&c[k], 0.9);
		}
		err = chart_draw(&chart, out);
		fclose(out);
		assert_true(err == 0 || err == ERR_NOT_FOUND);
		for (const char *line = text; err == 0 && *line; line = strchr(line, '\n') + 1)
			if (strcspn(line, "\n") > (size_t)chart.width)
				fail_msg("%.*s", (int)strcspn(line, "\n"), line);
		for (size_t k = 0; k < 3; k++)
			curve_release(&c[k]);
	}
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_dot_has_its_place),
		cmocka_unit_test(outside_is_nothing),
		cmocka_unit_test(lines_and_layers),
		cmocka_unit_test(ticks_are_round),
		cmocka_unit_test(times_are_utc),
		cmocka_unit_test(ticks_of_any_range),
		cmocka_unit_test(ranges_that_doubles_cannot_divide),
		cmocka_unit_test(smoothing_is_tensorboards),
		cmocka_unit_test(gaps_are_what_is_unusual),
		cmocka_unit_test(a_spike_of_one_sample_is_seen),
		cmocka_unit_test(what_is_not_finite_is_marked),
		cmocka_unit_test(a_log_axis_tells_what_it_leaves_out),
		cmocka_unit_test(anything_fits),
	};

	return cmocka_run_group_tests_name("query/chart", tests, NULL, NULL);
}
