#include "query/pattern.h"

#include <stdlib.h>

#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>

#include "store/base/clock.h"

struct pattern {
	pcre2_code *code;
	pcre2_match_data *data;
	pcre2_match_context *context;
	int64_t spent_ns;
};

static pcre2_code *compile(struct span text, struct fault *f)
{
	PCRE2_UCHAR8 why[160];
	PCRE2_SIZE at;
	pcre2_code *code;
	int number;

	code =
	    pcre2_compile(text.data, text.len, PCRE2_UTF | PCRE2_MATCH_INVALID_UTF | PCRE2_NEVER_BACKSLASH_C,
			  &number, &at, NULL);
	if (code)
		return code;
	pcre2_get_error_message(number, why, sizeof why);
	fault_set(f, ERR_REFUSED, "regex", "regex does not compile: %s, at position %zu of \"%.*s\"",
		  (char *)why, at, (int)(text.len < 200 ? text.len : 200), (const char *)text.data);
	return NULL;
}

int pattern_new(struct span text, struct pattern **ret, struct fault *f)
{
	struct pattern *p;

	if (text.len > PATTERN_BYTES_MAX)
		return fault_set(f, ERR_REFUSED, "regex", "regex has %zu bytes; at most %d are taken",
				 text.len, PATTERN_BYTES_MAX);
	p = calloc(1, sizeof *p);
	if (!p)
		return fault_default(f, ERR_NOMEM);
	p->code = compile(text, f);
	if (!p->code) {
		pattern_free(p);
		return ERR_REFUSED;
	}
	pcre2_jit_compile(p->code, PCRE2_JIT_COMPLETE); /* only speed: without it the interpreter runs */
	p->data = pcre2_match_data_create(1, NULL);
	p->context = pcre2_match_context_create(NULL);
	if (!p->data || !p->context) {
		pattern_free(p);
		return fault_default(f, ERR_NOMEM);
	}
	pattern_limit(p, PATTERN_MATCH_STEPS_MAX);
	*ret = p;
	return 0;
}

void pattern_free(struct pattern *p)
{
	if (!p)
		return;
	pcre2_match_context_free(p->context);
	pcre2_match_data_free(p->data);
	pcre2_code_free(p->code);
	free(p);
}

void pattern_limit(struct pattern *p, uint32_t steps_max) { pcre2_set_match_limit(p->context, steps_max); }

int pattern_match(struct pattern *p, struct span text, bool *ret, struct fault *f)
{
	int64_t from = clock_rough_ns();
	int got;

	if (p->spent_ns > PATTERN_SPENT_MAX_NS)
		return fault_set(f, ERR_REFUSED, "regex",
				 "regex has used up its %d s of searching; ask for a shorter "
				 "range, or add grep= with a part that must be there",
				 (int)(PATTERN_SPENT_MAX_NS / NS_PER_S));
	if (text.len > 0 && text.data[text.len - 1] == '\n')
		text.len--;
	if (text.len > 0 && text.data[text.len - 1] == '\r')
		text.len--;
	got = pcre2_match(p->code, text.data ? text.data : (const uint8_t *)"", text.len, 0, 0, p->data,
			  p->context);
	p->spent_ns += clock_rough_ns() - from;
	if (got < 0 && got != PCRE2_ERROR_NOMATCH)
		return fault_set(
		    f, ERR_REFUSED, "regex",
		    "regex takes more than %d steps on a text of %zu bytes and was "
		    "stopped: it backtracks too much; avoid repeats inside repeats, such as (a+)+",
		    PATTERN_MATCH_STEPS_MAX, text.len);
	*ret = got >= 0;
	return 0;
}
