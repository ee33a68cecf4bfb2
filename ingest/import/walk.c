#include "ingest/import/walk.h"

#include <stdarg.h>
#include <stdio.h>

#define NOTE_MAX 400

void sink_note(struct import_sink *k, const char *format, ...)
{
	char text[NOTE_MAX];
	va_list args;

	va_start(args, format);
	vsnprintf(text, sizeof(text), format, args);
	va_end(args);
	k->note(k, text);
}

struct year_rule import_years(const struct import_context *c)
{
	if (c->has_start)
		return year_rule_from(c->start_ns);
	return year_rule_until(c->has_end ? c->end_ns : c->reference_ns);
}

/* Which of several files is at fault. */
static int name_file(const struct walk *w, const char *path, int err, struct fault *f)
{
	struct fault inner;

	fault_default(f, err);
	if (w->item->n_paths == 1)
		return err;
	inner = *f;
	return fault_set(f, err, inner.field, "%.200s: %s", path, inner.text);
}

static int walk_file(const struct walk *w, size_t i, bool second, struct import_sink *k, struct fault *f)
{
	const char *path = w->item->paths[i];
	struct input *in = NULL;
	int err = input_open(path, second ? &w->content[i] : NULL, w->progress, &in, f);

	if (err == 0)
		err = w->format->read(&w->context, in, k, f);
	if (err == 0)
		err = input_finish(in, second ? NULL : &w->content[i], f);
	input_free(in);
	progress_add(w->progress, w->item->sizes[i]);
	return err < 0 ? name_file(w, path, err, f) : 0;
}

int walk_files(const struct walk *w, bool second, struct import_sink *k, struct fault *f)
{
	int err = 0;

	progress_walk(w->progress, second ? "sending" : "reading", w->item->name);
	for (size_t i = 0; i < w->item->n_paths && err == 0; i++)
		err = walk_file(w, i, second, k, f);
	progress_clear(w->progress);
	return err;
}
