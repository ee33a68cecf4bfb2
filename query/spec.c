#include "query/spec.h"

#include <json-c/json.h>
#include <stdio.h>

#include "query/jsontext.h"
#include "query/params.h"

static struct span string_of(struct json_object *o)
{
	return span_of(json_object_get_string(o), (size_t)json_object_get_string_len(o));
}

static bool has_control(struct span s)
{
	for (size_t i = 0; i < s.len; i++)
		if (s.data[i] < 0x20 || s.data[i] == 0x7f)
			return true;
	return false;
}

static int type_check(struct json_object *o, const char *key, enum json_type type, struct fault *f)
{
	if (json_object_is_type(o, type))
		return 0;
	return fault_set(f, ERR_REFUSED, key, "%s is of type %s; it must be of type %s", key,
			 json_type_to_name(json_object_get_type(o)), json_type_to_name(type));
}

int spec_object_check(struct json_object *o, const char *key, struct fault *f)
{
	return type_check(o, key, json_type_object, f);
}

int spec_text_check(struct json_object *o, const char *key, struct fault *f)
{
	int err = type_check(o, key, json_type_string, f);

	if (err < 0)
		return err;
	if (string_of(o).len > SPEC_TEXT_MAX || has_control(string_of(o)))
		return fault_set(f, ERR_REFUSED, key,
				 "%s has %zu bytes; at most %d are, and no control characters", key,
				 string_of(o).len, SPEC_TEXT_MAX);
	return 0;
}

int spec_tags_check(struct json_object *tags, bool null_too, struct fault *f)
{
	int err = type_check(tags, "tags", json_type_object, f);

	if (err < 0)
		return err;
	json_object_object_foreach(tags, key, value)
	{
		struct span name = span_str(key);

		if (name.len == 0 || name.len > SPEC_TEXT_MAX || has_control(name) ||
		    memchr(name.data, '=', name.len))
			return fault_set(f, ERR_REFUSED, "tags",
					 "a key of tags has %zu bytes; 1 to %d are, without "
					 "'=' and control characters",
					 name.len, SPEC_TEXT_MAX);
		if ((value || !null_too) && (err = spec_text_check(value, "tags", f)) < 0)
			return err;
	}
	return 0;
}

/* metrics.window: which are fit is for window_check. */
static int window_parse(struct json_object *metrics, int64_t *ret_ns, struct fault *f)
{
	struct json_object *o;
	int err = type_check(metrics, "metrics", json_type_object, f);

	if (err < 0 || !json_object_object_get_ex(metrics, "window", &o))
		return err;
	if ((err = type_check(o, "metrics.window", json_type_string, f)) < 0)
		return err;
	if (!duration_parse(string_of(o), ret_ns))
		return fault_set(f, ERR_REFUSED, "metrics.window",
				 "metrics.window is \"%.60s\"; it must be a length of time, as \"30s\"",
				 json_object_get_string(o));
	return 0;
}

/* Whole seconds that divide the windows of the policy's next tier.  An import may bring windows as wide as
 * those of any tier: of a run of which no finer ones were kept. */
static int window_check(const struct run *r, const struct policy *policy, struct fault *f)
{
	int64_t next_ns = policy->n_tiers > 1 && !r->imported ? policy->tiers[1].every_ns : NS_PER_DAY;
	int64_t most_ns = r->imported ? NS_PER_DAY : 300 * NS_PER_S, ns = r->window_ns;
	char window[DURATION_TEXT_MAX], next[DURATION_TEXT_MAX], most[DURATION_TEXT_MAX];

	if (ns == 0 || (ns <= most_ns && ns % NS_PER_S == 0 && next_ns % ns == 0))
		return 0;
	duration_print(ns, window);
	duration_print(next_ns, next);
	duration_print(most_ns, most);
	return fault_set(f, ERR_REFUSED, "metrics.window",
			 "metrics.window is %s; it must be whole seconds, at most %s, that divide %s, the "
			 "width of the project's next tier: 1s, 5s, 10s, 30s ...",
			 window, most, next);
}

static int version_check(struct json_object *o, struct fault *f)
{
	int err = type_check(o, "api_version", json_type_string, f);

	if (err == 0 && !span_is(string_of(o), "2.1"))
		err = fault_set(f, ERR_REFUSED, "api_version",
				"api_version is \"%.20s\"; specs of version 2.1 are taken",
				json_object_get_string(o));
	return err;
}

