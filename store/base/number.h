/*
 * number.h - doubles as text, exactly.
 *
 * number_print writes the shortest decimal that reads back to the same bits, and of the shortest ones the
 * nearest, as std::to_chars of libstdc++ does (ISO C++17 [charconv.to.chars]), which it asks for what is
 * rare: very large and very small numbers.  With it numbers are read too; so this is the one C++ file of the
 * tree. Any thread, any locale.
 */
#ifndef STORE_BASE_NUMBER_H
#define STORE_BASE_NUMBER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#define NUMBER_TEXT_MAX 40

/* Returns the length written, no final NUL, of NUMBER_TEXT_MAX bytes that ret has room for.  Finite values
 * only: JSON has no others. */
size_t number_print(double v, char *ret);

/* Decimal text, all of it, to the nearest double: "3", "-0.5e-3", "nan", "inf", "infinity" in any
 * case, with an optional sign.  Past the range: infinity or zero, as strtod.  False when not a number. */
bool number_parse(const char *s, size_t len, double *ret);

#ifdef __cplusplus
}
#endif

#endif
