/*
 * The tables in memory that turn names into numbers, against plain arrays: names come, go and come back
 * in any order, and each is found exactly while it is there.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "store/registry/run.h"
#include "store/registry/series.h"

#define NAMES 400
#define STEPS 60000

static uint64_t seed = 88172645463325252ULL;

static uint64_t chance(uint64_t n)
{
	seed ^= seed << 13;
	seed ^= seed >> 7;
	seed ^= seed << 17;
	return seed % n;
}

/* ---- runs ---- */

struct model {
	uint32_t owner[NAMES]; /* rid of the run that has the name; 0: nobody */
	uint32_t name[STEPS];  /* of each rid */
	uint8_t state[STEPS];  /* of each rid: 0 gone, 1 there, 2 deleted */
};

static void add_run(struct runs *rs, struct model *m, uint32_t rid, uint32_t name)
{
	struct run r = { .rid = rid, .pid = 1, .state = RUN_RUNNING, .window_ns = rid, .project = "p" };

	snprintf(r.id, sizeof(r.id), "run%u", name);
	r.deleted_ns = m->owner[name] ? 1 : 0; /* as recovery finds those whose name is taken */
	assert_int_equal(runs_add(rs, &r), 0);
	m->name[rid] = name;
	m->state[rid] = r.deleted_ns ? 2 : 1;
	if (!r.deleted_ns)
		m->owner[name] = rid;
}

static void change_run(struct runs *rs, struct model *m, uint32_t rid)
{
	uint32_t name = m->name[rid];

	if (m->state[rid] == 1) {
		assert_int_equal(runs_set_deleted(rs, rid, true), 0);
		m->state[rid] = 2;
		m->owner[name] = 0;
	} else if (m->state[rid] == 2 && chance(2) && !m->owner[name]) {
		assert_int_equal(runs_set_deleted(rs, rid, false), 0);
		m->state[rid] = 1;
		m->owner[name] = rid;
	} else if (m->state[rid] == 2) {
		runs_remove(rs, rid);
		m->state[rid] = 0;
	}
}

static void check_runs(struct runs *rs, const struct model *m, uint32_t n_rids)
{
	char project[ID_MAX + 1];

	for (uint32_t name = 0; name < NAMES; name++) {
		struct run_ref ref = { 0 };
		char id[32];

		snprintf(id, sizeof(id), "run%u", name);
		assert_int_equal(runs_find(rs, "p", id, &ref), m->owner[name] ? 0 : ERR_NOT_FOUND);
		assert_int_equal(ref.rid, m->owner[name]);
	}
	for (uint32_t rid = 1; rid < n_rids; rid++) {
		assert_int_equal(runs_known(rs, rid), m->state[rid] != 0);
		assert_int_equal(runs_project(rs, rid, project), m->state[rid] == 1);
	}
}

static void runs_are_found_while_they_are_there(void **state)
{
	struct model *m = calloc(1, sizeof(*m));
	struct runs rs;
	uint32_t n = 1;
	(void)state;

	assert_int_equal(runs_init(&rs), 0);
	for (int i = 0; i < STEPS; i++) {
		if (n == 1 || (n < STEPS && chance(4) == 0))
			add_run(&rs, m, n++, (uint32_t)chance(NAMES));
		else
			change_run(&rs, m, 1 + (uint32_t)chance(n - 1));
		if (i % 997 == 0)
			check_runs(&rs, m, n);
	}
	check_runs(&rs, m, n);
	assert_int_equal(runs_find(&rs, "q", "run1", &(struct run_ref){ 0 }), ERR_NOT_FOUND);
	runs_release(&rs);
	free(m);
}

/* ---- series ---- */

static struct series_name name_of(uint32_t n, char *room)
{
	int len = snprintf(room, 32, "metric%u", n);

	return (struct series_name){ .metric = span_of(room, (size_t)len) };
}

