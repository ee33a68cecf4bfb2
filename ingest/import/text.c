/*
 * text.c - console text: every line a log record of stream `console`, bytes and line end as they are.
 */
#include "ingest/import/format.h"
#include "ingest/import/mllog.h"
#include "ingest/import/time_format.h"

struct text_reader {
	const char *time_format; /* NULL: the forms of line_time.h */
	struct year_rule years;
	struct line_facts facts;
	uint64_t lines, timed;
};

static int find_time(struct text_reader *r, struct span line, struct import_log *log)
{
	struct line_time found;
	int err;

	line_time_find(line, &r->years, &found);
	if (r->time_format) {
		found.has_time = time_format_parse(r->time_format, line, false, &r->years, &found.t_ns);
	} else if (!found.has_time && memmem(line.data, line.len, ":::ML", 5)) {
		err = mllog_parse_line(line, &r->facts);
		if (err < 0)
			return err;
		found.has_time = r->facts.has_time;
		found.t_ns = r->facts.t_ns;
	}
	if (found.has_time)
		log->time = (struct import_time){ TIME_ABSOLUTE, found.t_ns };
	r->lines++;
	r->timed += found.has_time;
	return 0;
}

static int text_read(const struct import_context *c, struct input *in, struct import_sink *k, struct fault *f)
{
	struct text_reader r = { .time_format = import_arg(c->args, "time-format", 0),
				 .years = import_years(c) };
	struct span line;
	int err;

	line_facts_init(&r.facts);
	while ((err = input_line(in, &line, f)) == 0) {
		struct import_log log = { .text = line, .rank = RANK_NONE };

		if ((err = find_time(&r, line, &log)) < 0 || (err = k->log(k, &log, f)) < 0)
			break;
	}
	line_facts_release(&r.facts);
	if (err < 0)
		return err;
	if (r.time_format && r.lines > 0 && r.timed == 0)
		sink_note(k, "no line begins with a time of the form %s", r.time_format);
	return 0;
}

static int text_check(const struct import_args *args, struct fault *f)
{
	const char *format = import_arg(args, "time-format", 0);

	return format ? time_format_check(format, f) : 0;
}

static const struct import_option options[] = { { .name = "time-format" }, { .name = NULL } };

static const char help[] =
    "Console text of any program: every line is a log record of stream `console`,\n"
    "bytes and line ends as they are.  Times are recognised in the forms of absl and\n"
    "glog, Python's logging, ISO 8601, syslog, log4j, nginx and Apache, ctime, and in\n"
    "MLPerf lines; a line without one has that of the line above.  Times without a\n"
    "zone are UTC; without a year they are of the last year that is not after the\n"
    "file's modification time, or with --start of the first one from it on.  Levels\n"
    "(I W E F of absl, INFO, WARNING ...) become the record's.\n"
    "\n"
    "  --time-format F  lines begin with a time like this, in the words of strptime,\n"
    "                   and %f for a fraction: \"[%d.%m.%Y %H:%M:%S.%f]\"\n"
    "\n"
    "example: astraml import text --start 2025-03-01T00:00:00Z train.log.gz\n";

const struct import_format text_format = {
	.name = "text",
	.version = "1",
	.summary = "console text of any program: logs only",
	.help = help,
	.options = options,
	.check = text_check,
	.read = text_read,
};
