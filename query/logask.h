/*
 * logask.h - what a request for logs asks for: which records, which way, how many.
 *
 * stream, rank, start and end select the log that is looked at; level, grep, regex and attr.KEY search
 * it, and context counts records around what they find.
 */
#ifndef QUERY_LOGASK_H
#define QUERY_LOGASK_H

#include "query/literal.h"
#include "query/params.h"
#include "query/pattern.h"
#include "store/read.h"

#define LOG_CONTEXT_MAX  1000
#define LOG_TAIL_DEFAULT 10 /* where a follower without after_seq starts, as tail -f */

struct log_shape; /* logask.c */

struct log_ask {
	struct params params;   /* owned; spans below point into it */
	int64_t from_ns, to_ns; /* INT64_MIN, INT64_MAX: no bound */
	enum level least;
	bool has_rank, has_stream, has_start, has_after, has_limit, has_attrs;
	int32_t rank;
	struct span grep;                   /* empty: none, or looked for by pattern */
	struct pattern *pattern;            /* NULL: none */
	struct literals literals;           /* what its matches hold */
	struct log_shape *shape;            /* what shapes of texts match; NULL: nothing is known */
	struct log_hint hint;               /* borrows from all of these */
	uint64_t after_seq, limit, context; /* limit: UINT64_MAX where none was given */
	bool backward, follow, explain, ignore_case;
};

/* ret is to be released whatever is returned. */
int log_ask_parse(struct span query, int64_t now_ns, struct log_ask *ret, struct fault *f);

/* As that, of a request that knows only these parameters (params_check). */
int log_ask_parse_known(struct span query, const char *const *known, int64_t now_ns, struct log_ask *ret,
			struct fault *f);
void log_ask_release(struct log_ask *a);

/* What texts of records that are searched for look like; NULL: nothing is known.  Borrowed from a, which
 * stays where it is; may be used by one thread at a time. */
const struct log_hint *log_ask_hint(const struct log_ask *a);

/* Whether the record belongs to the log that is looked at. */
bool log_ask_selects(const struct log_ask *a, const struct log_record *r);

/* Whether a selected record is one that is searched for; ERR_REFUSED as pattern_match. */
int log_ask_finds(const struct log_ask *a, const struct log_record *r, bool *ret, struct fault *f);

#endif