int spec_state_parse(struct json_object *o, enum run_state *ret, struct fault *f)
{
	int err = type_check(o, "state", json_type_string, f);
	enum run_state state = err < 0 ? 0 : run_state_parse(string_of(o));

	if (err < 0)
		return err;
	if (state == 0 || state == RUN_LOST)
		return fault_set(f, ERR_REFUSED, "state",
				 "state is \"%.40s\"; there are queued, running, preempted, "
				 "finished, failed and killed",
				 json_object_get_string(o));
	*ret = state;
	return 0;
}

static int started_parse(struct json_object *o, int64_t *ret_ns, struct fault *f)
{
	int err = type_check(o, "started_at", json_type_string, f);

	if (err == 0 && !clock_parse(json_object_get_string(o), string_of(o).len, ret_ns))
		err = fault_set(f, ERR_REFUSED, "started_at",
				"started_at is \"%.60s\"; write it as "
				"2025-07-06T12:00:00Z",
				json_object_get_string(o));
	return err;
}

static int id_parse(struct json_object *o, const char *key, char ret[ID_MAX + 1], struct fault *f)
{
	int err = type_check(o, key, json_type_string, f);

	if (err < 0 || (err = id_check(key, string_of(o), f)) < 0)
		return err;
	snprintf(ret, ID_MAX + 1, "%s", json_object_get_string(o));
	return 0;
}

static int project_check(struct json_object *o, const char *project, struct fault *f)
{
	int err = type_check(o, "project_id", json_type_string, f);

	if (err == 0 && strcmp(json_object_get_string(o), project) != 0)
		err = fault_set(f, ERR_REFUSED, "project_id",
				"project_id is \"%.64s\" but the request goes to project "
				"\"%s\"",
				json_object_get_string(o), project);
	return err;
}

static int key_parse(struct json_object *o, const char *key, struct run *r, struct fault *f)
{
	static const char *const objects[] = { "hyperparams", "resources", "schedule" };

	if (strcmp(key, "id") == 0)
		return id_parse(o, "id", r->id, f);
	if (strcmp(key, "project_id") == 0)
		return project_check(o, r->project, f);
	if (strcmp(key, "name") == 0 || strcmp(key, "model") == 0 || strcmp(key, "dataset") == 0)
		return spec_text_check(o, key, f);
	if (strcmp(key, "tags") == 0)
		return spec_tags_check(o, false, f);
	if (strcmp(key, "metrics") == 0)
		return window_parse(o, &r->window_ns, f);
	if (strcmp(key, "api_version") == 0)
		return version_check(o, f);
	if (strcmp(key, "state") == 0)
		return spec_state_parse(o, &r->state, f);
	if (strcmp(key, "started_at") == 0)
		return started_parse(o, &r->started_ns, f);
	for (size_t i = 0; i < sizeof objects / sizeof *objects; i++)
		if (strcmp(key, objects[i]) == 0)
			return type_check(o, key, json_type_object, f);
	if (strcmp(key, "imported") != 0)
		return 0;
	r->imported = json_object_get_boolean(o);
	return type_check(o, key, json_type_boolean, f);
}

static int add_window(struct buf *b, int64_t window_ns)
{
	char text[DURATION_TEXT_MAX];

	duration_print(window_ns, text);
	return buf_addf(b, "\"window\":\"%s\"", text);
}

/* A member of metrics as it was written, with its window where there is none. */
static int keep_metrics(struct span metrics, const struct run *r, struct buf *b)
{
	struct span key, value;
	bool has = false;
	size_t at = 0, n = 0;
	int err = buf_addstr(b, "{");

	while (err == 0 && json_member_next(metrics, &at, &key, &value)) {
		has = has || span_is(key, "window");
		if (buf_addf(b, "%s\"", n++ ? "," : "") < 0 || buf_add(b, key.data, key.len) < 0 ||
		    buf_addstr(b, "\":") < 0)
			return ERR_FULL;
		err = buf_add(b, value.data, value.len);
	}
	if (err == 0 && !has)
		err = buf_addstr(b, n ? "," : "") < 0 ? ERR_FULL : add_window(b, r->window_ns);
	return err < 0 ? err : buf_addstr(b, "}");
}

static bool is_control(struct span key)
{
	static const char *const keys[] = { "id",       "project_id", "state",
					    "imported", "started_at", "api_version" };

	for (size_t i = 0; i < sizeof keys / sizeof *keys; i++)
		if (span_is(key, keys[i]))
			return true;
	return false;
}

