#include "tests/unit/query/fixture.h"

#include "query/ask.h"

static void answer_is(const char *target, const char *want)
{
	struct reply r = call(target);

	if (r.err < 0)
		fail_msg("%s: %s", target, r.fault.text);
	assert_string_equal(buf_cstr(&r.body), want);
	reply_release(&r);
}

/* Compares the answer from its start up to the part that depends on the clock. */
static void rows_are(const char *target, const char *want)
{
	struct reply r = call(target);
	char *end;

	if (r.err < 0)
		fail_msg("%s: %s", target, r.fault.text);
	buf_cstr(&r.body);
	end = strstr((char *)r.body.data, ",\"tier\"");
	assert_non_null(end);
	*end = 0;
	assert_string_equal((char *)r.body.data, want);
	reply_release(&r);
}

/* ---- routes and roles ---- */

static void routes(void **state)
{
	struct reply r;
	(void)state;

	refused("/v2/projects/p/nothing", ERR_NOT_FOUND, "path");
	refused("/", ERR_NOT_FOUND, "path");
	refused("", ERR_NOT_FOUND, "path");
	refused("/v2/projects/p/runs/", ERR_REFUSED, "run");
	refused("/v2/projects//runs", ERR_REFUSED, "project");
	refused("/v2/projects/a%2fb/runs", ERR_REFUSED, "project");
	refused("/v2/projects/%zz/runs", ERR_MALFORMED, "project");
	refused("/v2/projects/p/runs/nobody", ERR_NOT_FOUND, "run");
	refused("/v2/projects/p/runs?a=%", ERR_MALFORMED, "");
	r = call_as(&owner, "DELETE", "/v2/projects/p/runs", NULL, NULL);
	assert_int_equal(r.err, ERR_UNSUPPORTED);
	reply_release(&r);
}

static void the_role_is_asked_for(void **state)
{
	static const char *const paths[] = { "/v2/projects/p/runs",
					     "/v2/projects/p/runs/r",
					     "/v2/projects/p/runs/r/metrics",
					     "/v2/projects/p/runs/r/logs",
					     "/v2/projects/p/query?run=r",
					     "/v2/projects/p/usage",
					     "/v2/verify" };
	static const char *const open[] = { "/healthz", "/readyz", "/version", "/metrics" };
	const struct caller none = { .role = ROLE_NONE }, other = { .role = ROLE_ADMIN, .project = "other" },
			    viewer = { .role = ROLE_VIEWER, .project = "p" };
	struct reply r;
	(void)state;

	for (size_t i = 0; i < sizeof paths / sizeof *paths; i++) {
		r = call_as(&none, "GET", paths[i], NULL, NULL);
		assert_int_equal(r.err, ERR_UNAUTHENTICATED);
		reply_release(&r);
		r = call_as(&other, "GET", paths[i], NULL, NULL);
		assert_true(r.err == ERR_DENIED || r.err == ERR_NOT_FOUND);
		assert_int_equal(r.status, 0);
		reply_release(&r);
	}
	for (size_t i = 0; i < sizeof open / sizeof *open; i++) {
		r = call_as(&none, "GET", open[i], NULL, NULL);
		assert_int_equal(r.err, 0);
		assert_int_equal(r.status, 200);
		reply_release(&r);
	}
	r = call_as(&viewer, "POST", "/v2/projects/p/runs", "{}", NULL);
	assert_int_equal(r.err, ERR_DENIED);
	reply_release(&r);
	r = call_as(&viewer, "GET", "/v2/projects/p/runs", NULL, NULL);
	assert_int_equal(r.err, ERR_NOT_FOUND); /* it may look, and there is none yet */
	assert_non_null(strstr(r.fault.text, "there is no project p"));
	reply_release(&r);
}

/* ---- runs ---- */

