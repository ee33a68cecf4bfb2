#include "tools/loadgen/answer.h"

#include <stdio.h>
#include <stdlib.h>
#include <strings.h>

#define LINE_BYTES_MAX 16384

void answer_init(struct answer *a, size_t body_max)
{
	*a = (struct answer){ 0 };
	buf_init(&a->body, body_max);
	buf_init(&a->line, LINE_BYTES_MAX);
}

void answer_release(struct answer *a)
{
	buf_release(&a->body);
	buf_release(&a->line);
}

void answer_clear(struct answer *a)
{
	buf_clear(&a->body);
	buf_clear(&a->line);
	a->state = ANSWER_STATUS;
	a->left = 0;
	a->chunked = false;
}

/* Takes bytes up to the line's end.  1: the line is whole, in a->line, without its end. */
static int take_line(struct answer *a, struct span *in)
{
	const uint8_t *end = memchr(in->data, '\n', in->len);
	size_t n = end ? (size_t)(end - in->data) + 1 : in->len;
	int err = buf_add(&a->line, in->data, n);

	if (err < 0)
		return err;
	*in = span_of(in->data + n, in->len - n);
	while (end && a->line.len > 0 && strchr("\r\n", a->line.data[a->line.len - 1]))
		a->line.len--;
	return end != NULL;
}

static void begin_body(struct answer *a)
{
	if (a->chunked)
		a->state = ANSWER_CHUNK_SIZE;
	else
		a->state = a->left > 0 ? ANSWER_BODY : ANSWER_COMPLETE;
}

static void on_head_line(struct answer *a, const char *line)
{
	if (!*line)
		begin_body(a);
	else if (strncasecmp(line, "content-length:", 15) == 0)
		a->left = strtoul(line + 15, NULL, 10);
	else if (strncasecmp(line, "transfer-encoding: chunked", 26) == 0)
		a->chunked = true;
}

static int on_line(struct answer *a)
{
	const char *line = buf_cstr(&a->line);

	if (!line)
		return ERR_NOMEM;
	switch (a->state) {
	case ANSWER_STATUS:
		if (sscanf(line, "HTTP/1.1 %d", &a->status) != 1)
			return ERR_MALFORMED;
		a->state = ANSWER_HEAD;
		break;
	case ANSWER_HEAD:
		on_head_line(a, line);
		break;
	case ANSWER_CHUNK_SIZE:
		a->left = strtoul(line, NULL, 16);
		a->state = a->left > 0 ? ANSWER_CHUNK : ANSWER_TRAILER;
		break;
	case ANSWER_CHUNK_END:
		a->state = ANSWER_CHUNK_SIZE;
		break;
	default:
		if (!*line)
			a->state = ANSWER_COMPLETE;
	}
	buf_clear(&a->line);
	return 0;
}

static int take_body(struct answer *a, struct span *in)
{
	size_t n = in->len < a->left ? in->len : a->left;
	int err = buf_add(&a->body, in->data, n);

	if (err < 0)
		return err;
	*in = span_of(in->data + n, in->len - n);
	a->left -= n;
	if (a->left == 0)
		a->state = a->chunked ? ANSWER_CHUNK_END : ANSWER_COMPLETE;
	return 0;
}

int answer_feed(struct answer *a, struct span in)
{
	int err = 0;

	while (err == 0 && in.len > 0) {
		if (a->state == ANSWER_COMPLETE)
			return ERR_MALFORMED;
		if (a->state == ANSWER_BODY || a->state == ANSWER_CHUNK) {
			err = take_body(a, &in);
			continue;
		}
		err = take_line(a, &in);
		if (err > 0)
			err = on_line(a);
	}
	return err;
}
