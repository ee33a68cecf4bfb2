/* Records come back as they went in, whatever their columns look like; damage is told. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "store/base/bytes.h"
#include "store/base/clock.h"
#include "store/format.h"
#include "store/hot/journal.h"
#include "tests/buckets.h"

enum shape { CONST, STRIDE, RANDOM, SHAPES };

struct columns {
	size_t n;
	uint32_t *sid;
	int64_t *t_ns, *step;
	double *value;
};

static uint64_t rnd(void)
{
	static uint64_t x = 0x9e3779b97f4a7c15u;

	x ^= x << 13;
	x ^= x >> 7;
	return x ^= x << 17;
}

static int64_t random_step(void) { return rnd() % 5 ? (int64_t)rnd() : STEP_NONE; }

static struct columns make(size_t n, enum shape sid, enum shape time, int step, bool floats)
{
	struct columns c = { n, malloc(n * 4), malloc(n * 8), step == SHAPES ? NULL : malloc(n * 8),
			     malloc(n * 8) };

	for (size_t i = 0; i < n; i++) {
		c.sid[i] = sid == CONST    ? 7
			   : sid == STRIDE ? 100 + (uint32_t)i
					   : 1 + (uint32_t)(rnd() % 0x7fffffff);
		c.t_ns[i] = time == CONST    ? 1700000000123456789
			    : time == STRIDE ? (int64_t)i * 10 * NS_PER_S
					     : (int64_t)(rnd() >> 1);
		if (c.step)
			c.step[i] = step == CONST ? -3 : step == STRIDE ? (int64_t)i * 50 : random_step();
		c.value[i] = floats ? (double)(float)((double)rnd() / 3e18) : bits_double(rnd());
	}
	return c;
}

static void columns_free(struct columns *c)
{
	free(c->sid);
	free(c->t_ns);
	free(c->step);
	free(c->value);
}

static struct kv *open_kv(char *dir)
{
	struct fault f = { 0 };
	struct kv *kv;

	strcpy(dir, "/tmp/astraml-journal-XXXXXX");
	assert_non_null(mkdtemp(dir));
	if (kv_open(dir, false, 1 << 30, &kv, &f) < 0)
		fail_msg("%s", f.text);
	return kv;
}

static void close_kv(struct kv *kv, const char *dir)
{
	char command[128];

	kv_close(kv);
	snprintf(command, sizeof(command), "rm -r %s", dir);
	assert_int_equal(system(command), 0);
}

/* Every other one as an export of samples, the rest of one sample. */
static struct bucket_record *make_buckets(size_t n)
{
	struct bucket_record *r = calloc(n, sizeof(*r));

	for (size_t i = 0; i < n; i++) {
		r[i].sid = 1 + (uint32_t)(rnd() % 0x7fffffff);
		r[i].start_ns = (int64_t)(rnd() % 1000000) * 30 * NS_PER_S;
		bucket_init(&r[i].bucket);
		for (size_t k = 1 + rnd() % (i % 2 ? 1 : 9); k > 0; k--)
			assert_int_equal(bucket_add(&r[i].bucket,
						    (struct point){ r[i].start_ns +
									(int64_t)(rnd() % 30000000000),
								    random_step(), bits_double(rnd()) }),
					 0);
	}
	return r;
}

struct expect_buckets {
	const struct bucket_record *r;
	size_t n, seen;
};

static int check_buckets(void *arg, uint64_t batch, const struct journal_record *rec)
{
	struct expect_buckets *e = arg;

	(void)batch;
	if (rec->n) {
		assert_int_equal(rec->n_buckets, 0);
		return 0;
	}
	assert_int_equal(rec->rid, 3);
	assert_int_equal(rec->window_ns, 30 * NS_PER_S);
	assert_int_equal(rec->n_buckets, e->n);
	for (size_t i = 0; i < e->n; i++) {
		assert_int_equal(rec->buckets[i].sid, e->r[i].sid);
		assert_int_equal(rec->buckets[i].start_ns, e->r[i].start_ns);
		assert_true(same_bucket(&rec->buckets[i].bucket, &e->r[i].bucket));
	}
	e->seen++;
	return 0;
}

