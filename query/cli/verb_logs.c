/*
 * verb_logs.c - `astraml logs`: a run's log, filtered, followed, or byte for byte.
 */
#include <stdlib.h>
#include <time.h>

#include "query/cli/loghistogram.h"
#include "query/cli/logshow.h"
#include "query/cli/steptime.h"
#include "query/cli/term.h"
#include "query/cli/verb.h"
#include "query/logask.h"
#include "store/base/clock.h"

#define RETRY_LEAST_MS    200
#define RETRY_MOST_MS     5000
#define AROUND_DEFAULT    "10"
#define HISTOGRAM_WINDOWS "24"

/* Context that is asked for so that events and tracebacks are whole. */
#define TRACE_RECORDS  100    /* beyond that of -C */
#define EVENT_RECORDS  200    /* for the event that holds a find */
#define AROUND_RECORDS 20     /* for each further one */
#define HELD_RECORDS   100000 /* with that, of the last finds, which are held until they are turned round */
#define TAIL_RECORDS   20     /* of an event, where the last ones are looked for; if it is not enough, more */

static const char help[] =
    "usage: astraml logs RUN [-f] [--level L] [--stream S] [--rank N] [--attr K=V]\n"
    "                    [--grep S | --regex RE] [-i] [-C N] [--events] [--tail N]\n"
    "                    [--since T] [--until T] [--around-step N] [--raw]\n"
    "                    [--explain] [--histogram [--every W]] [--json]\n"
    "\n"
    "  -f, --follow    go on with new records as they are written; survives a lost\n"
    "                  connection\n"
    "  --level L       at least trace, debug, info, warn, error or fatal\n"
    "  --stream S      only this stream: stdout, stderr, console ...\n"
    "  --rank N        only this rank\n"
    "  --attr K=V      records with this attribute\n"
    "  --grep S        records that contain S\n"
    "  --regex RE      records that fit a regular expression (PCRE2)\n"
    "  -i              upper and lower case are the same\n"
    "  -C, --context N with N records around each, and tracebacks whole; -- marks\n"
    "                  what is left out\n"
    "  --events        whole events: a record with the lines that go on from it\n"
    "                  (tracebacks, stack traces, lines that are set in); -C and\n"
    "                  --tail count events then\n"
    "  --tail N        the last N (with -f and nothing else: 10)\n"
    "  --since T, --until T   2025-07-06T12:00:00Z, milliseconds since 1970, or 1h\n"
    "                         for an hour ago\n"
    "  --around-step N the records around the time of training step N: 10 before and\n"
    "                  10 after, or as many as -C says; of a step logged again after\n"
    "                  a resume, the newest\n"
    "  --raw           the exact bytes of each record; else progress bars show their\n"
    "                  last state and each record ends its line\n"
    "  --histogram     how many records of each level there are over time, with bars\n"
    "                  for errors, warnings and the rest; in windows of W (30s, 5m,\n"
    "                  1h), or some two dozen\n"
    "  --explain       on stderr at the end: how many stored blocks there were, and\n"
    "                  were opened\n"
    "\n"
    "On a terminal warnings are yellow, errors red, and colours of the log itself are\n"
    "kept.\n"
    "\n"
    "example: astraml logs bert-lr3e5 -f --level warn\n"
    "example: astraml logs bert-lr3e5 --events --grep OutOfMemory --tail 1\n";

struct log_options {
	const char *level, *stream, *rank, *attr, *grep, *regex, *context, *tail, *since, *until,
	    *around_step, *every;
	bool ignore_case, follow, raw, explain, events, histogram;
};

static bool has_search(const struct log_options *o) { return o->level || o->grep || o->regex || o->attr; }

static uint64_t context_of(const struct log_options *o)
{
	return o->context ? strtoull(o->context, NULL, 10) : 0;
}

/* Whether records are chosen here from a wider answer. */
static bool has_choice(const struct log_options *o)
{
	return o->events || (has_search(o) && context_of(o) > 0);
}

