#include <stdlib.h>

#include "store/compact/compactor.h"
#include "store/compact/slot.h"
#include "store/compact/slot_source.h"
#include "store/turn.h"

static int publish(void *arg, struct kv_txn *t)
{
	struct part_row *row = arg;

	return row->summary.buckets ? manifest_replace(t, row) : manifest_remove(t, &row->id);
}

static int seal_and_publish(struct compactor *c, const struct task *task, const struct agenda_job *job)
{
	const struct part_id slot = { job->pid, job->tier_ns, job->from_ns, job->to_ns, 0 };
	struct compact_report *report = task->report;
	struct store *s = c->store;
	struct part_id *old = NULL;
	struct part_row row;
	struct buf runs;
	size_t n_old = 0;
	int err;

	buf_init(&runs, (size_t)64 * 1024 * 1024);
	err = ids_in_slot(s, &slot, &old, &n_old);
	if (err == 0)
		err = slot_seal(s, job, &c->stop, task->progress, &row, &runs);
	if (err == 0)
		err = writer_errand(s, publish, &row);
	if (err == 0) {
		unlink_parts(s, old, n_old);
		if (row.summary.buckets) {
			report->parts++;
			report->replaced += n_old;
		} else {
			report->dropped += n_old;
		}
		report->buckets += row.summary.buckets;
		report->bytes += row.summary.bytes;
	}
	free(old);
	buf_release(&runs);
	return err;
}

/* What is damaged is set aside; the rest of the slot is sealed. */
static int seal_the_rest(struct compactor *c, const struct task *task, const struct agenda_job *job)
{
	const struct part_id slot = { job->pid, job->tier_ns, job->from_ns, job->to_ns, 0 };
	bool any = false;
	int err = compact_quarantine_parts(c, &slot, false, &any);

	if (err < 0)
		return err;
	return any ? seal_and_publish(c, task, job) : ERR_CORRUPT;
}

static int do_job(struct compactor *c, const struct task *task, const struct project *p,
		  const struct agenda_job *job)
{
	const struct part_id slot = { job->pid, job->tier_ns, job->from_ns, job->to_ns, 0 };
	char text[SLOT_TEXT_MAX];
	int err;

	slot_text(p, &slot, text);
	task_tell(task, "%s: %llu buckets, %llu parts", text, (unsigned long long)job->pending,
		  (unsigned long long)job->parts);
	progress_walk(task->progress, "sealing", text);
	err = seal_and_publish(c, task, job);
	if (err == ERR_CORRUPT)
		err = seal_the_rest(c, task, job);
	if (err == ERR_CORRUPT) {
		note_bad(c, p, &slot);
		task->report->failed++;
		return 0;
	}
	return err;
}

/* A dry run tells a tier in one line: there may be thousands of slots. */
static void tell_jobs(const struct task *task, const struct project *p, const struct agenda_job *jobs,
		      size_t n)
{
	for (size_t i = 0; i < n;) {
		struct part_id all = { p->pid, jobs[i].tier_ns, INT64_MAX, INT64_MIN, 0 };
		uint64_t slots = 0, buckets = 0, parts = 0;
		char text[SLOT_TEXT_MAX];

		for (; i < n && jobs[i].tier_ns == all.tier_ns; i++, slots++) {
			slot_widen(&all, jobs[i].from_ns, jobs[i].to_ns);
			buckets += jobs[i].pending;
			parts += jobs[i].parts;
		}
		slot_text(p, &all, text);
		task_tell(task, "%s: %llu slots to seal, %llu buckets, %llu parts", text,
			  (unsigned long long)slots, (unsigned long long)buckets, (unsigned long long)parts);
	}
}

int compact_seal(struct compactor *c, const struct task *task, const struct project *p)
{
	const struct agenda_rules rules = { task->settle_ns, task->late_ns, &p->policy };
	struct agenda_job *jobs = NULL;
	struct picture picture;
	size_t n = 0;
	int err = picture_take(c, p, &picture);

	if (err < 0)
		return err;
	err = agenda_jobs(&picture.state, &rules, p->pid, task->until_ns, &jobs, &n);
	progress_start(task->progress, SLOT_WALK_STEPS * n, 0);
	if (err == 0 && task->dry_run)
		tell_jobs(task, p, jobs, n);
	for (size_t i = 0; i < n && err == 0 && !task->dry_run; i++)
		err = do_job(c, task, p, &jobs[i]);
	progress_clear(task->progress);
	free(jobs);
	picture_release(&picture);
	return err;
}
