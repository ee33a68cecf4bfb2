/*
 * line.h - one JSON line of a request while it is read: its members, and sentences that name its number.
 * Inside ingest/ only: ndjson.c reads lines, and what they say is read by line_*.c.
 */
#ifndef INGEST_LINE_H
#define INGEST_LINE_H

#include "ingest/import/json_span.h"
#include "ingest/intake.h"

/* What goes together lies together. */
enum member {
	METRIC,
	VALUE,
	STEP,
	BUCKET,
	UNIT,
	LABELS,
	TIME,
	LOG,
	TEXT_BASE64,
	CONTINUES,
	LEVEL,
	STREAM,
	RANK,
	ATTRS,
	PRODUCER,
	IMPORTED,
	STATE,
	EXIT_CODE,
	ENDED_AT,
	MEMBERS
};

extern const char *const member_names[MEMBERS];

struct lines {
	struct intake *in;
	struct batch *b;
	size_t number; /* of the line, from 1 */
	size_t taken;  /* lines that said something */
	size_t series_cap;
	bool has_steps;
	struct json_value at[MEMBERS]; /* of the line; kind JSON_NONE: not there, or null */
};

static inline bool line_has(const struct lines *l, enum member m) { return l->at[m].kind != JSON_NONE; }

static inline struct span inside_quotes(struct span text) { return span_of(text.data + 1, text.len - 2); }

/* The sentence gets the line's number. */
int line_refuse(struct lines *l, int err, const char *field, const char *format, ...)
    __attribute__((format(printf, 4, 5)));
int line_refuse_type(struct lines *l, enum member m, const char *wanted);

/* Members; outputs are untouched where the member is not there, but a time is then that of receipt. */
int line_text(struct lines *l, enum member m, struct span *ret);
int line_bool(struct lines *l, enum member m, bool *ret);
int line_time(struct lines *l, enum member m, int64_t *ret);

/* One after another, the pairs of an object of strings; 0, 1: no more. */
int line_pair(struct lines *l, enum member m, struct span *at, struct label *ret);

int line_log(struct lines *l);     /* line_log.c: a log record */
int line_request(struct lines *l); /* line_request.c: what the first line says of the request */

#endif
