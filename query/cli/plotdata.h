/*
 * plotdata.h - the series that a chart shows, read from answers of /query as they arrive.  Inside
 * query/ only; one thread.
 */
#ifndef QUERY_PLOTDATA_H
#define QUERY_PLOTDATA_H

#include "query/cli/chart.h"
#include "query/cli/rowtext.h"
#include "query/cli/source.h"
#include "query/cli/verb.h"

struct plot_series {
	struct curve curve;
	const char *run; /* borrowed from the caller */
	char *title;     /* "metric{k=v}" */
	char *name;      /* in a legend: the run, the title, or both; see plot_data_name */
};

/* Filled by plot_data_read; zeroed but for x before the first. */
struct plot_data {
	enum chart_x x;
	struct plot_series list[CHART_CURVES_MAX];
	size_t n, left_out; /* series drawn, and those for which there was no room */
	/* what answers said of themselves */
	char *complete_until; /* the last */
	uint64_t every_ms;    /* the last that was made of windows; 0: all were made of samples */
	bool partial;         /* any of them */
	/* its own: the answer that is being read */
	struct rowtext text;
	const char *run;
	struct curve *curve; /* NULL: one too many */
	size_t columns;      /* of its rows */
	bool samples;        /* they are samples, not windows */
	int at[11];          /* where each of its columns is */
};

/* The aggregates to ask for. */
const char *plot_data_aggs(enum chart_x x);

/* Asks, and adds the series of the answer; finds their gaps.  In CHART_REL x counts from 1970 until
 * plot_data_count_from. */
int plot_data_read(struct plot_data *d, struct source *s, const char *run, const char *path, struct fault *f);

/* Whether the series from the `first`th on have so few windows that their samples, if these are still kept,
 * would tell more; and takes these for them, from an answer of samples=true; 1: they are not all there any
 * more, and it is as before. */
bool plot_data_is_short(const struct plot_data *d, size_t first);
int plot_data_read_samples(struct plot_data *d, size_t first, struct source *s, const char *path,
			   struct fault *f);

/* Makes x of the series from the `first`th on count from the start of their run (a run of the API), or
 * from their first sample where that is older. */
void plot_data_count_from(struct plot_data *d, size_t first, struct json_object *run);

/* Names that say what differs. */
void plot_data_name(struct plot_data *d);
void plot_data_release(struct plot_data *d);

#endif
