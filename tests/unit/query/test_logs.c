#include "tests/unit/query/fixture.h"

#include "query/logread.h"

#define LOGS "/v2/projects/p/runs/%s/logs%s"

/* The sequence numbers of the answer: "3 4* 5" (a star marks context), then its end or error. */
static const char *seqs(const char *run, const char *query)
{
	static char list[65536];
	char target[512], *line, *next;
	struct reply r;

	snprintf(target, sizeof target, LOGS, run, query);
	r = call(target);
	if (r.err < 0)
		fail_msg("%s: %s", target, r.fault.text);
	assert_string_equal(r.type, "application/x-ndjson");
	list[0] = 0;
	buf_cstr(&r.body);
	for (line = (char *)r.body.data; *line; line = next) {
		struct json_object *o, *v, *flag;

		next = strchr(line, '\n');
		assert_non_null(next);
		*next++ = 0;
		o = json_tokener_parse(line);
		if (json_object_object_get_ex(o, "seq", &v))
			sprintf(list + strlen(list), "%s%s", json_object_get_string(v),
				json_object_object_get_ex(o, "context", &flag) ? "* " : " ");
		else if (json_object_object_get_ex(o, "end", &v) && json_object_object_get_ex(v, "more", &v))
			strcat(list, json_object_get_boolean(v) ? "more" : "end");
		else if (json_object_object_get_ex(o, "error", &v) &&
			 json_object_object_get_ex(v, "field", &v))
			sprintf(list + strlen(list), "error in %s", json_object_get_string(v));
		else
			fail_msg("a line that is nothing: %s", line);
		json_object_put(o);
	}
	reply_release(&r);
	return list;
}

static int make_log(void **state)
{
	const char nul[] = "a\0b\n", bad[] = "caf\xe9 \xf0\x9f\x98\x80\n";
	struct log_record r[] = {
		log_of("step 1 loss 4.0\n", T0, LEVEL_INFO, 0),
		log_of("step 1 loss 4.1\n", T0 + S, LEVEL_INFO, 1),
		log_of("nan seen\n", T0 + 2 * S, LEVEL_WARN, 1),
		log_of("bars 10%\rbars 20%\r", T0 + 3 * S, LEVEL_NONE, 0),
		log_of("", T0 + 4 * S, LEVEL_INFO, 0),
		log_of("boom", T0 + 5 * S, LEVEL_ERROR, RANK_NONE),
		log_of("step 2 loss 3.0\r\n", T0 + 6 * S, LEVEL_INFO, 0),
		log_of("late \"quoted\" \x01\n", T0 - S, LEVEL_DEBUG, 3),
	};
	const struct label attrs[] = { { span_str("file"), span_str("a.py") },
				       { span_str("k\"ey"), span_str("") } };

	if (fixture_open(state) < 0)
		return -1;
	make_run("log", "");
	r[5].stream = span_str("stderr");
	r[5].attrs = attrs;
	r[5].n_attrs = 2;
	put_logs("log", r, 4);
	put_logs("log", r + 4, 4);
	r[0].text = span_of(nul, sizeof nul - 1);
	r[1].text = span_of(bad, sizeof bad - 1);
	r[1].flags = LOG_CONTINUES;
	put_logs("log", r, 2);
	return 0;
}

static void lines_have_their_shape(void **state)
{
	struct reply r = call("/v2/projects/p/runs/log/logs?after_seq=5&limit=1");
	(void)state;

	assert_string_equal(
	    buf_cstr(&r.body),
	    "{\"seq\":6,\"time\":\"2025-06-15T15:10:05Z\",\"level\":\"error\",\"stream\":\"stderr\","
	    "\"rank\":null,\"text\":\"boom\",\"attrs\":{\"file\":\"a.py\",\"k\\\"ey\":\"\"}}\n"
	    "{\"end\":{\"records\":1,\"first_seq\":1,\"last_seq\":6,\"more\":true,\"partial\":false}}\n");
	reply_release(&r);
	r = call("/v2/projects/p/runs/log/logs?after_seq=7");
	assert_string_equal(
	    buf_cstr(&r.body),
	    "{\"seq\":8,\"time\":\"2025-06-15T15:09:59Z\",\"level\":\"debug\",\"stream\":\"stdout\","
	    "\"rank\":3,\"text\":\"late \\\"quoted\\\" \\u0001\\n\",\"attrs\":{}}\n"
	    "{\"seq\":9,\"time\":\"2025-06-15T15:10:00Z\",\"level\":\"info\",\"stream\":\"stdout\",\"rank\":"
	    "0,"
	    "\"text\":\"a\\u0000b\\n\",\"attrs\":{}}\n"
	    "{\"seq\":10,\"time\":\"2025-06-15T15:10:01Z\",\"level\":\"info\",\"stream\":\"stdout\","
	    "\"rank\":1,\"text\":\"caf\xef\xbf\xbd \xf0\x9f\x98\x80\\n\",\"text_base64\":"
	    "\"Y2Fm6SDwn5iACg==\",\"attrs\":{},\"continues\":true}\n"
	    "{\"end\":{\"records\":3,\"first_seq\":1,\"last_seq\":10,\"more\":false,\"partial\":false}}\n");
	reply_release(&r);
}

