#include "proto/client.h"

#include <curl/curl.h>
#include <json-c/json.h>
#include <pthread.h>
#include <stdlib.h>
#include <strings.h>

#define ERROR_BYTES (64 << 10) /* kept of an answer that is not 2xx */

struct client {
	CURL *curl;
	char *url;    /* as the user gave it, for sentences */
	char *base;   /* what curl is asked for: without a trailing slash */
	char *bearer; /* header line, or NULL */
	char trouble[CURL_ERROR_SIZE];
};

/* One call at hand. */
struct call {
	struct client *client;
	client_sink sink;
	void *arg;
	struct buf error_body;
	bool cancelled;
};

static pthread_once_t curl_once = PTHREAD_ONCE_INIT;

static void curl_start(void) { curl_global_init(CURL_GLOBAL_DEFAULT); }

/* ---- new ---- */

static int set_url(struct client *c, const char *url, struct fault *f)
{
	size_t n = strlen(url);

	c->url = strdup(url);
	if (strncmp(url, "unix:", 5) == 0 && n > 5) {
		curl_easy_setopt(c->curl, CURLOPT_UNIX_SOCKET_PATH, url + 5);
		c->base = strdup("http://localhost");
	} else if (strncasecmp(url, "http://", 7) == 0 || strncasecmp(url, "https://", 8) == 0) {
		while (n && url[n - 1] == '/')
			n--;
		c->base = strndup(url, n);
	} else {
		return fault_set(
		    f, ERR_REFUSED, "server",
		    "the server \"%s\" is not a URL; write http://HOST:PORT, https://HOST or unix:PATH", url);
	}
	return c->url && c->base ? 0 : fault_default(f, ERR_NOMEM);
}

static size_t on_body(char *data, size_t size, size_t n, void *arg)
{
	struct call *call = arg;
	long status = 0;
	size_t len = size * n, room;

	curl_easy_getinfo(call->client->curl, CURLINFO_RESPONSE_CODE, &status);
	if (status / 100 == 2) {
		call->cancelled = call->sink(call->arg, span_of(data, len)) != 0;
		return call->cancelled ? 0 : len;
	}
	room = ERROR_BYTES - call->error_body.len;
	return buf_add(&call->error_body, data, len < room ? len : room) < 0 ? 0 : len;
}

static void set_options(struct client *c, int timeout_ms)
{
	curl_easy_setopt(c->curl, CURLOPT_NOSIGNAL, 1L);
	curl_easy_setopt(c->curl, CURLOPT_PROTOCOLS_STR, "http,https");
	curl_easy_setopt(c->curl, CURLOPT_PROXY, "");
	curl_easy_setopt(c->curl, CURLOPT_NOPROXY, "*");
	curl_easy_setopt(c->curl, CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_1_1);
	curl_easy_setopt(c->curl, CURLOPT_CONNECTTIMEOUT_MS, (long)timeout_ms);
	curl_easy_setopt(c->curl, CURLOPT_TCP_NODELAY, 1L);
	curl_easy_setopt(c->curl, CURLOPT_TCP_KEEPALIVE, 1L);
	curl_easy_setopt(c->curl, CURLOPT_BUFFERSIZE, 256L << 10);
	curl_easy_setopt(c->curl, CURLOPT_UPLOAD_BUFFERSIZE, 256L << 10);
	curl_easy_setopt(c->curl, CURLOPT_ERRORBUFFER, c->trouble);
	curl_easy_setopt(c->curl, CURLOPT_USERAGENT, "astraml/" ASTRAML_VERSION);
	curl_easy_setopt(c->curl, CURLOPT_WRITEFUNCTION, on_body);
}

static bool is_header_safe(const char *s)
{
	for (; *s; s++)
		if ((unsigned char)*s < ' ' || *s == 0x7f)
			return false;
	return true;
}

