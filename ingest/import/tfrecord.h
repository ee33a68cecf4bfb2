/*
 * tfrecord.h - the framing of TFRecord files, of which TensorBoard's event files are made.
 *
 *   u64 length | u32 masked CRC-32C of these eight bytes | data | u32 masked CRC-32C of the data
 *
 * All little endian; a CRC is rotated right by 15 and 0xa282ead8 is added, so that data which holds
 * CRCs has no CRC like them.  Source: tensorflow/core/lib/io/record_writer.h.  Pure; any thread.
 */
#ifndef INGEST_IMPORT_TFRECORD_H
#define INGEST_IMPORT_TFRECORD_H

#include <stdbool.h>

#include "store/base/buf.h"

#define TFRECORD_HEADER_BYTES 12
#define TFRECORD_FOOTER_BYTES 4
/* Records longer than this hold pictures or graphs: their data is passed over and not checked. */
#define TFRECORD_DATA_MAX (16u << 20)

struct tfrecord {
	uint64_t bytes;   /* of the whole record with its frame */
	bool passed_over; /* over TFRECORD_DATA_MAX: data is empty, and the caller drops the bytes */
	struct span data; /* borrowed from what was scanned */
};

/* The record that s, which lies at `offset` of its file, begins with.  1: s ends before the record
 * does.  ERR_MALFORMED: a checksum is wrong; the fault names the offset. */
int tfrecord_scan(struct span s, uint64_t offset, struct tfrecord *ret, struct fault *f);

#endif
