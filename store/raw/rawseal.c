#include "store/raw/rawseal.h"

#include <stdlib.h>
#include <unistd.h>

#include "store/file.h"
#include "store/hot/journal.h"
#include "store/raw/rawaside.h"
#include "store/registry/project.h"
#include "store/turn.h"

#define TRIM_CHUNKS 64
#define RUN_GONE    UINT32_MAX

/* ---- what projects keep ---- */

static int add_keep(void *arg, const struct project *p)
{
	struct raw_keeps *k = arg;

	if (k->n == k->cap) {
		size_t cap = k->cap ? k->cap * 2 : 16;
		struct raw_keep *more = realloc(k->list, cap * sizeof(*more));

		if (!more)
			return ERR_NOMEM;
		k->list = more;
		k->cap = cap;
	}
	k->list[k->n++] = (struct raw_keep){ p->pid, p->policy.raw_keep_ns };
	return 0;
}

int raw_keeps_read(struct kv_txn *t, struct raw_keeps *ret)
{
	struct raw_keeps k = { 0 };
	int err = projects_read(t, add_keep, &k);

	if (err < 0)
		raw_keeps_release(&k);
	else
		*ret = k;
	return err;
}

void raw_keeps_release(struct raw_keeps *k)
{
	free(k->list);
	*k = (struct raw_keeps){ 0 };
}

int64_t raw_keep_of(const struct raw_keeps *k, uint32_t pid)
{
	for (size_t i = 0; i < k->n; i++)
		if (k->list[i].pid == pid)
			return k->list[i].keep_ns;
	return 0;
}

/* ---- one walk over the journal: what each series has ---- */

struct seen {
	uint32_t sid, rid, pid;
	size_t n;
};

struct sealing {
	struct store *store;
	const struct raw_keeps *keeps;
	atomic_bool *stop;
	uint64_t after, upto; /* batches (after, upto] */
	uint64_t samples;     /* seen so far */
	uint32_t *place;      /* by sid: 1 + its place in seen; 0: not there, or left out */
	size_t n_places;
	struct kv_txn *txn; /* of the walk */
	uint32_t *pids;     /* by rid: its project; 0: not asked yet, RUN_GONE */
	size_t n_pids;
	struct seen *seen; /* by (pid, sid) once all are known */
	size_t n_seen, cap;
	size_t at, end;       /* series of the project being made */
	size_t from, to;      /* those in memory */
	struct point *points; /* of them, series by series */
	size_t *filled;       /* by place in [from, to): where its next sample goes */
	struct raw_made *made;
	size_t n_made;
	uint32_t *skipped; /* projects that keep none and had some */
	size_t n_skipped;
};

/* Makes room for list[i], with zeros. */
static int grow(uint32_t **list, size_t *n_list, uint32_t i)
{
	size_t n = *n_list ? *n_list : 1024;
	uint32_t *p;

	if (i < *n_list)
		return 0;
	while (n <= i)
		n *= 2;
	p = realloc(*list, n * sizeof(*p));
	if (!p)
		return ERR_NOMEM;
	memset(p + *n_list, 0, (n - *n_list) * sizeof(*p));
	*list = p;
	*n_list = n;
	return 0;
}

/* RUN_GONE where it was removed. */
static int pid_of(struct sealing *s, uint32_t rid, uint32_t *ret)
{
	struct run run;
	int err = grow(&s->pids, &s->n_pids, rid);

	if (err == 0 && !s->pids[rid]) {
		err = run_get(s->txn, rid, &run);
		if (err == 0) {
			s->pids[rid] = run.pid;
			run_release(&run);
		} else if (err == ERR_NOT_FOUND) {
			s->pids[rid] = RUN_GONE;
			err = 0;
		}
	}
	if (err == 0)
		*ret = s->pids[rid];
	return err;
}

