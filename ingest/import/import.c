#include "ingest/import/import.h"

#include <getopt.h>
#include <inttypes.h>
#include <sodium/core.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "ingest/import/file_list.h"
#include "ingest/import/metric_names.h"
#include "ingest/import/transfer.h"
#include "ingest/names.h"

#define CONNECT_TIMEOUT_MS 10000
#define SHOWN_NAME_MAX     250 /* what a name and a tag of a run hold */

static const struct import_format *const formats[] = { &mllog_format };
#define N_FORMATS (sizeof(formats) / sizeof(formats[0]))

static const char usage[] =
    "usage: astraml import FORMAT FILE... [--run ID] [--start TIME]\n"
    "\n"
    "Turns files of other tools into runs.  One file is one run; a directory stands for all files in\n"
    "it.  gzip and zstd are unpacked.  Importing a file again changes nothing, and goes on where an\n"
    "import broke off.\n"
    "\n"
    "formats:\n"
    "  mllog         result logs of MLPerf Training: :::MLLOG, :::MLL and :::MLPv0.5.0 lines become\n"
    "                metrics, every line a log record of stream `console`\n"
    "\n"
    "  --run ID      the run to make, for a single file; else it is named like the file\n"
    "  --start TIME  the time of lines before which none has a time, like 2025-07-06T12:00:00Z;\n"
    "                else that of the first line with one, else when the file was last changed\n"
    "\n"
    "example: astraml import mllog --run bert-1 results/bert/result_1.txt.gz\n";

struct options {
	const struct target *target;
	const struct import_format *format;
	const char *run;   /* NULL: named like the file */
	const char *start; /* NULL: none */
	int64_t start_ns;
};

/* What stands around one file while it is imported. */
struct import {
	const struct options *o;
	const struct import_file *file;
	struct line_file *text;
	struct survey survey;
	struct upload *upload;
	struct progress progress;
	uint8_t producer[PRODUCER_ID_BYTES];
};

/* The file's name as a name and tag of a run may hold it: bytes that may not be in one become '?'. */
static void shown_name(const char *name, char ret[SHOWN_NAME_MAX + 1])
{
	bool good;
	size_t len = strlen(name);

	if (len > SHOWN_NAME_MAX)
		len = SHOWN_NAME_MAX;
	memcpy(ret, name, len);
	ret[len] = 0;
	good = name_is_clean(span_of(ret, len));
	for (size_t i = 0; i < len && !good; i++)
		if ((unsigned char)ret[i] < 0x20 || (unsigned char)ret[i] >= 0x7f)
			ret[i] = '?';
}

static int add_json_text(struct buf *b, const char *s)
{
	int err = buf_addch(b, '"');

	for (; *s && err == 0; s++) {
		if (*s == '"' || *s == '\\')
			err = buf_addch(b, '\\');
		if (err == 0)
			err = buf_addch(b, *s);
	}
	return err < 0 ? err : buf_addch(b, '"');
}

static void import_id_of(const struct import *im, char ret[2 * PRODUCER_ID_BYTES + 1])
{
	for (size_t i = 0; i < PRODUCER_ID_BYTES; i++)
		snprintf(ret + 2 * i, 3, "%02x", im->producer[i]);
}

/* The body that creates the run. */
static int build_spec(const struct import *im, int64_t start_ns, struct buf *b)
{
	char name[SHOWN_NAME_MAX + 1], start[CLOCK_TEXT_MAX], id[2 * PRODUCER_ID_BYTES + 1];
	int err;

	shown_name(im->file->name, name);
	clock_format(start_ns, start);
	import_id_of(im, id);
	buf_clear(b);
	if ((err = buf_addf(
		 b, "{\"id\":\"%s\",\"state\":\"running\",\"imported\":true,\"started_at\":\"%s\",\"name\":",
		 im->upload->run, start)) < 0 ||
	    (err = add_json_text(b, name)) < 0 ||
	    (err = buf_addf(b, ",\"tags\":{\"import\":\"%s\",\"import_id\":\"%s\",\"import_file\":",
			    im->o->format->name, id)) < 0 ||
	    (err = add_json_text(b, name)) < 0 || (err = buf_addstr(b, "},\"hyperparams\":{")) < 0 ||
	    (err = buf_add(b, im->survey.params.data, im->survey.params.len)) < 0)
		return err;
	return buf_addstr(b, "}}");
}

