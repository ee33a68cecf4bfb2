/*
 * Files of samples: what was written comes back, whoever asks for some series and times gets these; a file
 * with any byte changed, or cut at any length, is refused or gives the same samples.
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

#include "store/part/manifest.h"
#include "store/raw/rawpart.h"
#include "tests/values.h"

#define START   INT64_C(1700000000000000000)
#define ALL_MAX 200000

static char directory[64], path[128];
static struct {
	uint32_t sid;
	struct point p;
} made[ALL_MAX];
static size_t n_made;

static uint32_t run_of(uint32_t sid) { return 1 + sid / 10; }

static int names(void *arg, uint32_t sid, struct part_name *ret, struct buf *row)
{
	(void)arg;
	assert_int_equal(ret->rid, run_of(sid));
	snprintf(ret->id, sizeof(ret->id), "run-%u", ret->rid);
	return buf_addf(row, "row of %u", sid);
}

static void make_samples(uint32_t n_series, size_t most)
{
	uint64_t seed = most;

	n_made = 0;
	for (uint32_t i = 0; i < n_series; i++) {
		size_t n = 1 + random_below(&seed, most);

		for (size_t j = 0; j < n; j++) {
			made[n_made].sid = 1 + 3 * i;
			made[n_made++].p = (struct point){ START + (int64_t)j * 500000000, (int64_t)j,
							   random_value(&seed, VALUE_BITS) };
		}
	}
}

/* In pieces, as merging adds them. */
static struct rawpart_summary write_part(size_t piece)
{
	struct rawpart_id id = { 5, 100, 220, 7 };
	struct rawpart_summary summary;
	struct rawpart_writer *w;
	struct buf runs;

	unlink(path);
	buf_init(&runs, 1 << 20);
	assert_int_equal(rawpart_create(path, id, names, NULL, &w), 0);
	for (size_t i = 0, n; i < n_made; i += n) {
		struct point p[5000];

		for (n = 0; n < piece && i + n < n_made && made[i + n].sid == made[i].sid; n++)
			p[n] = made[i + n].p;
		assert_int_equal(rawpart_add(w, run_of(made[i].sid), made[i].sid, p, n), 0);
	}
	assert_int_equal(rawpart_finish(w, &summary, &runs), 0);
	assert_int_equal(summary.samples, n_made);
	buf_release(&runs);
	return summary;
}

struct walk {
	size_t at;
	bool wrong;
	const uint32_t *sids;
	size_t n_sids;
};

static bool wanted(const struct walk *w, uint32_t sid)
{
	for (size_t i = 0; i < w->n_sids; i++)
		if (w->sids[i] == sid)
			return true;
	return !w->sids;
}

static int take(void *arg, uint32_t sid, const struct point *p, size_t n)
{
	struct walk *w = arg;

	for (size_t i = 0; i < n; i++, w->at++) {
		while (w->at < n_made && !wanted(w, made[w->at].sid))
			w->at++;
		if (w->at >= n_made || made[w->at].sid != sid || made[w->at].p.t_ns != p[i].t_ns ||
		    made[w->at].p.step != p[i].step ||
		    double_bits(made[w->at].p.value) != double_bits(p[i].value))
			w->wrong = true;
	}
	return 0;
}

/* 0, or the first error. */
static int read_some(struct walk *w)
{
	struct rawblock_reader *room;
	struct rawpart_summary s;
	struct rawpart *p;
	struct buf block;
	int err = rawpart_open(path, &p);

	if (err < 0)
		return err;
	assert_int_equal(rawblock_reader_new(&room), 0);
	buf_init(&block, RAWBLOCK_BYTES_MAX);
	for (size_t i = 0; rawpart_find(p, w->sids, w->n_sids, INT64_MIN, INT64_MAX, &i) && err == 0; i++)
		err = rawpart_read(p, i, room, &block, w->sids, w->n_sids, take, w);
	if (err == 0)
		err = rawpart_check(p, &s);
	if (err == 0 && (s.samples != n_made || rawpart_id(p).number != 7 || rawpart_id(p).pid != 5 ||
			 rawpart_id(p).first != 100 || rawpart_id(p).upto != 220))
		w->wrong = true;
	buf_release(&block);
	rawblock_reader_free(room);
	rawpart_close(p);
	return err;
}

