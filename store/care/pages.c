#include "store/care/pages.h"

#include <stdio.h>
#include <stdlib.h>

#include "store/base/bytes.h"

#define HEADER_BYTES 16
#define NODE_BYTES   8
#define TREE_BYTES   48
#define META_TREES   (HEADER_BYTES + 24) /* of free pages, then main */
#define META_MAGIC   0xBEEFC0DEu
#define DEPTH_MAX    32
#define KEY_MAX      511
#define TOLD_MAX     50 /* sentences about pages: one broken page may break many */
#define NO_PAGE      UINT64_MAX
#define TREE_NUMBERS 8 /* flag of a tree whose keys are numbers: that of free pages */

enum { PAGE_BRANCH = 1, PAGE_LEAF = 2, PAGE_OVERFLOW = 4 };
enum { NODE_BIG = 1, NODE_TREE = 2 };

struct tree {
	const char *name;
	bool numbers; /* keys are numbers of the machine */
	unsigned flags, depth;
	uint64_t branch, leaf, overflow, entries, root;
};

/* What was met in a tree. */
struct met {
	uint64_t branch, leaf, overflow, entries;
	int troubles;
};

struct pages {
	struct kv *kv;
	size_t page_bytes;
	uint64_t n_pages; /* of the snapshot */
	uint8_t *used;    /* a bit for each */
	const struct tree *tree;
	struct met met;
	int (*leaf_value)(struct pages *p, struct span key, struct span value, unsigned flags);
	bool names_only;
	pages_fn fn;
	void *arg;
	int troubles, err;
};

static void trouble(struct pages *p, uint64_t page, const char *what)
{
	char text[200];

	p->met.troubles++;
	if (p->troubles++ >= TOLD_MAX)
		return;
	snprintf(text, sizeof(text), "%s: page %llu of hot/data.mdb is damaged: %s", p->tree->name,
		 (unsigned long long)page, what);
	p->fn(p->arg, text);
}

/* Marks n pages as used; false: told why not. */
static bool use(struct pages *p, uint64_t from, uint64_t page, uint64_t n)
{
	if (page < 2 || n > p->n_pages || page > p->n_pages - n) {
		trouble(p, from, "it points out of the file");
		return false;
	}
	for (uint64_t i = page; i < page + n; i++) {
		if (p->used[i / 8] & 1 << i % 8) {
			trouble(p, i, "it is used twice");
			return false;
		}
		p->used[i / 8] |= (uint8_t)(1 << i % 8);
	}
	return true;
}

static bool read_page(struct pages *p, uint64_t page, uint8_t *ret)
{
	p->err = kv_read_file(p->kv, page * p->page_bytes, ret, p->page_bytes);
	if (p->err == ERR_CORRUPT) {
		trouble(p, page, "the file ends before it");
		p->err = 0;
		return false;
	}
	return p->err == 0;
}

/* ---- one page ---- */

struct node {
	struct span key, data; /* data: what follows the key in the page */
	uint64_t low;          /* leaf: length of the value */
	uint64_t below;        /* branch: page */
	unsigned flags;
};

static unsigned nodes_of(const uint8_t *page) { return (get_le16(page + 12) - HEADER_BYTES) / 2u; }

/* Bytes the i-th node takes in its page; 0: it does not lie within it. */
static size_t node_at(const struct pages *p, const uint8_t *page, unsigned i, bool leaf, struct node *ret)
{
	size_t at = get_le16(page + HEADER_BYTES + 2 * i), key, data;
	const uint8_t *n = page + at;

	if (at % 2 || at < get_le16(page + 14) || at > p->page_bytes - NODE_BYTES)
		return 0;
	key = get_le16(n + 6);
	*ret =
	    (struct node){ .low = get_le16(n) | (uint64_t)get_le16(n + 2) << 16, .flags = get_le16(n + 4) };
	ret->below = ret->low | (uint64_t)ret->flags << 32;
	data = !leaf ? 0 : ret->flags & NODE_BIG ? 8 : (size_t)ret->low;
	if (key > KEY_MAX || at + NODE_BYTES + key + data > p->page_bytes)
		return 0;
	ret->key = span_of(n + NODE_BYTES, key);
	ret->data = span_of(n + NODE_BYTES + key, data);
	return (NODE_BYTES + key + data + 1) & ~(size_t)1;
}

static int compare(const struct pages *p, struct span a, struct span b)
{
	size_t n = a.len < b.len ? a.len : b.len;
	int c = n ? memcmp(a.data, b.data, n) : 0;

	if (p->tree->numbers && a.len == 8 && b.len == 8)
		return (get_le64(a.data) > get_le64(b.data)) - (get_le64(a.data) < get_le64(b.data));
	return c ? c : (a.len > b.len) - (a.len < b.len);
}

/* Keys of a page lie in [least, end), rising; end.data NULL: no end. */
static const char *nodes_are_wrong(const struct pages *p, const uint8_t *page, bool leaf, struct span least,
				   struct span end)
{
	size_t taken = 0;
	struct span before = least;

