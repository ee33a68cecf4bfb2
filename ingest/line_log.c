/*
 * line_log.c - a line that is a log record.
 */
#include <inttypes.h>
#include <sodium/utils.h>

#include "ingest/line.h"
#include "ingest/names.h"
#include "store/base/limits.h"

/* Where the sender told none it is the one that the text tells; null says that there is none. */
static int get_level(struct lines *l, struct log_record *r)
{
	struct span text = { 0 };
	int err = line_text(l, LEVEL, &text), level;

	if (err < 0)
		return err;
	if (!line_has(l, LEVEL)) {
		r->level = l->at[LEVEL].text.len ? LEVEL_NONE : intake_level(l->in, r->text);
		return 0;
	}
	level = level_parse(text);
	if (level < 0)
		return line_refuse_type(l, LEVEL, "trace, debug, info, warn, error or fatal");
	r->level = (enum level)level;
	return 0;
}

static int get_rank(struct lines *l, int32_t *ret, enum reject *code)
{
	int64_t rank;

	if (!line_has(l, RANK))
		return 0;
	if (!json_integer(&l->at[RANK], &rank))
		return line_refuse_type(l, RANK, "an integer");
	if (rank < 0 || rank > INT32_MAX)
		*code = REJECT_LOG_RANK;
	else
		*ret = (int32_t)rank;
	return 0;
}

static int get_attrs(struct lines *l, struct log_record *r, enum reject *code)
{
	struct span at = l->at[ATTRS].text;
	struct label attrs[LOG_ATTRS_MAX], pair, *kept;
	size_t n = 0;
	int err;

	if (!line_has(l, ATTRS))
		return 0;
	if (l->at[ATTRS].kind != JSON_OBJECT)
		return line_refuse_type(l, ATTRS, "an object of strings: {\"host\":\"a1\"}");
	while ((err = line_pair(l, ATTRS, &at, &pair)) == 0)
		if (n++ < LOG_ATTRS_MAX)
			attrs[n - 1] = pair;
	if (err < 0 || n == 0)
		return err < 0 ? err : 0;
	if (!name_attributes_are_good(attrs, n)) {
		*code = REJECT_LOG_ATTRIBUTES;
		return 0;
	}
	l->in->n_attributes += n;
	if (l->in->n_attributes > REQUEST_ATTRIBUTES_MAX)
		return line_refuse(l, ERR_TOO_LARGE, "attrs",
				   "more than %d attributes in one request; split it",
				   REQUEST_ATTRIBUTES_MAX);
	kept = arena_alloc(&l->b->memory, n * sizeof(*kept));
	if (!kept)
		return ERR_NOMEM;
	memcpy(kept, attrs, n * sizeof(*kept));
	r->attrs = kept;
	r->n_attrs = n;
	return 0;
}

/* Text that JSON cannot hold comes in base64 and wins over "log", which shows what it can of it. */
static int get_exact(struct lines *l, struct span *ret)
{
	struct span coded = inside_quotes(l->at[TEXT_BASE64].text);
	size_t room = coded.len / 4 * 3 + 3, n;
	uint8_t *bytes;

	if (!line_has(l, TEXT_BASE64))
		return 0;
	if (l->at[TEXT_BASE64].kind != JSON_STRING)
		return line_refuse_type(l, TEXT_BASE64, "a string");
	bytes = arena_alloc(&l->b->memory, room);
	if (!bytes)
		return ERR_NOMEM;
	if (sodium_base642bin(bytes, room, (const char *)coded.data, coded.len, NULL, &n, NULL,
			      sodium_base64_VARIANT_ORIGINAL) != 0)
		return line_refuse_type(l, TEXT_BASE64, "base64 with its padding (RFC 4648)");
	*ret = span_of(bytes, n);
	return 0;
}

static int get_flags(struct lines *l, unsigned *ret)
{
	bool continues = false;
	int err = line_bool(l, CONTINUES, &continues);

	*ret = continues ? LOG_CONTINUES : 0;
	return err;
}

int line_log(struct lines *l)
{
	struct log_record r = { .rank = RANK_NONE };
	enum reject code = 0;
	int err;

	if (l->in->n_records >= limits.records)
		return line_refuse(l, ERR_TOO_LARGE, "logs",
				   "more than %" PRIu64 " log records in one request; split it",
				   limits.records);
	if ((err = line_text(l, LOG, &r.text)) < 0 || (err = get_exact(l, &r.text)) < 0 ||
	    (err = get_flags(l, &r.flags)) < 0 || (err = line_time(l, TIME, &r.t_ns)) < 0 ||
	    (err = get_level(l, &r)) < 0 || (err = line_text(l, STREAM, &r.stream)) < 0 ||
	    (err = get_rank(l, &r.rank, &code)) < 0 || (err = get_attrs(l, &r, &code)) < 0)
		return err;
	if (name_check(r.stream, "stream", 0, STREAM_NAME_MAX, NULL) < 0)
		code = REJECT_LOG_STREAM;
	return intake_record(l->in, &r, code);
}
