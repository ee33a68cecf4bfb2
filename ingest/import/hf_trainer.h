/*
 * hf_trainer.h - trainer_state.json of the Hugging Face Trainer, whole in memory.
 */
#ifndef INGEST_IMPORT_HF_TRAINER_H
#define INGEST_IMPORT_HF_TRAINER_H

#include "ingest/import/sink.h"

/* Everything that any bytes say goes to k.  ERR_MALFORMED: they are no trainer_state.json. */
int hf_trainer_parse(struct span text, struct import_sink *k, struct fault *f);

#endif
