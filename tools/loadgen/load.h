/*
 * load.h - what the options of the load generator say, and what each mode does with it.
 *
 * Every run function prepares, prints "ready", waits for a line on stdin, runs, and prints one
 * line of JSON.  An error is a sentence in f.
 */
#ifndef LOADGEN_LOAD_H
#define LOADGEN_LOAD_H

#include "tools/loadgen/driver.h"
#include "tools/loadgen/workload.h"

struct load {
	const char *url, *token, *path, *dir;
	struct sockaddr_in address;
	struct workload work;
	unsigned connections;
	double rate; /* a second; 0: closed loop */
	bool fresh;
	size_t bytes, count, records;
	char **files;
	size_t n_files;
};

/* requests.c: prepared requests, sent and timed by the driver. */
int load_astraml(struct load *l, struct fault *f);
int load_remote_write(struct load *l, struct fault *f);
int load_influx(struct load *l, struct fault *f);
int load_files(struct load *l, struct fault *f);
int load_get(struct load *l, struct fault *f);

/* sync.c: the disk's own latency. */
int load_sync(struct load *l, struct fault *f);

/* follow.c: from a log record's writer to its followers. */
int load_follow(struct load *l, struct fault *f);

/* ---- shared, in main.c ---- */

void load_wait_for_go(void);

/* ,"NAME_p50_ms":...,"NAME_p99_ms":...,"NAME_max_ms":... of n > 0 durations, which it sorts; NAME_ is
 * left out when name is "". */
void load_print_latency(const char *name, int64_t *latency_ns, size_t n);

#endif
