#include "store/raw/rawblock.h"

#include <assert.h>
#include <stdlib.h>

#include "store/base/checksum.h"
#include "store/base/compress.h"
#include "store/format.h"
#include "store/part/scale.h"

#define LEVEL 1

/* Strips with columns of their own that a strip is compared with, the newest ones. */
#define OWNERS 32

/* A series is a strip, and one more for each COLUMN_MAX samples. */
#define SERIES_MAX (RAWBLOCK_STRIPS_MAX - RAWBLOCK_SAMPLES_MAX / COLUMN_MAX)

enum steps { STEPS_NONE, STEPS_ALL, STEPS_SOME, STEPS_BEFORE };

struct head {
	enum codec codec;
	uint32_t count, directory, dense, loose, loose_stored;
};

/* One strip as columns. */
struct strip_columns {
	size_t n;
	int64_t times[COLUMN_MAX], steps[COLUMN_MAX], has[COLUMN_MAX], room[COLUMN_MAX];
	double values[COLUMN_MAX];
};

/* A strip whose times, or whose steps, later ones may have too. */
struct owner {
	size_t strip, at, n; /* its place, and that of its samples */
};

struct rawblock_writer {
	size_t n, n_series;
	struct column_out out;
	struct scale_habit scale;
	struct buf directory; /* and, once they are made, the loose stream behind it */
	struct buf packed;
	struct owner times[OWNERS], steps[OWNERS];
	size_t n_times, n_steps;
	struct strip_columns columns;
	uint32_t sids[RAWBLOCK_SAMPLES_MAX];
	struct point samples[RAWBLOCK_SAMPLES_MAX];
};

struct strip_at {
	uint32_t sid;
	size_t n, times, steps; /* as in the directory */
	struct column_in in;
};

struct rawblock_reader {
	struct buf loose;
	struct strip_columns columns;
	struct point samples[COLUMN_MAX];
	size_t times_of, steps_of; /* strips whose times and steps are in columns; SIZE_MAX: none */
	size_t n_strips;
	struct strip_at strips[RAWBLOCK_STRIPS_MAX];
};

static uint32_t checksum(const uint8_t *block, size_t len, uint64_t offset)
{
	uint8_t at[8];
	uint32_t crc = crc32c(block, RAWBLOCK_HEADER_BYTES - 4);

	put_le64(at, offset);
	crc = crc32c_extend(crc, at, sizeof(at));
	return crc32c_extend(crc, block + RAWBLOCK_HEADER_BYTES, len - RAWBLOCK_HEADER_BYTES);
}

/* ---- writing ---- */

int rawblock_writer_new(struct rawblock_writer **ret)
{
	struct rawblock_writer *w = malloc(sizeof(*w));

	if (!w)
		return ERR_NOMEM;
	w->n = w->n_series = 0;
	w->scale = (struct scale_habit){ .left = 0 };
	buf_init(&w->out.dense, RAWBLOCK_BYTES_MAX);
	buf_init(&w->out.loose, RAWBLOCK_BYTES_MAX);
	buf_init(&w->directory, RAWBLOCK_BYTES_MAX);
	buf_init(&w->packed, RAWBLOCK_BYTES_MAX);
	*ret = w;
	return 0;
}

void rawblock_writer_free(struct rawblock_writer *w)
{
	if (!w)
		return;
	buf_release(&w->out.dense);
	buf_release(&w->out.loose);
	buf_release(&w->directory);
	buf_release(&w->packed);
	free(w);
}

size_t rawblock_count(const struct rawblock_writer *w) { return w->n; }

size_t rawblock_add(struct rawblock_writer *w, uint32_t sid, const struct point *p, size_t n)
{
	size_t room = RAWBLOCK_SAMPLES_MAX - w->n, m = n < room ? n : room;

	bool new_series = w->n == 0 || sid != w->sids[w->n - 1];

	if (m == 0 || (new_series && w->n_series == SERIES_MAX))
		return 0;
	assert(w->n == 0 || sid > w->sids[w->n - 1] ||
	       (!new_series && sample_compare(&w->samples[w->n - 1], p) <= 0));
	w->n_series += new_series;
	for (size_t i = 0; i < m; i++)
		w->sids[w->n + i] = sid;
	memcpy(w->samples + w->n, p, m * sizeof(*p));
	w->n += m;
	return m;
}

