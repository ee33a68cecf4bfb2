#include "ingest/import/import.h"

#include <signal.h>
#include <sodium/core.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "ingest/import/json_span.h"
#include "ingest/import/report.h"
#include "ingest/import/survey.h"

#define CONNECT_TIMEOUT_MS 10000
#define AHEAD_NS           (600 * NS_PER_S) /* what a server takes of the future, too */

static const struct import_format *const formats[] = { &mllog_format, &hf_trainer_format, &tensorboard_format,
						       &csv_format,   &jsonl_format,      &text_format };
#define N_FORMATS (sizeof(formats) / sizeof(formats[0]))

static const char usage_head[] =
    "usage: astraml import FORMAT FILE... [OPTIONS]\n"
    "\n"
    "Turns files of other tools into runs.  One file is one run; a directory stands\n"
    "for all files in it.  gzip and zstd are unpacked.  Importing a file again\n"
    "changes nothing, and goes on where an import broke off.\n"
    "\n"
    "formats, each with a --help of its own:\n";

static const char usage_tail[] =
    "\n"
    "options of all formats:\n"
    "  --run ID      the run to make, for a single file; else it is named like the\n"
    "                file, which of several in a directory is the path below it with\n"
    "                - for /\n"
    "  --start TIME  like 2025-07-06T12:00:00Z: when the file begins, where it does\n"
    "                not tell; without it that is the first time there is, else the\n"
    "                file's modification time\n"
    "  --end TIME    when the file ends, for files with steps or rows and no times;\n"
    "                else that is the file's modification time\n"
    "\n"
    "example: astraml import mllog --run bert-1 results/bert/result_1.txt.gz\n"
    "         astraml import text --start 2025-03-01T00:00:00Z logs/\n"
    "         astraml import csv --label-column host cpu.csv.zst\n";

static const struct import_option common_options[] = { { .name = "run", .is_silent = true },
						       { .name = "start" },
						       { .name = "end" },
						       { .name = "help", .is_flag = true, .is_silent = true },
						       { .name = NULL } };

struct options {
	const struct target *target;
	const struct import_format *format;
	struct import_args args;
	const char *run;             /* NULL: named like the file */
	struct import_context times; /* --start and --end */
};

/* What stands around one run while it is imported. */
struct import {
	const struct options *o;
	struct walk walk;
	int64_t imported_ns; /* when it was first imported */
	struct survey survey;
	struct upload *upload;
	uint8_t producer[PRODUCER_ID_BYTES];
};

/* ---- the run ---- */

static void import_id_of(const struct import *im, char ret[2 * PRODUCER_ID_BYTES + 1])
{
	for (size_t i = 0; i < PRODUCER_ID_BYTES; i++)
		snprintf(ret + 2 * i, 3, "%02x", im->producer[i]);
}

/* The run as it was exported.  That it was imported here is said beside its tags, which are its own. */
static int build_exported(const struct import *im, struct buf *b)
{
	char name[SHOWN_NAME_MAX + 1], id[2 * PRODUCER_ID_BYTES + 1];
	char start[CLOCK_TEXT_MAX], file_time[CLOCK_TEXT_MAX], now[CLOCK_TEXT_MAX];
	struct span at = im->survey.run.spec, key;
	struct json_value value;
	int err;

	shown_name(im->walk.item->name, name);
	clock_format(im->walk.context.reference_ns, file_time);
	clock_format(im->imported_ns, now);
	import_id_of(im, id);
	buf_clear(b);
	err = buf_addf(b, "{\"id\":\"%s\",\"state\":\"running\",\"imported\":true", im->upload->run);
	if (err == 0 && im->survey.run.started_ns) {
		clock_format(im->survey.run.started_ns, start);
		err = buf_addf(b, ",\"started_at\":\"%s\"", start);
	}
	while (err == 0 && json_member(&at, &key, &value)) {
		if (span_is(key, "imported_from"))
			continue;
		if ((err = buf_addstr(b, ",\"")) < 0 || (err = buf_add(b, key.data, key.len)) < 0 ||
		    (err = buf_addstr(b, "\":")) < 0)
			return err;
		err = buf_add(b, value.text.data, value.text.len);
	}
	if (err < 0 ||
	    (err = buf_addf(
		 b,
		 ",\"imported_from\":{\"format\":\"%s\",\"id\":\"%s\",\"time\":\"%s\",\"file_time\":\"%s\","
		 "\"file\":",
		 im->o->format->name, id, now, file_time)) < 0 ||
	    (err = add_json_text(b, name)) < 0)
		return err;
	return buf_addstr(b, "}}");
}

