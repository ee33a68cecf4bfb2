#include "store/registry/producer.h"

#include <assert.h>
#include <stdlib.h>

#include "store/base/bytes.h"

#define RECENT_BYTES    32
#define REJECTION_BYTES 11
#define KEY_BYTES       (4 + PRODUCER_ID_BYTES)

static bool applied(const struct producer *p, uint64_t sequence)
{
	return sequence <= p->contig ||
	       (sequence - p->contig <= PRODUCER_WINDOW && (p->ahead >> (sequence - p->contig - 1) & 1));
}

const struct producer_request *producer_recall(const struct producer *p, uint64_t sequence)
{
	for (size_t i = p->n_recent; i > 0; i--)
		if (p->recent[i - 1].sequence == sequence)
			return &p->recent[i - 1];
	return NULL;
}

enum producer_verdict producer_decide(const struct producer *p, uint64_t sequence, uint64_t hash)
{
	const struct producer_request *known;

	if (!applied(p, sequence))
		return sequence - p->contig > PRODUCER_WINDOW ? PRODUCER_AHEAD : PRODUCER_NEW;
	known = producer_recall(p, sequence);
	return known && known->hash != hash ? PRODUCER_CONFLICT : PRODUCER_DUPLICATE;
}

void producer_apply(struct producer *p, const struct producer_request *rq)
{
	assert(producer_decide(p, rq->sequence, rq->hash) == PRODUCER_NEW);
	p->ahead |= 1ULL << (rq->sequence - p->contig - 1);
	while (p->ahead & 1) {
		p->ahead >>= 1;
		p->contig++;
	}
	if (p->n_recent == PRODUCER_WINDOW) {
		memmove(p->recent, p->recent + 1, sizeof(p->recent) - sizeof(*p->recent));
		p->n_recent--;
	}
	p->recent[p->n_recent++] = *rq;
}

static struct span key_of(uint32_t rid, const uint8_t *id, uint8_t *ret)
{
	put_be32(ret, rid);
	memcpy(ret + 4, id, PRODUCER_ID_BYTES);
	return span_of(ret, KEY_BYTES);
}

int producer_get(struct kv_txn *t, uint32_t rid, const uint8_t *id, struct producer *ret)
{
	uint8_t key[KEY_BYTES];
	struct producer p = { 0 };
	struct reader r;
	struct stored s;
	int err = stored_get(t, KV_PRODUCER, KIND_PRODUCER, key_of(rid, id, key), &s);

	if (err == 0) {
		r = reader_of(s.body);
		p.contig = read_le64(&r);
		p.ahead = read_le64(&r);
		for (; reader_left(&r) > 0 && p.n_recent < PRODUCER_WINDOW; p.n_recent++) {
			struct producer_request *rq = &p.recent[p.n_recent];

			rq->sequence = read_le64(&r);
			rq->hash = read_le64(&r);
			rq->first_seq = read_le64(&r);
			rq->n_logs = read_le32(&r);
			rq->n_rejected = read_le32(&r);
		}
		err = r.bad || reader_left(&r) > 0 ? ERR_CORRUPT : 0;
	}
	if (err == 0 || err == ERR_NOT_FOUND)
		*ret = p;
	return err == ERR_NOT_FOUND ? 0 : err;
}

int producer_put(struct kv_txn *t, uint32_t rid, const uint8_t *id, const struct producer *p)
{
	uint8_t key[KEY_BYTES], body[16 + PRODUCER_WINDOW * RECENT_BYTES], *b = body + 16;

	put_le64(body, p->contig);
	put_le64(body + 8, p->ahead);
	for (size_t i = 0; i < p->n_recent; i++, b += RECENT_BYTES) {
		put_le64(b, p->recent[i].sequence);
		put_le64(b + 8, p->recent[i].hash);
		put_le64(b + 16, p->recent[i].first_seq);
		put_le32(b + 24, p->recent[i].n_logs);
		put_le32(b + 28, p->recent[i].n_rejected);
	}
	return stored_put(t, KV_PRODUCER, KIND_PRODUCER, key_of(rid, id, key),
			  span_of(body, (size_t)(b - body)));
}

/* ---- rejections ---- */

int rejections_encode(const struct rejection *rejected, size_t n, struct buf *out)
{
	int err = buf_reserve(out, n * REJECTION_BYTES);

	for (size_t i = 0; err == 0 && i < n; i++) {
		uint8_t b[REJECTION_BYTES];

		b[0] = rejected[i].kind;
		put_le16(b + 1, rejected[i].code);
		put_le64(b + 3, rejected[i].index);
		err = buf_add(out, b, sizeof(b));
	}
	return err;
}

int rejections_decode(struct span s, struct rejection **ret, size_t *ret_n)
{
	size_t n = s.len / REJECTION_BYTES;
	struct rejection *r = NULL;

	if (s.len % REJECTION_BYTES != 0)
		return ERR_CORRUPT;
	if (n > 0 && !(r = calloc(n, sizeof(*r))))
		return ERR_NOMEM;
	for (size_t i = 0; i < n; i++) {
		const uint8_t *b = s.data + i * REJECTION_BYTES;

		r[i] = (struct rejection){ .kind = b[0], .code = get_le16(b + 1), .index = get_le64(b + 3) };
	}
	*ret = r;
	*ret_n = n;
	return 0;
}

static struct span reject_key(uint32_t rid, const uint8_t *id, uint64_t sequence, uint8_t *ret)
{
	key_of(rid, id, ret);
	put_be64(ret + KEY_BYTES, sequence);
	return span_of(ret, KEY_BYTES + 8);
}

int producer_put_rejected(struct kv_txn *t, uint32_t rid, const uint8_t *id, uint64_t sequence,
			  const struct rejection *rejected, size_t n)
{
	uint8_t key[KEY_BYTES + 8];
	struct buf body;
	int err;

	buf_init(&body, n * REJECTION_BYTES + 64);
	err = rejections_encode(rejected, n, &body);
	if (err == 0)
		err = stored_put(t, KV_REJECT, KIND_REJECT, reject_key(rid, id, sequence, key),
				 buf_span(&body));
	buf_release(&body);
	return err;
}

int producer_get_rejected(struct kv_txn *t, uint32_t rid, const uint8_t *id, uint64_t sequence,
			  struct rejection **ret, size_t *ret_n)
{
	uint8_t key[KEY_BYTES + 8];
	struct stored s;
	int err = stored_get(t, KV_REJECT, KIND_REJECT, reject_key(rid, id, sequence, key), &s);

	if (err == ERR_NOT_FOUND) {
		*ret = NULL;
		*ret_n = 0;
		return 0;
	}
	return err < 0 ? err : rejections_decode(s.body, ret, ret_n);
}
