/*
 * line_level.h - the level that a line of console text tells, in the words of many loggers.
 *
 *   I0306 12:06:29.038456 140 file.py:81] ...                    the letter of glog, absl, PyTorch
 *   2025-03-06 12:06:29.301106: E external/x.cc:477] ...         TensorFlow's
 *   [W socket.cpp:601] ...                                       older PyTorch's
 *   2025-03-06 12:06:29,038 - name - WARNING - ...               a word near the time
 *   WARNING:root:...  [INFO] ...  [HCTR][12:06:29][INFO]: ...    or at the start, set off
 *   host:17:93 [3] NCCL WARN ...                                 what follows NCCL, or UCX
 *   train.py:12: UserWarning: ...                                Python's warnings
 *   srun: error: ...                                             Slurm's
 *   2025/03/06 12:06:29 [error] ...  <11>Mar  6 12:06:29 ...     nginx, syslog's priority
 *
 * A wrong level is worse than none.  So words are levels in capitals only (but in brackets behind a
 * time), and only where loggers write them: "ERROR rate 0.3" and "12:06:29 an epoch with ERROR" tell none.
 * LEVEL_NONE: it tells none.  Pure; any thread.
 */
#ifndef INGEST_LINE_LEVEL_H
#define INGEST_LINE_LEVEL_H

#include "store/model.h"

/* The letters of glog and TensorFlow: I W E F. */
enum level level_of_letter(uint8_t c);

/* A level among the first words of text, which lies in a line that begins at `line`. */
enum level level_near(struct span text, const uint8_t *line);

/* <134> at the start of a line: the priority of syslog. */
enum level level_of_priority(struct span line);

/* Of a line without a time. */
enum level level_of_plain(struct span line);

/* What follows "NCCL " or "UCX " in a line, with a time or without one. */
enum level level_of_library(struct span line);

#endif