/* The body that creates the run. */
static int build_spec(const struct import *im, int64_t start_ns, struct buf *b)
{
	char name[SHOWN_NAME_MAX + 1], id[2 * PRODUCER_ID_BYTES + 1];
	char start[CLOCK_TEXT_MAX], file_time[CLOCK_TEXT_MAX], now[CLOCK_TEXT_MAX];
	int err;

	shown_name(im->walk.item->name, name);
	clock_format(start_ns, start);
	if (im->survey.run.spec.len)
		return build_exported(im, b);
	clock_format(im->walk.context.reference_ns, file_time);
	clock_format(im->imported_ns, now);
	import_id_of(im, id);
	buf_clear(b);
	if ((err = buf_addf(
		 b, "{\"id\":\"%s\",\"state\":\"running\",\"imported\":true,\"started_at\":\"%s\",\"name\":",
		 im->upload->run, start)) < 0 ||
	    (err = add_json_text(b, name)) < 0 ||
	    (err = buf_addf(b,
			    ",\"tags\":{\"import\":\"%s\",\"import_id\":\"%s\",\"import_time\":\"%s\","
			    "\"import_file_time\":\"%s\",\"import_file\":",
			    im->o->format->name, id, now, file_time)) < 0 ||
	    (err = add_json_text(b, name)) < 0 || (err = buf_addstr(b, "},\"hyperparams\":{")) < 0 ||
	    (err = buf_add(b, im->survey.params.data, im->survey.params.len)) < 0 ||
	    (err = buf_addstr(b, "}")) < 0)
		return err;
	if (im->survey.run.window.len)
		err = buf_addf(b, ",\"metrics\":{\"window\":\"%s\"}", im->survey.window);
	return err < 0 ? err : buf_addstr(b, "}");
}

/* A run that is there already must be of these very bytes, or be named by --run and be no import. */
static int check_run(const struct import *im, const struct upload_run *run, struct fault *f)
{
	char id[2 * PRODUCER_ID_BYTES + 1];
	const char *r = im->upload->run;

	import_id_of(im, id);
	if (strcmp(run->import_id, id) == 0)
		return 0;
	if (run->import_id[0])
		return fault_set(
		    f, ERR_CONFLICT, "run",
		    "run %s is an import of %.100s with other content or options; give this file a run of "
		    "its own with --run",
		    r, run->import_file);
	if (im->o->run)
		return 0;
	return fault_set(
	    f, ERR_CONFLICT, "run",
	    "run %s is there already and was not made by an import; name another with --run, or say "
	    "--run %s to add to it",
	    r, r);
}

/* What the file does not tell but the day of its first import did: the run keeps it. */
static void choose_times(struct import *im, const struct upload_run *run)
{
	struct import_context *c = &im->walk.context;
	int64_t mtime = im->walk.item->mtime_ns;

	im->imported_ns = run->has_times ? run->imported_ns : clock_now_ns();
	im->walk.latest_ns = im->imported_ns + AHEAD_NS;
	if (run->has_times)
		c->reference_ns = run->reference_ns;
	else
		c->reference_ns = mtime < 1 ? 1 : mtime > im->imported_ns ? im->imported_ns : mtime;
}

/* Where relative times count from. */
static int64_t origin_of(const struct import *im)
{
	const struct import_context *c = &im->walk.context;
	int64_t end = c->has_end ? c->end_ns : c->reference_ns, origin;

	if (c->has_start)
		return c->start_ns;
	return __builtin_sub_overflow(end, im->survey.greatest_ns, &origin) ? 0 : origin;
}

/* When the run starts, as far as the file and the options say. */
static int64_t start_of(const struct import *im)
{
	const struct import_context *c = &im->walk.context;
	int64_t start;

	if (im->survey.has_time)
		return im->survey.first_ns;
	if (im->survey.has_relative && !__builtin_add_overflow(origin_of(im), im->survey.least_ns, &start) &&
	    start > 0 && start < LINE_TIME_END_NS)
		return start;
	return c->has_start ? c->start_ns : c->reference_ns;
}

/* One that came into being since we looked is ours when a lost answer made us ask again. */
static int make_run(struct import *im, struct upload_run *run, struct fault *f)
{
	int err;

	if (!run->exists) {
		err = build_spec(im, start_of(im), &im->upload->body);
		if (err < 0)
			return fault_default(f, err);
		err = upload_create_run(im->upload, f);
		if (err != ERR_CONFLICT)
			return err;
		err = upload_find_run(im->upload, run, f);
		if (err < 0)
			return err;
	}
	return check_run(im, run, f);
}

