/*
 * compress.h - zstd, behind two faces; this and compress.c are the only files that know zstd.h.
 *
 * Blocks: one frame without content size, dictionary id or checksum, because the header of the
 * block that holds it has them (store/format.h); the reader states the exact raw length, and
 * anything else is ERR_CORRUPT.  Levels stay <= 9 (see zstd issue 3517).
 *
 * Streams: request bodies and .zst files, decoded piece by piece under a cap on what comes out.
 *
 * Contexts are kept per thread, so calls are cheap and any thread may call.
 */
#ifndef STORE_BASE_COMPRESS_H
#define STORE_BASE_COMPRESS_H

#include "store/base/buf.h"

/* Appends the frame to out.  ERR_FULL when it does not fit under out's maximum. */
int compress_block(struct span raw, int level, struct buf *out);

/* Writes exactly raw_len bytes to raw, or ERR_CORRUPT. */
int decompress_block(struct span packed, void *raw, size_t raw_len);

struct decompressor;

/* Windows above window_max_bytes (a power of two) are refused, which bounds memory. */
int decompressor_new(size_t window_max_bytes, struct decompressor **ret);
void decompressor_free(struct decompressor *d); /* NULL is fine */

/* Makes it ready for a new stream. */
void decompressor_reset(struct decompressor *d);

/* Decodes all of `in`, appending to out, whose maximum is the cap: ERR_FULL past it.
 * ERR_MALFORMED for bytes that are not zstd.  Several frames one after another are one stream. */
int decompressor_feed(struct decompressor *d, struct span in, struct buf *out);

/* Whether the stream could end here: at least one frame was seen, and the last is complete. */
bool decompressor_at_end(const struct decompressor *d);

#endif
