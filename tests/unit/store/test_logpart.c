/*
 * Files of logs: what was written comes back, each run's blocks are found; a file with any byte changed, or
 * cut at any length, is refused, or damage shows in the block it is in, and no other text is told.
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

#include "store/base/bytes.h"
#include "store/log/logblock.h"
#include "store/log/logparts.h"

#define START  INT64_C(1700000000000000000)
#define RUNS   4
#define BLOCKS 6 /* of each */
#define ROWS   5

static char directory[64], path[128];

static void text_of(uint32_t rid, uint64_t seq, char *ret)
{
	snprintf(ret, 64, "run %u says line %llu, loss 0.%03llu\n", rid, (unsigned long long)seq,
		 (unsigned long long)(seq * 37 % 1000));
}

/* Sequences begin where others went. */
static uint64_t first_of(uint32_t rid) { return rid * 100; }

static struct logpart_block block_of(uint32_t rid, size_t n)
{
	uint64_t first = first_of(rid) + n * ROWS;

	return (struct logpart_block){ .rid = rid,
				       .first_seq = first,
				       .count = ROWS,
				       .least_ns = START + (int64_t)first,
				       .greatest_ns = START + (int64_t)first + ROWS - 1,
				       .arrived_ns = START + (int64_t)first + 1000,
				       .levels = 1 << LEVEL_INFO };
}

/* A block as it is stored, sealed or young in turn. */
static void make_value(uint32_t rid, size_t n, struct buf *ret)
{
	struct logpart_block b = block_of(rid, n);
	struct log_record records[ROWS];
	char texts[ROWS][64];
	uint8_t key[LOG_KEY_BYTES];
	struct stored s = { .codec = CODEC_SEALED, .count = ROWS };
	struct reader r;
	struct buf body;

	for (size_t i = 0; i < ROWS; i++) {
		text_of(rid, b.first_seq + i, texts[i]);
		records[i] = (struct log_record){ .t_ns = b.least_ns + (int64_t)i,
						  .observed_ns = b.arrived_ns,
						  .level = LEVEL_INFO,
						  .rank = RANK_NONE,
						  .text = span_str(texts[i]) };
	}
	buf_init(&body, 1 << 20);
	if (n % 2) {
		assert_int_equal(logblock_seal(records, ROWS, &body, &s.raw_len), 0);
		s.body = buf_span(&body);
	} else {
		assert_int_equal(logblock_pack(records, ROWS, &body), 0);
		r = reader_of(buf_span(&body));
		assert_int_equal(logblock_next(&r, &s), 0);
	}
	buf_clear(ret);
	assert_int_equal(buf_reserve(ret, STORED_HEADER_BYTES + s.body.len), 0);
	memcpy(ret->data + STORED_HEADER_BYTES, s.body.data, s.body.len);
	stored_seal(ret->data, KIND_LOG, s.codec, s.count, s.raw_len, log_key(rid, b.first_seq, key),
		    s.body.len);
	ret->len = STORED_HEADER_BYTES + s.body.len;
	buf_release(&body);
}

static struct logpart_summary write_part(struct buf *runs)
{
	const struct logpart_id id = { 5, 7, 9, 12 };
	struct logpart_summary summary;
	struct logpart_writer *w;
	uint32_t digest;
	struct buf value;
	char name[16];

	unlink(path);
	buf_init(&value, 1 << 20);
	assert_int_equal(logpart_create(path, id, &w), 0);
	for (uint32_t rid = 3; rid < 3 + RUNS; rid++) {
		snprintf(name, sizeof(name), "run-%u", rid);
		assert_int_equal(logpart_run(w, rid, "default", name), 0);
		for (size_t i = 0; i < BLOCKS && rid != 4; i++) { /* run 4 has none, and is left out */
			struct logpart_block b = block_of(rid, i);

			make_value(rid, i, &value);
			assert_int_equal(logpart_add(w, &b, buf_span(&value)), 0);
		}
	}
	assert_int_equal(logpart_finish(w, &summary, &digest, runs), 0);
	buf_release(&value);
	return summary;
}

/* ---- what is in it ---- */

struct outcome {
	bool wrong;    /* another text, or another record than there was */
	size_t blocks; /* that were read */
};

static void check_block(struct logblock *block, const struct stored *s, uint32_t rid, size_t n,
			struct outcome *o)
{
	struct logpart_block b = block_of(rid, n);
	struct log_record r;
	char text[64];

	if (logblock_open(block, s, b.first_seq) < 0 || logblock_count(block) != ROWS) {
		o->wrong = true; /* its checksum said it was sound */
		return;
	}
	for (size_t i = 0; i < ROWS; i++) {
		text_of(rid, b.first_seq + i, text);
		o->wrong |= logblock_get(block, i, &r) < 0 || !span_is(r.text, text) ||
			    r.seq != b.first_seq + i || r.t_ns != b.least_ns + (int64_t)i ||
			    r.observed_ns != b.arrived_ns;
	}
	o->blocks++;
}