static bool same_times(const struct point *a, const struct point *b, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (a[i].t_ns != b[i].t_ns)
			return false;
	return true;
}

static bool same_steps(const struct point *a, const struct point *b, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (a[i].step != b[i].step)
			return false;
	return true;
}

/* The strip that has the same ones already; 0 when there is none: then this one is an owner too. */
static size_t strips_back(struct rawblock_writer *w, struct owner *owners, size_t *n_owners,
			  struct owner mine, bool (*same)(const struct point *, const struct point *, size_t))
{
	for (size_t i = *n_owners; i > 0 && i + OWNERS > *n_owners; i--) {
		const struct owner *o = &owners[(i - 1) % OWNERS];

		if (o->n == mine.n && same(w->samples + o->at, w->samples + mine.at, mine.n))
			return mine.strip - o->strip;
	}
	owners[(*n_owners)++ % OWNERS] = mine;
	return 0;
}

static enum steps steps_of(const struct point *p, size_t n)
{
	size_t has = 0;

	for (size_t i = 0; i < n; i++)
		has += p[i].step != STEP_NONE;
	return has == 0 ? STEPS_NONE : has == n ? STEPS_ALL : STEPS_SOME;
}

static int put_steps(struct rawblock_writer *w, const struct point *p, size_t n, enum steps steps)
{
	struct strip_columns *c = &w->columns;
	int err = 0;

	for (size_t i = 0; i < n; i++) {
		c->has[i] = p[i].step != STEP_NONE;
		c->steps[i] = c->has[i] ? p[i].step : 0;
	}
	if (steps == STEPS_SOME)
		err = column_put(&w->out, c->has, n, NULL, 0);
	return err < 0 ? err : column_put(&w->out, c->steps, n, NULL, 0);
}

static int put_values(struct rawblock_writer *w, size_t n)
{
	struct strip_columns *c = &w->columns;
	struct scale scale = scale_choose_alike(c->values, n, &w->scale);
	int err = scale_put(&w->out, scale);

	return err < 0 ? err : numbers_put(&w->out, scale, c->values, n, NULL, 0, c->room);
}

static int put_columns(struct rawblock_writer *w, const struct owner *strip, size_t *times, size_t *steps)
{
	const struct point *p = w->samples + strip->at;
	struct strip_columns *c = &w->columns;
	enum steps own = steps_of(p, strip->n);
	int err = 0;

	for (size_t i = 0; i < strip->n; i++) {
		c->times[i] = p[i].t_ns;
		c->values[i] = p[i].value;
	}
	*times = strips_back(w, w->times, &w->n_times, *strip, same_times);
	if (*times == 0)
		err = column_put(&w->out, c->times, strip->n, NULL, 0);
	*steps = own ? strips_back(w, w->steps, &w->n_steps, *strip, same_steps) : 0;
	if (err == 0 && own && *steps == 0)
		err = put_steps(w, p, strip->n, own);
	*steps = *steps ? STEPS_BEFORE - 1 + *steps : own;
	return err < 0 ? err : put_values(w, strip->n);
}

static int put_strip(struct rawblock_writer *w, const struct owner *strip)
{
	size_t dense = w->out.dense.len, loose = w->out.loose.len, times, steps;
	uint32_t before = strip->at ? w->sids[strip->at - 1] : 0;
	int err = put_columns(w, strip, &times, &steps);
	uint8_t entry[6 * VARINT_MAX], *p = entry;

	p = put_varint(p, w->sids[strip->at] - before);
	p = put_varint(p, strip->n);
	p = put_varint(p, times);
	p = put_varint(p, steps);
	p = put_varint(p, w->out.dense.len - dense);
	p = put_varint(p, w->out.loose.len - loose);
	return err < 0 ? err : buf_add(&w->directory, entry, (size_t)(p - entry));
}

static size_t strip_len(const uint32_t *sids, size_t n)
{
	size_t len = 1;

	while (len < n && len < COLUMN_MAX && sids[len] == sids[0])
		len++;
	return len;
}

