/*
 * verb_export.c - `astraml export`: a run as lines that can be imported again.
 *
 * A file is written under another name and gets its own when it is complete, so that what is there is whole.
 */
#include <errno.h>
#include <stdio.h>
#include <unistd.h>

#include "query/cli/term.h"
#include "query/cli/verb.h"
#include "store/base/clock.h"

#define TAIL_BYTES      4096 /* of the output, which end in its last line */
#define REDRAW_EVERY_NS (100 * NS_PER_MS)

static const char help[] =
    "usage: astraml export RUN [--format jsonl|csv] [--windows] [-o FILE]\n"
    "\n"
    "Everything of a run, to stdout or into a file.\n"
    "\n"
    "  --format jsonl   JSON lines: the run, its metrics with every bit of them, its\n"
    "                   log (astraml import jsonl FILE makes the same run of it)\n"
    "  --format csv     the metrics only, a row a sample or window (astraml import\n"
    "                   csv FILE)\n"
    "  --windows        metrics by windows; else sample by sample, as long as samples\n"
    "                   are kept, and by windows before that\n"
    "  -o, --output FILE  instead of stdout; FILE is there when all of it is\n"
    "\n"
    "example: astraml export bert-lr3e5 | zstd > bert-lr3e5.jsonl.zst\n";

struct export
{
	FILE *out;
	bool lines; /* jsonl: the last line says whether all is there */
	char tail[TAIL_BYTES];
	size_t n_tail;
	uint64_t bytes;
	bool draws;
	int64_t drawn_ns;
};

static void draw(struct export *e)
{
	int64_t now = clock_mono_ns();
	char text[SHORT_TEXT_MAX];

	if (!e->draws || now - e->drawn_ns < REDRAW_EVERY_NS)
		return;
	e->drawn_ns = now;
	short_bytes(e->bytes, text);
	fprintf(stderr, "\rexported %s\033[K", text);
}

static void keep_tail(struct export *e, struct span piece)
{
	size_t n = piece.len < TAIL_BYTES ? piece.len : TAIL_BYTES, kept = TAIL_BYTES - n;

	kept = kept < e->n_tail ? kept : e->n_tail;
	memmove(e->tail, e->tail + e->n_tail - kept, kept);
	memcpy(e->tail + kept, piece.data + piece.len - n, n);
	e->n_tail = kept + n;
}

static int take(void *arg, struct span piece)
{
	struct export *e = arg;

	if (fwrite(piece.data, 1, piece.len, e->out) != piece.len)
		return 1;
	keep_tail(e, piece);
	e->bytes += piece.len;
	draw(e);
	return 0;
}

/* Whether the export ended as it should. */
static int check_end(const struct export *e, struct fault *f)
{
	const char *line;
	struct json_object *o, *v;
	size_t n = e->n_tail;
	int err = 0;

	while (n > 0 && e->tail[n - 1] == '\n')
		n--;
	line = n > 0 ? memrchr(e->tail, '\n', n) : NULL;
	line = line ? line + 1 : e->tail;
	o = tree_parse(span_of(line, (size_t)(e->tail + n - line)));
	if (json_object_object_get_ex(o, "error", &v))
		err = fault_set(f, ERR_IO, "", "%.400s", tree_text(v, "message"));
	else if (!json_object_object_get_ex(o, "end", &v))
		err = fault_set(f, ERR_IO, "", "the export ended in the middle");
	else if (json_object_object_get_ex(v, "partial", &v) && json_object_get_boolean(v))
		fprintf(stderr,
			"astraml export: damaged blocks had to be left out; astraml verify names them\n");
	json_object_put(o);
	return err;
}

static int write_failed(const char *path, struct fault *f)
{
	return fault_set(f, ERR_IO, "output", "cannot write %.300s: %s", path ? path : "stdout",
			 strerror(errno));
}

static int export_to(struct source *s, const char *path, const char *file, struct export *e, struct fault *f)
{
	int err = source_get(s, path, take, e, f);

	if (e->draws)
		fputs("\r\033[K", stderr);
	if (fflush(e->out) != 0 || ferror(e->out))
		return write_failed(file, f);
	return err == 0 && e->lines ? check_end(e, f) : err;
}

/* Under another name until it is whole. */
static int export_file(struct source *s, const char *path, const char *file, struct export *e,
		       struct fault *f)
{
	struct buf part;
	int err;

	buf_init(&part, 4096);
	if (buf_addf(&part, "%s.part", file) < 0) {
		buf_release(&part);
		return fault_set(f, ERR_TOO_LARGE, "output", "the name of the file is too long");
	}
	e->out = fopen(buf_cstr(&part), "we");
	if (!e->out) {
		err = write_failed(buf_cstr(&part), f);
	} else {
		err = export_to(s, path, file, e, f);
		if (err == 0 && fsync(fileno(e->out)) != 0 && errno != EINVAL)
			err = write_failed(file, f);
		if (fclose(e->out) != 0 && err == 0)
			err = write_failed(file, f);
		if (err == 0 && rename(buf_cstr(&part), file) != 0)
			err = write_failed(file, f);
		if (err < 0)
			unlink(buf_cstr(&part));
	}
	buf_release(&part);
	return err;
}

static int export_run(const struct target *t, const char *run, const char *format, bool windows,
		      const char *file)
{
	struct export e = { .out = stdout, .lines = strcmp(format, "jsonl") == 0 };
	struct source *s;
	struct fault f = { 0 };
	struct buf path;
	int err = source_open(t, &s, &f);

	if (err < 0)
		return verb_fault(&f);
	e.draws = isatty(STDERR_FILENO) && (file || !isatty(STDOUT_FILENO));
	path_init(&path, t);
	path_add(&path, "/runs");
	path_part(&path, run);
	path_add(&path, "/export");
	path_param(&path, "format", format);
	path_param(&path, "samples", windows ? "false" : NULL);
	err = file ? export_file(s, buf_cstr(&path), file, &e, &f)
		   : export_to(s, buf_cstr(&path), NULL, &e, &f);
	buf_release(&path);
	source_close(s);
	if (err < 0)
		return verb_fault(&f);
	if (!e.lines)
		fprintf(stderr,
			"astraml export: CSV has the metrics; the run's spec and its log are in --format "
			"jsonl\n");
	return EXIT_OK;
}

int verb_export(const struct target *t, int argc, char **argv)
{
	const char *format = "jsonl", *file = NULL, *run;
	bool windows = false;
	const struct option_text options[] = {
		{ "--format", 0, &format, NULL },
		{ "--output", 'o', &file, NULL },
		{ "--windows", 0, NULL, &windows },
	};
	struct verb_args args = { .help = help,
				  .options = options,
				  .n_options = sizeof options / sizeof *options,
				  .max_positional = 1 };
	int status;

	if (!verb_parse(&args, argc, argv, &status))
		return status;
	if (!(run = verb_run_id(&args, "export", 1)))
		return EXIT_USAGE;
	if (strcmp(format, "jsonl") != 0 && strcmp(format, "csv") != 0) {
		fprintf(stderr, "astraml export: --format %s is none of jsonl and csv\n", format);
		return EXIT_USAGE;
	}
	return export_run(t, run, format, windows, file);
}
