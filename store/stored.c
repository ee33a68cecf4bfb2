#include "store/stored.h"

#include "store/base/bytes.h"
#include "store/base/checksum.h"

static uint32_t checksum(const uint8_t *header, struct span key, struct span body)
{
	uint32_t crc = crc32c(header, STORED_HEADER_BYTES - 4);

	crc = crc32c_extend(crc, key.data, key.len);
	return crc32c_extend(crc, body.data, body.len);
}

int stored_open(struct span key, struct span value, enum kind kind, struct stored *ret)
{
	struct span body;

	if (value.len < STORED_HEADER_BYTES)
		return ERR_CORRUPT;
	body = span_of(value.data + STORED_HEADER_BYTES, value.len - STORED_HEADER_BYTES);
	if (get_le32(value.data + 12) != checksum(value.data, key, body))
		return ERR_CORRUPT;
	return stored_peek(value, kind, ret);
}

int stored_peek(struct span value, enum kind kind, struct stored *ret)
{
	if (value.len < STORED_HEADER_BYTES || value.data[0] != STORED_MAGIC || value.data[1] != kind)
		return ERR_CORRUPT;
	if (value.data[2] > FORMAT_MAJOR)
		return ERR_VERSION;
	if (value.data[3] > (kind == KIND_LOG ? CODEC_SEALED : CODEC_ZSTD))
		return ERR_CORRUPT;
	*ret = (struct stored){
		.codec = (enum codec)value.data[3],
		.count = get_le32(value.data + 4),
		.raw_len = get_le32(value.data + 8),
		.body = span_of(value.data + STORED_HEADER_BYTES, value.len - STORED_HEADER_BYTES),
	};
	return 0;
}

void stored_seal(uint8_t *header, enum kind kind, enum codec codec, uint32_t count, uint32_t raw_len,
		 struct span key, size_t body_len)
{
	header[0] = STORED_MAGIC;
	header[1] = (uint8_t)kind;
	header[2] = FORMAT_MAJOR;
	header[3] = (uint8_t)codec;
	put_le32(header + 4, count);
	put_le32(header + 8, raw_len);
	put_le32(header + 12, checksum(header, key, span_of(header + STORED_HEADER_BYTES, body_len)));
}

int stored_put_as(struct kv_txn *t, enum kv_db db, enum kind kind, struct span key, struct stored s,
		  bool append)
{
	uint8_t *p;
	int err = kv_reserve(t, db, key, STORED_HEADER_BYTES + s.body.len, append, &p);

	if (err < 0)
		return err;
	if (s.body.len)
		memcpy(p + STORED_HEADER_BYTES, s.body.data, s.body.len);
	stored_seal(p, kind, s.codec, s.count, s.raw_len, key, s.body.len);
	return 0;
}

int stored_put(struct kv_txn *t, enum kv_db db, enum kind kind, struct span key, struct span body)
{
	struct stored s = { .raw_len = (uint32_t)body.len, .body = body };

	return stored_put_as(t, db, kind, key, s, false);
}

int stored_get(struct kv_txn *t, enum kv_db db, enum kind kind, struct span key, struct stored *ret)
{
	struct span value;
	int err = kv_get(t, db, key, &value);

	return err < 0 ? err : stored_open(key, value, kind, ret);
}

int stored_newest(struct kv_txn *t, const char *of, uint64_t *ret)
{
	struct stored s;
	int err = stored_get(t, KV_META, KIND_STATE, span_str(of), &s);

	if (err == ERR_NOT_FOUND)
		*ret = 0;
	else if (err == 0 && s.body.len == 8)
		*ret = get_le64(s.body.data);
	else
		return err < 0 ? err : ERR_CORRUPT;
	return 0;
}

int stored_newest_raise(struct kv_txn *t, const char *of, uint64_t number)
{
	uint8_t body[8];
	uint64_t before;
	int err = stored_newest(t, of, &before);

	if (err < 0 || before >= number)
		return err;
	put_le64(body, number);
	return stored_put(t, KV_META, KIND_STATE, span_str(of), span_of(body, sizeof(body)));
}
