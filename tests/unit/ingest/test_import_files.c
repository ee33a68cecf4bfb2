/* Files of an import: lines out of plain, gzip and zstd bytes, and the runs their names become. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zlib.h>

#include <cmocka.h>

#include "ingest/import/file_list.h"
#include "ingest/import/input.h"
#include "store/base/compress.h"
#include "store/model.h"

static char dir[] = "/tmp/astraml-import-XXXXXX";

static int setup(void **state)
{
	(void)state;
	return mkdtemp(dir) ? 0 : -1;
}

static const char *path_of(const char *name)
{
	static char path[512];

	snprintf(path, sizeof(path), "%s/%s", dir, name);
	return path;
}

static int teardown(void **state)
{
	static const char *const names[] = { "f",
					     "sub/b.log",
					     "sub/a.txt.gz",
					     "sub/.hidden",
					     "sub/deep/b.log",
					     "sub/deep/events.1",
					     "sub/deep/events.2",
					     "sub/deep",
					     "sub/events.0",
					     "sub",
					     "x.log",
					     "p",
					     "" };

	(void)state;
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		remove(path_of(names[i]));
	return 0;
}

static void write_file(const char *name, const void *data, size_t len)
{
	FILE *f = fopen(path_of(name), "wb");

	assert_non_null(f);
	assert_int_equal(fwrite(data, 1, len, f), len);
	assert_int_equal(fclose(f), 0);
}

static struct buf gzip_of(struct span s)
{
	struct buf out;
	z_stream z = { 0 };

	buf_init(&out, 64 << 20);
	assert_int_equal(deflateInit2(&z, 6, Z_DEFLATED, 16 + MAX_WBITS, 8, Z_DEFAULT_STRATEGY), Z_OK);
	assert_int_equal(buf_reserve(&out, deflateBound(&z, s.len)), 0);
	z.next_in = (Bytef *)s.data;
	z.avail_in = (uInt)s.len;
	z.next_out = out.data;
	z.avail_out = (uInt)out.cap;
	assert_int_equal(deflate(&z, Z_FINISH), Z_STREAM_END);
	out.len = z.total_out;
	deflateEnd(&z);
	return out;
}

static struct progress silent;

/* All lines of file f put together again; each must end in a newline, be the last, or have
 * LOG_TEXT_MAX bytes.  A second walk sees the same.  The error, or 0. */
static int read_lines(struct buf *ret, size_t *ret_lines)
{
	struct input_content content;
	struct fault f = { 0 };
	int err = 0;

	for (int walk = 0; walk < 2 && err == 0; walk++) {
		struct input *in;
		struct span line;
		bool ended = true;

		assert_int_equal(input_open(path_of("f"), walk ? &content : NULL, &silent, &in, &f), 0);
		buf_clear(ret);
		*ret_lines = 0;
		while ((err = input_line(in, &line, &f)) == 0) {
			assert_true(ended);
			assert_true(line.len > 0 && line.len <= LOG_TEXT_MAX);
			ended = line.data[line.len - 1] == '\n' || line.len == LOG_TEXT_MAX;
			assert_int_equal(buf_add(ret, line.data, line.len), 0);
			++*ret_lines;
		}
		if (err == 1)
			err = input_finish(in, walk ? NULL : &content, &f);
		if (err == 0)
			assert_int_equal(content.bytes, ret->len);
		input_free(in);
	}
	if (err < 0)
		assert_true(f.text[0] != 0);
	return err;
}

static void expect_same(struct span content, struct span packed, size_t lines)
{
	struct buf got;
	size_t n;

	buf_init(&got, 64 << 20);
	write_file("f", packed.data, packed.len);
	assert_int_equal(read_lines(&got, &n), 0);
	assert_true(span_equal(buf_span(&got), content));
	assert_int_equal(n, lines);
	buf_release(&got);
}

/* Plain, gzip, gzip of two members, zstd, zstd of two frames. */
static void expect_every_packing(struct span content, size_t lines)
{
	struct span head = span_of(content.data, content.len / 3);
	struct span tail = span_of(content.data + head.len, content.len - head.len);
	struct buf gz = gzip_of(content), two = gzip_of(head), rest = gzip_of(tail), zst;

	expect_same(content, content, lines);
	expect_same(content, buf_span(&gz), lines);
	assert_int_equal(buf_add(&two, rest.data, rest.len), 0);
	expect_same(content, buf_span(&two), lines);
	buf_init(&zst, 64 << 20);
	assert_int_equal(compress_block(content, 3, &zst), 0);
	expect_same(content, buf_span(&zst), lines);
	buf_clear(&zst);
	assert_int_equal(compress_block(head, 3, &zst), 0);
	assert_int_equal(compress_block(tail, 3, &zst), 0);
	expect_same(content, buf_span(&zst), lines);
	buf_release(&gz);
	buf_release(&two);
	buf_release(&rest);
	buf_release(&zst);
}

