/*
 * pages.h - the pages of hot/data.mdb, checked one by one, without LMDB.
 *
 * LMDB believes its pages: it has no checksums, and one flipped bit in a page's header, in its list of
 * nodes or in a key that parts two pages makes it leave out values, or die.  Values have checksums of their
 * own (stored.h); here is checked what holds them together: that every page is what it says, is used
 * once, keeps its nodes within it and in order, and between the keys of the pages above; that
 * the counts of each tree are those of its pages; that nothing free is in use.
 *
 * The layout is that of LMDB 0.9 (mdb.c) on a little-endian machine:
 *
 *   page      u64 number, u16 unused, u16 flags, u16 lower, u16 upper; overflow: u32 pages at 12
 *   node      at the offsets (u16) from 16 to lower; nodes fill upper to the page's end:
 *             u16 low, u16 high, u16 flags, u16 key length, key, data
 *             branch: the page below is low | high << 16 | flags << 32; the first key is empty
 *             leaf: length is low | high << 16; flag 1: data is the u64 number of overflow pages, flag 2:
 *             data is a tree
 *   tree      u32, u16 flags, u16 depth, u64 branch, leaf and overflow pages, u64 entries, u64 root
 *   pages 0, 1: after the header u32 magic, u32 version, u64 address, u64 map size, tree of free pages, main
 *             tree (names to trees), u64 last page, u64 transaction; that of transaction T is page T & 1
 *   a free list  u64 count, u64 page numbers
 */
#ifndef STORE_PAGES_H
#define STORE_PAGES_H

#include "store/kv.h"

/* Checks all pages that t's snapshot uses; fn is told each trouble.  Returns the number of troubles;
 * ERR_BUSY: a writer has been faster, begin t anew; ERR_IO, ERR_NOMEM. */
typedef void (*pages_fn)(void *arg, const char *sentence);
int pages_check(struct kv *kv, struct kv_txn *t, pages_fn fn, void *arg);

/* The same of the tree that names the others, and no more: a few pages.  One name that is damaged would be
 * taken for a tree that is not there yet, and made anew, empty. */
int pages_check_names(struct kv *kv, struct kv_txn *t, pages_fn fn, void *arg);

#endif