static void a_run_is_made_and_read(void **state)
{
	struct reply made = call_as(&owner, "POST", "/v2/projects/p/runs",
				    "{\"id\":\"r-1\",\"name\":\"n\",\"hyperparams\":{\"lr\":3e-5}}", NULL);
	struct reply got = call("/v2/projects/p/runs/r-1"), again;
	(void)state;

	assert_int_equal(made.status, 201);
	assert_string_equal(made.extra, "Location: /v2/projects/p/runs/r-1\r\n");
	assert_string_equal(buf_cstr(&made.body), buf_cstr(&got.body));
	assert_non_null(strstr(buf_cstr(&got.body),
			       "\"spec\":{\"api_version\":\"2.1\",\"name\":\"n\",\"hyperparams\":"
			       "{\"lr\":3e-5},\"metrics\":{\"window\":\"30s\"}},"
			       "\"sources\":{\"metrics.window\":\"default\"}}\n"));
	again = call_as(&owner, "POST", "/v2/projects/p/runs", "{\"id\":\"r-1\"}", NULL);
	assert_int_equal(again.err, ERR_CONFLICT);
	reply_release(&made);
	reply_release(&got);
	reply_release(&again);
}

static void ids_are_invented_once_per_key(void **state)
{
	struct reply a = call_as(&owner, "POST", "/v2/projects/p/runs", "{\"name\":\"k\"}", "key 1");
	struct reply b = call_as(&owner, "POST", "/v2/projects/p/runs", "{\"name\":\"k\"}", "key 1");
	struct reply c = call_as(&owner, "POST", "/v2/projects/p/runs", "{\"name\":\"other\"}", "key 1");
	struct reply d = call_as(&owner, "POST", "/v2/projects/p/runs", "{\"name\":\"k\"}", NULL);
	struct reply e = call_as(&owner, "POST", "/v2/projects/p/runs", "{\"name\":\"k\"}", "\t");
	(void)state;

	assert_int_equal(a.status, 201);
	assert_null(strstr(a.extra, "Replay"));
	assert_string_equal(buf_cstr(&a.body), buf_cstr(&b.body));
	assert_non_null(strstr(b.extra, "Idempotent-Replay: true\r\n"));
	assert_int_equal(c.err, ERR_CONFLICT);
	assert_int_equal(d.status, 201);
	assert_string_not_equal(buf_cstr(&a.body), buf_cstr(&d.body));
	assert_int_equal(e.err, ERR_REFUSED);
	reply_release(&a);
	reply_release(&b);
	reply_release(&c);
	reply_release(&d);
	reply_release(&e);
}

/* Ids of the listing, "a b c", then "+" when there is a next page. */
static const char *listed(const char *query)
{
	static char ids[8192];
	char target[256];
	struct json_object *tree, *runs, *o;
	struct reply r;

	snprintf(target, sizeof target, "/v2/projects/list/runs%s", query);
	r = call(target);
	if (r.err < 0)
		fail_msg("%s: %s", target, r.fault.text);
	tree = json_tokener_parse(buf_cstr(&r.body));
	assert_true(json_object_object_get_ex(tree, "runs", &runs));
	ids[0] = 0;
	for (size_t i = 0; i < json_object_array_length(runs); i++) {
		assert_true(json_object_object_get_ex(json_object_array_get_idx(runs, i), "id", &o));
		sprintf(ids + strlen(ids), "%s%s", i ? " " : "", json_object_get_string(o));
	}
	assert_true(json_object_object_get_ex(tree, "next_page_token", &o));
	if (o)
		sprintf(ids + strlen(ids), "+%s", json_object_get_string(o));
	json_object_put(tree);
	reply_release(&r);
	return ids;
}

static void post_run(const char *body)
{
	struct reply r = call_as(&owner, "POST", "/v2/projects/list/runs", body, NULL);

	assert_int_equal(r.status, 201);
	reply_release(&r);
}

