/*
 * line_chars.h - classes of bytes, in any locale.
 */
#ifndef INGEST_LINE_CHARS_H
#define INGEST_LINE_CHARS_H

#include <stdbool.h>
#include <stdint.h>
#include <string.h>

static inline bool is_digit(uint8_t c) { return c >= '0' && c <= '9'; }

static inline bool is_letter(uint8_t c) { return (c | 0x20) >= 'a' && (c | 0x20) <= 'z'; }

static inline bool is_word(uint8_t c) { return is_digit(c) || is_letter(c) || c == '_'; }

static inline bool is_one_of(uint8_t c, const char *set) { return c != 0 && strchr(set, c) != NULL; }

#endif
