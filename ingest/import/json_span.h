/*
 * json_span.h - JSON values where they lie in a line: no copy, no tree, numbers as written.
 *
 * RFC 8259, and the bare words NaN, Infinity and -Infinity that Python's json writes.  Strict
 * otherwise, so that output of several ranks that ran into each other is not taken for a record;
 * json-c would accept single quotes and comments, and it saturates long integers and loses the
 * sign of -0.  Bytes over 0x7f in strings are not looked at.  Nesting over JSON_DEPTH_MAX is
 * malformed.  Spans point into the text given.  Any thread.
 */
#ifndef INGEST_IMPORT_JSON_SPAN_H
#define INGEST_IMPORT_JSON_SPAN_H

#include "store/base/arena.h"
#include "store/base/buf.h"

#define JSON_DEPTH_MAX 64

enum json_kind {
	JSON_NONE, /* a zeroed value: not there */
	JSON_OBJECT,
	JSON_ARRAY,
	JSON_STRING,
	JSON_NUMBER,
	JSON_WORD,      /* true, false, null */
	JSON_NON_FINITE /* NaN, Infinity, -Infinity: not JSON, but a number */
};

struct json_value {
	enum json_kind kind;
	struct span text; /* the whole of it, quotes and braces included */
};

/* The value that s begins with, after white space; what follows it is not looked at.
 * ERR_MALFORMED. */
int json_scan(struct span s, struct json_value *ret);

/* Members of an object that json_scan found.  Start with *at = the object's text; false at the
 * end.  *ret_name is the inside of the quotes, escapes as written. */
bool json_member(struct span *at, struct span *ret_name, struct json_value *ret_value);

/* Elements of an array that json_scan found, in the same way. */
bool json_element(struct span *at, struct json_value *ret);

/* The inside of quotes with escapes resolved: `quoted` itself where it has none, else from the
 * arena.  A lone surrogate becomes the three bytes UTF-8 would give it, which are not UTF-8.
 * ERR_FULL: the arena is. */
int json_unescape(struct span quoted, struct arena *a, struct span *ret);

/* Whether the number (JSON_NUMBER) is written without fraction and exponent and fits. */
bool json_integer(const struct json_value *v, int64_t *ret);

#endif
