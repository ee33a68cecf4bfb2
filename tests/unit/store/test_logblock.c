#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>

#include "store/log/logblock.h"
#include "store/log/logrow.h"
#include "tests/values.h"

#define OUT_MAX (16 * 1024 * 1024)

static struct log_record record(int64_t t_ns, const char *text)
{
	return (struct log_record){ .t_ns = t_ns, .rank = RANK_NONE, .text = span_str(text) };
}

static void assert_span(struct span a, struct span b)
{
	assert_int_equal(a.len, b.len);
	if (a.len)
		assert_memory_equal(a.data, b.data, a.len);
}

static void assert_record(const struct log_record *a, const struct log_record *b)
{
	assert_int_equal(a->t_ns, b->t_ns);
	assert_int_equal(a->observed_ns, b->observed_ns);
	assert_int_equal(a->level, b->level);
	assert_int_equal(a->rank, b->rank);
	assert_int_equal(a->flags, b->flags);
	assert_span(a->stream, b->stream);
	assert_span(a->text, b->text);
	assert_int_equal(a->n_attrs, b->n_attrs);
	for (size_t i = 0; i < a->n_attrs; i++) {
		assert_span(a->attrs[i].key, b->attrs[i].key);
		assert_span(a->attrs[i].value, b->attrs[i].value);
	}
}

static void check_prefix(const struct stored *s, const struct log_record *records)
{
	int64_t t_min = INT64_MAX, t_max = INT64_MIN, latest = INT64_MIN;
	struct logblock_prefix p;
	unsigned levels = 0;

	for (size_t i = 0; i < s->count; i++) {
		latest = records[i].observed_ns > latest ? records[i].observed_ns : latest;
		t_min = records[i].t_ns < t_min ? records[i].t_ns : t_min;
		t_max = records[i].t_ns > t_max ? records[i].t_ns : t_max;
		levels |= 1U << records[i].level;
	}
	assert_int_equal(logblock_prefix(s->body, &p), 0);
	assert_int_equal(p.t_min_ns, t_min);
	assert_int_equal(p.t_max_ns, t_max);
	assert_int_equal(p.levels, levels);
	assert_int_equal(p.observed_ns, records[0].observed_ns);
	assert_int_equal(p.latest_ns, latest);
}

/* All of them in one sealed block, observed at different times. */
static void check_sealed(const struct log_record *records, size_t n)
{
	struct log_record *seen = malloc(n * sizeof(*seen)), back;
	struct stored s = { .codec = CODEC_SEALED, .count = (uint32_t)n };
	struct logblock *b;
	struct buf out;

	assert_non_null(seen);
	for (size_t i = 0; i < n; i++) {
		seen[i] = records[i];
		seen[i].observed_ns += (int64_t)(i / 3 * 1000);
	}
	buf_init(&out, OUT_MAX);
	assert_int_equal(logblock_new(&b), 0);
	assert_int_equal(logblock_seal(seen, n, &out, &s.raw_len), 0);
	s.body = buf_span(&out);
	check_prefix(&s, seen);
	assert_int_equal(logblock_open(b, &s, 1000), 0);
	for (size_t i = n; i-- > 0;) {
		assert_int_equal(logblock_get(b, i, &back), 0);
		assert_int_equal(back.seq, 1000 + i);
		assert_record(&back, &seen[i]);
	}
	logblock_free(b);
	buf_release(&out);
	free(seen);
}

/* Packs, opens every block, compares; returns the number of blocks. */
static size_t check_round_trip(const struct log_record *records, size_t n)
{
	struct logblock *b;
	struct buf out;
	struct reader r;
	struct stored s;
	size_t done = 0, blocks = 0;
	int err;

	buf_init(&out, OUT_MAX);
	assert_int_equal(logblock_new(&b), 0);
	assert_int_equal(logblock_pack(records, n, &out), 0);
	r = reader_of(buf_span(&out));
	while ((err = logblock_next(&r, &s)) == 0) {
		check_prefix(&s, records + done);
		assert_int_equal(logblock_open(b, &s, 1000 + done), 0);
		assert_int_equal(logblock_count(b), s.count);
		assert_true(s.count == 1 || s.raw_len <= LOGBLOCK_RAW_BYTES);
		for (size_t i = s.count; i-- > 0;) {
			struct log_record back;

			assert_int_equal(logblock_get(b, i, &back), 0);
			assert_int_equal(back.seq, 1000 + done + i);
			assert_record(&back, &records[done + i]);
		}
		done += s.count;
		blocks++;
	}
	assert_int_equal(err, 1);
	assert_int_equal(done, n);
	logblock_free(b);
	buf_release(&out);
	check_sealed(records, n);
	return blocks;
}

