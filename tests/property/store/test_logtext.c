/*
 * Texts of real logs and hostile ones come back to the byte, and what is found in their packed form
 * is what a naive look finds.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include <ctype.h>
#include <glob.h>
#include <stdlib.h>
#include <zlib.h>

#include "store/log/logtext.h"
#include "tests/values.h"

#define TEXTS_MAX 60000

struct corpus {
	uint8_t *bytes;
	size_t len, n;
	struct span texts[TEXTS_MAX];
};

static struct corpus corpus;

static void corpus_free(void)
{
	free(corpus.bytes);
	corpus.bytes = NULL;
	corpus.n = corpus.len = 0;
}

/* Lines with their ends, as far as they fit one packed form. */
static void corpus_split(void)
{
	size_t at = 0, most = corpus.len < LOGTEXT_RAW_MAX ? corpus.len : LOGTEXT_RAW_MAX;

	while (at < most && corpus.n < TEXTS_MAX) {
		const uint8_t *end = memchr(corpus.bytes + at, '\n', most - at);
		size_t len = end ? (size_t)(end + 1 - corpus.bytes) - at : most - at;

		corpus.texts[corpus.n++] = span_of(corpus.bytes + at, len);
		at += len;
	}
	corpus.len = at;
}

static void corpus_load(const char *path)
{
	gzFile f = gzopen(path, "rb");
	int n;

	assert_non_null(f);
	corpus.bytes = malloc(LOGTEXT_RAW_MAX);
	assert_non_null(corpus.bytes);
	while (corpus.len < LOGTEXT_RAW_MAX &&
	       (n = gzread(f, corpus.bytes + corpus.len, (unsigned)(LOGTEXT_RAW_MAX - corpus.len))) > 0)
		corpus.len += (size_t)n;
	gzclose(f);
	corpus_split();
}

static struct logtext *open_packed(const struct buf *packed)
{
	struct logtext *x;

	assert_int_equal(logtext_new(&x), 0);
	assert_int_equal(logtext_open(x, buf_span(packed), corpus.n, corpus.len), 0);
	return x;
}

/* In an order of its own, since numbers are decoded when they are first needed. */
static void check_texts(struct logtext *x, uint64_t *seed)
{
	size_t step = corpus.n > 2 ? 1 + 2 * random_below(seed, corpus.n / 2) : 1, at = 0;
	struct buf text;

	while (corpus.n && step > 1 && corpus.n % step == 0)
		step -= 2;
	buf_init(&text, LOGTEXT_RAW_MAX);
	for (size_t i = 0; i < corpus.n; i++, at = (at + step) % corpus.n) {
		buf_clear(&text);
		assert_int_equal(logtext_get(x, at, &text), 0);
		assert_true(span_equal(buf_span(&text), corpus.texts[at]));
	}
	for (size_t i = 0; i < corpus.n; i++) {
		buf_clear(&text);
		assert_int_equal(logtext_get(x, i, &text), 0);
		assert_true(span_equal(buf_span(&text), corpus.texts[i]));
	}
	buf_release(&text);
}

/* Nothing that holds the bytes is missed; without hard cases nothing else is found either.  What is sure,
 * where that is asked for, holds them. */
static size_t check_find(struct logtext *x, struct span bytes, bool is_all)
{
	struct log_hint hint = { .holds = bytes, .holds_is_all = is_all };
	uint8_t *fits = calloc(corpus.n + 1, 1);
	size_t too_many = 0, held = 0;
	bool any;

	assert_non_null(fits);
	assert_int_equal(logtext_find(x, &hint, fits, &any), 0);
	for (size_t i = 0; i < corpus.n; i++) {
		bool holds = memmem(corpus.texts[i].data, corpus.texts[i].len, bytes.data, bytes.len);

		if (any && fits[i] == LOG_FIT_SURE && !(holds && is_all))
			fail_msg("text %zu is not sure to hold \"%.*s\"", i, (int)bytes.len,
				 (const char *)bytes.data);
		if (holds && (!any || fits[i] == LOG_FIT_NO))
			fail_msg("text %zu holds \"%.*s\" and is not found", i, (int)bytes.len,
				 (const char *)bytes.data);
		held += holds;
		too_many += fits[i] && !holds;
	}
	assert_true(held == 0 || logtext_may_fit(x, &hint));
	free(fits);
	return too_many;
}

static bool holds_any_case(struct span text, struct span lower)
{
	for (size_t at = 0; at + lower.len <= text.len; at++) {
		size_t i = 0;

		while (i < lower.len && tolower(text.data[at + i]) == lower.data[i])
			i++;
		if (i == lower.len)
			return true;
	}
	return false;
}

/* The set of trigrams misses nothing that is there, in whatever case, beside what is not. */
static void check_any(struct logtext *x, struct span bytes)
{
	uint8_t lower[64];
	struct log_hint hint = { .any = { span_str("zq_absent_word"), span_of(lower, bytes.len) },
				 .n_any = 2 };
	bool held = false;

	for (size_t i = 0; i < bytes.len; i++)
		lower[i] = (uint8_t)tolower(bytes.data[i]);
	for (size_t i = 0; i < corpus.n && !held; i++)
		held = holds_any_case(corpus.texts[i], hint.any[1]);
	assert_true(!held || logtext_may_fit(x, &hint));
}

