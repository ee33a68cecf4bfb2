#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>

#include <cmocka.h>

#include "query/spec.h"

static struct run run;

static const char *spec_of(const char *body)
{
	struct fault f = { 0 };

	run_release(&run);
	if (spec_parse(span_str(body), "p", &policy_default, &run, &f) != 0)
		fail_msg("%s: %s", body, f.text);
	return buf_cstr(&run.spec_json);
}

static void what_is_kept(void **state)
{
	(void)state;
	assert_string_equal(spec_of("{}"), "{\"api_version\":\"2.1\",\"metrics\":{\"window\":\"30s\"}}");
	assert_int_equal(run.state, RUN_QUEUED);
	assert_int_equal(run.window_ns, 30 * NS_PER_S);
	/* numbers as written, unknown keys too; what says how to create the run goes out */
	assert_string_equal(
	    spec_of("{\"id\":\"r1\",\"name\":\"n\",\"hyperparams\":{\"lr\":3e-5,\"wd\":0.10,\"big\":"
		    "123456789012345678901234567890,\"z\":-0},\"notes\": [1, 2],\"state\":\"running\","
		    "\"metrics\":{\"window\":\"10s\",\"k\":1},\"api_version\":\"2.1\",\"project_id\":\"p\","
		    "\"started_at\":\"2025-07-06T12:00:00Z\",\"imported\":true}"),
	    "{\"api_version\":\"2.1\",\"name\":\"n\",\"hyperparams\":{\"lr\":3e-5,\"wd\":0.10,\"big\":"
	    "123456789012345678901234567890,\"z\":-0},\"notes\":[1, "
	    "2],\"metrics\":{\"window\":\"10s\",\"k\":1}}");
	assert_string_equal(run.id, "r1");
	assert_int_equal(run.state, RUN_RUNNING);
	assert_true(run.imported);
	assert_int_equal(run.window_ns, 10 * NS_PER_S);
	assert_int_equal(run.started_ns, INT64_C(1751803200) * NS_PER_S);
	assert_string_equal(spec_of("{\"metrics\":{}}"),
			    "{\"api_version\":\"2.1\",\"metrics\":{\"window\":\"30s\"}}");
	assert_string_equal(spec_of("{\"metrics\":{\"a\":1}}"),
			    "{\"api_version\":\"2.1\",\"metrics\":{\"a\":1,\"window\":\"30s\"}}");
	spec_of("{\"imported\":true}");
	assert_int_equal(run.state, RUN_FINISHED);
	run_release(&run);
}

static void refused(const char *body, int err, const char *field)
{
	struct run r = { .rid = 77 };
	struct fault f = { 0 };
	int got = spec_parse(span_str(body), "p", &policy_default, &r, &f);

	if (got != err || strcmp(f.field, field) != 0)
		fail_msg("%s: %d %s (%s)", body, got, f.field, f.text);
	assert_int_equal(r.rid, 77);
}

static void what_is_refused(void **state)
{
	(void)state;
	refused("", ERR_MALFORMED, "");
	refused("{\"a\":NaN}", ERR_MALFORMED, "");
	refused("[]", ERR_REFUSED, "");
	refused("{\"id\":7}", ERR_REFUSED, "id");
	refused("{\"id\":\"a b\"}", ERR_REFUSED, "id");
	refused("{\"id\":\"a\\u0000\"}", ERR_REFUSED, "id");
	refused("{\"project_id\":\"q\"}", ERR_REFUSED, "project_id");
	refused("{\"name\":\"a\\nb\"}", ERR_REFUSED, "name");
	refused("{\"name\":1}", ERR_REFUSED, "name");
	refused("{\"tags\":[\"a\"]}", ERR_REFUSED, "tags");
	refused("{\"tags\":{\"a\":1}}", ERR_REFUSED, "tags");
	refused("{\"tags\":{\"a=b\":\"1\"}}", ERR_REFUSED, "tags");
	refused("{\"hyperparams\":3}", ERR_REFUSED, "hyperparams");
	refused("{\"hyperparams\":null}", ERR_REFUSED, "hyperparams");
	refused("{\"metrics\":{\"window\":\"7s\"}}", ERR_REFUSED, "metrics.window");
	refused("{\"metrics\":{\"window\":\"10m\"}}", ERR_REFUSED, "metrics.window");
	refused("{\"metrics\":{\"window\":\"1500ms\"}}", ERR_REFUSED, "metrics.window");
	refused("{\"metrics\":{\"window\":30}}", ERR_REFUSED, "metrics.window");
	refused("{\"api_version\":\"1.3\"}", ERR_REFUSED, "api_version");
	refused("{\"api_version\":2.1}", ERR_REFUSED, "api_version");
	refused("{\"state\":\"lost\"}", ERR_REFUSED, "state");
	refused("{\"state\":\"done\"}", ERR_REFUSED, "state");
	refused("{\"imported\":1}", ERR_REFUSED, "imported");
	refused("{\"started_at\":\"yesterday\"}", ERR_REFUSED, "started_at");
}

static bool matches(const char *name, const char *tag)
{
	const struct span spec = span_str("{\"name\":\"bert-large\",\"tags\":{\"team\":\"nlp\",\"x\":\"\"}}");
	const struct span tags[] = { tag ? span_str(tag) : span_str("") };

	return spec_matches(spec, name ? span_str(name) : span_str(""), tags, tag != NULL);
}

static void names_and_tags(void **state)
{
	(void)state;
	assert_true(matches(NULL, NULL));
	assert_true(matches("bert-*", NULL));
	assert_false(matches("bert", NULL));
	assert_true(matches(NULL, "team"));
	assert_true(matches(NULL, "team=nlp"));
	assert_false(matches(NULL, "team=cv"));
	assert_true(matches(NULL, "x="));
	assert_false(matches("bert-*", "y"));
	assert_false(spec_matches(span_str("{}"), span_str("a"), NULL, 0));
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_is_kept),
		cmocka_unit_test(what_is_refused),
		cmocka_unit_test(names_and_tags),
	};

	return cmocka_run_group_tests_name("query/spec", tests, NULL, NULL);
}
