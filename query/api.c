#include "query/api.h"

#include <stdio.h>
#include <strings.h>
#include <xxhash.h>

#include "proto/http.h"
#include "query/accept.h"
#include "query/handler.h"

struct route {
	const char *method;
	const char *path; /* {project}, {run} and {run}:WHAT stand for one part each */
	handler handle;
	enum role least;
	bool open; /* answered to anyone */
};

static const struct route routes[] = {
	{ "POST", "/v2/projects/{project}/runs", handle_run_create, ROLE_WORKER, false },
	{ "GET", "/v2/projects/{project}/runs", handle_runs, ROLE_VIEWER, false },
	{ "GET", "/v2/projects/{project}/runs/{run}", handle_run, ROLE_VIEWER, false },
	{ "DELETE", "/v2/projects/{project}/runs/{run}", handle_run_delete, ROLE_EDITOR, false },
	{ "PATCH", "/v2/projects/{project}/runs/{run}", handle_run_patch, ROLE_EDITOR, false },
	{ "POST", "/v2/projects/{project}/runs/{run}:undelete", handle_run_undelete, ROLE_EDITOR, false },
	{ "GET", "/v2/projects/{project}/runs/{run}/metrics", handle_metrics, ROLE_VIEWER, false },
	{ "GET", "/v2/projects/{project}/runs/{run}/logs", handle_logs, ROLE_VIEWER, false },
	{ "GET", "/v2/projects/{project}/runs/{run}/logs/histogram", handle_histogram, ROLE_VIEWER, false },
	{ "GET", "/v2/projects/{project}/runs/{run}/export", handle_export, ROLE_VIEWER, false },
	{ "GET", "/v2/projects/{project}/query", handle_query, ROLE_VIEWER, false },
	{ "GET", "/v2/projects/{project}/usage", handle_usage, ROLE_VIEWER, false },
	{ "GET", "/v2/projects", handle_projects, ROLE_OWNER, false },
	{ "POST", "/v2/projects", handle_project_create, ROLE_OWNER, false },
	{ "GET", "/v2/projects/{project}/policy", handle_policy, ROLE_VIEWER, false },
	{ "PUT", "/v2/projects/{project}/policy", handle_policy_set, ROLE_ADMIN, false },
	{ "GET", "/v2/verify", handle_verify, ROLE_OWNER, false },
	{ "GET", "/healthz", handle_healthz, ROLE_NONE, true },
	{ "GET", "/readyz", handle_readyz, ROLE_NONE, true },
	{ "GET", "/version", handle_version, ROLE_NONE, true },
	{ "GET", "/metrics", handle_server_metrics, ROLE_NONE, true },
};

/* The part of a path at *at, without its '/'; false at the end. */
static bool part_next(struct span path, size_t *at, struct span *ret)
{
	const uint8_t *from, *slash;

	if (*at >= path.len || path.data[*at] != '/')
		return false;
	from = path.data + *at + 1;
	slash = memchr(from, '/', path.len - *at - 1);
	*ret = span_of(from, slash ? (size_t)(slash - from) : path.len - *at - 1);
	*at += 1 + ret->len;
	return true;
}

static int id_take(const char *field, struct span raw, char ret[ID_MAX + 1], struct fault *f)
{
	struct buf text;
	int err;

	buf_init(&text, 4096);
	if (!http_unescape(raw, false, &text))
		err = fault_set(f, ERR_MALFORMED, field, "the %s in the path has a bad %%-escape", field);
	else
		err = id_check(field, buf_span(&text), f);
	if (err == 0) {
		memcpy(ret, text.data, text.len);
		ret[text.len] = 0;
	}
	buf_release(&text);
	return err;
}

/* Whether a part is a run's id and the ":WHAT" that follows "{run}" in the pattern; ids have no ':'. */
static bool run_matches(struct span pattern, struct span part, struct span *run)
{
	size_t n = sizeof "{run}" - 1, what = pattern.len - n;
	const uint8_t *colon = memchr(part.data, ':', part.len);
	size_t id = colon ? (size_t)(colon - part.data) : part.len;

	if (part.len - id != what || memcmp(part.data + id, pattern.data + n, what) != 0)
		return false;
	*run = span_of(part.data, id);
	return true;
}

/* Whether the path is of this route; the parts that stand for something into *project and *run. */
static bool route_matches(const struct route *r, struct span path, struct span *project, struct span *run)
{
	struct span pattern = span_str(r->path), want, is;
	size_t a = 0, b = 0;

	for (;;) {
		bool more = part_next(pattern, &a, &want);

		if (more != part_next(path, &b, &is))
			return false;
		if (!more)
			return b == path.len;
		if (span_is(want, "{project}"))
			*project = is;
		else if (want.len >= 5 && memcmp(want.data, "{run}", 5) == 0) {
			if (!run_matches(want, is, run))
				return false;
		} else if (!span_equal(want, is))
			return false;
	}
}

static bool method_is(struct span method, const char *name)
{
	return span_is(method, name) || (span_is(method, "HEAD") && strcmp(name, "GET") == 0);
}

static int route_find(const struct api_request *rq, const struct route **ret, struct span *project,
		      struct span *run, struct fault *f)
{
	bool path_known = false;