static int add_seen(struct sealing *s, uint32_t sid, uint32_t rid, uint32_t pid)
{
	int err = grow(&s->place, &s->n_places, sid);

	if (err < 0)
		return err;
	if (s->n_seen == s->cap) {
		size_t cap = s->cap ? s->cap * 2 : 1024;
		struct seen *p = realloc(s->seen, cap * sizeof(*p));

		if (!p)
			return ERR_NOMEM;
		s->seen = p;
		s->cap = cap;
	}
	s->seen[s->n_seen++] = (struct seen){ sid, rid, pid, 0 };
	s->place[sid] = (uint32_t)s->n_seen;
	return 0;
}

static int skip_project(struct sealing *s, uint32_t pid)
{
	uint32_t *p;

	for (size_t i = 0; i < s->n_skipped; i++)
		if (s->skipped[i] == pid)
			return 0;
	p = realloc(s->skipped, (s->n_skipped + 1) * sizeof(*p));
	if (!p)
		return ERR_NOMEM;
	s->skipped = p;
	s->skipped[s->n_skipped++] = pid;
	return 0;
}

/* Whether there is enough: at a batch of its own, so that none is cut. */
static bool enough(struct sealing *s, uint64_t batch)
{
	if (s->samples >= RAWSEAL_RANGE && batch > s->after) {
		s->upto = batch - 1;
		return true;
	}
	s->after = batch;
	return false;
}

static int count_record(void *arg, uint64_t batch, const struct journal_record *rec)
{
	struct sealing *s = arg;
	uint32_t pid = RUN_GONE;
	int err = 0;

	if (enough(s, batch))
		return 1;
	s->samples += rec->n;
	if (rec->n)
		err = pid_of(s, rec->rid, &pid);
	if (err < 0 || pid == RUN_GONE)
		return err;
	if (raw_keep_of(s->keeps, pid) == 0)
		return skip_project(s, pid);
	for (size_t i = 0; i < rec->n && err == 0; i++) {
		uint32_t sid = rec->sid[i];

		if (sid >= s->n_places || !s->place[sid])
			err = add_seen(s, sid, rec->rid, pid);
		if (err == 0)
			s->seen[s->place[sid] - 1].n++;
	}
	return err;
}

static int compare_seen(const void *a, const void *b)
{
	const struct seen *x = a, *y = b;

	if (x->pid != y->pid)
		return x->pid < y->pid ? -1 : 1;
	return (x->sid > y->sid) - (x->sid < y->sid);
}

/* s->after as it was; a walk that ended by itself was over when it came to the end. */
static int walk(struct sealing *s, uint64_t after, journal_fn fn)
{
	int err = kv_begin(s->store->kv, false, &s->txn);

	if (err < 0)
		return err;
	err = journal_read(s->txn, &(struct journal_range){ .after = after, .upto = s->upto }, fn, s);
	kv_abort(s->txn);
	return err < 0 ? err : 0;
}

static int count_all(struct sealing *s)
{
	uint64_t after = s->after;
	int err = walk(s, after, count_record);

	s->after = after;
	if (err == 0 && s->n_seen)
		qsort(s->seen, s->n_seen, sizeof(*s->seen), compare_seen);
	for (size_t i = 0; i < s->n_seen; i++)
		s->place[s->seen[i].sid] = (uint32_t)i + 1;
	return err;
}

/* ---- more walks: the samples of some series ---- */

static int take_record(void *arg, uint64_t batch, const struct journal_record *rec)
{
	struct sealing *s = arg;

	(void)batch;
	for (size_t i = 0; i < rec->n; i++) {
		size_t place = rec->sid[i] < s->n_places ? s->place[rec->sid[i]] : 0;

		if (place > s->from && place <= s->to) {
			struct point *p = &s->points[s->filled[place - 1 - s->from]++];

			*p = (struct point){ rec->t_ns[i], rec->step[i], rec->value[i] };
		}
	}
	return 0;
}

