#include "tests/unit/query/fixture.h"

#include "query/rowform.h"

/* A call as a verb with --data makes it, with what it accepts; cancel_after as in struct reply. */
static struct reply call_for(const char *accept, const char *query, size_t cancel_after)
{
	struct reply r = { .cancel_after = cancel_after };
	const struct api_sink sink = { reply_begin, reply_write, &r };
	struct api_request rq = { .method = span_str("GET"),
				  .path = span_str("/v2/projects/p/query"),
				  .query = span_str(query),
				  .accept = span_str(accept),
				  .caller = &owner };

	buf_init(&r.body, 256u << 20);
	r.err = api_call(fixture_store, &rq, &sink, &r.fault);
	return r;
}

static void csv_is(const char *query, const char *want)
{
	struct reply r = call_for("text/csv", query, 0);

	assert_int_equal(r.err, 0);
	assert_string_equal(r.type, "text/csv; charset=utf-8; header=present");
	assert_non_null(strstr(r.extra, "Astraml-Every-Ms: 30000\r\n"));
	assert_string_equal(buf_cstr(&r.body), want);
	reply_release(&r);
}

static void csv(void **state)
{
	const struct point loss[] = { { T0 + 1 * S, 1, 4 },
				      { T0 + 2 * S, 2, NAN },
				      { T0 + 29 * S, STEP_NONE, -0.0 },
				      { T0 + 300 * S, 7, -INFINITY } };
	(void)state;

	make_run("csv", "");
	put_samples("csv", "a \"b\",\xc3\xa9", 3, loss, 4);
	csv_is("run=csv&agg=count,min,mean,last,last_step,last_time,bad_time",
	       "run_id,metric,labels,time_ms,count,min,mean,last,last_step,last_time,bad_time\r\n"
	       "csv,\"a \"\"b\"\",\xc3\xa9\",\"{\"\"rank\"\":\"\"3\"\"}\",1750000200000,2,-0.0,2,-0.0,,"
	       "2025-06-15T15:10:29Z,2025-06-15T15:10:02Z\r\n"
	       "csv,\"a \"\"b\"\",\xc3\xa9\",\"{\"\"rank\"\":\"\"3\"\"}\",1750000500000,0,,,-Infinity,7,"
	       "2025-06-15T15:15:00Z,2025-06-15T15:15:00Z\r\n");
	csv_is("run=csv&by=&x=step&agg=first_step,count",
	       "run_id,metric,labels,step,first_step,time_ms,count\r\n"
	       "csv,\"a \"\"b\"\",\xc3\xa9\",{},2,1,1750000200000,2\r\n"
	       "csv,\"a \"\"b\"\",\xc3\xa9\",{},7,7,1750000500000,0\r\n");
	csv_is("run=csv&metric=none", "run_id,metric,labels,time_ms,count,min,max,mean,first,last\r\n");
}

/* Each form, in every way of reading, ends at once and whole when its reader is gone. */
static void readers_that_go(void **state)
{
	static const char *const accepts[] = { "application/json", "text/csv", "application/x-protobuf" };
	static const char *const queries[] = { "run=gone", "run=gone&by=&x=step",
					       "run=gone&by=rank&every=1m" };
	enum { N = 60000 };
	struct point *p = malloc(N * sizeof *p);
	(void)state;

	make_run("gone", ",\"metrics\":{\"window\":\"1s\"}");
	for (int i = 0; i < N; i++)
		p[i] = (struct point){ T0 - (int64_t)i * S, N - i, i / 7.0 };
	put_samples("gone", "m", 0, p, N);
	put_samples("gone", "m", 1, p, N);
	free(p);
	for (size_t i = 0; i < 3; i++)
		for (size_t j = 0; j < 3; j++) {
			struct reply r = call_for(accepts[i], queries[j], 1),
				     whole = call_for(accepts[i], queries[j], 0);

			assert_int_equal(r.err, ERR_GONE);
			assert_int_equal(whole.err, 0);
			assert_true(r.body.len > 0 && r.body.len < whole.body.len);
			assert_memory_equal(r.body.data, whole.body.data, r.body.len);
			reply_release(&r);
			reply_release(&whole);
		}
}

static void histogram_is(const char *query, const char *want)
{
	char target[256];
	struct reply r;

	snprintf(target, sizeof target, "/v2/projects/p/runs/h/logs/histogram?%s", query);
	r = call(target);
	if (r.err < 0)
		fail_msg("%s: %s", target, r.fault.text);
	assert_string_equal(buf_cstr(&r.body), want);
	reply_release(&r);
}

#define HEAD(every)                                                                                          \
	"{\"every_ms\":" every ",\"levels\":[\"\",\"trace\",\"debug\",\"info\",\"warn\",\"error\","          \
	"\"fatal\"],"

