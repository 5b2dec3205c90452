#include "carillon/base/audit.h"

#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "carillon/base/clock.h"
#include "carillon/base/err.h"
#include "line.h"

#define MINUTE_US UINT64_C(60000000)

/* Written before there are other threads, only read afterwards. What file the descriptor stands for changes under it
 * (car_audit_reopen), so that whoever is about to write to it never writes to one that is closed. */
static bool wanted;
static enum car_log_format audit_format;
static char *file_path; /* NULL: standard error */
static struct car_line_out file = {.fd = -1};

/* Changed by whoever writes. */
static atomic_uint dropped;            /* lines, since the log was told that they are written again */
static atomic_bool told;               /* the log was told that they are not */
static _Atomic uint64_t tell_again_us; /* not before (car_clock_mono_us) is the log told again */
static atomic_bool torn;               /* the last line went out in part: the next one begins with a line's end */

static int open_file(void) {
    /* O_NONBLOCK is for a pipe that nobody reads. */
    return open(file_path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC | O_NOCTTY | O_NONBLOCK, 0640);
}

static bool is_file(const char *path) {
    return strcmp(path, "off") != 0 && strcmp(path, "stderr") != 0;
}

int car_audit_check(const char *path) {
    struct stat is;
    if (!is_file(path)) {
        return 0;
    }
    if (stat(path, &is) == 0) {
        errno = S_ISDIR(is.st_mode) ? EISDIR : 0;
        return errno == 0 && access(path, W_OK) == 0 ? 0 : CAR_ESYS;
    }
    char *copy = errno == ENOENT ? strdup(path) : NULL;
    int err = copy && access(dirname(copy), W_OK | X_OK) == 0 ? 0 : CAR_ESYS;
    free(copy);
    return err;
}

int car_audit_open(const char *path, enum car_log_format format) {
    audit_format = format;
    wanted = strcmp(path, "off") != 0;
    if (!is_file(path)) {
        return 0;
    }
    file_path = strdup(path);
    file.fd = file_path ? open_file() : -1;
    if (file.fd >= 0) {
        return 0;
    }
    int why = errno;
    int err = file_path ? CAR_ESYS : CAR_ENOMEM;
    car_audit_close();
    errno = why;
    return err;
}

int car_audit_reopen(void) {
    if (!file_path) {
        return 0;
    }
    int fd = open_file();
    if (fd < 0) {
        return CAR_ESYS;
    }
    int err = dup3(fd, file.fd, O_CLOEXEC) < 0 ? CAR_ESYS : 0;
    int why = errno;
    close(fd);
    errno = why;
    if (!err) {
        atomic_store_explicit(&torn, false, memory_order_relaxed);
    }
    return err;
}

void car_audit_close(void) {
    if (file.fd >= 0) {
        close(file.fd);
        file.fd = -1;
    }
    free(file_path);
    file_path = NULL;
    wanted = false;
}

bool car_audit_wants(void) {
    return wanted;
}

/* Members. */

/* The names of an entry's texts are words of ours: they need no escaping. */
static void add_name(struct car_line *line, const char *name) {
    bool json = line->format == CAR_LOG_JSON;
    car_line_text(line, json ? ",\"" : line->data[line->len - 1] == ' ' ? "" : " ");
    car_line_text(line, name);
    car_line_text(line, json ? "\":" : "=");
}

