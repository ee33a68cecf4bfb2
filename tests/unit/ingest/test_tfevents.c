/* Events of TensorBoard: scalars of both generations in every type, and what is none. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "ingest/import/tfevents.h"
#include "proto/message.h"

static struct buf event, summary, value, tensor;

static void put(int err) { assert_int_equal(err, 0); }

static void put_fixed32(struct buf *b, uint32_t field, uint32_t v)
{
	uint8_t raw[4];

	put_le32(raw, v);
	put(buf_add_varint(b, field << 3 | WIRE_FIXED32));
	put(buf_add(b, raw, 4));
}

static void begin(void)
{
	struct buf *const all[] = { &event, &summary, &value, &tensor };

	for (size_t i = 0; i < 4; i++) {
		buf_release(all[i]);
		buf_init(all[i], 1 << 20);
	}
}

/* The value in the making becomes one of the summary. */
static void end_value(const char *tag)
{
	put(message_put_bytes(&value, 1, span_str(tag)));
	put(message_put_bytes(&summary, 1, buf_span(&value)));
	buf_clear(&value);
}

static void end_tensor(const char *tag)
{
	put(message_put_bytes(&value, 8, buf_span(&tensor)));
	buf_clear(&tensor);
	end_value(tag);
}

static void simple(const char *tag, float v)
{
	uint32_t bits;

	memcpy(&bits, &v, 4);
	put_fixed32(&value, 2, bits);
	end_value(tag);
}

static void end_event(double wall_time, int64_t step)
{
	put(message_put_fixed64(&event, 1, double_bits(wall_time)));
	put(message_put_varint(&event, 2, (uint64_t)step));
	put(message_put_bytes(&event, 5, buf_span(&summary)));
}

/* From a heap block of exactly that size. */
static struct span exact(struct span s)
{
	static uint8_t *copy;

	free(copy);
	copy = malloc(s.len ? s.len : 1);
	assert_non_null(copy);
	if (s.len > 0)
		memcpy(copy, s.data, s.len);
	return span_of(copy, s.len);
}

/* Walks all of it; how many scalars, the last in *ret. */
static int walk(struct span record, struct event *e, struct event_scalar *ret)
{
	int err = event_parse(exact(record), e), n = 0;

	while (err == 0 && (err = event_next(e, ret)) == 0)
		n++;
	return err < 0 ? err : n;
}

static void expect(const char *tag, double v, bool is_float32)
{
	struct event e;
	struct event_scalar s;

	end_event(1, 0);
	assert_int_equal(walk(buf_span(&event), &e, &s), 1);
	assert_true(span_is(s.tag, tag));
	assert_int_equal(double_bits(s.value), double_bits(v));
	assert_int_equal(s.is_float32, is_float32);
	assert_int_equal(e.others, 0);
}

static void expect_none(void)
{
	struct event e;
	struct event_scalar s;

	end_event(1, 0);
	assert_int_equal(walk(buf_span(&event), &e, &s), 0);
	assert_int_equal(e.others, 1);
}

static void test_simple_values(void **state)
{
	struct event e;
	struct event_scalar s;

	(void)state;
	begin();
	simple("loss", 0.1f);
	simple("acc", -0.0f);
	end_event(1717191010.25, -3);
	assert_int_equal(walk(buf_span(&event), &e, &s), 2);
	assert_true(e.has_time);
	assert_int_equal(e.t_ns, 1717191010250000000);
	assert_int_equal(e.step, -3);
	assert_true(span_is(s.tag, "acc"));
	assert_int_equal(double_bits(s.value), double_bits(-0.0));
	assert_true(s.is_float32);
	begin();
	simple("loss", 0.1f);
	expect("loss", (double)0.1f, true);
}