/* Merges the sorted [0, half) and [half, n), equal ones as they came. */
static void merge_halves(struct point *v, size_t half, size_t n, struct point *room)
{
	size_t i = 0, j = half, out = 0;

	memcpy(room, v, half * sizeof(*v));
	while (i < half && j < n)
		v[out++] = sample_compare(&v[j], &room[i]) < 0 ? v[j++] : room[i++];
	memcpy(v + out, room + i, (half - i) * sizeof(*v));
}

/* Mostly they lie in order; a stable sort by runs of those that do where not. */
static void sort_samples(struct point *v, size_t n, struct point *room)
{
	size_t run = 1;

	while (run < n && sample_compare(&v[run - 1], &v[run]) <= 0)
		run++;
	if (run >= n)
		return;
	if (run < n / 2) {
		run = n / 2;
		sort_samples(v, run, room);
	}
	sort_samples(v + run, n - run, room);
	merge_halves(v, run, n, room);
}

static int add_group(struct sealing *s, struct rawpart_writer *w, size_t largest)
{
	struct point *room = malloc((largest + 1) * sizeof(*room)), *p = s->points;
	int err = room ? 0 : ERR_NOMEM;

	for (size_t i = s->from; i < s->to && err == 0; i++) {
		size_t n = s->seen[i].n;

		if (s->filled[i - s->from] != (size_t)(p - s->points) + n)
			err = ERR_CORRUPT;
		sort_samples(p, n, room);
		if (err == 0)
			err = rawpart_add(w, s->seen[i].rid, s->seen[i].sid, p, n);
		p += n;
	}
	free(room);
	return err;
}

/* The series from s->from on, as many as go into memory. */
static int fill_group(struct sealing *s, struct rawpart_writer *w)
{
	size_t n = 0, largest = 0;
	int err = ERR_NOMEM;

	for (s->to = s->from; s->to < s->end && (n == 0 || n + s->seen[s->to].n <= RAWSEAL_GROUP); s->to++)
		n += s->seen[s->to].n;
	s->points = malloc(n * sizeof(*s->points));
	s->filled = malloc((s->to - s->from) * sizeof(*s->filled));
	if (s->points && s->filled) {
		n = 0;
		for (size_t i = s->from; i < s->to; i++) {
			s->filled[i - s->from] = n;
			n += s->seen[i].n;
			largest = s->seen[i].n > largest ? s->seen[i].n : largest;
		}
		err = walk(s, s->after, take_record);
		if (err == 0)
			err = add_group(s, w, largest);
	}
	free(s->points);
	free(s->filled);
	return err;
}

static int fill_part(void *arg, struct rawpart_writer *w)
{
	struct sealing *s = arg;
	int err = 0;

	for (s->from = s->at; s->from < s->end && err == 0; s->from = s->to)
		err = atomic_load(s->stop) ? ERR_GONE : fill_group(s, w);
	return err;
}

/* A part for each project. */
static int make_parts(struct sealing *s, int64_t now_ns)
{
	struct rawpart_id id = { .first = s->after + 1, .upto = s->upto };
	struct kv_txn *t;
	int err = kv_begin(s->store->kv, false, &t);

	if (err < 0)
		return err;
	err = raw_newest(t, &id.number);
	kv_abort(t);
	for (s->at = 0; s->at < s->n_seen && err == 0; s->at = s->end) {
		struct raw_made *m = realloc(s->made, (s->n_made + 1) * sizeof(*m));

		if (!m)
			return ERR_NOMEM;
		s->made = m;
		id.pid = s->seen[s->at].pid;
		id.number++;
		for (s->end = s->at; s->end < s->n_seen && s->seen[s->end].pid == id.pid; s->end++)
			;
		err = raw_make(s->store, id, now_ns, fill_part, s, &m[s->n_made++]);
	}
	return err;
}

/* ---- publishing ---- */

struct publication {
	struct sealing *sealing;
	int64_t now_ns;
};