/* By the words of loghint.h alone. */
static size_t shape_of(struct span text, uint8_t *ret)
{
	size_t len = 0, digits = 0;

	for (size_t i = 0; i < text.len; i++) {
		bool digit = text.data[i] >= '0' && text.data[i] <= '9';

		digits = digit ? digits + 1 : 0;
		if (!digit)
			ret[len++] = text.data[i];
		else if (digits % 18 == 1)
			ret[len++] = '0';
	}
	return len;
}

/* Anything that depends on every byte. */
static enum log_fit fit_sum(void *salt, struct span shape)
{
	unsigned sum = *(const unsigned *)salt;

	for (size_t i = 0; i < shape.len; i++)
		sum = sum * 31 + shape.data[i];
	return sum % 7 == 0 ? LOG_FIT_SURE : sum % 7 == 1 ? LOG_FIT_MAYBE : LOG_FIT_NO;
}

/* Each text is judged by its shape, whatever it is made of; holds is the bytes that it must hold, too. */
static void check_shapes(struct logtext *x, unsigned salt, struct span holds)
{
	struct log_hint hint = { .holds = holds, .fit = fit_sum, .fit_arg = &salt };
	uint8_t *fits = calloc(corpus.n + 1, 1), *shape = malloc(corpus.len + 1);
	bool any;

	assert_true(fits && shape);
	assert_int_equal(logtext_find(x, &hint, fits, &any), 0);
	for (size_t i = 0; i < corpus.n; i++) {
		struct span text = corpus.texts[i];
		enum log_fit want = fit_sum(&salt, span_of(shape, shape_of(text, shape)));

		if (holds.len && !memmem(text.data, text.len, holds.data, holds.len))
			continue;
		if ((any ? fits[i] : LOG_FIT_NO) != want)
			fail_msg("text %zu \"%.*s\": %d, not %d", i, (int)text.len, (const char *)text.data,
				 any ? fits[i] : 0, want);
	}
	free(fits);
	free(shape);
}

/* Pieces of the texts, some with a byte changed. */
static void check_pieces(struct logtext *x, uint64_t *seed, size_t pieces)
{
	size_t too_many = 0;

	for (size_t i = 0; i < pieces && corpus.len > 0; i++) {
		uint8_t piece[64];
		size_t n = 1 + random_below(seed, sizeof piece), at = random_below(seed, corpus.len);

		n = n < corpus.len - at ? n : corpus.len - at;
		memcpy(piece, corpus.bytes + at, n);
		if (i % 3 == 0)
			piece[random_below(seed, n)] = (uint8_t)('0' + random_below(seed, 20));
		if (i % 4 == 0)
			check_any(x, span_of(piece, n));
		if (i % 8 == 0)
			check_shapes(x, (unsigned)i, i % 16 ? span_of(piece, n) : span_of(NULL, 0));
		too_many += check_find(x, span_of(piece, n), i % 2) > 0 && !memchr(piece, '\n', n) &&
			    !memchr(piece, '\r', n);
	}
	assert_true(too_many <= pieces / 20); /* runs of more than 18 digits, seldom */
}

/* Digits alone, of the texts or any, looked for in what nothing was decoded of; what is decoded for that
 * gives the same texts. */
static void check_digits(const struct buf *packed, uint64_t *seed, size_t needles)
{
	for (size_t i = 0; i < needles && corpus.len > 0; i++) {
		struct logtext *x = open_packed(packed);
		uint8_t needle[12];
		size_t n = 0, most = 1 + random_below(seed, sizeof needle - 1);

		for (size_t at = random_below(seed, corpus.len); at < corpus.len && n < most; at++)
			if (isdigit(corpus.bytes[at]))
				needle[n++] = corpus.bytes[at];
			else if (n > 0)
				break;
		if (n == 0 || i % 4 == 0)
			needle[n++] = (uint8_t)('0' + random_below(seed, 10));
		assert_int_equal(check_find(x, span_of(needle, n), i % 2), 0);
		check_texts(x, seed);
		logtext_free(x);
	}
}

static void check_corpus(uint64_t seed, size_t pieces)
{
	struct buf packed;
	struct logtext *x;

	buf_init(&packed, 64 << 20);
	assert_int_equal(logtext_pack(corpus.texts, corpus.n, &packed), 0);
	x = open_packed(&packed);
	check_texts(x, &seed);
	check_pieces(x, &seed, pieces);
	check_digits(&packed, &seed, pieces / 10);
	logtext_free(x);
	buf_release(&packed);
	corpus_free();
}

