#include "ingest/import/tfrecord.h"

#include <inttypes.h>

#include "store/base/bytes.h"
#include "store/base/checksum.h"

#define FRAME_BYTES (TFRECORD_HEADER_BYTES + TFRECORD_FOOTER_BYTES)

static uint32_t masked_crc(const uint8_t *data, size_t len)
{
	uint32_t crc = crc32c(data, len);

	return (crc >> 15 | crc << 17) + 0xa282ead8u;
}

static int damaged(const char *what, uint64_t offset, struct fault *f)
{
	return fault_set(f, ERR_MALFORMED, "file",
			 "the record at byte %" PRIu64 " is damaged (the checksum of its %s is wrong)",
			 offset, what);
}

int tfrecord_scan(struct span s, uint64_t offset, struct tfrecord *ret, struct fault *f)
{
	uint64_t len;

	if (s.len < TFRECORD_HEADER_BYTES)
		return 1;
	if (get_le32(s.data + 8) != masked_crc(s.data, 8))
		return damaged("length", offset, f);
	len = get_le64(s.data);
	if (len > TFRECORD_DATA_MAX) {
		/* a length past any file's end is one that is never reached */
		*ret = (struct tfrecord){ .bytes = len > UINT64_MAX - FRAME_BYTES ? len : len + FRAME_BYTES,
					  .passed_over = true };
		return 0;
	}
	if (s.len < len + FRAME_BYTES)
		return 1;
	s = span_of(s.data + TFRECORD_HEADER_BYTES, len);
	if (get_le32(s.data + len) != masked_crc(s.data, len))
		return damaged("data", offset, f);
	*ret = (struct tfrecord){ .bytes = len + FRAME_BYTES, .data = s };
	return 0;
}
