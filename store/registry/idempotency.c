#include "store/registry/idempotency.h"

#include <sodium.h>

#include "store/base/bytes.h"
#include "store/registry/producer.h"

#define HASH_BYTES  16
#define FIXED_BYTES 36

static struct span hash_key(const char *project, struct span key, uint8_t *ret)
{
	crypto_generichash_state h;

	crypto_generichash_init(&h, NULL, 0, HASH_BYTES);
	crypto_generichash_update(&h, (const uint8_t *)project, strlen(project) + 1);
	crypto_generichash_update(&h, key.data, key.len);
	crypto_generichash_final(&h, ret, HASH_BYTES);
	return span_of(ret, HASH_BYTES);
}

int idempotency_get(struct kv_txn *t, const char *project, struct span key, int64_t now_ns,
		    struct idempotent *ret)
{
	uint8_t hash[HASH_BYTES];
	struct idempotent a = { 0 };
	struct stored s;
	struct reader r;
	int err = stored_get(t, KV_IDEM, KIND_IDEM, hash_key(project, key, hash), &s);

	if (err < 0)
		return err;
	r = reader_of(s.body);
	a.created_ns = (int64_t)read_le64(&r);
	a.content_hash = read_le64(&r);
	a.rid = read_le32(&r);
	a.first_seq = read_le64(&r);
	a.last_seq = read_le64(&r);
	if (r.bad)
		return ERR_CORRUPT;
	if (now_ns - a.created_ns > IDEMPOTENCY_KEEP_NS)
		return ERR_NOT_FOUND;
	a.outcome = read_lenspan(&r);
	if (r.bad)
		return ERR_CORRUPT;
	err = rejections_decode(read_bytes(&r, reader_left(&r)), &a.rejected, &a.n_rejected);
	if (err == 0)
		*ret = a;
	return err;
}

static struct span age_key(int64_t created_ns, struct span hash, uint8_t *ret)
{
	put_be64i(ret, created_ns);
	memcpy(ret + 8, hash.data, HASH_BYTES);
	return span_of(ret, 8 + HASH_BYTES);
}

int idempotency_put(struct kv_txn *t, const char *project, struct span key, const struct idempotent *a)
{
	uint8_t hash[HASH_BYTES], age[8 + HASH_BYTES], fixed[FIXED_BYTES];
	struct span hk = hash_key(project, key, hash);
	struct buf body;
	int err;

	put_le64(fixed, (uint64_t)a->created_ns);
	put_le64(fixed + 8, a->content_hash);
	put_le32(fixed + 16, a->rid);
	put_le64(fixed + 20, a->first_seq);
	put_le64(fixed + 28, a->last_seq);
	buf_init(&body, FIXED_BYTES + 64 + a->outcome.len + a->n_rejected * 16);
	err = buf_add(&body, fixed, sizeof(fixed));
	if (err == 0)
		err = buf_add_varint(&body, a->outcome.len);
	if (err == 0)
		err = buf_add(&body, a->outcome.data, a->outcome.len);
	if (err == 0)
		err = rejections_encode(a->rejected, a->n_rejected, &body);
	if (err == 0)
		err = stored_put(t, KV_IDEM, KIND_IDEM, hk, buf_span(&body));
	if (err == 0)
		err = stored_put(t, KV_IDEMAGE, KIND_IDEM, age_key(a->created_ns, hk, age), span_of(NULL, 0));
	buf_release(&body);
	return err;
}

int idempotency_conflict(struct span key, struct fault *f)
{
	return fault_set(f, ERR_CONFLICT, "Idempotency-Key",
			 "Idempotency-Key \"%.*s\" was used within 24 h with another request; use a new key",
			 (int)key.len, (const char *)key.data);
}

int idempotency_check_room(struct kv_txn *t, struct fault *f)
{
	if (kv_entries(t, KV_IDEM) < IDEMPOTENCY_KEYS_MAX)
		return 0;
	return fault_set(
	    f, ERR_BUSY, "Idempotency-Key",
	    "%d Idempotency-Keys of the last 24 h are kept, and no more can be; send a producer and "
	    "sequence instead, or retry later",
	    IDEMPOTENCY_KEYS_MAX);
}

/* A key used again after its time has a newer row: only the age entry goes then. */
static int forget(struct kv_txn *t, struct kv_cursor *c, struct span age)
{
	uint8_t hash[HASH_BYTES];
	int64_t created = get_be64i(age.data);
	struct span hk = span_of(hash, HASH_BYTES);
	struct stored s;
	int err;

	memcpy(hash, age.data + 8, HASH_BYTES);
	err = kv_cursor_del(c);
	if (err == 0)
		err = stored_get(t, KV_IDEM, KIND_IDEM, hk, &s);
	if (err == 0 && s.body.len >= 8 && (int64_t)get_le64(s.body.data) == created)
		err = kv_del(t, KV_IDEM, hk);
	return err == ERR_NOT_FOUND ? 0 : err;
}

int idempotency_expire(struct kv_txn *t, int64_t now_ns, size_t max)
{
	struct kv_cursor *c;
	struct span key, value;
	int err = kv_cursor_open(t, KV_IDEMAGE, &c);

	if (err < 0)
		return err;
	for (size_t n = 0; err == 0 && n < max; n++) {
		err = kv_first(c, &key, &value);
		if (err == 0 && key.len != 8 + HASH_BYTES)
			err = ERR_CORRUPT;
		if (err < 0 || now_ns - get_be64i(key.data) <= IDEMPOTENCY_KEEP_NS)
			break;
		err = forget(t, c, key);
	}
	kv_cursor_close(c);
	return err == ERR_NOT_FOUND ? 0 : err;
}