/* ---- one run, all runs ---- */

static int send_files(struct import *im, struct upload_run *run, struct fault *f)
{
	struct transfer t = { .walk = &im->walk, .producer = im->producer };
	struct transfer_result result;
	int err;

	survey_producer(&im->walk, im->upload->run, im->producer);
	err = make_run(im, run, f);
	if (err < 0)
		return err;
	t.start_ns = start_of(im);
	t.origin_ns = origin_of(im);
	t.run = im->survey.has_run ? &im->survey.run : NULL;
	err = transfer_files(&t, im->upload, &result, f);
	if (err < 0)
		return err;
	(im->o->target->json ? report_json : report_summary)(im->walk.item, im->upload->run, &result);
	report_left_out(im->walk.item, &result);
	return 0;
}

static int import_item(const struct options *o, const struct import_item *item, struct upload *u,
		       struct progress *p, struct fault *f)
{
	struct import im = { .o = o, .upload = u };
	struct upload_run run;
	int err;

	im.walk = (struct walk){ item, o->format, o->times, 0, NULL, p };
	im.walk.context.args = &o->args;
	snprintf(u->run, sizeof(u->run), "%s", o->run ? o->run : item->run);
	err = upload_find_run(u, &run, f);
	if (err < 0)
		return err;
	choose_times(&im, &run);
	im.walk.content = calloc(item->n_paths, sizeof(*im.walk.content));
	if (!im.walk.content)
		return fault_default(f, ERR_NOMEM);
	err = survey_files(&im.walk, &im.survey, f);
	if (err == 0) {
		err = send_files(&im, &run, f);
		survey_release(&im.survey);
	}
	free(im.walk.content);
	return err;
}

/* Whether the other files would fare no better. */
static bool is_final(int err)
{
	return err != ERR_MALFORMED && err != ERR_REFUSED && err != ERR_NOT_FOUND && err != ERR_CONFLICT &&
	       err != ERR_DENIED && err != ERR_TOO_LARGE;
}

static int import_items(const struct options *o, const struct file_list *l, struct client *client)
{
	struct upload upload;
	struct progress p;
	uint64_t bytes = 0, before = 0;
	int status = EXIT_OK, err = 0;

	for (size_t i = 0; i < l->n; i++)
		bytes += l->items[i].bytes;
	progress_start(&p, bytes, 2); /* read, then sent */
	upload_init(&upload, client, o->target->project);
	for (size_t i = 0; i < l->n && !(err < 0 && is_final(err)); i++) {
		struct fault f = { 0 };

		err = import_item(o, &l->items[i], &upload, &p, &f);
		before += 2 * l->items[i].bytes;
		progress_add(&p, before - p.before); /* what an error left out */
		if (err == 0)
			continue;
		fault_default(&f, err);
		report_problem(l->items[i].name, f.text);
		status = exit_status_of(err);
	}
	upload_release(&upload);
	return status;
}

/* ---- the command line ---- */

static int usage_error(const char *what, const char *value)
{
	fprintf(stderr, "astraml import: ");
	fprintf(stderr, what, value);
	fprintf(stderr, "; see astraml import --help\n");
	return EXIT_USAGE;
}

static int print_usage(void)
{
	fputs(usage_head, stdout);
	for (size_t i = 0; i < N_FORMATS; i++)
		printf("  %-12s  %s\n", formats[i]->name, formats[i]->summary);
	fputs(usage_tail, stdout);
	return EXIT_OK;
}

static int print_format(const struct import_format *format)
{
	printf("usage: astraml import %s FILE... [OPTIONS]\n\n", format->name);
	fputs(format->help, stdout);
	puts("\n--run, --start and --end: see astraml import --help");
	return EXIT_OK;
}

static int no_format(const char *name)
{
	fprintf(stderr, "astraml import: there is no format %.100s; there is:", name);
	for (size_t i = 0; i < N_FORMATS; i++)
		fprintf(stderr, " %s", formats[i]->name);
	fputs("\n", stderr);
	return EXIT_USAGE;
}

static const struct import_format *find_format(const char *name)
{
	for (size_t i = 0; i < N_FORMATS; i++)
		if (strcmp(name, formats[i]->name) == 0)
			return formats[i];
	return NULL;
}

