#include "store/care/tiercheck.h"

#include <stdlib.h>

#include "store/base/array.h"
#include "store/compact/slot_source.h"
#include "store/file.h"
#include "store/part/cover.h"
#include "store/part/partcheck.h"
#include "store/part/parts.h"

struct tiers {
	struct store *store;
	struct kv_txn *txn;
	struct state state;
	uint64_t newest;
	struct manifest m; /* of the project at hand, but for totals */
	const struct tiercheck_damaged *damaged;
	tiercheck_fn fn;
	void *arg;
};

static void tell(const struct tiers *c, const struct part_row *row, const char *what)
{
	char file[MANIFEST_FILE_MAX];

	manifest_file(&row->id, file);
	c->fn(c->arg, file, what);
}

/* ---- rows ---- */

static void check_row(const struct tiers *c, const struct part_row *row, const struct part_row *before)
{
	if (before && before->id.tier_ns == row->id.tier_ns && before->id.to_ns > row->id.from_ns)
		tell(c, row, "overlaps the part before it");
	if (row->upto > c->state.flush)
		tell(c, row, "has folded a flush that is not done");
	if (row->id.number > c->newest)
		tell(c, row, "has a number that was not given yet");
	if (row->alone && (row->id.tier_ns == TIER_RECORDED || !cover_is_finest(&c->m, row)))
		tell(c, row, "is said to be alone, and there are finer parts in its slot");
}

/* ---- buckets ---- */

int tiercheck_damaged_add(struct tiercheck_damaged *d, uint64_t number)
{
	if (array_grow(d->numbers, d->n, d->cap) < 0)
		return ERR_NOMEM;
	d->numbers[d->n++] = number;
	return 0;
}

static bool is_damaged(const struct tiers *c, const struct part_row *row)
{
	for (size_t i = 0; i < c->damaged->n; i++)
		if (c->damaged->numbers[i] == row->id.number)
			return true;
	return false;
}

static bool is_made_of_finer(const struct tiers *c, const struct part_row *row)
{
	const struct part_row *finer;
	size_t i = 0, n = 0;

	while ((finer = cover_next(&c->m, row->id.tier_ns, row->id.from_ns, row->id.to_ns, &i))) {
		if (finer->id.number > row->id.number || is_damaged(c, finer))
			return false;
		n++;
	}
	return n > 0 && !is_damaged(c, row);
}

static int check_bucket(void *arg, struct block_key key, const struct bucket *b)
{
	return partcheck_bucket(arg, key, b);
}

static int compare(struct slot_source *s, const char *path)
{
	struct partcheck *check = NULL;
	uint32_t *sids = NULL;
	int err = slot_source_find(s);

	if (err == 0)
		err = slot_source_sids(s, &sids);
	if (err == 0)
		err = partcheck_new(path, sids, s->n_series, &check);
	if (err == 0)
		err = slot_source_walk(s, check_bucket, check);
	if (err == 0)
		err = partcheck_end(check);
	partcheck_free(check);
	free(sids);
	return err;
}

static int check_made(const struct tiers *c, const struct part_row *row)
{
	struct slot_source s = { .store = c->store,
				 .pid = row->id.pid,
				 .tier_ns = row->id.tier_ns,
				 .from_ns = row->id.from_ns,
				 .to_ns = row->id.to_ns,
				 .finer = true,
				 .txn = c->txn,
				 .one_txn = true };
	char path[FILE_PATH_MAX];
	int err = parts_path(c->store->parts, &row->id, path);

	if (err == 0)
		err = compare(&s, path);
	slot_source_release(&s);
	if (err == ERR_CORRUPT)
		tell(c, row, "is not what its finer parts merge to");
	/* one that is not there is told of where files are checked, or was replaced meanwhile */
	return err == ERR_CORRUPT || err == ERR_NOT_FOUND || err == ERR_GONE ? 0 : err;
}

/* ---- projects ---- */

static int check_project(const struct tiers *c)
{
	int err = 0;

	for (size_t i = 0; i < c->m.n; i++)
		check_row(c, &c->m.rows[i], i ? &c->m.rows[i - 1] : NULL);
	for (size_t i = 0; i < c->m.n && err == 0; i++)
		if (is_made_of_finer(c, &c->m.rows[i]))
			err = check_made(c, &c->m.rows[i]);
	return err;
}

static int check_all(struct tiers *c, const struct manifest *all)
{
	int err = 0;

	for (size_t i = 0, n; i < all->n && err == 0; i += n) {
		const struct part_row *first = &all->rows[i];

		c->m = (struct manifest){ .rows = &all->rows[i] };
		for (n = 0; i + n < all->n && first[n].id.pid == first->id.pid; n++)
			c->m.n += first[n].id.tier_ns < TIER_WHOLE; /* which comes last */
		err = check_project(c);
	}
	return err;
}

int tiercheck(struct store *s, struct kv_txn *t, const struct tiercheck_damaged *damaged, tiercheck_fn fn,
	      void *arg)
{
	struct tiers c = { .store = s, .txn = t, .damaged = damaged, .fn = fn, .arg = arg };
	struct manifest all = { 0 };
	int err = state_get(t, &c.state);

	if (err == 0)
		err = manifest_newest(t, &c.newest);
	if (err == 0)
		err = manifest_read_all(t, &all);
	if (err == ERR_CORRUPT)
		return 0; /* the walk of all values has told of it */
	if (err == 0)
		err = check_all(&c, &all);
	manifest_release(&all);
	return err;
}
