/*
 * Part files: what was written comes back, names and all; a file with any byte changed, or cut at any
 * length, is refused or gives the same answers; and a file of format 1 from long ago reads as it did.
 *
 * tests/golden/metrics-1.part was made by this test, with ASTRAML_GOLDEN_WRITE=1.
 */
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include <cmocka.h>

#include "store/part/part.h"
#include "tests/buckets.h"

#define GOLDEN  "tests/golden/metrics-1.part"
#define FROM    (INT64_C(1751760000) * NS_PER_S)
#define HOUR    (3600 * NS_PER_S)
#define ALL_MAX 20000

struct made {
	struct block_key key;
	struct bucket bucket;
};

static char directory[64], path[128];
static struct made made[ALL_MAX];
static size_t n_made;

static void forget(void)
{
	while (n_made)
		bucket_release(&made[--n_made].bucket);
}

/* Series 1, 3, 5 ... of runs 1 and 2 in turn by tens. */
static uint32_t run_of(uint32_t sid) { return 1 + sid / 10 % 2; }

static int names(void *arg, uint32_t sid, struct part_name *ret, struct buf *row)
{
	(void)arg;
	ret->rid = run_of(sid);
	strcpy(ret->project, "default");
	snprintf(ret->id, sizeof(ret->id), "run-%u", ret->rid);
	return buf_addf(row, "row of %u", sid);
}

static void make_buckets(uint64_t seed, uint32_t n_series, size_t n, bool any)
{
	forget();
	for (uint32_t i = 0; i < n_series; i++)
		for (size_t j = 0; j < n; j++) {
			struct made *m = &made[n_made++];

			m->key = (struct block_key){ 1 + 2 * i, FROM + (int64_t)j * TEST_WINDOW_NS,
						     TEST_WINDOW_NS };
			if (any) {
				assert_int_equal(random_bucket(&seed, m->key, &m->bucket), 0);
				continue;
			}
			bucket_init(&m->bucket);
			for (int k = 0; k < 3; k++)
				assert_int_equal(bucket_add(&m->bucket,
							    (struct point){
								m->key.start_ns + k * NS_PER_S,
								(int64_t)j * 3 + k,
								(double)random_below(&seed, 9999) / 100 }),
						 0);
		}
}

static struct part_summary write_part(const char *to)
{
	struct part_id id = { 0, 0, FROM, FROM + HOUR, 7 };
	struct part_summary summary;
	struct part_writer *w;

	unlink(to);
	assert_int_equal(part_create(to, id, names, NULL, &w), 0);
	for (size_t i = 0; i < n_made; i++)
		assert_int_equal(part_add(w, made[i].key, &made[i].bucket), 0);
	assert_int_equal(part_finish(w, &summary), 0);
	assert_int_equal(summary.buckets, n_made);
	return summary;
}

/* Walks made[], or what of it is wanted. */
struct walk {
	size_t at;
	bool wrong; /* a bucket that was never written */
};

static int check(void *arg, struct block_key key, const struct bucket *b)
{
	struct walk *w = arg;

	if (w->at >= n_made || made[w->at].key.sid != key.sid || made[w->at].key.start_ns != key.start_ns ||
	    made[w->at].key.window_ns != key.window_ns || !same_bucket(b, &made[w->at].bucket))
		w->wrong = true;
	w->at++;
	return 0;
}

/* All of it: 0, or the first error. */
static int read_all(const char *from, struct walk *w)
{
	struct partblock_reader *room;
	struct buf block;
	struct part *p;
	size_t i = 0;
	int err = part_open(from, &p);

	*w = (struct walk){ 0 };
	if (err < 0)
		return err;
	assert_int_equal(partblock_reader_new(&room), 0);
	buf_init(&block, PARTBLOCK_BYTES_MAX);
	for (; part_find(p, NULL, 0, INT64_MIN, INT64_MAX, &i) && err == 0; i++)
		err = part_read(p, i, room, &block, &block_want_all, check, w);
	if (err == 0 && (w->at != n_made || part_id(p).number != 7 || part_summary(p).buckets != n_made))
		w->wrong = true;
	buf_release(&block);
	partblock_reader_free(room);
	part_close(p);
	return err;
}

static void assert_reads_whole(const char *from)
{
	struct walk w;

	assert_int_equal(read_all(from, &w), 0);
	assert_false(w.wrong);
}

static void test_round_trip(void **state)
{
	struct part_summary s;

	(void)state;
	make_buckets(3, 30, 120, true);
	s = write_part(path);
	assert_true(s.blocks >= 3);
	assert_int_equal(s.least_start, FROM);
	assert_int_equal(s.greatest_start, FROM + 119 * TEST_WINDOW_NS);
	assert_reads_whole(path);
	make_buckets(4, 1, 1, true);
	write_part(path);
	assert_reads_whole(path);
	make_buckets(5, 1, 120, false);
	assert_true(write_part(path).bytes < 120 * 12 + 400);
	assert_reads_whole(path);
}

struct seen {
	uint32_t sids[2];
	size_t buckets, outside;
};

static int count(void *arg, struct block_key key, const struct bucket *b)
{
	struct seen *s = arg;

	(void)b;
	s->buckets++;
	s->outside += key.sid != s->sids[0] && key.sid != s->sids[1];
	return 0;
}