static void test_lines_come_whole(void **state)
{
	(void)state;
	expect_every_packing(span_str("one\ntwo\r\n\n\rbar\rbar\nno end"), 5);
	expect_every_packing(span_of("a\0b\n\xff\xfe\n", 7), 2);
	expect_every_packing(span_str("\n"), 1);
	expect_every_packing(span_of("", 0), 0);
}

static void test_long_lines_come_in_pieces(void **state)
{
	size_t len = 5 * LOG_TEXT_MAX / 2;
	char *text = malloc(len);

	(void)state;
	assert_non_null(text);
	for (size_t i = 0; i < len; i++)
		text[i] = (char)('a' + i * i % 23);
	text[9] = '\n';
	expect_every_packing(span_of(text, len), 4);
	text[9 + LOG_TEXT_MAX] = '\n'; /* exactly the longest line, with its end */
	expect_every_packing(span_of(text, len), 4);
	free(text);
}

/* 200 MiB of zeros in 20 KiB: unpacked without ever being held. */
static void test_a_bomb_is_streamed(void **state)
{
	size_t len = 4 * LOG_TEXT_MAX, n = 0;
	char *zeros = calloc(1, len);
	struct buf packed;
	struct input *in;
	struct span line;
	struct fault f = { 0 };

	(void)state;
	assert_non_null(zeros);
	buf_init(&packed, 1 << 20);
	for (int i = 0; i < 50; i++)
		assert_int_equal(compress_block(span_of(zeros, len), 9, &packed), 0);
	write_file("f", packed.data, packed.len);
	assert_int_equal(input_open(path_of("f"), NULL, &silent, &in, &f), 0);
	while (input_line(in, &line, &f) == 0)
		n += line.len;
	assert_int_equal(f.err, 0);
	assert_int_equal(n, 50 * len);
	input_free(in);
	buf_release(&packed);
	free(zeros);
}

static void test_damaged_files_are_refused(void **state)
{
	struct span content = span_str("some text that is long enough to be packed, packed, packed\n");
	struct buf gz = gzip_of(content), zst, got;
	size_t n;

	(void)state;
	buf_init(&zst, 1 << 20);
	buf_init(&got, 1 << 20);
	assert_int_equal(compress_block(content, 3, &zst), 0);
	for (size_t cut = 4; cut < gz.len; cut++) {
		write_file("f", gz.data, cut);
		assert_int_equal(read_lines(&got, &n), ERR_MALFORMED);
	}
	for (size_t cut = 4; cut < zst.len; cut++) {
		write_file("f", zst.data, cut);
		assert_int_equal(read_lines(&got, &n), ERR_MALFORMED);
	}
	gz.data[gz.len - 5] ^= 1; /* its checksum */
	write_file("f", gz.data, gz.len);
	assert_int_equal(read_lines(&got, &n), ERR_MALFORMED);
	gz.data[gz.len - 5] ^= 1;
	assert_int_equal(buf_addstr(&gz, "garbage"), 0);
	write_file("f", gz.data, gz.len);
	assert_int_equal(read_lines(&got, &n), ERR_MALFORMED);
	buf_release(&gz);
	buf_release(&zst);
	buf_release(&got);
}

/* What was appended since is not seen; anything else is told. */
static void test_files_that_change(void **state)
{
	struct input_content content;
	struct input *in;
	struct span seen;
	struct fault f = { 0 };

	(void)state;
	write_file("f", "abc\ndef\n", 8);
	assert_int_equal(input_open(path_of("f"), NULL, &silent, &in, &f), 0);
	assert_int_equal(input_peek(in, 3, &seen, &f), 0);
	assert_true(span_is(seen, "abc"));
	input_skip(in, 2);
	assert_int_equal(input_peek(in, 100, &seen, &f), 0);
	assert_true(span_is(seen, "c\ndef\n"));
	assert_int_equal(input_finish(in, &content, &f), 0);
	assert_int_equal(content.bytes, 8);
	input_free(in);
	write_file("f", "abc\ndef\nghi", 11);
	assert_int_equal(input_open(path_of("f"), &content, &silent, &in, &f), 0);
	assert_int_equal(input_peek(in, 100, &seen, &f), 0);
	assert_true(span_is(seen, "abc\ndef\n"));
	assert_int_equal(input_finish(in, NULL, &f), 0);
	input_free(in);
	for (int change = 0; change < 2; change++) {
		write_file("f", "abc\ndeF\n", change ? 8 : 7);
		assert_int_equal(input_open(path_of("f"), &content, &silent, &in, &f), 0);
		assert_int_equal(input_finish(in, NULL, &f), ERR_CONFLICT);
		input_free(in);
	}
}

static void test_what_is_no_file(void **state)
{
	struct input *in;
	struct fault f = { 0 };

	(void)state;
	assert_int_equal(input_open(path_of("missing"), NULL, &silent, &in, &f), ERR_NOT_FOUND);
	assert_int_equal(input_open(dir, NULL, &silent, &in, &f), ERR_REFUSED);
	assert_int_equal(mkfifo(path_of("p"), 0600), 0);
	assert_int_equal(input_open(path_of("p"), NULL, &silent, &in, &f), ERR_REFUSED);
}

