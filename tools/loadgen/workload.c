#include "tools/loadgen/workload.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "astraml/v2/ingest.pb-c.h"
#include "store/base/bytes.h"
#include "store/base/clock.h"

#define RANKS          8
#define NAME_MAX_BYTES 64

static unsigned slices_per_run(const struct workload *w)
{
	return (w->series_per_run + w->batch - 1) / w->batch;
}

size_t workload_requests(const struct workload *w) { return (size_t)w->runs * slices_per_run(w) * w->steps; }

size_t workload_samples(const struct workload *w) { return (size_t)w->runs * w->series_per_run * w->steps; }

struct slice workload_slice(const struct workload *w, size_t nth)
{
	unsigned per_run = slices_per_run(w), per_step = per_run * w->runs;
	unsigned at = (unsigned)(nth % per_step), first = at % per_run * w->batch;
	unsigned left = w->series_per_run - first;

	return (struct slice){ .run = at / per_run,
			       .first = first,
			       .n = left < w->batch ? left : w->batch,
			       .step = (int64_t)(nth / per_step) };
}

struct slice workload_warm_up(const struct workload *w, unsigned run)
{
	return (struct slice){ .run = run, .first = 0, .n = w->series_per_run, .step = -1 };
}

void workload_run_name(unsigned run, char ret[RUN_NAME_MAX])
{
	snprintf(ret, RUN_NAME_MAX, "bench-%04u", run % 10000);
}

static void metric_name(unsigned series, char ret[NAME_MAX_BYTES])
{
	static const char *const kinds[] = { "attn_grad_norm", "mlp_grad_norm", "weight_norm", "update_ratio",
					     "loss" };
	unsigned metric = series / RANKS, n = sizeof(kinds) / sizeof(*kinds);

	snprintf(ret, NAME_MAX_BYTES, "train_layer_%03u_%s", metric / n, kinds[metric % n]);
}

static void rank_name(unsigned series, char ret[NAME_MAX_BYTES])
{
	snprintf(ret, NAME_MAX_BYTES, "%u", series % RANKS);
}

/* splitmix64 (Steele, Lea, Flood 2014). */
static uint64_t mix(uint64_t x)
{
	x += 0x9e3779b97f4a7c15;
	x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9;
	x = (x ^ (x >> 27)) * 0x94d049bb133111eb;
	return x ^ (x >> 31);
}

static double unit_interval(uint64_t x) { return (double)(mix(x) >> 11) * 0x1p-53; }

static double value_at(const struct workload *w, unsigned run, unsigned series, int64_t step)
{
	uint64_t id = (uint64_t)run * w->series_per_run + series;
	double scale = 0.5 + 8 * unit_interval(id * 2), tau = 100 + 1000 * unit_interval(id * 2 + 1);
	double noise = unit_interval((id << 24) ^ (uint64_t)(step + 1)) - 0.5;
	double value = scale * (0.2 + exp(-(double)(step + 1) / tau)) * (1 + 0.06 * noise);

	return w->f64 ? value : (double)(float)value;
}

static int64_t time_at(const struct workload *w, int64_t step) { return w->start_ns + step * w->step_ns; }

/* ---- ours ---- */

struct columns {
	int32_t *series;
	double *values;
	float *values_f32;
	Astraml__V2__Series *defined;
	Astraml__V2__Series **pointers;
	Astraml__V2__Label *labels;
	Astraml__V2__Label **label_pointers;
	char (*texts)[2][NAME_MAX_BYTES];
};

static void columns_release(struct columns *c)
{
	free(c->series);
	free(c->values);
	free(c->values_f32);
	free(c->defined);
	free(c->pointers);
	free(c->labels);
	free(c->label_pointers);
	free(c->texts);
}

static int define_series(struct slice s, struct columns *c, Astraml__V2__IngestRequest *rq)
{
	c->defined = calloc(s.n, sizeof(*c->defined));
	c->pointers = calloc(s.n, sizeof(*c->pointers));
	c->labels = calloc(s.n, sizeof(*c->labels));
	c->label_pointers = calloc(s.n, sizeof(*c->label_pointers));
	c->texts = calloc(s.n, sizeof(*c->texts));
	if (!c->defined || !c->pointers || !c->labels || !c->label_pointers || !c->texts)
		return ERR_NOMEM;
	for (unsigned i = 0; i < s.n; i++) {
		metric_name(s.first + i, c->texts[i][0]);
		rank_name(s.first + i, c->texts[i][1]);
		c->labels[i] = (Astraml__V2__Label)ASTRAML__V2__LABEL__INIT;
		c->labels[i].key = (char *)"rank";
		c->labels[i].value = c->texts[i][1];
		c->label_pointers[i] = &c->labels[i];
		c->defined[i] = (Astraml__V2__Series)ASTRAML__V2__SERIES__INIT;
		c->defined[i].metric = c->texts[i][0];
		c->defined[i].n_labels = 1;
		c->defined[i].labels = &c->label_pointers[i];
		c->pointers[i] = &c->defined[i];
	}
	rq->n_series = s.n;
	rq->series = c->pointers;
	return 0;
}

