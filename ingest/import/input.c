#include "ingest/import/input.h"

#include <sodium/crypto_generichash.h>
#include <stdlib.h>
#include <xxhash.h>

#include "ingest/import/packed_file.h"
#include "store/model.h"

struct input {
	struct packed_file *file;
	struct progress *progress;
	const struct input_content *before;
	crypto_generichash_state hash; /* first walk only: it costs as much as all the rest */
	XXH3_state_t *quick;
	uint64_t bytes; /* unpacked so far, as far as they count */
	bool at_end;
	struct buf text; /* unpacked, not passed over yet */
	size_t pos;      /* where the reader stands in it */
};

int input_open(const char *path, const struct input_content *before, struct progress *p, struct input **ret,
	       struct fault *f)
{
	struct input *in = calloc(1, sizeof(*in));
	int err;

	if (!in)
		return fault_default(f, ERR_NOMEM);
	in->progress = p;
	in->before = before;
	buf_init(&in->text, INPUT_PEEK_MAX + PACKED_FILE_STEP);
	crypto_generichash_init(&in->hash, NULL, 0, INPUT_DIGEST_BYTES);
	in->quick = XXH3_createState();
	if (!in->quick || XXH3_128bits_reset(in->quick) != XXH_OK)
		err = fault_default(f, ERR_NOMEM);
	else
		err = packed_file_open(path, &in->file, f);
	if (err < 0) {
		input_free(in);
		return err;
	}
	*ret = in;
	return 0;
}

void input_free(struct input *in)
{
	if (!in)
		return;
	packed_file_free(in->file);
	XXH3_freeState(in->quick);
	buf_release(&in->text);
	free(in);
}

/* Unpacks some more; nothing more comes once at_end is set. */
static int refill(struct input *in, struct fault *f)
{
	size_t old, n;
	int err;

	buf_consume(&in->text, in->pos);
	in->pos = 0;
	old = in->text.len;
	err = packed_file_read(in->file, &in->text, f);
	if (err < 0)
		return err;
	in->at_end = err == 1;
	n = in->text.len - old;
	if (in->before && n >= in->before->bytes - in->bytes) {
		n = (size_t)(in->before->bytes - in->bytes);
		in->text.len = old + n;
		in->at_end = true;
	}
	in->bytes += n;
	if (!in->before)
		crypto_generichash_update(&in->hash, in->text.data + old, n);
	XXH3_128bits_update(in->quick, in->text.data + old, n);
	progress_show(in->progress, packed_file_done(in->file));
	return 0;
}

int input_line(struct input *in, struct span *ret, struct fault *f)
{
	size_t looked = 0;

	for (;;) {
		const uint8_t *start = in->text.data + in->pos, *end;
		size_t left = in->text.len - in->pos, len;
		int err;

		end = left > looked ? memchr(start + looked, '\n', left - looked) : NULL;
		len = end ? (size_t)(end - start) + 1 : left;
		if (len > LOG_TEXT_MAX)
			len = LOG_TEXT_MAX;
		if (end || len == LOG_TEXT_MAX || (in->at_end && left > 0)) {
			*ret = span_of(start, len);
			in->pos += len;
			return 0;
		}
		if (in->at_end)
			return 1;
		looked = left;
		err = refill(in, f);
		if (err < 0)
			return err;
	}
}

int input_peek(struct input *in, size_t n, struct span *ret, struct fault *f)
{
	while (in->text.len - in->pos < n && !in->at_end) {
		int err = refill(in, f);

		if (err < 0)
			return err;
	}
	if (n > in->text.len - in->pos)
		n = in->text.len - in->pos;
	*ret = span_of(in->text.data + in->pos, n);
	return 0;
}

void input_skip(struct input *in, size_t n) { in->pos += n; }

static int changed(struct fault *f)
{
	return fault_set(
	    f, ERR_CONFLICT, "file",
	    "the file changed while it was imported, and what is sent is no whole file: remove the "
	    "run, and import again when nothing writes to the file");
}

int input_finish(struct input *in, struct input_content *ret, struct fault *f)
{
	XXH128_hash_t quick;

	while (!in->at_end) {
		int err;

		in->pos = in->text.len;
		err = refill(in, f);
		if (err < 0)
			return err;
	}
	quick = XXH3_128bits_digest(in->quick);
	if (in->before)
		return in->bytes == in->before->bytes && quick.low64 == in->before->quick[0] &&
			       quick.high64 == in->before->quick[1]
			   ? 0
			   : changed(f);
	ret->bytes = in->bytes;
	ret->quick[0] = quick.low64;
	ret->quick[1] = quick.high64;
	crypto_generichash_final(&in->hash, ret->digest, sizeof(ret->digest));
	return 0;
}
