/*
 * intake_fixture.h - a store in a scratch directory with two runs, for tests of the decoders.
 *
 * To be included after cmocka.h.  setup and teardown go to cmocka_run_group_tests_name.
 */
#ifndef TESTS_INTAKE_FIXTURE_H
#define TESTS_INTAKE_FIXTURE_H

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "ingest/intake.h"
#include "store/admin.h"

#define NOW    (INT64_C(1700000000) * NS_PER_S)
#define LATEST (NOW + 600 * NS_PER_S) /* ten minutes ahead is the last good time */

typedef int (*decoder)(struct intake *in, struct span body);

static struct store *fixture_store;
static struct run_ref fixture_run, fixture_other_run;
static char fixture_dir[64];

static inline void fixture_make_run(const char *id, struct run_ref *ret)
{
	struct run wanted = { .project = "p", .state = RUN_RUNNING, .window_ns = WINDOW_DEFAULT_NS }, made;
	bool replayed;

	snprintf(wanted.id, sizeof(wanted.id), "%s", id);
	assert_int_equal(store_run_create(fixture_store, &wanted, span_of(NULL, 0), 0, &made, &replayed,
					  NULL),
			 0);
	run_release(&made);
	assert_int_equal(store_run_find(fixture_store, "p", id, ret), 0);
}

static inline int setup(void **state)
{
	struct store_options o = { .map_max_bytes = 1 << 30 };
	struct fault f = { 0 };

	(void)state;
	snprintf(fixture_dir, sizeof(fixture_dir), "/tmp/astraml-intake-XXXXXX");
	assert_non_null(mkdtemp(fixture_dir));
	if (store_open(fixture_dir, &o, &fixture_store, &f) < 0)
		fail_msg("%s", f.text);
	fixture_make_run("r", &fixture_run);
	fixture_make_run("other", &fixture_other_run);
	return 0;
}

static inline int teardown(void **state)
{
	char command[128];

	(void)state;
	store_close(fixture_store);
	snprintf(command, sizeof(command), "rm -rf '%s'", fixture_dir);
	return system(command);
}

/* The body is copied to a block of its own size, so that a sanitizer sees reads past it; it lives as
 * long as the batch, in `arg`. */
static inline int decode_into(decoder decode, const struct run_ref *run, struct span body, struct batch **ret,
			      struct fault *f)
{
	struct batch *b = batch_new();
	uint8_t *copy = malloc(body.len);
	struct intake in;
	int err;

	assert_non_null(b);
	if (body.len)
		memcpy(copy, body.data, body.len);
	*f = (struct fault){ 0 };
	b->arg = copy;
	intake_init(&in, fixture_store, run, NOW, b, f);
	err = decode(&in, span_of(copy, body.len));
	intake_release(&in);
	*ret = b;
	return err;
}

static inline void batch_done_with(struct batch *b)
{
	free(b->arg);
	batch_free(b);
}

static inline struct batch *decoded(decoder decode, struct span body)
{
	struct batch *b;
	struct fault f;

	if (decode_into(decode, &fixture_run, body, &b, &f) < 0)
		fail_msg("%s: %s", f.field, f.text);
	assert_int_equal(f.err, 0);
	assert_int_equal(b->rid, fixture_run.rid);
	assert_int_equal(b->window_ns, fixture_run.window_ns);
	return b;
}

/* Refused whole: with this error, this field, and (unless NULL) these words in the sentence. */
static inline void refused(decoder decode, struct span body, int err, const char *field, const char *words)
{
	struct batch *b;
	struct fault f;
	int got = decode_into(decode, &fixture_run, body, &b, &f);

	if (got != err || f.err != err || strcmp(f.field, field) != 0 || (words && !strstr(f.text, words)))
		fail_msg("want %d %s \"%s\", got %d %s: %s", err, field, words ? words : "", got, f.field,
			 f.text);
	batch_done_with(b);
}

struct commit {
	pthread_mutex_t lock;
	pthread_cond_t news;
	bool done;
	void *body;
};

static inline void commit_done(struct batch *b, void *arg)
{
	struct commit *c = arg;

	(void)b;
	pthread_mutex_lock(&c->lock);
	c->done = true;
	pthread_cond_signal(&c->news);
	pthread_mutex_unlock(&c->lock);
}

/* Returns when it is durable. */
static inline void commit(struct batch *b)
{
	struct commit c = { PTHREAD_MUTEX_INITIALIZER, PTHREAD_COND_INITIALIZER, false, b->arg };

	b->done = commit_done;
	b->arg = &c;
	assert_int_equal(batch_seal(fixture_store, b), 0);
	assert_int_equal(store_submit(fixture_store, b), 0);
	pthread_mutex_lock(&c.lock);
	while (!c.done)
		pthread_cond_wait(&c.news, &c.lock);
	pthread_mutex_unlock(&c.lock);
	b->arg = c.body;
	if (b->err < 0)
		fail_msg("%s", b->fault.text);
}

static inline void has_rejected(const struct batch *b, size_t i, char kind, uint64_t index, enum reject code)
{
	assert_true(i < b->n_rejected);
	assert_int_equal(b->rejected[i].kind, kind);
	assert_int_equal(b->rejected[i].index, index);
	assert_int_equal(b->rejected[i].code, code);
}

#endif
