/*
 * The wire iterators against protobuf-c on the same bytes: both take them or both refuse, and say
 * the same values; where ours is stricter, a walk of its own finds which listed reason applies.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#include "tests/unit/proto/message_random.h"
#include "tests/unit/proto/message_same.h"

static const struct message_limits wide = { 1000000, 1000000, 1000000, 1000000, 1000000, 1000000, 16000000 };

/* ---- differential tests ---- */

enum verdict { BOTH_TAKE, BOTH_REFUSE, OURS_REFUSES };

static void tell(struct span s, const struct fault *f)
{
	for (size_t i = 0; i < s.len; i++)
		print_error("%02x", s.data[i]);
	fail_msg(" refused for no listed reason: %s", f->text);
}

/* The bytes are copied to where they end with their block. */
static enum verdict compare(struct span body)
{
	struct message_counts counts = { 0 };
	struct fault f = { 0 };
	uint8_t *copy = malloc(body.len);
	struct span s = { copy, body.len };
	Astraml__V2__IngestRequest *m;
	enum verdict verdict;
	struct arena a;
	int err;

	arena_init(&a, 64 << 20);
	if (body.len)
		memcpy(copy, body.data, body.len);
	m = oracle(&a, s);
	assert_false(arena_full);
	err = message_check(s, &wide, &counts, &f);
	if (err == 0) {
		assert_non_null(m);
		same_counts(&counts, m);
		assert_int_equal(counts.fields, count_fields(s, SHAPE_REQUEST));
		same_request(s, m);
		verdict = BOTH_TAKE;
	} else {
		assert_int_equal(err, ERR_MALFORMED);
		assert_int_equal(f.err, err);
		assert_true(f.field[0] && f.text[0] && counts.fields == 0);
		if (m && !may_refuse(m, s))
			tell(s, &f);
		verdict = m ? OURS_REFUSES : BOTH_REFUSE;
	}
	arena_release(&a);
	free(copy);
	return verdict;
}

static void same_as_protobuf_c(void **state)
{
	struct arena a;
	struct buf other;

	(void)state;
	random_state = 1;
	arena_init(&a, 64 << 20);
	buf_init(&other, 64 << 20);
	for (int i = 0; i < 3000; i++) {
		struct span s = random_request(&a);

		assert_int_equal(compare(s), BOTH_TAKE);
		buf_clear(&other);
		rewrite(s, SHAPE_REQUEST, &other);
		assert_int_equal(compare(buf_span(&other)), BOTH_TAKE);
		arena_reset(&a);
	}
	buf_release(&other);
	arena_release(&a);
}

static void broken_bytes_too(void **state)
{
	size_t n[3] = { 0 };
	struct arena a;
	struct buf b;

	(void)state;
	random_state = 2;
	arena_init(&a, 64 << 20);
	buf_init(&b, 64 << 20);
	for (int i = 0; i < 30000; i++) {
		struct span s = random_request(&a);

		buf_clear(&b);
		if (below(2))
			rewrite(s, SHAPE_REQUEST, &b);
		else
			assert_int_equal(buf_add(&b, s.data, s.len), 0);
		mutate(&b);
		n[compare(buf_span(&b))]++;
		arena_reset(&a);
	}
	/* each kind was met, or this test shows little */
	assert_true(n[BOTH_TAKE] > 1000 && n[BOTH_REFUSE] > 1000 && n[OURS_REFUSES] > 100);
	buf_release(&b);
	arena_release(&a);
}

static void cut_anywhere(void **state)
{
	struct arena a;

	(void)state;
	random_state = 3;
	arena_init(&a, 64 << 20);
	for (int i = 0; i < 20; i++) {
		struct span s = random_request(&a);

		for (size_t n = 0; n < s.len && n < 3000; n++)
			compare(span_of(s.data, n));
		arena_reset(&a);
	}
	arena_release(&a);
}

/* ---- one by one ---- */

#define BYTES(text)                                                                                          \
	{                                                                                                    \
		(const uint8_t *)(text), sizeof(text) - 1                                                    \
	}

