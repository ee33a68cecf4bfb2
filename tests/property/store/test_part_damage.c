/*
 * Each byte of each file in parts/ flipped in turn, of windows of every tier, of samples and of logs: an
 * answer is whole and the same to the last bit, or it says that it is partial and what is in it is as it was;
 * and `verify` tells whenever something is missing.  In the end a damaged file of each kind is repaired, with
 * the same promises.
 */
#include <dirent.h>
#include <fcntl.h>
#include <inttypes.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "store/admin.h"
#include "store/read.h"
#include "store/write.h"

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define STRIDE 17 /* a look costs twenty times as much */
#else
#define STRIDE 1
#endif
#define SERIES   3
#define SAMPLES  100
#define LINES    40
#define DAYS     2
#define DAY      NS_PER_DAY
#define T0       (INT64_C(18240) * DAY) /* of a day that is long over */
#define FILES    64
#define TEXT_MAX (4 << 20)

static const int64_t widths[] = { 0, 300 * NS_PER_S, 3600 * NS_PER_S, DAY };

static char dir[64];
static uint64_t seed = 88172645463325252ULL;

static uint64_t rnd(void)
{
	seed ^= seed << 13;
	seed ^= seed >> 7;
	seed ^= seed << 17;
	return seed;
}

/* ---- a store of which everything is in parts ---- */

struct answer {
	pthread_mutex_t lock;
	pthread_cond_t news;
	bool done;
};

static void on_done(struct batch *b, void *arg)
{
	struct answer *a = arg;

	(void)b;
	pthread_mutex_lock(&a->lock);
	a->done = true;
	pthread_cond_signal(&a->news);
	pthread_mutex_unlock(&a->lock);
}

static void commit(struct store *s, struct batch *b)
{
	struct answer a = { .lock = PTHREAD_MUTEX_INITIALIZER, .news = PTHREAD_COND_INITIALIZER };

	b->done = on_done;
	b->arg = &a;
	assert_int_equal(batch_seal(s, b), 0);
	assert_int_equal(store_submit(s, b), 0);
	pthread_mutex_lock(&a.lock);
	while (!a.done)
		pthread_cond_wait(&a.news, &a.lock);
	pthread_mutex_unlock(&a.lock);
	assert_int_equal(b->err, 0);
	batch_free(b);
}

/* Doubles of every kind, and some that are alike. */
static double value(size_t i)
{
	union {
		uint64_t bits;
		double d;
	} any = { .bits = rnd() };

	return i % 3 == 0 ? any.d : i % 3 == 1 ? (double)(rnd() % 1000) / 8 : 0.1;
}

static void add_lines(struct batch *b)
{
	static char texts[LINES][64];

	b->n_logs = LINES;
	b->logs = calloc(LINES, sizeof(*b->logs));
	assert_non_null(b->logs);
	for (size_t i = 0; i < LINES; i++) {
		snprintf(texts[i], sizeof(texts[i]), "line %zu says %016" PRIx64 "\n", i, rnd());
		b->logs[i] = (struct log_record){ .t_ns = T0 + (int64_t)i,
						  .observed_ns = clock_now_ns(),
						  .level = LEVEL_INFO,
						  .rank = RANK_NONE,
						  .text = span_str(texts[i]) };
	}
}

static void push(struct store *s, const struct run *run)
{
	static const char *const names[SERIES] = { "loss", "lr", "acc" };
	struct batch *b = batch_new();

	assert_non_null(b);
	b->rid = run->rid;
	b->window_ns = run->window_ns;
	b->series = calloc(SERIES, sizeof(*b->series));
	b->n_series = SERIES;
	for (size_t i = 0; i < SERIES; i++)
		b->series[i].name.metric = span_str(names[i]);
	add_lines(b);
	b->n_samples = SAMPLES;
	b->sid = malloc(SAMPLES * sizeof(*b->sid));
	b->t_ns = malloc(SAMPLES * sizeof(*b->t_ns));
	b->step = malloc(SAMPLES * sizeof(*b->step));
	b->value = malloc(SAMPLES * sizeof(*b->value));
	for (size_t i = 0; i < SAMPLES; i++) {
		b->sid[i] = BATCH_NEW | (uint32_t)(i % SERIES);
		b->t_ns[i] = T0 + (int64_t)(rnd() % DAYS) * DAY + (int64_t)(rnd() % 7200) * NS_PER_S;
		b->step[i] = i % 5 ? (int64_t)i : STEP_NONE;
		b->value[i] = value(i);
	}
	commit(s, b);
}

static struct store *open_store(bool read_only)
{
	struct store_options o = { .read_only = read_only, .no_compactor = true, .map_max_bytes = 1 << 28 };
	struct fault f = { 0 };
	struct store *s;

	if (store_open(dir, &o, &s, &f) < 0)
		fail_msg("%s", f.text);
	return s;
}

