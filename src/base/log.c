#include "carillon/base/log.h"

#include <errno.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "carillon/base/clock.h"
#include "carillon/base/utf8.h"

enum {
    LINE_MAX_BYTES = 8192, /* a longer line is cut, and ends in "..." */
    ENDING_ROOM = 8,       /* for what closes a line, which is never cut */
};

/* Written by car_log_setup before there are other threads, only read afterwards. */
static enum car_log_format log_format = CAR_LOG_TEXT;
static enum car_log_level log_level = CAR_LOG_INFO;

struct line {
    size_t len;
    bool cut;
    char data[LINE_MAX_BYTES];
};

void car_log_setup(enum car_log_format format, enum car_log_level level) {
    log_format = format;
    log_level = level;
}

bool car_log_wants(enum car_log_level level) {
    return level <= log_level;
}

/* Adds all of it or, where it does not fit, nothing of it and of whatever else comes. */
static void add(struct line *line, const char *bytes, size_t len) {
    if (line->cut || len > sizeof line->data - ENDING_ROOM - line->len) {
        line->cut = true;
        return;
    }
    memcpy(line->data + line->len, bytes, len);
    line->len += len;
}

static void add_text(struct line *line, const char *text) {
    add(line, text, strlen(text));
}

static void add_escape(struct line *line, unsigned char c, bool is_utf8) {
    static const char hex[] = "0123456789abcdef";
    char escape[] = {'\\', 'x', hex[c >> 4], hex[c & 15]};
    char unicode[] = {'\\', 'u', '0', '0', hex[c >> 4], hex[c & 15]};
    if (c == '\n' || c == '\r' || c == '\t') {
        add(line, c == '\n' ? "\\n" : c == '\r' ? "\\r" : "\\t", 2);
    } else if (log_format == CAR_LOG_TEXT && !is_utf8) {
        add(line, escape, sizeof escape);
    } else if (is_utf8) {
        add(line, unicode, sizeof unicode);
    } else {
        add(line, "\\ufffd", 6); /* JSON has no way to write a byte that is no character */
    }
}

/* The bytes that the character at `p` takes; 0 where no valid one starts there. */
static size_t char_len(const char *p, size_t left) {
    for (size_t len = 1; len <= 4 && len <= left; len++) {
        if (car_utf8_valid(p, len)) {
            return len;
        }
    }
    return 0;
}

/* The message with its control characters (C0, DEL and C1) and its invalid bytes escaped, so that it can neither forge
 * a line nor speak to a terminal. In JSON the quote and the backslash as well. */
static void add_message(struct line *line, const char *text, size_t len) {
    bool json = log_format == CAR_LOG_JSON;
    for (size_t i = 0; i < len && !line->cut;) {
        unsigned char c = (unsigned char)text[i];
        size_t size = c < 0x80 ? 1 : char_len(text + i, len - i);
        if (size == 0) {
            add_escape(line, c, false);
            i++;
            continue;
        }
        if (c < 0x20 || c == 0x7f) {
            add_escape(line, c, json);
        } else if (c == 0xc2 && (unsigned char)text[i + 1] < 0xa0) {
            add_escape(line, (unsigned char)text[i + 1], true);
        } else if (json && (c == '"' || c == '\\')) {
            add(line, (char[]){'\\', (char)c}, 2);
        } else {
            add(line, text + i, size);
        }
        i += size;
    }
}

/* The time with microseconds: "2026-11-20T20:36:00.123456", 26 characters. */
static void write_time(char *out) {
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    long us = now.tv_nsec / 1000;
    car_rfc3339_write((int64_t)now.tv_sec * 1000 + us / 1000, out);
    out[23] = (char)('0' + us / 100 % 10);
    out[24] = (char)('0' + us / 10 % 10);
    out[25] = (char)('0' + us % 10);
}

static void add_prefix(struct line *line, enum car_log_level level) {
    static const char *const names[] = {"error", "warning", "info", "debug"};
    char stamp[26];
    write_time(stamp);
    if (log_format == CAR_LOG_JSON) {
        add_text(line, "{\"time\":\"");
        add(line, stamp, sizeof stamp);
        add_text(line, "Z\",\"level\":\"");
        add_text(line, names[level]);
        add_text(line, "\",\"message\":\"");
        return;
    }
    stamp[4] = stamp[7] = '/';
    stamp[10] = ' ';
    add(line, stamp, sizeof stamp);
    add_text(line, " UTC ");
    if (level != CAR_LOG_INFO) {
        add_text(line, names[level]);
        add_text(line, ": ");
    }
}

static void add_ending(struct line *line, bool cut) {
    const char *text = log_format == CAR_LOG_JSON ? "\"}\n" : "\n";
    char *end = line->data + line->len;
    if (cut) {
        end = mempcpy(end, "...", 3);
    }
    end = mempcpy(end, text, strlen(text));
    line->len = (size_t)(end - line->data);
}

/* One call in the usual case. A line that can't be written is dropped: there is nowhere left to say so. */
static void write_line(const struct line *line) {
    size_t at = 0;
    while (at < line->len) {
        ssize_t wrote = write(STDERR_FILENO, line->data + at, line->len - at);
        if (wrote < 0 && errno == EINTR) {
            continue;
        }
        if (wrote <= 0) {
            return;
        }
        at += (size_t)wrote;
    }
}

void car_log(enum car_log_level level, const char *fmt, ...) {
    if (!car_log_wants(level)) {
        return;
    }
    int saved = errno;
    char message[LINE_MAX_BYTES];
    va_list args;
    va_start(args, fmt);
    int len = vsnprintf(message, sizeof message, fmt, args);
    va_end(args);
    bool whole = len >= 0 && (size_t)len < sizeof message;
    struct line line;
    line.len = 0;
    line.cut = false;
    add_prefix(&line, level);
    add_message(&line, message, len < 0 ? 0 : whole ? (size_t)len : sizeof message - 1);
    add_ending(&line, line.cut || !whole);
    write_line(&line);
    errno = saved;
}
