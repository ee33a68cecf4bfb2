#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "store/model.h"

static void run_states(void **state)
{
	(void)state;
	for (int s = RUN_QUEUED; s <= RUN_LOST; s++)
		assert_int_equal(run_state_parse(span_str(run_state_name((enum run_state)s))), s);
	assert_string_equal(run_state_name(RUN_FINISHED), "finished");
	assert_string_equal(run_state_name(RUN_LOST), "lost");
	assert_int_equal(run_state_parse(span_str("Running")), 0);
	assert_int_equal(run_state_parse(span_of("runningx", 7)), RUN_RUNNING);
	assert_int_equal(run_state_parse(span_of(NULL, 0)), 0);
}

static void levels(void **state)
{
	(void)state;
	for (int l = LEVEL_TRACE; l < LEVELS; l++)
		assert_int_equal(level_parse(span_str(level_name((enum level)l))), l);
	assert_string_equal(level_name(LEVEL_NONE), "");
	assert_int_equal(level_parse(span_str("WARNING")), LEVEL_WARN);
	assert_int_equal(level_parse(span_str("Critical")), LEVEL_FATAL);
	assert_int_equal(level_parse(span_of("errors", 5)), LEVEL_ERROR);
	assert_int_equal(level_parse(span_str("errors")), -1);
	assert_int_equal(level_parse(span_str("")), -1);
}

static void release_frees_the_spec(void **state)
{
	struct run r = { 0 };
	(void)state;

	buf_init(&r.spec_json, 100);
	assert_int_equal(buf_addstr(&r.spec_json, "{}"), 0);
	run_release(&r);
	assert_null(r.spec_json.data);
	run_release(&r);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(run_states),
		cmocka_unit_test(levels),
		cmocka_unit_test(release_frees_the_spec),
	};
	return cmocka_run_group_tests_name("model", tests, NULL, NULL);
}
