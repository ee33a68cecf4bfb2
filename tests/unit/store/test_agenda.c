/*
 * What the compactor does next, from tables of what there is.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "store/compact/agenda.h"

#define MINUTE (60 * NS_PER_S)
#define DAY    (INT64_C(20000) * AGENDA_DAY_NS)

/* One tier: of others see below. */
static const struct policy fine = { .tiers = { { 30 * NS_PER_S, KEEP_FOREVER } }, .n_tiers = 1 };
static struct policy policy;

static struct part_row parts[64];
static struct agenda_flush flushes[32];
static struct agenda_hour hours[32];
static struct agenda_slot bad[4];
static size_t n_parts, n_flushes, n_bad;
static struct agenda_job *jobs;
static size_t n_jobs;

static int start(void **state)
{
	(void)state;
	n_parts = n_flushes = n_bad = n_jobs = 0;
	jobs = NULL;
	policy = fine;
	return 0;
}

static int stop(void **state)
{
	(void)state;
	free(jobs);
	return 0;
}

static void part(int64_t from, int64_t to, uint64_t upto, uint64_t buckets)
{
	parts[n_parts] = (struct part_row){ .id = { 1, TIER_RECORDED, from, to, n_parts + 1 },
					    .summary = { .buckets = buckets },
					    .upto = upto };
	n_parts++;
}

/* A flush of one hour. */
static void flush(uint64_t number, int64_t hour, uint64_t buckets, int64_t seen)
{
	hours[n_flushes] = (struct agenda_hour){ 1, hour, buckets };
	flushes[n_flushes] = (struct agenda_flush){ number, seen, &hours[n_flushes], 1 };
	n_flushes++;
}

static struct agenda_state all(void)
{
	return (struct agenda_state){ { parts, n_parts, 0 }, flushes, n_flushes, bad, n_bad };
}

static size_t plan(int64_t now)
{
	const struct agenda_rules rules = { 10 * MINUTE, 15 * MINUTE, &policy };
	struct agenda_state s = all();

	free(jobs);
	jobs = NULL;
	assert_int_equal(agenda_jobs(&s, &rules, 1, now, &jobs, &n_jobs), 0);
	return n_jobs;
}

static void assert_job(size_t i, int64_t from, int64_t to, uint64_t upto)
{
	assert_true(i < n_jobs);
	assert_int_equal(jobs[i].from_ns, from);
	assert_int_equal(jobs[i].to_ns, to);
	assert_int_equal(jobs[i].upto, upto);
}

static void test_nothing(void **state)
{
	(void)state;
	assert_int_equal(plan(DAY), 0);
	part(DAY, DAY + AGENDA_DAY_NS, 9, 100);
	assert_int_equal(plan(DAY + 5 * AGENDA_DAY_NS), 0);
}

/* The finer part first; the coarser one is then made of it, or of itself where no finer one is left. */
static void test_parts_with_runs_that_are_gone(void **state)
{
	const struct policy two = {
		.tiers = { { 30 * NS_PER_S, KEEP_FOREVER }, { 300 * NS_PER_S, KEEP_FOREVER } }, .n_tiers = 2
	};
	(void)state;
	policy = two;
	part(DAY, DAY + AGENDA_DAY_NS, 9, 100);
	part(DAY, DAY + AGENDA_DAY_NS, 9, 20);
	parts[1].id.tier_ns = 300 * NS_PER_S;
	assert_int_equal(plan(DAY + 5 * AGENDA_DAY_NS), 0);
	parts[0].gone = parts[1].gone = true;
	assert_int_equal(plan(DAY + 5 * AGENDA_DAY_NS), 1);
	assert_job(0, DAY, DAY + AGENDA_DAY_NS, 9);
	assert_int_equal(jobs[0].tier_ns, TIER_RECORDED);
	parts[0].gone = false;
	parts[0].id.number = 3;
	assert_int_equal(plan(DAY + 5 * AGENDA_DAY_NS), 1);
	assert_int_equal(jobs[0].tier_ns, 300 * NS_PER_S);
	assert_false(jobs[0].alone);
	parts[0] = parts[1];
	parts[0].alone = true;
	n_parts = 1;
	assert_int_equal(plan(DAY + 5 * AGENDA_DAY_NS), 1);
	assert_int_equal(jobs[0].tier_ns, 300 * NS_PER_S);
	assert_true(jobs[0].alone);
}

static void test_an_hour_is_sealed_when_it_has_settled(void **state)
{
	(void)state;
	flush(1, DAY, 50, DAY);
	flush(2, DAY + AGENDA_HOUR_NS, 50, DAY);
	assert_int_equal(plan(DAY + AGENDA_HOUR_NS + 10 * MINUTE - 1), 0);
	assert_int_equal(plan(DAY + AGENDA_HOUR_NS + 10 * MINUTE), 1);
	assert_job(0, DAY, DAY + AGENDA_HOUR_NS, 2);
	assert_int_equal(jobs[0].pending, 50);
}

