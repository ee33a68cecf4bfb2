/*
 * tensorboard.c - `import tensorboard`: event files, which may grow while they are read (api 6).
 *
 * It does not go the way of the other formats, which hash a whole file before they send it: see
 * segment.h for how a file that grew is known again.
 *
 * As in TensorBoard each directory that has files with "tfevents" in their names is a run, and all of them
 * are its samples; its id is its path below the directory that was named, with - for /, or that one's own
 * name.  A file that is named itself is a run called like the file.  Floats, halves and bfloat16 travel and
 * are kept as float32, integers over 2^53 are rounded to the nearest double.  The time is the exact value of
 * the double wall_time, rounded to the nearest nanosecond, a half to even; the step is always there, as
 * protobuf does not tell 0 from none.
 *
 * A run that died at step 900 and went on from step 500 logs these steps twice, behind a SessionLog START in
 * the same or another file.  TensorBoard hides the first attempt; here every sample is kept, and times tell
 * them apart.
 *
 * A file that ends within a record is still being written: what is before is imported, the exit status is 0,
 * and a note says so.  A record with a wrong checksum, or with bytes that are no event, ends the import of
 * that file: what is before it is kept, the place is told, the exit status is 2, other files and runs go on.
 * The data of records over 16 MiB is passed over unread.
 *
 * --follow looks at files once a second; new files and directories are taken in.  A first signal ends it
 * after a last look, and the runs become finished; a second one ends it at once, which loses nothing.  A
 * packed file is read again when it is replaced by a longer one; a plain file that becomes shorter, and a run
 * that is another one, is told once and left alone.
 */
#include <inttypes.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>

#include "ingest/import/event_run.h"
#include "ingest/import/file_list.h"
#include "ingest/import/report.h"
#include "store/base/array.h"

struct tensorboard {
	const struct import_job *job;
	bool follow;
	struct upload upload;
	struct progress progress;
	struct event_run **runs; /* in the order they were found */
	size_t n, cap;
	uint64_t bytes; /* of all files, as they were found */
	int status;     /* exit status: of the last error told */
};

static volatile sig_atomic_t stop;

static void on_stop(int signal_number)
{
	(void)signal_number;
	stop = 1;
}

static void say(void *arg, const struct event_run *r, const struct event_file *e, const struct fault *f)
{
	struct tensorboard *t = arg;
	char text[NAME_MAX + FAULT_TEXT_MAX + 3];

	progress_clear(&t->progress);
	snprintf(text, sizeof(text), "%s%s%s", e ? e->name : "", e ? ": " : "", f->text);
	report_problem(r->name, text);
	t->status = exit_status_of(f->err);
}

/* ---- runs ---- */

static struct event_run *find_run(const struct tensorboard *t, const char *id)
{
	for (size_t i = 0; i < t->n; i++)
		if (strcmp(t->runs[i]->id, id) == 0)
			return t->runs[i];
	return NULL;
}

static int add_run(struct tensorboard *t, const char *id, const char *name, struct event_run **ret)
{
	struct event_run *r;

	if (array_grow(t->runs, t->n, t->cap) < 0)
		return ERR_NOMEM;
	r = calloc(1, sizeof(*r));
	if (!r || event_run_init(r, id, name, &t->upload) < 0) {
		if (r)
			event_run_release(r);
		free(r);
		return ERR_NOMEM;
	}
	t->runs[t->n++] = r;
	*ret = r;
	return 0;
}

static int add_item(struct tensorboard *t, const struct import_item *item)
{
	const char *id = t->job->run ? t->job->run : item->run;
	struct event_run *r = find_run(t, id);
	int err = r ? 0 : add_run(t, id, item->name, &r);

	t->bytes += item->bytes;
	for (size_t i = 0; i < item->n_paths && err == 0; i++)
		err = event_run_add(r, item->paths[i]);
	return err;
}

static int check_list(const struct tensorboard *t, const struct file_list *l, struct fault *f)
{
	if (t->job->run && l->n > 1)
		return fault_set(f, ERR_REFUSED, "run", "--run is for a single run, and these are %zu", l->n);
	if (l->n == 0 && !t->follow)
		return fault_set(f, ERR_NOT_FOUND, "file",
				 "there is no event file in %.300s: their names have tfevents in them",
				 t->job->paths[0]);
	return file_list_check(l, f);
}

/* Looks which files there are now. */
static int find_files(struct tensorboard *t, struct fault *f)
{
	struct file_list l = { 0 };
	int err = 0;

	for (size_t i = 0; i < t->job->n_paths && err == 0; i++)
		err = file_list_add(&l, t->job->paths[i], &tensorboard_format, f);
	if (err == 0)
		err = check_list(t, &l, f);
	for (size_t i = 0; i < l.n && err == 0; i++)
		err = fault_default(f, add_item(t, &l.items[i]));
	file_list_release(&l);
	return err;
}

/* ---- what is said ---- */

static void note(const struct event_run *r, const char *what, uint64_t n, const char *why)
{
	char text[200];

	snprintf(text, sizeof(text), "%s: %" PRIu64 "; %s", what, n, why);
	if (n > 0)
		report_problem(r->name, text);
}

