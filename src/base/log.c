#include "carillon/base/log.h"

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "line.h"

/* Written by car_log_setup before there are other threads, only read afterwards. */
static enum car_log_format log_format = CAR_LOG_TEXT;
static enum car_log_level log_level = CAR_LOG_INFO;
static struct car_line_out out = {.fd = STDERR_FILENO};

/* Lines that nobody took; told of when one is taken again. */
static atomic_uint dropped;

void car_log_setup(enum car_log_format format, enum car_log_level level) {
    log_format = format;
    log_level = level;
}

void car_log_never_block(void) {
    struct stat about = {0};
    if (out.fd != STDERR_FILENO) {
        close(out.fd);
        out.fd = STDERR_FILENO;
    }
    out.is_socket = fstat(STDERR_FILENO, &about) == 0 && S_ISSOCK(about.st_mode);
    if (!out.is_socket && S_ISFIFO(about.st_mode)) {
        /* Opened once more: O_NONBLOCK on standard error itself would be every other process's as well that shares it.
         */
        int fd = open("/proc/self/fd/2", O_WRONLY | O_NONBLOCK | O_CLOEXEC);
        out.fd = fd >= 0 ? fd : STDERR_FILENO;
    }
}

const struct car_line_out *car_log_out(void) {
    return &out;
}

bool car_log_wants(enum car_log_level level) {
    return level <= log_level;
}

static void add_prefix(struct car_line *line, enum car_log_level level) {
    static const char *const names[] = {"error", "warning", "info", "debug"};
    car_line_time(line);
    if (line->format == CAR_LOG_JSON) {
        car_line_text(line, ",\"level\":\"");
        car_line_text(line, names[level]);
        car_line_text(line, "\",\"message\":\"");
    } else if (level != CAR_LOG_INFO) {
        car_line_text(line, names[level]);
        car_line_text(line, ": ");
    }
}

/* false where nobody takes the line for now; where it can't be written at all, there is nowhere to say so. */
static bool write_line(const struct car_line *line) {
    return car_line_write(line, &out) == line->len || (errno != EAGAIN && errno != EWOULDBLOCK);
}

void car_log(enum car_log_level level, const char *fmt, ...) {
    if (!car_log_wants(level)) {
        return;
    }
    int saved = errno;
    char message[CAR_LINE_MAX];
    va_list args;
    va_start(args, fmt);
    int len = vsnprintf(message, sizeof message, fmt, args);
    va_end(args);
    bool whole = len >= 0 && (size_t)len < sizeof message;
    bool json = log_format == CAR_LOG_JSON;
    struct car_line line;
    car_line_begin(&line, log_format);
    add_prefix(&line, level);
    car_line_escaped(&line, message, len < 0 ? 0 : whole ? (size_t)len : sizeof message - 1, json, SIZE_MAX);
    car_line_end(&line, line.cut || !whole, json ? "\"}\n" : "\n");
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