	for (unsigned i = 0; i < nodes_of(page); i++) {
		struct node n;
		size_t bytes = node_at(p, page, i, leaf, &n);

		if (bytes == 0)
			return "a value does not lie within it";
		taken += bytes;
		if (!leaf && i == 0)
			continue; /* its key is not looked at: all from least on */
		if (compare(p, n.key, before) < (i > (leaf ? 0u : 1u)) ||
		    (end.data && compare(p, n.key, end) >= 0))
			return "its keys are out of order";
		before = n.key;
	}
	return taken == p->page_bytes - get_le16(page + 14) ? NULL : "its values do not fill it";
}

static const char *page_is_wrong(const struct pages *p, const uint8_t *page, uint64_t number, bool leaf,
				 struct span least, struct span end)
{
	unsigned lower = get_le16(page + 12), upper = get_le16(page + 14);

	if (get_le64(page) != number)
		return "it is another page";
	if (get_le16(page + 10) != (leaf ? PAGE_LEAF : PAGE_BRANCH))
		return "it is of another kind";
	if (lower <= HEADER_BYTES || lower % 2 || lower > upper || upper > p->page_bytes)
		return "its header is wrong";
	return nodes_are_wrong(p, page, leaf, least, end);
}

/* ---- a tree ---- */

static bool head_is_right(struct pages *p, uint64_t page, uint64_t pages)
{
	uint8_t head[HEADER_BYTES];

	p->err = kv_read_file(p->kv, page * p->page_bytes, head, HEADER_BYTES);
	return p->err == 0 && get_le64(head) == page && get_le16(head + 10) == PAGE_OVERFLOW &&
	       get_le32(head + 12) == pages;
}

/* A value in pages of its own, told to leaf_value where there is one. */
static void check_big(struct pages *p, uint64_t from, const struct node *n)
{
	uint64_t page = get_le64(n->data.data),
		 pages = (HEADER_BYTES + n->low + p->page_bytes - 1) / p->page_bytes;
	uint8_t *value;

	if (!use(p, from, page, pages))
		return;
	if (!head_is_right(p, page, pages)) {
		if (p->err == 0 || p->err == ERR_CORRUPT)
			trouble(p, page, "the head of a large value is wrong");
		p->err = p->err == ERR_CORRUPT ? 0 : p->err;
		return;
	}
	p->met.overflow += pages;
	if (!p->leaf_value)
		return;
	value = malloc(n->low + 1);
	p->err = value ? kv_read_file(p->kv, page * p->page_bytes + HEADER_BYTES, value, n->low) : ERR_NOMEM;
	if (p->err == 0)
		p->err = p->leaf_value(p, n->key, span_of(value, n->low), n->flags);
	free(value);
}

static void check_leaf(struct pages *p, uint64_t number, const uint8_t *page)
{
	unsigned known = p->leaf_value ? NODE_BIG | NODE_TREE : NODE_BIG;

	p->met.leaf++;
	for (unsigned i = 0; i < nodes_of(page) && p->err == 0; i++) {
		struct node n;

		node_at(p, page, i, true, &n);
		p->met.entries++;
		if (n.flags & ~known)
			trouble(p, number, "a value is of an unknown kind");
		else if (n.flags & NODE_BIG)
			check_big(p, number, &n);
		else if (p->leaf_value)
			p->err = p->leaf_value(p, n.key, n.data, n.flags);
	}
}

static void check_page(struct pages *p, uint64_t from, uint64_t number, unsigned depth, struct span least,
		       struct span end);

static void check_branch(struct pages *p, uint64_t number, const uint8_t *page, unsigned depth,
			 struct span least, struct span end)
{
	unsigned n = nodes_of(page);

	p->met.branch++;
	for (unsigned i = 0; i < n && p->err == 0; i++) {
		struct node here, next = { .key = end };

		node_at(p, page, i, false, &here);
		if (i + 1 < n)
			node_at(p, page, i + 1, false, &next);
		check_page(p, number, here.below, depth + 1, i ? here.key : least, next.key);
	}
}

static void check_page(struct pages *p, uint64_t from, uint64_t number, unsigned depth, struct span least,
		       struct span end)
{
	bool leaf = depth == p->tree->depth;
	const char *wrong;
	uint8_t *page;

	if (!use(p, from, number, 1))
		return;
	page = malloc(p->page_bytes);
	p->err = page ? 0 : ERR_NOMEM;
	if (p->err == 0 && read_page(p, number, page)) {
		wrong = page_is_wrong(p, page, number, leaf, least, end);
		if (wrong)
			trouble(p, number, wrong);
		else if (leaf)
			check_leaf(p, number, page);
		else
			check_branch(p, number, page, depth, least, end);
	}
	free(page);
}

static void check_counts(struct pages *p)
{
	const struct tree *t = p->tree;
	const struct met *m = &p->met;

	if (m->troubles == 0 && (m->branch != t->branch || m->leaf != t->leaf || m->overflow != t->overflow ||
				 m->entries != t->entries))
		trouble(p, t->root, "the tree below it has not the pages and values that are noted");
}

