/*
 * log.h - what the program says to whoever runs it: one line on stderr each.
 *
 *   2025-07-06T12:00:00.123Z warn  disk: 31 MiB free in /data, ingest refused until 64 MiB are
 *
 * Only code that decides what to do about something logs it, once.  Any thread.
 */
#ifndef STORE_BASE_LOG_H
#define STORE_BASE_LOG_H

enum log_level { LOG_INFO, LOG_WARN, LOG_ERROR };

void log_line(enum log_level level, const char *format, ...) __attribute__((format(printf, 2, 3)));

#define log_info(...)  log_line(LOG_INFO, __VA_ARGS__)
#define log_warn(...)  log_line(LOG_WARN, __VA_ARGS__)
#define log_error(...) log_line(LOG_ERROR, __VA_ARGS__)

#endif
