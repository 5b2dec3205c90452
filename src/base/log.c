#include "carillon/base/log.h"

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "carillon/base/clock.h"
#include "carillon/base/utf8.h"

enum {
    LINE_MAX_BYTES = 4096, /* a longer line is cut, and ends in "..."; PIPE_BUF, so that a pipe takes it whole or not */
    ENDING_ROOM = 8,       /* for what closes a line, which is never cut */
};

/* Written by car_log_setup before there are other threads, only read afterwards. */
static enum car_log_format log_format = CAR_LOG_TEXT;
static enum car_log_level log_level = CAR_LOG_INFO;
static int log_fd = STDERR_FILENO;
static bool log_is_socket;

/* Lines that nobody took; told of when one is taken again. */
static atomic_uint dropped;

struct line {
    size_t len;
    bool cut;
    char data[LINE_MAX_BYTES];
};

void car_log_setup(enum car_log_format format, enum car_log_level level) {
    log_format = format;
    log_level = level;
}

void car_log_never_block(void) {
    struct stat about = {0};
    if (log_fd != STDERR_FILENO) {
        close(log_fd);
        log_fd = STDERR_FILENO;
    }
    log_is_socket = fstat(STDERR_FILENO, &about) == 0 && S_ISSOCK(about.st_mode);
    if (!log_is_socket && S_ISFIFO(about.st_mode)) {
        /* Opened once more: O_NONBLOCK on standard error itself would be every other process's as well that shares it.
         */
        int fd = open("/proc/self/fd/2", O_WRONLY | O_NONBLOCK | O_CLOEXEC);
        log_fd = fd >= 0 ? fd : STDERR_FILENO;
    }
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

/* One call in the usual case. false where nobody takes the line for now; where it can't be written at all, there is
 * nowhere to say so. */
static bool write_line(const struct line *line) {
    size_t at = 0;
    while (at < line->len) {
        const char *rest = line->data + at;
        size_t left = line->len - at;
        ssize_t wrote =
            log_is_socket ? send(log_fd, rest, left, MSG_DONTWAIT | MSG_NOSIGNAL) : write(log_fd, rest, left);
        if (wrote < 0 && errno == EINTR) {
            continue;
        }
        if (wrote <= 0) {
            return errno != EAGAIN && errno != EWOULDBLOCK;
        }
        at += (size_t)wrote;
    }
    return true;
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
    if (!write_line(&line)) {
        atomic_fetch_add_explicit(&dropped, 1, memory_order_relaxed);
    } else if (atomic_load_explicit(&dropped, memory_order_relaxed)) {
        unsigned lost = atomic_exchange_explicit(&dropped, 0, memory_order_relaxed);
        if (lost) {
            car_log_warn("%u lines of this log were dropped: nobody took them", lost);
        }
    }
    errno = saved;
}
