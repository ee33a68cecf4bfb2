/*
 * json_fields.h - what the objects of JSON lines are made of: known members, and doubles.
 * Pure; any thread.
 */
#ifndef INGEST_JSON_FIELDS_H
#define INGEST_JSON_FIELDS_H

#include "ingest/import/json_span.h"

/* The members of an object that json_scan has found, each in the place of its name in `known` (at most
 * 32); null is as good as not there, but has its text.  `where` is the object's name for the sentence; "":
 * the line. ERR_REFUSED: another member; ERR_MALFORMED: one is there twice. */
int json_fields(struct span object, const char *const *known, size_t n_known, const char *where,
		struct json_value *ret, struct fault *f);

/* A number; or a word for what JSON has no number for: NaN, Infinity, -Infinity, as a string or bare as
 * Python writes them; "NaN:7ff8000000000001" is a NaN with these bits.  False when it is none of these,
 * or a number past the range of doubles. */
bool json_double(const struct json_value *v, double *ret);

#endif