static void runs_are_listed_newest_first(void **state)
{
	char page[64], query[128];
	struct reply made;
	(void)state;

	made = call_as(&owner, "POST", "/v2/projects", "{\"name\":\"list\"}", NULL);
	assert_int_equal(made.status, 201);
	reply_release(&made);
	assert_string_equal(listed(""), "");
	post_run("{\"id\":\"a\",\"name\":\"bert-1\",\"tags\":{\"team\":\"nlp\"}}");
	post_run("{\"id\":\"b\",\"name\":\"gpt-1\",\"tags\":{\"team\":\"nlp\",\"big\":\"\"},\"state\":"
		 "\"running\"}");
	post_run("{\"id\":\"c\",\"name\":\"bert-2\",\"imported\":true}");
	assert_string_equal(listed(""), "c b a");
	assert_string_equal(listed("?state=running"), "b");
	assert_string_equal(listed("?state=finished"), "c");
	assert_string_equal(listed("?name=bert-*"), "c a");
	assert_string_equal(listed("?tag=team%3Dnlp"), "b a");
	assert_string_equal(listed("?tag=team&tag=big"), "b");
	snprintf(page, sizeof page, "%s", listed("?limit=2"));
	assert_memory_equal(page, "c b+", 4);
	snprintf(query, sizeof query, "?limit=2&page_token=%s", page + 4);
	assert_string_equal(listed(query), "a");
	refused("/v2/projects/list/runs?state=done", ERR_REFUSED, "state");
	refused("/v2/projects/list/runs?limit=0", ERR_REFUSED, "limit");
	refused("/v2/projects/list/runs?page_token=x", ERR_REFUSED, "page_token");
}

/* More runs than one view looks at. */
static void long_listings_are_whole(void **state)
{
	char body[64];
	struct reply r;
	struct json_object *tree, *runs, *o;
	(void)state;

	for (int i = 0; i < 1100; i++) {
		snprintf(body, sizeof body, "{\"id\":\"m-%d\"%s}", i, i == 3 ? ",\"name\":\"needle\"" : "");
		r = call_as(&owner, "POST", "/v2/projects/many/runs", body, NULL);
		assert_int_equal(r.status, 201);
		reply_release(&r);
	}
	r = call("/v2/projects/many/runs?limit=1000");
	tree = json_tokener_parse(buf_cstr(&r.body));
	assert_true(json_object_object_get_ex(tree, "runs", &runs));
	assert_int_equal(json_object_array_length(runs), 1000);
	for (int i = 0; i < 1000; i++) {
		snprintf(body, sizeof body, "m-%d", 1099 - i);
		json_object_object_get_ex(json_object_array_get_idx(runs, (size_t)i), "id", &o);
		assert_string_equal(json_object_get_string(o), body);
	}
	json_object_put(tree);
	reply_release(&r);
	r = call("/v2/projects/many/runs?name=needle");
	assert_non_null(strstr(buf_cstr(&r.body), "\"m-3\""));
	assert_non_null(strstr(buf_cstr(&r.body), "\"next_page_token\":null"));
	reply_release(&r);
}

/* ---- metrics ---- */

static void put_course(const char *run)
{
	const struct point loss[] = {
		{ T0 + 1 * S, 1, 4 },    { T0 + 2 * S, 2, NAN },          { T0 + 29 * S, 3, 2 },
		{ T0 + 30 * S, 4, 1.5 }, { T0 + 95 * S, STEP_NONE, 0.1 }, { T0 + 300 * S, 7, INFINITY }
	};
	const struct point lr[] = { { T0 + 5 * S, 1, -0.0 }, { T0 + 100 * S, 2, 3e-5 } };

	put_samples(run, "train/loss", -1, loss, 6);
	put_samples(run, "lr", 0, lr, 2);
	put_samples(run, "lr", 1, lr, 1);
}