static void series_are_found_until_they_are_forgotten(void **state)
{
	static uint32_t sids[8][NAMES]; /* by run and name */
	struct registry r;
	uint32_t next = 1;
	char room[32];
	(void)state;

	assert_int_equal(registry_init(&r), 0);
	for (int i = 0; i < STEPS; i++) {
		uint32_t rid = 1 + (uint32_t)chance(8), n = (uint32_t)chance(NAMES), found = 0;
		struct series_name name = name_of(n, room);
		uint32_t *sid = &sids[rid - 1][n];

		assert_int_equal(registry_find(&r, rid, &name, &found), *sid ? 0 : ERR_NOT_FOUND);
		assert_int_equal(found, *sid);
		if (!*sid) {
			*sid = next++;
			assert_int_equal(registry_add(&r, rid, *sid, &name), 0);
		} else if (chance(3)) {
			const uint32_t gone[] = { *sid, 0, *sid, next + 1000 };

			assert_int_equal(registry_run(&r, *sid), rid);
			registry_forget(&r, gone, 4);
			assert_int_equal(registry_run(&r, *sid), 0);
			*sid = 0;
		}
	}
	for (uint32_t rid = 1; rid <= 8; rid++)
		for (uint32_t n = 0; n < NAMES; n++) {
			struct series_name name = name_of(n, room);
			uint32_t found = 0;

			registry_find(&r, rid, &name, &found);
			assert_int_equal(found, sids[rid - 1][n]);
		}
	registry_release(&r);
}

/* ---- series of a metric ---- */

#define RUNS    5
#define METRICS 40
#define RANKS   60

/* Which of the series there are, by sid; 0: none. */
struct named {
	uint32_t rid, metric, rank;
};

static struct named named[RUNS * METRICS * RANKS + 1];

static struct series_name ranked_name(struct named n, char room[2][32])
{
	struct series_name name = name_of(n.metric, room[0]);

	name.n_labels = 1;
	name.labels[0].key = span_str("rank");
	name.labels[0].value = span_of(room[1], (size_t)snprintf(room[1], 32, "%u", n.rank));
	return name;
}

static uint32_t least_rank;

static bool is_wanted(void *arg, const struct series_name *name)
{
	const struct span rank = name->labels[0].value;
	char text[8] = "";

	assert_true(arg == &least_rank && name->n_labels == 1 && span_is(name->labels[0].key, "rank"));
	assert_true(rank.len < sizeof(text));
	memcpy(text, rank.data, rank.len);
	return strtoul(text, NULL, 10) >= least_rank;
}

static void check_collected(struct registry *r, uint32_t next)
{
	uint32_t rid = 1 + (uint32_t)chance(RUNS), metric = (uint32_t)chance(METRICS + 1);
	struct sid_list found = { 0 };
	size_t at = 0;
	char room[32];

	least_rank = (uint32_t)chance(RANKS);
	assert_int_equal(registry_collect(r, rid, name_of(metric, room).metric, is_wanted, &least_rank,
					  &found),
			 0);
	for (uint32_t sid = next; sid-- > 1;)
		if (named[sid].rid == rid && named[sid].metric == metric && named[sid].rank >= least_rank) {
			assert_true(at < found.n);
			assert_int_equal(found.sids[at++], sid);
		}
	assert_int_equal(at, found.n);
	free(found.sids);
}

/* A run that is gone, in slices as a purge does. */
static void forget_run(struct registry *r, uint32_t rid, uint32_t next)
{
	for (uint32_t sid = 1; sid < next; sid++)
		if (named[sid].rid == rid) {
			registry_forget(r, &sid, 1);
			named[sid] = (struct named){ 0 };
		}
}

static void series_of_a_metric_are_collected(void **state)
{
	struct registry r;
	uint32_t next = 1;
	(void)state;

	assert_int_equal(registry_init(&r), 0);
	for (uint32_t i = 0; i < RUNS * METRICS * RANKS; i++) {
		char room[2][32];
		struct named n = { 1 + i % RUNS, i / RUNS % METRICS, i / RUNS / METRICS };
		struct series_name name = ranked_name(n, room);

		named[next] = n;
		assert_int_equal(registry_add(&r, n.rid, next++, &name), 0);
		if (chance(500) == 0) { /* a commit that failed */
			uint32_t back = 1 + (uint32_t)chance(next < 50 ? next : 50);

			while (back-- > 0 && next > 1)
				named[--next] = (struct named){ 0 };
			registry_truncate(&r, next);
		}
		if (i % 20 == 0)
			check_collected(&r, next);
	}
	for (uint32_t rid = RUNS; rid > 2; rid--) {
		forget_run(&r, rid, next);
		for (int i = 0; i < 100; i++)
			check_collected(&r, next);
	}
	registry_release(&r);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(runs_are_found_while_they_are_there),
		cmocka_unit_test(series_are_found_until_they_are_forgotten),
		cmocka_unit_test(series_of_a_metric_are_collected),
	};

	return cmocka_run_group_tests_name("tables", tests, NULL, NULL);
}
