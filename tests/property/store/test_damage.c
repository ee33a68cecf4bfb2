/*
 * Bits flipped in hot/data.mdb, anywhere: what `verify` calls sound answers as before, to the last bit.  LMDB
 * believes its pages, so each look at a damaged file is a process of its own, as `astraml verify` makes
 * one: to die of LMDB's reading is to tell; what the sanitizers find in our own code fails the test, and
 * nothing may hang.
 *
 * An answer alone cannot see what a broken page hides: about one flip in a hundred takes something away
 * unseen, until `verify` tells.  That share is bounded here.
 *
 * ASTRAML_TEST_LONG flips more.
 */
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "store/admin.h"
#include "store/base/checksum.h"
#include "store/read.h"
#include "store/write.h"
#include "tests/commit.h"

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define FLIPS 150 /* a process costs forty times as much */
#else
#define FLIPS 2000
#endif
#define RUNS      3
#define SERIES    6
#define BATCHES   60
#define PAGE      4096
#define T0        (INT64_C(1600000000) * NS_PER_S)
#define LOOK_S    20 /* a look that takes longer hangs */
#define ANSWERS   "answers.text"
#define LAST      "last-words.text"
#define STATUS    40 /* a child's status is this and its look */
#define MAX_BYTES (64 << 20)

static char dir[64], data[96];
static uint64_t seed = 88172645463325252ULL;

static uint64_t rnd(void)
{
	seed ^= seed << 13;
	seed ^= seed >> 7;
	seed ^= seed << 17;
	return seed;
}

/* ---- a store with something of everything ---- */

static void fill_logs(struct batch *b, uint64_t number)
{
	b->n_logs = 10;
	b->logs = calloc(b->n_logs, sizeof(*b->logs));
	for (size_t i = 0; i < b->n_logs; i++) {
		char *text = arena_alloc(&b->memory, 4000);
		size_t n = (size_t)snprintf(text, 100, "step %zu of batch %llu: %llx", i,
					    (unsigned long long)number, (unsigned long long)rnd());

		if (i == 0) /* one that takes pages of its own */
			for (; n < 4000; n++)
				text[n] = (char)('a' + rnd() % 26);
		b->logs[i] = (struct log_record){ .t_ns = T0 + (int64_t)number * NS_PER_S,
						  .level = LEVEL_INFO,
						  .stream = span_str("stdout"),
						  .text = span_of(text, n) };
	}
}

static void push(struct store *s, const struct run *run, uint64_t number)
{
	static const char *const names[SERIES] = { "loss", "lr", "acc", "time", "gpu", "mem" };
	struct batch *b = batch_new();

	assert_non_null(b);
	b->rid = run->rid;
	b->window_ns = run->window_ns;
	b->series = calloc(SERIES, sizeof(*b->series));
	b->n_series = SERIES;
	for (size_t i = 0; i < SERIES; i++)
		b->series[i].name.metric = span_str(names[i]);
	b->n_samples = 100;
	b->sid = malloc(b->n_samples * sizeof(*b->sid));
	b->t_ns = malloc(b->n_samples * sizeof(*b->t_ns));
	b->value = malloc(b->n_samples * sizeof(*b->value));
	for (size_t i = 0; i < b->n_samples; i++) {
		b->sid[i] = BATCH_NEW | (uint32_t)(i % SERIES);
		b->t_ns[i] = T0 + (int64_t)(number * 600 + rnd() % 1200) * NS_PER_S;
		b->value[i] = (double)(rnd() % 100000) / 7;
	}
	fill_logs(b, number);
	assert_int_equal(commit_batch(s, b), 0);
	batch_free(b);
}

static struct store *open_store(bool read_only)
{
	struct store_options o = { .read_only = read_only,
				   .memory_max_bytes = 300 * 1000,
				   .journal_max_bytes = 30000,
				   .flush_every_ns = 1,
				   .grace_ns = 1,
				   .log_block_bytes = 4096,
				   .no_compactor = true,
				   .map_max_bytes = 1 << 30 };
	struct fault f = { 0 };
	struct store *s;

	if (store_open(dir, &o, &s, &f) < 0)
		return NULL;
	return s;
}

static void make_store(void)
{
	struct compact_report report;
	struct run runs[RUNS];
	struct store *s;

	strcpy(dir, access("/dev/shm", W_OK) == 0 ? "/dev/shm/astraml-damage-XXXXXX"
						  : "/tmp/astraml-damage-XXXXXX");
	assert_non_null(mkdtemp(dir));
	snprintf(data, sizeof(data), "%s/hot/data.mdb", dir);
	s = open_store(false);
	assert_non_null(s);
	for (size_t i = 0; i < RUNS; i++) {
		struct run wanted = { .project = "p", .state = RUN_RUNNING, .window_ns = 30 * NS_PER_S };
		bool replayed;

		snprintf(wanted.id, sizeof(wanted.id), "run-%zu", i);
		buf_init(&wanted.spec_json, 16);
		assert_int_equal(store_run_create(s, &wanted, span_of(NULL, 0), 0, &runs[i], &replayed, NULL),
				 0);
	}
	for (uint64_t n = 0; n < BATCHES; n++) {
		push(s, &runs[n % RUNS], n);
		if (n == BATCHES / 2)
			assert_int_equal(store_compact(s, T0 + 3 * 3600 * NS_PER_S, false, NULL, NULL, NULL,
						       &report),
					 0);
	}
	for (size_t i = 0; i < RUNS; i++)
		run_release(&runs[i]);
	store_close(s);
}

