#include "carillon/base/err.h"
#include "carillon/proto/json.h"
#include "json_chars.h"

/*
 * Two walks over the same text, one that counts and one that writes, have to agree to the byte, whatever the text is:
 * both are built on json_rewritten and step_at, and touch nothing beyond the text's end.
 */

/* What a byte that is json_rewritten stands at the head of: how many bytes are read as one, and how many more are
 * written. */
struct step {
    unsigned eaten;
    unsigned extra;
};

static inline struct step step_at(const char *p, const char *end) {
    switch (*p) {
    case '<':
    case '>':
    case '&':
        return (struct step){1, 5};
    case '\\':
        return (struct step){end - p >= 2 ? 2 : 1, 0};
    default:
        return json_is_line_separator(p, end) ? (struct step){3, 3} : (struct step){1, 0};
    }
}

/* Adds up what the string at `p` takes more than it has; returns its end. */
static const char *measure_string(const char *p, const char *end, size_t *extra) {
    p = car_bytes16_find(p + 1, end, json_rewritten);
    while (p < end && *p != '"') {
        struct step step = step_at(p, end);
        *extra += step.extra;
        p = car_bytes16_find(p + step.eaten, end, json_rewritten);
    }
    return p < end ? p + 1 : end;
}

size_t car_json_rewritten_len(struct car_span raw) {
    if (raw.len == 0) {
        return 0;
    }
    const char *p = raw.ptr;
    const char *end = p + raw.len;
    size_t extra = 0;
    size_t dropped = 0;
    while (p < end) {
        if (*p == '"') {
            p = measure_string(p, end, &extra);
        } else {
            dropped += json_is_space(*p++);
        }
    }
    return raw.len - dropped + extra;
}

static char *write_step(char *dst, const char *p, struct step step) {
    static const char hex[] = "0123456789abcdef";
    if (step.extra == 0) {
        memcpy(dst, p, step.eaten);
        return dst + step.eaten;
    }
    if (step.eaten == 3) {
        memcpy(dst, p[2] == '\xa8' ? "\\u2028" : "\\u2029", 6);
        return dst + 6;
    }
    unsigned char c = (unsigned char)*p;
    memcpy(dst, "\\u00", 4);
    dst[4] = hex[c >> 4];
    dst[5] = hex[c & 15];
    return dst + 6;
}

static char *copy(char *dst, const char *from, const char *to) {
    memcpy(dst, from, (size_t)(to - from));
    return dst + (to - from);
}

/* Copies the string at *from, which it moves to its end. */
static char *copy_string(char *dst, const char **from, const char *end) {
    const char *run = *from;
    const char *p = car_bytes16_find(run + 1, end, json_rewritten);
    while (p < end && *p != '"') {
        struct step step = step_at(p, end);
        dst = write_step(copy(dst, run, p), p, step);
        run = p + step.eaten;
        p = car_bytes16_find(run, end, json_rewritten);
    }
    *from = p < end ? p + 1 : end;
    return copy(dst, run, *from);
}

char *car_json_rewrite_to(char *dst, struct car_span raw) {
    if (raw.len == 0) {
        return dst;
    }
    const char *p = raw.ptr;
    const char *end = p + raw.len;
    while (p < end) {
        if (*p == '"') {
            dst = copy_string(dst, &p, end);
        } else {
            if (!json_is_space(*p)) {
                *dst++ = *p;
            }
            p++;
        }
    }
    return dst;
}

void car_json_rewrite(struct car_buf *out, struct car_span raw) {
    size_t len = car_json_rewritten_len(raw);
    if (len > 0 && car_buf_reserve(out, len) == CAR_OK) {
        car_json_rewrite_to(out->data + out->len, raw);
        out->len += len;
    }
}
