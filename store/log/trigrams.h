/*
 * trigrams.h - a small set of the trigrams of some texts, which tells of most bytes that no text holds them.
 *
 * One bit for each three bytes in a row, A to Z as a to z, at hash * bits >> 32 (hash: the 24 bits, first
 * byte lowest, times 0x9e3779b1, modulo 2^32).  One bit a trigram, and not several, since what is looked
 * for has many trigrams: a set that is half full lets one in 4096 absent words of 14 bytes through.  Pure.
 */
#ifndef STORE_TRIGRAMS_H
#define STORE_TRIGRAMS_H

#include "store/base/buf.h"

/* Adds the trigrams of a text to a set of n_bytes (at least 1). */
void trigrams_add(uint8_t *set, size_t n_bytes, struct span text);

/* False: no text that was added holds these bytes, in upper or lower case.  An empty set holds all. */
bool trigrams_may_hold(struct span set, struct span bytes);

#endif
