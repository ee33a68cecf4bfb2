/*
 * exportline.h - what an export is made of, line by line: a run, its windows, its log records, every bit
 * of them.  `astraml import jsonl` and `import csv` read these lines; those of windows and records are
 * also what POST .../ingest takes (application/x-ndjson).
 *
 * JSON lines:
 *
 *   {"run":{"id","state","exit_code","started_at","ended_at","window","spec"}}   first
 *   {"metric","labels","unit","time","step","value"}   a sample, as long as samples are kept one by one
 *   {"metric","labels","unit","bucket":{...}}    a window of time before that; "bucket":{}: a series without
 * any
 *   {"log","time","level","stream","rank","attrs"}   in order; "text_base64" where the text is not UTF-8,
 *                                                "continues":true where the next one goes on with it
 *   {"end":{"series","buckets","samples","records","partial"}}   last; {"error":{...}} when it broke off
 *
 * CSV: one row a sample or window, columns as in csv_header.  A sample has no start, and its time, step and
 * value as first_time, first_step and first; the rest is about windows.  sum is the exact sum rounded,
 * sum_rest what is left of it: more doubles, blanks between them, each the rest rounded; or the whole in
 * hexadecimal (store/bucket/sum.h) where six doubles cannot say it.  labels is a JSON object; what does not
 * apply is empty.
 *
 * In both: NaN, Infinity, -Infinity, and NaN:7ff8000000000001 for a NaN of other bits.
 */
#ifndef QUERY_EXPORTLINE_H
#define QUERY_EXPORTLINE_H

#include "query/out.h"
#include "store/model.h"

extern const char csv_header[];

/* window_ns: of the lines that follow. */
void out_export_run(struct out *o, const struct run *r, int64_t window_ns);

/* The beginning of a series' lines, to be kept, and what follows it. */
void out_export_name(struct out *o, const struct series_name *name);
void out_export_bucket(struct out *o, int64_t start_ns, int64_t every_ns, const struct bucket *b);
void out_export_sample(struct out *o, int64_t every_ns, const struct point *p);
void out_export_no_bucket(struct out *o);

void out_csv_name(struct out *o, const struct series_name *name);
void out_csv_bucket(struct out *o, int64_t start_ns, int64_t every_ns, const struct bucket *b);
void out_csv_sample(struct out *o, int64_t every_ns, const struct point *p);
void out_csv_no_bucket(struct out *o);

void out_export_record(struct out *o, const struct log_record *r);

#endif