static void totals(void **state)
{
	(void)state;
	make_run("totals", "");
	answer_is("/v2/projects/p/runs/totals/metrics", "{\"metrics\":[],\"partial\":false}\n");
	put_course("totals");
	answer_is(
	    "/v2/projects/p/runs/totals/metrics",
	    "{\"metrics\":[{\"name\":\"train/"
	    "loss\",\"labels\":{},\"unit\":\"u\",\"count\":4,\"nan\":1,\"pos_inf\":1,"
	    "\"neg_inf\":0,\"min\":0.1,\"max\":4,\"mean\":1.9,\"first\":4,\"last\":\"Infinity\",\"last_"
	    "step\":7,"
	    "\"first_time\":\"2025-06-15T15:10:01Z\",\"last_time\":\"2025-06-15T15:15:00Z\"},"
	    "{\"name\":\"lr\",\"labels\":{\"rank\":\"0\"},\"unit\":\"u\",\"count\":2,\"nan\":0,\"pos_inf\":0,"
	    "\"neg_inf\":0,\"min\":-0.0,\"max\":3e-05,\"mean\":1.5e-05,\"first\":-0.0,\"last\":3e-05,\"last_"
	    "step\":2,"
	    "\"first_time\":\"2025-06-15T15:10:05Z\",\"last_time\":\"2025-06-15T15:11:40Z\"},"
	    "{\"name\":\"lr\",\"labels\":{\"rank\":\"1\"},\"unit\":\"u\",\"count\":1,\"nan\":0,\"pos_inf\":0,"
	    "\"neg_inf\":0,\"min\":-0.0,\"max\":-0.0,\"mean\":0,\"first\":-0.0,\"last\":-0.0,\"last_step\":1,"
	    "\"first_time\":\"2025-06-15T15:10:05Z\",\"last_time\":\"2025-06-15T15:10:05Z\"}],"
	    "\"partial\":false}\n");
}

static void windows_by_time(void **state)
{
	(void)state;
	make_run("course", "");
	put_course("course");
	rows_are(
	    "/v2/projects/p/query?run=course&metric=train/loss",
	    "{\"series\":[{\"run_id\":\"course\",\"metric\":\"train/"
	    "loss\",\"labels\":{},\"columns\":[\"time_ms\","
	    "\"count\",\"min\",\"max\",\"mean\",\"first\",\"last\"],\"rows\":[[1750000200000,2,2,4,3,4,2],"
	    "[1750000230000,1,1.5,1.5,1.5,1.5,1.5],[1750000290000,1,0.1,0.1,0.1,0.1,0.1],"
	    "[1750000500000,0,null,null,null,\"Infinity\",\"Infinity\"]]}]");
	rows_are("/v2/projects/p/query?run=course&metric=train/"
		 "loss&every=5m&agg=count,sum,nan,pos_inf,neg_inf,first,"
		 "last,first_step,last_step,step_min,step_max,bad_step",
		 "{\"series\":[{\"run_id\":\"course\",\"metric\":\"train/"
		 "loss\",\"labels\":{},\"columns\":[\"time_ms\","
		 "\"count\",\"sum\",\"nan\",\"pos_inf\",\"neg_inf\",\"first\",\"last\",\"first_step\",\"last_"
		 "step\","
		 "\"step_min\",\"step_max\",\"bad_step\"],\"rows\":[[1750000200000,4,7.6,1,0,0,4,0.1,1,null,"
		 "1,4,2],"
		 "[1750000500000,0,0,0,1,0,\"Infinity\",\"Infinity\",7,7,7,7,7]]}]");
	rows_are(
	    "/v2/projects/p/"
	    "query?run=course&metric=l*&agg=last,last_time,bad_time&start=2025-06-15T15:10:30Z",
	    "{\"series\":[{\"run_id\":\"course\",\"metric\":\"lr\",\"labels\":{\"rank\":\"0\"},\"columns\":["
	    "\"time_ms\",\"last\",\"last_time\",\"bad_time\"],\"rows\":[[1750000290000,3e-05,"
	    "\"2025-06-15T15:11:40Z\",null]]},{\"run_id\":\"course\",\"metric\":\"lr\",\"labels\":{\"rank\":"
	    "\"1\"},"
	    "\"columns\":[\"time_ms\",\"last\",\"last_time\",\"bad_time\"],\"rows\":[]}]");
	rows_are("/v2/projects/p/query?run=course&metric=none", "{\"series\":[]");
	rows_are("/v2/projects/p/query?run=course&label.rank=1&agg=count",
		 "{\"series\":[{\"run_id\":\"course\",\"metric\":\"lr\",\"labels\":{\"rank\":\"1\"},"
		 "\"columns\":[\"time_ms\","
		 "\"count\"],\"rows\":[[1750000200000,1]]}]");
	refused("/v2/projects/p/query?run=course&run=nobody", ERR_NOT_FOUND, "run");
}

