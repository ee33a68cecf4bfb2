/*
 * health.c - /healthz, /readyz, /version, usage and verify.
 */
#include "query/ask.h"
#include "query/handler.h"
#include "store/base/limits.h"

static int text_answer(struct ctx *c, int status, const char *text)
{
	struct out o;
	int err;

	out_init(&o, c->sink);
	err = out_begin(&o, status, "application/json", NULL);
	out_raw(&o, text);
	return ctx_finish(&o, err);
}

int handle_healthz(struct ctx *c) { return text_answer(c, 200, "{\"status\":\"ok\"}\n"); }

/* Reads go on when the disk is full, so that is told and not refused. */
int handle_readyz(struct ctx *c)
{
	struct store_stats stats;
	int err = store_stats(c->store, &stats);

	if (err < 0)
		return fault_default(c->f, err);
	if (stats.broken)
		return fault_set(c->f, ERR_BUSY, "", "a commit failed; the server stops and needs a restart");
	return text_answer(c, 200,
			   stats.disk_full ? "{\"status\":\"ready\",\"disk_full\":true}\n"
					   : "{\"status\":\"ready\",\"disk_full\":false}\n");
}

static void out_limit(struct out *o, const char *key, uint64_t v)
{
	out_raw(o, key);
	out_u64(o, v);
}

int handle_version(struct ctx *c)
{
	const struct http_limits *l = c->rq->server ? c->rq->server->limits : &http_limits_default;
	struct out o;
	int err;

	out_init(&o, c->sink);
	err = out_begin(&o, 200, "application/json", NULL);
	out_raw(&o, "{\"version\":\"" ASTRAML_VERSION
		    "\",\"api\":\"v2\",\"spec_versions\":[\"2.1\"],\"limits\":{");
	out_limit(&o, "\"body_bytes\":", l->body_bytes);
	out_limit(&o, ",\"unpacked_bytes\":", l->unpacked_bytes);
	out_limit(&o, ",\"bodies_together_bytes\":", l->budget_bytes);
	out_limit(&o, ",\"header_bytes\":", l->header_bytes);
	out_limit(&o, ",\"request_ms\":", (uint64_t)l->request_timeout_ms);
	out_limit(&o, ",\"idle_ms\":", (uint64_t)l->idle_timeout_ms);
	out_limit(&o, ",\"connections\":", (uint64_t)l->connections);
	out_limit(&o, ",\"samples_per_request\":", limits.samples);
	out_limit(&o, ",\"log_record_bytes\":", LOG_TEXT_MAX);
	out_limit(&o, ",\"log_attributes\":", LOG_ATTRS_MAX);
	out_limit(&o, ",\"stream_name_bytes\":", STREAM_NAME_MAX);
	out_limit(&o, ",\"metric_name_bytes\":", METRIC_NAME_MAX);
	out_limit(&o, ",\"labels\":", LABELS_MAX);
	out_limit(&o, ",\"label_part_bytes\":", LABEL_PART_MAX);
	out_limit(&o, ",\"unit_bytes\":", UNIT_MAX);
	out_limit(&o, ",\"id_characters\":", ID_MAX);
	out_limit(&o, ",\"series_per_run\":", limits.series);
	out_limit(&o, ",\"future_seconds\":", (uint64_t)(limits.future_ns / NS_PER_S));
	out_limit(&o, ",\"log_records_per_request\":", limits.records);
	out_limit(&o, ",\"buckets_per_request\":", limits.buckets);
	out_limit(&o, ",\"query_rows\":", limits.rows);
	out_limit(&o, ",\"idempotency_keys\":", limits.idempotency_keys);
	out_limit(&o, ",\"query_runs\":", ASK_RUNS_MAX);
	out_raw(&o, "}}\n");
	return ctx_finish(&o, err);
}

/* ---- verify ---- */

static void tell_trouble(void *arg, const char *sentence)
{
	struct out *o = arg;

	out_raw(o, "{\"trouble\":");
	out_string(o, span_str(sentence));
	out_raw(o, "}\n");
}

static void out_counts(struct out *o, int troubles, const struct verify_counts *n)
{
	out_limit(o, "{\"end\":{\"troubles\":", (uint64_t)troubles);
	out_limit(o, ",\"values\":", n->values);
	out_limit(o, ",\"runs\":", n->runs);
	out_limit(o, ",\"series\":", n->series);
	out_limit(o, ",\"journal_entries\":", n->journal_entries);
	out_limit(o, ",\"blocks\":", n->blocks);
	out_limit(o, ",\"buckets\":", n->buckets);
	out_limit(o, ",\"parts\":", n->parts);
	out_limit(o, ",\"log_blocks\":", n->log_blocks);
	out_limit(o, ",\"log_records\":", n->log_records);
	out_limit(o, ",\"quarantined\":", n->quarantined);
	out_raw(o, "}}\n");
}

int handle_verify(struct ctx *c)
{
	static const char *const known[] = { NULL };
	struct verify_counts counts = { 0 };
	struct out o;
	int err = params_check(&c->params, known, c->f), troubles;

	if (err < 0)
		return err;
	out_init(&o, c->sink);
	o.hold = true; /* the walk holds a view: nothing may wait for a client in the middle of it */
	err = out_begin(&o, 200, "application/x-ndjson", NULL);
	troubles = err < 0 ? err : store_verify(c->store, tell_trouble, NULL, &o, &counts);
	if (troubles >= 0) {
		out_counts(&o, troubles, &counts);
	} else if (err == 0) {
		fault_default(c->f, troubles);
		out_raw(&o, "{\"error\":");
		out_fault(&o, c->f);
		out_raw(&o, "}\n");
	}
	return ctx_finish(&o, err);
}
