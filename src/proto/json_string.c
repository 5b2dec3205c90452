#include "carillon/base/err.h"
#include "carillon/base/utf8.h"
#include "carillon/proto/json.h"
#include "json_chars.h"

/* The literal without its quotes. */
static struct car_span body_of(struct car_span raw) {
    return raw.len >= 2 ? car_span_of(raw.ptr + 1, raw.len - 2) : car_span_of(raw.ptr, 0);
}

size_t car_json_string_chars(struct car_span raw) {
    struct car_span body = body_of(raw);
    if (body.len == 0) {
        return 0;
    }
    const char *end = body.ptr + body.len;
    const char *p = car_bytes16_find(body.ptr, end, json_no_single);
    if (p == end) {
        return body.len;
    }
    size_t count = (size_t)(p - body.ptr) + car_utf8_count(p, (size_t)(end - p));
    while ((p = memchr(p, '\\', (size_t)(end - p)))) {
        if (end - p >= 6 && p[1] == 'u') {
            /* Six bytes for one character, or for none: a low surrogate belongs to the high one before it. */
            count -= json_is_low_surrogate(json_hex4(p + 2, end)) ? 6 : 5;
            p += 6;
        } else {
            count -= 1;
            p += end - p >= 2 ? 2 : 1;
        }
    }
    return count;
}

int car_json_string_decode(struct car_span raw, struct car_buf *out) {
    struct car_span body = body_of(raw);
    if (body.len == 0) {
        return out->failed ? CAR_ENOMEM : CAR_OK;
    }
    if (car_buf_reserve(out, body.len) != CAR_OK) {
        return CAR_ENOMEM;
    }
    const char *p = body.ptr;
    const char *end = p + body.len;
    while (p < end) {
        const char *escape = memchr(p, '\\', (size_t)(end - p));
        const char *stop = escape ? escape : end;
        car_buf_put(out, p, (size_t)(stop - p));
        p = stop;
        if (escape) {
            char text[4];
            unsigned len = json_decode_unit(&p, end, text);
            car_buf_put(out, text, len);
        }
    }
    return out->failed ? CAR_ENOMEM : CAR_OK;
}

static void write_u00(struct car_buf *out, unsigned char c) {
    static const char hex[] = "0123456789abcdef";
    char escape[] = {'\\', 'u', '0', '0', hex[c >> 4], hex[c & 15]};
    car_buf_put(out, escape, sizeof escape);
}

static void write_special(struct car_buf *out, char c) {
    static const char from[] = "\"\\\b\f\n\r\t";
    static const char to[] = "\"\\bfnrt";
    const char *found = c ? strchr(from, c) : NULL;
    if (found) {
        car_buf_put(out, (char[]){'\\', to[found - from]}, 2);
    } else {
        write_u00(out, (unsigned char)c);
    }
}

static bool is_plain(char c) {
    unsigned char u = (unsigned char)c;
    return u >= 0x20 && u < 0x80 && c != '"' && c != '\\' && c != '<' && c != '>' && c != '&';
}

/* The end of the run of characters above U+007F that may be written as they are. */
static const char *skip_wide(const char *p, const char *end) {
    while (p < end && (unsigned char)*p >= 0x80 && !json_is_line_separator(p, end)) {
        unsigned len = json_wide_len(p, end);
        if (len == 0) {
            break;
        }
        p += len;
    }
    return p;
}

void car_json_write_string(struct car_buf *out, struct car_span utf8) {
    car_buf_reserve(out, utf8.len + 2);
    car_buf_char(out, '"');
    const char *p = utf8.ptr;
    const char *end = utf8.len > 0 ? p + utf8.len : p;
    while (p < end && !out->failed) {
        const char *run = p;
        p = car_bytes16_find(p, end, json_no_literal);
        if (p < end) {
            p = skip_wide(p, end);
        }
        car_buf_put(out, run, (size_t)(p - run));
        if (p == end || is_plain(*p)) {
            continue;
        }
        if (json_is_line_separator(p, end)) {
            car_buf_put(out, p[2] == '\xa8' ? "\\u2028" : "\\u2029", 6);
            p += 3;
        } else if ((unsigned char)*p >= 0x80) {
            CAR_BUF_LIT(out, "\\ufffd");
            p++;
        } else {
            write_special(out, *p++);
        }
    }
    car_buf_char(out, '"');
}
