#include "store/raw/rawagenda.h"

#include "store/base/clock.h"

#define HOUR_NS (3600 * NS_PER_S)

static int64_t slot_of(int64_t keep_ns) { return keep_ns >= NS_PER_DAY ? NS_PER_DAY : HOUR_NS; }

/* How many from the first on lie in its slot. */
static size_t slot_len(const struct raw_piece *p, size_t n, int64_t slot_ns)
{
	size_t len = 1;

	while (len < n && p[len].arrived_ns / slot_ns == p[0].arrived_ns / slot_ns)
		len++;
	return len;
}

/* Of a slot that is over: the first two or more that make a whole which is not too large. */
static bool due_whole(const struct raw_piece *p, size_t n, size_t *ret_from, size_t *ret_n)
{
	for (size_t from = 0; from + 1 < n; from++) {
		uint64_t bytes = p[from].bytes;
		size_t len = 1;

		while (from + len < n && len < RAW_MERGE_MOST &&
		       bytes + p[from + len].bytes <= RAW_MERGE_BYTES)
			bytes += p[from + len++].bytes;
		if (len > 1) {
			*ret_from = from;
			*ret_n = len;
			return true;
		}
	}
	return false;
}

/* Of a slot that goes on: as many of the newest as are of like size. */
static bool due_alike(const struct raw_piece *p, size_t n, size_t *ret_from, size_t *ret_n)
{
	uint64_t bytes = 0, largest = 0;
	size_t best = 0;

	for (size_t len = 1; len <= n && len <= RAW_MERGE_MOST; len++) {
		uint64_t more = p[n - len].bytes;

		bytes += more;
		largest = more > largest ? more : largest;
		if (bytes > RAW_MERGE_BYTES)
			break;
		if (len >= RAW_MERGE_LEAST && largest <= bytes / 2)
			best = len;
	}
	*ret_from = n - best;
	*ret_n = best;
	return best > 0;
}

bool raw_due(const struct raw_piece *p, size_t n, int64_t keep_ns, int64_t now_ns, size_t *ret_from,
	     size_t *ret_n)
{
	int64_t slot = slot_of(keep_ns);

	if (keep_ns < HOUR_NS)
		return false;
	for (size_t at = 0, len; at < n; at += len) {
		bool over = p[at].arrived_ns / slot < now_ns / slot;

		len = slot_len(p + at, n - at, slot);
		if (over ? due_whole(p + at, len, ret_from, ret_n)
			 : due_alike(p + at, len, ret_from, ret_n)) {
			*ret_from += at;
			return true;
		}
	}
	return false;
}
