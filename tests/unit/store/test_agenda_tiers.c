/*
 * What is made of coarser tiers and what goes, from tables of what there is.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "store/compact/expiry.h"

#define HOUR    AGENDA_HOUR_NS
#define DAY     AGENDA_DAY_NS
#define SECOND  NS_PER_S
#define M5      (300 * SECOND)
#define M10     (600 * SECOND)
#define M15     (900 * SECOND)
#define H1      HOUR
#define SLOT_1H (32 * DAY)
#define SLOT_1D (256 * DAY)
#define T0      (80 * SLOT_1D) /* a slot of every tier begins here */
#define LATE    (T0 + 2 * SLOT_1D)

static const struct policy usual = {
	.tiers = { { 30 * SECOND, 14 * DAY }, { M5, 90 * DAY }, { H1, 730 * DAY }, { DAY, KEEP_FOREVER } },
	.n_tiers = 4
};
static struct policy policy;

static struct part_row parts[64];
static struct agenda_flush flushes[8];
static struct agenda_hour hours[8];
static struct agenda_slot bad[1];
static size_t n_parts, n_flushes, n_bad;
static int64_t late_ns;
static struct agenda_job *jobs;
static struct expiry *gone;
static size_t n_jobs, n_gone;

static int start(void **state)
{
	(void)state;
	n_parts = n_flushes = n_bad = n_jobs = n_gone = 0;
	jobs = NULL;
	gone = NULL;
	policy = usual;
	late_ns = 900 * SECOND;
	return 0;
}

static int stop(void **state)
{
	(void)state;
	free(jobs);
	free(gone);
	return 0;
}

static int compare_part(const void *a, const void *b)
{
	const struct part_id *x = a, *y = b;

	if (x->tier_ns != y->tier_ns)
		return x->tier_ns < y->tier_ns ? -1 : 1;
	return (x->from_ns > y->from_ns) - (x->from_ns < y->from_ns);
}

static struct part_row *part(int64_t tier, int64_t from, int64_t length, uint64_t number)
{
	parts[n_parts++] = (struct part_row){ .id = { 1, tier, from, from + length, number },
					      .summary = { .buckets = 100 },
					      .upto = 5 };
	return &parts[n_parts - 1];
}

static void flush(uint64_t number, int64_t hour, uint64_t buckets, int64_t seen)
{
	hours[n_flushes] = (struct agenda_hour){ 1, hour, buckets };
	flushes[n_flushes] = (struct agenda_flush){ number, seen, &hours[n_flushes], 1 };
	n_flushes++;
}

static struct agenda_state all(void)
{
	qsort(parts, n_parts, sizeof(*parts), compare_part);
	return (struct agenda_state){ { parts, n_parts, 0 }, flushes, n_flushes, bad, n_bad };
}

static size_t plan(int64_t now)
{
	const struct agenda_rules rules = { 600 * SECOND, late_ns, &policy };
	struct agenda_state s = all();

	free(jobs);
	jobs = NULL;
	assert_int_equal(agenda_jobs(&s, &rules, 1, now, &jobs, &n_jobs), 0);
	return n_jobs;
}

static size_t expire(int64_t now)
{
	struct agenda_state s = all();

	free(gone);
	gone = NULL;
	assert_int_equal(expiry_list(&s, &policy, now, &gone, &n_gone), 0);
	return n_gone;
}

static void assert_job(size_t i, int64_t tier, int64_t from, int64_t length)
{
	assert_true(i < n_jobs);
	assert_int_equal(jobs[i].tier_ns, tier);
	assert_int_equal(jobs[i].from_ns, from);
	assert_int_equal(jobs[i].to_ns, from + length);
}

static void assert_gone(size_t i, enum expiry_way way, int64_t tier, int64_t from, int64_t length)
{
	assert_true(i < n_gone);
	assert_int_equal(gone[i].way, way);
	assert_int_equal(gone[i].slot.tier_ns, tier);
	assert_int_equal(gone[i].slot.from_ns, from);
	assert_int_equal(gone[i].slot.to_ns, from + length);
}

/* ---- what is made ---- */

