#include "store/log/logpins.h"

#include <stdlib.h>

#include "store/registry/run.h"

bool logpins_hold(const struct logpins *p, uint64_t seq)
{
	return p->n && seq >= p->pins[0].run.first_seq && seq < p->pins[p->n - 1].run.end_seq;
}

void logpins_release(struct logpins *p)
{
	for (size_t i = 0; i < p->n; i++)
		if (p->pins[i].part)
			parts_put_log(p->parts, p->pins[i].part);
	p->n = 0;
}

/* Rows with something of the run; the others go. */
static void choose_run(struct logpart_rows *rows, uint32_t rid)
{
	struct logpart_run run;
	size_t n = 0;

	for (size_t i = 0; i < rows->n; i++)
		if (logpart_row_run(&rows->rows[i], rid, &run))
			rows->rows[n++] = rows->rows[i];
	rows->n = n;
}

/* The first of LOGPINS_MAX rows. */
static size_t choose_first(const struct logpart_rows *rows, uint32_t rid, uint64_t seq, bool backward)
{
	struct logpart_run run;
	size_t i = 0;

	if (rows->n <= LOGPINS_MAX)
		return 0;
	while (i < rows->n && logpart_row_run(&rows->rows[i], rid, &run) && run.end_seq <= seq)
		i++;
	if (backward)
		return i < LOGPINS_MAX ? 0 : i + 1 - LOGPINS_MAX;
	return i;
}

static int open_row(struct logpins *p, struct kv *kv, const struct logpart_row *row, uint32_t rid)
{
	struct logpin pin = { .number = row->id.number };
	int err = parts_get_log(p->parts, row, &pin.part);

	if (err == ERR_NOMEM)
		return err;
	if (err == ERR_NOT_FOUND && !logpart_counts(kv, &row->id))
		return 1;
	logpart_row_run(row, rid, &pin.run);
	p->pins[p->n++] = pin;
	return 0;
}

int logpins_take(struct logpins *p, struct kv_txn *t, struct parts *parts, struct kv *kv, uint32_t rid,
		 uint64_t seq, bool backward)
{
	struct logpart_rows rows = { 0 };
	int64_t window_ns;
	uint32_t pid;
	int err = run_owner(t, rid, &pid, &window_ns);

	logpins_release(p);
	p->parts = parts;
	if (err < 0)
		return err == ERR_NOT_FOUND ? 0 : err;
	err = logpart_rows_read(t, pid, &rows);
	if (err < 0)
		return err;
	choose_run(&rows, rid);
	for (size_t i = choose_first(&rows, rid, seq, backward); i < rows.n && p->n < LOGPINS_MAX && err == 0;
	     i++)
		err = open_row(p, kv, &rows.rows[i], rid);
	logpart_rows_release(&rows);
	if (err)
		logpins_release(p);
	return err;
}