/* The level of an event is that of its first line, mostly, and its text that of another. */
static bool level_is_of_events(const struct log_options *o)
{
	return o->events && o->level && (o->grep || o->regex);
}

static uint64_t records_around(const struct log_options *o)
{
	uint64_t n = context_of(o);

	if (!has_search(o))
		return 0;
	if (has_choice(o)) {
		uint64_t more = o->events ? EVENT_RECORDS + AROUND_RECORDS * n : TRACE_RECORDS;
		uint64_t tail = o->tail ? strtoull(o->tail, NULL, 10) : 0;

		n += tail > HELD_RECORDS / more ? HELD_RECORDS / tail : more;
	}
	return n < LOG_CONTEXT_MAX ? n : LOG_CONTEXT_MAX;
}

static struct log_events_ask choice_of(const struct log_options *o)
{
	int level = level_is_of_events(o) ? level_parse(span_str(o->level)) : LEVEL_NONE;

	return (struct log_events_ask){ .events = o->events,
					.live = o->follow,
					.around = context_of(o),
					.reach = records_around(o),
					.least = level < 0 ? LEVEL_NONE : (enum level)level };
}

static void add_choice(struct buf *path, const struct log_options *o)
{
	path_param(path, "level", level_is_of_events(o) ? NULL : o->level);
	path_param(path, "stream", o->stream);
	path_param(path, "rank", o->rank);
	path_param(path, "grep", o->grep);
	path_param(path, "regex", o->regex);
	path_param(path, "ignore_case", o->ignore_case ? "true" : NULL);
	verb_pair_param(path, "attr", o->attr);
	path_param_since(path, "start", o->since);
	path_param_since(path, "end", o->until);
}

static void add_filters(struct buf *path, const struct target *t, const char *run,
			const struct log_options *o)
{
	verb_run_path(path, t, run, "/logs");
	add_choice(path, o);
	if (records_around(o) > 0)
		path_param_u64(path, "context", records_around(o));
	path_param(path, "explain", o->explain ? "true" : NULL);
}

/* Gathers the end of the log, ever more of it, until the last n events are in it. */
static int gather_events(struct source *s, const struct target *t, const char *run,
			 const struct log_options *o, uint64_t n, struct log_show *show, struct fault *f)
{
	struct log_events_ask choice = choice_of(o);
	uint64_t limit = has_search(o) ? n + 1 : TAIL_RECORDS * (n + 1);
	bool enough = false;
	int err = 0;

	for (; err == 0 && !enough; limit *= 4) {
		struct buf path;

		add_filters(&path, t, run, o);
		path_param(&path, "direction", "backward");
		path_param_u64(&path, "limit", limit);
		log_show_gather(show);
		err = source_get(s, buf_cstr(&path), log_show_piece, show, f);
		buf_release(&path);
		if (err == 0)
			err = fault_default(f, log_show_tail(show, &choice, choice.around > 0, n, &enough));
	}
	return err;
}

/* What is there now: all of it, or the last `tail` records or events. */
static int print_present(struct source *s, const struct target *t, const char *run,
			 const struct log_options *o, struct log_show *show, struct fault *f)
{
	const char *tail = o->tail || !o->follow || o->since ? o->tail : "10";
	struct log_events_ask choice = choice_of(o);
	struct buf path;
	int err = has_choice(o) ? fault_default(f, log_show_events(show, &choice, choice.around > 0)) : 0;

	if (err < 0)
		return err;
	if (tail && o->events) {
		err = gather_events(s, t, run, o, strtoull(tail, NULL, 10), show, f);
		return log_show_end(show, err, f);
	}
	add_filters(&path, t, run, o);
	if (tail) {
		path_param(&path, "direction", "backward");
		path_param(&path, "limit", tail);
		log_show_gather(show);
	}
	err = source_get(s, buf_cstr(&path), log_show_piece, show, f);
	buf_release(&path);
	return log_show_end(show, err, f);
}