static int publish(void *arg, struct kv_txn *t)
{
	const struct publication *p = arg;
	struct sealing *s = p->sealing;
	int err = 0;

	for (size_t i = 0; i < s->n_made && err == 0; i++)
		err = raw_row_put(t, &s->made[i].row);
	for (size_t i = 0; i < s->n_skipped && err == 0; i++)
		err = raw_gone_put_all(t, s->skipped[i], p->now_ns);
	if (err == 0)
		s->store->state.sealed = s->upto;
	return err;
}

static void forget_files(struct sealing *s)
{
	char path[FILE_PATH_MAX];

	for (size_t i = 0; i < s->n_made; i++)
		if (raw_path(s->store->dir, &s->made[i].row.id, path) == 0)
			unlink(path);
}

static void sealing_release(struct sealing *s)
{
	for (size_t i = 0; i < s->n_made; i++)
		raw_made_release(&s->made[i]);
	free(s->made);
	free(s->place);
	free(s->pids);
	free(s->seen);
	free(s->skipped);
}

static void tell(const struct sealing *s, struct raw_report *report)
{
	for (size_t i = 0; i < s->n_made; i++) {
		report->parts++;
		report->samples += s->made[i].row.summary.samples;
		report->bytes += s->made[i].row.summary.bytes;
	}
}

static int state_now(struct store *s, struct state *ret)
{
	struct kv_txn *t;
	int err = kv_begin(s->kv, false, &t);

	if (err < 0)
		return err;
	err = state_get(t, ret);
	kv_abort(t);
	return err;
}

int rawseal_some(struct store *store, const struct raw_keeps *keeps, int64_t now_ns, atomic_bool *stop,
		 struct raw_report *report)
{
	struct sealing s = { .store = store, .keeps = keeps, .stop = stop };
	struct publication p = { &s, now_ns };
	struct state state;
	int err = state_now(store, &state);

	if (err < 0)
		return err;
	if (state.sealed >= state.trimmed)
		return 1;
	s.after = state.sealed;
	s.upto = state.trimmed;
	err = count_all(&s);
	if (err == 0)
		err = make_parts(&s, now_ns);
	if (err < 0)
		forget_files(&s);
	if (err == 0)
		err = writer_errand(store, publish, &p);
	if (err == 0)
		tell(&s, report);
	sealing_release(&s);
	return err == ERR_CORRUPT ? rawaside_batches(store, state.sealed, state.trimmed) : err;
}

/* ---- where nobody keeps any ---- */

struct skip {
	struct store *store;
	int64_t now_ns;
	bool kept; /* one does */
};

static int skip_all(void *arg, struct kv_txn *t)
{
	struct skip *s = arg;
	struct raw_keeps keeps;
	int err = raw_keeps_read(t, &keeps);

	if (err < 0)
		return err;
	for (size_t i = 0; i < keeps.n; i++)
		s->kept |= keeps.list[i].keep_ns != 0;
	for (size_t i = 0; i < keeps.n && err == 0 && !s->kept; i++)
		err = raw_gone_put_all(t, keeps.list[i].pid, s->now_ns);
	if (err == 0 && !s->kept)
		s->store->state.sealed = s->store->state.trimmed;
	raw_keeps_release(&keeps);
	return err;
}

int rawseal_skip(struct store *s, int64_t now_ns)
{
	struct skip skip = { .store = s, .now_ns = now_ns };
	int err = writer_errand(s, skip_all, &skip);

	return err < 0 ? err : skip.kept;
}

/* ---- the journal ---- */

struct trim {
	struct store *store;
	bool more;
};

static int trim_some(void *arg, struct kv_txn *t)
{
	struct trim *trim = arg;

	return journal_trim(t, trim->store->state.sealed, TRIM_CHUNKS, &trim->more);
}

int rawseal_trim(struct store *s)
{
	struct trim trim = { .store = s, .more = true };
	int err = 0;

	while (err == 0 && trim.more)
		err = writer_errand(s, trim_some, &trim);
	return err;
}