static int put_strips(struct rawblock_writer *w, size_t n)
{
	struct owner strip = { 0 };
	int err = 0;

	buf_clear(&w->out.dense);
	buf_clear(&w->out.loose);
	buf_clear(&w->directory);
	w->n_times = w->n_steps = 0;
	for (; strip.at < n && err == 0; strip.at += strip.n, strip.strip++) {
		strip.n = strip_len(w->sids + strip.at, n - strip.at);
		err = put_strip(w, &strip);
	}
	return err;
}

/* Header and bodies. */
static int put_block(struct rawblock_writer *w, size_t n, uint64_t offset, struct buf *out)
{
	uint8_t head[RAWBLOCK_HEADER_BYTES] = { STORED_MAGIC, KIND_RAW_BLOCK, FORMAT_MAJOR };
	struct span loose;
	size_t at = out->len, directory = w->directory.len;
	int err = buf_add(&w->directory, w->out.loose.data, w->out.loose.len);

	loose = buf_span(&w->directory);
	buf_clear(&w->packed);
	if (err == 0)
		err = compress_block(loose, LEVEL, &w->packed);
	if (err < 0)
		return err;
	if (w->packed.len < loose.len) {
		loose = buf_span(&w->packed);
		head[3] = CODEC_ZSTD;
	}
	put_le32(head + 4, (uint32_t)n);
	put_le32(head + 8, (uint32_t)directory);
	put_le32(head + 12, (uint32_t)w->out.dense.len);
	put_le32(head + 16, (uint32_t)w->directory.len);
	put_le32(head + 20, (uint32_t)loose.len);
	err = buf_add(out, head, sizeof(head));
	if (err == 0)
		err = buf_add(out, w->out.dense.data, w->out.dense.len);
	if (err == 0)
		err = buf_add(out, loose.data, loose.len);
	if (err == 0)
		put_le32(out->data + at + 24, checksum(out->data + at, out->len - at, offset));
	return err;
}

static struct rawblock_range range_of(const struct rawblock_writer *w, size_t n)
{
	struct rawblock_range r = { n, w->sids[0], w->sids[n - 1], INT64_MAX, INT64_MIN };

	for (size_t i = 0; i < n; i++) {
		int64_t t = w->samples[i].t_ns;

		r.least_ns = t < r.least_ns ? t : r.least_ns;
		r.greatest_ns = t > r.greatest_ns ? t : r.greatest_ns;
	}
	return r;
}

int rawblock_finish(struct rawblock_writer *w, size_t n, uint64_t offset, struct buf *out,
		    struct rawblock_range *ret)
{
	int err = put_strips(w, n);

	assert(n > 0 && n <= w->n);
	if (err == 0)
		err = put_block(w, n, offset, out);
	*ret = range_of(w, n);
	w->n -= n;
	w->n_series = w->n > 0;
	memmove(w->sids, w->sids + n, w->n * sizeof(*w->sids));
	memmove(w->samples, w->samples + n, w->n * sizeof(*w->samples));
	for (size_t i = 1; i < w->n; i++)
		w->n_series += w->sids[i] != w->sids[i - 1];
	return err;
}

/* ---- reading ---- */

int rawblock_reader_new(struct rawblock_reader **ret)
{
	struct rawblock_reader *r = malloc(sizeof(*r));

	if (!r)
		return ERR_NOMEM;
	buf_init(&r->loose, RAWBLOCK_BYTES_MAX);
	*ret = r;
	return 0;
}

void rawblock_reader_free(struct rawblock_reader *r)
{
	if (!r)
		return;
	buf_release(&r->loose);
	free(r);
}