static void filters(void **state)
{
	(void)state;
	assert_string_equal(seqs("log", ""), "1 2 3 4 5 6 7 8 9 10 end");
	assert_string_equal(seqs("log", "?level=warn"), "3 6 end");
	assert_string_equal(seqs("log", "?level=WARNING"), "3 6 end");
	assert_string_equal(seqs("log", "?level=trace"), "1 2 3 5 6 7 8 9 10 end"); /* 4 has no level */
	assert_string_equal(seqs("log", "?stream=stderr"), "6 end");
	assert_string_equal(seqs("log", "?rank=1"), "2 3 10 end");
	assert_string_equal(seqs("log", "?grep=loss+4"), "1 2 end");
	assert_string_equal(seqs("log", "?grep=a%00b"), "9 end");
	assert_string_equal(seqs("log", "?grep=%e9"), "10 end");
	assert_string_equal(seqs("log", "?regex=loss%20%5B34%5D.0%24"), "1 7 end"); /* $ before \r\n too */
	assert_string_equal(seqs("log", "?regex=%5E%24"), "5 end");
	assert_string_equal(seqs("log", "?regex=(%3Fi)STEP&rank=0"), "1 7 end");
	assert_string_equal(seqs("log", "?start=1750000202000&end=1750000205000"), "3 4 5 end");
	assert_string_equal(seqs("log", "?end=1750000200000"), "8 end");
	assert_string_equal(seqs("log", "?grep=step&regex=4.1"), "2 end");
	assert_string_equal(seqs("log", "?after_seq=99"), "end");
}

static void direction_and_limit(void **state)
{
	(void)state;
	assert_string_equal(seqs("log", "?direction=backward"), "10 9 8 7 6 5 4 3 2 1 end");
	assert_string_equal(seqs("log", "?direction=backward&limit=3"), "10 9 8 more");
	assert_string_equal(seqs("log", "?direction=backward&after_seq=8"), "10 9 end");
	assert_string_equal(seqs("log", "?direction=backward&rank=1&limit=2"), "10 3 more");
	assert_string_equal(seqs("log", "?limit=2"), "1 2 more");
	assert_string_equal(seqs("log", "?limit=2&after_seq=2"), "3 4 more");
	assert_string_equal(seqs("log", "?limit=2&after_seq=8"), "9 10 end");
	assert_string_equal(seqs("log", "?limit=0"), "more");
}

static void context(void **state)
{
	(void)state;
	assert_string_equal(seqs("log", "?grep=boom&context=2"), "4* 5* 6 7* 8* end");
	assert_string_equal(seqs("log", "?grep=boom&context=2&direction=backward"), "8* 7* 6 5* 4* end");
	assert_string_equal(seqs("log", "?level=warn&context=1"), "2* 3 4* 5* 6 7* end");
	assert_string_equal(seqs("log", "?level=warn&context=3"), "1* 2* 3 4* 5* 6 7* 8* 9* end");
	assert_string_equal(seqs("log", "?grep=nan&rank=1&context=1"),
			    "2* 3 10* end"); /* of that rank's log */
	assert_string_equal(seqs("log", "?grep=step&limit=1&context=1"), "1 2* more");
	assert_string_equal(seqs("log", "?grep=step&limit=2&context=1"), "1 2 3* more");
}

static void what_is_refused(void **state)
{
	(void)state;
	refused("/v2/projects/p/runs/log/logs?level=loud", ERR_REFUSED, "level");
	refused("/v2/projects/p/runs/log/logs?rank=-1", ERR_REFUSED, "rank");
	refused("/v2/projects/p/runs/log/logs?direction=up", ERR_REFUSED, "direction");
	refused("/v2/projects/p/runs/log/logs?context=1001", ERR_REFUSED, "context");
	refused("/v2/projects/p/runs/log/logs?follow=yes", ERR_REFUSED, "follow");
	refused("/v2/projects/p/runs/log/logs?follow=true&end=now", ERR_REFUSED, "end");
	refused("/v2/projects/p/runs/log/logs?follow=true&direction=backward", ERR_REFUSED, "direction");
	refused("/v2/projects/p/runs/log/logs?start=2&end=1", ERR_REFUSED, "start");
	refused("/v2/projects/p/runs/log/logs?greb=a", ERR_REFUSED, "greb");
	refused("/v2/projects/p/runs/nobody/logs", ERR_NOT_FOUND, "run");
}

