/*
 * partfile.h - the form that all files in parts/ have: blocks, an index of them, a footer.
 *
 *   header   "ASTRPART", u8 FORMAT_MAJOR, u8 enum part_kind, u16 0, u32 pid, i64 tier, u64 from, u64 to,
 *            u64 number, u32 CRC-32C of all that; what from and to count is said by the kind
 *   blocks   one behind the other, each with a header and checksum of its own
 *   index    u8 STORED_MAGIC, u8 KIND_PART_INDEX, u8 FORMAT_MAJOR, u8 CODEC_ZSTD, u32 length decoded, u32
 *            length as stored, u32 CRC-32C of these 12 bytes, the index's offset (le64) and the body
 *   footer   u64 offset of the index, u64 items (buckets, samples, records), u32 blocks, u32 CRC-32C of the
 *            header and these 20 bytes, "ASTRPEND"
 *
 * A file is made aside, synced, compared with what it was made from, and never changes.  It tells by itself
 * what it holds, should the hot store be lost.
 */
#ifndef STORE_PARTFILE_H
#define STORE_PARTFILE_H

#include "store/base/buf.h"

#define PARTFILE_HEADER_BYTES 52
#define PARTFILE_FOOTER_BYTES 32
#define PARTFILE_INDEX_MAX    ((size_t)256 * 1024 * 1024)

enum part_kind { PART_METRICS = 1, PART_SAMPLES, PART_LOGS };

struct partfile_id {
	enum part_kind kind;
	uint32_t pid; /* of the project whose runs it holds */
	int64_t tier; /* metrics alone */
	uint64_t from, to;
	uint64_t number; /* of the store's files of that kind, never given twice */
};

struct partfile_summary {
	uint64_t bytes, items;
	uint32_t blocks, crc; /* the footer's */
};

/* ---- writing: one thread ---- */

struct partfile_writer {
	int fd; /* -1: none */
	uint8_t header[PARTFILE_HEADER_BYTES];
	struct partfile_summary so_far; /* its bytes are where the next block will lie */
};

/* Makes the file, which must not be there.  Whatever is returned, w is to be finished or abandoned. */
int partfile_create(const char *path, const struct partfile_id *id, struct partfile_writer *w);

/* Adds a block of so many items. */
int partfile_add(struct partfile_writer *w, struct span block, uint64_t items);

/* Writes index and footer, and syncs.  On failure the file is there, and worthless. */
int partfile_finish(struct partfile_writer *w, struct span index, struct partfile_summary *ret);
void partfile_abandon(struct partfile_writer *w);

/* ---- reading: any number of threads; nothing is believed before its checksum ---- */

struct partfile {
	int fd;
	struct partfile_id id;
	struct partfile_summary summary;
	uint64_t index;  /* where the index begins, and the blocks end */
	struct buf body; /* of the index, decoded */
};

/* Reads header, footer and index; p is to be closed, whatever is returned.  ERR_NOT_FOUND, ERR_CORRUPT (also
 * for another kind), ERR_VERSION, ERR_IO. */
int partfile_open(const char *path, enum part_kind kind, struct partfile *p);
void partfile_close(struct partfile *p);

/* Bytes of a block into room, which is the caller's.  ERR_CORRUPT, ERR_IO. */
int partfile_read(const struct partfile *p, uint64_t offset, size_t bytes, struct buf *room);

#endif
