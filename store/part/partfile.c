#include "store/part/partfile.h"

#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "store/base/bytes.h"
#include "store/base/checksum.h"
#include "store/base/compress.h"
#include "store/file.h"
#include "store/format.h"

#define INDEX_HEADER_BYTES 16
#define INDEX_LEVEL        6

/* A file goes to the disk while it is made: else its sync, at the end, holds up those of the writer. */
#define WRITE_OUT_BYTES (64 * 1024)

static const char magic[8] = { 'A', 'S', 'T', 'R', 'P', 'A', 'R', 'T' };
static const char end_magic[8] = { 'A', 'S', 'T', 'R', 'P', 'E', 'N', 'D' };

/* Of an index at offset: its header but for the checksum, where it lies, its body. */
static uint32_t index_crc(const uint8_t *header, uint64_t offset, struct span body)
{
	uint8_t at[8];
	uint32_t crc = crc32c(header, INDEX_HEADER_BYTES - 4);

	put_le64(at, offset);
	crc = crc32c_extend(crc, at, sizeof(at));
	return crc32c_extend(crc, body.data, body.len);
}

static uint32_t footer_crc(const uint8_t *header, const uint8_t *footer)
{
	return crc32c_extend(crc32c(header, PARTFILE_HEADER_BYTES), footer, 20);
}

/* ---- writing ---- */

static void put_header(uint8_t *p, const struct partfile_id *id)
{
	memset(p, 0, PARTFILE_HEADER_BYTES);
	memcpy(p, magic, sizeof(magic));
	p[8] = FORMAT_MAJOR;
	p[9] = (uint8_t)id->kind;
	put_le32(p + 12, id->pid);
	put_le64(p + 16, (uint64_t)id->tier);
	put_le64(p + 24, id->from);
	put_le64(p + 32, id->to);
	put_le64(p + 40, id->number);
	put_le32(p + 48, crc32c(p, PARTFILE_HEADER_BYTES - 4));
}

static int add(struct partfile_writer *w, struct span bytes)
{
	w->so_far.bytes += bytes.len;
	return file_write(w->fd, bytes);
}

int partfile_create(const char *path, const struct partfile_id *id, struct partfile_writer *w)
{
	*w = (struct partfile_writer){ .fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0640) };
	if (w->fd < 0)
		return file_error();
	put_header(w->header, id);
	return add(w, span_of(w->header, PARTFILE_HEADER_BYTES));
}

int partfile_add(struct partfile_writer *w, struct span block, uint64_t items)
{
	uint64_t before = w->so_far.bytes;
	int err = add(w, block);

	w->so_far.items += items;
	w->so_far.blocks++;
	if (err == 0 && before / WRITE_OUT_BYTES != w->so_far.bytes / WRITE_OUT_BYTES)
		sync_file_range(w->fd, 0, 0, SYNC_FILE_RANGE_WRITE);
	return err;
}

static int put_index(struct partfile_writer *w, struct span plain)
{
	uint8_t head[INDEX_HEADER_BYTES] = { STORED_MAGIC, KIND_PART_INDEX, FORMAT_MAJOR, CODEC_ZSTD };
	struct buf packed;
	int err;

	buf_init(&packed, PARTFILE_INDEX_MAX);
	err = compress_block(plain, INDEX_LEVEL, &packed);
	put_le32(head + 4, (uint32_t)plain.len);
	put_le32(head + 8, (uint32_t)packed.len);
	put_le32(head + 12, index_crc(head, w->so_far.bytes, buf_span(&packed)));
	if (err == 0)
		err = add(w, span_of(head, sizeof(head)));
	if (err == 0)
		err = add(w, buf_span(&packed));
	buf_release(&packed);
	return err;
}

static int put_footer(struct partfile_writer *w, uint64_t index)
{
	uint8_t foot[PARTFILE_FOOTER_BYTES];

	put_le64(foot, index);
	put_le64(foot + 8, w->so_far.items);
	put_le32(foot + 16, w->so_far.blocks);
	w->so_far.crc = footer_crc(w->header, foot);
	put_le32(foot + 20, w->so_far.crc);
	memcpy(foot + 24, end_magic, sizeof(end_magic));
	return add(w, span_of(foot, sizeof(foot)));
}

int partfile_finish(struct partfile_writer *w, struct span index, struct partfile_summary *ret)
{
	uint64_t at = w->so_far.bytes;
	int err = put_index(w, index);

	if (err == 0)
		err = put_footer(w, at);
	if (err == 0 && fsync(w->fd) != 0)
		err = ERR_IO;
	if (err == 0)
		*ret = w->so_far;
	partfile_abandon(w);
	return err;
}

