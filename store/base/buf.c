#include "store/base/buf.h"

#include <assert.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

void buf_release(struct buf *b)
{
	free(b->data);
	*b = (struct buf){ .max = b->max };
}

int buf_reserve(struct buf *b, size_t n)
{
	size_t want, cap;
	uint8_t *p;

	if (n <= b->cap - b->len)
		return 0;
	if (n > b->max - b->len || b->len > b->max)
		return ERR_FULL;
	want = b->len + n;
	cap = b->cap ? b->cap : 64;
	while (cap < want)
		cap += cap / 2 + 1;
	if (cap > b->max)
		cap = b->max;
	p = realloc(b->data, cap);
	if (!p)
		return ERR_NOMEM;
	b->data = p;
	b->cap = cap;
	return 0;
}

int buf_add(struct buf *b, const void *data, size_t n)
{
	int err = buf_reserve(b, n);

	if (err < 0 || n == 0)
		return err;
	memcpy(b->data + b->len, data, n);
	b->len += n;
	return 0;
}

int buf_addstr(struct buf *b, const char *s) { return buf_add(b, s, strlen(s)); }

int buf_addch(struct buf *b, char c) { return buf_add(b, &c, 1); }

int buf_addf(struct buf *b, const char *format, ...)
{
	va_list ap;
	int n, err;

	va_start(ap, format);
	n = vsnprintf(NULL, 0, format, ap);
	va_end(ap);
	assert(n >= 0);
	err = buf_reserve(b, (size_t)n + 1);
	if (err < 0)
		return err;
	va_start(ap, format);
	vsnprintf((char *)b->data + b->len, (size_t)n + 1, format, ap);
	va_end(ap);
	b->len += (size_t)n;
	return 0;
}

void buf_consume(struct buf *b, size_t n)
{
	assert(n <= b->len);
	if (n && n < b->len)
		memmove(b->data, b->data + n, b->len - n);
	b->len -= n;
}

const char *buf_cstr(struct buf *b)
{
	if (buf_reserve(b, 1) < 0)
		return NULL;
	b->data[b->len] = 0;
	return (const char *)b->data;
}
