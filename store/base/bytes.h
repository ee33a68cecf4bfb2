/*
 * bytes.h - fixed-endian integers, varints, and a bounded reader.
 *
 * put_/get_ move fixed-width integers to and from any address: le for values, be for keys (so
 * that byte order is key order; be64i biases the sign bit away).  Varints are protobuf's: seven
 * bits a byte, low group first, at most ten bytes; zigzag folds the sign into bit 0.
 *
 * struct reader walks foreign bytes.  A read past the end, or a varint that does not fit, sets
 * `bad` and yields 0; after that every read yields 0, so a decoder may read a whole record and
 * test `bad` once.
 */
#ifndef STORE_BASE_BYTES_H
#define STORE_BASE_BYTES_H

#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#include "store/base/buf.h"

#define VARINT_MAX 10

static inline void put_le16(uint8_t *p, uint16_t v) { memcpy(p, &v, 2); }
static inline void put_le32(uint8_t *p, uint32_t v) { memcpy(p, &v, 4); }
static inline void put_le64(uint8_t *p, uint64_t v) { memcpy(p, &v, 8); }
static inline uint16_t get_le16(const uint8_t *p)
{
	uint16_t v;
	memcpy(&v, p, 2);
	return v;
}
static inline uint32_t get_le32(const uint8_t *p)
{
	uint32_t v;
	memcpy(&v, p, 4);
	return v;
}
static inline uint64_t get_le64(const uint8_t *p)
{
	uint64_t v;
	memcpy(&v, p, 8);
	return v;
}
_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "put_le* copy native bytes");

static inline void put_be16(uint8_t *p, uint16_t v)
{
	v = __builtin_bswap16(v);
	memcpy(p, &v, 2);
}
static inline void put_be32(uint8_t *p, uint32_t v)
{
	v = __builtin_bswap32(v);
	memcpy(p, &v, 4);
}
static inline void put_be64(uint8_t *p, uint64_t v)
{
	v = __builtin_bswap64(v);
	memcpy(p, &v, 8);
}
static inline uint16_t get_be16(const uint8_t *p) { return __builtin_bswap16(get_le16(p)); }
static inline uint32_t get_be32(const uint8_t *p) { return __builtin_bswap32(get_le32(p)); }
static inline uint64_t get_be64(const uint8_t *p) { return __builtin_bswap64(get_le64(p)); }

/* Signed values as keys: the sign bit is flipped, so negative sorts before positive. */
static inline void put_be64i(uint8_t *p, int64_t v) { put_be64(p, (uint64_t)v ^ (1ULL << 63)); }
static inline int64_t get_be64i(const uint8_t *p) { return (int64_t)(get_be64(p) ^ (1ULL << 63)); }

static inline uint64_t zigzag(int64_t v) { return ((uint64_t)v << 1) ^ (0 - ((uint64_t)v >> 63)); }
static inline int64_t unzigzag(uint64_t v) { return (int64_t)(v >> 1) ^ -(int64_t)(v & 1); }

static inline uint64_t double_bits(double v)
{
	uint64_t b;
	memcpy(&b, &v, 8);
	return b;
}
static inline double bits_double(uint64_t b)
{
	double v;
	memcpy(&v, &b, 8);
	return v;
}

/* Writes 1 to VARINT_MAX bytes at p, returns the end. */
static inline uint8_t *put_varint(uint8_t *p, uint64_t v)
{
	while (v >= 0x80) {
		*p++ = (uint8_t)(v | 0x80);
		v >>= 7;
	}
	*p++ = (uint8_t)v;
	return p;
}

static inline int buf_add_varint(struct buf *b, uint64_t v)
{
	int err = buf_reserve(b, VARINT_MAX);

	if (err < 0)
		return err;
	b->len = (size_t)(put_varint(b->data + b->len, v) - b->data);
	return 0;
}

struct reader {
	const uint8_t *p, *end;
	bool bad;
};

static inline struct reader reader_of(struct span s)
{
	return (struct reader){ s.data, s.len ? s.data + s.len : s.data,
				false }; /* NULL + 0 is no pointer in C */
}

static inline size_t reader_left(const struct reader *r) { return r->bad ? 0 : (size_t)(r->end - r->p); }

/* n bytes, borrowed from what the reader walks; an empty span when there are fewer. */
static inline struct span read_bytes(struct reader *r, size_t n)
{
	struct span s = { r->p, n };

	if (r->bad || (size_t)(r->end - r->p) < n) {
		r->bad = true;
		return (struct span){ r->end, 0 };
	}
	r->p += n;
	return s;
}

static inline uint8_t read_u8(struct reader *r)
{
	struct span s = read_bytes(r, 1);
	return s.len ? s.data[0] : 0;
}

static inline uint16_t read_le16(struct reader *r)
{
	struct span s = read_bytes(r, 2);
	return s.len ? get_le16(s.data) : 0;
}

static inline uint32_t read_le32(struct reader *r)
{
	struct span s = read_bytes(r, 4);
	return s.len ? get_le32(s.data) : 0;
}

static inline uint64_t read_le64(struct reader *r)
{
	struct span s = read_bytes(r, 8);
	return s.len ? get_le64(s.data) : 0;
}

static inline uint64_t read_varint(struct reader *r)
{
	uint64_t v = 0;

	if (!r->bad && r->p < r->end && *r->p < 0x80) /* most are */
		return *r->p++;
	for (unsigned shift = 0; shift < 64 && !r->bad; shift += 7) {
		uint8_t byte = read_u8(r);

		if (shift == 63 && byte > 1)
			break;
		v |= (uint64_t)(byte & 0x7f) << shift;
		if (byte < 0x80)
			return r->bad ? 0 : v;
	}
	r->bad = true;
	return 0;
}

static inline int64_t read_zigzag(struct reader *r) { return unzigzag(read_varint(r)); }

/* A varint length, then that many bytes. */
static inline struct span read_lenspan(struct reader *r)
{
	uint64_t n = read_varint(r);

	if (n > reader_left(r)) {
		r->bad = true;
		return (struct span){ r->end, 0 };
	}
	return read_bytes(r, (size_t)n);
}

#endif
