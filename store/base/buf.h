/*
 * buf.h - a growing run of bytes that is born with its maximum (after curl's dynbuf).
 *
 * struct span is a borrowed view: who lends it says until when.  A zeroed struct buf is empty
 * with maximum 0; buf_init gives it one.  On failure a buf is as it was before the call.
 * Not thread safe; one owner.
 */
#ifndef STORE_BASE_BUF_H
#define STORE_BASE_BUF_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "store/base/err.h"

struct span {
	const uint8_t *data;
	size_t len;
};

struct buf {
	uint8_t *data;
	size_t len, cap, max;
};

static inline struct span span_of(const void *data, size_t len) { return (struct span){ data, len }; }

static inline struct span span_str(const char *s) { return (struct span){ (const uint8_t *)s, strlen(s) }; }

static inline bool span_equal(struct span a, struct span b)
{
	return a.len == b.len && (a.len == 0 || memcmp(a.data, b.data, a.len) == 0);
}

static inline bool span_is(struct span a, const char *s) { return span_equal(a, span_str(s)); }

static inline struct span buf_span(const struct buf *b) { return (struct span){ b->data, b->len }; }

static inline void buf_init(struct buf *b, size_t max) { *b = (struct buf){ .max = max }; }

/* Frees the bytes; the maximum stays, so the buf can be used again.  A zeroed buf is fine. */
void buf_release(struct buf *b);

/* Forgets the content, keeps the memory. */
static inline void buf_clear(struct buf *b) { b->len = 0; }

/* Makes room for n more bytes.  ERR_FULL past the maximum, ERR_NOMEM. */
int buf_reserve(struct buf *b, size_t n);

int buf_add(struct buf *b, const void *data, size_t n);
int buf_addstr(struct buf *b, const char *s);
int buf_addch(struct buf *b, char c);
int buf_addf(struct buf *b, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* Drops the first n bytes (n <= len). */
void buf_consume(struct buf *b, size_t n);

/* A final NUL that is not counted in len; the string is borrowed until the next change. */
const char *buf_cstr(struct buf *b);

#endif
