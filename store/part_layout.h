/*
 * part_layout.h - what part_write.c and part_read.c agree on: the checksums of a part's ends.
 */
#ifndef STORE_PART_LAYOUT_H
#define STORE_PART_LAYOUT_H

#include "store/base/checksum.h"
#include "store/format.h"
#include "store/part.h"

#define PART_INDEX_HEADER_BYTES 16
#define PART_INDEX_MAX          ((size_t)256 * 1024 * 1024)
#define PART_BLOCK_LEAST        (PARTBLOCK_HEADER_BYTES + 1)

static const char part_magic[8] = { 'A', 'S', 'T', 'R', 'P', 'A', 'R', 'T' };
static const char part_end_magic[8] = { 'A', 'S', 'T', 'R', 'P', 'E', 'N', 'D' };

/* Of an index at offset: its header but for the checksum, where it lies, its body. */
static inline uint32_t part_index_crc(const uint8_t *header, uint64_t offset, struct span body)
{
	uint8_t at[8];
	uint32_t crc = crc32c(header, PART_INDEX_HEADER_BYTES - 4);

	put_le64(at, offset);
	crc = crc32c_extend(crc, at, sizeof(at));
	return crc32c_extend(crc, body.data, body.len);
}

static inline uint32_t part_footer_crc(const uint8_t *header, const uint8_t *footer)
{
	return crc32c_extend(crc32c(header, PART_HEADER_BYTES), footer, 20);
}

#endif