static void the_answer_tells_its_width(void **state)
{
	struct reply r = call("/v2/projects/p/query?run=course&metric=lr&every=31s");
	int64_t until_ns = store_complete_until(fixture_store, &policy_default), told_ns;
	struct json_object *tree = json_tokener_parse(buf_cstr(&r.body)), *o;
	(void)state;

	assert_true(json_object_object_get_ex(tree, "tier", &o));
	assert_string_equal(json_object_get_string(o), "30s");
	assert_true(json_object_object_get_ex(tree, "every_ms", &o));
	assert_int_equal(json_object_get_int64(o), 60000);
	assert_true(json_object_object_get_ex(tree, "partial", &o));
	assert_false(json_object_get_boolean(o));
	assert_true(json_object_object_get_ex(tree, "complete_until", &o));
	assert_true(clock_parse(json_object_get_string(o), (size_t)json_object_get_string_len(o), &told_ns));
	assert_true(told_ns % (30 * S) == 0 && told_ns <= until_ns);
	json_object_put(tree);
	reply_release(&r);
}

/* Runs whose windows differ are answered in windows that hold whole windows of both. */
static void runs_of_two_widths(void **state)
{
	const struct point p[] = { { T0 + 1 * S, 1, 1 }, { T0 + 21 * S, 2, 2 }, { T0 + 61 * S, 3, 4 } };
	struct reply r;
	(void)state;

	make_run("w20", ",\"metrics\":{\"window\":\"20s\"}");
	make_run("w30", "");
	put_samples("w20", "m", -1, p, 3);
	put_samples("w30", "m", -1, p, 3);
	rows_are("/v2/projects/p/query?run=w20&run=w30&agg=sum",
		 "{\"series\":[{\"run_id\":\"w20\",\"metric\":\"m\",\"labels\":{},\"columns\":[\"time_ms\","
		 "\"sum\"],\"rows\":["
		 "[1750000200000,3],[1750000260000,4]]},{\"run_id\":\"w30\",\"metric\":\"m\",\"labels\":{},"
		 "\"columns\":["
		 "\"time_ms\",\"sum\"],\"rows\":[[1750000200000,3],[1750000260000,4]]}]");
	r = call("/v2/projects/p/query?run=w20&agg=sum");
	assert_non_null(strstr(buf_cstr(&r.body), "\"tier\":\"20s\",\"every_ms\":20000"));
	reply_release(&r);
}

/* A long dense range goes through several slots; the rows must join without a seam. */
static void long_ranges_have_no_seams(void **state)
{
	enum { N = 130000, WIDE = 7 };
	struct point *p = malloc(N * sizeof *p);
	struct json_object *tree, *series, *rows, *row;
	struct reply r;
	(void)state;

	make_run("long", ",\"metrics\":{\"window\":\"1s\"}");
	for (int i = 0; i < N; i++)
		p[i] = (struct point){ T0 - (int64_t)N * S + i * S, i, i };
	put_samples("long", "m", -1, p, N);
	free(p);
	r = call("/v2/projects/p/query?run=long&every=7s&agg=count,first,last");
	tree = json_tokener_parse(buf_cstr(&r.body));
	json_object_object_get_ex(tree, "series", &series);
	json_object_object_get_ex(json_object_array_get_idx(series, 0), "rows", &rows);
	uint64_t count = 0;
	int64_t next = 0, last_ms = 0;
	for (size_t i = 0; i < json_object_array_length(rows); i++) {
		row = json_object_array_get_idx(rows, i);
		assert_int_equal(json_object_get_int64(json_object_array_get_idx(row, 2)), next);
		count += json_object_get_uint64(json_object_array_get_idx(row, 1));
		next = json_object_get_int64(json_object_array_get_idx(row, 3)) + 1;
		assert_int_equal(json_object_get_int64(json_object_array_get_idx(row, 0)) % (WIDE * 1000), 0);
		assert_true(json_object_get_int64(json_object_array_get_idx(row, 0)) > last_ms);
		last_ms = json_object_get_int64(json_object_array_get_idx(row, 0));
	}
	assert_int_equal(count, N);
	assert_int_equal(next, N);
	json_object_put(tree);
	reply_release(&r);
}