static void make_store(void)
{
	struct run wanted = { .project = "p", .state = RUN_RUNNING, .window_ns = 30 * NS_PER_S };
	struct compact_report report;
	struct store *s;
	struct run run;
	bool replayed;

	strcpy(dir,
	       access("/dev/shm", W_OK) == 0 ? "/dev/shm/astraml-parts-XXXXXX" : "/tmp/astraml-parts-XXXXXX");
	assert_non_null(mkdtemp(dir));
	s = open_store(false);
	strcpy(wanted.id, "r");
	buf_init(&wanted.spec_json, 16);
	assert_int_equal(store_run_create(s, &wanted, span_of(NULL, 0), 0, &run, &replayed, NULL), 0);
	push(s, &run);
	push(s, &run);
	run_release(&run);
	/* the hour in which the lines came is over then */
	assert_int_equal(store_compact(s, clock_now_ns() + 2 * 3600 * NS_PER_S, false, NULL, NULL, NULL,
				       &report),
			 0);
	assert_true(report.parts > 3 && report.raw_parts == 1 && report.log_parts == 1);
	store_close(s);
}

/* ---- what it answers, a line for each row ---- */

struct told {
	struct buf text;
	const char *what;
	int64_t width_ns;
	bool partial;
};

static void add_double(struct told *t, double d)
{
	uint64_t bits;

	memcpy(&bits, &d, sizeof(bits));
	assert_int_equal(buf_addf(&t->text, " %016" PRIx64, bits), 0);
}

static int on_bucket(void *arg, uint32_t sid, int64_t start_ns, const struct bucket *b)
{
	struct told *t = arg;

	buf_addf(&t->text, "%s %" PRId64 " %u %" PRId64 ": %" PRIu64, t->what, t->width_ns, sid, start_ns,
		 (uint64_t)b->count);
	add_double(t, sum_round(&b->sum));
	add_double(t, b->min);
	add_double(t, b->max);
	add_double(t, b->first.value);
	add_double(t, b->last.value);
	return buf_addstr(&t->text, "\n");
}

static int on_sample(void *arg, size_t series, const struct point *p)
{
	struct told *t = arg;

	buf_addf(&t->text, "sample %zu %" PRId64 " %" PRId64, series, p->t_ns, p->step);
	add_double(t, p->value);
	return buf_addstr(&t->text, "\n");
}

static int on_line(void *arg, const struct log_record *r)
{
	struct told *t = arg;

	return buf_addf(&t->text, "line %" PRIu64 " %" PRId64 " %d %.*s", r->seq, r->t_ns, (int)r->level,
			(int)r->text.len, (const char *)r->text.data);
}

static int add_sid(void *arg, uint32_t sid, const struct series_name *name)
{
	uint32_t *sids = arg;

	(void)name;
	sids[++sids[0]] = sid;
	return 0;
}

/* Windows of a width; or (-1) totals, (-2) samples, (-3) lines. */
static void ask(struct view *v, uint32_t rid, const uint32_t *sids, int64_t width_ns, struct told *ret)
{
	const struct log_range all = { .from_ns = INT64_MIN, .to_ns = INT64_MAX };
	struct samples_at at = { 0 };
	int err;

	*ret = (struct told){ .what = width_ns == -1 ? "total" : "window", .width_ns = width_ns };
	buf_init(&ret->text, TEXT_MAX);
	if (width_ns >= 0)
		err = view_windows(v, rid, sids + 1, sids[0], T0 - DAY, T0 + 10 * DAY, width_ns, on_bucket,
				   ret, &ret->partial);
	else if (width_ns == -1)
		err = view_totals(v, rid, sids + 1, sids[0], on_bucket, ret, &ret->partial);
	else if (width_ns == -3)
		err = view_logs(v, rid, &all, on_line, ret, &ret->partial);
	else
		err = view_samples(v, rid, sids + 1, sids[0], INT64_MIN, INT64_MAX, 100000, &at, on_sample,
				   ret, &ret->partial);
	assert_int_equal(err, 0);
}

#define QUESTIONS 7

static void ask_all(struct told ret[QUESTIONS])
{
	struct store *s = open_store(true);
	uint32_t sids[SERIES + 1] = { 0 };
	struct view *v;
	struct run run;

	assert_int_equal(view_open(s, &v), 0);
	assert_int_equal(view_run(v, "p", "r", &run), 0);
	assert_int_equal(view_series(v, run.rid, add_sid, sids), 0);
	for (size_t i = 0; i < QUESTIONS; i++)
		ask(v, run.rid, sids, i < 4 ? widths[i] : 3 - (int64_t)i, &ret[i]);
	run_release(&run);
	view_close(v);
	store_close(s);
}

static void release_all(struct told t[QUESTIONS])
{
	for (size_t i = 0; i < QUESTIONS; i++)
		buf_release(&t[i].text);
}

/* Whether each line of the one is a line of the other, in its order. */
static bool only_lacks(const char *is, const char *was)
{
	while (*is) {
		size_t n = (size_t)(strchr(is, '\n') - is) + 1;

		while (*was && strncmp(is, was, n) != 0)
			was = strchr(was, '\n') + 1;
		if (!*was)
			return false;
		is += n;
		was += n;
	}
	return true;
}