static void test_an_old_day_is_sealed_whole(void **state)
{
	(void)state;
	flush(1, DAY + 3 * AGENDA_HOUR_NS, 5, DAY);
	flush(2, DAY + 7 * AGENDA_HOUR_NS, 5, DAY);
	flush(3, DAY - 9 * AGENDA_DAY_NS + 4 * AGENDA_HOUR_NS, 5, DAY);
	assert_int_equal(plan(DAY + 30 * AGENDA_DAY_NS), 2);
	assert_job(0, DAY - 9 * AGENDA_DAY_NS, DAY - 8 * AGENDA_DAY_NS, 3);
	assert_job(1, DAY, DAY + AGENDA_DAY_NS, 3);
}

static void test_hours_become_their_day(void **state)
{
	(void)state;
	part(DAY, DAY + AGENDA_HOUR_NS, 4, 100);
	part(DAY + 5 * AGENDA_HOUR_NS, DAY + 6 * AGENDA_HOUR_NS, 8, 100);
	assert_int_equal(plan(DAY + AGENDA_DAY_NS + 10 * MINUTE - 1), 0);
	assert_int_equal(plan(DAY + AGENDA_DAY_NS + 10 * MINUTE), 1);
	assert_job(0, DAY, DAY + AGENDA_DAY_NS, 8); /* never behind what a part has folded */
	assert_int_equal(jobs[0].parts, 2);
}

static void test_late_data_waits_unless_it_is_much(void **state)
{
	int64_t now = DAY + 5 * AGENDA_DAY_NS;

	(void)state;
	part(DAY, DAY + AGENDA_DAY_NS, 4, 1000);
	flush(4, DAY, 999, now); /* folded */
	assert_int_equal(plan(now + AGENDA_DAY_NS), 0);
	flush(5, DAY + AGENDA_HOUR_NS, 100, now);
	assert_int_equal(plan(now + 15 * MINUTE - 1), 0);
	assert_int_equal(plan(now + 15 * MINUTE), 1);
	assert_job(0, DAY, DAY + AGENDA_DAY_NS, 5);
	flush(6, DAY + 2 * AGENDA_HOUR_NS, 150, now + MINUTE);
	assert_int_equal(plan(now + MINUTE), 1);
	assert_job(0, DAY, DAY + AGENDA_DAY_NS, 6);
	assert_int_equal(jobs[0].pending, 250);
}

static void test_late_for_an_hour_of_today(void **state)
{
	int64_t now = DAY + 5 * AGENDA_HOUR_NS;

	(void)state;
	part(DAY + AGENDA_HOUR_NS, DAY + 2 * AGENDA_HOUR_NS, 4, 10);
	flush(5, DAY + AGENDA_HOUR_NS, 10, now);
	assert_int_equal(plan(now), 1);
	assert_job(0, DAY + AGENDA_HOUR_NS, DAY + 2 * AGENDA_HOUR_NS, 5);
}

static void test_part_wider_than_the_slot(void **state)
{
	(void)state;
	part(DAY, DAY + AGENDA_DAY_NS, 4, 10); /* made on demand, before the day was over */
	flush(5, DAY + 3 * AGENDA_HOUR_NS, 10, DAY);
	assert_int_equal(plan(DAY + 5 * AGENDA_HOUR_NS), 1);
	assert_job(0, DAY, DAY + AGENDA_DAY_NS, 5);
}

static void test_folded(void **state)
{
	struct agenda_hour two[2] = { { 1, DAY, 1 }, { 1, DAY + 30 * AGENDA_HOUR_NS, 1 } };
	struct agenda_flush f = { 5, DAY, two, 2 }, empty = { 6, DAY, NULL, 0 };
	struct agenda_state s;

	(void)state;
	part(DAY, DAY + AGENDA_HOUR_NS, 5, 1);
	s = all();
	assert_false(agenda_folded(&s, &f)); /* its other hour is in no part */
	part(DAY + AGENDA_DAY_NS, DAY + 2 * AGENDA_DAY_NS, 4, 1);
	s = all();
	assert_false(agenda_folded(&s, &f)); /* in a part that is older than it */
	parts[1].upto = 5;
	assert_true(agenda_folded(&s, &f));
	assert_true(agenda_folded(&s, &empty));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_nothing, start, stop),
		cmocka_unit_test_setup_teardown(test_parts_with_runs_that_are_gone, start, stop),
		cmocka_unit_test_setup_teardown(test_an_hour_is_sealed_when_it_has_settled, start, stop),
		cmocka_unit_test_setup_teardown(test_an_old_day_is_sealed_whole, start, stop),
		cmocka_unit_test_setup_teardown(test_hours_become_their_day, start, stop),
		cmocka_unit_test_setup_teardown(test_late_data_waits_unless_it_is_much, start, stop),
		cmocka_unit_test_setup_teardown(test_late_for_an_hour_of_today, start, stop),
		cmocka_unit_test_setup_teardown(test_part_wider_than_the_slot, start, stop),
		cmocka_unit_test_setup_teardown(test_folded, start, stop),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
