/*
 * usage.c - GET /usage (api 2): what a project has stored, by kind and tier, and figures of the store.
 *
 *   {"project":{"name":"default","runs":3,"deleted_runs":0,"series":41},
 *    "stored":[{"kind":"metrics","tier":"30s","keep":"14d","pieces":2,"records":9000,"bytes":31000,
 *               "bytes_per_record":3.44},...],
 *    "store":{...}}
 *
 * and with columns=true, for which all sealed metrics are read,
 *    "columns":[{"tier":"30s","column":"last","codec":"decimal","items":9000,"bytes":12000},...]
 *
 * A piece is a part, or a block of logs.  Tiers come by their width; the first is named as the policy names
 * it, "whole" is what has left them all.  What lies in the journal and in flushed blocks until it is
 * sealed belongs to several projects: `store` has it, for all of them.
 */
#include <stdlib.h>

#include "query/handler.h"

static const struct policy_tier *tier_of(const struct policy *p, int64_t every_ns)
{
	for (size_t i = every_ns ? 1 : 0; i < p->n_tiers; i++)
		if (every_ns == 0 || p->tiers[i].every_ns == every_ns)
			return &p->tiers[i];
	return NULL;
}

static void tier_name_of(const struct policy *policy, int64_t every_ns, char ret[DURATION_TEXT_MAX])
{
	const struct policy_tier *tier = tier_of(policy, every_ns);

	duration_print(tier ? policy_width(policy, (size_t)(tier - policy->tiers)) : every_ns, ret);
}

/* keep_ns < 0: not said. */
static void out_row(struct out *o, const char *kind, const char *tier, int64_t keep_ns,
		    const struct usage_row *row)
{
	char keep[DURATION_TEXT_MAX];

	out_raw(o, "{\"kind\":\"");
	out_raw(o, kind);
	out_raw(o, "\",\"tier\":\"");
	out_raw(o, tier);
	out_raw(o, "\",\"keep\":");
	if (keep_ns >= 0) {
		keep_print(keep_ns, keep);
		out_string(o, span_str(keep));
	} else {
		out_raw(o, "null");
	}
	out_raw(o, ",\"pieces\":");
	out_u64(o, row->pieces);
	out_raw(o, ",\"records\":");
	out_u64(o, row->records);
	out_raw(o, ",\"bytes\":");
	out_u64(o, row->bytes);
	out_raw(o, ",\"bytes_per_record\":");
	out_value(o, row->records, (double)row->bytes / (double)(row->records ? row->records : 1));
	out_ch(o, '}');
}

static void out_tier(struct out *o, const struct policy *policy, const struct usage_row *row)
{
	const struct policy_tier *tier = tier_of(policy, row->every_ns);
	char name[DURATION_TEXT_MAX];

	if (row->every_ns == USAGE_WHOLE_NS) {
		out_row(o, "metrics", "whole", KEEP_FOREVER, row);
		return;
	}
	tier_name_of(policy, row->every_ns, name);
	out_row(o, "metrics", name, tier ? tier->keep_ns : -1, row);
}

static void out_usage(struct out *o, const char *project, const struct policy *policy, const struct usage *u)
{
	out_raw(o, "{\"project\":{\"name\":");
	out_string(o, span_str(project));
	out_raw(o, ",\"runs\":");
	out_u64(o, u->runs);
	out_raw(o, ",\"deleted_runs\":");
	out_u64(o, u->deleted_runs);
	out_raw(o, ",\"series\":");
	out_u64(o, u->series);
	out_raw(o, "},\"stored\":[");
	for (size_t i = 0; i < u->n_tiers; i++) {
		out_tier(o, policy, &u->tiers[i]);
		out_ch(o, ',');
	}
	out_row(o, "samples", "raw", policy->raw_keep_ns, &u->samples);
	out_ch(o, ',');
	out_row(o, "logs", "young", policy->log_keep_ns, &u->young_logs);
	out_ch(o, ',');
	out_row(o, "logs", "sealed", policy->log_keep_ns, &u->sealed_logs);
	out_ch(o, ',');
	out_row(o, "logs", "parts", policy->log_keep_ns, &u->part_logs);
	out_ch(o, ']');
}

/* columns=true. */
static void out_columns(struct out *o, const struct policy *policy, const struct usage_column *list, size_t n)
{
	out_raw(o, ",\"columns\":[");
	for (size_t i = 0; i < n; i++) {
		char name[DURATION_TEXT_MAX];

		tier_name_of(policy, list[i].every_ns, name);
		out_raw(o, i ? ",{\"tier\":" : "{\"tier\":");
		out_string(o, span_str(name));
		out_raw(o, ",\"column\":");
		out_string(o, span_str(list[i].name));
		out_raw(o, ",\"codec\":");
		out_string(o, span_str(list[i].codec));
		out_raw(o, ",\"items\":");
		out_u64(o, list[i].items);
		out_raw(o, ",\"bytes\":");
		out_u64(o, (uint64_t)(list[i].bytes + 0.5));
		out_ch(o, '}');
	}
	out_ch(o, ']');
}

int handle_usage(struct ctx *c)
{
	static const char *const known[] = { "columns", NULL };
	struct usage_column *columns = NULL;
	bool with_columns = false;
	size_t n_columns = 0;
	struct store_stats stats;
	struct policy policy;
	struct usage usage;
	struct out o;
	int err;

	if ((err = params_check(&c->params, known, c->f)) < 0 ||
	    (err = params_bool(&c->params, "columns", &with_columns, c->f)) < 0 ||
	    (err = ctx_project(c, &policy)) < 0)
		return err;
	if ((err = store_stats(c->store, &stats)) < 0 ||
	    (err = store_usage(c->store, c->project, &usage)) < 0 ||
	    (with_columns && (err = store_columns(c->store, c->project, &columns, &n_columns)) < 0))
		return fault_default(c->f, err);
	out_init(&o, c->sink);
	err = out_begin(&o, 200, "application/json", NULL);
	out_usage(&o, c->project, &policy, &usage);
	if (with_columns)
		out_columns(&o, &policy, columns, n_columns);
	free(columns);
	out_raw(&o, ",\"store\":{");
	out_stored_numbers(&o, &stats);
	out_raw(&o, "}}\n");
	return ctx_finish(&o, err);
}
