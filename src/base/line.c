#include "line.h"

#include <errno.h>
#include <stdint.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "carillon/base/clock.h"
#include "carillon/base/utf8.h"

void car_line_add(struct car_line *line, const char *bytes, size_t len) {
    if (line->cut || len > sizeof line->data - CAR_LINE_ENDING - line->len) {
        line->cut = true;
        return;
    }
    memcpy(line->data + line->len, bytes, len);
    line->len += len;
}

void car_line_text(struct car_line *line, const char *text) {
    car_line_add(line, text, strlen(text));
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

/* The code point of a valid character of at most three bytes; those of four control nothing, and are 0. */
static unsigned code_of(const char *text, size_t size) {
    const unsigned char *p = (const unsigned char *)text;
    switch (size) {
    case 1:
        return p[0];
    case 2:
        return (p[0] & 0x1fU) << 6 | (p[1] & 0x3fU);
    case 3:
        return (p[0] & 0x0fU) << 12 | (p[1] & 0x3fU) << 6 | (p[2] & 0x3fU);
    default:
        return 0;
    }
}

/* C0, DEL and C1; the marks, embeddings, overrides and isolates of the direction (Unicode, UAX #9); the separators of
 * lines and paragraphs. */
static bool controls(unsigned code, size_t size) {
    return (code < 0x20 && size == 1) || (code >= 0x7f && code < 0xa0) || code == 0x61c ||
           (code >= 0x200e && code <= 0x200f) || (code >= 0x2028 && code <= 0x202e) ||
           (code >= 0x2066 && code <= 0x2069);
}

/* What stands for a character that controls: "\n", "\x1b" (in text, below 0x80) or "\u009b". */
static size_t escape(const struct car_line *line, unsigned code, char out[8]) {
    static const char hex[] = "0123456789abcdef";
    size_t len = 0;
    out[len++] = '\\';
    if (code == '\n' || code == '\r' || code == '\t') {
        out[len++] = code == '\n' ? 'n' : code == '\r' ? 'r' : 't';
        return len;
    }
    bool in_text = code < 0x80 && line->format == CAR_LOG_TEXT;
    out[len++] = in_text ? 'x' : 'u';
    for (int shift = in_text ? 4 : 12; shift >= 0; shift -= 4) {
        out[len++] = hex[code >> shift & 15];
    }
    return len;
}

/* What stands for a byte that is no character's. JSON has no way to write it. */
static size_t escape_byte(const struct car_line *line, unsigned char c, char out[8]) {
    static const char hex[] = "0123456789abcdef";
    if (line->format == CAR_LOG_JSON) {
        memcpy(out, "\\ufffd", 6);
        return 6;
    }
    memcpy(out, (char[]){'\\', 'x', hex[c >> 4], hex[c & 15]}, 4);
    return 4;
}

/* Writes what stands for the character at `text` to `out`; returns the bytes that it took. */
static size_t translate(const struct car_line *line, const char *text, size_t left, bool quoted, char out[8],
                        size_t *out_len) {
    size_t size = (unsigned char)*text < 0x80 ? 1 : char_len(text, left);
    if (size == 0) {
        *out_len = escape_byte(line, (unsigned char)*text, out);
        return 1;
    }
    unsigned code = code_of(text, size);
    if (controls(code, size)) {
        *out_len = escape(line, code, out);
    } else if (quoted && (code == '"' || code == '\\')) {
        out[0] = '\\';
        out[1] = (char)code;
        *out_len = 2;
    } else {
        memcpy(out, text, size);
        *out_len = size;
    }
    return size;
}

void car_line_escaped(struct car_line *line, const char *text, size_t len, bool quoted, size_t max) {
    size_t from = line->len;
    size_t fits = from; /* where it ends if it has to be cut */
    char out[8];
    size_t out_len;
    for (size_t i = 0; i < len && !line->cut;) {
        i += translate(line, text + i, len - i, quoted, out, &out_len);
        if (out_len > max - (line->len - from)) {
            line->len = fits;
            car_line_add(line, "...", 3);
            return;
        }
        car_line_add(line, out, out_len);
        fits = line->len - from <= max - 3 ? line->len : fits;
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

void car_line_time(struct car_line *line) {
    char stamp[26];
    write_time(stamp);
    if (line->format == CAR_LOG_JSON) {
        car_line_text(line, "{\"time\":\"");
        car_line_add(line, stamp, sizeof stamp);
        car_line_text(line, "Z\"");
        return;
    }
    stamp[4] = stamp[7] = '/';
    stamp[10] = ' ';
    car_line_add(line, stamp, sizeof stamp);
    car_line_text(line, " UTC ");
}

void car_line_end(struct car_line *line, bool cut, const char *ending) {
    char *end = line->data + line->len;
    if (cut) {
        end = mempcpy(end, "...", 3);
    }
    end = mempcpy(end, ending, strlen(ending));
    line->len = (size_t)(end - line->data);
}

size_t car_line_write(const struct car_line *line, const struct car_line_out *out) {
    size_t at = 0;
    while (at < line->len) {
        const char *rest = line->data + at;
        size_t left = line->len - at;
        ssize_t wrote =
            out->is_socket ? send(out->fd, rest, left, MSG_DONTWAIT | MSG_NOSIGNAL) : write(out->fd, rest, left);
        if (wrote < 0 && errno == EINTR) {
            continue;
        }
        if (wrote <= 0) {
            errno = wrote == 0 ? EIO : errno;
            break;
        }
        at += (size_t)wrote;
    }
    return at;
}