static void bad_regexes_name_the_place(void **state)
{
	struct reply r = call("/v2/projects/p/runs/log/logs?regex=ab(cd");
	(void)state;

	assert_int_equal(r.err, ERR_REFUSED);
	assert_string_equal(r.fault.field, "regex");
	assert_non_null(strstr(r.fault.text, "position 5"));
	reply_release(&r);
}

static void costly_regexes_are_stopped(void **state)
{
	char text[201];
	struct log_record r;
	(void)state;

	make_run("costly", "");
	memset(text, 'a', sizeof text - 1);
	text[200] = 0;
	r = log_of(text, T0, LEVEL_INFO, 0);
	put_logs("costly", &r, 1);
	assert_string_equal(seqs("costly", "?regex=%5E(a%2B)%2B%24"), "1 end");
	assert_string_equal(seqs("costly", "?regex=%5E(a%2B)%2Bb%24"), "end"); /* there is no b at all */
	assert_string_equal(seqs("costly", "?regex=%5E(%5Ba-z%5D%2B)%2B%5B0-9%5D"), "error in regex");
}

/* Many more records than a slice takes, in many batches: each once, in order, both ways. */
static void long_logs_have_no_seams(void **state)
{
	enum { N = 90000, BATCH = 3000 };
	struct log_record *r = calloc(BATCH, sizeof *r);
	char(*text)[32] = calloc(BATCH, sizeof *text);
	struct reply a, b;
	uint64_t seq = 0;
	(void)state;

	make_run("seams", "");
	for (int i = 0; i < N; i++) {
		snprintf(text[i % BATCH], sizeof *text, "line %d\n", i);
		r[i % BATCH] = log_of(text[i % BATCH], T0 + i, LEVEL_INFO, i % 8);
		if (i % BATCH == BATCH - 1)
			put_logs("seams", r, BATCH);
	}
	a = call("/v2/projects/p/runs/seams/logs");
	b = call("/v2/projects/p/runs/seams/logs?direction=backward");
	buf_cstr(&a.body);
	for (char *line = (char *)a.body.data, *next; line[2] == 's'; line = next) {
		next = strchr(line, '\n') + 1;
		next[-1] = 0;
		assert_int_equal(strtoull(line + 7, NULL, 10), ++seq);
		snprintf(text[0], sizeof *text, "\"line %llu\\n\"", (unsigned long long)seq - 1);
		assert_non_null(strstr(line, text[0]));
	}
	assert_int_equal(seq, N);
	buf_cstr(&b.body);
	for (char *line = (char *)b.body.data; line[2] == 's'; line = strchr(line, '\n') + 1)
		assert_int_equal(strtoull(line + 7, NULL, 10), seq--);
	assert_int_equal(seq, 0);
	reply_release(&a);
	reply_release(&b);
	assert_string_equal(seqs("seams", "?grep=line+77777&context=1"), "77777* 77778 77779* end");
	free(r);
	free(text);
}

/* ---- following in this process ---- */

struct following {
	struct reply reply;
	const char *run;
	int lines, last; /* to stop after; how many came */
};

static int follow_write(void *arg, struct span s)
{
	struct following *f = arg;
	struct log_record r = log_of("live\n", T0, LEVEL_INFO, 0);

	for (size_t i = 0; i < s.len; i++)
		f->lines += s.data[i] == '\n' && s.len > 1;
	buf_add(&f->reply.body, s.data, s.len);
	if (f->lines >= f->last)
		return ERR_GONE;
	put_logs(f->run, &r, 1); /* while the follower is at work */
	return 0;
}

static void follow(const char *run, const char *query, int lines, uint64_t first_seq)
{
	struct following f = { .run = run, .last = lines };
	const struct api_sink sink = { reply_begin, follow_write, &f };
	char path[64];
	struct api_request rq = { .method = span_str("GET"),
				  .path = span_of(path, (size_t)snprintf(path, sizeof path, LOGS, run, "")),
				  .query = span_str(query),
				  .caller = &owner };
	const char *line;

	buf_init(&f.reply.body, 1 << 20);
	assert_int_equal(api_call(fixture_store, &rq, &sink, &f.reply.fault), ERR_GONE);
	line = buf_cstr(&f.reply.body);
	for (int i = 0; i < lines; i++) {
		assert_int_equal(strtoull(line + 7, NULL, 10), first_seq + (uint64_t)i);
		line = strchr(line, '\n') + 1;
	}
	reply_release(&f.reply);
}

static void followers_start_where_they_ask(void **state)
{
	struct log_record r[30];
	(void)state;

	make_run("followed", "");
	for (int i = 0; i < 30; i++)
		r[i] = log_of(i % 10 == 0 ? "ten\n" : "line\n", T0 + i * S, LEVEL_INFO, 0);
	put_logs("followed", r, 30);
	follow("followed", "follow=true&after_seq=28", 5, 29);
	follow("followed", "follow=true&after_seq=18&grep=ten&context=2", 5, 19);
}