/* A run that is there already must be of these very bytes, or be named by --run and be no import. */
static int check_run(const struct import *im, const struct upload_run *run, struct fault *f)
{
	char id[2 * PRODUCER_ID_BYTES + 1];
	const char *r = im->upload->run;

	import_id_of(im, id);
	if (run->created || strcmp(run->import_id, id) == 0)
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

/* When the run starts, as far as the file and the options say. */
static int64_t chosen_start(const struct import *im)
{
	int64_t mtime = line_file_mtime_ns(im->text), now = clock_now_ns();

	if (im->survey.has_time)
		return im->survey.first_ns;
	if (im->o->start)
		return im->o->start_ns;
	return mtime < 1 ? 1 : mtime > now ? now : mtime;
}

static int make_run(struct import *im, int64_t *ret_start_ns, struct fault *f)
{
	struct upload_run run;
	int64_t start_ns = chosen_start(im);
	int err = build_spec(im, start_ns, &im->upload->body);

	if (err < 0)
		return fault_default(f, err);
	err = upload_create_run(im->upload, &run, f);
	if (err < 0 || (err = check_run(im, &run, f)) < 0)
		return err;
	/* a file without times may have another modification time today */
	if (!im->survey.has_time && !im->o->start && run.has_start)
		start_ns = run.started_ns;
	*ret_start_ns = start_ns;
	return 0;
}

/* ---- what is said about it ---- */

/* "1,234" */
static const char *grouped(uint64_t n, char ret[32])
{
	char plain[24];
	int len = snprintf(plain, sizeof(plain), "%" PRIu64, n), at = 0;

	for (int i = 0; i < len; i++) {
		if (i > 0 && (len - i) % 3 == 0)
			ret[at++] = ',';
		ret[at++] = plain[i];
	}
	ret[at] = 0;
	return ret;
}

/* Whole seconds. */
static void print_time(int64_t t_ns)
{
	char text[CLOCK_TEXT_MAX];

	clock_format(t_ns - t_ns % NS_PER_S, text);
	fputs(text, stdout);
}

static void print_summary(const struct import *im, const struct transfer_result *r)
{
	char lines[32], samples[32], metrics[32];

	printf("%s -> run %s: %s line%s, %s sample%s of %s metric%s", im->file->name, im->upload->run,
	       grouped(r->lines, lines), r->lines == 1 ? "" : "s", grouped(r->samples, samples),
	       r->samples == 1 ? "" : "s", grouped(r->metrics, metrics), r->metrics == 1 ? "" : "s");
	if (r->lines > 0) {
		fputs(", ", stdout);
		print_time(r->first_ns);
		fputs(" .. ", stdout);
		print_time(r->last_ns);
	}
	puts(r->duplicates == r->requests ? " (already there)" : "");
	fflush(stdout);
}

static void print_json(const struct import *im, const struct transfer_result *r)
{
	struct buf b;

	buf_init(&b, 64 * 1024);
	if (buf_addstr(&b, "{\"file\":") < 0 || add_json_text(&b, im->file->name) < 0 ||
	    buf_addf(&b,
		     ",\"run\":\"%s\",\"lines\":%" PRIu64 ",\"samples\":%" PRIu64 ",\"metrics\":%" PRIu64
		     ",\"already_there\":%s}",
		     im->upload->run, r->lines, r->samples, r->metrics,
		     r->duplicates == r->requests ? "true" : "false") < 0)
		abort(); /* a file name has 255 bytes */
	puts(buf_cstr(&b));
	fflush(stdout);
	buf_release(&b);
}

static void warn_left_out(const struct import *im, const struct transfer_result *r)
{
	const char *name = im->file->name;

	if (r->refused_names > 0)
		fprintf(stderr,
			"astraml import: %s: %" PRIu64
			" samples were left out: the name of a metric has 1 to %d bytes "
			"of UTF-8 without control characters, and a run has at most %d of them\n",
			name, r->refused_names, METRIC_NAME_MAX, METRIC_NAMES_MAX);
	if (r->rejected_samples + r->rejected_lines > 0)
		fprintf(stderr,
			"astraml import: %s: the server left out %" PRIu64 " samples and %" PRIu64
			" lines (%s)\n",
			name, r->rejected_samples, r->rejected_lines, r->reject_code);
}

/* ---- one file, all files ---- */

static int send_file(struct import *im, struct fault *f)
{
	struct transfer t = { .format = im->o->format, .survey = &im->survey, .producer = im->producer };
	struct transfer_result result;
	int err;

	survey_producer(&im->survey, im->o->format, im->upload->run, im->o->start, im->producer);
	err = make_run(im, &t.start_ns, f);
	if (err < 0)
		return err;
	progress_start(&im->progress, "sending", im->file->name);
	err = transfer_file(im->text, &t, im->upload, &im->progress, &result, f);
	progress_clear(&im->progress);
	if (err < 0)
		return err;
	(im->o->target->json ? print_json : print_summary)(im, &result);
	warn_left_out(im, &result);
	return 0;
}

static int import_file(const struct options *o, const struct import_file *file, struct upload *u,
		       struct fault *f)
{
	struct import im = { .o = o, .file = file, .upload = u };
	int err = line_file_open(file->path, &im.text, f);

	if (err < 0)
		return err;
	snprintf(u->run, sizeof(u->run), "%s", o->run ? o->run : file->run);
	progress_start(&im.progress, "reading", file->name);
	err = survey_file(im.text, o->format, &im.progress, &im.survey, f);
	progress_clear(&im.progress);
	if (err == 0) {
		err = send_file(&im, f);
		survey_release(&im.survey);
	}
	line_file_free(im.text);
	return err;
}

/* Whether the other files would fare no better. */
static bool is_final(int err)
{
	return err != ERR_MALFORMED && err != ERR_REFUSED && err != ERR_NOT_FOUND && err != ERR_CONFLICT &&
	       err != ERR_DENIED && err != ERR_TOO_LARGE;
}

static int import_files(const struct options *o, const struct file_list *l)
{
	struct fault f = { 0 };
	struct client *client = NULL;
	struct upload upload;
	int status = EXIT_OK,
	    err = client_new(o->target->url, o->target->token, CONNECT_TIMEOUT_MS, &client, &f);

	if (err < 0) {
		fprintf(stderr, "astraml import: %s\n", f.text);
		return exit_status_of(err);
	}
	upload_init(&upload, client, o->target->project);
	for (size_t i = 0; i < l->n; i++) {
		f = (struct fault){ 0 };
		err = import_file(o, &l->files[i], &upload, &f);
		if (err == 0)
			continue;
		fault_default(&f, err);
		fprintf(stderr, "astraml import: %s: %s\n", l->files[i].name, f.text);
		status = exit_status_of(err);
		if (is_final(err))
			break;
	}
	upload_release(&upload);
	client_free(client);
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

static const struct import_format *find_format(const char *name)
{
	for (size_t i = 0; i < N_FORMATS; i++)
		if (strcmp(name, formats[i]->name) == 0)
			return formats[i];
	return NULL;
}

/* 0: go on; else *ret_status is how the verb ends. */
static int parse_options(int argc, char **argv, struct options *o, int *ret_status)
{
	static const struct option known[] = { { "run", required_argument, NULL, 'r' },
					       { "start", required_argument, NULL, 's' },
					       { "help", no_argument, NULL, 'h' },
					       { 0 } };
	int c;

	optind = 0;
	opterr = 0;
	while ((c = getopt_long(argc, argv, ":", known, NULL)) != -1) {
		*ret_status = EXIT_USAGE;
		if (c == 'h') {
			fputs(usage, stdout);
			*ret_status = EXIT_OK;
			return 1;
		}
		if (c == '?' || c == ':') {
			*ret_status = usage_error(c == ':' ? "%s needs a value" : "there is no option %s",
						  argv[optind - 1]);
			return 1;
		}
		if (c == 'r')
			o->run = optarg;
		if (c == 's' && !clock_parse(optarg, strlen(optarg), &o->start_ns)) {
			*ret_status =
			    usage_error("--start %s is not a time like 2025-07-06T12:00:00Z", optarg);
			return 1;
		}
		if (c == 's')
			o->start = optarg;
	}
	return 0;
}

static int import_named(struct options *o, int n, char **paths)
{
	struct file_list list = { 0 };
	struct fault f = { 0 };
	int err = 0, status;

	for (int i = 0; i < n && err == 0; i++)
		err = file_list_add(&list, paths[i], &f);
	if (err == 0 && o->run && list.n != 1)
		err = fault_set(&f, ERR_REFUSED, "run", "--run is for a single file, and these are %zu",
				list.n);
	if (err == 0 && list.n == 0)
		err = fault_set(&f, ERR_NOT_FOUND, "file", "there is no file in %.300s", paths[0]);
	if (err == 0)
		err = file_list_check(&list, &f);
	if (err < 0) {
		fprintf(stderr, "astraml import: %s\n", f.text);
		status = err == ERR_REFUSED ? EXIT_USAGE : exit_status_of(err);
	} else {
		status = import_files(o, &list);
	}
	file_list_release(&list);
	return status;
}

int verb_import(const struct target *t, int argc, char **argv)
{
	struct options o = { .target = t };
	int status;

	if (sodium_init() < 0)
		return EXIT_TROUBLE;
	if (parse_options(argc, argv, &o, &status) != 0)
		return status;
	if (o.run && !run_id_ok(o.run))
		return usage_error("--run %s is no run id: 1 to 64 of A-Z a-z 0-9 . _ -", o.run);
	if (optind == argc)
		return usage_error("%s", "which format, and which files?");
	o.format = find_format(argv[optind]);
	if (!o.format)
		return usage_error("there is no format %s; there is: mllog", argv[optind]);
	if (optind + 1 == argc)
		return usage_error("which files of format %s?", argv[optind]);
	return import_named(&o, argc - optind - 1, argv + optind + 1);
}