static void one_plain_record(void **state)
{
	struct log_record r = record(1751803200000000000, "step 1\n");
	struct buf out;
	(void)state;

	r.observed_ns = r.t_ns + 5;
	assert_int_equal(check_round_trip(&r, 1), 1);
	buf_init(&out, OUT_MAX);
	assert_int_equal(logblock_pack(&r, 1, &out), 0);
	assert_true(out.len <= 13 + 12 + 2 + 7); /* entry, prefix, flags and length, text */
	buf_release(&out);
}

static void every_field_changes(void **state)
{
	struct log_record r[7];
	struct label four[2] = { { span_str("k"), span_str("v") }, { span_str(""), span_str("") } };
	struct label five[2] = { { span_str("k"), span_str("w") }, { span_str(""), span_str("") } };
	(void)state;

	for (int i = 0; i < 7; i++)
		r[i] = record(100, "");
	r[1].t_ns = -5;
	r[1].stream = span_str("stdout");
	r[2].stream = r[1].stream;
	r[2].rank = INT32_MAX;
	r[3].rank = 0;
	r[3].level = LEVEL_FATAL;
	r[4].flags = LOG_CONTINUES;
	r[4].attrs = four;
	r[4].n_attrs = 2;
	r[5] = r[4];
	r[5].attrs = five;
	r[6].t_ns = INT64_MAX;
	assert_int_equal(check_round_trip(r, 7), 1);
}

static void times_at_the_ends(void **state)
{
	struct log_record r[] = { record(INT64_MAX, "a"), record(INT64_MIN, "b"), record(INT64_MAX, "c") };
	(void)state;

	r[0].observed_ns = r[1].observed_ns = r[2].observed_ns = INT64_MAX;
	assert_int_equal(check_round_trip(r, 3), 1);
}

static void any_bytes(void **state)
{
	static const uint8_t bytes[] = { 0, 0xff, 0xc3, 0x28, '\r', '\n', 0, 0x80, 0xed, 0xa0, 0x80 };
	struct log_record r = record(1, "");
	(void)state;

	r.text = span_of(bytes, sizeof(bytes));
	assert_int_equal(check_round_trip(&r, 1), 1);
}

static void a_mebibyte(void **state)
{
	struct log_record r[3] = { record(1, "before"), record(2, ""), record(3, "after") };
	uint8_t *text = malloc(LOG_TEXT_MAX);
	uint64_t seed = 1;
	(void)state;

	memset(text, 'x', LOG_TEXT_MAX);
	r[1].text = span_of(text, LOG_TEXT_MAX);
	assert_int_equal(check_round_trip(r, 3), 3);
	for (size_t i = 0; i < LOG_TEXT_MAX; i++) /* does not compress */
		text[i] = (uint8_t)random_bits(&seed);
	assert_int_equal(check_round_trip(r, 3), 3);
	free(text);
}

static void many_lines_make_full_blocks(void **state)
{
	enum { N = 20000 };
	struct log_record *r = calloc(N, sizeof(*r));
	char(*text)[64] = calloc(N, sizeof(*text));
	struct buf out;
	size_t blocks;
	(void)state;

	for (int i = 0; i < N; i++) {
		snprintf(text[i], sizeof(text[i]), "step %d loss %.4f lr 0.0003 tokens/s %d\n", i,
			 9.0 / (i + 3), 30000 + i % 17);
		r[i] = record(INT64_C(1751803200000000000) + i * NS_PER_MS, text[i]);
		r[i].stream = span_str(i % 3 ? "stdout" : "stderr");
		r[i].level = i % 100 ? LEVEL_INFO : LEVEL_WARN;
	}
	blocks = check_round_trip(r, N);
	assert_in_range(blocks, N * 50 / LOGBLOCK_RAW_BYTES, N * 100 / LOGBLOCK_RAW_BYTES);
	buf_init(&out, OUT_MAX);
	assert_int_equal(logblock_pack(r, N, &out), 0);
	assert_true(out.len < N * 20); /* compressed: under half of the text */
	buf_release(&out);
	for (int i = 0; i < N; i++) {
		r[i].text = r[i].stream = span_str("");
		r[i].level = LEVEL_NONE;
	}
	assert_int_equal(check_round_trip(r, N), (N + LOGBLOCK_ROWS_MAX - 1) / LOGBLOCK_ROWS_MAX);
	free(text);
	free(r);
}

