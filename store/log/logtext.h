/*
 * logtext.h - many texts of one log as templates and numbers, and back to the byte.
 *
 * A text is cut into segments: after each '\n', and after each '\r' that no '\n' follows, so that the
 * redraws of a progress bar are segments of their own.  A segment's template is the segment with
 * every run of digits (of more than 18: every 18 of them) replaced by one '0'; since no other digit
 * can be in a template, nothing needs escaping, and a text without digits is looked for in the
 * templates alone.  Equal templates are kept once; the runs of one (template, slot) are a column.
 * The idea is that of CLP (Rodrigues and others, OSDI 2021), with digits as the only variables.
 * Four kinds of real logs are 1.45 to 4 times smaller so than with `zstd -3` of the file (geometric mean
 * 2.3), at 300 to 600 MB/s.
 *
 * Packed form; "v" and "z" as in format.h; a frame is v raw length, v packed length, and that many
 * bytes: zstd, or plain when both lengths are equal.
 *
 *   v segments, v templates, v bytes of all templates
 *   v bytes, TRIGRAMS of the templates (trigrams.h); none where that saves little
 *   frame TEMPLATES  per template v length; then the templates' bytes
 *   frame LINES      per text v segments
 *   frame IDS        per segment v template, numbered in the order of first appearance
 *   frame COLUMNS    per template of few segments (less than 8), where it has slots, v bytes of its columns,
 *                    which are in FEW; of others per slot v bytes * 8 + the frame of its column
 *   frame FEW        columns of templates of few segments
 *   frame NUMBERS    eight: columns whose longest run has at most 2, 4, 6, 8, 10, 13, 16 and 18 digits
 *
 * A column is of as many runs as the template has segments:
 *   u8 COLUMN_SAME    u8 digits, v value
 *   u8 COLUMN_PLAIN   u8 digits (0: as many as the value has), v value each
 *   u8 COLUMN_DELTA   u8 digits, v first value, then z difference each
 *   u8 COLUMN_DIGITS  u8 digits each, then all the digits
 *
 * Pure; one thread per struct.
 */
#ifndef STORE_LOGTEXT_H
#define STORE_LOGTEXT_H

#include "store/log/loghint.h"

#define LOGTEXT_RAW_MAX (8u * 1024 * 1024) /* of all texts of one packed form */

/* Appends the packed form of n texts, LOGTEXT_RAW_MAX bytes together at most.  ERR_TOO_LARGE,
 * ERR_FULL, ERR_NOMEM. */
int logtext_pack(const struct span *texts, size_t n, struct buf *out);

struct logtext; /* opened for reading; its memory is used again: logtext_read.c */

int logtext_new(struct logtext **ret);
void logtext_free(struct logtext *x); /* NULL is fine */

/* Decodes nothing yet; packed is borrowed until the next open, as are all answers.
 * raw_len: of all n texts together.  ERR_CORRUPT. */
int logtext_open(struct logtext *x, struct span packed, size_t n, size_t raw_len);

/* False: no text is wanted.  Decodes nothing. */
bool logtext_may_fit(const struct logtext *x, const struct log_hint *hint);

/* Which texts are wanted as far as templates and numbers tell: an enum log_fit each, LOG_FIT_SURE where
 * hint->fit says so and nothing else in the hint speaks against it, or where hint->holds_is_all and it holds
 * them outside of numbers.  *ret_any false: none of them, and fits[] is untouched.  Decodes the least that
 * tells.  ERR_CORRUPT, ERR_NOMEM. */
int logtext_find(struct logtext *x, const struct log_hint *hint, uint8_t *fits, bool *ret_any);

/* Appends text i (of n) to out.  ERR_CORRUPT, ERR_FULL, ERR_NOMEM. */
int logtext_get(struct logtext *x, size_t i, struct buf *out);

#endif