static int fill_samples(const struct workload *w, struct slice s, const uint32_t *ids, struct columns *c,
			Astraml__V2__Samples *samples)
{
	c->series = calloc(s.n, sizeof(*c->series));
	c->values = calloc(s.n, sizeof(*c->values));
	c->values_f32 = calloc(s.n, sizeof(*c->values_f32));
	if (!c->series || !c->values || !c->values_f32)
		return ERR_NOMEM;
	for (unsigned i = 0, before = 0; i < s.n; i++) {
		unsigned id = ids ? ids[s.first + i] : i;

		c->series[i] = (int32_t)(id - before);
		before = id;
		c->values[i] = value_at(w, s.run, s.first + i, s.step);
		c->values_f32[i] = (float)c->values[i];
	}
	samples->n_series = s.n;
	samples->series = c->series;
	samples->series_are_ids = ids != NULL;
	samples->n_values = w->f64 ? s.n : 0;
	samples->values = c->values;
	samples->n_values_f32 = w->f64 ? 0 : s.n;
	samples->values_f32 = c->values_f32;
	return 0;
}

int workload_ingest_body(const struct workload *w, struct slice s, const uint32_t *ids, uint64_t sequence,
			 struct buf *out)
{
	Astraml__V2__IngestRequest rq = ASTRAML__V2__INGEST_REQUEST__INIT;
	Astraml__V2__Producer producer = ASTRAML__V2__PRODUCER__INIT;
	Astraml__V2__Samples samples = ASTRAML__V2__SAMPLES__INIT, *one_samples = &samples;
	struct columns c = { 0 };
	uint8_t id[16] = "loadgen";
	int64_t no_delta = 0, step = s.step + 1;
	size_t size;
	int err;

	put_le64(id + 8, mix(s.run) ^ (uint64_t)w->start_ns);
	producer.id = (ProtobufCBinaryData){ sizeof(id), id };
	producer.sequence = sequence;
	rq.producer = &producer;
	rq.n_samples = 1;
	rq.samples = &one_samples;
	samples.start_ns = time_at(w, s.step);
	samples.n_times = samples.n_steps = 1;
	samples.times = &no_delta;
	samples.steps = &step;
	err = fill_samples(w, s, ids, &c, &samples);
	if (err == 0 && !ids)
		err = define_series(s, &c, &rq);
	if (err < 0)
		goto done;
	size = astraml__v2__ingest_request__get_packed_size(&rq);
	err = buf_reserve(out, size);
	if (err == 0)
		out->len += astraml__v2__ingest_request__pack(&rq, out->data + out->len);
done:
	columns_release(&c);
	return err;
}

/* ---- Prometheus remote write: WriteRequest{1: TimeSeries{1: Label{1, 2}, 2: Sample{1, 2}}} ---- */

static uint8_t *put_text(uint8_t *p, uint8_t tag, const void *text, size_t len)
{
	*p++ = tag;
	p = put_varint(p, len);
	memcpy(p, text, len);
	return p + len;
}

static uint8_t *put_label(uint8_t *p, const char *key, const char *value)
{
	uint8_t label[2 * NAME_MAX_BYTES + 8], *end = label;

	end = put_text(end, 1 << 3 | 2, key, strlen(key));
	end = put_text(end, 2 << 3 | 2, value, strlen(value));
	return put_text(p, 1 << 3 | 2, label, (size_t)(end - label));
}

/* The labels as a Prometheus server sends them: sorted, the name first. */
static uint8_t *put_time_series(uint8_t *p, const struct workload *w, struct slice s, unsigned series)
{
	char metric[NAME_MAX_BYTES], rank[NAME_MAX_BYTES], run[RUN_NAME_MAX];
	uint8_t sample[32], *end = sample;

	metric_name(series, metric);
	rank_name(series, rank);
	workload_run_name(s.run, run);
	p = put_label(p, "__name__", metric);
	p = put_label(p, "project", "default");
	p = put_label(p, "rank", rank);
	p = put_label(p, "run", run);
	*end++ = 1 << 3 | 1;
	put_le64(end, double_bits(value_at(w, s.run, series, s.step)));
	end += 8;
	*end++ = 2 << 3;
	end = put_varint(end, (uint64_t)(time_at(w, s.step) / NS_PER_MS));
	return put_text(p, 2 << 3 | 2, sample, (size_t)(end - sample));
}

int workload_remote_write_body(const struct workload *w, struct slice s, struct buf *out)
{
	uint8_t one[8 * NAME_MAX_BYTES];

	for (unsigned i = 0; i < s.n; i++) {
		size_t len = (size_t)(put_time_series(one, w, s, s.first + i) - one);
		int err = buf_reserve(out, len + VARINT_MAX + 1);

		if (err < 0)
			return err;
		out->len = (size_t)(put_text(out->data + out->len, 1 << 3 | 2, one, len) - out->data);
	}
	return 0;
}

/* ---- InfluxDB's line protocol: measurement,tag=value... field=value time ---- */

int workload_influx_body(const struct workload *w, struct slice s, struct buf *out)
{
	char metric[NAME_MAX_BYTES], rank[NAME_MAX_BYTES], run[RUN_NAME_MAX];
	int err = 0;

	workload_run_name(s.run, run);
	for (unsigned i = 0; err == 0 && i < s.n; i++) {
		metric_name(s.first + i, metric);
		rank_name(s.first + i, rank);
		err = buf_addf(out, "%s,project=default,rank=%s,run=%s value=%.*g %lld\n", metric, rank, run,
			       w->f64 ? 17 : 9, value_at(w, s.run, s.first + i, s.step),
			       (long long)time_at(w, s.step));
	}
	return err;
}