static void real_logs(void **state)
{
	glob_t files = { 0 };
	size_t raw = 0;

	(void)state;
	assert_int_equal(glob("tests/data/mlperf_training/*/*.gz", 0, NULL, &files), 0);
	for (size_t i = 0; i < files.gl_pathc; i++) {
		corpus_load(files.gl_pathv[i]);
		raw += corpus.len;
		check_corpus(i, 200);
	}
	assert_true(raw > 100000);
	globfree(&files);
}

static void bytes_of(uint64_t *seed, const char *alphabet, size_t letters, size_t len)
{
	corpus.bytes = malloc(len + 1);
	assert_non_null(corpus.bytes);
	for (size_t i = 0; i < len; i++)
		corpus.bytes[i] =
		    alphabet ? (uint8_t)alphabet[random_below(seed, letters)] : (uint8_t)random_bits(seed);
	corpus.len = len;
	corpus_split();
}

static void random_logs(void **state)
{
	static const char digits[] = "0123456789", few[] = "00129a.\r\n", ends[] = "\r\n1";
	uint64_t seed = 7;

	(void)state;
	for (int round = 0; round < 60; round++) {
		bytes_of(&seed, NULL, 0, random_below(&seed, 5000));
		check_corpus(seed, 100);
		bytes_of(&seed, digits, 10, random_below(&seed, 3000));
		corpus_free();
		bytes_of(&seed, few, sizeof few - 1, random_below(&seed, 5000));
		check_corpus(seed, 100);
		bytes_of(&seed, ends, sizeof ends - 1, random_below(&seed, 500));
		check_corpus(seed, 30);
	}
}

/* Digits, in one run of any length, alone and in a text: what is looked for may lie in several slots. */
static void long_runs(void **state)
{
	uint64_t seed = 11;

	(void)state;
	for (size_t len = 1; len < 80; len++) {
		struct buf packed;
		struct logtext *x;

		bytes_of(&seed, len % 4 < 2 ? "0123456789" : "01", len % 4 < 2 ? 10 : 2, len);
		if (len % 2)
			corpus.bytes[0] = corpus.bytes[len - 1] = 'a';
		buf_init(&packed, 1 << 20);
		assert_int_equal(logtext_pack(corpus.texts, corpus.n, &packed), 0);
		x = open_packed(&packed);
		check_texts(x, &seed);
		for (size_t from = 0; from < len; from++)
			for (size_t n = 1; n <= len - from; n++)
				check_find(x, span_of(corpus.bytes + from, n), from % 2);
		logtext_free(x);
		buf_release(&packed);
		corpus_free();
	}
}

static void empty_texts(void **state)
{
	struct buf packed;

	(void)state;
	corpus.n = 1000;
	memset(corpus.texts, 0, sizeof corpus.texts);
	check_corpus(1, 0);
	corpus.n = 0;
	check_corpus(1, 0);
	buf_init(&packed, 1 << 20);
	corpus.texts[0] = corpus.texts[1] = span_of("", LOGTEXT_RAW_MAX / 2 + 1);
	assert_int_equal(logtext_pack(corpus.texts, 2, &packed), ERR_TOO_LARGE);
	assert_int_equal(packed.len, 0);
}

/* Every byte changed in turn: an error, or some texts of some bytes, never a crash. */
static void damaged(void **state)
{
	static const char text[] = "step 10 loss 0.25\nstep 20 loss 0.125\nstep 030 loss 1\r 10%\r 20%\n";
	struct buf packed, out;
	struct logtext *x;
	size_t errors = 0;

	(void)state;
	corpus.bytes = (uint8_t *)strdup(text);
	corpus.len = sizeof text - 1;
	corpus_split();
	buf_init(&packed, 1 << 20);
	buf_init(&out, 1 << 20);
	assert_int_equal(logtext_pack(corpus.texts, corpus.n, &packed), 0);
	assert_int_equal(logtext_new(&x), 0);
	for (size_t i = 0; i < packed.len; i++) {
		for (int bit = 0; bit < 8; bit++) {
			const struct log_hint hint = { .holds = span_str("0.25") };
			uint8_t fits[TEXTS_MAX];
			bool any;
			int err;

			packed.data[i] ^= (uint8_t)(1 << bit);
			err = logtext_open(x, buf_span(&packed), corpus.n, corpus.len);
			if (err == 0)
				err = logtext_find(x, &hint, fits, &any);
			for (size_t t = 0; t < corpus.n && err == 0; t++)
				err = logtext_get(x, t, &out);
			assert_true(err == 0 || err == ERR_CORRUPT || err == ERR_FULL);
			errors += err != 0;
			buf_clear(&out);
			packed.data[i] ^= (uint8_t)(1 << bit);
		}
	}
	assert_true(errors > 0);
	for (size_t len = 0; len < packed.len; len++)
		assert_int_equal(logtext_open(x, span_of(packed.data, len), corpus.n, corpus.len),
				 ERR_CORRUPT);
	logtext_free(x);
	buf_release(&packed);
	buf_release(&out);
	corpus_free();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(real_logs),   cmocka_unit_test(random_logs), cmocka_unit_test(long_runs),
		cmocka_unit_test(empty_texts), cmocka_unit_test(damaged),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
