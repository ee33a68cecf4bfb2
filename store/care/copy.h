/*
 * copy.h - the files of a whole store: made aside, then put in their place.
 *
 * A copy of PLACE is made in the directory PLACE.new, and has the layout of a data directory:
 *
 *   BACKUP         when it was made; such a directory is read, not served
 *   VERSION        of the directory it was made from
 *   hot/data.mdb   one snapshot
 *   parts/         the parts that the snapshot names
 *   SHA256SUMS     of all these: sums.h
 *
 * It takes its place in one step, so PLACE is always whole: as it was, or the copy.  What an
 * interrupted one leaves is PLACE.new, which the next one removes.  One thread.
 */
#ifndef STORE_COPY_H
#define STORE_COPY_H

#include "store/base/progress.h"
#include "store/file.h"
#include "store/kv.h"

#define COPY_NAME_MAX 128

struct copy {
	char place[FILE_PATH_MAX];           /* without a slash at its end */
	char made[FILE_PATH_MAX];            /* where it is made */
	char old[FILE_PATH_MAX];             /* where what it replaces goes, if only for a moment */
	struct progress *progress;           /* borrowed; NULL: none */
	struct fault *f;                     /* borrowed */
	uint64_t parts_kept, parts, written; /* parts that were there already, all parts, bytes written */
};

/* Makes the empty directory c->made with its folders; fills in c. */
int copy_begin(struct copy *c, const char *place, struct progress *progress, struct fault *f);

/* The snapshot of kv, and the parts that it names, of the data directory `from`.  A part that
 * `earlier` (another copy; NULL: none) has with the same name, length and checksum is linked, not copied;
 * link: so are those of `from` itself, where one file system holds both. */
int copy_store(struct copy *c, struct kv *kv, const char *from, const char *earlier, bool link);

/* The files of the copy `from`, except BACKUP and SHA256SUMS, as they are. */
int copy_files_of(struct copy *c, const char *from);

/* The copy, synced, takes its place: of nothing, or of an earlier copy, which is removed. */
int copy_take_place(struct copy *c);

/* Removes a copy: the files we make there and nothing else. */
void copy_remove(const char *dir);

/* c->f from errno: "cannot WHAT PATH: ..."; returns its error. */
int copy_trouble(struct copy *c, const char *what, const char *path);

/* ---- which files a copy has ---- */

struct copy_names {
	char (*names)[COPY_NAME_MAX];
	size_t n, cap;
};

/* Those of dir but SHA256SUMS, in the order above, parts by name. */
int copy_names(const char *dir, struct copy_names *ret);
void copy_names_release(struct copy_names *n);

/* Whether a copy may have a file of that name. */
bool copy_name_known(const char *name);

/* The name in the directory that holds path reaches the disk. */
void copy_sync_parent(const char *path);

#endif