/* Beside samples and alone; what is cut off or flipped never crashes, and is mostly told. */
static void test_buckets(void **state)
{
	static const size_t sizes[] = { 1, 2, 50, 3000 };
	char dir[64];
	struct kv *kv = open_kv(dir);

	(void)state;
	for (size_t i = 0; i < sizeof(sizes) / sizeof(*sizes); i++) {
		struct columns c = make(sizes[i], RANDOM, RANDOM, RANDOM, false);
		struct expect_buckets e = { .r = make_buckets(sizes[i]), .n = sizes[i] };
		struct journal_record rec = { .rid = 3,
					      .window_ns = 30 * NS_PER_S,
					      .n = i % 2 ? c.n : 0,
					      .sid = c.sid,
					      .t_ns = c.t_ns,
					      .step = c.step,
					      .value = c.value,
					      .buckets = e.r,
					      .n_buckets = e.n };
		struct buf out;
		struct kv_txn *t;

		buf_init(&out, 1 << 28);
		assert_int_equal(journal_encode(&rec, &out), 0);
		assert_int_equal(kv_begin(kv, true, &t), 0);
		assert_int_equal(journal_put(t, 1, buf_span(&out)), 0);
		assert_int_equal(journal_read(t, &(struct journal_range){ .after = 0 }, check_buckets, &e),
				 0);
		assert_int_equal(e.seen, 1);
		assert_int_equal(journal_read(t, &(struct journal_range){ .after = 0, .rid = 4 },
					      check_buckets, &e),
				 0);
		assert_int_equal(e.seen, 1);
		kv_abort(t);
		bucket_records_release((struct bucket_record *)e.r, e.n);
		free((void *)e.r);
		columns_free(&c);
		buf_release(&out);
	}
	close_kv(kv, dir);
}

static void test_buckets_cut(void **state)
{
	struct bucket_record *r = make_buckets(7);
	struct bucket_record *got;
	struct buf out;
	size_t n;

	(void)state;
	buf_init(&out, 1 << 20);
	assert_int_equal(bucket_records_encode(r, 7, 30 * NS_PER_S, &out), 0);
	for (size_t len = 0; len < out.len; len++) {
		uint8_t *copy = malloc(len + 1); /* to the byte, for a sanitizer */
		struct reader in = reader_of(span_of(copy, len));

		memcpy(copy, out.data, len);
		assert_int_equal(bucket_records_decode(&in, 30 * NS_PER_S, &got, &n), ERR_CORRUPT);
		free(copy);
	}
	for (size_t i = 0; i < out.len * 8; i++) {
		struct reader in = reader_of(buf_span(&out));

		out.data[i / 8] ^= (uint8_t)(1u << i % 8);
		if (bucket_records_decode(&in, 30 * NS_PER_S, &got, &n) == 0) {
			bucket_records_release(got, n);
			free(got);
		}
		out.data[i / 8] ^= (uint8_t)(1u << i % 8);
	}
	bucket_records_release(r, 7);
	free(r);
	buf_release(&out);
}

struct expect {
	const struct columns *c;
	size_t records;
	uint64_t batch;
};

static int check(void *arg, uint64_t batch, const struct journal_record *rec)
{
	struct expect *e = arg;

	assert_int_equal(batch, e->batch);
	assert_int_equal(rec->n, e->c->n);
	assert_int_equal(rec->window_ns, 30 * NS_PER_S);
	assert_memory_equal(rec->sid, e->c->sid, rec->n * 4);
	assert_memory_equal(rec->t_ns, e->c->t_ns, rec->n * 8);
	assert_memory_equal(rec->value, e->c->value, rec->n * 8);
	for (size_t i = 0; i < rec->n; i++)
		assert_int_equal(rec->step ? rec->step[i] : STEP_NONE,
				 e->c->step ? e->c->step[i] : STEP_NONE);
	e->records++;
	return 0;
}