static void another_time_of_observation_is_another_block(void **state)
{
	struct log_record r[] = { record(1, "a"), record(1, "b"), record(1, "c") };
	(void)state;

	r[2].observed_ns = 7;
	assert_int_equal(check_round_trip(r, 3), 2);
}

static void too_large_or_full_leaves_out_alone(void **state)
{
	struct log_record r[] = { record(1, "a"), record(1, "") };
	uint8_t *text = calloc(1, LOGBLOCK_RAW_MAX);
	struct buf out;
	(void)state;

	buf_init(&out, OUT_MAX);
	assert_int_equal(buf_addstr(&out, "kept"), 0);
	r[1].text = span_of(text, LOGBLOCK_RAW_MAX);
	assert_int_equal(logblock_pack(r, 2, &out), ERR_TOO_LARGE);
	assert_int_equal(out.len, 4);
	buf_release(&out);
	buf_init(&out, 40);
	assert_int_equal(logblock_pack(r, 1, &out), ERR_FULL);
	assert_int_equal(out.len, 0);
	buf_release(&out);
	free(text);
}

static void random_records(void **state)
{
	static const char *const streams[] = { "", "stdout", "stderr", "train.loop" };
	uint8_t bytes[300];
	uint64_t seed = 5;
	(void)state;

	for (size_t i = 0; i < sizeof(bytes); i++)
		bytes[i] = (uint8_t)random_bits(&seed);
	for (int round = 0; round < 200; round++) {
		struct log_record r[64] = { 0 };
		struct label attrs[64][LOG_ATTRS_MAX];
		size_t n = 1 + random_below(&seed, 64);

		for (size_t i = 0; i < n; i++) {
			r[i].t_ns = (int64_t)random_bits(&seed) >> random_below(&seed, 64);
			r[i].level = (enum level)random_below(&seed, LEVELS);
			r[i].rank = (int32_t)random_below(&seed, 3) - 1;
			r[i].stream = span_str(streams[random_below(&seed, 4)]);
			r[i].text = span_of(bytes, random_below(&seed, sizeof(bytes)));
			r[i].n_attrs = random_below(&seed, 4) ? 0 : random_below(&seed, LOG_ATTRS_MAX + 1);
			r[i].attrs = attrs[i];
			for (size_t j = 0; j < r[i].n_attrs; j++)
				attrs[i][j] = (struct label){ span_of(bytes + j, 3), span_of(bytes, j) };
		}
		check_round_trip(r, n);
	}
}

/* Opened and read, in exact-size copies, so that a read past the end is found out. */
static int open_copy(struct logblock *b, struct stored s, size_t len)
{
	uint8_t *copy = malloc(len ? len : 1);
	struct log_record r;
	int err;

	memcpy(copy, s.body.data, len);
	s.body = span_of(copy, len);
	err = logblock_open(b, &s, 1);
	for (size_t i = 0; err == 0 && i < logblock_count(b); i++)
		err = logblock_get(b, i, &r);
	free(copy);
	return err;
}

