/*
 * fuzz_csv.c - foreign files through the reader of tables: both walks must say the same.
 *
 * The first byte chooses options.
 */
#include <assert.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>
#include <xxhash.h>

#include "ingest/import/format.h"

struct counting {
	struct import_sink sink;
	uint64_t samples, hash;
};

static int on_sample(struct import_sink *k, const struct import_sample *s, struct fault *f)
{
	struct counting *c = (struct counting *)k;

	(void)f;
	assert(s->metric.len > 0 && s->n_labels <= LABELS_MAX);
	c->samples++;
	c->hash = XXH3_64bits_withSeed(s->metric.data, s->metric.len, c->hash) + (uint64_t)s->time.ns +
		  (uint64_t)s->step;
	for (size_t i = 0; i < s->n_labels; i++)
		c->hash = XXH3_64bits_withSeed(s->labels[i].value.data, s->labels[i].value.len, c->hash);
	return 0;
}

static int on_log(struct import_sink *k, const struct import_log *l, struct fault *f)
{
	(void)k, (void)l, (void)f;
	abort(); /* a table has no lines */
}

static int on_param(struct import_sink *k, struct span key, struct span value)
{
	(void)k, (void)key, (void)value;
	return 0;
}

static void on_note(struct import_sink *k, const char *text)
{
	(void)k;
	assert(text[0]);
}

static int walk(const char *path, const struct import_args *args, struct counting *c)
{
	static struct progress silent;
	struct import_context context = { .args = args, .reference_ns = INT64_C(1741305600000000000) };
	struct fault f = { 0 };
	struct input *in;
	int err;

	*c = (struct counting){
		.sink = { .sample = on_sample, .log = on_log, .param = on_param, .note = on_note }
	};
	assert(input_open(path, NULL, &silent, &in, &f) == 0);
	err = csv_format.read(&context, in, &c->sink, &f);
	assert(err == 0 || (err < 0 && f.text[0]));
	input_free(in);
	return err;
}

static void add(struct import_args *a, const char *name, const char *value)
{
	for (const struct import_option *o = csv_format.options; o->name; o++)
		if (strcmp(o->name, name) == 0)
			a->given[a->n++] = (struct import_arg){ o, 0, value };
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static int fd = -1;
	struct import_args args = { .n = 0 };
	struct counting first, second;
	char path[64];

	if (size == 0)
		return 0;
	if (fd < 0)
		fd = memfd_create("csv", MFD_CLOEXEC);
	assert(fd >= 0 && ftruncate(fd, 0) == 0);
	assert(pwrite(fd, data + 1, size - 1, 0) == (ssize_t)size - 1);
	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	if (data[0] & 1)
		add(&args, "comment", "#");
	if (data[0] & 2)
		add(&args, "no-header", "");
	if (data[0] & 4)
		add(&args, "label-column", data[0] & 2 ? "column_2" : "b");
	if (data[0] & 8) {
		add(&args, "time-column", data[0] & 2 ? "column_1" : "a");
		add(&args, data[0] & 16 ? "relative-time" : "time-format", data[0] & 16 ? "" : "%d.%m.%Y");
	}
	if (walk(path, &args, &first) == 0) {
		assert(walk(path, &args, &second) == 0);
		assert(first.samples == second.samples && first.hash == second.hash);
	}
	return 0;
}
