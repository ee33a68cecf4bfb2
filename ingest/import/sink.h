/*
 * sink.h - where a reader of a format puts what it finds, in the order of the file.
 *
 * The same bytes and options must give the same calls on any machine and day: a repeated import is
 * recognised by that.  Everything is copied by the calls; spans need not outlive them.  Names and
 * values may be any bytes: what cannot be kept is left out, counted and told.
 */
#ifndef INGEST_IMPORT_SINK_H
#define INGEST_IMPORT_SINK_H

#include "ingest/line_time.h"

enum import_time_kind {                /* all lie in [0, LINE_TIME_END_NS) */
			TIME_UNKNOWN,  /* that of the log record before; at the top the first time of the file
					*/
			TIME_ABSOLUTE, /* since 1970 */
			TIME_RELATIVE, /* since an origin that the importer chooses: the origin is --start;
					* else the last of the file's relative times falls on --end, else on
					* the file's modification */
};

struct import_time {
	enum import_time_kind kind;
	int64_t ns;
};

struct import_sample {
	struct span metric, unit;
	const struct label *labels; /* in any order */
	size_t n_labels;            /* at most LABELS_MAX */
	struct import_time time;
	int64_t step; /* STEP_NONE: none */
	double value;
	bool is_float32; /* value was one: kept in four bytes */
};

struct import_log {
	struct span text;   /* at most LOG_TEXT_MAX, with the line's own end */
	struct span stream; /* empty: console */
	struct import_time time;
	int32_t rank; /* RANK_NONE: none */
	const struct label *attrs;
	size_t n_attrs; /* at most LOG_ATTRS_MAX */
};

/* A line as POST .../ingest takes it (ingest/ndjson.h): it goes to the server as it is. */
struct import_line {
	struct span text; /* one JSON object, without the line's end */
	uint64_t number;  /* of the line in the file, from 1; rising */
	char kind;        /* 's' sample, 'l' log record, 'b' bucket, 0: a series without any */
	bool has_time;    /* the line says it; else it gets the one of `time` */
	struct span null; /* the value of a "time":null in text, which is replaced then; else empty */
	struct import_time time;
};

/* What the file tells of the run, where it is an export. */
struct import_run {
	struct span spec;     /* a JSON object; empty: none is told */
	struct span window;   /* "30s", where there is no spec */
	int64_t started_ns;   /* 0: it has not */
	enum run_state state; /* which is an end */
	int64_t ended_ns;     /* 0: now */
	bool has_exit_code;
	int32_t exit_code;
};

/* Calls return 0 or a negative error, which the reader returns in turn. */
struct import_sink {
	int (*sample)(struct import_sink *k, const struct import_sample *s, struct fault *f);
	int (*log)(struct import_sink *k, const struct import_log *l, struct fault *f);

	/* A hyperparameter of the run: the first value of a key stays.  value: JSON text of a string,
	 * number or boolean; others, and texts over 1 KiB, are passed over. */
	int (*param)(struct import_sink *k, struct span key, struct span value);

	/* A sentence for the user, without the file's name; said once, not at the second walk. */
	void (*note)(struct import_sink *k, const char *text);

	/* For files whose lines go to the server as they are, instead of sample and log. */
	int (*line)(struct import_sink *k, const struct import_line *l, struct fault *f);
	int (*run)(struct import_sink *k, const struct import_run *r);
};

/* note, formatted. */
void sink_note(struct import_sink *k, const char *format, ...) __attribute__((format(printf, 2, 3)));

#endif
