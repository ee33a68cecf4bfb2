/*
 * jsontext.h - RFC 8259 taken at its word, and the members of an object as they were written.
 *
 * The JSON library is more lenient than the standard (single quotes, NaN, raw control characters,
 * numbers that do not fit, the same key twice) and a spec is kept as its author wrote it; so text
 * from outside is checked here first, and members are cut out of it as text.  Pure.
 */
#ifndef QUERY_JSONTEXT_H
#define QUERY_JSONTEXT_H

#include "store/base/buf.h"

struct json_object;

#define JSON_DEPTH_MAX 32

/* ERR_MALFORMED, with the byte at which it went wrong in the sentence.  Keys of one object must
 * differ when JSON_KEYS_MAX or fewer are in it; more are refused.  Strings must be UTF-8 and may
 * not hold half a surrogate pair; keys neither \u0000 nor printable ASCII written as an escape, so
 * that a key has one spelling. */
#define JSON_KEYS_MAX 1000
int json_check(struct span text, struct fault *f);

/* Checked text as a tree, to be put; NULL: out of memory, or what it says is null. */
struct json_object *json_tree(struct span text);

/* Members of the object that checked text holds, in their order; key without its quotes and with
 * its escapes, value as written.  Start with *at = 0; false: no more, or no object. */
bool json_member_next(struct span text, size_t *at, struct span *ret_key, struct span *ret_value);

#endif