/* Whether it can do without quotes: then neither an end nor another member can be read into it. */
static bool is_bare(struct car_span text) {
    for (size_t i = 0; i < text.len; i++) {
        char c = text.ptr[i];
        bool alnum = (c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z');
        if (!alnum && (c == '\0' || !strchr("-._~:/@+,%", c))) {
            return false;
        }
    }
    return text.len > 0;
}

static void add_span(struct car_line *line, const char *name, struct car_span text, size_t max) {
    if (!text.ptr) {
        return;
    }
    add_name(line, name);
    if (line->format == CAR_LOG_TEXT && text.len <= max && is_bare(text)) {
        car_line_add(line, text.ptr, text.len);
        return;
    }
    car_line_text(line, "\"");
    car_line_escaped(line, text.ptr, text.len, true, max);
    car_line_text(line, "\"");
}

static void add_number(struct car_line *line, const char *name, uint64_t value) {
    char digits[20];
    size_t at = sizeof digits;
    do {
        digits[--at] = (char)('0' + value % 10);
        value /= 10;
    } while (value);
    add_name(line, name);
    car_line_add(line, digits + at, sizeof digits - at);
}

/* The maxima are such that what they allow is a line, whatever is in it. */
static void build(struct car_line *line, const struct car_audit_entry *entry) {
    car_line_time(line);
    if (line->format == CAR_LOG_TEXT) {
        car_line_text(line, "audit: ");
    }
    add_span(line, "act", car_span_cstr(entry->act), 48);
    add_span(line, "outcome", car_span_cstr(entry->outcome), 48);
    if (entry->status > 0) {
        add_number(line, "status", (uint64_t)entry->status);
    }
    add_span(line, "tenant", entry->tenant, 96);
    add_span(line, "named", entry->named, 96);
    add_span(line, "subject", entry->subject, 256);
    add_span(line, "credential", entry->credential, 96);
    add_span(line, "target", entry->target, 256);
    add_span(line, "request_id", entry->request_id, 96);
    add_span(line, "peer", entry->peer, 96);
    add_span(line, "method", entry->method, 48);
    add_span(line, "path", entry->path, 512);
    for (int i = 0; i < CAR_AUDIT_COUNTS && entry->counts[i].name; i++) {
        add_number(line, entry->counts[i].name, entry->counts[i].value);
    }
    add_span(line, "reason", car_span_cstr(entry->reason), 256);
    car_line_end(line, false, line->format == CAR_LOG_JSON ? "}\n" : "\n");
}

/* Telling of lines that were dropped. */

/* Whether it is time; once a minute, whoever asks. */
static bool may_tell(void) {
    uint64_t now = car_clock_mono_us();
    uint64_t due = atomic_load_explicit(&tell_again_us, memory_order_relaxed);
    return now >= due && atomic_compare_exchange_strong_explicit(&tell_again_us, &due, now + MINUTE_US,
                                                                 memory_order_relaxed, memory_order_relaxed);
}

static void on_dropped(int why) {
    char text[64];
    atomic_fetch_add_explicit(&dropped, 1, memory_order_relaxed);
    if (may_tell()) {
        atomic_store_explicit(&told, true, memory_order_relaxed);
        car_log_error("the audit log cannot be written, its lines are dropped: %s", strerror_r(why, text, sizeof text));
    }
}

/* Whoever takes the count tells of it; where the log was not told of the beginning, that waits for its minute. */
static void on_written(void) {
    if (atomic_exchange_explicit(&told, false, memory_order_relaxed) || may_tell()) {
        unsigned lost = atomic_exchange_explicit(&dropped, 0, memory_order_relaxed);
        if (lost) {
            car_log_warn("the audit log is written again; %u of its lines were dropped", lost);
        }
    }
}

void car_audit(const struct car_audit_entry *entry) {
    if (!wanted) {
        return;
    }
    int saved = errno;
    struct car_line line;
    car_line_begin(&line, audit_format);
    bool mends = atomic_load_explicit(&torn, memory_order_relaxed) &&
                 atomic_exchange_explicit(&torn, false, memory_order_relaxed);
    if (mends) {
        car_line_text(&line, "\n");
    }
    build(&line, entry);
    size_t wrote = car_line_write(&line, file_path ? &file : car_log_out());
    if (wrote == line.len) {
        if (atomic_load_explicit(&dropped, memory_order_relaxed)) {
            on_written();
        }
    } else {
        int why = errno;
        if (wrote ? wrote > (size_t)mends : mends) {
            atomic_store_explicit(&torn, true, memory_order_relaxed);
        }
        on_dropped(why);
    }
    errno = saved;
}