/* The error of opening the file, or of the last block that could not be read. */
static int read_all(struct outcome *o)
{
	struct logblock *block;
	struct logpart *p;
	struct buf room;
	int err = logpart_open(path, &p), bad = 0;

	*o = (struct outcome){ 0 };
	if (err < 0)
		return err;
	buf_init(&room, LOGPART_BLOCK_MAX);
	assert_int_equal(logblock_new(&block), 0);
	for (uint32_t rid = 3; rid < 3 + RUNS; rid++) {
		size_t from, to;

		logpart_find(p, rid, &from, &to);
		o->wrong |= to - from != (rid == 4 ? 0 : BLOCKS);
		for (size_t i = from; i < to && !o->wrong; i++) {
			struct logpart_block want = block_of(rid, i - from);
			const struct logpart_block *b = logpart_block(p, i);
			struct stored s;

			o->wrong |= b->first_seq != want.first_seq || b->count != ROWS ||
				    b->least_ns != want.least_ns || b->greatest_ns != want.greatest_ns ||
				    b->arrived_ns != want.arrived_ns || b->levels != want.levels;
			err = logpart_open_block(p, i, &room, &s);
			if (err < 0)
				bad = err;
			else
				check_block(block, &s, rid, i - from, o);
		}
	}
	logblock_free(block);
	buf_release(&room);
	logpart_close(p);
	return bad;
}

static void assert_whole(void)
{
	struct outcome o;

	assert_int_equal(read_all(&o), 0);
	assert_false(o.wrong);
	assert_int_equal(o.blocks, (RUNS - 1) * BLOCKS);
}

static void test_round_trip(void **state)
{
	struct logpart_summary made, read;
	struct logpart_row row = { 0 };
	struct logpart_run run;
	struct span project, id;
	struct logpart *p;
	uint32_t digest;
	struct buf runs;

	(void)state;
	buf_init(&runs, 1 << 20);
	made = write_part(&runs);
	assert_whole();
	assert_int_equal(logpart_open(path, &p), 0);
	read = logpart_summary(p);
	assert_int_equal(made.records, (RUNS - 1) * BLOCKS * ROWS);
	assert_memory_equal(&made, &read, sizeof(made));
	assert_int_equal(logpart_id(p).pid, 5);
	assert_int_equal(logpart_id(p).first, 7);
	assert_int_equal(logpart_id(p).upto, 9);
	assert_int_equal(logpart_id(p).number, 12);
	assert_int_equal(logpart_digest(p, &digest), 0);
	assert_true(logpart_name(p, 5, &project, &id));
	assert_true(span_is(project, "default") && span_is(id, "run-5"));
	assert_false(logpart_name(p, 4, &project, &id));
	row.runs = buf_span(&runs);
	assert_true(logpart_row_run(&row, 6, &run));
	assert_int_equal(run.first_seq, 600);
	assert_int_equal(run.end_seq, 600 + BLOCKS * ROWS);
	assert_false(logpart_row_run(&row, 4, &run));
	assert_false(logpart_row_run(&row, 7, &run));
	logpart_close(p);
	buf_release(&runs);
}

/* ---- damage ---- */

static void test_every_byte_flipped(void **state)
{
	size_t refused = 0, damaged = 0;
	struct outcome o;
	struct buf runs;
	uint8_t byte;
	off_t size;
	int fd;

	(void)state;
	buf_init(&runs, 1 << 20);
	write_part(&runs);
	fd = open(path, O_RDWR);
	assert_true(fd >= 0);
	size = lseek(fd, 0, SEEK_END);
	for (off_t i = 0; i < size; i++) {
		uint8_t other;
		int err;

		assert_int_equal(pread(fd, &byte, 1, i), 1);
		other = byte ^ (uint8_t)(1 + i % 255);
		assert_int_equal(pwrite(fd, &other, 1, i), 1);
		err = read_all(&o);
		assert_true(err == ERR_CORRUPT || err == ERR_VERSION);
		assert_false(o.wrong);
		if (o.blocks) { /* one block alone */
			assert_int_equal(o.blocks, (RUNS - 1) * BLOCKS - 1);
			damaged++;
		} else {
			refused++;
		}
		assert_int_equal(pwrite(fd, &byte, 1, i), 1);
	}
	assert_true(refused > PARTFILE_HEADER_BYTES + PARTFILE_FOOTER_BYTES);
	assert_true(damaged > refused);
	assert_whole();
	close(fd);
	buf_release(&runs);
}

static void test_every_truncation(void **state)
{
	struct logpart_summary made;
	struct outcome o;
	struct buf runs;

	(void)state;
	buf_init(&runs, 1 << 20);
	made = write_part(&runs);
	for (uint64_t len = made.bytes; len-- > 0;) {
		assert_int_equal(truncate(path, (off_t)len), 0);
		assert_int_equal(read_all(&o), ERR_CORRUPT);
	}
	buf_release(&runs);
}

/* A part of another kind has the same form. */
static void test_other_kinds(void **state)
{
	const struct partfile_id id = { PART_SAMPLES, 1, 0, 1, 1, 1 };
	struct partfile_summary summary;
	struct partfile_writer w;
	struct logpart *p;

	(void)state;
	unlink(path);
	assert_int_equal(partfile_create(path, &id, &w), 0);
	assert_int_equal(partfile_finish(&w, span_str("index"), &summary), 0);
	assert_int_equal(logpart_open(path, &p), ERR_CORRUPT);
}

static int setup(void **state)
{
	(void)state;
	strcpy(directory, "/tmp/astraml-logpart-XXXXXX");
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
		cmocka_unit_test(test_every_byte_flipped),
		cmocka_unit_test(test_every_truncation),
		cmocka_unit_test(test_other_kinds),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
