#include "query/cli/canvas.h"

#include <stdlib.h>

#include "query/out.h"

#define CHARACTER_BYTES 5 /* of UTF-8, with the final NUL */

struct canvas_cell {
	uint8_t dots[CANVAS_LAYERS];
	uint8_t colors[CANVAS_LAYERS]; /* of the pen that was there last */
	char ascii[CANVAS_LAYERS];
	char text[CHARACTER_BYTES]; /* "": none */
	uint8_t text_color;
};

int canvas_init(struct canvas *c, int columns, int rows)
{
	*c = (struct canvas){ .columns = columns, .rows = rows };
	c->cells = calloc((size_t)columns * (size_t)rows, sizeof *c->cells);
	return c->cells ? 0 : ERR_NOMEM;
}

void canvas_release(struct canvas *c)
{
	free(c->cells);
	*c = (struct canvas){ 0 };
}

static struct canvas_cell *cell_at(const struct canvas *c, int column, int row)
{
	if (column < 0 || row < 0 || column >= c->columns || row >= c->rows)
		return NULL;
	return &c->cells[row * c->columns + column];
}

void canvas_dot(struct canvas *c, struct pen *pen, int x, int y)
{
	static const uint8_t bits[DOTS_DOWN][DOTS_ACROSS] = {
		{ 0x01, 0x08 }, { 0x02, 0x10 }, { 0x04, 0x20 }, { 0x40, 0x80 }
	};
	bool drawn = pen->off == 0 || pen->run_dots % (pen->on + pen->off) < pen->on;
	struct canvas_cell *cell;

	pen->run_dots++;
	if (!drawn || x < 0 || y < 0 || !(cell = cell_at(c, x / DOTS_ACROSS, y / DOTS_DOWN)))
		return;
	cell->dots[pen->layer] |= bits[y % DOTS_DOWN][x % DOTS_ACROSS];
	cell->colors[pen->layer] = (uint8_t)pen->color;
	cell->ascii[pen->layer] = pen->ascii;
}

/* Bresenham's line. */
void canvas_line(struct canvas *c, struct pen *pen, int x0, int y0, int x1, int y1)
{
	int dx = abs(x1 - x0), dy = -abs(y1 - y0), off = dx + dy;
	int step_x = x0 < x1 ? 1 : -1, step_y = y0 < y1 ? 1 : -1;

	for (;;) {
		int twice = 2 * off;

		canvas_dot(c, pen, x0, y0);
		if (x0 == x1 && y0 == y1)
			return;
		if (twice >= dy) {
			off += dy;
			x0 += step_x;
		}
		if (twice <= dx) {
			off += dx;
			y0 += step_y;
		}
	}
}

void canvas_text(struct canvas *c, int column, int row, enum color color, const char *text)
{
	for (size_t bad, n; *text; text += n, column++) {
		struct canvas_cell *cell = cell_at(c, column, row);
		bool control = (unsigned char)*text < 0x20 || *text == 0x7f;

		n = utf8_at((const uint8_t *)text, strlen(text), &bad);
		if (cell) {
			snprintf(cell->text, sizeof cell->text, "%.*s", n && !control ? (int)n : 1,
				 n && !control ? text : "?");
			cell->text_color = (uint8_t)color;
		}
		n = n ? n : 1;
	}
}

bool canvas_has_text(const struct canvas *c, int column, int row)
{
	const struct canvas_cell *cell = cell_at(c, column, row);

	return cell && cell->text[0];
}

/* The layer whose pen a cell is shown in. */
static enum canvas_layer top_layer(const struct canvas_cell *cell)
{
	return cell->dots[CANVAS_LINE] ? CANVAS_LINE : cell->dots[CANVAS_EDGE] ? CANVAS_EDGE : CANVAS_FILL;
}

/* What a cell shows: text, a Braille pattern, or a character in the place of one. */
static enum color glyph_of(const struct canvas_cell *cell, bool unicode, char ret[CHARACTER_BYTES])
{
	enum canvas_layer top = top_layer(cell);
	uint8_t dots = cell->dots[CANVAS_EDGE] | cell->dots[top];

	if (cell->text[0]) {
		memcpy(ret, cell->text, CHARACTER_BYTES);
		return cell->text_color;
	}
	if (top == CANVAS_EDGE)
		dots |= cell->dots[CANVAS_FILL];
	if (dots == 0)
		snprintf(ret, CHARACTER_BYTES, " ");
	else if (unicode)
		snprintf(ret, CHARACTER_BYTES, "\xe2%c%c", 0xa0 | dots >> 6, 0x80 | (dots & 0x3f));
	else
		snprintf(ret, CHARACTER_BYTES, "%c", cell->ascii[top]);
	return dots ? cell->colors[top] : COLOR_NONE;
}

int canvas_row(const struct canvas *c, int row, bool unicode, bool color, struct buf *out)
{
	enum color now = COLOR_NONE;
	size_t end = out->len; /* after the last thing that shows */
	char glyph[CHARACTER_BYTES];

	for (int i = 0; i < c->columns; i++) {
		enum color wanted = glyph_of(&c->cells[row * c->columns + i], unicode, glyph);
		bool blank = strcmp(glyph, " ") == 0;

		if (!blank && wanted != now) {
			buf_addstr(out, color_end(color, now));
			buf_addstr(out, color_start(color, wanted));
			now = wanted;
		}
		if (buf_addstr(out, glyph) < 0)
			return ERR_FULL;
		end = blank ? end : out->len;
	}
	out->len = end;
	buf_addstr(out, color_end(color, now));
	return buf_addch(out, '\n');
}
