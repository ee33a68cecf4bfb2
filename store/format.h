// clang-format off
/*
 * format.h - what lies in hot/, byte for byte.  Format 1.1, in which the journal may hold buckets
 * (journal.h); files in parts/ are partfile.h's.
 *
 * Integers in values are little-endian, in keys big-endian (signed ones with the sign bit flipped),
 * so that byte order is key order.  "v" is a varint, "z" a zigzag varint, "s" a varint length and
 * that many bytes (bytes.h).
 *
 * Every value starts with a header of STORED_HEADER_BYTES:
 *
 *   offset size
 *        0    1  magic, STORED_MAGIC
 *        1    1  kind, enum kind
 *        2    1  format version of this value, FORMAT_MAJOR
 *        3    1  codec of the body: 0 plain, 1 zstd, 2 sealed (log blocks)
 *        4    4  count: records, buckets or chunks in the body; 0 where there is one thing
 *        8    4  length of the body once decoded
 *       12    4  CRC-32C of bytes 0-11, the key, and the body as stored
 *
 * The key takes part in the checksum, so a value that turns up under another key is found out.
 *
 *   database  key                                     value (kind)
 *   meta      "state"                                 STATE: see store.h, struct state
 *   meta      "parts", "raw", "logs"                  STATE: number u64 of the newest part, raw part, log part
 *   project   name                                    PROJECT: see project.h
 *   run       rid u32                                 RUN: see run.h
 *   runid     project, 0x00, id                       RUNID: rid u32
 *   deleted   project, 0x00, id, 0x00, rid u32        DELETED: see removal.h
 *   series    rid u32, sid u32                        SERIES: created i64, metric s, unit s,
 *                                                     v labels, (key s, value s)*
 *   producer  rid u32, producer id [16]               PRODUCER: see producer.h
 *   reject    rid u32, producer id [16], sequence u64 REJECT: what was left out of that request (producer.h)
 *   idem      hash [16] of project and key            IDEM: see idempotency.c
 *   idemage   created i64, hash [16]                  IDEM: empty
 *   journal   batch u64, chunk u16                    JOURNAL: a piece of a batch, at most
 *                                                     JOURNAL_CHUNK_BYTES with header
 *   flush     flush u64                               FLUSH: see flush.h
 *   block     flush u64, sid u32, start i64           BLOCK: buckets from that key on (block.h)
 *   log       rid u32, first sequence u64             LOG: records from that sequence on (logblock.h)
 *   logseq    rid u32                                 LOGSEQ: next sequence u64
 *   logseal   rid u32                                 LOGSEAL: see seal.h
 *   logpart   pid u32, first u64                      LOG_PART: see logparts.h
 *   token     hash [32]                               TOKEN: role u8, created i64, project s
 *   part      pid u32, tier u64, from i64             PART: see manifest.h
 *   raw       pid u32, first batch u64                RAW: see rawrow.h
 *   rawgone   rid u32, or 0 u32 and pid u32           RAW_GONE: time i64, see rawrow.h
 *   quarantine  pid u32, number u32                   QUARANTINE: see quarantine.h
 *
 * Invariants
 *  1. A batch of the journal is numbered state.batch + 1 when it is written; numbers never repeat.
 *  2. Blocks of a flush count only when the flush is done: flush <= state.flush.
 *  3. A sample of batch b in a window of epoch e is in blocks, and not in memory, exactly when some
 *     done flush has upto >= b and floor >= e.  Batches <= state.trimmed hold only such samples.
 *  4. A sequence of a run's log is given once, also when the record is deleted: logseq only rises.  Blocks
 *     of a log go from the front: those there are follow each other without a gap.
 *  5. Keys of journal, flush, block, idemage only rise: they are appended, and trimmed on the left.
 *  6. A bucket of flush F counts exactly when the finest part of its project that covers its start, if
 *     there is one, has upto < F (cover.h).  Parts of a project's tier do not overlap.  A flush's row
 *     stays while its upto > state.trimmed, for invariant 3, also when its blocks are folded and gone.
 *  7. A run has a row in runid or in deleted, never in both.  A rid without a row in run is of a run that is
 *     gone: no other row has it as its key, and what blocks, parts and the journal still hold of it counts
 *     for nothing.
 *  8. The samples of batches <= state.sealed are in raw parts, or their project kept none, or they grew too
 *     old; those of later batches are in the journal.  state.sealed <= state.trimmed.  Raw parts of a
 *     project are of ranges of batches that do not meet.
 *  9. A run's records are in its project's log parts, in the order of these, then in the log database: no
 *     sequence is twice, and a transaction that puts the row of a part deletes what that holds.
 *
 * Sizes follow LMDB's page economics: a value over about 2 KB goes to overflow pages of 4096 bytes
 * with one header of 16 for all, so 4096 * k - 16 wastes nothing.
 */
// clang-format on
#ifndef STORE_FORMAT_H
#define STORE_FORMAT_H

#define FORMAT_MAJOR 1
#define FORMAT_MINOR 1

#define STORED_MAGIC        0xA5
#define STORED_HEADER_BYTES 16

#define BLOCK_VALUE_MAX     4080
#define BLOCK_BODY_MAX      (BLOCK_VALUE_MAX - STORED_HEADER_BYTES)
#define JOURNAL_CHUNK_BYTES 65520

enum kind {
	KIND_STATE = 1,
	KIND_PROJECT,
	KIND_RUN,
	KIND_RUNID,
	KIND_SERIES,
	KIND_PRODUCER,
	KIND_REJECT,
	KIND_IDEM,
	KIND_JOURNAL,
	KIND_FLUSH,
	KIND_BLOCK,
	KIND_LOG,
	KIND_LOGSEQ,
	KIND_TOKEN,
	KIND_LOGSEAL,
	KIND_PART,
	KIND_DELETED,
	KIND_RAW,
	KIND_RAW_GONE,
	KIND_QUARANTINE,
	KIND_LOG_PART,
	KIND_PART_BLOCK = 64, /* in files: partblock.h */
	KIND_PART_INDEX,      /* in files: partfile.h */
	KIND_RAW_BLOCK,       /* in files: rawblock.h */
};

enum codec { CODEC_PLAIN, CODEC_ZSTD, CODEC_SEALED };

#endif