static void test_tier_by_tier(void **state)
{
	(void)state;
	part(0, T0, DAY, 1);
	part(0, T0 + DAY, DAY, 2);
	assert_int_equal(plan(T0 + DAY + 599 * SECOND), 0);
	assert_int_equal(plan(T0 + DAY + 600 * SECOND), 1);
	assert_int_equal(plan(LATE), 2); /* coarser ones come when these are there */
	assert_job(0, M5, T0, DAY);
	assert_job(1, M5, T0 + DAY, DAY);
	part(M5, T0, DAY, 3);
	part(M5, T0 + DAY, DAY, 4);
	assert_int_equal(plan(T0 + SLOT_1H), 0);
	assert_int_equal(plan(LATE), 1);
	assert_job(0, H1, T0, SLOT_1H);
	part(H1, T0, SLOT_1H, 5);
	assert_int_equal(plan(LATE), 1);
	assert_job(0, DAY, T0, SLOT_1D);
	part(DAY, T0, SLOT_1D, 6);
	assert_int_equal(plan(LATE), 0);
}

static void test_a_younger_part_makes_coarser_ones_stale(void **state)
{
	(void)state;
	part(0, T0, DAY, 9);
	part(M5, T0, DAY, 2);
	part(H1, T0, SLOT_1H, 3);
	part(DAY, T0, SLOT_1D, 4);
	assert_int_equal(plan(LATE), 1);
	assert_job(0, M5, T0, DAY);
	assert_false(jobs[0].alone);
}

static void test_hours_come_before_their_day_rolls_up(void **state)
{
	(void)state;
	part(0, T0, HOUR, 1);
	part(0, T0 + HOUR, HOUR, 2);
	assert_int_equal(plan(LATE), 1);
	assert_job(0, 0, T0, DAY);
}

static void test_what_waits_blocks_its_slots(void **state)
{
	(void)state;
	part(0, T0, DAY, 1);
	part(0, T0 + DAY, DAY, 2);
	part(M5, T0, DAY, 3);
	flush(6, T0 + DAY, 1, LATE); /* too little, too new to be folded */
	assert_int_equal(plan(LATE), 0);
	assert_int_equal(plan(LATE + 900 * SECOND), 1);
	assert_job(0, 0, T0 + DAY, DAY);
	flushes[0].number = 5; /* it is folded */
	assert_int_equal(plan(LATE), 1);
	assert_job(0, M5, T0 + DAY, DAY);
}

/* On demand: what is folded must not hang on whether it came before the time that was named. */
static void test_nothing_late_waits_on_demand(void **state)
{
	(void)state;
	part(0, T0, DAY, 1);
	flush(6, T0 + HOUR, 1, LATE + HOUR);
	assert_int_equal(plan(LATE), 0);
	late_ns = 0;
	assert_int_equal(plan(LATE), 1);
	assert_job(0, 0, T0, DAY);
}

static void test_late_where_finer_parts_are_gone(void **state)
{
	(void)state;
	part(M5, T0, DAY, 3)->alone = true;
	part(H1, T0, SLOT_1H, 4);
	flush(6, T0 + HOUR, 50, LATE);
	assert_int_equal(plan(LATE), 1);
	assert_job(0, M5, T0, DAY);
	assert_true(jobs[0].alone);
	assert_int_equal(jobs[0].upto, 6);
	/* of a day of which there is nothing: that is young, and becomes a part of the first tier */
	hours[0].from_ns = T0 + 9 * DAY;
	assert_int_equal(plan(LATE), 1);
	assert_job(0, 0, T0 + 9 * DAY, DAY);
	/* nothing finer is left in the whole slot */
	n_parts = 0;
	part(H1, T0, SLOT_1H, 4)->alone = true;
	assert_int_equal(plan(LATE), 1);
	assert_job(0, H1, T0, SLOT_1H);
	assert_true(jobs[0].alone);
}

/* A part with a run that is gone is made again, a coarse one not before it can be what finer ones are. */
static void test_gone_runs(void **state)
{
	(void)state;
	part(0, T0, DAY, 1);
	part(M5, T0, DAY, 2)->gone = true;
	assert_int_equal(plan(LATE), 1);
	assert_job(0, M5, T0, DAY);
	assert_false(jobs[0].alone);
	flush(6, T0 + HOUR, 1, LATE); /* it waits for the finer part */
	assert_int_equal(plan(LATE), 0);
	n_parts = 0;
	part(M5, T0, DAY, 2)->gone = true;
	parts[0].alone = true;
	assert_int_equal(plan(LATE), 1);
	assert_job(0, M5, T0, DAY);
	assert_true(jobs[0].alone);
}

static void test_bad_slots_are_left(void **state)
{
	(void)state;
	part(0, T0, DAY, 1);
	part(0, T0 + DAY, DAY, 2);
	bad[n_bad++] = (struct agenda_slot){ 1, M5, T0 };
	assert_int_equal(plan(LATE), 1);
	assert_job(0, M5, T0 + DAY, DAY);
	part(M5, T0 + DAY, DAY, 3);
	assert_int_equal(plan(LATE), 1); /* whether that can be made shows when it is */
	assert_job(0, H1, T0, SLOT_1H);
	bad[0].pid = 2;
	assert_int_equal(plan(LATE), 1);
	assert_job(0, M5, T0, DAY);
}

