/*
 * csv_cell.h - what a cell of a table says.
 *
 * false: something else.  Spans point into the cell.  Pure; any thread.
 */
#ifndef INGEST_IMPORT_CSV_CELL_H
#define INGEST_IMPORT_CSV_CELL_H

#include "store/model.h"

#define CELL_UNIT_MAX 16

/* A number, perhaps with a unit behind a blank, as nvidia-smi writes it: "2 MiB", "0 %". */
bool cell_number(struct span cell, double *ret, struct span *ret_unit);

/* An integer, also one that a program wrote as 3.0. */
bool cell_step(struct span cell, int64_t *ret);

/* Seconds: exactly where they are plain decimals, by way of a double where they have an exponent. */
bool cell_seconds(struct span cell, int64_t *ret_ns);

#endif
