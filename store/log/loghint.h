/*
 * loghint.h - what is known of the texts that a search wants, so that the rest stays unread.
 *
 * A hint may let texts through that are not wanted; it never keeps one back that is.  The shape of a text
 * is the text with every run of digits (of more than 18: every 18 of them) as one '0': sealed logs keep
 * it once for many lines (logtext.h).
 */
#ifndef STORE_LOGHINT_H
#define STORE_LOGHINT_H

#include "store/base/buf.h"

#define LOG_ANY_MAX 16

enum log_fit {
	LOG_FIT_NO,    /* no text of that shape is wanted */
	LOG_FIT_MAYBE, /* the text must be looked at */
	LOG_FIT_SURE,  /* each text of that shape fits; of a text: it does */
};

/* An empty struct says nothing: every text may be wanted. */
struct log_hint {
	struct span holds; /* bytes that the text holds; empty: none are known */
	bool holds_is_all; /* a text that holds them is wanted */
	/* The text, with A to Z as a to z, holds one of these.  n_any 0: nothing is known. */
	struct span any[LOG_ANY_MAX];
	size_t n_any;
	/* Asked about shapes; what is known of holds and any is another matter.  NULL: nothing is known. */
	enum log_fit (*fit)(void *arg, struct span shape);
	void *fit_arg;
};

static inline bool log_hint_is_empty(const struct log_hint *h)
{
	return h->holds.len == 0 && h->n_any == 0 && !h->fit;
}

#endif
