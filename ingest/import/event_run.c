#include "ingest/import/event_run.h"

#include <sodium/crypto_generichash.h>
#include <stdio.h>
#include <stdlib.h>

#include "ingest/import/report.h"
#include "store/base/array.h"

#define ID_TEXT_BYTES (2 * EVENT_FILE_ID_BYTES + 1)

int event_run_init(struct event_run *r, const char *id, const char *name, struct upload *u)
{
	*r = (struct event_run){ .name = strdup(name) };
	snprintf(r->id, sizeof(r->id), "%s", id);
	return r->name ? event_sender_init(&r->sender, u) : ERR_NOMEM;
}

void event_run_release(struct event_run *r)
{
	for (size_t i = 0; i < r->n; i++)
		event_file_release(&r->files[i]);
	free(r->files);
	free(r->name);
	event_sender_release(&r->sender);
}

static int by_path(const void *a, const void *b)
{
	return strcmp(((const struct event_file *)a)->path, ((const struct event_file *)b)->path);
}

int event_run_add(struct event_run *r, const char *path)
{
	struct event_file e, key = { .path = (char *)path };
	int err;

	if (r->n > 0 && bsearch(&key, r->files, r->n, sizeof(key), by_path))
		return 0;
	if (array_grow(r->files, r->n, r->cap) < 0)
		return ERR_NOMEM;
	err = event_file_init(&e, strdup(path));
	if (err < 0)
		return err;
	r->files[r->n++] = e;
	qsort(r->files, r->n, sizeof(e), by_path);
	return 0;
}

bool event_run_is_final(int err)
{
	return err != ERR_MALFORMED && err != ERR_REFUSED && err != ERR_NOT_FOUND && err != ERR_CONFLICT &&
	       err != ERR_DENIED && err != ERR_TOO_LARGE;
}

/* ---- the run on the server ---- */

static void id_text(const struct event_file *e, char ret[ID_TEXT_BYTES])
{
	for (size_t i = 0; i < EVENT_FILE_ID_BYTES; i++)
		snprintf(ret + 2 * i, 3, "%02x", e->id[i]);
}

static const struct event_file *first_file(const struct event_run *r)
{
	for (size_t i = 0; i < r->n; i++)
		if (r->files[i].has_id)
			return &r->files[i];
	return NULL;
}

static int build_spec(const struct event_run *r, const struct event_file *first, struct buf *b)
{
	char name[SHOWN_NAME_MAX + 1], start[CLOCK_TEXT_MAX], id[ID_TEXT_BYTES];
	int err;

	shown_name(r->name, name);
	clock_format(first->first_ns > 0 ? first->first_ns : 1, start);
	id_text(first, id);
	buf_clear(b);
	if ((err = buf_addf(
		 b, "{\"id\":\"%s\",\"state\":\"running\",\"imported\":true,\"started_at\":\"%s\",\"name\":",
		 r->id, start)) < 0 ||
	    (err = add_json_text(b, name)) < 0 ||
	    (err = buf_addf(b, ",\"tags\":{\"import\":\"tensorboard\",\"import_id\":\"%s\",\"import_file\":",
			    id)) < 0 ||
	    (err = add_json_text(b, name)) < 0)
		return err;
	return buf_addstr(b, "}}");
}

static int check_run(const struct event_run *r, const struct upload_run *found, bool is_named,
		     struct fault *f)
{
	char id[ID_TEXT_BYTES];

	for (size_t i = 0; i < r->n; i++) {
		id_text(&r->files[i], id);
		if (r->files[i].has_id && strcmp(id, found->import_id) == 0)
			return 0;
	}
	if (found->import_id[0])
		return fault_set(
		    f, ERR_CONFLICT, "run",
		    "run %s is an import of %.100s, and its first file is none of these; give them "
		    "a run of their own with --run",
		    r->id, found->import_file);
	if (is_named)
		return 0;
	return fault_set(f, ERR_CONFLICT, "run",
			 "run %s is there already and was not made by an import; name another with --run, or "
			 "say --run %s to add to it",
			 r->id, r->id);
}

static int make_run(struct event_run *r, bool is_named, struct fault *f)
{
	struct upload *u = r->sender.upload;
	struct upload_run found;
	int err = upload_find_run(u, &found, f);

	if (err == 0 && !found.exists) {
		err = build_spec(r, first_file(r), &u->body);
		if (err < 0)
			return fault_default(f, err);
		err = upload_create_run(u, f);
		r->exists = r->is_new = err == 0;
		if (err != ERR_CONFLICT)
			return err;
		/* by another import meanwhile, or by ourselves when the answer was lost */
		err = upload_find_run(u, &found, f);
	}
	if (err == 0)
		err = check_run(r, &found, is_named, f);
	r->exists = err == 0;
	return err;
}

/* ---- sending ---- */

/* Told, unless it ends everything.  e: NULL when the run is at fault.  Only a damaged record may be
 * whole the next time. */
static int tell(struct event_run *r, struct event_file *e, int err, event_run_say say, void *arg,
		struct fault *f)
{
	fault_default(f, err);
	if (event_run_is_final(err))
		return err;
	say(arg, r, e, f);
	if (!e)
		r->is_refused = true;
	else if (err != ERR_MALFORMED)
		e->is_lost = true;
	return err;
}

int event_run_send(struct event_run *r, bool is_named, event_run_say say, void *arg, struct fault *f)
{
	int worst = 0, err;

	snprintf(r->sender.upload->run, ID_MAX + 1, "%s", r->id);
	for (size_t i = 0; i < r->n; i++) {
		if (r->files[i].has_id || (err = event_file_identify(&r->files[i], f)) >= 0)
			continue;
		worst = tell(r, &r->files[i], err, say, arg, f);
		if (event_run_is_final(err))
			return err;
	}
	if (!first_file(r) || r->is_refused)
		return worst;
	if (!r->exists && (err = make_run(r, is_named, f)) < 0)
		return tell(r, NULL, err, say, arg, f);
	for (size_t i = 0; i < r->n; i++) {
		if (!r->files[i].has_id || (err = event_file_send(&r->files[i], &r->sender, f)) == 0)
			continue;
		worst = tell(r, &r->files[i], err, say, arg, f);
		if (event_run_is_final(err))
			return err;
	}
	return worst;
}

int event_run_finish(struct event_run *r, struct fault *f)
{
	static const char what[] = "tensorboard finished";
	struct upload *u = r->sender.upload;
	uint8_t producer[PRODUCER_ID_BYTES];
	struct upload_answer answer;
	crypto_generichash_state hash;
	int err;

	snprintf(u->run, sizeof(u->run), "%s", r->id);
	crypto_generichash_init(&hash, NULL, 0, sizeof(producer));
	crypto_generichash_update(&hash, (const uint8_t *)what, sizeof(what));
	crypto_generichash_update(&hash, (const uint8_t *)r->id, strlen(r->id));
	crypto_generichash_final(&hash, producer, sizeof(producer));
	request_clear(r->sender.request);
	err = request_encode(r->sender.request, producer, 1, true, &u->body);
	return err < 0 ? fault_default(f, err) : upload_send(u, false, &answer, f);
}
