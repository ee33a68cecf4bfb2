/*
 * import.h - the verb that turns other tools' files into runs (api 6; README.md beside this).
 */
#ifndef INGEST_IMPORT_IMPORT_H
#define INGEST_IMPORT_IMPORT_H

#include "proto/target.h"

/* argv[0] is "import".  Returns an exit status. */
int verb_import(const struct target *t, int argc, char **argv);

#endif
