/*
 * store.c - opening and closing, figures.
 */
#include "store/store.h"

#include <errno.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "store/compact/compact.h"
#include "store/dir.h"
#include "store/file.h"
#include "store/hot/flush.h"
#include "store/log/seal.h"
#include "store/part/parts.h"
#include "store/raw/rawrow.h"

#define MIB ((size_t)1024 * 1024)

static void set_defaults(struct store_options *o)
{
	if (!o->memory_max_bytes)
		o->memory_max_bytes = 128 * MIB;
	if (!o->journal_max_bytes)
		o->journal_max_bytes = 128 * MIB;
	if (!o->queue_max_batches)
		o->queue_max_batches = 8192;
	if (!o->grace_ns)
		o->grace_ns = 30 * NS_PER_S;
	if (!o->flush_every_ns)
		o->flush_every_ns = 30 * NS_PER_S;
	if (!o->log_block_bytes || o->log_block_bytes > SEAL_BYTES_MAX)
		o->log_block_bytes = SEAL_BYTES_MAX;
	if (!o->map_max_bytes)
		o->map_max_bytes = 256 * 1024 * MIB;
	if (!o->compact_every_ns)
		o->compact_every_ns = 30 * NS_PER_S;
	if (!o->settle_ns)
		o->settle_ns = 600 * NS_PER_S;
	if (!o->late_ns)
		o->late_ns = 600 * NS_PER_S;
	if (!o->raw_max_bytes)
		o->raw_max_bytes = 64 * MIB;
	if (!o->raw_wait_ns)
		o->raw_wait_ns = 600 * NS_PER_S;
}

/* Blocks kept ahead so that flushes run on a full disk: 64 MiB, less on a small file system. */
static void choose_room(struct store *s)
{
	struct statvfs v;

	s->room_more = 64 * MIB;
	if (statvfs(s->dir, &v) == 0 && (uint64_t)v.f_blocks * v.f_frsize / 8 < s->room_more)
		s->room_more = (size_t)((uint64_t)v.f_blocks * v.f_frsize / 8);
	s->room_least = s->room_more / 2;
}

static void init_locks(struct store *s)
{
	pthread_mutex_init(&s->queue_lock, NULL);
	pthread_cond_init(&s->queue_news, NULL);
	pthread_cond_init(&s->creation_done, NULL);
	pthread_mutex_init(&s->memory_lock, NULL);
	pthread_cond_init(&s->memory_news, NULL);
	pthread_mutex_init(&s->news_lock, NULL);
	pthread_cond_init(&s->news, NULL);
	s->queue_tail = &s->queue_head;
}

static int open_hot(struct store *s, struct fault *f)
{
	char path[4096];

	if (snprintf(path, sizeof(path), "%s/hot", s->dir) >= (int)sizeof(path))
		return fault_set(f, ERR_TOO_LARGE, "data", "the path of the directory is over %zu bytes",
				 sizeof(path));
	return kv_open(path, s->options.read_only, s->options.map_max_bytes, &s->kv, f);
}

/* A fresh data file, whole and synced, in a folder where nobody looks for one. */
static int create_data(struct store *s, const char *folder, const char *data, const char *lock,
		       struct fault *f)
{
	struct kv *kv;
	int err;

	unlink(data); /* of a start that was cut off */
	unlink(lock);
	if (mkdir(folder, 0755) != 0 && errno != EEXIST)
		return fault_default(f, file_error());
	err = kv_open(folder, false, s->options.map_max_bytes, &kv, f);
	if (err < 0)
		return err;
	kv_close(kv);
	return fault_default(f, file_sync_path(data));
}

/* LMDB writes a new file's first pages unsynced: after a power cut a torn one could not be opened.  So it
 * is made aside, and renamed when it is whole. */
