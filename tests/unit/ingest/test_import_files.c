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
#include "ingest/import/line_file.h"
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
	static const char *const names[] = { "f", "sub/b.log", "sub/a.txt.gz", "sub/.hidden", "sub", "x.log",
					     "p", "" };

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

/* All lines of file f put together again; each must end in a newline, be the last, or have
 * LOG_TEXT_MAX bytes.  The error, or 0. */
static int read_lines(struct buf *ret, size_t *ret_lines)
{
	struct line_file *s;
	struct fault f = { 0 };
	struct span line;
	bool ended = true;
	int err = line_file_open(path_of("f"), &s, &f);

	assert_int_equal(err, 0);
	for (int walk = 0; walk < 2 && err == 0; walk++) { /* the second one after a rewind */
		buf_clear(ret);
		*ret_lines = 0;
		while ((err = line_file_next(s, &line, &f)) == 0) {
			assert_true(ended);
			assert_true(line.len > 0 && line.len <= LOG_TEXT_MAX);
			ended = line.data[line.len - 1] == '\n' || line.len == LOG_TEXT_MAX;
			assert_int_equal(buf_add(ret, line.data, line.len), 0);
			++*ret_lines;
		}
		ended = true;
		if (err == 1)
			err = line_file_rewind(s, &f);
	}
	if (err < 0)
		assert_true(f.text[0] != 0);
	line_file_free(s);
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
	struct line_file *s;
	struct span line;
	struct fault f = { 0 };

	(void)state;
	assert_non_null(zeros);
	buf_init(&packed, 1 << 20);
	for (int i = 0; i < 50; i++)
		assert_int_equal(compress_block(span_of(zeros, len), 9, &packed), 0);
	write_file("f", packed.data, packed.len);
	assert_int_equal(line_file_open(path_of("f"), &s, &f), 0);
	while (line_file_next(s, &line, &f) == 0)
		n += line.len;
	assert_int_equal(f.err, 0);
	assert_int_equal(n, 50 * len);
	line_file_free(s);
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

static void test_what_is_no_file(void **state)
{
	struct line_file *s;
	struct fault f = { 0 };

	(void)state;
	assert_int_equal(line_file_open(path_of("missing"), &s, &f), ERR_NOT_FOUND);
	assert_int_equal(line_file_open(dir, &s, &f), ERR_REFUSED);
	assert_int_equal(mkfifo(path_of("p"), 0600), 0);
	assert_int_equal(line_file_open(path_of("p"), &s, &f), ERR_REFUSED);
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

static void test_directories(void **state)
{
	struct file_list l = { 0 };
	struct fault f = { 0 };
	char sub[600];

	(void)state;
	snprintf(sub, sizeof(sub), "%s", path_of("sub"));
	assert_int_equal(mkdir(sub, 0700), 0);
	write_file("sub/b.log", "b", 1);
	write_file("sub/a.txt.gz", "a", 1);
	write_file("sub/.hidden", "h", 1);
	assert_int_equal(file_list_add(&l, sub, &f), 0);
	assert_int_equal(l.n, 2);
	assert_string_equal(l.files[0].name, "a.txt.gz");
	assert_string_equal(l.files[0].run, "a");
	assert_string_equal(l.files[1].run, "b");
	assert_int_equal(file_list_check(&l, &f), 0);
	assert_int_equal(file_list_add(&l, path_of("missing"), &f), ERR_NOT_FOUND);
	assert_int_equal(file_list_add(&l, path_of("sub/b.log"), &f), 0);
	assert_int_equal(file_list_check(&l, &f), ERR_REFUSED);
	assert_non_null(strstr(f.text, "run b"));
	file_list_release(&l);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_lines_come_whole),   cmocka_unit_test(test_long_lines_come_in_pieces),
		cmocka_unit_test(test_a_bomb_is_streamed), cmocka_unit_test(test_damaged_files_are_refused),
		cmocka_unit_test(test_what_is_no_file),    cmocka_unit_test(test_run_ids),
		cmocka_unit_test(test_directories),
	};

	return cmocka_run_group_tests_name("import_files", tests, setup, teardown);
}