static void check_tree(struct pages *p, const struct tree *t,
		       int (*leaf_value)(struct pages *p, struct span key, struct span value, unsigned flags))
{
	const struct tree *outer = p->tree;
	int (*outer_value)(struct pages * p, struct span key, struct span value, unsigned flags) =
	    p->leaf_value;
	struct met met = p->met;

	p->tree = t;
	p->leaf_value = leaf_value;
	p->met = (struct met){ 0 };
	if (t->flags != (t->numbers ? TREE_NUMBERS : 0u) || t->depth > DEPTH_MAX ||
	    (t->root == NO_PAGE) != (t->depth == 0))
		trouble(p, t->root, "it is noted as the root of no tree");
	else if (t->root != NO_PAGE)
		check_page(p, t->root, t->root, 1, span_of("", 0), span_of(NULL, 0));
	if (p->err == 0)
		check_counts(p);
	p->tree = outer;
	p->leaf_value = outer_value;
	p->met = met;
}

/* ---- all trees ---- */

static struct tree tree_of(const uint8_t *t, const char *name)
{
	return (struct tree){ name,
			      false,
			      get_le16(t + 4),
			      get_le16(t + 6),
			      get_le64(t + 8),
			      get_le64(t + 16),
			      get_le64(t + 24),
			      get_le64(t + 32),
			      get_le64(t + 40) };
}

static const char *known_name(struct span key)
{
	for (int db = 0; db < KV_DBS; db++)
		if (span_is(key, kv_db_name((enum kv_db)db)))
			return kv_db_name((enum kv_db)db);
	return NULL;
}

/* A tree of the main tree; those are small, so they are looked into at once. */
static int check_named(struct pages *p, struct span key, struct span value, unsigned flags)
{
	const char *name = known_name(key);
	struct tree t;

	if (!name || flags != NODE_TREE || value.len != TREE_BYTES) {
		trouble(p, p->tree->root, "it names a tree that this version of astraml does not know");
		return 0;
	}
	if (p->names_only)
		return 0;
	t = tree_of(value.data, name);
	check_tree(p, &t, NULL);
	return p->err;
}

/* Pages that are free are in no tree, and are told once. */
static int check_free(struct pages *p, struct span key, struct span value, unsigned flags)
{
	(void)key;
	(void)flags;
	if (value.len < 8 || get_le64(value.data) != value.len / 8 - 1 || value.len % 8) {
		trouble(p, p->tree->root, "a list of free pages is wrong");
		return 0;
	}
	for (size_t at = 8; at < value.len; at += 8)
		if (!use(p, p->tree->root, get_le64(value.data + at), 1))
			return 0;
	return 0;
}

/* The meta page of the transaction; ERR_BUSY when a later one has taken its place, or just does. */
static int read_meta(struct pages *p, uint64_t txn_id, uint8_t *ret)
{
	uint8_t *again = malloc(p->page_bytes);
	bool whole = again && read_page(p, txn_id & 1, ret) && read_page(p, txn_id & 1, again);
	bool stands = whole && memcmp(ret, again, p->page_bytes) == 0;

	free(again);
	if (!again)
		return ERR_NOMEM;
	if (!whole || !stands)
		return whole ? ERR_BUSY : p->err;
	if (get_le32(ret + HEADER_BYTES) != META_MAGIC) {
		trouble(p, txn_id & 1, "it is no head of a file of LMDB");
		return 0;
	}
	p->n_pages = get_le64(ret + META_TREES + 2 * TREE_BYTES) + 1;
	return get_le64(ret + META_TREES + 2 * TREE_BYTES + 8) == txn_id ? 0 : ERR_BUSY;
}

static int check_all(struct pages *p, const uint8_t *meta)
{
	struct tree free_pages = tree_of(meta + META_TREES, "free"),
		    names = tree_of(meta + META_TREES + TREE_BYTES, "main");

	if (p->n_pages > UINT32_MAX || !(p->used = calloc(p->n_pages / 8 + 1, 1)))
		return ERR_NOMEM;
	free_pages.numbers = true;
	check_tree(p, &names, check_named);
	if (p->err == 0 && !p->names_only)
		check_tree(p, &free_pages, check_free);
	free(p->used);
	return p->err;
}

static int check(struct pages *p, struct kv_txn *t)
{
	const struct tree head = { .name = "head" };
	uint8_t *meta;
	int err;

	p->tree = &head;
	p->page_bytes = kv_page_bytes(p->kv);
	meta = malloc(p->page_bytes);
	err = meta ? read_meta(p, kv_txn_id(t), meta) : ERR_NOMEM;
	if (err == 0 && p->troubles == 0)
		err = check_all(p, meta);
	free(meta);
	return err < 0 ? err : p->troubles;
}

int pages_check(struct kv *kv, struct kv_txn *t, pages_fn fn, void *arg)
{
	struct pages p = { .kv = kv, .fn = fn, .arg = arg };

	return check(&p, t);
}

int pages_check_names(struct kv *kv, struct kv_txn *t, pages_fn fn, void *arg)
{
	struct pages p = { .kv = kv, .fn = fn, .arg = arg, .names_only = true };

	return check(&p, t);
}
