/*
 * exposition.c - the server's numbers: GET /metrics as Prometheus text (exposition format 0.0.4); those of
 * what is stored also as members of JSON.
 */
#include "query/handler.h"

enum kind { COUNTER, GAUGE };

struct number {
	const char *name, *help; /* of the metric, without "astraml_"; the JSON key is the name */
	enum kind kind;
	size_t offset; /* into struct store_stats or api_server; a uint64_t */
	double scale;  /* in the text; 1: an integer */
};

#define STORE(field)  offsetof(struct store_stats, field)
#define SERVER(field) offsetof(struct api_server, field)
#define SECONDS       1e-9

/* What is stored: the same for every process that reads the directory. */
static const struct number stored_numbers[] = {
	{ "runs", "Runs in the store.", GAUGE, STORE(runs), 1 },
	{ "deleted_runs", "Deleted runs that are not purged yet.", GAUGE, STORE(deleted_runs), 1 },
	{ "series", "Series of all runs.", GAUGE, STORE(series), 1 },
	{ "journal_bytes", "Bytes that the journal takes of the data file.", GAUGE, STORE(journal_bytes), 1 },
	{ "journal_batches", "Batches of the journal not flushed yet.", GAUGE, STORE(journal_batches), 1 },
	{ "flushes_total", "Flushes done.", COUNTER, STORE(flushes), 1 },
	{ "flushed_buckets", "Buckets in blocks, not in parts yet.", GAUGE, STORE(flushed_buckets), 1 },
	{ "blocks", "Blocks of flushed buckets.", GAUGE, STORE(blocks), 1 },
	{ "block_bytes", "Bytes of blocks of flushed buckets.", GAUGE, STORE(block_bytes), 1 },
	{ "parts", "Sealed parts.", GAUGE, STORE(parts), 1 },
	{ "part_buckets", "Buckets in sealed parts.", GAUGE, STORE(part_buckets), 1 },
	{ "part_bytes", "Bytes of sealed parts.", GAUGE, STORE(part_bytes), 1 },
	{ "raw_parts", "Sealed parts of samples one by one.", GAUGE, STORE(raw_parts), 1 },
	{ "raw_samples", "Samples in these.", GAUGE, STORE(raw_samples), 1 },
	{ "raw_part_bytes", "Bytes of these.", GAUGE, STORE(raw_bytes), 1 },
	{ "raw_batches", "Batches that are flushed and whose samples wait in the journal to be sealed.",
	  GAUGE, STORE(raw_batches), 1 },
	{ "quarantined", "Damaged pieces set aside; what they held is missing.", GAUGE, STORE(quarantined),
	  1 },
	{ "log_blocks", "Blocks of log records in the data file.", GAUGE, STORE(log_blocks), 1 },
	{ "log_block_bytes", "Bytes of these.", GAUGE, STORE(log_block_bytes), 1 },
	{ "log_parts", "Sealed parts of log records.", GAUGE, STORE(log_parts), 1 },
	{ "log_part_records", "Log records in these.", GAUGE, STORE(log_part_records), 1 },
	{ "log_part_bytes", "Bytes of these.", GAUGE, STORE(log_part_bytes), 1 },
	{ "file_bytes", "Size of the data file.", GAUGE, STORE(file_bytes), 1 },
	{ "free_bytes", "Of the data file, that are used again; `astraml compact` gives them back.", GAUGE,
	  STORE(free_bytes), 1 },
	{ "free_pages", "Pages of the data file that are free.", GAUGE, STORE(free_pages), 1 },
	{ "map_bytes", "Bound of the data file.", GAUGE, STORE(map_bytes), 1 },
	{ "disk_free_bytes", "Free bytes of the file system.", GAUGE, STORE(disk_free_bytes), 1 },
};

/* What the serving process alone knows. */
static const struct number store_numbers[] = {
	{ "open_buckets", "Buckets in memory, not flushed yet.", GAUGE, STORE(open_buckets), 1 },
	{ "open_bytes", "Bytes of memory that open buckets take.", GAUGE, STORE(open_bytes), 1 },
	{ "batches_total", "Batches committed since the start.", COUNTER, STORE(batches), 1 },
	{ "samples_total", "Samples committed since the start.", COUNTER, STORE(samples), 1 },
	{ "log_records_total", "Log records committed since the start.", COUNTER, STORE(log_records), 1 },
	{ "sealed_log_records_total", "Log records sealed since the start.", COUNTER,
	  STORE(sealed_log_records), 1 },
	{ "duplicates_total", "Batches answered as applied before.", COUNTER, STORE(duplicates), 1 },
	{ "commits_total", "Transactions committed since the start.", COUNTER, STORE(commits), 1 },
	{ "commit_seconds_total", "Time spent committing.", COUNTER, STORE(commit_ns_total), SECONDS },
	{ "fold_seconds_total", "Time spent folding samples into buckets.", COUNTER, STORE(fold_ns_total),
	  SECONDS },
	{ "flush_seconds_total", "Time spent flushing.", COUNTER, STORE(flush_ns_total), SECONDS },
	{ "queue_batches", "Batches waiting for the writer.", GAUGE, STORE(queue_batches), 1 },
};