/* Two series of many, and only blocks that may have them are read. */
static void test_some_series(void **state)
{
	struct partblock_reader *room;
	struct seen s = { { 3, 199 }, 0, 0 };
	const struct block_want want = { s.sids, 2, FROM, FROM + HOUR, WANT_ALL };
	size_t blocks = 0, i = 0, none = 0;
	struct buf block;
	struct part *p;

	(void)state;
	make_buckets(6, 100, 120, false);
	write_part(path);
	assert_int_equal(part_open(path, &p), 0);
	assert_int_equal(partblock_reader_new(&room), 0);
	buf_init(&block, PARTBLOCK_BYTES_MAX);
	for (; part_find(p, s.sids, 2, FROM, FROM + HOUR, &i); i++, blocks++)
		assert_int_equal(part_read(p, i, room, &block, &want, count, &s), 0);
	assert_int_equal(s.buckets, 240);
	assert_int_equal(s.outside, 0);
	assert_int_equal(blocks, 2);
	assert_false(part_find(p, s.sids, 2, FROM + HOUR, INT64_MAX, &none));
	buf_release(&block);
	partblock_reader_free(room);
	part_close(p);
}

static int check_run(void *arg, const struct part_run *r)
{
	size_t *n = arg;

	++*n;
	assert_true(span_is(r->project, "default"));
	assert_true(span_is(r->id, r->rid == 1 ? "run-1" : "run-2"));
	assert_int_equal(r->least_ns, FROM);
	assert_int_equal(r->greatest_ns, FROM + 4 * TEST_WINDOW_NS);
	return 0;
}

static int check_series(void *arg, const struct part_series *s)
{
	size_t *n = arg;
	char row[32];

	snprintf(row, sizeof(row), "row of %zu", 1 + 2 * (*n)++);
	assert_int_equal(s->sid, 2 * *n - 1);
	assert_int_equal(s->rid, run_of(s->sid));
	assert_int_equal(s->count, 5);
	assert_true(span_is(s->row, row));
	return 0;
}

static void test_names(void **state)
{
	size_t runs = 0, series = 0;
	struct part *p;

	(void)state;
	make_buckets(7, 40, 5, true);
	write_part(path);
	assert_int_equal(part_open(path, &p), 0);
	assert_int_equal(part_runs(p, check_run, &runs), 0);
	assert_int_equal(runs, 2);
	assert_int_equal(part_series(p, check_series, &series), 0);
	assert_int_equal(series, 40);
	part_close(p);
}

/* ---- damage ---- */

static struct buf slurp(const char *from)
{
	struct buf b;
	ssize_t n;
	int fd = open(from, O_RDONLY);

	assert_true(fd >= 0);
	buf_init(&b, 1 << 24);
	assert_int_equal(buf_reserve(&b, 1 << 22), 0);
	n = read(fd, b.data, 1 << 22);
	assert_true(n > 0);
	b.len = (size_t)n;
	close(fd);
	return b;
}

static void test_every_byte_flipped(void **state)
{
	struct buf bytes;
	struct walk w;
	size_t refused = 0;
	int fd;

	(void)state;
	make_buckets(8, 4, 6, true);
	write_part(path);
	bytes = slurp(path);
	fd = open(path, O_WRONLY);
	for (size_t i = 0; i < bytes.len; i++) {
		uint8_t other = bytes.data[i] ^ (uint8_t)(1 + i % 255);
		int err;

		assert_int_equal(pwrite(fd, &other, 1, (off_t)i), 1);
		err = read_all(path, &w);
		refused += err == ERR_CORRUPT || err == ERR_VERSION;
		assert_true(err == ERR_CORRUPT || err == ERR_VERSION || err == 0);
		assert_false(w.wrong); /* nor before damage was met */
		assert_int_equal(pwrite(fd, &bytes.data[i], 1, (off_t)i), 1);
	}
	assert_int_equal(refused, bytes.len); /* no byte is without a checksum */
	assert_reads_whole(path);
	close(fd);
	buf_release(&bytes);
}

static void test_every_truncation(void **state)
{
	struct buf bytes;
	struct walk w;

	(void)state;
	make_buckets(9, 2, 6, true);
	write_part(path);
	bytes = slurp(path);
	for (size_t len = bytes.len; len-- > 0;) {
		assert_int_equal(truncate(path, (off_t)len), 0);
		assert_int_equal(read_all(path, &w), ERR_CORRUPT);
	}
	buf_release(&bytes);
}

static void test_golden(void **state)
{
	(void)state;
	make_buckets(1000, 6, 20, true);
	if (getenv("ASTRAML_GOLDEN_WRITE"))
		write_part(GOLDEN);
	assert_reads_whole(GOLDEN);
}

static int setup(void **state)
{
	(void)state;
	strcpy(directory, "/tmp/astraml-part-XXXXXX");
	if (!mkdtemp(directory))
		return -1;
	snprintf(path, sizeof(path), "%s/a.part", directory);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	forget();
	unlink(path);
	return rmdir(directory);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_round_trip),
		cmocka_unit_test(test_some_series),
		cmocka_unit_test(test_names),
		cmocka_unit_test(test_every_byte_flipped),
		cmocka_unit_test(test_every_truncation),
		cmocka_unit_test(test_golden),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