static bool take_time(const struct options *o, const char *name, bool *ret_has, int64_t *ret_ns)
{
	const char *text = import_arg(&o->args, name, 0);

	*ret_has = text != NULL;
	return !text || clock_parse(text, strlen(text), ret_ns);
}

/* 0, or an exit status. */
static int check_options(struct options *o)
{
	struct fault f = { 0 };

	o->run = import_arg(&o->args, "run", 0);
	if (!take_time(o, "start", &o->times.has_start, &o->times.start_ns))
		return usage_error("--start %s is not a time like 2025-07-06T12:00:00Z",
				   import_arg(&o->args, "start", 0));
	if (!take_time(o, "end", &o->times.has_end, &o->times.end_ns))
		return usage_error("--end %s is not a time like 2025-07-06T12:00:00Z",
				   import_arg(&o->args, "end", 0));
	if (o->run && !run_id_ok(o->run))
		return usage_error("--run %s is no run id: 1 to 64 of A-Z a-z 0-9 . _ -", o->run);
	if (o->format->check && o->format->check(&o->args, &f) < 0)
		return usage_error("%s", f.text);
	return EXIT_OK;
}

static void write_text(const char *s)
{
	ssize_t n = write(STDERR_FILENO, s, strlen(s));

	(void)n;
}

/* Nothing to tidy up: what was acknowledged is there, and a repetition adds the rest. */
static void on_interrupt(int signal_number)
{
	if (isatty(STDERR_FILENO))
		write_text("\r\033[K");
	write_text("astraml import: interrupted; import again, and it goes on where it stopped\n");
	signal(signal_number, SIG_DFL);
	raise(signal_number);
}

/* list: NULL where the format does it all. */
static int import_with_client(struct options *o, const struct file_list *list, const struct import_job *job)
{
	struct fault f = { 0 };
	struct client *client = NULL;
	int status, err = client_new(o->target->url, o->target->token, CONNECT_TIMEOUT_MS, &client, &f);

	if (err < 0) {
		fprintf(stderr, "astraml import: %s\n", f.text);
		return exit_status_of(err);
	}
	signal(SIGINT, on_interrupt);
	signal(SIGTERM, on_interrupt);
	status = list ? import_items(o, list, client) : o->format->import(job, client);
	client_free(client);
	return status;
}

static int import_named(struct options *o, int n, char **paths)
{
	struct file_list list = { 0 };
	struct fault f = { 0 };
	struct import_job job = { o->target, &o->args, o->run, paths, (size_t)n };
	int err = 0, status;

	if (o->format->import)
		return import_with_client(o, NULL, &job);
	for (int i = 0; i < n && err == 0; i++)
		err = file_list_add(&list, paths[i], o->format, &f);
	if (err == 0 && o->run && list.n > 1)
		err =
		    fault_set(&f, ERR_REFUSED, "run", "--run is for a single run, and these are %zu", list.n);
	if (err == 0 && list.n == 0)
		err = fault_set(&f, ERR_NOT_FOUND, "file", "there is no file for %s in %.300s",
				o->format->name, paths[0]);
	if (err == 0)
		err = file_list_check(&list, &f);
	if (err < 0) {
		fprintf(stderr, "astraml import: %s\n", f.text);
		status = err == ERR_REFUSED ? EXIT_USAGE : exit_status_of(err);
	} else {
		status = import_with_client(o, &list, NULL);
	}
	file_list_release(&list);
	return status;
}

int verb_import(const struct target *t, int argc, char **argv)
{
	struct options o = { .target = t };
	char why[ARGS_WHY_MAX];
	int rest, status;

	if (sodium_init() < 0)
		return EXIT_TROUBLE;
	if (argc >= 2 && strcmp(argv[1], "--help") == 0)
		return print_usage();
	if (argc < 2 || argv[1][0] == '-')
		return usage_error("%s", "which format, and which files?  The format comes first");
	o.format = find_format(argv[1]);
	if (!o.format)
		return no_format(argv[1]);
	if (!import_args_parse(argc - 1, argv + 1, common_options, o.format->options, &o.args, &rest, why))
		return usage_error("%s", why);
	if (import_arg(&o.args, "help", 0))
		return print_format(o.format);
	status = check_options(&o);
	if (status != EXIT_OK)
		return status;
	if (rest == argc - 1)
		return usage_error("which files of format %s?", argv[1]);
	return import_named(&o, argc - 1 - rest, argv + 1 + rest);
}