static void assert_whole(void)
{
	struct walk w = { 0 };

	assert_int_equal(read_some(&w), 0);
	assert_false(w.wrong);
	assert_int_equal(w.at, n_made);
}

static void test_round_trip(void **state)
{
	static const size_t pieces[] = { 1, 7, 4096, 5000 };

	(void)state;
	for (size_t i = 0; i < sizeof(pieces) / sizeof(*pieces); i++) {
		struct rawpart_summary a, b;

		make_samples(40, 3000);
		a = write_part(pieces[i]);
		assert_whole();
		b = write_part(1000);
		assert_int_equal(a.digest, b.digest);
		assert_int_equal(a.bytes, b.bytes);
		assert_int_equal(a.least_ns, START);
		assert_true(a.blocks > 2);
	}
	make_samples(2, 60000); /* long ones, in several blocks */
	write_part(5000);
	assert_whole();
}

static void test_some_series(void **state)
{
	(void)state;
	make_samples(300, 600);
	write_part(5000);
	for (uint32_t sid = 1; sid < 900; sid += 60) {
		uint32_t sids[] = { sid, sid + 3, sid + 8 };
		struct walk w = { .sids = sids, .n_sids = 3 };
		size_t n = 0, got = 0;

		for (size_t i = 0; i < n_made; i++)
			n += wanted(&w, made[i].sid);
		assert_int_equal(read_some(&w), 0);
		assert_false(w.wrong);
		for (size_t i = 0; i < w.at; i++)
			got += wanted(&w, made[i].sid);
		assert_int_equal(got, n);
	}
}

static int check_series(void *arg, const struct part_series *s)
{
	uint32_t *next = arg;
	char text[32], id[32];

	snprintf(text, sizeof(text), "row of %u", s->sid);
	snprintf(id, sizeof(id), "run-%u", run_of(s->sid));
	assert_int_equal(s->sid, *next);
	assert_int_equal(s->rid, run_of(s->sid));
	assert_true(span_is(s->row, text));
	assert_true(span_is(s->id, id));
	*next += 3;
	return 0;
}

static void test_names(void **state)
{
	struct rawpart *p;
	uint32_t next = 1;

	(void)state;
	make_samples(50, 20);
	write_part(5000);
	assert_int_equal(rawpart_open(path, &p), 0);
	assert_int_equal(rawpart_series(p, check_series, &next), 0);
	assert_int_equal(next, 151);
	rawpart_close(p);
}

/* Each byte in turn: an error, or the very same samples. */
static void test_changed_bytes(void **state)
{
	uint8_t byte;
	off_t size;
	int fd;

	(void)state;
	make_samples(12, 40);
	write_part(5000);
	fd = open(path, O_RDWR);
	assert_true(fd >= 0);
	size = lseek(fd, 0, SEEK_END);
	for (off_t i = 0; i < size; i++) {
		struct walk w = { 0 };
		int err;

		assert_int_equal(pread(fd, &byte, 1, i), 1);
		byte ^= (uint8_t)(1 << i % 8);
		assert_int_equal(pwrite(fd, &byte, 1, i), 1);
		err = read_some(&w);
		assert_true(err == ERR_CORRUPT || err == ERR_VERSION ||
			    (err == 0 && !w.wrong && w.at == n_made));
		byte ^= (uint8_t)(1 << i % 8);
		assert_int_equal(pwrite(fd, &byte, 1, i), 1);
	}
	assert_whole();
	for (off_t len = size - 1; len >= 0; len -= len > 400 ? 37 : 1) {
		struct walk w = { 0 };

		assert_int_equal(ftruncate(fd, len), 0);
		assert_int_equal(read_some(&w), ERR_CORRUPT);
	}
	close(fd);
}

static int setup(void **state)
{
	(void)state;
	strcpy(directory, "/tmp/astraml-rawpart-XXXXXX");
	if (!mkdtemp(directory))
		return -1;
	snprintf(path, sizeof(path), "%s/x.part", directory);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	unlink(path);
	return rmdir(directory);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_round_trip),
		cmocka_unit_test(test_some_series),
		cmocka_unit_test(test_names),
		cmocka_unit_test(test_changed_bytes),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
