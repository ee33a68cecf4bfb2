#include "store/base/compress.h"

#include <pthread.h>
#include <stdlib.h>
#include <zstd.h>

struct contexts {
	ZSTD_CCtx *c;
	ZSTD_DCtx *d;
};

static pthread_key_t contexts_key;
static pthread_once_t contexts_once = PTHREAD_ONCE_INIT;

static void contexts_free(void *arg)
{
	struct contexts *x = arg;

	ZSTD_freeCCtx(x->c);
	ZSTD_freeDCtx(x->d);
	free(x);
}

static void contexts_make_key(void) { pthread_key_create(&contexts_key, contexts_free); }

static struct contexts *contexts_get(void)
{
	struct contexts *x;

	pthread_once(&contexts_once, contexts_make_key);
	x = pthread_getspecific(contexts_key);
	if (x)
		return x;
	x = calloc(1, sizeof(*x));
	if (!x)
		return NULL;
	x->c = ZSTD_createCCtx();
	x->d = ZSTD_createDCtx();
	if (!x->c || !x->d || pthread_setspecific(contexts_key, x) != 0) {
		contexts_free(x);
		return NULL;
	}
	ZSTD_CCtx_setParameter(x->c, ZSTD_c_contentSizeFlag, 0);
	ZSTD_CCtx_setParameter(x->c, ZSTD_c_dictIDFlag, 0);
	return x;
}

int compress_block(struct span raw, int level, struct buf *out)
{
	struct contexts *x = contexts_get();
	size_t bound = ZSTD_compressBound(raw.len), n;
	int err;

	if (!x)
		return ERR_NOMEM;
	if (bound > out->max - out->len)
		bound = out->max - out->len;
	err = buf_reserve(out, bound);
	if (err < 0)
		return err;
	ZSTD_CCtx_setParameter(x->c, ZSTD_c_compressionLevel, level);
	n = ZSTD_compress2(x->c, out->data + out->len, bound, raw.data, raw.len);
	if (ZSTD_isError(n))
		return ERR_FULL;
	out->len += n;
	return 0;
}

int decompress_block(struct span packed, void *raw, size_t raw_len)
{
	struct contexts *x = contexts_get();
	size_t n;

	if (!x)
		return ERR_NOMEM;
	n = ZSTD_decompressDCtx(x->d, raw, raw_len, packed.data, packed.len);
	return ZSTD_isError(n) || n != raw_len ? ERR_CORRUPT : 0;
}

struct decompressor {
	ZSTD_DCtx *d;
	bool at_end;
};

int decompressor_new(size_t window_max_bytes, struct decompressor **ret)
{
	struct decompressor *d = calloc(1, sizeof(*d));

	if (!d)
		return ERR_NOMEM;
	d->d = ZSTD_createDCtx();
	if (!d->d) {
		free(d);
		return ERR_NOMEM;
	}
	ZSTD_DCtx_setParameter(d->d, ZSTD_d_windowLogMax, 63 - __builtin_clzll(window_max_bytes));
	*ret = d;
	return 0;
}

void decompressor_free(struct decompressor *d)
{
	if (!d)
		return;
	ZSTD_freeDCtx(d->d);
	free(d);
}

void decompressor_reset(struct decompressor *d)
{
	ZSTD_DCtx_reset(d->d, ZSTD_reset_session_only);
	d->at_end = false;
}

int decompressor_feed(struct decompressor *d, struct span in, struct buf *out)
{
	ZSTD_inBuffer src = { in.data, in.len, 0 };
	bool more = in.len > 0;

	while (more) {
		ZSTD_outBuffer dst;
		uint8_t probe[1]; /* lets a stream that ends exactly at the cap finish */
		bool room = out->len < out->max;
		size_t n;
		int err = 0;

		if (room && out->len == out->cap)
			err = buf_reserve(out, out->max - out->len < ZSTD_DStreamOutSize()
						   ? out->max - out->len
						   : ZSTD_DStreamOutSize());
		if (err < 0)
			return err;
		dst = room ? (ZSTD_outBuffer){ out->data, out->cap, out->len }
			   : (ZSTD_outBuffer){ probe, 1, 0 };
		n = ZSTD_decompressStream(d->d, &dst, &src);
		if (ZSTD_isError(n))
			return ERR_MALFORMED;
		if (!room && dst.pos > 0)
			return ERR_FULL;
		if (room)
			out->len = dst.pos;
		d->at_end = n == 0;
		more = src.pos < src.size || (dst.pos == dst.size && n != 0);
	}
	return 0;
}

bool decompressor_at_end(const struct decompressor *d) { return d->at_end; }