static void histogram(void **state)
{
	const struct log_record logs[] = { log_of("a\n", T0, LEVEL_INFO, 0),
					   log_of("b\n", T0 + 29 * S, LEVEL_WARN, 1),
					   log_of("c\n", T0 + 30 * S, LEVEL_NONE, 1),
					   log_of("d\n", T0 + 95 * S, LEVEL_FATAL, 0) };
	(void)state;

	make_run("h", "");
	histogram_is("", HEAD("30000") "\"rows\":[],\"records\":0,\"last_seq\":0,\"partial\":false}\n");
	put_logs("h", logs, 4);
	put_logs("h", logs, 1);
	histogram_is(
	    "",
	    HEAD("30000") "\"rows\":[[1750000200000,0,0,0,2,1,0,0],[1750000230000,1,0,0,0,0,0,0],"
			  "[1750000290000,0,0,0,0,0,0,1]],\"records\":5,\"last_seq\":5,\"partial\":false}\n");
	histogram_is("rank=1&every=5m",
		     HEAD("300000") "\"rows\":[[1750000200000,1,0,0,0,1,0,0]],\"records\":2,"
				    "\"last_seq\":5,\"partial\":false}\n");
	histogram_is("points=1&level=info&end=1750000295000",
		     HEAD("64000") "\"rows\":[[1750000192000,0,0,0,2,1,0,0]],\"records\":3,\"last_seq\":5,"
				   "\"partial\":false}\n");
	refused("/v2/projects/p/runs/h/logs/histogram?follow=true", ERR_REFUSED, "follow");
	refused("/v2/projects/p/runs/h/logs/histogram?regex=(", ERR_REFUSED, "regex");
	refused("/v2/projects/p/runs/h/logs/histogram?points=0", ERR_REFUSED, "points");
}

#define SHEET 300 /* windows */

static const double odd_values[] = { 0.0, -0.0, NAN,     INFINITY, -INFINITY, 1e300, -1e300,
				     0.1, 1e-7, 1.0 / 3, 5e-324,   123456789, 1e21,  0.0001 };

/* Windows of one to three samples, some of which have no finite one; the columns of a sheet from their
 * buckets. */
static void fill_sheet(struct bucket *b, struct sheet *s, int64_t first_ns)
{
	static int64_t start[SHEET], count[SHEET];
	static double first[SHEET], last[SHEET], min[SHEET], max[SHEET];
	static struct sum sum[SHEET];

	for (size_t i = 0; i < SHEET; i++) {
		start[i] = first_ns + (int64_t)i * 30 * S;
		bucket_init(&b[i]);
		for (size_t j = 0; j <= i % 3; j++) {
			struct point p = { start[i] + (int64_t)j, STEP_NONE, odd_values[i * (j + 1) % 14] };

			assert_int_equal(bucket_add(&b[i], p), 0);
		}
		count[i] = (int64_t)b[i].count;
		first[i] = b[i].first.value;
		last[i] = b[i].last.value;
		min[i] = b[i].min;
		max[i] = b[i].max;
		sum[i] = b[i].sum;
	}
	*s = (struct sheet){ SHEET, 30 * S, start, count, first, last, min, max, sum };
}

/* JSON says of a sheet what it says of its windows, in two pieces as in one. */
static void sheets_are_written_as_rows(void **state)
{
	static const int columns[] = { AXIS_TIME, AGG_COUNT, AGG_SUM,   AGG_MIN,
				       AGG_MAX,   AGG_MEAN,  AGG_FIRST, AGG_LAST };
	static const int64_t starts[] = { 0, T0 - T0 % (30 * S), 199999990 * NS_PER_MS };
	static struct bucket b[SHEET];
	(void)state;

	for (size_t k = 0; k < 3; k++) {
		struct sheet all, piece;
		struct out rows, sheets;
		struct row_writer a = { .o = &rows }, c = { .o = &sheets };

		fill_sheet(b, &all, starts[k]);
		memcpy(a.columns.list, columns, sizeof columns);
		a.columns.n = 8;
		c.columns = a.columns;
		out_init(&rows, NULL);
		out_init(&sheets, NULL);
		for (size_t i = 0; i < SHEET; i++, a.row = true)
			form_json.row(&a, all.start_ns[i], &b[i]);
		piece = sheet_clip(&all, INT64_MIN, all.start_ns[70]);
		form_json.sheet(&c, &piece);
		c.row = true;
		piece = sheet_clip(&all, all.start_ns[70], INT64_MAX);
		form_json.sheet(&c, &piece);
		assert_int_equal(rows.b.len, sheets.b.len);
		assert_memory_equal(rows.b.data, sheets.b.data, rows.b.len);
		out_release(&rows);
		out_release(&sheets);
		for (size_t i = 0; i < SHEET; i++)
			bucket_release(&b[i]);
	}
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(csv),
		cmocka_unit_test(readers_that_go),
		cmocka_unit_test(histogram),
		cmocka_unit_test(sheets_are_written_as_rows),
	};

	return cmocka_run_group_tests_name("query/forms", tests, fixture_open, fixture_close);
}
