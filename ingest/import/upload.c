#include "ingest/import/upload.h"

#include <json-c/json.h>
#include <stdio.h>
#include <time.h>

#include "astraml/v2/ingest.pb-c.h"
#include "store/base/compress.h"

#define BODY_BYTES_MAX   (64u << 20)
#define ANSWER_BYTES_MAX (16u << 20)
#define PACK_LEVEL       1

void upload_init(struct upload *u, struct client *client, const char *project)
{
	*u = (struct upload){ .client = client, .project = project };
	buf_init(&u->body, BODY_BYTES_MAX);
	buf_init(&u->packed, BODY_BYTES_MAX);
	buf_init(&u->answer, ANSWER_BYTES_MAX);
}

void upload_release(struct upload *u)
{
	buf_release(&u->body);
	buf_release(&u->packed);
	buf_release(&u->answer);
}

static bool may_pass(int err)
{
	return err == ERR_BUSY || err == ERR_AHEAD || err == ERR_DISK_FULL || err == ERR_IO ||
	       err == ERR_TIMEOUT;
}

static void wait_ms(int64_t ms)
{
	struct timespec ts = { ms / 1000, ms % 1000 * NS_PER_MS };

	while (nanosleep(&ts, &ts) != 0)
		;
}

static int give_up(int err, struct fault *f)
{
	struct fault last = *f;

	return fault_set(f, err, last.field,
			 "%.300s; gave up after %d s: import again, and it goes on where it stopped",
			 last.text, (int)(UPLOAD_PATIENCE_NS / NS_PER_S));
}

/* The answer's body is in u->answer. */
static int call(struct upload *u, const struct client_request *rq, int *ret_status, struct fault *f)
{
	int64_t deadline = 0, pause_ms = 100;

	for (;;) {
		int err;

		buf_clear(&u->answer);
		*f = (struct fault){ 0 };
		err = client_fetch(u->client, rq, &u->answer, ret_status, f);
		if (!may_pass(err))
			return err;
		fault_default(f, err);
		if (deadline == 0) {
			deadline = clock_mono_ns() + UPLOAD_PATIENCE_NS;
			fprintf(stderr, "astraml import: %s; trying again\n", f->text);
		} else if (clock_mono_ns() + pause_ms * NS_PER_MS > deadline) {
			return give_up(err, f);
		}
		wait_ms(pause_ms);
		pause_ms = pause_ms < 2500 ? pause_ms * 2 : 5000;
	}
}

static const char *text_at(struct json_object *o, const char *key)
{
	struct json_object *v;

	return json_object_object_get_ex(o, key, &v) && json_object_is_type(v, json_type_string)
		   ? json_object_get_string(v)
		   : "";
}

static bool time_at(struct json_object *o, const char *key, int64_t *ret_ns)
{
	const char *text = text_at(o, key);

	return clock_parse(text, strlen(text), ret_ns);
}

/* The parts we wrote into the spec come back in it. */
static int parse_run(struct span answer, struct upload_run *ret, struct fault *f)
{
	struct json_tokener *tok = json_tokener_new();
	struct json_object *o, *spec, *tags, *import;
	struct upload_run r = { .exists = true };

	if (!tok)
		return fault_default(f, ERR_NOMEM);
	o = json_tokener_parse_ex(tok, (const char *)answer.data, (int)answer.len);
	json_tokener_free(tok);
	if (!o)
		return fault_set(f, ERR_MALFORMED, "",
				 "the server described the run with something that is not JSON");
	/* an export may have the tags of an earlier import; that the run came of it goes before these */
	if (json_object_object_get_ex(o, "spec", &spec) &&
	    json_object_object_get_ex(spec, "imported_from", &import)) {
		snprintf(r.import_id, sizeof(r.import_id), "%s", text_at(import, "id"));
		snprintf(r.import_file, sizeof(r.import_file), "%s", text_at(import, "file"));
		r.has_times =
		    time_at(import, "file_time", &r.reference_ns) && time_at(import, "time", &r.imported_ns);
	} else if (spec && json_object_object_get_ex(spec, "tags", &tags)) {
		snprintf(r.import_id, sizeof(r.import_id), "%s", text_at(tags, "import_id"));
		snprintf(r.import_file, sizeof(r.import_file), "%s", text_at(tags, "import_file"));
		r.has_times = time_at(tags, "import_file_time", &r.reference_ns) &&
			      time_at(tags, "import_time", &r.imported_ns);
	}
	json_object_put(o);
	*ret = r;
	return 0;
}

int upload_find_run(struct upload *u, struct upload_run *ret, struct fault *f)
{
	char path[512];
	struct client_request rq = { .method = "GET", .path = path };
	int status, err;

	snprintf(path, sizeof(path), "/v2/projects/%s/runs/%s", u->project, u->run);
	err = call(u, &rq, &status, f);
	if (err == ERR_NOT_FOUND) {
		*ret = (struct upload_run){ 0 };
		return 0;
	}
	return err < 0 ? err : parse_run(buf_span(&u->answer), ret, f);
}

int upload_create_run(struct upload *u, struct fault *f)
{
	char path[512];
	struct client_request rq = {
		.method = "POST", .path = path, .content_type = "application/json", .body = buf_span(&u->body)
	};
	int status;

	snprintf(path, sizeof(path), "/v2/projects/%s/runs", u->project);
	return call(u, &rq, &status, f);
}

static int parse_answer(struct span answer, struct upload_answer *ret, struct fault *f)
{
	Astraml__V2__IngestResponse *m = astraml__v2__ingest_response__unpack(NULL, answer.len, answer.data);
	struct upload_answer a = { 0 };

	if (!m)
		return fault_set(f, ERR_MALFORMED, "",
				 "the server answered with something that is no IngestResponse");
	a.duplicate = m->duplicate;
	for (size_t i = 0; i < m->n_rejected; i++) {
		bool sample = m->rejected[i]->kind == ASTRAML__V2__REJECTED__KIND__SAMPLE;

		a.rejected_samples += sample;
		a.rejected_lines += !sample;
	}
	if (m->n_rejected > 0)
		snprintf(a.reject_code, sizeof(a.reject_code), "%s", m->rejected[0]->code);
	astraml__v2__ingest_response__free_unpacked(m, NULL);
	*ret = a;
	return 0;
}

int upload_send(struct upload *u, bool is_lines, struct upload_answer *ret, struct fault *f)
{
	char path[512];
	struct client_request rq = { .method = "POST",
				     .path = path,
				     .content_type =
					 is_lines ? "application/x-ndjson" : "application/x-protobuf",
				     .accept = "application/x-protobuf",
				     .content_encoding = "zstd" };
	int status, err;

	snprintf(path, sizeof(path), "/v2/projects/%s/runs/%s/ingest", u->project, u->run);
	buf_clear(&u->packed);
	err = compress_block(buf_span(&u->body), PACK_LEVEL, &u->packed);
	if (err < 0)
		return fault_default(f, err);
	rq.body = buf_span(&u->packed);
	err = call(u, &rq, &status, f);
	return err < 0 ? err : parse_answer(buf_span(&u->answer), ret, f);
}