static void round_trip(struct kv *kv, uint64_t batch, const struct columns *c)
{
	struct journal_record rec = { .rid = 3,
				      .window_ns = 30 * NS_PER_S,
				      .n = c->n,
				      .sid = c->sid,
				      .t_ns = c->t_ns,
				      .step = c->step,
				      .value = c->value };
	struct expect e = { .c = c, .batch = batch };
	struct buf out;
	struct kv_txn *t;

	buf_init(&out, 1 << 28);
	assert_int_equal(journal_encode(&rec, &out), 0);
	assert_int_equal(journal_encode(&rec, &out), 0);
	assert_int_equal(kv_begin(kv, true, &t), 0);
	assert_int_equal(journal_put(t, batch, buf_span(&out)), 0);
	assert_int_equal(journal_read(t, &(struct journal_range){ .after = batch - 1 }, check, &e), 0);
	assert_int_equal(e.records, 2);
	assert_int_equal(journal_read(t, &(struct journal_range){ .after = batch - 1, .rid = 4 }, check, &e),
			 0);
	assert_int_equal(e.records, 2); /* another run's records are passed over */
	assert_int_equal(kv_commit(t), 0);
	buf_release(&out);
}

static void test_every_shape(void **state)
{
	static const size_t sizes[] = { 1, 2, 3, 127, 10000, 40000 };
	char dir[64];
	struct kv *kv = open_kv(dir);
	uint64_t batch = 0;

	(void)state;
	for (size_t i = 0; i < sizeof(sizes) / sizeof(*sizes); i++)
		for (int shapes = 0; shapes < SHAPES * SHAPES * (SHAPES + 1); shapes++) {
			struct columns c = make(sizes[i], shapes % SHAPES, shapes / SHAPES % SHAPES,
						shapes / (SHAPES * SHAPES), shapes % 2);

			round_trip(kv, ++batch, &c);
			columns_free(&c);
		}
	close_kv(kv, dir);
}

static int count(void *arg, uint64_t batch, const struct journal_record *rec)
{
	(void)batch;
	(void)rec;
	++*(int *)arg;
	return 0;
}

static void test_trim_in_slices(void **state)
{
	struct columns c = make(40000, RANDOM, RANDOM, RANDOM, false); /* several chunks a batch */
	char dir[64];
	struct kv *kv = open_kv(dir);
	struct kv_txn *t;
	bool more = true;
	int n = 0, slices = 0;

	(void)state;
	for (uint64_t batch = 1; batch <= 5; batch++)
		round_trip(kv, batch, &c);
	assert_int_equal(kv_begin(kv, true, &t), 0);
	while (more) {
		assert_int_equal(journal_trim(t, 3, 7, &more), 0);
		slices++;
	}
	assert_true(slices > 1);
	assert_int_equal(journal_read(t, &(struct journal_range){ .after = 3 }, count, &n), 0);
	assert_int_equal(n, 4);
	kv_abort(t);
	columns_free(&c);
	close_kv(kv, dir);
}

static void test_damage_is_told(void **state)
{
	struct columns c = make(40000, RANDOM, RANDOM, RANDOM, false);
	char dir[64];
	struct kv *kv = open_kv(dir);
	uint8_t key[10] = { 0, 0, 0, 0, 0, 0, 0, 1, 0, 1 }, *value;
	struct kv_txn *t;
	int n = 0;

	(void)state;
	round_trip(kv, 1, &c);
	assert_int_equal(kv_begin(kv, true, &t), 0);
	assert_int_equal(kv_reserve(t, KV_JOURNAL, span_of(key, 10), 11, false, &value), 0);
	memcpy(value, "not a chunk", 11);
	assert_int_equal(journal_read(t, &(struct journal_range){ .after = 0 }, count, &n), ERR_CORRUPT);
	assert_int_equal(kv_del(t, KV_JOURNAL, span_of(key, 10)), 0);
	assert_int_equal(journal_read(t, &(struct journal_range){ .after = 0 }, count, &n), ERR_CORRUPT);
	assert_int_equal(n, 0);
	kv_abort(t);
	columns_free(&c);
	close_kv(kv, dir);
}

