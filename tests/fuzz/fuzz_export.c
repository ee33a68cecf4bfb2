/*
 * fuzz_export.c - exports that come back, as JSON lines and as CSV: the readers of both.
 *
 * Each line that a reader hands on is one object on one line, numbers rise, and what is told of the run can
 * be put into a request.  Both walks of an import see the same.
 */
#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include "ingest/import/export_csv.h"
#include "ingest/import/json_span.h"

struct walked {
	struct import_sink sink;
	uint64_t lines, last, bytes, runs;
};

static struct walked *of(struct import_sink *k) { return (struct walked *)k; }

static int see_line(struct import_sink *k, const struct import_line *l, struct fault *f)
{
	(void)f;
	assert(l->text.len >= 2 && l->text.data[0] == '{' && l->text.data[l->text.len - 1] == '}');
	assert(!memchr(l->text.data, '\n', l->text.len));
	assert(l->number > of(k)->last && (l->kind == 0 || strchr("slb", l->kind)));
	assert(l->has_time || l->kind != 'b');
	of(k)->last = l->number;
	of(k)->bytes += l->text.len;
	of(k)->lines++;
	return 0;
}

static int see_run(struct import_sink *k, const struct import_run *r)
{
	struct json_value v;

	assert(r->spec.len == 0 || (json_scan(r->spec, &v) == 0 && v.kind == JSON_OBJECT));
	assert(!memchr(r->spec.data ? r->spec.data : (const uint8_t *)"", '\n', r->spec.len));
	assert(r->window.len <= 8 && r->state > RUN_PREEMPTED && r->state < RUN_LOST);
	of(k)->runs++;
	return 0;
}

static void see_note(struct import_sink *k, const char *text)
{
	(void)k;
	assert(text[0]);
}

typedef int (*read_fn)(const struct import_context *c, struct input *in, struct import_sink *k,
		       struct fault *f);

static int read_csv(const struct import_context *c, struct input *in, struct import_sink *k, struct fault *f)
{
	bool is_export = false;
	int err = export_csv_begins(in, &is_export, f);

	(void)c;
	return err < 0 || !is_export ? err : export_csv_read(in, k, f);
}

static int walk(read_fn read, const char *path, struct progress *p, struct walked *ret)
{
	struct import_context c = { 0 };
	struct fault f = { 0 };
	struct input *in;
	int err;

	*ret = (struct walked){ .sink = { .note = see_note, .line = see_line, .run = see_run } };
	err = input_open(path, NULL, p, &in, &f);
	assert(err == 0);
	err = read(&c, in, &ret->sink, &f);
	assert(err <= 0 && (err == 0 || (f.err == err && f.text[0])));
	input_free(in);
	return err;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const read_fn formats[] = { jsonl_format.read, read_csv };
	int fd = memfd_create("export", MFD_CLOEXEC);
	struct progress p = { 0 };
	char path[32];

	assert(fd >= 0 && write(fd, data, size) == (ssize_t)size);
	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	for (size_t i = 0; i < 2; i++) {
		struct walked first, second;
		int err = walk(formats[i], path, &p, &first);

		assert(walk(formats[i], path, &p, &second) == err);
		assert(first.lines == second.lines && first.bytes == second.bytes &&
		       first.runs == second.runs);
		assert(first.runs <= 1);
	}
	close(fd);
	return 0;
}