int client_new(const char *base_url, const char *token, int timeout_ms, struct client **ret, struct fault *f)
{
	struct client *c;
	int err;

	if (token && !is_header_safe(token))
		return fault_set(f, ERR_REFUSED, "token", "the token holds control characters");
	pthread_once(&curl_once, curl_start);
	c = calloc(1, sizeof(*c));
	if (!c)
		return fault_default(f, ERR_NOMEM);
	c->curl = curl_easy_init();
	err = c->curl ? set_url(c, base_url, f) : fault_default(f, ERR_NOMEM);
	if (!err && token && asprintf(&c->bearer, "Authorization: Bearer %s", token) < 0)
		err = fault_default(f, ERR_NOMEM);
	if (err) {
		client_free(c);
		return err;
	}
	set_options(c, timeout_ms);
	*ret = c;
	return 0;
}

void client_free(struct client *c)
{
	if (!c)
		return;
	curl_easy_cleanup(c->curl);
	free(c->url);
	free(c->base);
	free(c->bearer);
	free(c);
}

/* ---- errors ---- */

static int err_of_status(long status)
{
	switch (status) {
	case 400:
		return ERR_MALFORMED;
	case 401:
		return ERR_UNAUTHENTICATED;
	case 403:
		return ERR_DENIED;
	case 404:
		return ERR_NOT_FOUND;
	case 408:
		return ERR_TIMEOUT;
	case 409:
		return ERR_CONFLICT;
	case 413:
	case 414:
	case 431:
		return ERR_TOO_LARGE;
	case 405:
	case 415:
	case 417:
	case 505:
		return ERR_UNSUPPORTED;
	case 429:
	case 502:
	case 503:
	case 504:
		return ERR_BUSY;
	case 507:
		return ERR_DISK_FULL;
	default:
		return status / 100 == 4 ? ERR_REFUSED : ERR_IO;
	}
}

static const char *text_of(struct json_object *parent, const char *key)
{
	struct json_object *value;

	if (!json_object_object_get_ex(parent, key, &value) || !json_object_is_type(value, json_type_string))
		return NULL;
	return json_object_get_string(value);
}

/* The server's own sentence, if the body is an error document; the word in "code" tells apart
 * what shares a status. */
static bool read_error_document(const struct buf *body, int err, struct fault *f)
{
	struct json_tokener *tokener = json_tokener_new_ex(8);
	struct json_object *document, *error;
	const char *message = NULL, *field, *code;

	if (!tokener)
		return false;
	document =
	    body->len ? json_tokener_parse_ex(tokener, (const char *)body->data, (int)body->len) : NULL;
	if (document && json_object_object_get_ex(document, "error", &error) &&
	    json_object_is_type(error, json_type_object) && (message = text_of(error, "message"))) {
		field = text_of(error, "field");
		code = text_of(error, "code");
		if (err == ERR_BUSY && code && strcmp(code, err_name(ERR_AHEAD)) == 0)
			err = ERR_AHEAD;
		fault_set(f, err, field ? field : "", "%s", message);
	}
	json_object_put(document);
	json_tokener_free(tokener);
	return message != NULL;
}

static int fail_status(struct call *call, long status, struct fault *f)
{
	struct fault scratch;
	int err = err_of_status(status);

	if (!f)
		f = &scratch;
	if (read_error_document(&call->error_body, err, f))
		return f->err;
	return fault_set(f, err, "",
			 "%s answered with status %ld and no explanation; is it an astraml server?",
			 call->client->url, status);
}

static int fail_transfer(struct call *call, CURLcode rc, struct fault *f)
{
	struct client *c = call->client;
	const char *why = c->trouble[0] ? c->trouble : curl_easy_strerror(rc);

	if (call->cancelled)
		return fault_default(f, ERR_GONE);
	switch (rc) {
	case CURLE_COULDNT_CONNECT:
	case CURLE_COULDNT_RESOLVE_HOST:
	case CURLE_OPERATION_TIMEDOUT:
		return fault_set(f, ERR_IO, "server",
				 "cannot connect to %s (%s); is `astraml serve` running there?", c->url, why);
	case CURLE_PARTIAL_FILE:
	case CURLE_RECV_ERROR:
	case CURLE_GOT_NOTHING:
		return fault_set(f, ERR_IO, "", "the answer of %s was cut short (%s)", c->url, why);
	case CURLE_OUT_OF_MEMORY:
		return fault_default(f, ERR_NOMEM);
	default:
		return fault_set(f, ERR_IO, "", "the call to %s failed: %s", c->url, why);
	}
}

/* ---- calls ---- */