/* ---- looks: each a process ---- */

enum look { SOUND, TOLD, FAILED, DIED, HUNG, LOOKS };

struct digest {
	FILE *out;
	uint32_t sids[64], rids[8];
	size_t n_sids, n_rids;
};

static int on_run(void *arg, const struct run *r)
{
	struct digest *d = arg;

	fprintf(d->out, "run %s %s %lld\n", r->project, r->id, (long long)r->window_ns);
	if (d->n_rids < 8)
		d->rids[d->n_rids++] = r->rid;
	return 0;
}

static int on_series(void *arg, uint32_t sid, const struct series_name *name)
{
	struct digest *d = arg;

	fprintf(d->out, "series %u %.*s\n", sid, (int)name->metric.len, (const char *)name->metric.data);
	if (d->n_sids < 64)
		d->sids[d->n_sids++] = sid;
	return 0;
}

static int on_bucket(void *arg, uint32_t sid, int64_t start_ns, const struct bucket *b)
{
	struct digest *d = arg;

	fprintf(d->out, "bucket %u %lld %llu %a %a %a %a %a\n", sid, (long long)start_ns,
		(unsigned long long)b->count, sum_round(&b->sum), b->min, b->max, b->first.value,
		b->last.value);
	return 0;
}

static int on_log(void *arg, const struct log_record *r)
{
	struct digest *d = arg;

	fprintf(d->out, "log %llu %lld %.*s\n", (unsigned long long)r->seq, (long long)r->t_ns,
		(int)r->text.len, (const char *)r->text.data);
	return 0;
}

static int answers_of_run(struct view *v, uint32_t rid, struct digest *d, bool *partial)
{
	struct log_range all = { .from_ns = INT64_MIN, .to_ns = INT64_MAX };
	int err;

	d->n_sids = 0;
	err = view_series(v, rid, on_series, d);
	if (err == 0)
		err = view_windows(v, rid, d->sids, d->n_sids, 0, INT64_MAX, 0, on_bucket, d, partial);
	return err < 0 ? err : view_logs(v, rid, &all, on_log, d, partial);
}

/* Everything that a `get` and a `logs --raw` of each run would show. */
static enum look answers(void)
{
	struct digest d = { .out = fopen(ANSWERS, "w") };
	struct store *s = open_store(true);
	bool partial = false;
	struct view *v;
	int err;

	if (!s || !d.out || view_open(s, &v) < 0)
		return FAILED;
	err = view_runs(v, "p", 0, on_run, &d);
	for (size_t i = 0; i < d.n_rids && err == 0; i++)
		err = answers_of_run(v, d.rids[i], &d, &partial);
	fclose(d.out);
	return err < 0 ? FAILED : partial ? TOLD : SOUND;
}

static void on_trouble(void *arg, const char *sentence)
{
	(void)arg;
	(void)sentence;
}

static enum look verify(void)
{
	struct verify_counts counts;
	struct store *s = open_store(true);
	int n = s ? store_verify(s, on_trouble, NULL, NULL, &counts) : ERR_IO;

	return n < 0 ? FAILED : n > 0 ? TOLD : SOUND;
}

static struct buf slurp(const char *path)
{
	struct stat st;
	struct buf b;
	int fd = open(path, O_RDONLY);

	buf_init(&b, MAX_BYTES);
	assert_true(fd >= 0 && fstat(fd, &st) == 0 && st.st_size < MAX_BYTES);
	assert_int_equal(buf_reserve(&b, (size_t)st.st_size + 1), 0);
	b.len = (size_t)st.st_size;
	assert_int_equal(pread(fd, b.data, b.len, 0), b.len);
	close(fd);
	return b;
}

/* A sanitizer ends a process that reads out of the map, as LMDB does; all else is a fault of ours. */
static void refuse_own_faults(void)
{
	struct buf words = slurp(LAST);
	const char *text = buf_cstr(&words);

	if ((strstr(text, "Sanitizer:") && !strstr(text, "SEGV") && !strstr(text, "BUS")) ||
	    strstr(text, "runtime error:"))
		fail_msg("%s", text);
	buf_release(&words);
}

static enum look in_child(enum look (*fn)(void))
{
	static const int deaths[] = { SIGSEGV, SIGBUS, SIGABRT, SIGFPE, SIGILL };
	const FILE *words;
	int status;
	pid_t pid = fork();