static int spec_keep(struct span body, struct run *r)
{
	struct buf *b = &r->spec_json;
	struct span key, value;
	bool has_metrics = false;
	size_t at = 0;
	int err = buf_addstr(b, "{\"api_version\":\"2.1\"");

	while (err == 0 && json_member_next(body, &at, &key, &value)) {
		if (is_control(key))
			continue;
		if (buf_addstr(b, ",\"") < 0 || buf_add(b, key.data, key.len) < 0 || buf_addstr(b, "\":") < 0)
			return ERR_FULL;
		if (span_is(key, "metrics")) {
			has_metrics = true;
			err = keep_metrics(value, r, b);
		} else {
			err = buf_add(b, value.data, value.len);
		}
	}
	if (err == 0 && !has_metrics)
		err = buf_addstr(b, ",\"metrics\":{") < 0 || add_window(b, r->window_ns) < 0
			  ? ERR_FULL
			  : buf_addstr(b, "}");
	return err < 0 ? err : buf_addstr(b, "}");
}

/* Where each value that the spec need not say came from. */
static int sources_keep(struct run *r, const struct policy *policy)
{
	bool asked = r->window_ns != 0;

	if (!asked)
		r->window_ns = policy->window_ns;
	buf_init(&r->sources_json, SPEC_SOURCES_MAX);
	return buf_addf(&r->sources_json, "{\"metrics.window\":\"%s\"}",
			asked                         ? "request"
			: policy->set & POLICY_WINDOW ? "policy"
						      : "default");
}

static int keys_parse(struct json_object *tree, const struct policy *policy, struct run *r, struct fault *f)
{
	int err = 0;

	json_object_object_foreach(tree, key, value)
	{
		if ((err = key_parse(value, key, r, f)) < 0)
			return err;
	}
	if (r->state == 0)
		r->state = r->imported ? RUN_FINISHED : RUN_QUEUED;
	return window_check(r, policy, f);
}

int spec_parse(struct span body, const char *project, const struct policy *policy, struct run *ret,
	       struct fault *f)
{
	struct run r = { 0 };
	struct json_object *tree = NULL;
	int err;

	if (body.len > SPEC_BYTES_MAX)
		return fault_set(f, ERR_TOO_LARGE, "",
				 "the spec has %zu bytes; at most %u are taken: keep large things "
				 "elsewhere and name them",
				 body.len, SPEC_BYTES_MAX);
	if ((err = json_check(body, f)) < 0)
		return err;
	snprintf(r.project, sizeof r.project, "%s", project);
	buf_init(&r.spec_json, SPEC_BYTES_MAX + 256);
	tree = json_tree(body);
	if (!json_object_is_type(tree, json_type_object))
		err = fault_set(f, ERR_REFUSED, "", "the body must be a JSON object, the spec of the run");
	else if ((err = keys_parse(tree, policy, &r, f)) == 0 &&
		 (err = fault_default(f, sources_keep(&r, policy))) == 0)
		err = fault_default(f, spec_keep(body, &r));
	json_object_put(tree);
	if (err < 0) {
		run_release(&r);
		return err;
	}
	*ret = r;
	return 0;
}

static bool tag_matches(struct json_object *tags, struct span tag)
{
	const uint8_t *equals = memchr(tag.data, '=', tag.len);
	size_t n = equals ? (size_t)(equals - tag.data) : tag.len;
	char key[SPEC_TEXT_MAX + 1];
	struct json_object *o;

	if (n > SPEC_TEXT_MAX)
		return false;
	snprintf(key, sizeof key, "%.*s", (int)n, (const char *)tag.data);
	return json_object_object_get_ex(tags, key, &o) &&
	       (!equals || span_equal(string_of(o), span_of(equals + 1, tag.len - n - 1)));
}

bool spec_matches(struct span spec_json, struct span name_glob, const struct span *tags, size_t n_tags)
{
	struct json_object *tree, *o;
	bool ok = true;

	if (name_glob.len == 0 && n_tags == 0)
		return true;
	tree = json_tree(spec_json);
	if (name_glob.len > 0)
		ok = json_object_object_get_ex(tree, "name", &o) && glob_match(name_glob, string_of(o));
	if (n_tags > 0)
		ok = ok && json_object_object_get_ex(tree, "tags", &o);
	for (size_t i = 0; ok && i < n_tags; i++)
		ok = tag_matches(o, tags[i]);
	json_object_put(tree);
	return ok;
}
