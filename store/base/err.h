/*
 * err.h - how calls fail, everywhere in the tree.
 *
 * Calls return 0, or a negative enum err; a few iterators return 1 for "no more".  Outputs are
 * untouched on failure.  Where the cause lies in bytes or arguments that came from outside, the
 * call also takes a struct fault, which then holds the sentence a person will read: what was
 * wrong, with which value, against which limit, and what to do about it.
 *
 * Nothing here allocates; a fault is a plain value and may be copied.
 */
#ifndef STORE_BASE_ERR_H
#define STORE_BASE_ERR_H

enum err {
	ERR_NOMEM = -1,           /* out of memory */
	ERR_MALFORMED = -2,       /* bytes that do not parse (HTTP 400) */
	ERR_UNSUPPORTED = -3,     /* content type, encoding or method we do not speak (415) */
	ERR_REFUSED = -4,         /* understood, and refused; the fault names the field (422) */
	ERR_UNAUTHENTICATED = -5, /* no token, or none we know (401) */
	ERR_DENIED = -6,          /* the token's role is too small (403) */
	ERR_NOT_FOUND = -7,       /* not there, or not visible to this caller (404) */
	ERR_CONFLICT = -8,        /* key or sequence reused with other content; exists already (409) */
	ERR_TOO_LARGE = -9,       /* over a limit; split it (413) */
	ERR_BUSY = -10,           /* queue or budget full, or shutting down; come back (503) */
	ERR_DISK_FULL = -11,      /* the data directory has no room (507) */
	ERR_IO = -12,             /* the operating system failed us (500) */
	ERR_CORRUPT = -13,        /* stored bytes fail their checksum or their form (500) */
	ERR_HELD = -14,           /* another process holds the data directory */
	ERR_VERSION = -15,        /* written by a newer format than this program reads */
	ERR_GONE = -16,           /* the peer went away, or the work was cancelled */
	ERR_FULL = -17,           /* a capped buffer or arena has reached its cap */
	ERR_TIMEOUT = -18,        /* a deadline passed (408) */
	ERR_AHEAD = -19,          /* a sequence too far ahead of its producer; send the earlier ones (503) */
};

#define FAULT_FIELD_MAX 96
#define FAULT_TEXT_MAX  480

struct fault {
	int err;                     /* negative enum err; 0: no fault */
	char field[FAULT_FIELD_MAX]; /* the field or argument at fault; may be empty */
	char text[FAULT_TEXT_MAX];   /* one sentence, no final newline */
};

/* Fills f (NULL is fine) and returns err, so that a check is one line:
 * return fault_set(f, ERR_REFUSED, "step", "step %lld is ...", ...).  Long texts are cut. */
int fault_set(struct fault *f, int err, const char *field, const char *format, ...)
    __attribute__((format(printf, 4, 5)));

/* The machine's word for an error: "malformed", "conflict", ...; "ok" for 0. */
const char *err_name(int err);

/* Adds nothing when f already holds a sentence for err; else a general one.  Returns err. */
int fault_default(struct fault *f, int err);

#endif