static void damaged_blocks(void **state)
{
	struct log_record r[40];
	struct logblock *b;
	struct buf out;
	(void)state;

	buf_init(&out, OUT_MAX);
	assert_int_equal(logblock_new(&b), 0);
	for (int i = 0; i < 40; i++) {
		r[i] = record(100 + i, i % 2 ? "one line" : "another line of text");
		r[i].level = LEVEL_INFO;
	}
	for (size_t n = 5; n <= 40; n += 35) { /* plain, compressed */
		struct reader reader;
		struct stored s;

		buf_clear(&out);
		assert_int_equal(logblock_pack(r, n, &out), 0);
		reader = reader_of(buf_span(&out));
		assert_int_equal(logblock_next(&reader, &s), 0);
		assert_int_equal(s.codec, n == 5 ? CODEC_PLAIN : CODEC_ZSTD);
		for (size_t cut = 0; cut < s.body.len; cut++)
			assert_int_equal(open_copy(b, s, cut), ERR_CORRUPT);
		for (size_t i = 0; i < s.body.len * 8; i++) {
			uint8_t *byte = out.data + (s.body.data - out.data) + i / 8;

			*byte ^= (uint8_t)(1 << i % 8);
			open_copy(b, s, s.body.len); /* some flips of text make other text */
			*byte ^= (uint8_t)(1 << i % 8);
		}
		assert_int_equal(open_copy(b, s, s.body.len), 0);
		s.count++;
		assert_int_equal(open_copy(b, s, s.body.len), ERR_CORRUPT);
		s.count -= 2;
		assert_int_equal(open_copy(b, s, s.body.len), ERR_CORRUPT);
		s.count++;
		s.raw_len--;
		assert_int_equal(open_copy(b, s, s.body.len), ERR_CORRUPT);
		s.raw_len = UINT32_MAX;
		assert_int_equal(open_copy(b, s, s.body.len), ERR_CORRUPT);
		s.count = UINT32_MAX;
		assert_int_equal(open_copy(b, s, s.body.len), ERR_CORRUPT);
		for (size_t cut = 1; cut < out.len; cut++) {
			reader = reader_of(span_of(out.data, cut));
			assert_int_equal(logblock_next(&reader, &s), ERR_CORRUPT);
		}
	}
	logblock_free(b);
	buf_release(&out);
}

static void damaged_sealed_block(void **state)
{
	struct log_record r[40];
	struct logblock *b;
	struct buf out;
	struct stored s = { .codec = CODEC_SEALED, .count = 40 };
	size_t errors = 0;
	(void)state;

	buf_init(&out, OUT_MAX);
	assert_int_equal(logblock_new(&b), 0);
	for (int i = 0; i < 40; i++)
		r[i] = record(100 + i, i % 2 ? "one line 1\n" : "another line 20 of text 030\r");
	assert_int_equal(logblock_seal(r, 40, &out, &s.raw_len), 0);
	s.body = buf_span(&out);
	for (size_t cut = 0; cut < s.body.len; cut++)
		assert_int_equal(open_copy(b, s, cut), ERR_CORRUPT);
	for (size_t i = 0; i < s.body.len * 8; i++) {
		out.data[i / 8] ^= (uint8_t)(1 << i % 8);
		errors += open_copy(b, s, s.body.len) != 0;
		out.data[i / 8] ^= (uint8_t)(1 << i % 8);
	}
	assert_true(errors > s.body.len); /* the rest made other texts; the checksum is for these */
	s.count++;
	assert_int_equal(open_copy(b, s, s.body.len), ERR_CORRUPT);
	s.count = LOGBLOCK_SEALED_ROWS_MAX + 1;
	assert_int_equal(open_copy(b, s, s.body.len), ERR_CORRUPT);
	s.count = 40;
	s.raw_len = LOGBLOCK_SEALED_RAW_MAX + 1;
	assert_int_equal(open_copy(b, s, s.body.len), ERR_CORRUPT);
	logblock_free(b);
	buf_release(&out);
}

/* A whole stored value, header and body: whatever byte is changed, and to whatever, it is found out before
 * anything is read of it, and so is a value under another key. */