/* What stands after a record that is found may be yet to come. */
static void followers_get_context_as_it_comes(void **state)
{
	struct log_record r[4];
	(void)state;

	make_run("awaited", "");
	for (int i = 0; i < 4; i++)
		r[i] = log_of(i == 3 ? "ten\n" : "line\n", T0 + i * S, LEVEL_INFO, 0);
	put_logs("awaited", r, 4);
	follow("awaited", "follow=true&after_seq=0&grep=ten&context=2", 5, 2);
}

static void tail_starts(void **state)
{
	static const struct {
		const char *query;
		uint64_t from;
	} cases[] = {
		{ "follow=true", 21 },
		{ "follow=true&limit=3", 28 },
		{ "follow=true&limit=0", 31 },
		{ "follow=true&limit=1000", 1 },
		{ "follow=true&grep=ten&limit=2", 11 },
		{ "follow=true&grep=none", 31 },
		{ "follow=true&grep=ten&limit=9", 1 },
	};
	struct log_record r[30];
	struct run_ref ref;
	(void)state;

	make_run("tailed", "");
	for (int i = 0; i < 30; i++)
		r[i] = log_of(i % 10 == 0 ? "ten\n" : "line\n", T0 + i * S, LEVEL_INFO, 0);
	put_logs("tailed", r, 30);
	assert_int_equal(store_run_find(fixture_store, "p", "tailed", &ref), 0);
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		struct log_ask ask;
		struct fault f = { 0 };
		uint64_t from = 0;

		assert_int_equal(log_ask_parse(span_str(cases[i].query), clock_now_ns(), &ask, &f), 0);
		assert_int_equal(log_tail_start(fixture_store, &ask, ref.rid, &from, &f), 0);
		if (from != cases[i].from)
			fail_msg("%s starts at %llu", cases[i].query, (unsigned long long)from);
		log_ask_release(&ask);
	}
}

/* Parts that go while a view is old: the rest of the slice is read under a newer one, which has more. */
static void followers_get_each_once_while_parts_go(void **state)
{
	const int64_t t = clock_now_ns() - 5 * NS_PER_DAY;
	struct log_record r[] = { log_of("one\n", t, LEVEL_INFO, 0), log_of("two\n", t + S, LEVEL_INFO, 0) };
	struct compact_report report = { 0 };
	struct log_reader reader;
	struct log_ask ask;
	struct fault f = { 0 };
	struct view *v;
	struct run run;
	struct out o;
	size_t lines = 0;
	(void)state;

	make_run("moved", "");
	put_logs("moved", r, 2);
	assert_int_equal(store_compact(fixture_store, clock_now_ns(), false, NULL, NULL, NULL, &report), 0);
	assert_int_equal(view_open(fixture_store, &v), 0);
	assert_int_equal(view_run(v, "p", "moved", &run), 0);
	put_logs("moved", r, 2);
	assert_int_equal(store_compact(fixture_store, clock_now_ns(), false, NULL, NULL, NULL, &report), 0);
	assert_int_equal(report.log_parts, 1);
	assert_int_equal(log_ask_parse(span_str("follow=true"), clock_now_ns(), &ask, &f), 0);
	assert_int_equal(log_reader_init(&reader, &ask, run.rid, v), 0);
	out_init(&o, NULL);
	for (int slice = 0; slice < 3; slice++) {
		assert_int_equal(log_slice(&reader, v, &o, 1 << 20, &f), 0);
		view_close(v);
		assert_int_equal(view_open(fixture_store, &v), 0);
	}
	for (size_t i = 0; i < o.b.len; i++)
		lines += o.b.data[i] == '\n';
	assert_int_equal(lines, 4);
	view_close(v);
	run_release(&run);
	log_reader_release(&reader);
	log_ask_release(&ask);
	out_release(&o);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(lines_have_their_shape),
		cmocka_unit_test(filters),
		cmocka_unit_test(direction_and_limit),
		cmocka_unit_test(context),
		cmocka_unit_test(what_is_refused),
		cmocka_unit_test(bad_regexes_name_the_place),
		cmocka_unit_test(costly_regexes_are_stopped),
		cmocka_unit_test(long_logs_have_no_seams),
		cmocka_unit_test(followers_start_where_they_ask),
		cmocka_unit_test(followers_get_context_as_it_comes),
		cmocka_unit_test(tail_starts),
		cmocka_unit_test(followers_get_each_once_while_parts_go), /* what is old goes, too */
	};

	return cmocka_run_group_tests_name("query/logs", tests, make_log, fixture_close);
}