static int make_hot(struct store *s, struct fault *f)
{
	char hot[FILE_PATH_MAX], folder[FILE_PATH_MAX], data[FILE_PATH_MAX], lock[FILE_PATH_MAX];

	if (file_path(s->dir, "hot/data.mdb", hot) < 0 || file_path(s->dir, "tmp/hot", folder) < 0 ||
	    file_path(s->dir, "tmp/hot/data.mdb", data) < 0 ||
	    file_path(s->dir, "tmp/hot/lock.mdb", lock) < 0)
		return fault_set(f, ERR_TOO_LARGE, "data", "the path of the directory is over %d bytes",
				 FILE_PATH_MAX - 32);
	if (access(hot, F_OK) != 0) {
		int err = create_data(s, folder, data, lock, f);

		if (err == 0 && rename(data, hot) != 0)
			err = fault_default(f, file_error());
		if (err < 0)
			return err;
	}
	unlink(data);
	unlink(lock);
	rmdir(folder);
	return 0;
}

static int open_writer(struct store *s, struct fault *f)
{
	int err = dir_open_writer(s->dir, &s->lock_fd, f);

	if (err < 0)
		return err;
	choose_room(s);
	err = make_hot(s, f);
	if (err == 0)
		err = open_hot(s, f);
	if (err == 0)
		err = fault_default(f, access_load(s));
	if (err == 0)
		err = access_create_owner(s, f);
	if (err == 0)
		err = fault_default(f, dir_sync(s->dir));
	if (err == 0)
		err = recover(s, f);
	if (err == 0)
		err = fault_default(f, parts_sweep(s->kv, s->dir, &s->swept));
	if (err == 0)
		err = fault_default(f, compactor_new(s, &s->compactor));
	if (err == 0)
		err = fault_default(f, writer_start(s));
	if (err == 0 && !s->options.no_compactor)
		err = fault_default(f, compactor_start(s->compactor));
	return err;
}

static int open_reader(struct store *s, struct fault *f)
{
	int err = dir_open_reader(s->dir, f);

	if (err == 0)
		err = open_hot(s, f);
	return err < 0 ? err : fault_default(f, access_load(s));
}

int store_open(const char *dir, const struct store_options *o, struct store **ret, struct fault *f)
{
	struct store *s = calloc(1, sizeof(*s));
	int err;

	if (sodium_init() < 0 || !s || !(s->dir = strdup(dir))) {
		free(s);
		return fault_default(f, ERR_NOMEM);
	}
	s->lock_fd = -1;
	s->options = *o;
	set_defaults(&s->options);
	init_locks(s);
	memory_init(&s->memory);
	err = parts_new(s->dir, &s->parts);
	if (err == 0)
		err = runs_init(&s->runs);
	if (err == 0)
		err = registry_init(&s->series);
	if (err == 0)
		err = s->options.read_only ? open_reader(s, f) : open_writer(s, f);
	if (err < 0) {
		store_close(s);
		return fault_default(f, err);
	}
	*ret = s;
	return 0;
}

void store_close(struct store *s)
{
	if (!s)
		return;
	compactor_stop(s->compactor);
	writer_stop(s);
	compactor_free(s->compactor);
	kv_close(s->kv);
	parts_free(s->parts);
	memory_release(&s->memory);
	runs_release(&s->runs);
	registry_release(&s->series);
	free(s->tokens);
	free(s->journal);
	free(s->altered);
	if (s->lock_fd >= 0)
		close(s->lock_fd);
	free(s->dir);
	free(s);
}

int store_announce(struct store *s, const char *url) { return dir_announce(s->lock_fd, url); }

int64_t store_grace(const struct store *s, const struct policy *p)
{
	return p->set & POLICY_GRACE ? p->grace_ns : s->options.grace_ns;
}

int64_t store_complete_until(const struct store *s, const struct policy *p)
{
	return window_start(clock_now_ns() - store_grace(s, p), EPOCH_NS);
}

static void copy_counters(const struct counters *c, struct store_stats *st)
{
	st->batches = atomic_load(&c->batches);
	st->samples = atomic_load(&c->samples);
	st->log_records = atomic_load(&c->log_records);
	st->duplicates = atomic_load(&c->duplicates);
	st->commits = atomic_load(&c->commits);
	st->commit_ns_total = atomic_load(&c->commit_ns);
	st->fold_ns_total = atomic_load(&c->fold_ns);
	st->sealed_log_records = atomic_load(&c->sealed_logs);
	st->flush_ns_total = atomic_load(&c->flush_ns);
}

