#ifndef CARILLON_BASE_LINE_H
#define CARILLON_BASE_LINE_H

#include <stdbool.h>
#include <stddef.h>

#include "carillon/base/log.h"

/* A longer line is cut, and ends in "..."; PIPE_BUF, so that a pipe takes it whole or not. */
#define CAR_LINE_MAX    4096
#define CAR_LINE_ENDING 8 /* room for what closes a line, which is never cut */

/* A line of a log on its way: on its writer's stack. */
struct car_line {
    size_t len;
    enum car_log_format format;
    bool cut; /* it is full, and takes nothing any more but its ending */
    char data[CAR_LINE_MAX];
};

static inline void car_line_begin(struct car_line *line, enum car_log_format format) {
    line->len = 0;
    line->format = format;
    line->cut = false;
}

/* Adds all of it or, where it does not fit, nothing of it and of whatever else comes. */
void car_line_add(struct car_line *line, const char *bytes, size_t len);
void car_line_text(struct car_line *line, const char *text);

/*
 * Adds a text that may come from anywhere, with what controls a reader escaped, so that it can neither forge a line nor
 * speak to a terminal: control characters (C0, DEL and C1), Unicode's ends of a line and of a paragraph, the signs that
 * turn the direction of writing, and bytes that are not UTF-8. `quoted`: the quote and the backslash as well; JSON's
 * texts are. Where what comes of it has more than `max` bytes it is cut between two characters, and ends in "...",
 * which counts.
 */
void car_line_escaped(struct car_line *line, const char *text, size_t len, bool quoted, size_t max);

/* The time: "2026/11/20 17:44:53.653654 UTC " as text; in JSON the object's brace and its member `time`. */
void car_line_time(struct car_line *line);

/* Closes the line. `ending` has at most CAR_LINE_ENDING - 3 bytes. */
void car_line_end(struct car_line *line, bool cut, const char *ending);

/* Where lines go. */
struct car_line_out {
    int fd;
    bool is_socket; /* nothing that somebody else does to the descriptor makes a write to it wait */
};

/* Writes it: one call in the usual case. Returns how much of it was taken, and errno says why where that is not all. */
size_t car_line_write(const struct car_line *line, const struct car_line_out *out);

/* Where the process's log goes; car_log_never_block may change it. */
const struct car_line_out *car_log_out(void);

#endif