static void report(const struct tensorboard *t, struct event_run *r)
{
	struct import_item item = { .name = r->name };
	struct transfer_result result = r->sender.result;
	uint64_t others = 0, large = 0, cut = 0, empty = 0;

	for (size_t i = 0; i < r->n; i++) {
		const struct event_file *e = &r->files[i];

		others += e->others;
		large += e->large;
		cut += e->is_cut;
		empty += !e->has_id && !e->is_damaged && !e->is_cut;
		result.refused_names += e->nameless;
		result.refused_samples += e->timeless;
	}
	result.series = r->sender.names.n;
	result.requests = 1;
	result.duplicates = r->sender.added == 0 && !r->is_new;
	if (r->exists)
		(t->job->target->json ? report_json : report_summary)(&item, r->id, &result);
	report_left_out(&item, &result);
	note(r, "values left out", others,
	     "they are no scalars but pictures, histograms, texts and the like");
	note(r, "records left out", large, "they are over 16 MiB, as only pictures and graphs are");
	note(r, "files that end within a record", cut, "as while they are written: all before it is there");
	note(r, "files without a record so far", empty, "import again when they have one");
}

/* ---- all of it ---- */

/* Sends what there is now.  Of the errors only those are returned that leave no hope. */
static int send_all(struct tensorboard *t, struct fault *f)
{
	for (size_t i = 0; i < t->n; i++) {
		int err = event_run_send(t->runs[i], t->job->run != NULL, say, t, f);

		if (err < 0 && event_run_is_final(err))
			return err;
	}
	return 0;
}

/* The same, with a bar: there is no walk before that of sending. */
static int send_once(struct tensorboard *t, struct fault *f)
{
	int err;

	progress_start(&t->progress, t->bytes, 2);
	progress_walk(&t->progress, "sending", t->job->paths[0]);
	for (size_t i = 0; i < t->n; i++)
		t->runs[i]->sender.progress = &t->progress;
	err = send_all(t, f);
	progress_clear(&t->progress);
	return err;
}

static int finish_all(struct tensorboard *t, struct fault *f)
{
	int err = 0;

	for (size_t i = 0; i < t->n && err == 0; i++) {
		if (t->runs[i]->exists)
			err = event_run_finish(t->runs[i], f);
		if (err == 0)
			report(t, t->runs[i]);
	}
	return err;
}

/* A second, or until a signal comes: also one that came after we looked for it. */
static void wait_a_while(const sigset_t *signals)
{
	const struct timespec second = { 1, 0 };
	sigset_t before;

	sigprocmask(SIG_BLOCK, signals, &before);
	if (!stop)
		ppoll(NULL, 0, &second, &before);
	sigprocmask(SIG_SETMASK, &before, NULL);
}

/* Until a signal comes, and then once more: what the files held when it came is imported.  A second
 * signal ends the program at once, which does no harm. */
static int follow(struct tensorboard *t, struct fault *f)
{
	const struct sigaction action = { .sa_handler = on_stop,
					  .sa_flags = (int)(SA_RESETHAND | SA_RESTART) };
	sigset_t signals;
	int err;

	sigemptyset(&signals);
	sigaddset(&signals, SIGINT);
	sigaddset(&signals, SIGTERM);
	sigaction(SIGINT, &action, NULL);
	sigaction(SIGTERM, &action, NULL);
	report_problem(t->job->paths[0], "followed until it is interrupted");
	for (;;) {
		bool last = stop;

		if ((err = find_files(t, f)) < 0 || (err = send_all(t, f)) < 0 || last)
			return err;
		wait_a_while(&signals);
	}
}

static int import_tensorboard(const struct import_job *job, struct client *client)
{
	struct tensorboard t = { .job = job, .follow = import_arg(job->args, "follow", 0) };
	struct fault f = { 0 };
	int err;

	upload_init(&t.upload, client, job->target->project);
	if (t.follow)
		err = follow(&t, &f);
	else if ((err = find_files(&t, &f)) == 0)
		err = send_once(&t, &f);
	if (err == 0)
		err = finish_all(&t, &f);
	if (err < 0) {
		fault_default(&f, err);
		fprintf(stderr, "astraml import: %s\n", f.text);
		t.status = err == ERR_REFUSED ? EXIT_USAGE : exit_status_of(err);
	}
	for (size_t i = 0; i < t.n; i++) {
		event_run_release(t.runs[i]);
		free(t.runs[i]);
	}
	free(t.runs);
	upload_release(&t.upload);
	return t.status;
}

/* ---- the format ---- */

/* As TensorBoard tells them. */
static bool takes(const char *name) { return strstr(name, "tfevents") != NULL; }

static int check(const struct import_args *args, struct fault *f)
{
	if (import_arg(args, "start", 0) || import_arg(args, "end", 0))
		return fault_set(f, ERR_REFUSED, "start",
				 "--start and --end are not for event files: each event has its time");
	return 0;
}

static const struct import_option options[] = { { .name = "follow", .is_flag = true, .is_silent = true },
						{ .name = NULL } };

const struct import_format tensorboard_format = {
	.name = "tensorboard",
	.version = "1",
	.summary = "event files of TensorBoard, also while they grow",
	.help = "Each directory below that has files with tfevents in their names is a run, as in\n"
		"TensorBoard; a file that is named itself is one, too.  Scalars of both\n"
		"generations become samples of the metric of their tag; pictures, histograms and\n"
		"texts are left out.  Importing again adds what the files have gained and counts\n"
		"nothing twice.\n"
		"\n"
		"  --follow  go on as the files grow and new ones come, until interrupted\n"
		"\n"
		"examples: astraml import tensorboard logs/\n"
		"          astraml import tensorboard --follow logs/ &\n"
		"          astraml import tensorboard --run gpt-1 logs/events.out.tfevents.1.host\n",
	.options = options,
	.run_is_directory = true,
	.takes = takes,
	.check = check,
	.import = import_tensorboard,
};
