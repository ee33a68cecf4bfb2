/*
 * array.h - arrays that grow by doubling: a pointer, how many there are, for how many there is room.
 *
 * The three are fields of whoever owns the array, zeroed at the start; the pointer is given back with free.
 */
#ifndef STORE_BASE_ARRAY_H
#define STORE_BASE_ARRAY_H

#include <stddef.h>

/* Room for one more behind n elements; the array may move.  0, or ERR_NOMEM: it is as it was.
 * The array is a pointer variable, cap one of size_t; both are named more than once. */
#define array_grow(array, n, cap) ((n) < (cap) ? 0 : array_double(&(array), &(cap), sizeof(*(array))))

/* Twice the room (at first, some) for elements of size bytes, in the array whose pointer is at `array`. */
int array_double(void *array, size_t *cap, size_t size);

#endif
