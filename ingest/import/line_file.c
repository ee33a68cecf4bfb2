#include "ingest/import/line_file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zlib.h>

#include "store/base/clock.h"
#include "store/base/compress.h"
#include "store/model.h"

#define READ_BYTES      (64 * 1024)
#define INFLATE_BYTES   (256 * 1024)
#define ZSTD_WINDOW_MAX (128u << 20) /* what `zstd --long` makes */
/* Four bytes of zstd can stand for 128 KiB, so it is fed in small pieces: 8 MiB at most come out. */
#define ZSTD_PIECE 256
#define TEXT_MAX   (16u << 20)

enum packing { PACKING_NONE, PACKING_GZIP, PACKING_ZSTD };

struct line_file {
	const char *path;
	int fd;
	enum packing packing;
	uint64_t size, done;
	int64_t mtime_ns;
	uint8_t in[READ_BYTES];
	size_t in_pos, in_len;
	bool at_end;   /* of the file */
	bool complete; /* gzip: between two members */
	bool held;     /* gzip: more comes out without more going in */
	z_stream z;
	bool z_ready;
	struct decompressor *zstd;
	struct buf text; /* unpacked */
	size_t pos;      /* of the line in hand, in text */
	size_t line_len; /* its length */
};

static int read_some(struct line_file *s, struct fault *f)
{
	ssize_t n;

	do
		n = read(s->fd, s->in, sizeof(s->in));
	while (n < 0 && errno == EINTR);
	if (n < 0)
		return fault_set(f, ERR_IO, "file", "%s cannot be read: %s", s->path, strerror(errno));
	s->in_pos = 0;
	s->in_len = (size_t)n;
	s->done += (size_t)n;
	s->at_end = n == 0;
	return 0;
}

static int damaged(const struct line_file *s, struct fault *f)
{
	return fault_set(f, ERR_MALFORMED, "file",
			 "%s is damaged or cut short: it is no whole %s stream; fetch it again", s->path,
			 s->packing == PACKING_GZIP ? "gzip" : "zstd");
}

static int feed_plain(struct line_file *s)
{
	int err = buf_add(&s->text, s->in + s->in_pos, s->in_len - s->in_pos);

	s->in_pos = s->in_len;
	return err;
}

/* gzip -d unpacks files of several members; so does this. */
static int feed_gzip(struct line_file *s, struct fault *f)
{
	int err = buf_reserve(&s->text, INFLATE_BYTES), rc;

	if (err < 0)
		return err;
	if (s->complete && inflateReset(&s->z) != Z_OK)
		return ERR_NOMEM;
	s->complete = false;
	s->z.next_in = s->in + s->in_pos;
	s->z.avail_in = (uInt)(s->in_len - s->in_pos);
	s->z.next_out = s->text.data + s->text.len;
	s->z.avail_out = INFLATE_BYTES;
	rc = inflate(&s->z, Z_NO_FLUSH);
	s->in_pos = s->in_len - s->z.avail_in;
	s->text.len += INFLATE_BYTES - s->z.avail_out;
	s->complete = rc == Z_STREAM_END;
	s->held = rc == Z_OK && s->z.avail_out == 0;
	return rc == Z_OK || rc == Z_STREAM_END || rc == Z_BUF_ERROR ? 0 : damaged(s, f);
}

static int feed_zstd(struct line_file *s, struct fault *f)
{
	size_t n = s->in_len - s->in_pos;
	int err;

	if (n > ZSTD_PIECE)
		n = ZSTD_PIECE;
	err = decompressor_feed(s->zstd, span_of(s->in + s->in_pos, n), &s->text);
	s->in_pos += n;
	return err == ERR_MALFORMED ? damaged(s, f) : err;
}

/* Unpacks some more text; nothing more comes once at_end is set. */
static int refill(struct line_file *s, struct fault *f)
{
	int err;

	buf_consume(&s->text, s->pos);
	s->pos = 0;
	if (s->in_pos == s->in_len && !s->held) {
		err = read_some(s, f);
		if (err < 0)
			return err;
	}
	if (!s->at_end && s->packing == PACKING_GZIP)
		return feed_gzip(s, f);
	if (!s->at_end && s->packing == PACKING_ZSTD)
		return feed_zstd(s, f);
	if (!s->at_end)
		return feed_plain(s);
	if (s->packing == PACKING_GZIP ? !s->complete
				       : s->packing == PACKING_ZSTD && !decompressor_at_end(s->zstd))
		return damaged(s, f);
	return 0;
}

