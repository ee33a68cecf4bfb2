/*
 * input.h - what a format reads from: the unpacked bytes of one file, whole or by lines.
 *
 * A file is walked twice.  The second walk ends where the first one did, whatever was appended
 * since, and is compared with it.  Memory is bounded by what a reader asks to see at once.
 * Spans are borrowed until the next call.  One thread.
 */
#ifndef INGEST_IMPORT_INPUT_H
#define INGEST_IMPORT_INPUT_H

#include "store/base/buf.h"
#include "store/base/progress.h"

#define INPUT_DIGEST_BYTES 32

struct input;

/* What one walk saw. */
struct input_content {
	uint64_t bytes;
	uint8_t digest[INPUT_DIGEST_BYTES]; /* BLAKE2b */
	uint64_t quick[2];                  /* XXH3: for comparing with a second walk */
};

/* before: what a walk before saw, NULL: this is the first one.  The path is borrowed until
 * input_free.  Errors of packed_file_open. */
int input_open(const char *path, const struct input_content *before, struct progress *p, struct input **ret,
	       struct fault *f);
void input_free(struct input *in); /* NULL is fine */

/* ---- for readers ---- */

/* The next line with its end, which is \n; one over LOG_TEXT_MAX comes in pieces of that size.
 * 1: no more.  ERR_MALFORMED: damaged or cut short; ERR_IO. */
int input_line(struct input *in, struct span *ret, struct fault *f);

/* The next n bytes, or as many as there are left, without passing over them; n is at most
 * INPUT_PEEK_MAX.  A reader of a whole document asks for that. */
#define INPUT_PEEK_MAX (256u << 20)
int input_peek(struct input *in, size_t n, struct span *ret, struct fault *f);

/* Passes over n bytes that were peeked at. */
void input_skip(struct input *in, size_t n);

/* ---- for the importer ---- */

/* Reads what the reader left, to the end.  In a first walk *ret is what it saw; in a second one
 * it may be NULL, and ERR_CONFLICT tells that the file changed. */
int input_finish(struct input *in, struct input_content *ret, struct fault *f);

#endif
