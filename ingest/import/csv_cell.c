#include "ingest/import/csv_cell.h"

#include <math.h>

#include "ingest/import/json_span.h"
#include "ingest/line_time.h"
#include "store/base/number.h"

bool cell_number(struct span cell, double *ret, struct span *ret_unit)
{
	const char *text = (const char *)cell.data;
	const uint8_t *blank;
	size_t len;

	*ret_unit = span_of(NULL, 0);
	if (number_parse(text, cell.len, ret))
		return true;
	blank = cell.len ? memchr(cell.data, ' ', cell.len) : NULL;
	if (!blank)
		return false;
	len = (size_t)(blank - cell.data);
	*ret_unit = span_of(blank + 1, cell.len - len - 1);
	return ret_unit->len > 0 && ret_unit->len <= CELL_UNIT_MAX &&
	       !memchr(ret_unit->data, ' ', ret_unit->len) && number_parse(text, len, ret);
}

bool cell_step(struct span cell, int64_t *ret)
{
	struct json_value v = { JSON_NUMBER, cell };
	double number;

	if (!number_parse((const char *)cell.data, cell.len, &number))
		return false;
	if (json_integer(&v, ret) && *ret != STEP_NONE)
		return true;
	if (!(fabs(number) < 0x1p53) || number != floor(number))
		return false;
	*ret = (int64_t)number;
	return true;
}

bool cell_seconds(struct span cell, int64_t *ret_ns)
{
	double number;

	if (decimal_time(cell, NS_PER_S, ret_ns))
		return true;
	if (!number_parse((const char *)cell.data, cell.len, &number) || !(fabs(number) < 9e9))
		return false;
	*ret_ns = (int64_t)(number * 1e9);
	return true;
}
