/*
 * parts.h - the open part files of a store: a few handles, shared by all who read.
 *
 * A part never changes, so a handle stays good; the ones used longest ago are closed first.  Any thread.
 */
#ifndef STORE_PARTS_H
#define STORE_PARTS_H

#include "store/log/logparts.h"
#include "store/part/manifest.h"
#include "store/raw/rawrow.h"

struct parts; /* parts.c */

/* dir is the data directory, borrowed. */
int parts_new(const char *dir, struct parts **ret);
void parts_free(struct parts *p); /* NULL is fine; nobody holds a part any more */

/* The part of a row, to be given back.  ERR_NOT_FOUND: the file is gone, so the row may be out of date;
 * ERR_CORRUPT also when the file is another than the row says. */
int parts_get(struct parts *p, const struct part_row *row, struct part **ret);
void parts_put(struct parts *p, struct part *part);

/* Whether the open file is the one that the row tells of, as far as header and footer say. */
bool parts_fits(const struct part *part, const struct part_row *row);

/* The same of log parts. */
int parts_get_log(struct parts *p, const struct logpart_row *row, struct logpart **ret);
void parts_put_log(struct parts *p, struct logpart *part);
bool parts_log_fits(const struct logpart *part, const struct logpart_row *row);

/* Unlinks the file of a part that no longer counts.  Who has it open keeps it, and it is closed with the last
 * of them, so that its room on the disk is free then. */
void parts_remove(struct parts *p, const struct part_id *id);
void parts_remove_log(struct parts *p, const struct logpart_id *id);

/* The rows of all parts, and raw parts, that kv's newest snapshot names, without their runs. */
int parts_rows(struct kv *kv, struct manifest *ret);
int parts_raw_rows(struct kv *kv, struct raw_rows *ret);

/* Removes the files in DIR/parts and DIR/tmp that kv does not name; kv NULL: all of them. */
int parts_sweep(struct kv *kv, const char *dir, uint64_t *ret_n);

/* The path of a row's file, into ret of FILE_PATH_MAX bytes; in any data directory. */
int parts_path(const struct parts *p, const struct part_id *id, char *ret);
int parts_file(const char *dir, const struct part_id *id, char *ret);
int parts_log_file(const char *dir, const struct logpart_id *id, char *ret);

#endif