/* What protobuf-c takes, and what of it ours refuses all the same. */
static void stricter_where_said(void **state)
{
	static const struct {
		const char *why;
		struct span bytes;
		enum verdict verdict;
	} table[] = {
		{ "nothing", BYTES(""), BOTH_TAKE },
		{ "field number 0", BYTES("\x00\x01"), BOTH_REFUSE },
		{ "field number 0 in two bytes", BYTES("\x80\x00\x01"), OURS_REFUSES },
		{ "field number 0 within", BYTES("\x12\x02\x00\x01"), BOTH_REFUSE },
		{ "field number 2^29 - 1", BYTES("\xf8\xff\xff\xff\x0f\x01"), BOTH_TAKE },
		{ "field number 2^29", BYTES("\x80\x80\x80\x80\x10\x01"), OURS_REFUSES },
		{ "a tag of six bytes", BYTES("\xb0\x80\x80\x80\x80\x00\x01"), BOTH_REFUSE },
		{ "a length of five bytes", BYTES("\x12\x80\x80\x80\x80\x00"), BOTH_TAKE },
		{ "a length of six bytes", BYTES("\x12\x80\x80\x80\x80\x80\x00"), BOTH_REFUSE },
		{ "ten bytes, 2^64 - 1", BYTES("\x30\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01"), BOTH_TAKE },
		{ "ten bytes, 2^64", BYTES("\x30\x80\x80\x80\x80\x80\x80\x80\x80\x80\x02"), OURS_REFUSES },
		{ "eleven bytes", BYTES("\x30\x80\x80\x80\x80\x80\x80\x80\x80\x80\x80\x00"), BOTH_REFUSE },
		{ "a group", BYTES("\x4b\x4c"), BOTH_REFUSE },
		{ "wire type 6", BYTES("\x4e"), BOTH_REFUSE },
		{ "a time unit of 0", BYTES("\x1a\x02\x20\x00"), BOTH_TAKE },
		{ "two producers", BYTES("\x0a\x00\x0a\x00"), OURS_REFUSES },
		{ "two run updates", BYTES("\x2a\x02\x08\x01\x2a\x02\x08\x02"), BOTH_REFUSE },
		{ "imported as a string", BYTES("\x32\x00"), OURS_REFUSES },
		{ "series as a number", BYTES("\x10\x00"), BOTH_REFUSE },
		{ "metric as a number", BYTES("\x12\x02\x08\x00"), BOTH_REFUSE },
		{ "label key as a number", BYTES("\x12\x04\x1a\x02\x08\x00"), BOTH_REFUSE },
		{ "rank as fixed32", BYTES("\x22\x05\x15\x00\x00\x00\x00"), BOTH_REFUSE },
		{ "level as a string", BYTES("\x22\x04\x1a\x02\x1a\x00"), BOTH_REFUSE },
		{ "times as fixed64", BYTES("\x1a\x09\x29\x00\x00\x00\x00\x00\x00\x00\x00"), BOTH_REFUSE },
		{ "values of seven bytes", BYTES("\x1a\x09\x3a\x07\x00\x00\x00\x00\x00\x00\x00"),
		  BOTH_REFUSE },
		{ "a series for no value", BYTES("\x1a\x03\x0a\x01\x00"), OURS_REFUSES },
		{ "a value of no series", BYTES("\x1a\x06\x42\x04\x00\x00\x80\x3f"), OURS_REFUSES },
		{ "one of a series", BYTES("\x1a\x09\x0a\x01\x00\x42\x04\x00\x00\x80\x3f"), BOTH_TAKE },
		{ "two of one series", BYTES("\x1a\x0d\x0a\x01\x00\x42\x08\x00\x00\x80\x3f\x00\x00\x80\x3f"),
		  BOTH_TAKE },
		{ "one of two series", BYTES("\x1a\x0a\x0a\x02\x00\x00\x42\x04\x00\x00\x80\x3f"),
		  OURS_REFUSES },
		{ "one at two times", BYTES("\x1a\x0d\x0a\x01\x00\x2a\x02\x00\x00\x42\x04\x00\x00\x80\x3f"),
		  OURS_REFUSES },
		{ "one at two steps", BYTES("\x1a\x0d\x0a\x01\x00\x32\x02\x00\x00\x42\x04\x00\x00\x80\x3f"),
		  OURS_REFUSES },
		{ "both kinds of value",
		  BYTES("\x1a\x14\x0a\x02\x00\x00\x42\x04\x00\x00\x80\x3f\x3a\x08\x00\x00\x00\x00\x00\x00\x00"
			"\x00"),
		  OURS_REFUSES },
	};
	int wrong = 0;

	(void)state;
	for (size_t i = 0; i < sizeof(table) / sizeof(*table); i++) {
		enum verdict got = compare(table[i].bytes);

		if (got != table[i].verdict)
			print_error("%s: %d\n", table[i].why, got);
		wrong += got != table[i].verdict;
	}
	assert_int_equal(wrong, 0);
}

/* A packed column whose last varint is of ten bytes and over 64 bits, at every place of it. */
static void wide_entries_anywhere(void **state)
{
	(void)state;
	for (size_t before = 0; before < 20; before++) {
		for (size_t after = 0; after < 20; after++) {
			uint8_t column[64] = { 0 }, *p = column + before;
			size_t n = before + 10 + after;
			struct buf b;

			memset(p, 0x80, 9);
			p[9] = 2;
			buf_init(&b, 1000);
			for (size_t i = 0, mark; i <= 1; i++) {
				buf_clear(&b);
				p[9] = (uint8_t)(2 - i);
				assert_int_equal(message_begin(&b, REQUEST_SAMPLES, &mark), 0);
				assert_int_equal(message_put_bytes(&b, SAMPLES_SERIES, span_of("", 1)), 0);
				assert_int_equal(message_put_bytes(&b, SAMPLES_TIMES, span_of(column, n)), 0);
				for (size_t v = 0; v < before + 1 + after; v++)
					assert_int_equal(message_put_fixed64(&b, SAMPLES_VALUES, v), 0);
				assert_int_equal(message_end(&b, mark), 0);
				assert_int_equal(compare(buf_span(&b)), i ? BOTH_TAKE : OURS_REFUSES);
			}
			buf_release(&b);
		}
	}
}