static const struct number server_numbers[] = {
	{ "http_connections", "Open connections.", GAUGE, SERVER(connections), 1 },
	{ "http_requests_total", "Requests since the start.", COUNTER, SERVER(requests), 1 },
	{ "http_refused_total", "Requests and connections refused by a limit.", COUNTER, SERVER(refused), 1 },
	{ "http_in_bytes_total", "Bytes received.", COUNTER, SERVER(bytes_in), 1 },
	{ "http_out_bytes_total", "Bytes sent.", COUNTER, SERVER(bytes_out), 1 },
	{ "http_body_budget_used_bytes", "Bytes that bodies hold of their budget.", GAUGE,
	  SERVER(body_budget_used), 1 },
	{ "reads", "Reading requests under way.", GAUGE, SERVER(reads), 1 },
	{ "reads_waiting", "Reading requests waiting for a thread.", GAUGE, SERVER(reads_waiting), 1 },
	{ "followers", "Clients that follow a log.", GAUGE, SERVER(followers), 1 },
};

static void out_family(struct out *o, const struct number *n)
{
	out_raw(o, "# HELP astraml_");
	out_raw(o, n->name);
	out_ch(o, ' ');
	out_raw(o, n->help);
	out_raw(o, "\n# TYPE astraml_");
	out_raw(o, n->name);
	out_raw(o, n->kind == COUNTER ? " counter\n" : " gauge\n");
}

static void out_numbers(struct out *o, const struct number *list, size_t n, const void *from)
{
	for (size_t i = 0; i < n; i++) {
		uint64_t v;

		memcpy(&v, (const char *)from + list[i].offset, sizeof v);
		out_family(o, &list[i]);
		out_raw(o, "astraml_");
		out_raw(o, list[i].name);
		out_ch(o, ' ');
		if (list[i].scale == 1)
			out_u64(o, v);
		else
			out_double(o, (double)v * list[i].scale);
		out_ch(o, '\n');
	}
}

static void out_by_status(struct out *o, const struct api_server *s)
{
	static const struct number family = { "http_responses_total", "Answers by class of status.", COUNTER,
					      0, 1 };

	out_family(o, &family);
	for (unsigned i = 1; i < sizeof s->by_status / sizeof *s->by_status; i++) {
		out_raw(o, "astraml_http_responses_total{class=\"");
		out_u64(o, i);
		out_raw(o, "xx\"} ");
		out_u64(o, s->by_status[i]);
		out_ch(o, '\n');
	}
}

int handle_server_metrics(struct ctx *c)
{
	static const struct number full = { "disk_full", "1 while the disk is too full to write.", GAUGE, 0,
					    1 };
	struct store_stats stats;
	struct out o;
	int err = store_stats(c->store, &stats);

	if (err < 0)
		return fault_default(c->f, err);
	out_init(&o, c->sink);
	err = out_begin(&o, 200, "text/plain; version=0.0.4; charset=utf-8", NULL);
	out_numbers(&o, stored_numbers, sizeof stored_numbers / sizeof *stored_numbers, &stats);
	out_numbers(&o, store_numbers, sizeof store_numbers / sizeof *store_numbers, &stats);
	out_family(&o, &full);
	out_raw(&o, stats.disk_full ? "astraml_disk_full 1\n" : "astraml_disk_full 0\n");
	if (c->rq->server) {
		out_numbers(&o, server_numbers, sizeof server_numbers / sizeof *server_numbers,
			    c->rq->server);
		out_by_status(&o, c->rq->server);
	}
	return ctx_finish(&o, err);
}

void out_stored_numbers(struct out *o, const struct store_stats *stats)
{
	for (size_t i = 0; i < sizeof stored_numbers / sizeof *stored_numbers; i++) {
		const struct number *n = &stored_numbers[i];
		uint64_t v;

		memcpy(&v, (const char *)stats + n->offset, sizeof v);
		out_raw(o, i ? ",\"" : "\"");
		out_raw(o, n->name);
		out_raw(o, "\":");
		out_u64(o, v);
	}
}
