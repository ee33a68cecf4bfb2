/*
 * compactor.h - the inside of compact.h's struct compactor, for the files of the compactor alone.
 *
 *   compact.c       its life: by the clock, and on demand
 *   flushed.c       what is flushed
 *   agenda.c        what is to be made of it, expiry.c what may go (pure)
 *   compact_seal.c  parts made and published
 *   compact_drop.c  blocks that are folded, and parts that no longer serve
 *   compact_quarantine.c   what is damaged, set aside
 *   compact_logs.c  logs into parts, and what becomes of these
 */
#ifndef STORE_COMPACTOR_H
#define STORE_COMPACTOR_H

#include "store/compact/compact.h"
#include "store/compact/expiry.h"
#include "store/hot/flushed.h"

struct compactor {
	struct store *store;
	pthread_t thread;
	bool started;
	atomic_bool stop;
	pthread_mutex_t lock; /* one at a time seals and drops; of all below */
	pthread_mutex_t nap_lock;
	pthread_cond_t nap;
	bool called; /* nap_lock */
	struct rawcare *raw;
	struct flushes flushes;
	struct agenda_slot *bad;
	size_t n_bad;
	int64_t swept_ns;      /* when logs were looked at last */
	bool look_for_gone;    /* parts may hold runs that are gone */
	int64_t logs_until_ns; /* logs that arrived before are in parts */
	bool look_for_gone_logs;
	uint64_t *bad_logs; /* numbers of log parts that cannot be read */
	size_t n_bad_logs;
};

/* What one round is to do, and did. */
struct task {
	bool by_clock;    /* nobody waits for it */
	int64_t until_ns; /* slots that ended by then are sealed */
	int64_t settle_ns, late_ns;
	bool dry_run;
	compact_fn tell; /* may be NULL */
	void *arg;
	struct progress *progress; /* NULL: none */
	struct compact_report *report;
};

/* What a project has now; flushes are borrowed from the compactor. */
struct picture {
	struct project project;
	struct agenda_state state;
	struct agenda_flush *flushes;
};
int picture_take(const struct compactor *c, const struct project *p, struct picture *ret);
void picture_release(struct picture *p);

/* compact_seal.c: everything that is due in a project. */
int compact_seal(struct compactor *c, const struct task *task, const struct project *p);

/* compact_drop.c: parts of a project that no longer serve; at the end blocks that all projects have folded.
 */
int compact_expire(struct compactor *c, const struct task *task, const struct project *p);

/* The project's totals made again where they hold a run that is gone. */
int compact_totals(struct compactor *c, const struct task *task, const struct project *p);
int compact_drop_folded(struct compactor *c, const struct task *task, const struct project *projects,
			size_t n_projects);

/* compact_logs.c: what is due in a project; once it was done in all of them; parts of it past their time. */
int compact_logs(struct compactor *c, const struct task *task, const struct project *p);
void compact_logs_done(struct compactor *c, const struct task *task);
int compact_expire_logs(struct compactor *c, const struct task *task, const struct project *p);

/* compact_quarantine.c: damaged blocks of flushes leave the hot store, and their flushes are forgotten, to be
 * looked at again.  Of the parts that one of that slot is made of, of its tier and finer ones (totals: and
 * of the project's totals), what is damaged is set aside; *ret_any: something was. */
int compact_quarantine_flushes(struct compactor *c);
int compact_quarantine_parts(struct compactor *c, const struct part_id *slot, bool totals, bool *ret_any);

/* ---- what they share ---- */

/* "project default, tier 5m, 1d from 2025-07-06T00:00:00Z". */
#define SLOT_TEXT_MAX 192
void slot_text(const struct project *p, const struct part_id *slot, char *ret);

/* A slot made longer, so that [from, to) is in it too. */
static inline void slot_widen(struct part_id *slot, int64_t from_ns, int64_t to_ns)
{
	slot->from_ns = from_ns < slot->from_ns ? from_ns : slot->from_ns;
	slot->to_ns = to_ns > slot->to_ns ? to_ns : slot->to_ns;
}

void task_tell(const struct task *task, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* The slot is left as it is from now on, and that is told. */
void note_bad(struct compactor *c, const struct project *p, const struct part_id *slot);
bool is_bad(const struct compactor *c, const struct part_id *slot);

/* The parts of a tier in a slot, as they are now; the array is the caller's to free. */
int ids_in_slot(struct store *s, const struct part_id *slot, struct part_id **ret, size_t *ret_n);

/* Files of parts that no longer count; readers that have them open keep them. */
void unlink_parts(struct store *s, const struct part_id *ids, size_t n);

#endif
