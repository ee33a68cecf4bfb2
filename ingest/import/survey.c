#include "ingest/import/survey.h"

#include <sodium/crypto_generichash.h>

#include "ingest/import/json_span.h"
#include "ingest/names.h"
#include "store/base/bytes.h"

#define PARAM_BYTES_MAX  1024
#define PARAMS_BYTES_MAX (64 * 1024)
/* Rises when the same bytes are cut into other requests (request.c): a sequence never changes. */
#define LAYOUT_VERSION "1"

/* Strings with half a surrogate pair, or bytes that are not UTF-8, cannot be sent as JSON; control
 * characters have no place in a parameter. */
static bool value_ok(struct span value, struct arena *a)
{
	struct span text;

	if (value.len == 0 || value.len > PARAM_BYTES_MAX)
		return false;
	if (value.data[0] != '"')
		return true;
	return json_unescape(span_of(value.data + 1, value.len - 2), a, &text) == 0 && name_is_clean(text);
}

static int add_param(struct buf *params, const struct line_record *r)
{
	size_t before = params->len;
	int err = buf_addf(params, "%s\"%.*s\":%.*s", before ? "," : "", (int)r->key.len,
			   (const char *)r->key.data, (int)r->value.len, (const char *)r->value.data);

	return err;
}

static int take_params(struct survey *v, const struct import_format *format, struct line_facts *facts,
		       uint64_t *seen)
{
	for (size_t i = 0; i < facts->n; i++) {
		const struct line_record *r = &facts->records[i];
		int which = format->parameter(r->key), err;

		if (which < 0 || *seen >> which & 1 || !value_ok(r->value, &facts->names))
			continue;
		err = add_param(&v->params, r);
		if (err < 0)
			return err;
		*seen |= UINT64_C(1) << which;
	}
	return 0;
}

int survey_file(struct line_file *s, const struct import_format *format, struct progress *p,
		struct survey *ret, struct fault *f)
{
	struct survey v = { 0 };
	crypto_generichash_state hash;
	struct line_facts facts;
	struct span line;
	uint64_t seen = 0;
	int err;

	buf_init(&v.params, PARAMS_BYTES_MAX);
	line_facts_init(&facts);
	crypto_generichash_init(&hash, NULL, 0, sizeof(v.digest));
	while ((err = line_file_next(s, &line, f)) == 0) {
		crypto_generichash_update(&hash, line.data, line.len);
		if ((err = format->parse_line(line, &facts)) < 0 ||
		    (err = take_params(&v, format, &facts, &seen)) < 0)
			break;
		if (facts.has_time && !v.has_time) {
			v.has_time = true;
			v.first_ns = facts.t_ns;
		}
		v.lines++;
		v.bytes += line.len;
		progress_show(p, line_file_done(s), line_file_size(s));
	}
	line_facts_release(&facts);
	if (err < 0) {
		survey_release(&v);
		return fault_default(f, err);
	}
	crypto_generichash_final(&hash, v.digest, sizeof(v.digest));
	*ret = v;
	return 0;
}

void survey_release(struct survey *v) { buf_release(&v->params); }

/* With its length, so that no two lists of parts give the same bytes. */
static void hash_text(crypto_generichash_state *hash, const char *s)
{
	uint8_t n[8];

	put_le64(n, strlen(s));
	crypto_generichash_update(hash, n, sizeof(n));
	crypto_generichash_update(hash, (const uint8_t *)s, strlen(s));
}

void survey_producer(const struct survey *v, const struct import_format *format, const char *run,
		     const char *start_option, uint8_t ret[PRODUCER_ID_BYTES])
{
	crypto_generichash_state hash;

	crypto_generichash_init(&hash, NULL, 0, PRODUCER_ID_BYTES);
	hash_text(&hash, LAYOUT_VERSION);
	hash_text(&hash, format->name);
	hash_text(&hash, format->version);
	hash_text(&hash, run);
	hash_text(&hash, start_option ? start_option : "");
	crypto_generichash_update(&hash, v->digest, sizeof(v->digest));
	crypto_generichash_final(&hash, ret, PRODUCER_ID_BYTES);
}
