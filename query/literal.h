/*
 * literal.h - bytes of which every match of a regular expression holds some.  Pure.
 */
#ifndef QUERY_LITERAL_H
#define QUERY_LITERAL_H

#include "store/base/buf.h"

#define LITERAL_MAX  64 /* bytes */
#define LITERALS_MAX 8

struct literals {
	size_t n;      /* 0: none are known */
	bool caseless; /* A to Z may stand for a to z, and the other way round */
	struct {
		uint8_t bytes[LITERAL_MAX];
		size_t len;
	} each[LITERALS_MAX];
};

/* Of each choice of a PCRE2 expression (a|b) the longest run of plain characters that stands outside groups
 * and classes and is not optional: what matches holds one of them.  None where one of the choices has no
 * such run or it is not plain to see (flags other than i, m and s at the beginning, verbs, quotes). */
void regex_literals(struct span regex, struct literals *ret);

/* Where the flags (?ims) at the beginning of an expression end; *ret_caseless: i is among them. */
size_t regex_flags(struct span regex, bool *ret_caseless);

#endif