static void expect_id(const char *name, const char *id)
{
	char got[ID_MAX + 1];

	run_id_of_name(name, got);
	assert_string_equal(got, id);
	assert_true(run_id_ok(got));
}

static void test_run_ids(void **state)
{
	char a[ID_MAX + 1], b[ID_MAX + 1];

	(void)state;
	expect_id("result_0.txt.gz", "result_0");
	expect_id("dgx1_ngc18.11_pytorch__ncf__result_0.txt.zst", "dgx1_ngc18.11_pytorch__ncf__result_0");
	expect_id("my run (2).log", "my-run--2-");
	expect_id("plain", "plain");
	expect_id("..log", "-");
	expect_id(".gz", ".gz");
	expect_id("0123456789012345678901234567890123456789012345678901234567890123.txt",
		  "0123456789012345678901234567890123456789012345678901234567890123");
	run_id_of_name("0123456789012345678901234567890123456789012345678901234567890123a.txt", a);
	run_id_of_name("0123456789012345678901234567890123456789012345678901234567890123b.txt", b);
	assert_int_equal(strlen(a), ID_MAX);
	assert_int_equal(strncmp(a, b, ID_MAX - 9), 0);
	assert_string_not_equal(a, b);
	assert_false(run_id_ok("") || run_id_ok(".") || run_id_ok("..") || run_id_ok("a/b") ||
		     run_id_ok("a b"));
}

static const struct import_format by_file = { .name = "x" };

static bool takes_events(const char *name) { return strstr(name, "events") != NULL; }

static const struct import_format by_directory = { .name = "y",
						   .run_is_directory = true,
						   .takes = takes_events };

/* dir/sub with a.txt.gz, b.log, .hidden and deep/b.log, deep/events.1, deep/events.2, events.0 */
static const char *make_tree(void)
{
	static char sub[600];

	snprintf(sub, sizeof(sub), "%s", path_of("sub"));
	mkdir(sub, 0700);
	mkdir(path_of("sub/deep"), 0700);
	write_file("sub/b.log", "b", 1);
	write_file("sub/a.txt.gz", "a", 1);
	write_file("sub/events.0", "e", 1);
	write_file("sub/.hidden", "h", 1);
	write_file("sub/deep/b.log", "deep", 4);
	write_file("sub/deep/events.1", "1", 1);
	write_file("sub/deep/events.2", "22", 2);
	return sub;
}

static void test_directories(void **state)
{
	static const char *const names[] = { "a.txt.gz",   "b.log",         "events.0",
					     "deep/b.log", "deep/events.1", "deep/events.2" };
	struct file_list l = { 0 };
	struct fault f = { 0 };

	(void)state;
	assert_int_equal(file_list_add(&l, make_tree(), &by_file, &f), 0);
	assert_int_equal(l.n, 6);
	for (size_t i = 0; i < 6; i++)
		assert_string_equal(l.items[i].name, names[i]);
	assert_string_equal(l.items[0].run, "a");
	assert_string_equal(l.items[1].run, "b");
	assert_string_equal(l.items[3].run, "deep-b");
	assert_int_equal(l.items[3].bytes, 4);
	assert_int_equal(file_list_check(&l, &f), 0);
	assert_int_equal(file_list_add(&l, path_of("missing"), &by_file, &f), ERR_NOT_FOUND);
	assert_int_equal(file_list_add(&l, path_of("sub/b.log"), &by_file, &f), 0);
	assert_string_equal(l.items[6].name, "b.log");
	assert_int_equal(file_list_check(&l, &f), ERR_REFUSED);
	assert_non_null(strstr(f.text, "run b"));
	file_list_release(&l);
}

static void test_a_run_of_several_files(void **state)
{
	struct file_list l = { 0 };
	struct fault f = { 0 };

	(void)state;
	assert_int_equal(file_list_add(&l, make_tree(), &by_directory, &f), 0);
	assert_int_equal(l.n, 2);
	assert_string_equal(l.items[0].run, "sub");
	assert_int_equal(l.items[0].n_paths, 1);
	assert_string_equal(l.items[1].run, "deep");
	assert_int_equal(l.items[1].n_paths, 2);
	assert_int_equal(l.items[1].bytes, 3);
	assert_non_null(strstr(l.items[1].paths[0], "sub/deep/events.1"));
	assert_non_null(strstr(l.items[1].paths[1], "sub/deep/events.2"));
	file_list_release(&l);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_lines_come_whole),   cmocka_unit_test(test_long_lines_come_in_pieces),
		cmocka_unit_test(test_a_bomb_is_streamed), cmocka_unit_test(test_damaged_files_are_refused),
		cmocka_unit_test(test_what_is_no_file),    cmocka_unit_test(test_run_ids),
		cmocka_unit_test(test_directories),        cmocka_unit_test(test_a_run_of_several_files),
		cmocka_unit_test(test_files_that_change),
	};

	return cmocka_run_group_tests_name("import_files", tests, setup, teardown);
}