static void every_byte_of_a_stored_block(void **state)
{
	struct log_record r[200];
	char text[200][64];
	struct stored s = { .codec = CODEC_SEALED, .count = 200 }, back;
	uint8_t name[12] = "run1seq00001", *value;
	struct span key = span_of(name, sizeof(name));
	size_t len;
	struct buf out;
	(void)state;

	buf_init(&out, OUT_MAX);
	for (int i = 0; i < 200; i++) {
		snprintf(text[i], sizeof(text[i]), "step %d loss %.4f of rank %d\r\n", i, 9.0 / (i + 3),
			 i % 7);
		r[i] = record(100 + i, text[i]);
		r[i].level = i % 50 ? LEVEL_INFO : LEVEL_WARN;
	}
	assert_int_equal(logblock_seal(r, 200, &out, &s.raw_len), 0);
	len = STORED_HEADER_BYTES + out.len;
	value = malloc(len);
	assert_non_null(value);
	memcpy(value + STORED_HEADER_BYTES, out.data, out.len);
	stored_seal(value, KIND_LOG, s.codec, s.count, s.raw_len, key, out.len);
	assert_int_equal(stored_open(key, span_of(value, len), KIND_LOG, &back), 0);
	for (size_t i = 0; i < len; i++) {
		for (int v = 1; v < 256; v += v < 16 || v > 240 ? 1 : 16) {
			value[i] ^= (uint8_t)v;
			assert_int_not_equal(stored_open(key, span_of(value, len), KIND_LOG, &back), 0);
			value[i] ^= (uint8_t)v;
		}
		assert_int_equal(stored_open(key, span_of(value, i), KIND_LOG, &back), ERR_CORRUPT);
	}
	for (size_t i = 0; i < sizeof(name); i++) {
		name[i] ^= 1;
		assert_int_equal(stored_open(key, span_of(value, len), KIND_LOG, &back), ERR_CORRUPT);
		name[i] ^= 1;
	}
	assert_int_equal(stored_open(key, span_of(value, len), KIND_LOG, &back), 0);
	free(value);
	buf_release(&out);
}

/* As many records as a sealed block may have: of nothing, of digits, of templates that differ. */
static void sealed_blocks_of_odd_texts(void **state)
{
	enum { N = LOGBLOCK_SEALED_ROWS_MAX };
	static const char *const forms[] = { "%.0d\n", "%.0d", "%d", "%08d\r\n", "0%d.%d", "%c%c\n" };
	struct log_record *r = calloc(N, sizeof(*r));
	char(*text)[32] = calloc(N, sizeof(*text));
	(void)state;

	for (size_t form = 0; form < sizeof(forms) / sizeof(*forms); form++) {
		for (int i = 0; i < N; i++) {
			int n = form < 2 ? 0 : i,
			    len = snprintf(text[i], sizeof(text[i]), forms[form], n, n / 256);

			r[i] = record(i, "");
			r[i].text = span_of(text[i], (size_t)len);
		}
		check_sealed(r, N);
	}
	for (int i = 0; i < N; i++) { /* 10,000 templates, and NUL bytes in them */
		int n = i % 10000;

		for (int at = 0; at < 16; at++, n /= 2)
			text[i][at] = n & 1 ? 'x' : 0;
		r[i].text = span_of(text[i], 16);
	}
	check_sealed(r, N);
	free(text);
	free(r);
}

/* Makes what is inside each frame of the texts of a sealed block (logtext.h) useless; what says where they
 * lie stays. */
static void spoil_texts(struct span body)
{
	struct reader r = reader_of(body);
	struct logblock_prefix prefix;
	int frames = 0;

	assert_int_equal(logprefix_read(&r, &prefix), 0);
	read_varint(&r); /* bytes of the rows */
	read_lenspan(&r);
	for (int i = 0; i < 3; i++)
		read_varint(&r);
	read_lenspan(&r); /* trigrams */
	for (; reader_left(&r); frames++) {
		struct span packed;

		read_varint(&r);
		packed = read_lenspan(&r);
		if (packed.len)
			memset((uint8_t *)packed.data, 0xff, packed.len);
	}
	assert_false(r.bad);
	assert_int_equal(frames, 13);
}

/* Times, levels, streams, ranks and attributes do not touch the texts. */
static void rows_need_no_text(void **state)
{
	const struct label attrs[] = { { span_str("file"), span_str("train.py") } };
	struct stored s = { .codec = CODEC_SEALED, .count = 1000 };
	struct log_record *r = calloc(s.count, sizeof(*r)), back;
	char(*text)[48] = calloc(s.count, sizeof(*text));
	const struct log_hint hint = { .holds = span_str("loss") };
	const uint8_t *fits;
	struct logblock *b;
	struct buf out;
	(void)state;

	assert_true(r && text);
	for (uint32_t i = 0; i < s.count; i++) {
		snprintf(text[i], sizeof(text[i]), "step %u loss %.5f\n", i, 3.0 / (i + 1));
		r[i] = record(100 + i * 7, text[i]);
		r[i].level = i % 9 ? LEVEL_INFO : LEVEL_ERROR;
		r[i].rank = (int32_t)(i % 4);
		r[i].stream = span_str(i % 3 ? "stdout" : "stderr");
		r[i].attrs = attrs;
		r[i].n_attrs = i % 2;
	}
	buf_init(&out, OUT_MAX);
	assert_int_equal(logblock_new(&b), 0);
	assert_int_equal(logblock_seal(r, s.count, &out, &s.raw_len), 0);
	s.body = buf_span(&out);
	spoil_texts(s.body);
	assert_int_equal(logblock_open(b, &s, 1000), 0);
	for (uint32_t i = 0; i < s.count; i++) {
		assert_int_equal(logblock_get_row(b, i, &back), 0);
		assert_int_equal(back.text.len, 0);
		r[i].text = back.text;
		assert_record(&back, &r[i]);
		assert_int_equal(logblock_get(b, i, &back), ERR_CORRUPT);
	}
	assert_true(logblock_may_fit(b, &hint));
	assert_int_equal(logblock_find(b, &hint, &fits), ERR_CORRUPT);
	logblock_free(b);
	buf_release(&out);
	free(text);
	free(r);
}

