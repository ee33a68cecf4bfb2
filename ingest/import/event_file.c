#include "ingest/import/event_file.h"

#include <errno.h>
#include <inttypes.h>
#include <sodium/crypto_generichash.h>
#include <stdlib.h>
#include <sys/stat.h>

#include "ingest/import/packed_file.h"
#include "ingest/import/tfrecord.h"
#include "ingest/names.h"

/* Rises when the same bytes give other samples. */
#define READER_VERSION "tensorboard 1, segments " SEGMENT_LAYOUT
#define TEXT_MAX       (TFRECORD_DATA_MAX + 2 * PACKED_FILE_STEP)

int event_file_init(struct event_file *e, char *path)
{
	char *slash;

	*e = (struct event_file){ .path = path };
	if (!path)
		return ERR_NOMEM;
	slash = strrchr(path, '/');
	e->name = slash ? slash + 1 : path;
	segment_init(&e->segment);
	return 0;
}

void event_file_release(struct event_file *e)
{
	free(e->path);
	segment_release(&e->segment);
}

/* ---- bytes to records ---- */

struct record_reader {
	struct packed_file *source;
	struct progress *progress; /* NULL: none */
	uint64_t offset;           /* of the record in hand */
	uint64_t before;           /* unpacked bytes before it that are still to come */
	struct buf text;
	size_t pos; /* of the record in hand, in text */
	struct tfrecord record;
};

static int open_reader(struct record_reader *r, const char *path, uint64_t offset, struct fault *f)
{
	int err;

	*r = (struct record_reader){ .offset = offset };
	buf_init(&r->text, TEXT_MAX);
	err = packed_file_open(path, &r->source, f);
	if (err == 0 && !packed_file_seek(r->source, offset))
		r->before = offset;
	return err;
}

static void close_reader(struct record_reader *r)
{
	packed_file_free(r->source);
	buf_release(&r->text);
}

static struct span text_left(const struct record_reader *r)
{
	size_t n = r->text.len - r->pos;

	return n ? span_of(r->text.data + r->pos, n) : (struct span){ 0 };
}

/* Some more text.  1: there is no more. */
static int refill(struct record_reader *r, struct fault *f)
{
	size_t drop;
	int err;

	buf_consume(&r->text, r->pos);
	r->pos = 0;
	err = packed_file_read(r->source, &r->text, f);
	if (r->progress) /* which takes a file to be walked over twice */
		progress_show(r->progress, 2 * packed_file_done(r->source));
	drop = r->before < r->text.len ? (size_t)r->before : r->text.len;
	buf_consume(&r->text, drop);
	r->before -= drop;
	return err;
}

/* Over a record whose data is of no interest.  1: the file ends before it does. */
static int pass_over(struct record_reader *r, struct fault *f)
{
	uint64_t left = r->record.bytes;

	for (;;) {
		size_t n = text_left(r).len;
		int err;

		n = n < left ? n : (size_t)left;
		r->pos += n;
		left -= n;
		if (left == 0)
			return 0;
		err = refill(r, f);
		if (err != 0)
			return err;
	}
}

/* The next whole record, in r->record.  1: no more; *ret_cut: but a part of one. */
static int next_record(struct record_reader *r, bool *ret_cut, struct fault *f)
{
	for (;;) {
		struct span left = text_left(r);
		int err = tfrecord_scan(left, r->offset, &r->record, f);

		if (err == 0 && r->record.passed_over) {
			err = pass_over(r, f);
			*ret_cut = err == 1;
			return err;
		}
		if (err == 0)
			r->pos += (size_t)r->record.bytes;
		if (err <= 0)
			return err;
		err = refill(r, f);
		if (err < 0)
			return err;
		*ret_cut = err == 1 && left.len > 0;
		if (err == 1)
			return 1;
	}
}

/* ---- identity ---- */

static size_t without_packing(const char *name)
{
	static const char *const known[] = { ".gz", ".zst", ".zstd" };
	size_t len = strlen(name);

	for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++) {
		size_t n = strlen(known[i]);

		if (len > n && strcmp(name + len - n, known[i]) == 0)
			return len - n;
	}
	return len;
}

static void take_identity(struct event_file *e, struct span record)
{
	crypto_generichash_state hash;

	crypto_generichash_init(&hash, NULL, 0, EVENT_FILE_ID_BYTES);
	crypto_generichash_update(&hash, (const uint8_t *)READER_VERSION, sizeof(READER_VERSION));
	crypto_generichash_update(&hash, (const uint8_t *)e->name, without_packing(e->name));
	crypto_generichash_update(&hash, record.data, record.len);
	crypto_generichash_final(&hash, e->id, sizeof(e->id));
	e->has_id = true;
}