/* Whether something was missing.  Totals, and windows made of those of several parts, may then be of less. */
static bool check(struct told was[QUESTIONS], const char *file, long at)
{
	struct told is[QUESTIONS];
	bool any = false;

	ask_all(is);
	for (size_t i = 0; i < QUESTIONS; i++) {
		bool same = strcmp(buf_cstr(&is[i].text), buf_cstr(&was[i].text)) == 0;

		if (!is[i].partial && !same)
			fail_msg("%s, byte %ld: answer %zu is another and calls itself whole", file, at, i);
		if (!same && (i == 0 || i >= 5) && !only_lacks(buf_cstr(&is[i].text), buf_cstr(&was[i].text)))
			fail_msg("%s, byte %ld: answer %zu has a row that was not there", file, at, i);
		any |= is[i].partial;
	}
	release_all(is);
	return any;
}

static void no_words(void *arg, const char *sentence)
{
	(void)arg;
	(void)sentence;
}

static bool verify_tells(void)
{
	struct verify_counts counts;
	struct store *s = open_store(true);
	int n = store_verify(s, no_words, NULL, NULL, &counts);

	assert_true(n >= 0);
	store_close(s);
	return n > 0;
}

/* ---- flips ---- */

static char files[FILES][300];
static size_t n_files;

static void find_files(void)
{
	char path[80];
	struct dirent *e;
	DIR *d;

	snprintf(path, sizeof(path), "%s/parts", dir);
	d = opendir(path);
	assert_non_null(d);
	n_files = 0;
	while ((e = readdir(d)))
		if (strstr(e->d_name, ".part")) {
			assert_true(n_files < FILES);
			snprintf(files[n_files++], sizeof(files[0]), "%.70s/%.200s", path, e->d_name);
		}
	closedir(d);
}

static void flip(const char *file, long at, uint8_t bits)
{
	int fd = open(file, O_RDWR);
	uint8_t byte;

	assert_true(fd >= 0);
	assert_int_equal(pread(fd, &byte, 1, at), 1);
	byte ^= bits;
	assert_int_equal(pwrite(fd, &byte, 1, at), 1);
	close(fd);
}

static long size_of(const char *file)
{
	struct stat st;

	assert_int_equal(stat(file, &st), 0);
	return st.st_size;
}

static void test_each_byte_of_each_part(void **state)
{
	struct told was[QUESTIONS];
	size_t told = 0, flips = 0;

	(void)state;
	make_store();
	ask_all(was);
	assert_false(verify_tells());
	find_files();
	for (size_t i = 0; i < n_files; i++)
		for (long at = 0; at < size_of(files[i]); at += STRIDE) {
			uint8_t bits = (uint8_t)(1 << rnd() % 8);
			bool missing, verified;

			flip(files[i], at, bits);
			missing = check(was, files[i], at);
			verified = verify_tells();
			if (missing && !verified)
				fail_msg("%s, byte %ld: something is missing, and verify is silent", files[i],
					 at);
			told += verified;
			flips++;
			flip(files[i], at, bits);
		}
	print_message("# %zu flips in %zu files, of which verify told %zu\n", flips, n_files, told);
	assert_true(told > flips * 9 / 10);
	release_all(was);
}

static void repair(void)
{
	struct repair_report report;
	struct store *s = open_store(false);

	assert_int_equal(store_repair(s, no_words, NULL, &report), 0);
	assert_true(report.rebuilt + report.set_aside > 0);
	store_close(s);
}

static const char *file_of(const char *kind)
{
	find_files();
	for (size_t i = 0; i < n_files; i++)
		if (strstr(files[i], kind))
			return files[i];
	fail_msg("no part has %s in its name", kind);
	return NULL;
}

/* What is kept in finer parts is made again; else what cannot be read is set aside, and what is left says so.
 */
static void test_damage_is_repaired(void **state)
{
	static const char *const kinds[] = { "-1d-", "-1h-", "-5m-", "raw-", "-recorded-" };
	struct told was[QUESTIONS];

	(void)state;
	ask_all(was);
	for (size_t i = 0; i < sizeof(kinds) / sizeof(*kinds); i++) {
		const char *file = file_of(kinds[i]);
		bool missing;

		flip(file, (long)(rnd() % (uint64_t)size_of(file)), 0x10);
		assert_true(verify_tells());
		repair();
		assert_false(verify_tells());
		missing = check(was, file, -1);
		assert_int_equal(missing, i > 2);
	}
	release_all(was);
}

static int remove_store(void **state)
{
	char command[100];

	(void)state;
	snprintf(command, sizeof(command), "rm -r %s", dir);
	return system(command);
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(test_each_byte_of_each_part),
					    cmocka_unit_test(test_damage_is_repaired) };

	return cmocka_run_group_tests_name("part damage", tests, NULL, remove_store);
}
