/*
 * spec.h - the body of POST /runs, checked, and the spec that is kept of it (api 3).
 *
 * Every value of the spec is kept as it was written (numbers too) and unknown keys stay.  What
 * says how to create the run (id, state, imported, started_at, project_id) is taken out; api_version
 * and metrics.window are put in where they were left out, so that the stored run shows what holds.
 */
#ifndef QUERY_SPEC_H
#define QUERY_SPEC_H

#include "store/model.h"

#define SPEC_BYTES_MAX   (1024u * 1024)
#define SPEC_TEXT_MAX    250 /* bytes of a name, of a tag's key and value */
#define SPEC_SOURCES_MAX 1024

/* Fills project, id ("" where none was given), state, imported, started_ns, window_ns, spec_json and
 * sources_json ("request", "policy" or "default" for each value) of ret, which is to be released.
 * ERR_MALFORMED, ERR_REFUSED, ERR_TOO_LARGE. */
int spec_parse(struct span body, const char *project, const struct policy *policy, struct run *ret,
	       struct fault *f);

/* Whether a stored spec has this name (glob), and this tag ("key" or "key=value"); an empty span
 * asks for nothing. */
bool spec_matches(struct span spec_json, struct span name_glob, const struct span *tags, size_t n_tags);

/* ---- members of a spec, alone ---- */

struct json_object;

int spec_text_check(struct json_object *o, const char *key, struct fault *f);
int spec_object_check(struct json_object *o, const char *key, struct fault *f);
int spec_tags_check(struct json_object *tags, bool null_too, struct fault *f); /* null_too: as a value */
int spec_state_parse(struct json_object *o, enum run_state *ret, struct fault *f);

#endif