static void test_typed_columns(void **state)
{
	static const struct {
		uint64_t dtype;
		uint32_t field;
		enum wire_type wire;
		uint64_t bits;
		double want;
		bool is_float32;
	} cases[] = {
		{ 1, 5, WIRE_FIXED32, 0x3dcccccd, 0.10000000149011612, true },
		{ 2, 6, WIRE_FIXED64, 0x3fb999999999999a, 0.1, false },
		{ 3, 7, WIRE_VARINT, (uint64_t)-5, -5, false },
		{ 3, 7, WIRE_VARINT, 0xfffffffb, -5, false },
		{ 4, 7, WIRE_VARINT, 200, 200, false },
		{ 5, 7, WIRE_VARINT, (uint64_t)-32768, -32768, false },
		{ 6, 7, WIRE_VARINT, (uint64_t)-128, -128, false },
		{ 9, 10, WIRE_VARINT, (uint64_t)INT64_MIN, -0x1p63, false },
		{ 9, 10, WIRE_VARINT, 9007199254740993, 9007199254740992, false },
		{ 17, 7, WIRE_VARINT, 65535, 65535, false },
		{ 22, 16, WIRE_VARINT, 4294967295, 4294967295, false },
		{ 23, 17, WIRE_VARINT, UINT64_MAX, 0x1p64, false },
		{ 19, 13, WIRE_VARINT, 0x3555, 0x1.554p-2, true },
		{ 19, 13, WIRE_VARINT, 0x8001, -0x1p-24, true },
		{ 19, 13, WIRE_VARINT, 0x7bff, 65504, true },
		{ 19, 13, WIRE_VARINT, 0xfc00, -(double)INFINITY, true },
		{ 19, 13, WIRE_VARINT, 0x8000, -0.0, true },
		{ 14, 13, WIRE_VARINT, 0x3f80, 1, true },
		{ 14, 13, WIRE_VARINT, 0xff80, -(double)INFINITY, true },
		{ 14, 13, WIRE_VARINT, 0x0001, 0x1p-133, true },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
		for (int packed = 0; packed < 2; packed++) {
			uint8_t raw[VARINT_MAX];
			size_t n = cases[i].wire == WIRE_FIXED32 ? 4 : 8;

			begin();
			put_le64(raw, cases[i].bits);
			if (cases[i].wire == WIRE_VARINT)
				n = (size_t)(put_varint(raw, cases[i].bits) - raw);
			if (packed) /* the type comes after the value here */
				put(message_put_bytes(&tensor, cases[i].field, span_of(raw, n)));
			put(message_put_varint(&tensor, 1, cases[i].dtype));
			put(message_put_bytes(&tensor, 2, span_str("")));
			if (!packed) {
				put(buf_add_varint(&tensor, cases[i].field << 3 | cases[i].wire));
				put(buf_add(&tensor, raw, n));
			}
			end_tensor("t");
			expect("t", cases[i].want, cases[i].is_float32);
		}
}

static void test_tensor_content(void **state)
{
	static const struct {
		uint64_t dtype;
		size_t len;
		const char *bytes;
		double want;
	} cases[] = {
		{ 1, 4, "\xbb\x81\x6b\x3f", 0x1.d70376p-1 },
		{ 2, 8, "\0\0\0\0\0\0\xf8\x3f", 1.5 },
		{ 3, 4, "\xfe\xff\xff\xff", -2 },
		{ 4, 1, "\xff", 255 },
		{ 5, 2, "\x00\x80", -32768 },
		{ 6, 1, "\xff", -1 },
		{ 9, 8, "\xff\xff\xff\xff\xff\xff\xff\xff", -1 },
		{ 14, 2, "\x80\xbf", -1 },
		{ 17, 2, "\xff\xff", 65535 },
		{ 19, 2, "\x00\x3c", 1 },
		{ 22, 4, "\xff\xff\xff\xff", 4294967295 },
		{ 23, 8, "\0\0\0\0\0\0\0\x80", 0x1p63 },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
		for (size_t cut = 0; cut < 2; cut++) {
			begin();
			put(message_put_varint(&tensor, 1, cases[i].dtype));
			put(message_put_bytes(&tensor, 4, span_of(cases[i].bytes, cases[i].len - cut)));
			end_tensor("t");
			if (cut && cases[i].len > 1)
				expect_none();
			else
				expect("t", cut ? 0 : cases[i].want,
				       cases[i].dtype == 1 || cases[i].dtype == 14 || cases[i].dtype == 19);
		}
}

static void test_nan(void **state)
{
	struct event e;
	struct event_scalar s;

	(void)state;
	for (uint64_t half = 0; half < 2; half++) {
		begin();
		put(message_put_varint(&tensor, 1, half ? 19 : 1));
		put(message_put_bytes(&tensor, 4,
				      half ? span_of("\x01\x7e", 2) : span_of("\0\0\xc0\x7f", 4)));
		end_tensor("t");
		end_event(1, 0);
		assert_int_equal(walk(buf_span(&event), &e, &s), 1);
		assert_true(isnan(s.value));
	}
}

static void put_plugin(const char *name)
{
	struct buf plugin, metadata;

	buf_init(&plugin, 100);
	buf_init(&metadata, 100);
	put(message_put_bytes(&plugin, 1, span_str(name)));
	put(message_put_bytes(&metadata, 1, buf_span(&plugin)));
	put(message_put_bytes(&value, 9, buf_span(&metadata)));
	buf_release(&plugin);
	buf_release(&metadata);
}

static void test_what_is_no_scalar(void **state)
{
	(void)state;
	for (int which = 0; which < 11; which++) {
		begin();
		put(message_put_varint(&tensor, 1, which == 0 ? 7 : which == 1 ? 10 : which == 2 ? 999 : 1));
		if (which == 3) /* one dimension of size 1 */
			put(message_put_bytes(&tensor, 2, span_of("\x12\x02\x08\x01", 4)));
		if (which == 4) /* unknown rank */
			put(message_put_bytes(&tensor, 2, span_of("\x18\x01", 2)));
		if (which == 5) /* two values */
			put(message_put_bytes(&tensor, 5, span_of("\0\0\0\0\0\0\0\0", 8)));
		if (which == 6)
			put_plugin("hparams");
		put(message_put_bytes(&value, 8, buf_span(&tensor)));
		if (which > 6) /* histogram, image, histo, audio: the last of a oneof counts */
			put(message_put_bytes(&value, (uint32_t)which - 4, span_str("")));
		end_value("x");
		expect_none();
	}
	begin();
	put_plugin("scalars");
	put(message_put_varint(&tensor, 1, 1));
	end_tensor("x");
	expect("x", 0, true);
	begin();
	end_value("only a tag");
	expect_none();
}

static void test_other_events(void **state)
{
	static const char start[] = "\x08\x01";
	struct event e;
	struct event_scalar s;

	(void)state;
	begin();
	put(message_put_bytes(&event, 3, span_str("brain.Event:2")));
	put(message_put_bytes(&event, 10, span_str("who wrote it")));
	assert_int_equal(walk(buf_span(&event), &e, &s), 0);
	assert_true(e.has_time);
	assert_int_equal(e.t_ns, 0);
	begin();
	put(message_put_bytes(&event, 7, span_str(start)));
	assert_int_equal(walk(buf_span(&event), &e, &s), 0);
	assert_int_equal(walk(span_str(""), &e, &s), 0);
	assert_int_equal(e.others, 0);
}

/* Nothing that is cut off inside an event is taken for one; what is cut off between fields is. */
static void test_cut_and_garbage(void **state)
{
	static const char *const broken[] = {
		"\x09",                                 /* no wall_time behind its tag */
		"\x08\x01",                             /* wall_time as a varint */
		"\x15\x01\x01\x01\x01",                 /* step as 32 bits */
		"\x2a\x05\x0a",                         /* a summary longer than the record */
		"\x2a\x02\x0a\x05",                     /* a value longer than the summary */
		"\x2a\x02\x08\x01",                     /* a value as a varint */
		"\x2a\x04\x0a\x02\x10\x01",             /* simple_value as a varint */
		"\x2a\x04\x0a\x02\x42\x05",             /* a tensor longer than the value */
		"\x2a\x06\x0a\x04\x42\x02\x0d\x01",     /* dtype as 32 bits */
		"\x2a\x07\x0a\x05\x42\x03\x2a\x01\x01", /* a quarter of a float */
		"\x2a\x06\x0a\x04\x4a\x02\x0a\x07",     /* a plugin longer than the metadata */
		"\x2b",                                 /* a group */
		"\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01",
	};
	struct event e;
	struct event_scalar s;
	int whole = 0;

	(void)state;
	for (size_t i = 0; i < sizeof(broken) / sizeof(broken[0]); i++)
		assert_int_equal(walk(span_str(broken[i]), &e, &s), ERR_MALFORMED);
	begin();
	simple("loss", 0.1f);
	end_event(1717191010.25, 70000);
	for (size_t n = 0; n < event.len; n++)
		whole += walk(span_of(event.data, n), &e, &s) >= 0;
	assert_int_equal(whole, 3); /* nothing; a time; a time and a step */
}

static void test_times(void **state)
{
	static const struct {
		double seconds;
		int64_t ns;
	} good[] = {
		{ 0, 0 },
		{ -0.0, 0 },
		{ 1, 1000000000 },
		{ 1717191010.123456, 1717191010123456001 }, /* the double lies at ...456001.28 */
		{ 5e-10, 1 },                               /* the double lies above the half */
		{ 0x1p-10, 976562 },                        /* 976562.5, to even */
		{ 0x1.8p-9, 2929688 },                      /* 2929687.5 */
		{ 5e-324, 0 },
		{ 9214646399.5, 9214646399500000000 },
	};
	static const double bad[] = { -1e-300, -1, 9214646400.0, 1e300, (double)INFINITY, (double)NAN };
	int64_t ns;

	(void)state;
	for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
		assert_true(event_time_ns(good[i].seconds, &ns));
		assert_int_equal(ns, good[i].ns);
	}
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		assert_false(event_time_ns(bad[i], &ns));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_simple_values),     cmocka_unit_test(test_typed_columns),
		cmocka_unit_test(test_tensor_content),    cmocka_unit_test(test_nan),
		cmocka_unit_test(test_what_is_no_scalar), cmocka_unit_test(test_other_events),
		cmocka_unit_test(test_cut_and_garbage),   cmocka_unit_test(test_times),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