static int print_part(struct source *s, const struct target *t, const char *run, const struct log_options *o,
		      struct log_show *show, struct fault *f)
{
	struct buf path;
	int err;

	add_filters(&path, t, run, o);
	path_param(&path, "limit", o->tail);
	if (o->until) {
		path_param(&path, "direction", "backward");
		log_show_gather(show);
	}
	err = source_get(s, buf_cstr(&path), log_show_piece, show, f);
	buf_release(&path);
	return log_show_end(show, err, f);
}

/* The last records before the time of the step, then the first from it on. */
static int print_around(struct source *s, const struct target *t, const char *run,
			const struct log_options *o, struct log_show *show, struct fault *f)
{
	struct log_options before = *o, after = *o;
	int64_t step = strtoll(o->around_step, NULL, 10);
	struct step_time when;
	char time[CLOCK_TEXT_MAX];
	int err = step_time(s, t, run, step, &when, f);

	if (err < 0)
		return err;
	clock_format(when.t_ns, time);
	if (when.step != step)
		fprintf(stderr, "step %lld was not logged; the next one is %lld\n", (long long)step,
			(long long)when.step);
	fprintf(stderr, "step %lld was at %s\n", (long long)when.step, time);
	before.until = after.since = time;
	before.tail = after.tail = o->context ? o->context : AROUND_DEFAULT;
	before.context = after.context = NULL;
	err = print_part(s, t, run, &before, show, f);
	return err < 0 ? err : print_part(s, t, run, &after, show, f);
}

static void pause_ms(int ms)
{
	const struct timespec t = { ms / 1000, ms % 1000 * 1000000L };

	nanosleep(&t, NULL);
}

/* Goes on after the last record seen, over as many connections as it takes. */
static int print_news(struct source *s, const struct target *t, const char *run, const struct log_options *o,
		      struct log_show *show, struct fault *f)
{
	int wait_ms = RETRY_LEAST_MS, err;

	for (;;) {
		uint64_t before = show->last_seq;
		struct buf path;

		log_show_live(show);
		add_filters(&path, t, run, o);
		path_param(&path, "follow", "true");
		path_param_u64(&path, "after_seq", log_show_resume(show));
		*f = (struct fault){ 0 };
		err = source_get(s, buf_cstr(&path), log_show_piece, show, f);
		buf_release(&path);
		err = log_show_end(show, err, f);
		if (err == ERR_GONE || (err < 0 && err != ERR_IO && err != ERR_BUSY && err != ERR_TIMEOUT))
			return err;
		fprintf(stderr, "astraml: the connection ended; trying again from record %llu\n",
			(unsigned long long)show->last_seq);
		wait_ms = show->last_seq != before ? RETRY_LEAST_MS : wait_ms * 2;
		wait_ms = wait_ms < RETRY_MOST_MS ? wait_ms : RETRY_MOST_MS;
		pause_ms(wait_ms);
	}
}

static int print_log(const struct target *t, const char *run, const struct log_options *o)
{
	struct log_show show;
	struct source *s;
	struct fault f = { 0 };
	int err = source_open(t, &s, &f);

	if (err < 0)
		return verb_fault(&f);
	log_show_init(&show, o->raw ? LOG_SHOW_RAW : t->json ? LOG_SHOW_JSON : LOG_SHOW_TEXT, t->color);
	if (o->follow)
		log_show_live(&show);
	err = o->around_step ? print_around(s, t, run, o, &show, &f) : print_present(s, t, run, o, &show, &f);
	if (err == 0 && o->follow)
		err = print_news(s, t, run, o, &show, &f);
	if (err == ERR_GONE && show.closed)
		err = 0;
	log_show_release(&show);
	source_close(s);
	return err < 0 ? verb_fault(&f) : EXIT_OK;
}

static int show_histogram(struct source *s, const char *path, const struct target *t)
{
	struct fault f = { 0 };
	struct json_object *answer = verb_tree(s, path, &f);

	if (!answer)
		return verb_fault(&f);
	if (!log_histogram_show(answer, t))
		fprintf(stderr, "there are no such records\n");
	json_object_put(answer);
	return EXIT_OK;
}

