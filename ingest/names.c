#include "ingest/names.h"

#include "store/base/bytes.h"

#define EACH_BYTE(b) (UINT64_C(0x0101010101010101) * (b))

/* Eight bytes of U+0020-007E (a borrow can only make this false where it need not be). */
static bool is_plain(uint64_t w)
{
	uint64_t del = w ^ EACH_BYTE(0x7f);

	return ((w | (w - EACH_BYTE(0x20)) | (del - EACH_BYTE(1))) & EACH_BYTE(0x80)) == 0;
}

/* Length of the well-formed sequence at p, 0 when there is none. */
static size_t utf8_length(const uint8_t *p, size_t left)
{
	size_t n = p[0] < 0x80   ? 1
		   : p[0] < 0xc2 ? 0
		   : p[0] < 0xe0 ? 2
		   : p[0] < 0xf0 ? 3
		   : p[0] < 0xf5 ? 4
				 : 0;

	if (n == 0 || n > left)
		return 0;
	for (size_t i = 1; i < n; i++)
		if ((p[i] & 0xc0) != 0x80)
			return 0;
	if ((p[0] == 0xe0 && p[1] < 0xa0) || (p[0] == 0xed && p[1] > 0x9f) || (p[0] == 0xf0 && p[1] < 0x90) ||
	    (p[0] == 0xf4 && p[1] > 0x8f))
		return 0;
	return n;
}

bool name_is_clean(struct span s)
{
	for (size_t i = 0, n; i < s.len; i += n) {
		const uint8_t *p = s.data + i;

		n = 8;
		if (s.len - i >= 8 && is_plain(get_le64(p)))
			continue;
		n = utf8_length(p, s.len - i);
		if (n == 0 || *p < 0x20 || *p == 0x7f || (*p == 0xc2 && p[1] < 0xa0))
			return false;
	}
	return true;
}

const char *name_excerpt(struct span s, char ret[EXCERPT_MAX])
{
	size_t n = s.len < EXCERPT_MAX - 4 ? s.len : EXCERPT_MAX - 4;

	for (size_t i = 0; i < n; i++)
		ret[i] = s.data[i] >= 0x20 && s.data[i] < 0x7f ? (char)s.data[i] : '?';
	memcpy(ret + n, n < s.len ? "..." : "", n < s.len ? 4 : 1);
	return ret;
}

int name_check(struct span s, const char *field, size_t least, size_t most, struct fault *f)
{
	char text[EXCERPT_MAX];

	if (s.len < least)
		return fault_set(f, ERR_REFUSED, field, "%s is empty; give it 1 to %zu bytes", field, most);
	if (s.len > most)
		return fault_set(f, ERR_REFUSED, field,
				 "%s \"%s\" has %zu bytes and may have %zu; shorten it", field,
				 name_excerpt(s, text), s.len, most);
	if (!name_is_clean(s))
		return fault_set(f, ERR_REFUSED, field,
				 "%s \"%s\" is not UTF-8 without control characters; send such text", field,
				 name_excerpt(s, text));
	return 0;
}

static int check_label(const struct label *l, const char *field, struct fault *f)
{
	int err = name_check(l->key, field, 1, LABEL_PART_MAX, f);

	return err < 0 ? err : name_check(l->value, field, 0, LABEL_PART_MAX, f);
}

static int compare_keys(const struct label *a, const struct label *b)
{
	size_t n = a->key.len < b->key.len ? a->key.len : b->key.len;
	int c = n ? memcmp(a->key.data, b->key.data, n) : 0;

	return c ? c : (a->key.len > b->key.len) - (a->key.len < b->key.len);
}

/* By insertion: there are few of them, and they mostly come sorted. */
static void sort_labels(struct label *l, size_t n)
{
	for (size_t i = 1; i < n; i++) {
		struct label moved = l[i];
		size_t to = i;

		for (; to > 0 && compare_keys(&moved, &l[to - 1]) < 0; to--)
			l[to] = l[to - 1];
		l[to] = moved;
	}
}

int name_check_series(struct series_name *name, struct fault *f)
{
	char text[EXCERPT_MAX];
	int err = name_check(name->metric, "series.metric", 1, METRIC_NAME_MAX, f);

	if (err == 0)
		err = name_check(name->unit, "series.unit", 0, UNIT_MAX, f);
	for (size_t i = 0; i < name->n_labels && err == 0; i++)
		err = check_label(&name->labels[i], "series.labels", f);
	if (err < 0)
		return err;
	sort_labels(name->labels, name->n_labels);
	for (size_t i = 1; i < name->n_labels; i++)
		if (compare_keys(&name->labels[i - 1], &name->labels[i]) == 0)
			return fault_set(f, ERR_REFUSED, "series.labels",
					 "label \"%s\" is there twice; keys must differ",
					 name_excerpt(name->labels[i].key, text));
	return 0;
}

bool name_attributes_are_good(const struct label *attrs, size_t n)
{
	if (n > LOG_ATTRS_MAX)
		return false;
	for (size_t i = 0; i < n; i++) {
		if (check_label(&attrs[i], "attributes", NULL) < 0)
			return false;
		for (size_t j = 0; j < i; j++)
			if (compare_keys(&attrs[i], &attrs[j]) == 0)
				return false;
	}
	return true;
}
