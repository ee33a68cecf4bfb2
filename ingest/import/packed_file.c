#include "ingest/import/packed_file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zlib.h>

#include "store/base/compress.h"

#define READ_BYTES      (256 * 1024)
#define INFLATE_BYTES   (256 * 1024)
#define ZSTD_WINDOW_MAX (128u << 20) /* what `zstd --long` makes */
/* Four bytes of zstd can stand for 128 KiB, so it is fed in small pieces: 8 MiB at most come out. */
#define ZSTD_PIECE 256

enum packing { PACKING_NONE, PACKING_GZIP, PACKING_ZSTD };

struct packed_file {
	const char *path;
	int fd;
	enum packing packing;
	uint64_t done;
	uint8_t in[READ_BYTES];
	size_t in_pos, in_len;
	bool at_end;   /* of the file */
	bool complete; /* gzip: between two members */
	bool held;     /* gzip: more comes out without more going in */
	z_stream z;
	bool z_ready;
	struct decompressor *zstd;
};

static int read_some(struct packed_file *s, struct fault *f)
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

static int damaged(const struct packed_file *s, struct fault *f)
{
	return fault_set(f, ERR_MALFORMED, "file",
			 "%s is damaged or cut short: it is no whole %s stream; fetch it again", s->path,
			 s->packing == PACKING_GZIP ? "gzip" : "zstd");
}

static int feed_plain(struct packed_file *s, struct buf *out)
{
	int err = buf_add(out, s->in + s->in_pos, s->in_len - s->in_pos);

	s->in_pos = s->in_len;
	return err;
}

/* gzip -d unpacks files of several members; so does this. */
static int feed_gzip(struct packed_file *s, struct buf *out, struct fault *f)
{
	int err = buf_reserve(out, INFLATE_BYTES), rc;

	if (err < 0)
		return err;
	if (s->complete && inflateReset(&s->z) != Z_OK)
		return ERR_NOMEM;
	s->complete = false;
	s->z.next_in = s->in + s->in_pos;
	s->z.avail_in = (uInt)(s->in_len - s->in_pos);
	s->z.next_out = out->data + out->len;
	s->z.avail_out = INFLATE_BYTES;
	rc = inflate(&s->z, Z_NO_FLUSH);
	s->in_pos = s->in_len - s->z.avail_in;
	out->len += INFLATE_BYTES - s->z.avail_out;
	s->complete = rc == Z_STREAM_END;
	s->held = rc == Z_OK && s->z.avail_out == 0;
	return rc == Z_OK || rc == Z_STREAM_END || rc == Z_BUF_ERROR ? 0 : damaged(s, f);
}

static int feed_zstd(struct packed_file *s, struct buf *out, struct fault *f)
{
	size_t n = s->in_len - s->in_pos;
	int err;

	if (n > ZSTD_PIECE)
		n = ZSTD_PIECE;
	err = decompressor_feed(s->zstd, span_of(s->in + s->in_pos, n), out);
	s->in_pos += n;
	return err == ERR_MALFORMED ? damaged(s, f) : err;
}

int packed_file_read(struct packed_file *s, struct buf *out, struct fault *f)
{
	int err;

	if (s->in_pos == s->in_len && !s->held) {
		err = read_some(s, f);
		if (err < 0)
			return err;
	}
	if (s->at_end &&
	    (s->packing == PACKING_GZIP ? !s->complete
					: s->packing == PACKING_ZSTD && !decompressor_at_end(s->zstd)))
		return damaged(s, f);
	if (s->at_end)
		return 1;
	err = s->packing == PACKING_GZIP   ? feed_gzip(s, out, f)
	      : s->packing == PACKING_ZSTD ? feed_zstd(s, out, f)
					   : feed_plain(s, out);
	return err < 0 ? fault_default(f, err) : 0;
}

/* The packing that the first bytes tell, and a fresh unpacker for it. */
static int start(struct packed_file *s, struct fault *f)
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

static int open_error(const char *path, struct fault *f)
{
	if (errno == ENOENT)
		return fault_set(f, ERR_NOT_FOUND, "file", "%s does not exist", path);
	if (errno == EACCES || errno == EPERM)
		return fault_set(f, ERR_DENIED, "file", "%s may not be read by this user", path);
	return fault_set(f, ERR_IO, "file", "%s cannot be opened: %s", path, strerror(errno));
}

int packed_file_open(const char *path, struct packed_file **ret, struct fault *f)
{
	struct packed_file *s = calloc(1, sizeof(*s));
	struct stat st;
	int err;

	if (!s)
		return fault_default(f, ERR_NOMEM);
	s->path = path;
	s->fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK); /* a pipe must not hang us here */
	if (s->fd < 0 || fstat(s->fd, &st) < 0) {
		err = open_error(path, f);
	} else if (!S_ISREG(st.st_mode)) {
		err = fault_set(f, ERR_REFUSED, "file",
				"%s is not a regular file, and a file is read twice: save it to a file first",
				path);
	} else {
		err = start(s, f);
	}
	if (err < 0) {
		packed_file_free(s);
		return err;
	}
	*ret = s;
	return 0;
}

void packed_file_free(struct packed_file *s)
{
	if (!s)
		return;
	if (s->z_ready)
		inflateEnd(&s->z);
	decompressor_free(s->zstd);
	if (s->fd >= 0)
		close(s->fd);
	free(s);
}

uint64_t packed_file_done(const struct packed_file *s) { return s->done - (s->in_len - s->in_pos); }
