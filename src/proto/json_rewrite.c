#include "carillon/base/err.h"
#include "carillon/proto/json.h"
#include "json_chars.h"

/*
 * Two walks over the same text, one that counts and one that writes, have to agree to the byte, whatever the text is:
 * both are built on mask_of and step_at, and touch nothing beyond the text's end.
 */

/* The first byte from `p` on, inside a string, that is a quote, a backslash, or may have to be escaped. The lead byte
 * of U+2028 is that of many other characters, so a hit has to be looked at. */
static inline uint64_t mask_of(uint64_t word) {
    /* '"' and '&' differ in one bit, '<' and '>' as well: one comparison for each pair. */
    return json_mask_equal(word | JSON_ONES * 0x04, '&') | json_mask_equal(word | JSON_ONES * 0x02, '>') |
           json_mask_equal(word, '\\') | json_mask_equal(word, 0xe2);
}

static inline bool stops(char c) {
    return c == '"' || c == '\\' || c == '<' || c == '>' || c == '&' || c == '\xe2';
}

/* What a byte that `stops` stands at the head of: how many bytes are read as one, and how many more are written. */
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
    p++;
    while (p < end) {
        if (end - p >= 8) {
            uint64_t mask = mask_of(json_word(p));
            if (!mask) {
                p += 8;
                continue;
            }
            p += json_first_marked(mask);
        } else if (!stops(*p)) {
            p++;
            continue;
        }
        if (*p == '"') {
            return p + 1;
        }
        struct step step = step_at(p, end);
        p += step.eaten;
        *extra += step.extra;
    }
    return p;
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

/* Copies the string at *from, which it moves to its end. */
static char *copy_string(char *dst, const char **from, const char *end) {
    const char *p = *from;
    *dst++ = *p++;
    while (p < end) {
        if (end - p >= 8) {
            uint64_t mask = mask_of(json_word(p));
            unsigned same = mask ? json_first_marked(mask) : 8;
            if (same == 8) {
                memcpy(dst, p, 8);
                dst += 8;
                p += 8;
                continue;
            }
            for (unsigned i = 0; i < same; i++) {
                *dst++ = *p++;
            }
        } else if (!stops(*p)) {
            *dst++ = *p++;
            continue;
        }
        if (*p == '"') {
            *dst++ = *p++;
            break;
        }
        struct step step = step_at(p, end);
        dst = write_step(dst, p, step);
        p += step.eaten;
    }
    *from = p;
    return dst;
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