	assert_true(pid >= 0);
	if (pid == 0) {
		struct rlimit none = { 0, 0 };

		setrlimit(RLIMIT_CORE, &none);
		for (size_t i = 0; i < sizeof(deaths) / sizeof(*deaths); i++)
			signal(deaths[i], SIG_DFL); /* cmocka's handlers are for the test itself */
		words = freopen(LAST, "w", stderr); /* what LMDB or a sanitizer says as it ends */
		alarm(LOOK_S);
		_exit(words ? STATUS + fn() : 0);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	if (WIFSIGNALED(status))
		return WTERMSIG(status) == SIGALRM ? HUNG : DIED;
	if (WEXITSTATUS(status) >= STATUS && WEXITSTATUS(status) < STATUS + DIED)
		return (enum look)(WEXITSTATUS(status) - STATUS);
	refuse_own_faults();
	return DIED;
}

/* ---- flips ---- */

struct tally {
	unsigned verify[LOOKS], answers[LOOKS], changed, lost;
};

/* Whether every line of the answers is one of those of before, in their order: some are missing then. */
static bool only_lacks(const struct buf *was, const struct buf *is)
{
	const uint8_t *p = is->data, *end = p + is->len, *q = was->data, *wend = q + was->len;

	while (p < end) {
		const uint8_t *line_end = memchr(p, '\n', (size_t)(end - p));
		size_t n = (line_end ? (size_t)(line_end - p) : (size_t)(end - p)) + 1;

		while (q < wend && ((size_t)(wend - q) < n || memcmp(p, q, n) != 0)) {
			const uint8_t *next = memchr(q, '\n', (size_t)(wend - q));

			q = next ? next + 1 : wend;
		}
		if (q >= wend)
			return false;
		p += n;
		q += n;
	}
	return true;
}

static void flip(int fd, const struct buf *good, size_t at, const struct buf *was, struct tally *t)
{
	uint8_t other = good->data[at] ^ (uint8_t)(1 << rnd() % 8);
	enum look v, a;
	struct buf is;

	assert_int_equal(pwrite(fd, &other, 1, (off_t)at), 1);
	v = in_child(verify);
	a = in_child(answers);
	is = slurp(ANSWERS);
	t->verify[v]++;
	t->answers[a]++;
	if (a == SOUND && !span_equal(buf_span(&is), buf_span(was))) {
		bool lacks = only_lacks(was, &is);

		t->changed += !lacks;
		t->lost += lacks;
		if (v == SOUND)
			fail_msg("page %zu, byte %zu flipped: verify calls it sound, and the answers differ",
				 at / PAGE, at % PAGE);
	}
	if (v == SOUND && a != SOUND)
		fail_msg("page %zu, byte %zu flipped: verify calls it sound, and an answer is not (%d)",
			 at / PAGE, at % PAGE, a);
	buf_release(&is);
	assert_int_equal(pwrite(fd, &good->data[at], 1, (off_t)at), 1);
}

/* A place in the page: often in its header and its list of nodes. */
static size_t place_in_page(void) { return rnd() % 3 == 0 ? rnd() % 64 : rnd() % PAGE; }

static void test_flips(void **state)
{
	unsigned flips = getenv("ASTRAML_TEST_LONG") ? 20000 : FLIPS;
	struct tally t = { 0 };
	struct buf good, was;
	int fd;

	(void)state;
	make_store();
	assert_int_equal(chdir(dir), 0);
	assert_int_equal(in_child(verify), SOUND);
	assert_int_equal(in_child(answers), SOUND);
	was = slurp(ANSWERS);
	good = slurp(data);
	fd = open(data, O_RDWR);
	for (unsigned i = 0; i < flips; i++)
		flip(fd, &good, i % (good.len / PAGE) * PAGE + place_in_page(), &was, &t);
	print_message("# %u flips in %zu pages; verify: %u sound, %u told, %u refused, %u died, %u hung;"
		      " answers: %u whole, %u partial, %u refused, %u died, %u hung; %u lacked something, %u "
		      "differed\n",
		      flips, good.len / PAGE, t.verify[SOUND], t.verify[TOLD], t.verify[FAILED],
		      t.verify[DIED], t.verify[HUNG], t.answers[SOUND], t.answers[TOLD], t.answers[FAILED],
		      t.answers[DIED], t.answers[HUNG], t.lost, t.changed);
	assert_int_equal(t.verify[HUNG] + t.answers[HUNG], 0);
	/* which pages are in use is chance: about a tenth is told, one in four thousand ends LMDB */
	assert_in_range(t.verify[TOLD], flips / 50, flips);
	assert_in_range(t.verify[DIED], 0, flips / 200 + 2);
	assert_in_range(t.lost + t.changed, 0, flips / 25);
	close(fd);
	buf_release(&was);
	buf_release(&good);
}

static int remove_store(void **state)
{
	char command[100];

	(void)state;
	snprintf(command, sizeof(command), "rm -r %s", dir);
	return chdir("/") == 0 ? system(command) : -1;
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test_teardown(test_flips, remove_store) };

	return cmocka_run_group_tests_name("damage", tests, NULL, NULL);
}