static int print_histogram(const struct target *t, const char *run, const struct log_options *o)
{
	struct fault f = { 0 };
	struct source *s;
	struct buf path;
	int status;

	if (source_open(t, &s, &f) < 0)
		return verb_fault(&f);
	verb_run_path(&path, t, run, "/logs/histogram");
	add_choice(&path, o);
	path_param(&path, o->every ? "every" : "points", o->every ? o->every : HISTOGRAM_WINDOWS);
	status = t->json ? verb_print(s, buf_cstr(&path)) : show_histogram(s, buf_cstr(&path), t);
	buf_release(&path);
	source_close(s);
	return status;
}

int verb_logs(const struct target *t, int argc, char **argv)
{
	struct log_options o = { 0 };
	const struct option_text options[] = {
		{ "--follow", 'f', NULL, &o.follow },   { "--level", 0, &o.level, NULL },
		{ "--stream", 0, &o.stream, NULL },     { "--rank", 0, &o.rank, NULL },
		{ "--grep", 0, &o.grep, NULL },         { "--regex", 0, &o.regex, NULL },
		{ "--attr", 0, &o.attr, NULL },         { "--ignore-case", 'i', NULL, &o.ignore_case },
		{ "--context", 'C', &o.context, NULL }, { "--tail", 0, &o.tail, NULL },
		{ "--since", 0, &o.since, NULL },       { "--until", 0, &o.until, NULL },
		{ "--events", 0, NULL, &o.events },     { "--histogram", 0, NULL, &o.histogram },
		{ "--every", 0, &o.every, NULL },       { "--raw", 0, NULL, &o.raw },
		{ "--explain", 0, NULL, &o.explain },   { "--around-step", 0, &o.around_step, NULL },
	};
	struct verb_args args = { .help = help,
				  .options = options,
				  .n_options = sizeof options / sizeof *options,
				  .max_positional = 1 };
	const char *run;
	uint64_t n;
	int status;

	if (!verb_parse(&args, argc, argv, &status))
		return status;
	if (!(run = verb_run_id(&args, "logs", 1)))
		return EXIT_USAGE;
	if (!verb_pair("--attr", o.attr))
		return EXIT_USAGE;
	if (o.follow && o.until) {
		fprintf(stderr, "astraml logs: -f goes on for ever; leave out -f or --until\n");
		return EXIT_USAGE;
	}
	if (o.tail && !verb_number("--tail", o.tail, 0, 10000000, &n))
		return EXIT_USAGE;
	if (o.context && !verb_number("--context", o.context, 0, LOG_CONTEXT_MAX, &n))
		return EXIT_USAGE;
	if (o.level && level_parse(span_str(o.level)) < 0) {
		fprintf(stderr,
			"astraml logs: --level %s is none of trace, debug, info, warn, error and fatal\n",
			o.level);
		return EXIT_USAGE;
	}
	if (o.around_step && (o.follow || o.tail || o.since || o.until || o.events)) {
		fprintf(stderr,
			"astraml logs: --around-step says which records; leave -f, --tail, --since, --until "
			"and --events out\n");
		return EXIT_USAGE;
	}
	if (o.around_step && !verb_number("--around-step", o.around_step, 0, INT64_MAX, &n))
		return EXIT_USAGE;
	if (o.every && !o.histogram) {
		fprintf(stderr, "astraml logs: --every goes with --histogram\n");
		return EXIT_USAGE;
	}
	if (o.histogram &&
	    (o.follow || o.tail || o.context || o.around_step || o.events || o.raw || o.explain)) {
		fprintf(stderr,
			"astraml logs: --histogram counts records; leave -f, --tail, -C, --around-step, "
			"--events, --raw and --explain out\n");
		return EXIT_USAGE;
	}
	return o.histogram ? print_histogram(t, run, &o) : print_log(t, run, &o);
}