static int open_head(struct span block, uint64_t offset, struct head *ret)
{
	const uint8_t *p = block.data;

	if (block.len < RAWBLOCK_HEADER_BYTES || block.len > RAWBLOCK_BYTES_MAX || p[0] != STORED_MAGIC ||
	    p[1] != KIND_RAW_BLOCK || get_le32(p + 24) != checksum(p, block.len, offset))
		return ERR_CORRUPT;
	if (p[2] > FORMAT_MAJOR)
		return ERR_VERSION;
	*ret = (struct head){ (enum codec)p[3], get_le32(p + 4),  get_le32(p + 8),
			      get_le32(p + 12), get_le32(p + 16), get_le32(p + 20) };
	if (ret->codec > CODEC_ZSTD || ret->count > RAWBLOCK_SAMPLES_MAX || ret->loose > RAWBLOCK_BYTES_MAX ||
	    ret->directory > ret->loose ||
	    (uint64_t)RAWBLOCK_HEADER_BYTES + ret->dense + ret->loose_stored != block.len)
		return ERR_CORRUPT;
	return 0;
}

static int open_loose(struct rawblock_reader *r, const struct head *h, struct span stored, struct span *ret)
{
	int err = 0;

	if (h->codec == CODEC_PLAIN) {
		*ret = stored;
		return h->loose == h->loose_stored ? 0 : ERR_CORRUPT;
	}
	buf_clear(&r->loose);
	err = buf_reserve(&r->loose, h->loose);
	if (err == 0)
		err = decompress_block(stored, r->loose.data, h->loose);
	*ret = span_of(r->loose.data, h->loose);
	return err;
}

/* The strip that has the times of strip i, or its steps, is that many before; both have a column. */
static bool owner_fits(const struct rawblock_reader *r, const struct strip_at *s, size_t back, bool steps)
{
	const struct strip_at *o;

	if (back > r->n_strips)
		return false;
	o = &r->strips[r->n_strips - back];
	return o->n == s->n && (steps ? o->steps == STEPS_ALL || o->steps == STEPS_SOME : o->times == 0);
}

/* The next entry of the directory and its share of the two streams. */
static int next_strip(struct rawblock_reader *r, struct reader *directory, struct reader *dense,
		      struct reader *loose)
{
	struct strip_at *s = &r->strips[r->n_strips];
	uint32_t before = r->n_strips ? s[-1].sid : 0;
	uint64_t sid = read_varint(directory), n = read_varint(directory), times = read_varint(directory),
		 steps = read_varint(directory), dense_len = read_varint(directory),
		 loose_len = read_varint(directory);

	if (directory->bad || sid > UINT32_MAX - before || n == 0 || n > COLUMN_MAX ||
	    times > RAWBLOCK_STRIPS_MAX || steps > RAWBLOCK_STRIPS_MAX + STEPS_BEFORE ||
	    dense_len > reader_left(dense) || loose_len > reader_left(loose))
		return ERR_CORRUPT;
	*s = (struct strip_at){ before + (uint32_t)sid, n, times, steps, { { 0 }, { 0 } } };
	if (s->sid == 0 || (times && !owner_fits(r, s, times, false)) ||
	    (steps >= STEPS_BEFORE && !owner_fits(r, s, steps - STEPS_BEFORE + 1, true)))
		return ERR_CORRUPT;
	s->in.dense = reader_of(read_bytes(dense, (size_t)dense_len));
	s->in.loose = reader_of(read_bytes(loose, (size_t)loose_len));
	r->n_strips++;
	return 0;
}

static int open_strips(struct rawblock_reader *r, struct span block, const struct head *h)
{
	struct reader all =
	    reader_of(span_of(block.data + RAWBLOCK_HEADER_BYTES, block.len - RAWBLOCK_HEADER_BYTES));
	struct reader dense = reader_of(read_bytes(&all, h->dense)), directory, loose;
	struct span loose_span;
	uint64_t samples = 0;
	int err = open_loose(r, h, read_bytes(&all, h->loose_stored), &loose_span);

	if (err < 0)
		return err;
	directory = reader_of(span_of(loose_span.data, h->directory));
	loose = reader_of(span_of(loose_span.data + h->directory, loose_span.len - h->directory));
	r->n_strips = 0;
	r->times_of = r->steps_of = SIZE_MAX;
	while (err == 0 && reader_left(&directory)) {
		err = r->n_strips < RAWBLOCK_STRIPS_MAX ? next_strip(r, &directory, &dense, &loose)
							: ERR_CORRUPT;
		samples += err == 0 ? r->strips[r->n_strips - 1].n : 0;
	}
	if (err < 0)
		return err;
	return samples == h->count && !reader_left(&dense) && !reader_left(&loose) ? 0 : ERR_CORRUPT;
}

