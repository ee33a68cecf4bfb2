/* Rows of CSV files against RFC 4180, and what is no CSV file. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include <cmocka.h>

#include "ingest/import/args.h"
#include "ingest/import/csv_rows.h"
#include "store/model.h"

static char path[] = "/tmp/astraml-csv-XXXXXX";
static struct progress silent;

static void write_file(const void *data, size_t len)
{
	FILE *f = fopen(path, "wb");

	assert_non_null(f);
	assert_int_equal(fwrite(data, 1, len, f), len);
	assert_int_equal(fclose(f), 0);
}

/* The rows as text: cells in <>, a row ends with its line's number; comments are #<>. */
static int read_rows(struct span content, struct buf *ret, struct fault *f)
{
	struct csv_rows r;
	struct input *in;
	int err;

	write_file(content.data, content.len);
	buf_clear(ret);
	assert_int_equal(input_open(path, NULL, &silent, &in, f), 0);
	csv_rows_init(&r, in, '#');
	while ((err = csv_rows_next(&r, f)) == 0) {
		if (r.is_comment)
			assert_int_equal(buf_addch(ret, '#'), 0);
		for (size_t i = 0; i < r.n; i++) {
			assert_int_equal(buf_addch(ret, '<'), 0);
			assert_int_equal(buf_add(ret, r.cells[i].data, r.cells[i].len), 0);
			assert_int_equal(buf_addch(ret, '>'), 0);
		}
		assert_int_equal(buf_addf(ret, "%d ", (int)r.line), 0);
	}
	csv_rows_release(&r);
	input_free(in);
	return err;
}

static void expect_rows(const char *content, const char *rows)
{
	struct fault f = { 0 };
	struct buf got;

	buf_init(&got, 1 << 20);
	assert_int_equal(read_rows(span_str(content), &got, &f), 1);
	assert_string_equal(buf_cstr(&got), rows);
	buf_release(&got);
}

static void test_rows(void **state)
{
	(void)state;
	expect_rows("a,b\n1,2\n", "<a><b>1 <1><2>2 ");
	expect_rows("a,b\r\n1,2\r\n", "<a><b>1 <1><2>2 ");
	expect_rows("a,b\n1,2", "<a><b>1 <1><2>2 ");
	expect_rows("\xef\xbb\xbf"
		    "a,b\n",
		    "<a><b>1 ");
	expect_rows(",\n\n\r\n,,\n", "<><>1 <><><>4 ");
	expect_rows("a , b\tc ,\n", "<a><b\tc><>1 ");
	expect_rows("\"a,b\",\"say \"\"hi\"\"\",\"\"\n", "<a,b><say \"hi\"><>1 ");
	expect_rows("\"two\nlines\",x\n3,4\n", "<two\nlines><x>1 <3><4>3 ");
	expect_rows("1, \"b\" ,3\n", "<1><b><3>1 ");
	expect_rows("5\"\",6\n", "<5\"\"><6>1 ");
	expect_rows("#{\"a\": 1}\na\n#b,\"c\n1\n", "#<{\"a\": 1}>1 <a>2 #<b,\"c>3 <1>4 ");
	expect_rows("", "");
	expect_rows("\n\n", "");
}

static void expect_refusal(struct span content, const char *text)
{
	struct fault f = { 0 };
	struct buf got;

	buf_init(&got, 64 << 20);
	assert_int_equal(read_rows(content, &got, &f), ERR_MALFORMED);
	if (!strstr(f.text, text))
		fail_msg("%s", f.text);
	buf_release(&got);
}

static void test_what_is_no_csv(void **state)
{
	size_t len = CSV_ROW_MAX + 100;
	char *big = malloc(len);

	(void)state;
	assert_non_null(big);
	expect_refusal(span_of("a,b\n1,\0\n", 8), "line 2 holds NUL bytes");
	expect_refusal(span_of("\xff\xfe"
			       "a\0,\0b\0\n\0",
			       10),
		       "line 1 holds NUL bytes");
	expect_refusal(span_str("a\n\"b,c\nd\n"), "line 2 opens a quote");
	expect_refusal(span_str("a\n\"b\"c,d\n"), "line 2 has text behind a closing quote");
	memset(big, 'x', len);
	expect_refusal(span_of(big, len), "line 1 begins a row of more than 16 MiB");
	memset(big, ',', len);
	expect_refusal(span_of(big, CSV_ROW_MAX / 2), "more than 100,000 cells");
	free(big);
}

/* Longer than the pieces that lines come in. */
static void test_long_rows(void **state)
{
	size_t len = 3 * LOG_TEXT_MAX;
	char *big = malloc(len);
	struct fault f = { 0 };
	struct buf got;

	(void)state;
	assert_non_null(big);
	memset(big, 'x', len);
	big[100] = ',';
	memcpy(big + len - 5, "\n1,2\n", 5);
	buf_init(&got, 64 << 20);
	assert_int_equal(read_rows(span_of(big, len), &got, &f), 1);
	assert_int_equal(got.len, len + 8);
	assert_memory_equal(got.data + got.len - 8, "<1><2>2 ", 8);
	buf_release(&got);
	free(big);
}

static const struct import_option common[] = { { .name = "run" },
					       { .name = "quiet", .is_flag = true },
					       { .name = NULL } };
static const struct import_option own[] = { { .name = "label", .repeatable = true }, { .name = NULL } };

static bool parse(char **argv, struct import_args *ret, int *ret_rest, char why[ARGS_WHY_MAX])
{
	int argc = 0;

	while (argv[argc])
		argc++;
	return import_args_parse(argc, argv, common, own, ret, ret_rest, why);
}

static void test_options(void **state)
{
	char *argv[] = { "csv", "f1", "--label", "b", "--run=r", "f2", "--quiet", "--label", "a", NULL };
	char *twice[] = { "csv", "--run", "a", "--run", "b", NULL };
	char *unknown[] = { "csv", "--fast", NULL };
	char *without[] = { "csv", "f", "--run", NULL };
	struct import_args a;
	char why[ARGS_WHY_MAX];
	int rest;

	(void)state;
	assert_true(parse(argv, &a, &rest, why));
	assert_int_equal(rest, 7);
	assert_string_equal(argv[7], "f1");
	assert_string_equal(argv[8], "f2");
	assert_int_equal(a.n, 4); /* in the order of the tables */
	assert_string_equal(a.given[0].option->name, "run");
	assert_string_equal(a.given[1].option->name, "quiet");
	assert_string_equal(import_arg(&a, "label", 0), "b");
	assert_string_equal(import_arg(&a, "label", 1), "a");
	assert_null(import_arg(&a, "label", 2));
	assert_string_equal(import_arg(&a, "quiet", 0), "");
	assert_false(parse(twice, &a, &rest, why));
	assert_string_equal(why, "--run may be given once");
	assert_false(parse(unknown, &a, &rest, why));
	assert_string_equal(why, "there is no option --fast");
	assert_false(parse(without, &a, &rest, why));
	assert_string_equal(why, "--run needs a value");
}

static int setup(void **state)
{
	int fd = mkstemp(path);

	(void)state;
	return fd < 0 ? -1 : close(fd);
}

static int teardown(void **state)
{
	(void)state;
	return remove(path);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_rows),
		cmocka_unit_test(test_what_is_no_csv),
		cmocka_unit_test(test_long_rows),
		cmocka_unit_test(test_options),
	};

	return cmocka_run_group_tests_name("csv_rows", tests, setup, teardown);
}
