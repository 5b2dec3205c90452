#include "http_chunk.h"

#include "http_chars.h"

enum state {
    SIZE,
    EXT_BWS,      /* BWS behind a size or an extension: only ";" may follow */
    EXT_NAME_BWS, /* behind ";" */
    EXT_NAME,
    EXT_NAME_END,  /* BWS behind the name */
    EXT_VALUE_BWS, /* behind "=" */
    EXT_VALUE,
    QUOTED,
    QUOTED_PAIR,
    QUOTED_END,
    SIZE_LF,
    DATA,
    DATA_CR,
    DATA_LF,
    TRAILERS,
};

static int bad(const char *reason, const char **why) {
    *why = reason;
    return 400;
}

static bool is_blank(char c) {
    return c == ' ' || c == '\t';
}

/* What may stand behind a size, a name or a value. */
static int end_item(struct http_chunk *c, char byte, uint8_t blank_state, const char **why) {
    if (byte == ';') {
        c->state = EXT_NAME_BWS;
        return 0;
    }
    if (is_blank(byte)) {
        c->state = blank_state;
        return 0;
    }
    /* Blanks are allowed before ";" and "=" only, so that a line never ends in them. */
    if (byte == '\r' && c->state != EXT_BWS && c->state != EXT_NAME_END) {
        c->state = SIZE_LF;
        return 0;
    }
    return bad("malformed chunk size or extension", why);
}

/* "5", "000a": the size is bounded by its digits, so it can't wrap. */
static int step_size(struct http_chunk *c, const struct car_http_limits *limits, char byte, const char **why) {
    int digit = http_hex(byte);
    if (digit >= 0) {
        c->left = c->left << 4 | (unsigned)digit;
        return ++c->digits <= HTTP_CHUNK_DIGITS_MAX ? 0 : bad("the chunk size is too long", why);
    }
    if (c->digits == 0) {
        return bad("malformed chunk size", why);
    }
    if (c->left > limits->body_bytes - c->total) {
        *why = "the body is too large";
        return 413;
    }
    c->total += c->left;
    return end_item(c, byte, EXT_BWS, why);
}

static int step_name(struct http_chunk *c, char byte, const char **why) {
    if (c->state == EXT_NAME_BWS && is_blank(byte)) {
        return 0;
    }
    if (c->state != EXT_NAME_END && http_is(byte, HTTP_TCHAR)) {
        c->state = EXT_NAME;
        return 0;
    }
    if (c->state == EXT_NAME_BWS) {
        return bad("malformed chunk extension", why);
    }
    if (byte == '=') {
        c->state = EXT_VALUE_BWS;
        return 0;
    }
    return end_item(c, byte, EXT_NAME_END, why);
}

static int step_value(struct http_chunk *c, char byte, const char **why) {
    if (c->state == EXT_VALUE_BWS && is_blank(byte)) {
        return 0;
    }
    if (c->state == EXT_VALUE_BWS && byte == '"') {
        c->state = QUOTED;
        return 0;
    }
    if (http_is(byte, HTTP_TCHAR)) {
        c->state = EXT_VALUE;
        return 0;
    }
    return c->state == EXT_VALUE ? end_item(c, byte, EXT_BWS, why) : bad("malformed chunk extension", why);
}

static int step_quoted(struct http_chunk *c, char byte, const char **why) {
    if (c->state == QUOTED_PAIR) {
        c->state = QUOTED;
        return http_is(byte, HTTP_FIELD) ? 0 : bad("malformed chunk extension", why);
    }
    if (byte == '"' || byte == '\\') {
        c->state = byte == '"' ? QUOTED_END : QUOTED_PAIR;
        return 0;
    }
    return http_is(byte, HTTP_QDTEXT) ? 0 : bad("malformed chunk extension", why);
}

/* The ends of a size line and of a chunk's data. */
static int step_line_end(struct http_chunk *c, char byte, const char **why) {
    if (byte != (c->state == DATA_CR ? '\r' : '\n')) {
        return bad(c->state == SIZE_LF ? "bare CR in a chunk size line" : "no CRLF behind a chunk", why);
    }
    if (c->state == DATA_CR) {
        c->state = DATA_LF;
    } else if (c->state == DATA_LF) {
        c->state = SIZE;
        c->digits = 0;
    } else if (c->left > 0) {
        c->state = DATA;
    } else {
        c->state = TRAILERS;
        car_http_guard_trailers(&c->trailers);
    }
    return 0;
}

static int step(struct http_chunk *c, const struct car_http_limits *limits, char byte, const char **why) {
    if (c->state > SIZE && c->state < SIZE_LF && ++c->extensions > HTTP_CHUNK_EXT_MAX) {
        return bad("the chunk extensions are too long", why);
    }
    switch (c->state) {
    case SIZE:
        return step_size(c, limits, byte, why);
    case EXT_BWS:
    case QUOTED_END:
        return end_item(c, byte, EXT_BWS, why);
    case EXT_NAME_BWS:
    case EXT_NAME:
    case EXT_NAME_END:
        return step_name(c, byte, why);
    case EXT_VALUE_BWS:
    case EXT_VALUE:
        return step_value(c, byte, why);
    case QUOTED:
    case QUOTED_PAIR:
        return step_quoted(c, byte, why);
    default:
        return step_line_end(c, byte, why);
    }
}

int car_http_chunk_scan(struct http_chunk *c, const struct car_http_limits *limits, struct car_span in,
                        struct car_span *data, size_t *taken, const char **why) {
    size_t at = 0;
    while (at < in.len && c->state < TRAILERS) {
        if (c->state == DATA) {
            size_t piece = c->left < in.len - at ? (size_t)c->left : in.len - at;
            *data = car_span_of(in.ptr + at, piece);
            *taken = at + piece;
            c->left -= piece;
            c->state = c->left > 0 ? DATA : DATA_CR;
            return HTTP_CHUNK_DATA;
        }
        int status = step(c, limits, in.ptr[at++], why);
        if (status != 0) {
            return status;
        }
    }
    if (c->state < TRAILERS) {
        *taken = at;
        return HTTP_CHUNK_MORE;
    }
    size_t skipped = 0;
    int result = car_http_guard_scan(&c->trailers, limits, car_span_of(in.ptr + at, in.len - at), &skipped, taken, why);
    *taken += at;
    _Static_assert(HTTP_CHUNK_MORE == HTTP_GUARD_MORE && HTTP_CHUNK_WHOLE == HTTP_GUARD_WHOLE, "handed on as it is");
    return result;
}