struct passed {
	uint64_t damaged[4], read[8];
	int n_damaged, n_read, end;
};

static int note_damaged(void *arg, uint64_t batch)
{
	struct passed *p = arg;

	p->damaged[p->n_damaged++] = batch;
	return p->end;
}

static int note_read(void *arg, uint64_t batch, const struct journal_record *rec)
{
	struct passed *p = arg;

	(void)rec;
	if (p->n_read == 0 || p->read[p->n_read - 1] != batch)
		p->read[p->n_read++] = batch;
	return 0;
}

/* A chunk that is damaged, a first one and a last one that are lost: the batches beside them are read. */
static void test_damage_is_passed_over(void **state)
{
	static const uint8_t lost[2][10] = { { [7] = 3 }, { [7] = 4, [9] = 2 } };
	struct journal_range all = { .damaged = note_damaged }, middle = { 2, 4, 0, note_damaged };
	struct columns c = make(40000, RANDOM, RANDOM, RANDOM, false);
	uint8_t key[10] = { [7] = 1, [9] = 1 };
	struct passed p = { 0 }, q = { 0 }, stop = { .end = 7 };
	struct buf bytes;
	char dir[64];
	struct kv *kv = open_kv(dir);
	struct kv_txn *t;
	uint8_t *value;

	(void)state;
	for (uint64_t batch = 1; batch <= 5; batch++)
		round_trip(kv, batch, &c);
	assert_int_equal(kv_begin(kv, true, &t), 0);
	assert_int_equal(kv_reserve(t, KV_JOURNAL, span_of(key, 10), 11, false, &value), 0);
	memcpy(value, "not a chunk", 11);
	for (int i = 0; i < 2; i++)
		assert_int_equal(kv_del(t, KV_JOURNAL, span_of(lost[i], 10)), 0);
	assert_int_equal(journal_read(t, &all, note_read, &p), 0);
	assert_int_equal(p.n_damaged, 3);
	assert_int_equal(p.damaged[0] * 100 + p.damaged[1] * 10 + p.damaged[2], 134);
	assert_int_equal(p.n_read, 2);
	assert_int_equal(p.read[0] * 10 + p.read[1], 25);
	assert_int_equal(journal_read(t, &middle, note_read, &q), 0);
	assert_int_equal(q.n_damaged * 10 + q.n_read, 20);
	assert_int_equal(journal_read(t, &all, note_read, &stop), 7);
	assert_int_equal(stop.n_damaged, 1);
	buf_init(&bytes, (size_t)1 << 24);
	assert_int_equal(journal_bytes(t, 1, &bytes), 0);
	assert_true(bytes.len > JOURNAL_CHUNK_BYTES + 11);
	assert_memory_equal(bytes.data + JOURNAL_CHUNK_BYTES, "not a chunk", 11);
	for (uint64_t batch = 1; batch <= 4; batch++)
		assert_int_equal(batch == 2 ? 0 : journal_del(t, batch), 0);
	assert_int_equal(journal_read(t, &(struct journal_range){ 0 }, note_read, &q), 0);
	assert_int_equal(q.n_read, 2);
	buf_release(&bytes);
	kv_abort(t);
	columns_free(&c);
	close_kv(kv, dir);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_every_shape),    cmocka_unit_test(test_buckets),
		cmocka_unit_test(test_buckets_cut),    cmocka_unit_test(test_trim_in_slices),
		cmocka_unit_test(test_damage_is_told), cmocka_unit_test(test_damage_is_passed_over),
	};

	return cmocka_run_group_tests_name("journal", tests, NULL, NULL);
}