static void test_a_tier_that_the_finest_does_not_divide(void **state)
{
	(void)state;
	policy.tiers[1] = (struct policy_tier){ M15, KEEP_FOREVER };
	part(M10, T0, DAY, 1)->alone = true; /* of a policy of before */
	assert_int_equal(plan(LATE), 1);
	assert_job(0, H1, T0, SLOT_1H);
	part(0, T0 + DAY, DAY, 2);
	assert_int_equal(plan(LATE), 1);
	assert_job(0, M15, T0 + DAY, DAY);
}

/* ---- what goes ---- */

/* A day, and all that is made of it. */
static void all_tiers(void)
{
	part(0, T0, DAY, 1);
	part(M5, T0, DAY, 2);
	part(H1, T0, SLOT_1H, 3);
	part(DAY, T0, SLOT_1D, 4);
}

static void test_age_counts_from_end_or_arrival(void **state)
{
	(void)state;
	all_tiers();
	assert_int_equal(expire(T0 + 15 * DAY), 0);
	assert_int_equal(expire(T0 + 15 * DAY + 1), 1);
	assert_gone(0, EXPIRY_DROP, 0, T0, DAY);
	parts[0].arrived_ns = LATE;
	assert_int_equal(expire(LATE + 14 * DAY), 0);
	assert_int_equal(expire(LATE + 14 * DAY + 1), 1);
}

static void test_only_what_the_next_tier_has(void **state)
{
	(void)state;
	part(0, T0, DAY, 1);
	assert_int_equal(expire(LATE), 0);
	part(M5, T0, DAY, 2);
	assert_int_equal(expire(LATE), 1);
	parts[0].id.number = 3; /* younger than the coarser one */
	assert_int_equal(expire(LATE), 0);
}

static void test_all_of_a_coarser_slot_together(void **state)
{
	(void)state;
	part(M5, T0, DAY, 1)->alone = true;
	part(M5, T0 + 20 * DAY, DAY, 2)->alone = true;
	part(H1, T0, SLOT_1H, 3);
	assert_int_equal(expire(T0 + 21 * DAY + 90 * DAY), 0); /* the later one is not old yet */
	assert_int_equal(expire(T0 + 21 * DAY + 90 * DAY + 1), 1);
	assert_gone(0, EXPIRY_DROP, M5, T0, SLOT_1H);
	part(0, T0 + 20 * DAY, DAY, 1)->arrived_ns = LATE; /* the finest goes first */
	parts[0].alone = false;
	assert_int_equal(expire(LATE), 0);
	assert_int_equal(expire(LATE + 15 * DAY), 1);
	assert_gone(0, EXPIRY_DROP, 0, T0 + 20 * DAY, DAY);
}

static void test_kept_for_ever(void **state)
{
	(void)state;
	all_tiers();
	policy.tiers[0].keep_ns = KEEP_FOREVER;
	assert_int_equal(expire(INT64_MAX), 0);
}

static void test_a_tier_that_is_no_longer_named(void **state)
{
	(void)state;
	part(M5, T0, DAY, 2)->alone = true;
	part(H1, T0, SLOT_1H, 3);
	policy.tiers[1].every_ns = M10;
	assert_int_equal(expire(LATE), 0); /* 10 min are to be made of it first */
	part(M10, T0, DAY, 4);
	assert_int_equal(expire(LATE), 1);
	assert_gone(0, EXPIRY_DROP, M5, T0, DAY);
	/* one that is out of date serves nobody: the next policy does not make it again */
	n_parts = 0;
	part(0, T0, DAY, 9);
	part(M5, T0, DAY, 2);
	part(M10, T0, DAY, 10);
	assert_int_equal(expire(T0 + DAY), 1);
	assert_gone(0, EXPIRY_DROP, M5, T0, DAY);
}

