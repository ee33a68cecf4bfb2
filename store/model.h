/*
 * model.h - the words of the store: runs, series, log records.  Plain values, no calls that fail.
 *
 * Spans are borrowed; each call that hands one out says until when.
 */
#ifndef STORE_MODEL_H
#define STORE_MODEL_H

#include "store/base/buf.h"
#include "store/base/clock.h"
#include "store/bucket/bucket.h"

#define ID_MAX            64  /* project and run ids: 1-64 of [A-Za-z0-9._-] */
#define METRIC_NAME_MAX   250 /* bytes, UTF-8, no control characters */
#define LABELS_MAX        16
#define LABEL_PART_MAX    250 /* bytes of a label's key, and of its value */
#define UNIT_MAX          64
#define STREAM_NAME_MAX   64
#define LOG_TEXT_MAX      (1024 * 1024) /* longer lines are split, see LOG_CONTINUES */
#define LOG_ATTRS_MAX     32
#define WINDOW_DEFAULT_NS (30 * NS_PER_S)
#define RUN_LOST_AFTER_NS (90 * NS_PER_S)

#define RUN_DELETED_KEEP_NS (7 * NS_PER_DAY) /* how long a deleted run can be had back */

/* ---- projects ---- */

#define POLICY_TIERS_MAX 8
#define KEEP_FOREVER     INT64_MAX

/* Buckets of that width are kept so long; age counts from the later of a window's end and its arrival. */
struct policy_tier {
	int64_t every_ns, keep_ns;
};

enum policy_field {
	POLICY_WINDOW = 1,
	POLICY_GRACE = 2,
	POLICY_RAW_KEEP = 4,
	POLICY_LOG_KEEP = 8,
	POLICY_TIERS = 16,
};
#define POLICY_ALL 31

/* How a project wants its data kept. */
struct policy {
	unsigned set;      /* enum policy_field: chosen by the project; the rest is policy_default */
	int64_t window_ns; /* of runs to come */
	int64_t grace_ns;  /* after a window's end */
	int64_t raw_keep_ns, log_keep_ns;           /* 0: not at all */
	struct policy_tier tiers[POLICY_TIERS_MAX]; /* rising, each divides the next; the first stands for
						       windows as recorded, whatever their width */
	size_t n_tiers;
};

extern const struct policy policy_default;

/* The width of a tier's windows, for people: of the first those of runs to come, where nobody named another.
 */
static inline int64_t policy_width(const struct policy *p, size_t tier)
{
	return tier == 0 && !(p->set & POLICY_TIERS) ? p->window_ns : p->tiers[tier].every_ns;
}

struct project {
	uint32_t pid; /* its number in this store */
	char name[ID_MAX + 1];
	int64_t created_ns;
	struct policy policy;
};

/* ---- runs ---- */

enum run_state {
	RUN_QUEUED = 1,
	RUN_RUNNING,
	RUN_PREEMPTED,
	RUN_FINISHED,
	RUN_FAILED,
	RUN_KILLED,
	RUN_LOST, /* never stored: a running run without a heartbeat for RUN_LOST_AFTER_NS */
};

const char *run_state_name(enum run_state s);
/* 0 when the text names no state. */
enum run_state run_state_parse(struct span s);

enum level { LEVEL_NONE, LEVEL_TRACE, LEVEL_DEBUG, LEVEL_INFO, LEVEL_WARN, LEVEL_ERROR, LEVEL_FATAL };
#define LEVELS 7

const char *level_name(enum level l); /* "" for LEVEL_NONE */
/* Case-insensitive; "warning" and "critical" too; -1 when it is none. */
int level_parse(struct span s);

struct label {
	struct span key, value;
};

/* What names a series within its run.  Labels are sorted by key, keys differ. */
struct series_name {
	struct span metric, unit; /* the unit does not take part in identity: the first one stays */
	struct label labels[LABELS_MAX];
	size_t n_labels;
};

#define RANK_NONE (-1)

enum log_flags {
	LOG_CONTINUES = 1, /* a line over LOG_TEXT_MAX was split here; the next record goes on with it */
	LOG_FITS = 2,      /* not stored: the text is sure to be what the hint is about (read.h) */
};

struct log_record {
	uint64_t seq; /* from 1 */
	int64_t t_ns, observed_ns;
	enum level level;
	int32_t rank; /* RANK_NONE, or >= 0 */
	unsigned flags;
	struct span stream; /* "stdout", "console", a logger's name; may be empty */
	struct span text;   /* any bytes, with the line's own end where it had one */
	const struct label *attrs;
	size_t n_attrs; /* at most LOG_ATTRS_MAX */
};

struct run {
	uint32_t rid; /* number of the run in this store; never reused */
	uint32_t pid; /* of its project */
	char project[ID_MAX + 1], id[ID_MAX + 1];
	enum run_state state; /* RUN_LOST already taken into account */
	bool imported, has_exit_code;
	int32_t exit_code;
	int64_t window_ns;
	int64_t created_ns;           /* when the store learnt of it */
	int64_t started_ns, ended_ns; /* 0: not yet */
	int64_t heartbeat_ns;         /* last live ingest, to about 10 s; 0: never */
	int64_t deleted_ns;           /* 0: it is there */
	struct buf spec_json;         /* owned; the effective spec as the API made it: opaque here */
	struct buf sources_json;      /* owned; where its values came from: as opaque */
};

void run_release(struct run *r);

#endif