int line_file_next(struct line_file *s, struct span *ret_line, struct fault *f)
{
	size_t looked = 0;

	s->pos += s->line_len;
	s->line_len = 0;
	for (;;) {
		const uint8_t *start = s->text.data + s->pos, *end;
		size_t left = s->text.len - s->pos;
		int err;

		end = left > looked ? memchr(start + looked, '\n', left - looked) : NULL;
		s->line_len = end ? (size_t)(end - start) + 1 : left;
		if (s->line_len > LOG_TEXT_MAX)
			s->line_len = LOG_TEXT_MAX;
		if (end || s->line_len == LOG_TEXT_MAX || (s->at_end && left > 0)) {
			*ret_line = span_of(start, s->line_len);
			return 0;
		}
		s->line_len = 0;
		if (s->at_end)
			return 1;
		looked = left;
		err = refill(s, f);
		if (err < 0)
			return fault_default(f, err);
	}
}

/* The packing that the first bytes tell, and a fresh unpacker for it. */
static int start(struct line_file *s, struct fault *f)
{
	int err = read_some(s, f);

	if (err < 0)
		return err;
	s->packing = PACKING_NONE;
	if (s->in_len >= 2 && memcmp(s->in, "\x1f\x8b", 2) == 0)
		s->packing = PACKING_GZIP;
	else if (s->in_len >= 4 && memcmp(s->in, "\x28\xb5\x2f\xfd", 4) == 0)
		s->packing = PACKING_ZSTD;
	if (s->packing == PACKING_GZIP) {
		if (inflateInit2(&s->z, 16 + MAX_WBITS) != Z_OK)
			return fault_default(f, ERR_NOMEM);
		s->z_ready = true;
	}
	err = s->packing == PACKING_ZSTD ? decompressor_new(ZSTD_WINDOW_MAX, &s->zstd) : 0;
	return err < 0 ? fault_default(f, err) : 0;
}

static void stop(struct line_file *s)
{
	if (s->z_ready)
		inflateEnd(&s->z);
	decompressor_free(s->zstd);
	s->z_ready = false;
	s->z = (z_stream){ 0 };
	s->zstd = NULL;
	buf_clear(&s->text);
	s->pos = s->line_len = 0;
	s->in_pos = s->in_len = 0;
	s->done = 0;
	s->at_end = s->complete = s->held = false;
}

static int open_error(const char *path, struct fault *f)
{
	if (errno == ENOENT)
		return fault_set(f, ERR_NOT_FOUND, "file", "%s does not exist", path);
	if (errno == EACCES || errno == EPERM)
		return fault_set(f, ERR_DENIED, "file", "%s may not be read by this user", path);
	return fault_set(f, ERR_IO, "file", "%s cannot be opened: %s", path, strerror(errno));
}

int line_file_open(const char *path, struct line_file **ret, struct fault *f)
{
	struct line_file *s = calloc(1, sizeof(*s));
	struct stat st;
	int err;

	if (!s)
		return fault_default(f, ERR_NOMEM);
	s->path = path;
	buf_init(&s->text, TEXT_MAX);
	s->fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK); /* a pipe must not hang us here */
	if (s->fd < 0 || fstat(s->fd, &st) < 0) {
		err = open_error(path, f);
	} else if (!S_ISREG(st.st_mode)) {
		err = fault_set(f, ERR_REFUSED, "file",
				"%s is not a regular file, and a file is read twice: save it to a file first",
				path);
	} else {
		s->size = (uint64_t)st.st_size;
		s->mtime_ns = st.st_mtim.tv_sec * NS_PER_S + st.st_mtim.tv_nsec;
		err = start(s, f);
	}
	if (err < 0) {
		line_file_free(s);
		return err;
	}
	*ret = s;
	return 0;
}

void line_file_free(struct line_file *s)
{
	if (!s)
		return;
	stop(s);
	if (s->fd >= 0)
		close(s->fd);
	buf_release(&s->text);
	free(s);
}

int line_file_rewind(struct line_file *s, struct fault *f)
{
	stop(s);
	if (lseek(s->fd, 0, SEEK_SET) < 0)
		return fault_set(f, ERR_IO, "file", "%s cannot be read again: %s", s->path, strerror(errno));
	return start(s, f);
}

uint64_t line_file_size(const struct line_file *s) { return s->size; }

uint64_t line_file_done(const struct line_file *s) { return s->done - (s->in_len - s->in_pos); }

int64_t line_file_mtime_ns(const struct line_file *s) { return s->mtime_ns; }