/* Sums that just stay within 64 bits, and that just do not, in the part that goes by eights. */
static void sums_at_the_edge(void **state)
{
	(void)state;
	for (int i = 0; i < 4; i++) {
		int64_t sign = i & 1 ? -1 : 1, room[17], first = sign * (INT64_MAX - 16 + i / 2);
		bool fits = i < 2;
		size_t mark;
		struct buf b;

		buf_init(&b, 1000);
		assert_int_equal(message_begin(&b, SAMPLES_TIMES, &mark), 0);
		assert_int_equal(buf_add_varint(&b, zigzag(first - (sign < 0))), 0);
		for (int v = 0; v < 16; v++)
			assert_int_equal(buf_add_varint(&b, zigzag(sign)), 0);
		assert_int_equal(message_end(&b, mark), 0);
		assert_int_equal(samples_sums(buf_span(&b), SAMPLES_TIMES, room), fits);
		assert_true(!fits || room[16] == (sign > 0 ? INT64_MAX : INT64_MIN));
		buf_release(&b);
	}
}

static void limits_to_the_entry(void **state)
{
	struct arena a;

	(void)state;
	random_state = 4;
	arena_init(&a, 64 << 20);
	for (int i = 0; i < 300; i++) {
		struct span s = random_request(&a);
		struct message_counts n;

		assert_int_equal(message_check(s, &wide, &n, NULL), 0);
		for (size_t k = 0; k < 7; k++) {
			size_t count = (&n.samples)[k];
			struct message_limits l = { n.samples,    n.series,  n.labels, n.records,
						    n.attributes, n.buckets, n.fields };
			struct message_counts none = { .fields = 99 };
			struct fault f = { 0 };

			assert_int_equal(message_check(s, &l, &none, &f), 0);
			if (count == 0)
				continue;
			none.fields = 99;
			(&l.samples)[k] = count - 1;
			assert_int_equal(message_check(s, &l, &none, &f), ERR_TOO_LARGE);
			assert_int_equal(f.err, ERR_TOO_LARGE);
			assert_true(f.field[0] && f.text[0] && none.fields == 99);
		}
		arena_reset(&a);
	}
	arena_release(&a);
}

/* What the writer writes, protobuf-c reads; lengths of one, two and three bytes. */
static void writer(void **state)
{
	static const size_t lengths[] = { 0, 1, 127, 128, 16383, 16384, 100000 };
	static uint8_t text[100000];

	(void)state;
	memset(text, 'x', sizeof(text));
	for (size_t i = 0; i < sizeof(lengths) / sizeof(*lengths); i++) {
		Astraml__V2__IngestRequest *m;
		size_t logs, record;
		struct arena a;
		struct buf b;

		buf_init(&b, 1 << 20);
		arena_init(&a, 1 << 20);
		assert_int_equal(message_begin(&b, REQUEST_LOGS, &logs), 0);
		assert_int_equal(message_put_bytes(&b, LOGS_STREAM, span_str("out")), 0);
		assert_int_equal(message_begin(&b, LOGS_RECORDS, &record), 0);
		assert_int_equal(message_put_bytes(&b, RECORD_TEXT, span_of(text, lengths[i])), 0);
		assert_int_equal(message_put_fixed64(&b, RECORD_TIME_NS, (uint64_t)-5), 0);
		assert_int_equal(message_end(&b, record), 0);
		assert_int_equal(message_put_varint(&b, LOGS_RANK, 300), 0);
		assert_int_equal(message_end(&b, logs), 0);
		assert_int_equal(message_put_varint(&b, REQUEST_IMPORTED, 1), 0);
		m = oracle(&a, buf_span(&b));
		assert_non_null(m);
		assert_true(m->imported && m->n_logs == 1 && m->logs[0]->n_records == 1);
		assert_string_equal(m->logs[0]->stream, "out");
		assert_int_equal(m->logs[0]->rank, 300);
		assert_int_equal(m->logs[0]->records[0]->time_ns, -5);
		assert_int_equal(m->logs[0]->records[0]->text.len, lengths[i]);
		arena_release(&a);
		buf_release(&b);
	}
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(same_as_protobuf_c),
		cmocka_unit_test(broken_bytes_too),
		cmocka_unit_test(cut_anywhere),
		cmocka_unit_test(stricter_where_said),
		cmocka_unit_test(wide_entries_anywhere),
		cmocka_unit_test(limits_to_the_entry),
		cmocka_unit_test(writer),
		cmocka_unit_test(sums_at_the_edge),
	};

	return cmocka_run_group_tests_name("message", tests, NULL, NULL);
}