	for (size_t i = 0; i < sizeof routes / sizeof *routes; i++) {
		if (!route_matches(&routes[i], rq->path, project, run))
			continue;
		path_known = true;
		if (method_is(rq->method, routes[i].method)) {
			*ret = &routes[i];
			return 0;
		}
	}
	if (path_known)
		return fault_set(f, ERR_UNSUPPORTED, "method", "%.*s is not served on this path",
				 (int)rq->method.len, (const char *)rq->method.data);
	return fault_set(f, ERR_NOT_FOUND, "path", "nothing is served at %.*s",
			 (int)(rq->path.len < 200 ? rq->path.len : 200), (const char *)rq->path.data);
}

int accept_fault(const struct ctx *c, const char *have)
{
	struct span accept = c->rq->accept;

	return fault_set(c->f, ERR_REFUSED, "Accept", "this is answered in %s, not in %.*s", have,
			 (int)(accept.len < 120 ? accept.len : 120), (const char *)accept.data);
}

/* What is answered in one form is so for each client that takes one of those there are; /query, which
 * has several, chooses for itself. */
static int accept_check(const struct ctx *c, const struct route *route)
{
	static const char *const have[] = { "application/json", "application/x-ndjson", "text/plain",
					    "application/openmetrics-text", NULL };

	/* the form of an export is asked for by name: format= */
	if (route->handle == handle_query || route->handle == handle_export ||
	    accept_choose(c->rq->accept, have) >= 0)
		return 0;
	return accept_fault(c, route->handle == handle_server_metrics
				   ? "text/plain"
				   : "application/json (logs: application/x-ndjson)");
}

void ctx_release(struct ctx *c) { params_release(&c->params); }

int ctx_init(struct ctx *c, struct store *s, const struct api_request *rq, const struct api_sink *sink,
	     handler *ret, struct fault *f)
{
	struct span project = { 0 }, run = { 0 };
	const struct route *route = NULL;
	int err;

	*c = (struct ctx){ .store = s, .rq = rq, .sink = sink, .f = f };
	if ((err = route_find(rq, &route, &project, &run, f)) < 0)
		return err;
	if (project.data && (err = id_take("project", project, c->project, f)) < 0)
		return err;
	if (!route->open && (err = caller_may(rq->caller, c->project, route->least, f)) < 0)
		return fault_default(f, err);
	if (run.data && (err = id_take("run", run, c->run, f)) < 0)
		return err;
	if ((err = accept_check(c, route)) < 0 || (err = params_parse(rq->query, &c->params, f)) < 0)
		return err;
	*ret = route->handle;
	return 0;
}

int api_call(struct store *s, const struct api_request *rq, const struct api_sink *sink, struct fault *f)
{
	struct ctx c;
	handler handle;
	int err = ctx_init(&c, s, rq, sink, &handle, f);

	if (err == 0)
		err = handle(&c);
	ctx_release(&c);
	return err < 0 ? fault_default(f, err) : err;
}

/* ---- changes ---- */

int ctx_json(const struct ctx *c)
{
	static const char json[] = "application/json";
	struct span type = c->rq->content_type;
	size_t n = sizeof json - 1;

	if (type.len == 0 || (type.len >= n && strncasecmp((const char *)type.data, json, n) == 0 &&
			      (type.len == n || type.data[n] == ';' || type.data[n] == ' ')))
		return 0;
	return fault_set(c->f, ERR_UNSUPPORTED, "Content-Type",
			 "this takes JSON; send Content-Type: application/json (it was %.*s)",
			 (int)(type.len < 80 ? type.len : 80), (const char *)type.data);
}

int ctx_once(const struct ctx *c, struct once *ret)
{
	const struct api_request *rq = c->rq;
	const struct span parts[] = { rq->method, rq->path, rq->query, rq->body };
	struct once once = { .key = rq->idempotency_key };
	bool ok = once.key.len <= 255;

	for (size_t i = 0; ok && i < once.key.len; i++)
		ok = once.key.data[i] >= 0x20 && once.key.data[i] < 0x7f;
	if (!ok)
		return fault_set(c->f, ERR_REFUSED, "Idempotency-Key",
				 "Idempotency-Key has %zu bytes; it must be 1 to 255 printable ASCII "
				 "characters",
				 once.key.len);
	for (size_t i = 0; once.key.len > 0 && i < sizeof parts / sizeof *parts; i++)
		once.content_hash =
		    XXH3_64bits_withSeed(parts[i].data, parts[i].len, once.content_hash + parts[i].len);
	*ret = once;
	return 0;
}

int ctx_begin_changed(struct out *o, int status, bool replayed, const char *extra)
{
	char lines[512];

	snprintf(lines, sizeof lines, "%s%s", extra ? extra : "",
		 replayed ? "Idempotent-Replay: true\r\n" : "");
	return out_begin(o, status, "application/json", lines);
}

int ctx_finish(struct out *o, int err)
{
	if (err == 0)
		err = out_flush(o);
	out_release(o);
	return err;
}

bool api_is_follow(const struct api_request *rq)
{
	static const char tail[] = "/logs";
	size_t n = sizeof tail - 1;
	struct buf value;
	bool is;

	if (rq->path.len < n || memcmp(rq->path.data + rq->path.len - n, tail, n) != 0)
		return false;
	buf_init(&value, PARAM_BYTES_MAX);
	is = http_param(rq->query, "follow", 0, &value) && span_is(buf_span(&value), "true");
	buf_release(&value);
	return is;
}
