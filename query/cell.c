#include "query/cell.h"

void columns_of(const struct ask *a, struct columns *ret)
{
	struct columns c = { .list = { AXIS_TIME }, .n = 1 };

	if (a->x_step)
		c = (struct columns){ .list = { AXIS_STEP, AXIS_FIRST_STEP, AXIS_TIME }, .n = 3 };
	if (a->samples) {
		*ret = (struct columns){ .list = { AXIS_SAMPLE_TIME, AXIS_STEP, AXIS_VALUE }, .n = 3 };
		if (a->x_step) {
			ret->list[0] = AXIS_STEP;
			ret->list[1] = AXIS_SAMPLE_TIME;
		}
		return;
	}
	for (size_t i = 0; i < a->n_aggs; i++)
		if (!a->x_step || a->aggs[i] != AGG_FIRST_STEP)
			c.list[c.n++] = (int)a->aggs[i];
	*ret = c;
}

const char *column_name(int column)
{
	switch (column) {
	case AXIS_TIME:
		return "time_ms";
	case AXIS_STEP:
		return "step";
	case AXIS_FIRST_STEP:
		return "first_step";
	case AXIS_SAMPLE_TIME:
		return "time";
	case AXIS_VALUE:
		return "value";
	default:
		return agg_name((enum agg)column);
	}
}

int64_t bucket_step(const struct bucket *b) { return b->last.step != STEP_NONE ? b->last.step : b->step_max; }

static struct cell count_cell(uint64_t n) { return (struct cell){ .kind = CELL_COUNT, .u = n }; }

static struct cell number_cell(double v) { return (struct cell){ .kind = CELL_NUMBER, .v = v }; }

static struct cell step_cell(int64_t step)
{
	return (struct cell){ .kind = CELL_STEP, .null = step == STEP_NONE, .i = step };
}

static struct cell time_cell(int64_t t_ns)
{
	return (struct cell){ .kind = CELL_TIME, .null = t_ns == TIME_NONE, .i = t_ns };
}

/* Of finite samples: null where there are none. */
static struct cell finite_cell(const struct bucket *b, double v)
{
	return (struct cell){ .kind = CELL_NUMBER, .null = b->count == 0, .v = v };
}

static struct cell rare_cell(const struct bucket_rare *r, enum agg a)
{
	static const struct bucket_rare none = { .bad_t_ns = TIME_NONE, .bad_step = STEP_NONE };

	if (!r)
		r = &none;
	switch (a) {
	case AGG_BAD_TIME:
		return time_cell(r->bad_t_ns);
	case AGG_BAD_STEP:
		return step_cell(r->bad_step);
	default:
		return count_cell(a == AGG_NAN ? r->nan : a == AGG_POS_INF ? r->pos_inf : r->neg_inf);
	}
}

struct cell cell_of(int column, int64_t start_ns, const struct bucket *b)
{
	switch (column) {
	case AXIS_TIME:
		return (struct cell){ .kind = CELL_WINDOW, .i = start_ns };
	case AXIS_STEP:
		return step_cell(bucket_step(b));
	case AXIS_FIRST_STEP:
	case AGG_STEP_MIN:
		return step_cell(b->step_min);
	case AGG_STEP_MAX:
		return step_cell(b->step_max);
	case AGG_COUNT:
		return count_cell(b->count);
	case AGG_SUM:
		return number_cell(sum_round(&b->sum));
	case AGG_MIN:
		return finite_cell(b, b->min);
	case AGG_MAX:
		return finite_cell(b, b->max);
	case AGG_MEAN:
		return finite_cell(b, b->count ? sum_mean(&b->sum, b->count) : 0);
	case AGG_FIRST:
		return number_cell(b->first.value);
	case AGG_LAST:
	case AXIS_VALUE:
		return number_cell(b->last.value);
	case AGG_FIRST_TIME:
		return time_cell(b->first.t_ns);
	case AGG_LAST_TIME:
	case AXIS_SAMPLE_TIME:
		return time_cell(b->last.t_ns);
	case AGG_FIRST_STEP:
		return step_cell(b->first.step);
	case AGG_LAST_STEP:
		return step_cell(b->last.step);
	default:
		return rare_cell(b->rare, (enum agg)column);
	}
}
