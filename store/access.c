/*
 * access.c - tokens: who calls, and may they.
 *
 * A token is 32 random bytes; only its BLAKE2b-256 is stored, so the data directory gives none
 * away.  All tokens are compared, each in constant time.
 */
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>

#include "store/base/bytes.h"
#include "store/dir.h"
#include "store/store.h"

#define SECRET_BYTES 32

int access_load(struct store *s)
{
	struct span key, value;
	struct kv_cursor *c = NULL;
	struct kv_txn *t;
	int err = kv_begin(s->kv, false, &t), moved;

	if (err < 0)
		return err;
	err = kv_cursor_open(t, KV_TOKEN, &c);
	for (moved = err ? err : kv_first(c, &key, &value); moved == 0 && err == 0;
	     moved = kv_next(c, &key, &value)) {
		struct token *p = realloc(s->tokens, (s->n_tokens + 1) * sizeof(*p));
		struct stored row;
		struct reader r;
		struct span project;

		if (!p) {
			err = ERR_NOMEM;
			break;
		}
		s->tokens = p;
		p += s->n_tokens;
		err = key.len == sizeof(p->hash) ? stored_open(key, value, KIND_TOKEN, &row) : ERR_CORRUPT;
		if (err < 0)
			break;
		r = reader_of(row.body);
		*p = (struct token){ .caller.role = (enum role)read_u8(&r) };
		read_le64(&r);
		project = read_lenspan(&r);
		if (r.bad || project.len > ID_MAX || p->caller.role > ROLE_OWNER)
			err = ERR_CORRUPT;
		memcpy(p->hash, key.data, sizeof(p->hash));
		if (err == 0)
			memcpy(p->caller.project, project.data, project.len);
		s->n_tokens += err == 0;
	}
	kv_cursor_close(c);
	kv_abort(t);
	return err;
}

static void hash_token(struct span token, uint8_t *ret)
{
	crypto_generichash(ret, 32, token.data, token.len, NULL, 0);
}

static int put_token(struct store *s, const uint8_t *hash, enum role role)
{
	uint8_t body[10] = { (uint8_t)role };
	struct kv_txn *t;
	int err = kv_begin(s->kv, true, &t);

	if (err < 0)
		return err;
	put_le64(body + 1, (uint64_t)clock_now_ns());
	err = stored_put(t, KV_TOKEN, KIND_TOKEN, span_of(hash, 32), span_of(body, sizeof(body)));
	if (err < 0) {
		kv_abort(t);
		return err;
	}
	return kv_commit(t);
}

/* The file first: a token that is stored but nowhere written would lock everybody out. */
int access_create_owner(struct store *s, struct fault *f)
{
	uint8_t secret[SECRET_BYTES], hash[32];
	char text[96], line[100];
	int err;

	for (size_t i = 0; i < s->n_tokens; i++)
		if (s->tokens[i].caller.role == ROLE_OWNER)
			return 0;
	randombytes_buf(secret, sizeof(secret));
	strcpy(text, "astraml_owner_");
	sodium_bin2base64(text + strlen(text), sizeof(text) - strlen(text), secret, sizeof(secret),
			  sodium_base64_VARIANT_URLSAFE_NO_PADDING);
	snprintf(line, sizeof(line), "%s\n", text);
	hash_token(span_str(text), hash);
	err = dir_write_secret(s->dir, "owner.token", line);
	if (err == 0)
		err = put_token(s, hash, ROLE_OWNER);
	sodium_memzero(text, sizeof(text));
	sodium_memzero(line, sizeof(line));
	if (err < 0)
		return fault_set(f, err, "data", "cannot write %s/owner.token (%s)", s->dir, err_name(err));
	return access_load(s);
}

int store_authenticate(struct store *s, struct span token, struct caller *ret)
{
	const struct token *found = NULL;
	uint8_t hash[32];

	hash_token(token, hash);
	for (size_t i = 0; i < s->n_tokens; i++)
		if (sodium_memcmp(s->tokens[i].hash, hash, sizeof(hash)) == 0)
			found = &s->tokens[i];
	if (!found)
		return ERR_UNAUTHENTICATED;
	*ret = found->caller;
	return 0;
}

int caller_may(const struct caller *c, const char *project, enum role least, struct fault *f)
{
	static const char *const names[] = { "none", "viewer", "worker", "editor", "admin", "owner" };

	if (c->role == ROLE_NONE)
		return fault_default(f, ERR_UNAUTHENTICATED);
	if (c->project[0] && project && strcmp(c->project, project) != 0)
		return fault_set(f, ERR_NOT_FOUND, "project",
				 "project \"%s\" is not there, or not visible to this token", project);
	if (c->role < least)
		return fault_set(f, ERR_DENIED, "",
				 "this needs the role %s and the token has %s; ask an admin for one",
				 names[least], names[c->role]);
	return 0;
}
