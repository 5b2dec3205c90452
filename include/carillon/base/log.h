#ifndef CARILLON_BASE_LOG_H
#define CARILLON_BASE_LOG_H

#include <stdbool.h>

/*
 * The process's log: one line an entry, to stderr, each written by one write(2), so that threads never mix their lines.
 * Text: `2026/11/20 17:44:53.653654 UTC <message>`, with `error: ` or `warning: ` or `debug: ` before the message of
 * those levels. JSON: {"time","level","message"}. Control characters in the message are escaped.
 */
enum car_log_level { CAR_LOG_ERROR, CAR_LOG_WARN, CAR_LOG_INFO, CAR_LOG_DEBUG };
enum car_log_format { CAR_LOG_TEXT, CAR_LOG_JSON };

/* Called once, before other threads start. Until then: text, info. */
void car_log_setup(enum car_log_format format, enum car_log_level level);

/* From now on a reader of standard error that does not read stops nobody: where a pipe or socket is full, lines are
 * dropped, and how many is logged when there is room again. Called once, before other threads start; again after
 * standard error was replaced. */
void car_log_never_block(void);

/* Whether an entry of that level would be written; for callers that would have to build the message first. */
bool car_log_wants(enum car_log_level level);

/* Writes an entry. Any thread. Never called with a secret; with event content only under --log-payloads. */
void car_log(enum car_log_level level, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

#define car_log_error(...) car_log(CAR_LOG_ERROR, __VA_ARGS__)
#define car_log_warn(...)  car_log(CAR_LOG_WARN, __VA_ARGS__)
#define car_log_info(...)  car_log(CAR_LOG_INFO, __VA_ARGS__)
#define car_log_debug(...) car_log(CAR_LOG_DEBUG, __VA_ARGS__)

#endif
