/*
 * workload.h - the samples of the benchmark, and the requests that carry them.
 *
 * Deterministic: the same workload gives the same samples to whichever server they are sent.
 * A run has series_per_run series, eight ranks of each metric; each step gives every series one
 * sample; a request carries up to `batch` samples of one run and one step.  Values are loss-like
 * curves, a decay to a floor under a few percent of noise, rounded to float32 unless f64.
 *
 * Step -1 is the warm-up: it makes the series known and is not part of the requests counted.
 */
#ifndef LOADGEN_WORKLOAD_H
#define LOADGEN_WORKLOAD_H

#include "store/base/buf.h"

struct workload {
	unsigned runs, series_per_run, steps, batch;
	int64_t start_ns, step_ns; /* time of step 0, and between steps */
	bool f64;                  /* doubles with all their bits, not float32 values */
};

size_t workload_requests(const struct workload *w);
size_t workload_samples(const struct workload *w);

/* The part of the workload that the nth request carries. */
struct slice {
	unsigned run, first, n; /* series first .. first + n - 1 of the run */
	int64_t step;
};
struct slice workload_slice(const struct workload *w, size_t nth);

/* All series of a run at step -1. */
struct slice workload_warm_up(const struct workload *w, unsigned run);

#define RUN_NAME_MAX 16
void workload_run_name(unsigned run, char ret[RUN_NAME_MAX]);

/* Bodies, appended to out.  ids: what the server called the series of the slice's run; NULL: the
 * body defines them.  ERR_NOMEM, ERR_FULL. */
int workload_ingest_body(const struct workload *w, struct slice s, const uint32_t *ids, uint64_t sequence,
			 struct buf *out);

/* A Prometheus remote write request, not yet compressed. */
int workload_remote_write_body(const struct workload *w, struct slice s, struct buf *out);

/* Lines of InfluxDB's protocol; the digits bring back the value. */
int workload_influx_body(const struct workload *w, struct slice s, struct buf *out);

#endif