static void test_the_last_tier_goes_to_totals(void **state)
{
	struct part_row *last = part(DAY, T0, SLOT_1D, 4);

	(void)state;
	last->alone = true;
	assert_int_equal(expire(INT64_MAX), 0);
	policy.tiers[3].keep_ns = 1000 * DAY;
	assert_int_equal(expire(T0 + SLOT_1D + 1000 * DAY), 0);
	assert_int_equal(expire(T0 + SLOT_1D + 1000 * DAY + 1), 1);
	assert_gone(0, EXPIRY_TOTAL, DAY, T0, SLOT_1D);
	/* not before the blocks are gone that it was made from: they would count again */
	flush(5, T0 + 7 * DAY, 1, T0);
	assert_int_equal(expire(T0 + 9 * SLOT_1D), 0);
	flushes[0].number = 6;
	assert_int_equal(expire(T0 + 9 * SLOT_1D), 1);
	hours[0].from_ns = T0 + SLOT_1D;
	flushes[0].number = 5;
	assert_int_equal(expire(T0 + 9 * SLOT_1D), 1);
	part(H1, T0, SLOT_1H, 3); /* its own finer parts first */
	assert_int_equal(expire(T0 + 9 * SLOT_1D), 1);
	assert_gone(0, EXPIRY_DROP, H1, T0, SLOT_1D);
}

/* ---- what is read ---- */

struct pieces {
	const struct part_row *row[8];
	int64_t from[8], to[8];
	size_t n;
};

static int piece(void *arg, const struct part_row *row, int64_t from, int64_t to)
{
	struct pieces *p = arg;

	p->row[p->n] = row;
	p->from[p->n] = from;
	p->to[p->n++] = to;
	return 0;
}

static struct pieces pieces_of(int64_t width, int64_t from, int64_t to)
{
	struct pieces p = { .n = 0 };
	struct agenda_state s = all();

	assert_int_equal(cover_pieces(&s.parts, width, from, to, piece, &p), 0);
	return p;
}

static void assert_piece(const struct pieces *p, size_t i, int64_t tier, int64_t from, int64_t to)
{
	assert_true(i < p->n);
	assert_int_equal(p->row[i]->id.tier_ns, tier);
	assert_int_equal(p->from[i], from);
	assert_int_equal(p->to[i], to);
}

static void test_pieces(void **state)
{
	struct pieces p;

	(void)state;
	part(0, T0, DAY, 1);
	part(0, T0 + DAY, DAY, 9); /* late data made it again */
	part(0, T0 + 2 * DAY, HOUR, 8);
	part(M5, T0, DAY, 2);
	part(M5, T0 + DAY, DAY, 3);
	part(H1, T0, SLOT_1H, 4);
	p = pieces_of(0, T0, T0 + 4 * DAY);
	assert_piece(&p, 0, 0, T0, T0 + DAY);
	assert_piece(&p, 1, 0, T0 + DAY, T0 + 2 * DAY);
	assert_piece(&p, 2, 0, T0 + 2 * DAY, T0 + 2 * DAY + HOUR);
	p = pieces_of(M10, T0 - DAY, T0 + 2 * DAY);
	assert_int_equal(p.n, 2);
	assert_piece(&p, 0, M5, T0, T0 + DAY);
	assert_piece(&p, 1, 0, T0 + DAY, T0 + 2 * DAY); /* the coarser ones are out of date there */
	p = pieces_of(6 * H1, T0, T0 + SLOT_1H);
	assert_int_equal(p.n, 4);
	assert_piece(&p, 0, H1, T0, T0 + DAY);
	assert_piece(&p, 1, 0, T0 + DAY, T0 + 2 * DAY);
	assert_piece(&p, 2, 0, T0 + 2 * DAY, T0 + 2 * DAY + HOUR);
	assert_piece(&p, 3, H1, T0 + 2 * DAY + HOUR, T0 + SLOT_1H);
	p = pieces_of(7 * SECOND, T0, T0 + DAY); /* no coarser windows make those up */
	assert_int_equal(p.n, 1);
	assert_piece(&p, 0, 0, T0, T0 + DAY);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, start, stop)
	const struct CMUnitTest tests[] = {
		TEST(test_tier_by_tier),
		TEST(test_a_younger_part_makes_coarser_ones_stale),
		TEST(test_hours_come_before_their_day_rolls_up),
		TEST(test_what_waits_blocks_its_slots),
		TEST(test_nothing_late_waits_on_demand),
		TEST(test_late_where_finer_parts_are_gone),
		TEST(test_gone_runs),
		TEST(test_bad_slots_are_left),
		TEST(test_a_tier_that_the_finest_does_not_divide),
		TEST(test_age_counts_from_end_or_arrival),
		TEST(test_only_what_the_next_tier_has),
		TEST(test_all_of_a_coarser_slot_together),
		TEST(test_kept_for_ever),
		TEST(test_a_tier_that_is_no_longer_named),
		TEST(test_the_last_tier_goes_to_totals),
		TEST(test_pieces),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
