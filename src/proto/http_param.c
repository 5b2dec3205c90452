#include "carillon/base/err.h"
#include "carillon/proto/http.h"
#include "http_chars.h"

/* Takes one decoded byte off the front of *s (not empty). -1 for a bad escape. */
static int next_byte(struct car_span *s, bool plus) {
    char c = s->ptr[0];
    size_t taken = 1;
    int byte = (unsigned char)c;
    if (c == '+' && plus) {
        byte = ' ';
    } else if (c == '%') {
        int high = s->len >= 3 ? http_hex(s->ptr[1]) : -1;
        int low = s->len >= 3 ? http_hex(s->ptr[2]) : -1;
        if (high < 0 || low < 0) {
            return -1;
        }
        byte = high * 16 + low;
        taken = 3;
    }
    *s = car_span_of(s->ptr + taken, s->len - taken);
    return byte;
}

int car_http_decode(struct car_span raw, bool plus, struct car_buf *out) {
    size_t before = out->len;
    if (car_buf_reserve(out, raw.len) != 0) {
        return CAR_ENOMEM;
    }
    while (raw.len > 0) {
        int byte = next_byte(&raw, plus);
        if (byte < 0) {
            out->len = before;
            return CAR_EPROTO;
        }
        out->data[out->len++] = (char)byte;
    }
    return 0;
}

bool car_http_pair_next(struct car_span *rest, struct car_span *name, struct car_span *value) {
    struct car_span pair = {0};
    while (car_span_next(rest, '&', &pair)) {
        if (pair.len == 0) {
            continue;
        }
        const char *equals = memchr(pair.ptr, '=', pair.len);
        *name = car_span_of(pair.ptr, equals ? (size_t)(equals - pair.ptr) : pair.len);
        *value = equals ? car_span_of(equals + 1, pair.len - name->len - 1) : (struct car_span){0};
        return true;
    }
    return false;
}

/* A name with a bad escape is nobody's. */
static bool is_named(struct car_span raw, const char *name) {
    size_t i = 0;
    while (raw.len > 0) {
        int byte = next_byte(&raw, true);
        if (byte < 0 || name[i] == '\0' || (unsigned char)name[i] != byte) {
            return false;
        }
        i++;
    }
    return name[i] == '\0';
}

int car_http_param_find(struct car_span *rest, const char *name, struct car_buf *out) {
    struct car_span raw_name;
    struct car_span raw_value;
    while (car_http_pair_next(rest, &raw_name, &raw_value)) {
        if (is_named(raw_name, name)) {
            return car_http_decode(raw_value, true, out);
        }
    }
    return CAR_ENOENT;
}
