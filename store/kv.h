/*
 * kv.h - the hot LMDB environment: the one door to lmdb.h.
 *
 * One process opens it for writing (dir.h sees to that), with one write transaction at a time;
 * any number of readers in any process.  LMDB's default durability is used and nothing less: a
 * commit that returned 0 survives a power cut.
 *
 * Spans that come out of a transaction point into the map: they live until the transaction ends,
 * in a write transaction until its next put or del.  They have no alignment.
 *
 * Errors: ERR_NOT_FOUND; ERR_DISK_FULL for the map's bound; ERR_IO also for a full disk (LMDB
 * 0.9 reports a short write as EIO: kv_room tells them apart); ERR_CORRUPT for a damaged tree;
 * ERR_BUSY when the reader table is full.
 */
#ifndef STORE_KV_H
#define STORE_KV_H

#include "store/base/buf.h"

enum kv_db {
	KV_META,
	KV_PROJECT,
	KV_RUN,
	KV_RUNID,
	KV_SERIES,
	KV_PRODUCER,
	KV_REJECT,
	KV_IDEM,
	KV_IDEMAGE,
	KV_JOURNAL,
	KV_FLUSH,
	KV_BLOCK,
	KV_LOG,
	KV_LOGSEQ,
	KV_LOGSEAL,
	KV_TOKEN,
	KV_PART,
	KV_DELETED,
	KV_RAW,
	KV_RAWGONE,
	KV_QUARANTINE,
	KV_LOGPART,
	KV_DBS,
};

struct kv;
struct kv_txn;
struct kv_cursor;

/* dir must exist.  A reader needs write access to dir/lock.mdb. */
int kv_open(const char *dir, bool read_only, size_t map_max_bytes, struct kv **ret, struct fault *f);
void kv_close(struct kv *kv);

const char *kv_db_name(enum kv_db db);

int kv_begin(struct kv *kv, bool write, struct kv_txn **ret);
int kv_commit(struct kv_txn *t); /* the transaction is over either way */
void kv_abort(struct kv_txn *t); /* NULL is fine */

int kv_get(struct kv_txn *t, enum kv_db db, struct span key, struct span *ret);

/* Room for a value of len bytes under a key that must be the greatest (append) or may be any. */
int kv_reserve(struct kv_txn *t, enum kv_db db, struct span key, size_t len, bool append, uint8_t **ret);
int kv_del(struct kv_txn *t, enum kv_db db, struct span key);

/* Cursors belong to their transaction and must be closed before it ends. */
int kv_cursor_open(struct kv_txn *t, enum kv_db db, struct kv_cursor **ret);
void kv_cursor_close(struct kv_cursor *c); /* NULL is fine */
int kv_seek(struct kv_cursor *c, struct span key, struct span *ret_key,
	    struct span *ret_value); /* first >= key */
int kv_next(struct kv_cursor *c, struct span *ret_key, struct span *ret_value);
int kv_prev(struct kv_cursor *c, struct span *ret_key, struct span *ret_value);
int kv_first(struct kv_cursor *c, struct span *ret_key, struct span *ret_value);
int kv_last(struct kv_cursor *c, struct span *ret_key, struct span *ret_value);
int kv_cursor_del(struct kv_cursor *c); /* the present entry; kv_next then gives the one after it */

/* The last entry < key. */
int kv_seek_before(struct kv_cursor *c, struct span key, struct span *ret_key, struct span *ret_value);

uint64_t kv_txn_id(struct kv_txn *t);
uint64_t kv_entries(struct kv_txn *t, enum kv_db db); /* 0 also when LMDB cannot tell */

struct kv_stat {
	uint64_t entries[KV_DBS], bytes[KV_DBS]; /* bytes: of pages */
	uint64_t used_pages, free_pages, page_bytes, map_bytes;
};
int kv_stat(struct kv_txn *t, struct kv_stat *ret);

/* Bytes of the file as they are, without LMDB: for pages.h.  ERR_CORRUPT past its end. */
size_t kv_page_bytes(struct kv *kv);
int kv_read_file(struct kv *kv, uint64_t offset, uint8_t *ret, size_t len);

/* Keeps blocks of the disk reserved ahead of the file's end, so that flushes and trims can run on a
 * full disk: true when at least `least` bytes are.  Asks the file system for `more` when not. */
bool kv_room(struct kv *kv, size_t least, size_t more);

/* Writes a copy of the newest snapshot to fd, free pages left out, while others go on; pages freed
 * meanwhile cannot be reused until it is done. */
int kv_copy(struct kv *kv, int fd);

/* Renames file `by`, a copy, over the data file of dir, which no process has open; those that open it at
 * that moment wait.  ERR_BUSY: one has it open. */
int kv_replace(const char *dir, const char *by);

/* Frees slots of readers that died; returns how many. */
int kv_reap_readers(struct kv *kv);

#endif