static bool add_header(struct curl_slist **list, const char *name, const char *value)
{
	struct curl_slist *longer = NULL;
	char *line;

	if (!value)
		return true;
	if (!is_header_safe(value) || asprintf(&line, "%s%s", name, value) < 0)
		return false;
	longer = curl_slist_append(*list, line);
	free(line);
	if (longer)
		*list = longer;
	return longer != NULL;
}

/* Expect is switched off: the server's early refusals are read without it, and it costs a round trip. */
static bool make_headers(const struct client *c, const struct client_request *rq, struct curl_slist **list)
{
	return add_header(list, "", c->bearer) &&
	       add_header(list, "Accept: ", rq->accept ? rq->accept : "application/json") &&
	       add_header(list, "Content-Type: ", rq->content_type) &&
	       add_header(list, "Content-Encoding: ", rq->content_encoding) &&
	       add_header(list, "Idempotency-Key: ", rq->idempotency_key) && add_header(list, "", "Expect:");
}

static void set_body(struct client *c, const struct client_request *rq)
{
	curl_easy_setopt(c->curl, CURLOPT_HTTPGET, 1L);
	curl_easy_setopt(c->curl, CURLOPT_NOBODY, strcmp(rq->method, "HEAD") == 0 ? 1L : 0L);
	if (rq->content_type) {
		curl_easy_setopt(c->curl, CURLOPT_POST, 1L);
		curl_easy_setopt(c->curl, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)rq->body.len);
		curl_easy_setopt(c->curl, CURLOPT_POSTFIELDS,
				 rq->body.len ? (const char *)rq->body.data : "");
	}
	curl_easy_setopt(c->curl, CURLOPT_CUSTOMREQUEST, rq->method);
}

static int perform(struct call *call, const char *url, struct curl_slist *headers, int *ret_status,
		   struct fault *f)
{
	struct client *c = call->client;
	long status = 0;
	CURLcode rc;

	c->trouble[0] = 0;
	curl_easy_setopt(c->curl, CURLOPT_URL, url);
	curl_easy_setopt(c->curl, CURLOPT_HTTPHEADER, headers);
	curl_easy_setopt(c->curl, CURLOPT_WRITEDATA, call);
	rc = curl_easy_perform(c->curl);
	curl_easy_getinfo(c->curl, CURLINFO_RESPONSE_CODE, &status);
	if (ret_status)
		*ret_status = (int)status;
	/* a refusal that arrived whole counts, even when the rest of the body could not be sent */
	if (status >= 300 && (rc == CURLE_OK || call->error_body.len))
		return fail_status(call, status, f);
	return rc == CURLE_OK ? 0 : fail_transfer(call, rc, f);
}

int client_call(struct client *c, const struct client_request *rq, client_sink sink, void *arg,
		int *ret_status, struct fault *f)
{
	struct call call = { .client = c, .sink = sink, .arg = arg };
	struct curl_slist *headers = NULL;
	char *url = NULL;
	int err;

	if (ret_status)
		*ret_status = 0;
	buf_init(&call.error_body, ERROR_BYTES);
	if (asprintf(&url, "%s%s", c->base, rq->path) < 0) {
		url = NULL;
		err = fault_default(f, ERR_NOMEM);
		goto done;
	}
	if (!make_headers(c, rq, &headers)) {
		err = fault_set(f, ERR_REFUSED, "", "a header of the request holds control characters");
		goto done;
	}
	set_body(c, rq);
	err = perform(&call, url, headers, ret_status, f);
	curl_easy_setopt(c->curl, CURLOPT_HTTPHEADER, NULL);
done:
	curl_slist_free_all(headers);
	buf_release(&call.error_body);
	free(url);
	return err;
}

static int append_to_buf(void *arg, struct span piece) { return buf_add(arg, piece.data, piece.len); }

int client_fetch(struct client *c, const struct client_request *rq, struct buf *out, int *ret_status,
		 struct fault *f)
{
	size_t before = out->len;
	int err = client_call(c, rq, append_to_buf, out, ret_status, f);

	if (err == ERR_GONE)
		err = fault_set(f, ERR_FULL, "", "the answer of %s has more than %zu bytes, too many to hold",
				c->url, out->max);
	if (err)
		out->len = before;
	return err;
}