void partfile_abandon(struct partfile_writer *w)
{
	if (w->fd >= 0)
		close(w->fd);
	w->fd = -1;
}

/* ---- opening ---- */

static int read_header(struct partfile *p, enum part_kind kind, uint8_t *header)
{
	int err = file_read(p->fd, 0, header, PARTFILE_HEADER_BYTES);

	if (err < 0)
		return err;
	if (memcmp(header, magic, sizeof(magic)) != 0 ||
	    get_le32(header + 48) != crc32c(header, PARTFILE_HEADER_BYTES - 4))
		return ERR_CORRUPT;
	if (header[8] > FORMAT_MAJOR)
		return ERR_VERSION;
	p->id = (struct partfile_id){ kind,
				      get_le32(header + 12),
				      (int64_t)get_le64(header + 16),
				      get_le64(header + 24),
				      get_le64(header + 32),
				      get_le64(header + 40) };
	return header[9] == kind ? 0 : ERR_CORRUPT;
}

static int read_footer(struct partfile *p, const uint8_t *header)
{
	uint8_t foot[PARTFILE_FOOTER_BYTES];
	struct stat st;
	int err;

	if (fstat(p->fd, &st) != 0)
		return file_error();
	if (st.st_size < PARTFILE_HEADER_BYTES + INDEX_HEADER_BYTES + PARTFILE_FOOTER_BYTES)
		return ERR_CORRUPT;
	p->summary.bytes = (uint64_t)st.st_size;
	err = file_read(p->fd, p->summary.bytes - PARTFILE_FOOTER_BYTES, foot, PARTFILE_FOOTER_BYTES);
	if (err < 0)
		return err;
	p->index = get_le64(foot);
	p->summary.items = get_le64(foot + 8);
	p->summary.blocks = get_le32(foot + 16);
	p->summary.crc = get_le32(foot + 20);
	if (memcmp(foot + 24, end_magic, sizeof(end_magic)) != 0 ||
	    p->summary.crc != footer_crc(header, foot) || p->index < PARTFILE_HEADER_BYTES ||
	    p->index > p->summary.bytes - PARTFILE_FOOTER_BYTES - INDEX_HEADER_BYTES)
		return ERR_CORRUPT;
	return 0;
}

static int decode_index(struct partfile *p, struct span raw)
{
	struct span body = span_of(raw.data + INDEX_HEADER_BYTES, raw.len - INDEX_HEADER_BYTES);

	if (raw.data[0] != STORED_MAGIC || raw.data[1] != KIND_PART_INDEX || raw.data[3] != CODEC_ZSTD ||
	    get_le32(raw.data + 4) > PARTFILE_INDEX_MAX || get_le32(raw.data + 8) != body.len ||
	    get_le32(raw.data + 12) != index_crc(raw.data, p->index, body))
		return ERR_CORRUPT;
	p->body.len = get_le32(raw.data + 4);
	p->body.data = malloc(p->body.len + 1);
	return p->body.data ? decompress_block(body, p->body.data, p->body.len) : ERR_NOMEM;
}

static int read_index(struct partfile *p)
{
	size_t len = (size_t)(p->summary.bytes - PARTFILE_FOOTER_BYTES - p->index);
	struct buf raw;
	int err;

	buf_init(&raw, PARTFILE_INDEX_MAX);
	err = len > PARTFILE_INDEX_MAX ? ERR_CORRUPT : partfile_read(p, p->index, len, &raw);
	if (err == 0)
		err = decode_index(p, buf_span(&raw));
	buf_release(&raw);
	return err;
}

int partfile_open(const char *path, enum part_kind kind, struct partfile *p)
{
	uint8_t header[PARTFILE_HEADER_BYTES];
	int err;

	*p = (struct partfile){ .fd = open(path, O_RDONLY | O_CLOEXEC) };
	err = p->fd < 0 ? file_error() : read_header(p, kind, header);
	if (err == 0)
		err = read_footer(p, header);
	return err < 0 ? err : read_index(p);
}

void partfile_close(struct partfile *p)
{
	if (p->fd >= 0)
		close(p->fd);
	free(p->body.data);
	*p = (struct partfile){ .fd = -1 };
}

int partfile_read(const struct partfile *p, uint64_t offset, size_t bytes, struct buf *room)
{
	int err;

	buf_clear(room);
	err = buf_reserve(room, bytes);
	if (err == 0)
		err = file_read(p->fd, offset, room->data, bytes);
	if (err == 0)
		room->len = bytes;
	return err;
}
