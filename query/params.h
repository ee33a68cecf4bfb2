/*
 * params.h - the parameters of a query string, and the words that stand in them: times, durations,
 * globs.  Pure; nothing here knows what a parameter is for.
 *
 * Errors are ERR_REFUSED (or ERR_MALFORMED for broken escapes) with a sentence that names the
 * parameter.
 */
#ifndef QUERY_PARAMS_H
#define QUERY_PARAMS_H

#include "store/base/duration.h"
#include "store/model.h"

#define PARAMS_MAX      512   /* parameters of one request */
#define PARAM_BYTES_MAX 32768 /* all of them, decoded */

struct param {
	struct span name, value; /* decoded; borrowed from params.text */
};

struct params {
	struct param *list; /* owned */
	size_t n;
	struct buf text;
};

/* ret is to be released whatever is returned. */
int params_parse(struct span query, struct params *ret, struct fault *f);
void params_release(struct params *p);

/* The nth (from 0) value of that name; false when there is none. */
bool params_get(const struct params *p, const char *name, size_t nth, struct span *ret);

/* Refuses a name that is not in known[] (up to NULL; "label." there allows "label.ANYTHING"), and
 * one given twice unless it ends in '*' there. */
int params_check(const struct params *p, const char *const *known, struct fault *f);

/* Outputs are untouched when the parameter is not there. */
int params_bool(const struct params *p, const char *name, bool *ret, struct fault *f);
int params_u64(const struct params *p, const char *name, uint64_t least, uint64_t most, uint64_t *ret,
	       struct fault *f);
int params_i64(const struct params *p, const char *name, int64_t *ret, struct fault *f);

/* RFC 3339, integer milliseconds since 1970, "now", or relative to now_ns: "-1h", "-1h30m". */
int params_time(const struct params *p, const char *name, int64_t now_ns, int64_t *ret, struct fault *f);
int time_parse(const char *field, struct span s, int64_t now_ns, int64_t *ret, struct fault *f);

/* As duration_parse. */
int params_duration(const struct params *p, const char *name, int64_t *ret_ns, struct fault *f);

/* '*' stands for any run of bytes; everything else for itself. */
bool glob_match(struct span pattern, struct span text);

/* A project or run id: 1-64 of [A-Za-z0-9._-], but "." and "..". */
int id_check(const char *field, struct span s, struct fault *f);

#endif
