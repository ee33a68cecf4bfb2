/*
 * column.h - integers of one kind, as few bytes as they take, and back.
 *
 * A column is foretold, and what is left over is packed.  It is foretold by nothing, or by another
 * column that the reader has already (a reference), and then by nothing, by the number before, or
 * by the line through the two before; or it is a table of the different numbers that it has, and of places
 * in that.  The encoder tries all of that and keeps the smallest, as 512 numbers of a longer column say.
 *
 * The bytes go into two streams: `dense` holds bits that nothing can shorten (packed integers, noisy
 * bytes of floats), `loose` holds what an entropy coder still shortens (headers, exponents).  Whoever
 * makes a block compresses the loose streams of all its columns as one frame (strip.h).
 *
 * A column of n numbers, n > 0:
 *
 *   loose  u8 packing | order << 2 | reference << 4 | unit << 6
 *          order z numbers that begin the column
 *   then   PACK_SAME    loose: z the one number that all are
 *          PACK_BITS    per COLUMN_RUN numbers, loose: z least, u8 bits; dense: number - least, so many
 *                       bits each, low bits first, filled up to a byte
 *          PACK_LEAST   loose: z least; then planes of number - least
 *          PACK_ZIGZAG  planes of the zigzag number
 *   planes loose: u8 how many; u8 of two bits each, four planes a byte, low plane first: 0 dense, 1 loose,
 *          2 one byte for all (loose).  Then each plane: n bytes, one of each number.
 *
 *   or     u8 3 << 2; v how many different numbers; a column of these, rising, and one of the place among
 *          them of each number; neither is such a table
 *
 * With a unit (0: 1, 1: 1000, 2: 10^6, 3: 10^9) all left over from the reference is divided by it.
 * Sums and differences are modulo 2^64, so every column has a form, never more than 8 n + 16 bytes.
 * Pure; any thread.
 */
#ifndef STORE_COLUMN_H
#define STORE_COLUMN_H

#include "store/base/bytes.h"

#define COLUMN_MAX      4096 /* numbers */
#define COLUMN_RUN      128
#define COLUMN_REFS_MAX 3

struct column_out {
	struct buf dense, loose;
};

struct column_in {
	struct reader dense, loose;
};

/* Appends the n <= COLUMN_MAX numbers; each reference has n numbers too.  ERR_NOMEM, ERR_FULL. */
int column_put(struct column_out *o, const int64_t *v, size_t n, const int64_t *const *refs, size_t n_refs);

/* About what column_put would take, without references. */
size_t column_cost(const int64_t *v, size_t n);

/* Reads n numbers; the same references, of which column_reference alone need be there.  ERR_CORRUPT for bytes
 * no encoder made, with ret overwritten. */
int column_get(struct column_in *in, int64_t *ret, size_t n, const int64_t *const *refs, size_t n_refs);

/* Which of the references the next column is foretold by, counted from 1; 0: by none. */
unsigned column_reference(struct column_in in);

/* How a column is kept that begins with this byte of the loose stream: "same", "bits", "least", "zigzag" or
 * "table". */
const char *column_form(uint8_t head);

/* Passes over them at a fraction of the cost. */
int column_skip(struct column_in *in, size_t n);

#endif
