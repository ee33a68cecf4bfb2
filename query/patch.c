#include "query/patch.h"

#include <json-c/json.h>
#include <stdlib.h>

#include "query/jsontext.h"
#include "query/spec.h"

/* ---- what is asked for ---- */

static int member_check(const char *key, struct json_object *value, struct patch *p, struct fault *f)
{
	if (strcmp(key, "name") == 0)
		return value ? spec_text_check(value, "name", f) : 0;
	if (strcmp(key, "tags") == 0)
		return spec_tags_check(value, true, f);
	if (strcmp(key, "params") == 0)
		return spec_object_check(value, "params", f);
	if (strcmp(key, "state") == 0)
		return spec_state_parse(value, &p->state, f);
	return fault_set(f, ERR_REFUSED, key,
			 "%.80s cannot be changed; name, tags, params and state can, the rest of the spec is "
			 "what the run was made with",
			 key);
}

static int tree_check(struct json_object *tree, struct patch *p, struct fault *f)
{
	int err = 0;

	if (!json_object_is_type(tree, json_type_object))
		return fault_set(f, ERR_REFUSED, "",
				 "the body must be a JSON object with name, tags, params or state");
	json_object_object_foreach(tree, key, value)
	{
		err = member_check(key, value, p, f);
		if (err < 0)
			return err;
	}
	return 0;
}

static int add_member(struct buf *out, struct span key, struct span value)
{
	int err = buf_addstr(out, out->len && out->data[out->len - 1] != '{' ? ",\"" : "\"");

	if (err == 0)
		err = buf_add(out, key.data, key.len);
	if (err == 0)
		err = buf_addstr(out, "\":");
	return err < 0 ? err : buf_add(out, value.data, value.len);
}

/* The members that are the spec's, under the names they have there. */
static int keep(struct span body, struct buf *out)
{
	struct span key, value;
	size_t at = 0;
	int err = buf_addstr(out, "{");

	while (err == 0 && json_member_next(body, &at, &key, &value))
		if (!span_is(key, "state"))
			err = add_member(out, span_is(key, "params") ? span_str("hyperparams") : key, value);
	return err < 0 ? err : buf_addstr(out, "}");
}

int patch_parse(struct span body, struct patch *ret, struct fault *f)
{
	struct json_object *tree;
	int err;

	*ret = (struct patch){ 0 };
	buf_init(&ret->spec, SPEC_BYTES_MAX + 256);
	if (body.len > SPEC_BYTES_MAX)
		return fault_set(f, ERR_TOO_LARGE, "", "the body has %zu bytes; at most %u are taken",
				 body.len, SPEC_BYTES_MAX);
	err = json_check(body, f);
	if (err < 0)
		return err;
	tree = json_tree(body);
	err = tree_check(tree, ret, f);
	json_object_put(tree);
	return err < 0 ? err : fault_default(f, keep(body, &ret->spec));
}

void patch_release(struct patch *p) { buf_release(&p->spec); }

/* ---- merging ---- */

/* Members of the change, and which of them were met in what it changes. */
struct members {
	struct member {
		struct span key, value;
		bool met;
	} * all;
	size_t n;
};

static int members_of(struct span object, struct members *ret)
{
	struct members m = { 0 };
	struct span key, value;
	size_t at = 0;

	while (json_member_next(object, &at, &key, &value))
		m.n++;
	m.all = calloc(m.n + 1, sizeof(*m.all));
	if (!m.all)
		return ERR_NOMEM;
	at = m.n = 0;
	while (json_member_next(object, &at, &key, &value))
		m.all[m.n++] = (struct member){ key, value, false };
	*ret = m;
	return 0;
}

static struct member *find(const struct members *m, struct span key)
{
	for (size_t i = 0; i < m->n; i++)
		if (span_equal(m->all[i].key, key))
			return &m->all[i];
	return NULL;
}

static bool is_object(struct span value) { return value.len && value.data[0] == '{'; }

static int merge(struct span is, struct span change, struct buf *out);

/* The member as the change wants it; nothing for null. */
static int merge_member(struct span key, struct span is, struct span change, struct buf *out)
{
	int err;

	if (span_is(change, "null"))
		return 0;
	if (!is_object(change))
		return add_member(out, key, change);
	err = add_member(out, key, span_of(NULL, 0));
	return err < 0 ? err : merge(is_object(is) ? is : span_str("{}"), change, out);
}

static int merge_all(struct span is, struct members *m, struct buf *out)
{
	struct span key, value;
	size_t at = 0;
	int err = 0;

	while (err == 0 && json_member_next(is, &at, &key, &value)) {
		struct member *change = find(m, key);

		if (change)
			change->met = true;
		err = change ? merge_member(key, value, change->value, out) : add_member(out, key, value);
	}
	for (size_t i = 0; i < m->n && err == 0; i++)
		if (!m->all[i].met)
			err = merge_member(m->all[i].key, span_of(NULL, 0), m->all[i].value, out);
	return err;
}

/* No deeper than JSON_DEPTH_MAX: both texts were checked. */
static int merge(struct span is, struct span change, struct buf *out)
{
	struct members m;
	int err = members_of(change, &m);

	if (err < 0)
		return err;
	err = buf_addstr(out, "{");
	if (err == 0)
		err = merge_all(is, &m, out);
	free(m.all);
	return err < 0 ? err : buf_addstr(out, "}");
}

int patch_apply(const struct patch *p, struct span spec, struct buf *ret, struct fault *f)
{
	int err;

	buf_init(ret, SPEC_BYTES_MAX + 256);
	err = merge(spec, buf_span(&p->spec), ret);
	if (err != ERR_FULL)
		return err;
	fault_set(f, ERR_TOO_LARGE, "",
		  "the spec would have more than %u bytes; keep large things elsewhere and name them",
		  SPEC_BYTES_MAX);
	return 0;
}