static int add_flush(void *arg, const struct flush_row *row)
{
	struct store_stats *st = arg;

	st->flushed_buckets += row->buckets;
	st->blocks += row->blocks;
	st->block_bytes += row->bytes;
	return 0;
}

static int sum_parts(struct kv_txn *t, struct store_stats *st)
{
	struct manifest m;
	int err = manifest_read_all(t, &m);

	if (err < 0)
		return err;
	st->parts = m.n;
	for (size_t i = 0; i < m.n; i++) {
		st->part_buckets += m.rows[i].summary.buckets;
		st->part_bytes += m.rows[i].summary.bytes;
	}
	manifest_release(&m);
	return 0;
}

static int sum_raw(struct kv_txn *t, const struct state *state, struct store_stats *st)
{
	struct raw_rows rows;
	int err = raw_rows_read(t, 0, &rows);

	if (err < 0)
		return err;
	st->raw_parts = rows.n;
	for (size_t i = 0; i < rows.n; i++) {
		st->raw_samples += rows.rows[i].summary.samples;
		st->raw_bytes += rows.rows[i].summary.bytes;
	}
	st->raw_batches = state->trimmed - state->sealed;
	raw_rows_release(&rows);
	return 0;
}

static int sum_log_parts(struct kv_txn *t, struct store_stats *st)
{
	struct logpart_rows rows;
	int err = logpart_rows_read(t, 0, &rows);

	if (err < 0)
		return err;
	st->log_parts = rows.n;
	for (size_t i = 0; i < rows.n; i++) {
		st->log_part_records += rows.rows[i].summary.records;
		st->log_part_bytes += rows.rows[i].summary.bytes;
	}
	logpart_rows_release(&rows);
	return 0;
}

static int copy_sizes(struct store *s, struct store_stats *st)
{
	struct kv_stat k;
	struct state state;
	struct kv_txn *t;
	int err = kv_begin(s->kv, false, &t);

	if (err < 0)
		return err;
	err = kv_stat(t, &k);
	if (err == 0)
		err = state_get(t, &state);
	if (err == 0)
		err = flush_rows(t, state.flush, add_flush, st);
	if (err == 0)
		st->flushes = state.flush;
	if (err == 0)
		err = sum_parts(t, st);
	if (err == 0)
		err = sum_raw(t, &state, st);
	if (err == 0)
		err = sum_log_parts(t, st);
	kv_abort(t);
	if (err < 0)
		return err;
	st->runs = k.entries[KV_RUN] - k.entries[KV_DELETED];
	st->deleted_runs = k.entries[KV_DELETED];
	st->series = k.entries[KV_SERIES];
	st->log_blocks = k.entries[KV_LOG];
	st->quarantined = k.entries[KV_QUARANTINE];
	st->log_block_bytes = k.bytes[KV_LOG];
	st->journal_bytes = k.bytes[KV_JOURNAL];
	st->journal_batches = state.batch - state.trimmed;
	st->file_bytes = (k.used_pages + k.free_pages) * k.page_bytes;
	st->free_bytes = k.free_pages * k.page_bytes;
	st->free_pages = k.free_pages;
	st->map_bytes = k.map_bytes;
	return 0;
}

bool store_broken(struct store *s) { return atomic_load(&s->broken); }

int store_stats(struct store *s, struct store_stats *ret)
{
	struct store_stats st = { .disk_full = atomic_load(&s->disk_full),
				  .broken = atomic_load(&s->broken) };
	struct statvfs v;
	int err = copy_sizes(s, &st);

	if (err < 0)
		return err;
	copy_counters(&s->counters, &st);
	pthread_mutex_lock(&s->memory_lock);
	st.open_buckets = memory_buckets(&s->memory);
	st.open_bytes = memory_bytes(&s->memory);
	pthread_mutex_unlock(&s->memory_lock);
	pthread_mutex_lock(&s->queue_lock);
	st.queue_batches = s->queued;
	pthread_mutex_unlock(&s->queue_lock);
	if (statvfs(s->dir, &v) == 0)
		st.disk_free_bytes = (uint64_t)v.f_bavail * v.f_frsize;
	*ret = st;
	return 0;
}
