/*
 * literal.h - bytes that every match of a regular expression holds.  Pure.
 */
#ifndef QUERY_LITERAL_H
#define QUERY_LITERAL_H

#include "store/base/buf.h"

#define LITERAL_MAX 64

/* The longest run of plain characters that stands outside groups, classes and choices of a PCRE2
 * expression and is not optional; its length, 0 when there is none or it is not plain to see (flags,
 * verbs, quotes).  ret has LITERAL_MAX bytes. */
size_t regex_literal(struct span regex, uint8_t *ret);

#endif