static int get_steps(struct rawblock_reader *r, struct column_in *in, const struct strip_at *s)
{
	struct strip_columns *c = &r->columns;
	int err = s->steps == STEPS_SOME ? column_get(in, c->has, s->n, NULL, 0) : 0;

	if (err == 0)
		err = column_get(in, c->steps, s->n, NULL, 0);
	for (size_t i = 0; err == 0 && i < s->n; i++) {
		if (s->steps == STEPS_SOME && (c->has[i] | 1) != 1)
			return ERR_CORRUPT;
		if (s->steps == STEPS_SOME && !c->has[i])
			c->steps[i] = STEP_NONE;
	}
	return err;
}

/* Times and steps of strip i, its own and those it has from others, into r->columns; *in is then before its
 * scale.  What was read for the strip before mostly serves again. */
static int get_axes(struct rawblock_reader *r, size_t i, struct column_in *in)
{
	const struct strip_at *s = &r->strips[i];
	size_t times = i - s->times, steps = s->steps < STEPS_BEFORE ? i : i - (s->steps - STEPS_BEFORE + 1);
	int err = 0;

	if (times != i && r->times_of != times) {
		*in = r->strips[times].in;
		err = column_get(in, r->columns.times, s->n, NULL, 0);
	}
	if (err == 0 && steps != i && r->steps_of != steps) {
		*in = r->strips[steps].in;
		if (r->strips[steps].times == 0)
			err = column_get(in, r->columns.room, s->n, NULL, 0);
		if (err == 0)
			err = get_steps(r, in, &r->strips[steps]);
	}
	*in = s->in;
	if (err == 0 && times == i)
		err = column_get(in, r->columns.times, s->n, NULL, 0);
	if (err == 0 && steps == i && s->steps != STEPS_NONE)
		err = get_steps(r, in, s);
	r->times_of = times;
	if (s->steps != STEPS_NONE)
		r->steps_of = steps;
	return err;
}

static int give(struct rawblock_reader *r, const struct strip_at *s, samples_fn fn, void *arg)
{
	const struct strip_columns *c = &r->columns;

	for (size_t i = 0; i < s->n; i++) {
		r->samples[i] = (struct point){ c->times[i], s->steps == STEPS_NONE ? STEP_NONE : c->steps[i],
						c->values[i] };
		if (i && sample_compare(&r->samples[i - 1], &r->samples[i]) > 0)
			return ERR_CORRUPT;
	}
	return fn(arg, s->sid, r->samples, s->n);
}

static int get_values(struct rawblock_reader *r, struct column_in *in, size_t n)
{
	struct scale scale;
	int err = scale_get(in, &scale);

	return err < 0 ? err : numbers_get(in, scale, r->columns.values, n, NULL, 0, r->columns.room);
}

/* A strip whose streams hold more than its samples is damaged. */
static int read_strip(struct rawblock_reader *r, size_t i, samples_fn fn, void *arg)
{
	const struct strip_at *s = &r->strips[i];
	struct column_in in;
	int err = get_axes(r, i, &in);

	if (err == 0)
		err = get_values(r, &in, s->n);
	if (err < 0)
		return err;
	if (in.dense.bad || in.loose.bad || reader_left(&in.dense) || reader_left(&in.loose))
		return ERR_CORRUPT;
	return give(r, s, fn, arg);
}

static int compare_sid(const void *a, const void *b)
{
	uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;

	return (x > y) - (x < y);
}

int rawblock_read(struct rawblock_reader *r, struct span block, uint64_t offset, const uint32_t *sids,
		  size_t n_sids, samples_fn fn, void *arg)
{
	struct head h;
	int err = open_head(block, offset, &h);

	if (err == 0)
		err = open_strips(r, block, &h);
	for (size_t i = 0; err == 0 && i < r->n_strips; i++)
		if (!sids || bsearch(&r->strips[i].sid, sids, n_sids, sizeof(*sids), compare_sid))
			err = read_strip(r, i, fn, arg);
	return err;
}
