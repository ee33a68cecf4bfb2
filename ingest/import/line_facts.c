#include "ingest/import/line_facts.h"

#include <stdlib.h>

#include "store/base/array.h"
#include "store/model.h"

void line_facts_init(struct line_facts *f)
{
	*f = (struct line_facts){ 0 };
	/* names of one line, which are shorter than the line; chunks need a little more */
	arena_init(&f->names, 4 * LOG_TEXT_MAX);
}

void line_facts_release(struct line_facts *f)
{
	free(f->records);
	arena_release(&f->names);
	*f = (struct line_facts){ 0 };
}

void line_facts_clear(struct line_facts *f)
{
	f->has_time = false;
	f->n = 0;
	arena_reset(&f->names);
}

int line_facts_add(struct line_facts *f, const struct line_record *r)
{
	if (array_grow(f->records, f->n, f->cap) < 0)
		return ERR_NOMEM;
	f->records[f->n++] = *r;
	if (r->has_time && !f->has_time) {
		f->has_time = true;
		f->t_ns = r->t_ns;
	}
	return 0;
}