static void bytes_no_writer_made(void **state)
{
	/* least time 0, range 0, levels, observed 0, no later, then one row */
	static const struct {
		const char *bytes;
		size_t len;
		int err;
	} cases[] = {
		{ "\0\0\0\0\0\0\0\0\0\1\0\0\0\1x", 15, 0 },
		{ "\0\0\0\0\0\0\0\0\0\2\0\0\0\1x", 15, ERR_CORRUPT },       /* levels that are not there */
		{ "\0\0\0\0\0\0\0\0\0\x81\0\0\0\1x", 15, ERR_CORRUPT },     /* no such level */
		{ "\0\0\0\0\0\0\0\0\1\1\0\0\0\1x", 15, ERR_CORRUPT },       /* range too wide */
		{ "\0\0\0\0\0\0\0\0\0\1\0\0\x40\1x", 15, ERR_CORRUPT },     /* no such flag */
		{ "\0\0\0\0\0\0\0\0\0\1\0\0\1\2\1x", 16, ERR_CORRUPT },     /* time outside */
		{ "\0\0\0\0\0\0\0\0\0\1\0\0\4\3\1x", 16, ERR_CORRUPT },     /* rank -2 */
		{ "\0\0\0\0\0\0\0\0\0\1\0\0\4\1\1x", 16, 0 },               /* rank -1 */
		{ "\0\0\0\0\0\0\0\0\0\1\0\0\x08\7\1x", 16, ERR_CORRUPT },   /* level 7 */
		{ "\0\0\0\0\0\0\0\0\0\1\0\0\x10\x21\1x", 16, ERR_CORRUPT }, /* 33 attributes */
		{ "\0\0\0\0\0\0\0\0\0\1\0\0\0\1xy", 16, ERR_CORRUPT },      /* a byte left over */
		{ "\0\0\0\0\0\0\0\0\0\1\0\1\0\1x", 15, ERR_CORRUPT },       /* observed later than any row */
		{ "\xff\xff\xff\xff\xff\xff\xff\x7f\1\1\0\0\0\1x", 15, ERR_CORRUPT }, /* times past the end */
	};
	struct logblock *b;
	(void)state;

	assert_int_equal(logblock_new(&b), 0);
	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		struct stored s = { .count = 1, .raw_len = (uint32_t)cases[i].len };

		s.body = span_of(cases[i].bytes, cases[i].len);
		assert_int_equal(open_copy(b, s, s.body.len), cases[i].err);
	}
	logblock_free(b);
	logblock_free(NULL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(one_plain_record),
		cmocka_unit_test(every_field_changes),
		cmocka_unit_test(times_at_the_ends),
		cmocka_unit_test(any_bytes),
		cmocka_unit_test(a_mebibyte),
		cmocka_unit_test(many_lines_make_full_blocks),
		cmocka_unit_test(another_time_of_observation_is_another_block),
		cmocka_unit_test(too_large_or_full_leaves_out_alone),
		cmocka_unit_test(random_records),
		cmocka_unit_test(damaged_blocks),
		cmocka_unit_test(damaged_sealed_block),
		cmocka_unit_test(every_byte_of_a_stored_block),
		cmocka_unit_test(sealed_blocks_of_odd_texts),
		cmocka_unit_test(rows_need_no_text),
		cmocka_unit_test(bytes_no_writer_made),
	};
	return cmocka_run_group_tests_name("logblock", tests, NULL, NULL);
}
