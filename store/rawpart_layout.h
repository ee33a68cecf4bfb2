/*
 * rawpart_layout.h - what rawpart_write.c and rawpart_read.c agree on: the checksums of a raw part's ends.
 */
#ifndef STORE_RAWPART_LAYOUT_H
#define STORE_RAWPART_LAYOUT_H

#include "store/base/bytes.h"
#include "store/base/checksum.h"
#include "store/format.h"
#include "store/rawpart.h"

#define RAWPART_INDEX_HEADER_BYTES 16
#define RAWPART_INDEX_MAX          ((size_t)256 * 1024 * 1024)
#define RAWPART_BLOCK_LEAST        (RAWBLOCK_HEADER_BYTES + 1)

static const char rawpart_magic[8] = { 'A', 'S', 'T', 'R', 'R', 'A', 'W', 'P' };
static const char rawpart_end_magic[8] = { 'A', 'S', 'T', 'R', 'R', 'A', 'W', 'E' };

/* Of an index at offset: its header but for the checksum, where it lies, its body. */
static inline uint32_t rawpart_index_crc(const uint8_t *header, uint64_t offset, struct span body)
{
	uint8_t at[8];
	uint32_t crc = crc32c(header, RAWPART_INDEX_HEADER_BYTES - 4);

	put_le64(at, offset);
	crc = crc32c_extend(crc, at, sizeof(at));
	return crc32c_extend(crc, body.data, body.len);
}

static inline uint32_t rawpart_footer_crc(const uint8_t *header, const uint8_t *footer)
{
	return crc32c_extend(crc32c(header, RAWPART_HEADER_BYTES), footer, 20);
}

#endif
