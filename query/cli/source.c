#include "query/cli/source.h"

#include <stdio.h>
#include <stdlib.h>

#include "proto/client.h"
#include "query/api.h"
#include "query/params.h"

#define CONNECT_MS     10000
#define PATH_MAX_BYTES 65536

struct source {
	struct client *client; /* or */
	struct store *store;
};

int source_open(const struct target *t, struct source **ret, struct fault *f)
{
	const struct store_options options = { .read_only = true };
	struct source *s = calloc(1, sizeof *s);
	int err;

	if (!s)
		return fault_default(f, ERR_NOMEM);
	if (t->url)
		err = client_new(t->url, t->token, CONNECT_MS, &s->client, f);
	else
		err = store_open(t->data_dir, &options, &s->store, f);
	if (err < 0) {
		free(s);
		return fault_default(f, err);
	}
	*ret = s;
	return 0;
}

void source_close(struct source *s)
{
	if (!s)
		return;
	client_free(s->client);
	store_close(s->store);
	free(s);
}

/* ---- in this process ---- */

struct taker {
	source_fn fn;
	void *arg;
};

static int taker_begin(void *arg, int status, const char *content_type, const char *extra)
{
	(void)arg, (void)status, (void)content_type, (void)extra;
	return 0;
}

static int taker_write(void *arg, struct span s)
{
	struct taker *t = arg;

	return s.len && t->fn(t->arg, s) != 0 ? ERR_GONE : 0;
}

/* Whoever can read the directory may read what is in it. */
static int call_here(struct source *s, const char *path, const char *accept, struct taker *t, struct fault *f)
{
	const struct caller owner = { .role = ROLE_OWNER };
	const struct api_sink sink = { taker_begin, taker_write, t };
	size_t n = strcspn(path, "?");
	struct api_request rq = { .method = span_str("GET"),
				  .path = span_of(path, n),
				  .query = span_str(path[n] ? path + n + 1 : ""),
				  .accept = span_str(accept),
				  .caller = &owner };

	return api_call(s->store, &rq, &sink, f);
}

int source_get_as(struct source *s, const char *path, const char *accept, source_fn fn, void *arg,
		  struct fault *f)
{
	const struct client_request rq = { .method = "GET", .path = path, .accept = accept };
	struct taker t = { fn, arg };
	int err =
	    s->client ? client_call(s->client, &rq, fn, arg, NULL, f) : call_here(s, path, accept, &t, f);

	return fault_default(f, err);
}

int source_get(struct source *s, const char *path, source_fn fn, void *arg, struct fault *f)
{
	return source_get_as(s, path, "*/*", fn, arg, f);
}

static int keep(void *arg, struct span piece) { return buf_add(arg, piece.data, piece.len); }

int source_fetch(struct source *s, const char *path, struct buf *out, struct fault *f)
{
	int err;

	buf_clear(out);
	out->max = SOURCE_WHOLE_MAX;
	err = source_get(s, path, keep, out, f);
	if (err == ERR_GONE)
		return fault_set(f, ERR_TOO_LARGE, "", "the answer is larger than %u bytes; ask for less",
				 SOURCE_WHOLE_MAX);
	return err;
}

int source_send(struct source *s, const char *method, const char *path, struct span body, struct buf *out,
		struct fault *f)
{
	const struct client_request rq = {
		.method = method, .path = path, .content_type = "application/json", .body = body
	};

	if (!s->client)
		return fault_set(f, ERR_DENIED, "", "the directory is open for reading; name a server");
	buf_clear(out);
	out->max = SOURCE_WHOLE_MAX;
	return fault_default(f, client_fetch(s->client, &rq, out, NULL, f));
}

/* ---- paths ---- */

static void escape(struct buf *b, const char *text)
{
	static const char hex[] = "0123456789ABCDEF";

	for (; *text; text++) {
		unsigned char c = (unsigned char)*text;

		if ((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
		    strchr("-._~", c))
			buf_addch(b, (char)c);
		else
			buf_addf(b, "%%%c%c", hex[c >> 4], hex[c & 15]);
	}
}

void path_init(struct buf *b, const struct target *t)
{
	buf_init(b, PATH_MAX_BYTES);
	buf_addstr(b, "/v2/projects");
	path_part(b, t->project);
}

void path_add(struct buf *b, const char *text) { buf_addstr(b, text); }

void path_part(struct buf *b, const char *text)
{
	buf_addch(b, '/');
	escape(b, text);
}

void path_param(struct buf *b, const char *name, const char *value)
{
	if (!value)
		return;
	buf_addch(b, b->len && memchr(b->data, '?', b->len) ? '&' : '?');
	escape(b, name);
	buf_addch(b, '=');
	escape(b, value);
}

void path_param_since(struct buf *b, const char *name, const char *value)
{
	char ago[64];
	int64_t ns;

	if (value && duration_parse(span_str(value), &ns) && strlen(value) + 2 < sizeof ago) {
		snprintf(ago, sizeof ago, "-%s", value);
		value = ago;
	}
	path_param(b, name, value);
}

void path_param_u64(struct buf *b, const char *name, uint64_t value)
{
	char text[24];

	snprintf(text, sizeof text, "%llu", (unsigned long long)value);
	path_param(b, name, text);
}
