#include "query/policyjson.h"

#include <json-c/json.h>

#include "query/jsontext.h"
#include "store/base/duration.h"

#define POLICY_BYTES_MAX 65536

/* ---- out ---- */

static void out_keep(struct out *o, const char *key, int64_t ns)
{
	char text[DURATION_TEXT_MAX];

	keep_print(ns, text);
	out_raw(o, key);
	out_string(o, span_str(text));
}

static void out_source(struct out *o, const char *key, const struct policy *p, enum policy_field field)
{
	out_raw(o, key);
	out_raw(o, p->set & field ? "\"policy\"" : "\"default\"");
}

void out_policy(struct out *o, const struct policy *p, int64_t grace_ns)
{
	out_keep(o, "{\"window\":", p->window_ns);
	out_keep(o, ",\"grace\":", grace_ns);
	out_raw(o, ",\"tiers\":[");
	for (size_t i = 0; i < p->n_tiers; i++) {
		out_keep(o, i ? ",{\"every\":" : "{\"every\":", policy_width(p, i));
		out_keep(o, ",\"keep\":", p->tiers[i].keep_ns);
		out_ch(o, '}');
	}
	out_keep(o, "],\"raw_keep\":", p->raw_keep_ns);
	out_keep(o, ",\"log_keep\":", p->log_keep_ns);
	out_source(o, ",\"source\":{\"window\":", p, POLICY_WINDOW);
	out_source(o, ",\"grace\":", p, POLICY_GRACE);
	out_source(o, ",\"tiers\":", p, POLICY_TIERS);
	out_source(o, ",\"raw_keep\":", p, POLICY_RAW_KEEP);
	out_source(o, ",\"log_keep\":", p, POLICY_LOG_KEEP);
	out_raw(o, "}}\n");
}

/* ---- in ---- */

static int keep_of(struct json_object *o, const char *field, const char *what, int64_t *ret_ns,
		   struct fault *f)
{
	if (json_object_is_type(o, json_type_string) &&
	    keep_parse(span_of(json_object_get_string(o), (size_t)json_object_get_string_len(o)), ret_ns))
		return 0;
	return fault_set(
	    f, ERR_REFUSED, field,
	    "%s is %.60s; write a length of time as \"30s\", \"5m\", \"14d\", \"2y\" (at most 100 "
	    "years), \"0s\" or \"forever\"",
	    what, json_object_to_json_string_ext(o, JSON_C_TO_STRING_PLAIN));
}

static int duration_of(struct json_object *o, const char *field, const char *what, int64_t *ret_ns,
		       struct fault *f)
{
	int64_t ns = 0;
	int err = keep_of(o, field, what, &ns, f);

	if (err == 0 && ns == INT64_MAX)
		err = fault_set(f, ERR_REFUSED, field,
				"%s is \"forever\"; it needs a length of time, as \"30s\"", what);
	if (err == 0)
		*ret_ns = ns;
	return err;
}

static int width_of(struct json_object *o, const char *field, const char *what, int64_t *ret_ns,
		    struct fault *f)
{
	int64_t ns = 0;
	int err = duration_of(o, field, what, &ns, f);

	if (err == 0 && ns == 0)
		err = fault_set(f, ERR_REFUSED, field, "%s is \"0s\"; windows last at least 1s", what);
	if (err == 0)
		*ret_ns = ns;
	return err;
}

static int tier_parse(struct json_object *o, struct policy_tier *ret, struct fault *f)
{
	struct json_object *every = NULL, *keep = NULL;
	int err;

	json_object_object_get_ex(o, "every", &every);
	json_object_object_get_ex(o, "keep", &keep);
	if (!every || !keep || json_object_object_length(o) != 2)
		return fault_set(f, ERR_REFUSED, "tiers",
				 "tiers has the entry %.80s; each is {\"every\":WIDTH,\"keep\":TIME}, as in "
				 "{\"every\":\"5m\",\"keep\":\"90d\"}",
				 json_object_to_json_string_ext(o, JSON_C_TO_STRING_PLAIN));
	err = width_of(every, "tiers", "every of an entry of tiers", &ret->every_ns, f);
	return err < 0 ? err : keep_of(keep, "tiers", "keep of an entry of tiers", &ret->keep_ns, f);
}

static int tiers_parse(struct json_object *list, struct policy *p, struct fault *f)
{
	size_t n;
	int err = 0;

	if (!json_object_is_type(list, json_type_array))
		return fault_set(
		    f, ERR_REFUSED, "tiers",
		    "tiers is of type %s; it must be an array of {\"every\":\"5m\",\"keep\":\"90d\"}",
		    json_type_to_name(json_object_get_type(list)));
	n = json_object_array_length(list);
	if (n < 1 || n > POLICY_TIERS_MAX)
		return fault_set(f, ERR_REFUSED, "tiers", "tiers has %zu entries; there are 1 to %d", n,
				 POLICY_TIERS_MAX);
	for (size_t i = 0; i < n && err == 0; i++)
		err = tier_parse(json_object_array_get_idx(list, i), &p->tiers[i], f);
	p->n_tiers = n;
	return err;
}

static int member_parse(const char *key, struct json_object *value, struct policy_change *c, struct fault *f)
{
	struct policy *p = &c->values;
	const struct {
		const char *name;
		enum policy_field field;
		int64_t *ns;
		int (*parse)(struct json_object *, const char *, const char *, int64_t *, struct fault *);
	} members[] = { { "window", POLICY_WINDOW, &p->window_ns, width_of },
			{ "grace", POLICY_GRACE, &p->grace_ns, duration_of },
			{ "tiers", POLICY_TIERS, NULL, NULL },
			{ "raw_keep", POLICY_RAW_KEEP, &p->raw_keep_ns, keep_of },
			{ "log_keep", POLICY_LOG_KEEP, &p->log_keep_ns, keep_of } };

	for (size_t i = 0; i < sizeof members / sizeof *members; i++) {
		if (strcmp(key, members[i].name) != 0)
			continue;
		if (!value) {
			c->reset |= members[i].field;
			return 0;
		}
		c->given |= members[i].field;
		return members[i].ns ? members[i].parse(value, key, key, members[i].ns, f)
				     : tiers_parse(value, p, f);
	}
	return fault_set(f, ERR_REFUSED, key,
			 "a policy has no field %.60s; there are window, grace, tiers, raw_keep and log_keep",
			 key);
}

int policy_parse(struct span body, struct policy_change *ret, struct fault *f)
{
	struct policy_change change = { 0 };
	struct json_object *tree;
	int err = 0;

	if (body.len > POLICY_BYTES_MAX)
		return fault_set(f, ERR_TOO_LARGE, "", "the policy has %zu bytes; at most %d are taken",
				 body.len, POLICY_BYTES_MAX);
	if ((err = json_check(body, f)) < 0)
		return err;
	tree = json_tree(body);
	if (!json_object_is_type(tree, json_type_object)) {
		err = fault_set(f, ERR_REFUSED, "", "the body must be a JSON object, the fields to change");
	} else {
		json_object_object_foreach(tree, key, value)
		{
			if ((err = member_parse(key, value, &change, f)) < 0)
				break;
		}
	}
	json_object_put(tree);
	if (err == 0)
		*ret = change;
	return err;
}
