/*
 * repair.c - admin.h: mends what can be mended.
 *
 * A coarse part that is not alone has nothing that finer parts have not (manifest.h): when those are sound
 * its row is taken out, and the compactor makes it again.  What else is damaged in parts is set aside, as
 * when the slot is made anew (quarantine.h); what is damaged in flushes and in the journal the compactor sets
 * aside as ever.
 */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "store/care/rowname.h"
#include "store/compact/compactor.h"
#include "store/compact/quarantine.h"
#include "store/part/parts.h"
#include "store/raw/rawcare.h"
#include "store/turn.h"

struct repair {
	struct store *store;
	compact_fn tell;
	void *arg;
	struct manifest parts;
	struct quarantine known;
	bool *sound; /* of each part */
	struct repair_report report;
};

static void say(const struct repair *r, const char *format, ...) __attribute__((format(printf, 2, 3)));
static void say(const struct repair *r, const char *format, ...)
{
	char text[ROW_NAME_MAX + 192];
	va_list args;

	va_start(args, format);
	vsnprintf(text, sizeof(text), format, args);
	va_end(args);
	r->tell(r->arg, text);
}

/* ---- what is damaged ---- */

static int any_bucket(void *arg, struct block_key key, const struct bucket *b)
{
	(void)arg;
	(void)key;
	(void)b;
	return 0;
}

struct reading {
	const struct quarantine *known;
	uint64_t number;
};

static int is_known(void *arg, const struct part *part, size_t i, int err, struct buf *room)
{
	const struct reading *r = arg;

	(void)room;
	return quarantine_knows(r->known, r->number, part_block(part, i).offset) ? 0 : err;
}

/* Whether all of a part can be read, but for what is in quarantine. */
static int look(const struct repair *r, const struct part_row *row, bool *ret_sound)
{
	struct reading reading = { &r->known, row->id.number };
	struct part *part;
	int err = parts_get(r->store->parts, row, &part);

	if (err == 0) {
		err = part_read_all(part, any_bucket, is_known, &reading);
		parts_put(r->store->parts, part);
	} else if (quarantine_knows(&r->known, row->id.number, QUARANTINE_WHOLE)) {
		err = 0;
	}
	*ret_sound = err == 0;
	return err == ERR_CORRUPT || err == ERR_NOT_FOUND || err == ERR_IO ? 0 : err;
}

static int take_stock(struct repair *r)
{
	struct kv_txn *t;
	int err = kv_begin(r->store->kv, false, &t);

	if (err < 0)
		return err;
	err = manifest_read_all(t, &r->parts);
	if (err == 0)
		err = quarantine_read(t, 0, &r->known);
	manifest_detach(&r->parts);
	kv_abort(t);
	r->sound = calloc(r->parts.n + 1, sizeof(*r->sound));
	if (!r->sound)
		return ERR_NOMEM;
	for (size_t i = 0; i < r->parts.n && err == 0; i++)
		err = look(r, &r->parts.rows[i], &r->sound[i]);
	return err;
}

/* ---- what can be done ---- */

/* Whether a part has nothing that sound finer ones have not. */
static bool is_in_finer(const struct repair *r, const struct part_row *row)
{
	bool any = false;

	if (row->id.tier_ns == TIER_RECORDED || row->id.tier_ns == TIER_WHOLE || row->alone)
		return false;
	for (size_t i = 0; i < r->parts.n; i++) {
		const struct part_id *id = &r->parts.rows[i].id;

		if (id->pid != row->id.pid || id->tier_ns >= row->id.tier_ns ||
		    id->from_ns >= row->id.to_ns || id->to_ns <= row->id.from_ns)
			continue;
		if (!r->sound[i])
			return false;
		any = true;
	}
	return any;
}

static int take_out(void *arg, struct kv_txn *t) { return manifest_remove(t, arg); }

static void name_part(const struct repair *r, const struct part_id *id, char *ret)
{
	struct kv_txn *t;

	*ret = 0;
	if (kv_begin(r->store->kv, false, &t) < 0)
		return;
	part_name(t, id, ret);
	kv_abort(t);
}

static int make_again(struct repair *r, const struct part_row *row)
{
	struct part_id slot = row->id;
	int err = writer_errand(r->store, take_out, &slot);

	if (err < 0)
		return err;
	unlink_parts(r->store, &slot, 1);
	r->report.rebuilt++;
	return 0;
}

static int mend(struct repair *r, const struct part_row *row)
{
	char text[ROW_NAME_MAX];
	bool any = false;
	int err;

	name_part(r, &row->id, text);
	if (is_in_finer(r, row)) {
		say(r, "%s: its part is damaged, and made again of finer ones", text);
		return make_again(r, row);
	}
	err = compact_quarantine_parts(r->store->compactor, &row->id, row->id.tier_ns == TIER_WHOLE, &any);
	if (err == 0)
		say(r,
		    "%s: its part is damaged, and no sound finer ones are kept: what cannot be read is set "
		    "aside, and answers there stay partial; a backup may have it",
		    text);
	r->report.set_aside += err == 0;
	return err;
}

static int mend_raw(struct repair *r)
{
	struct compactor *c = r->store->compactor;
	uint64_t n = 0;
	int err = rawcare_mend(c->raw, &c->stop, &n);

	if (n)
		say(r,
		    "samples: %llu damaged raw parts are made again of what can be read; the rest is set "
		    "aside, and "
		    "answers with samples that miss it stay partial; a backup may have it",
		    (unsigned long long)n);
	r->report.set_aside += n;
	return err;
}

int store_repair(struct store *s, compact_fn tell, void *arg, struct repair_report *ret)
{
	struct repair r = { .store = s, .tell = tell, .arg = arg };
	struct compact_report compacted = { 0 };
	int err = s->compactor ? take_stock(&r) : ERR_DENIED;

	for (size_t i = 0; i < r.parts.n && err == 0; i++)
		if (!r.sound[i])
			err = mend(&r, &r.parts.rows[i]);
	if (err == 0)
		err = mend_raw(&r);
	if (err == 0)
		err = store_compact(s, clock_now_ns(), false, tell, arg, NULL, &compacted);
	r.report.swept = s->swept;
	manifest_release(&r.parts);
	quarantine_release(&r.known);
	free(r.sound);
	*ret = r.report;
	return err;
}