/* One stray sample of long ago makes a million windows and more, but not a million rows. */
static void a_stray_sample_costs_no_answer(void **state)
{
	const struct point p[] = { { 5 * S, 0, 1 }, { T0, 1, 2 } };
	(void)state;

	make_run("stray", ",\"metrics\":{\"window\":\"1s\"}");
	put_samples("stray", "m", -1, p, 2);
	rows_are("/v2/projects/p/query?run=stray&agg=last",
		 "{\"series\":[{\"run_id\":\"stray\",\"metric\":\"m\",\"labels\":{},\"columns\":[\"time_ms\","
		 "\"last\"],"
		 "\"rows\":[[5000,1],[1750000200000,2]]}]");
}

static void too_many_rows_are_refused_before_the_first(void **state)
{
	enum { SERIES = 11, N = 100000 };
	struct point *p = malloc(N * sizeof *p);
	struct reply r;
	(void)state;

	make_run("rows", ",\"metrics\":{\"window\":\"1s\"}");
	for (int i = 0; i < N; i++)
		p[i] = (struct point){ T0 - (int64_t)N * S + i * S, i, i };
	for (int i = 0; i < SERIES; i++)
		put_samples("rows", "m", i, p, N);
	free(p);
	refused("/v2/projects/p/query?run=rows", ERR_REFUSED, "every");
	r = call("/v2/projects/p/query?run=rows&agg=count&points=3");
	assert_int_equal(r.err, 0);
	reply_release(&r);
	/* a client that goes away ends the work */
	r = (struct reply){ .cancel_after = 1 };
	const struct api_sink sink = { reply_begin, reply_write, &r };
	struct api_request rq = { .method = span_str("GET"),
				  .path = span_str("/v2/projects/p/query"),
				  .query = span_str("run=rows&label.rank=1&label.rank=2&label.rank=3"),
				  .caller = &owner };
	buf_init(&r.body, 256u << 20);
	assert_int_equal(api_call(fixture_store, &rq, &sink, &r.fault), ERR_GONE);
	assert_int_equal(r.writes, 2);
	reply_release(&r);
}

/* ---- the server's own ---- */

static void health_and_numbers(void **state)
{
	struct reply r = call("/metrics");
	(void)state;

	assert_string_equal(r.type, "text/plain; version=0.0.4; charset=utf-8");
	assert_non_null(
	    strstr(buf_cstr(&r.body), "# TYPE astraml_samples_total counter\nastraml_samples_total "));
	reply_release(&r);
	r = call("/version");
	assert_non_null(strstr(buf_cstr(&r.body), "\"query_rows\":1000000"));
	reply_release(&r);
	r = call("/v2/projects/p/usage");
	assert_non_null(strstr(buf_cstr(&r.body), "\"store\":{\"runs\":"));
	reply_release(&r);
	r = call("/v2/verify");
	assert_non_null(strstr(buf_cstr(&r.body), "{\"end\":{\"troubles\":0,"));
	reply_release(&r);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(routes),
		cmocka_unit_test(the_role_is_asked_for),
		cmocka_unit_test(a_run_is_made_and_read),
		cmocka_unit_test(ids_are_invented_once_per_key),
		cmocka_unit_test(runs_are_listed_newest_first),
		cmocka_unit_test(long_listings_are_whole),
		cmocka_unit_test(totals),
		cmocka_unit_test(windows_by_time),
		cmocka_unit_test(the_answer_tells_its_width),
		cmocka_unit_test(runs_of_two_widths),
		cmocka_unit_test(long_ranges_have_no_seams),
		cmocka_unit_test(a_stray_sample_costs_no_answer),
		cmocka_unit_test(too_many_rows_are_refused_before_the_first),
		cmocka_unit_test(health_and_numbers),
	};

	return cmocka_run_group_tests_name("query/api", tests, fixture_open, fixture_close);
}