static int no_event(uint64_t offset, struct fault *f)
{
	return fault_set(f, ERR_MALFORMED, "file",
			 "the record at byte %" PRIu64 " is no event of TensorBoard, though its checksum is "
			 "right: is this file of another program?",
			 offset);
}

/* 1: the file is as it was when nothing more could be done with it. */
static int look(const struct event_file *e, uint64_t *ret_size, struct fault *f)
{
	struct stat st;

	if (stat(e->path, &st) < 0)
		return errno == ENOENT && e->size > 0 ? 1 : packed_file_cannot_open(e->path, f);
	*ret_size = (uint64_t)st.st_size;
	return e->size > 0 && e->size == *ret_size;
}

static int read_first(struct event_file *e, struct fault *f)
{
	struct record_reader r;
	struct event first;
	int err = open_reader(&r, e->path, 0, f);

	if (err == 0)
		err = next_record(&r, &e->is_cut, f);
	if (err == 0 && (r.record.passed_over || event_parse(r.record.data, &first) < 0))
		err = no_event(0, f);
	if (err == 0) {
		take_identity(e, r.record.data);
		e->first_ns = first.has_time ? first.t_ns : 0;
	}
	close_reader(&r);
	return err;
}

int event_file_identify(struct event_file *e, struct fault *f)
{
	uint64_t size;
	int err = e->is_lost ? 1 : look(e, &size, f);

	if (err != 0)
		return err;
	err = read_first(e, f);
	e->is_damaged = err == ERR_MALFORMED;
	if (e->is_damaged)
		e->size = size;
	return err;
}

/* ---- records to the server ---- */

static int add_scalars(struct event_file *e, struct event *event)
{
	struct event_scalar v;
	int err;

	while ((err = event_next(event, &v)) == 0) {
		bool good = name_check(v.tag, "tag", 1, METRIC_NAME_MAX, NULL) == 0;

		e->timeless += !event->has_time;
		e->nameless += event->has_time && !good;
		if (!event->has_time || !good)
			continue;
		err = segment_add(&e->segment, event->t_ns, event->step, &v);
		if (err < 0)
			return err;
	}
	return err < 0 ? err : 0;
}

static int add_record(struct event_file *e, const struct record_reader *r, struct fault *f)
{
	struct event event = { 0 };
	int err = 0;

	if (!r->record.passed_over && (err = event_parse(r->record.data, &event)) == 0)
		err = add_scalars(e, &event);
	if (err == 0)
		err = segment_end_record(&e->segment);
	if (err < 0) {
		segment_drop_record(&e->segment);
		return err == ERR_MALFORMED ? no_event(r->offset, f) : fault_default(f, err);
	}
	e->large += r->record.passed_over;
	e->others += event.others;
	e->offset += r->record.bytes;
	return 0;
}

/* All that is there, but for the last segment, which may not be complete. */
static int send_records(struct event_file *e, struct record_reader *r, struct event_sender *k,
			struct fault *f)
{
	int err;

	for (;;) {
		if (segment_is_complete(&e->segment)) {
			err = segment_send(&e->segment, e->id, k, f);
			if (err < 0)
				return err;
			segment_next(&e->segment);
		}
		err = next_record(r, &e->is_cut, f);
		if (err != 0)
			return err < 0 ? err : 0;
		err = add_record(e, r, f);
		if (err < 0)
			return err;
		r->offset = e->offset;
	}
}

static int send_all(struct event_file *e, struct event_sender *k, struct fault *f)
{
	struct fault later = { 0 };
	struct record_reader r;
	int err = open_reader(&r, e->path, e->offset, f);

	e->is_cut = false;
	r.progress = k->progress;
	if (err == 0)
		err = send_records(e, &r, k, f);
	if (r.source && r.progress)
		progress_add(r.progress, 2 * packed_file_done(r.source));
	close_reader(&r);
	e->is_damaged = err == ERR_MALFORMED;
	if (err == 0)
		return segment_send(&e->segment, e->id, k, f);
	/* what is before the damage is good */
	if (e->is_damaged && segment_send(&e->segment, e->id, k, &later) < 0) {
		*f = later;
		return later.err;
	}
	return err;
}

int event_file_send(struct event_file *e, struct event_sender *k, struct fault *f)
{
	uint64_t size;
	int err = e->is_lost ? 1 : look(e, &size, f);

	if (err != 0)
		return err < 0 ? err : 0;
	if (size < e->size)
		return fault_set(
		    f, ERR_CONFLICT, "file",
		    "the file had %" PRIu64 " bytes and has %" PRIu64
		    " now: an event file only grows; give the new one a run of its own with --run",
		    e->size, size);
	err = send_all(e, k, f);
	if (err == 0 || err == ERR_MALFORMED)
		e->size = size;
	return err;
}
