#include "http_guard.h"

#include "http_chars.h"

enum state {
    BEFORE,    /* before the request line: blank lines are passed over (RFC 9112, section 2.2) */
    BEFORE_LF, /* after their CR */
    METHOD,
    TARGET_START,
    TARGET,
    PROTOCOL, /* PROTOCOL + n: n characters of "HTTP/" have been read */
    MAJOR = PROTOCOL + 5,
    DOT,
    MINOR,
    LINE_CR,
    LINE_LF,
    FIELD_START,
    NAME,
    VALUE,
    VALUE_LF,
    LAST_LF,
    WHOLE,
};

void car_http_guard_request(struct http_guard *g) {
    *g = (struct http_guard){.state = BEFORE};
}

void car_http_guard_trailers(struct http_guard *g) {
    *g = (struct http_guard){.state = FIELD_START};
}

static int refuse(int status, const char *reason, const char **why) {
    *why = reason;
    return status;
}

static int bad(const char *reason, const char **why) {
    return refuse(400, reason, why);
}

/* The bytes before a request line. */
static int step_before(struct http_guard *g, char c, const char **why) {
    if (g->state == BEFORE_LF) {
        g->state = BEFORE;
        return c == '\n' ? 0 : bad("bare CR before the request line", why);
    }
    if (c == '\r') {
        g->state = BEFORE_LF;
        g->blank_lines++;
        return g->blank_lines <= HTTP_BLANK_LINES_MAX ? 0 : bad("too many blank lines before a request", why);
    }
    g->state = METHOD; /* its first byte is counted and read again with the others */
    return http_is(c, HTTP_TCHAR) ? 0 : bad("the request does not begin with a method", why);
}

/* The rest of a request line, from the method on. */
static int step_line(struct http_guard *g, char c, const char **why) {
    static const char protocol[] = "HTTP/";
    switch (g->state) {
    case METHOD:
        if (http_is(c, HTTP_TCHAR)) {
            return ++g->method_len <= HTTP_METHOD_MAX ? 0 : refuse(501, "the method is too long", why);
        }
        g->state = TARGET_START;
        return c == ' ' ? 0 : bad("malformed method", why);
    case TARGET_START:
        g->state = TARGET;
        return http_is(c, HTTP_TARGET) ? 0 : bad("malformed request target", why);
    case TARGET:
        if (http_is(c, HTTP_TARGET)) {
            return 0;
        }
        g->state = PROTOCOL;
        return c == ' ' ? 0 : bad("malformed request target, or no HTTP version", why);
    case MAJOR:
    case MINOR:
        if (c < '0' || c > '9') {
            return bad("malformed HTTP version", why);
        }
        *(g->state == MAJOR ? &g->major : &g->minor) = (uint8_t)(c - '0');
        g->state++;
        return 0;
    case DOT:
        g->state = MINOR;
        return c == '.' ? 0 : bad("malformed HTTP version", why);
    case LINE_CR:
        g->state = LINE_LF;
        return c == '\r' ? 0 : bad("the request line does not end after the HTTP version", why);
    case LINE_LF:
        g->state = FIELD_START;
        if (c != '\n') {
            return bad("bare CR in the request line", why);
        }
        return g->major == 1 && g->minor <= 1 ? 0 : refuse(505, "only HTTP/1.0 and HTTP/1.1 are spoken here", why);
    default: /* PROTOCOL … */
        return c == protocol[g->state++ - PROTOCOL] ? 0 : bad("malformed HTTP version", why);
    }
}

/* A field section. */
static int step_field(struct http_guard *g, size_t most, char c, const char **why) {
    switch (g->state) {
    case FIELD_START:
        if (c == '\r') {
            g->state = LAST_LF;
            return 0;
        }
        if (c == ' ' || c == '\t') {
            return bad("folded header line", why);
        }
        if (!http_is(c, HTTP_TCHAR)) {
            return bad("malformed header name", why);
        }
        g->state = NAME;
        return g->lines++ < most ? 0 : refuse(431, "too many header fields", why);
    case NAME:
        if (http_is(c, HTTP_TCHAR)) {
            return 0;
        }
        g->state = VALUE;
        return c == ':' ? 0 : bad("malformed header name", why);
    case VALUE:
        if (http_is(c, HTTP_FIELD)) {
            return 0;
        }
        g->state = VALUE_LF;
        return c == '\r' ? 0 : bad("control character in a header", why);
    case VALUE_LF:
        g->state = FIELD_START;
        return c == '\n' ? 0 : bad("bare CR in a header", why);
    default: /* LAST_LF */
        g->state = WHOLE;
        return c == '\n' ? 0 : bad("bare CR at the end of the headers", why);
    }
}

/* The whole request line at the front, from the method's first byte to its line feed. 0 where it is not whole, or not
 * as it should be: which of them, and what is wrong, is for the steps above to say. */
static size_t whole_request_line(struct http_guard *g, const char *bytes, size_t len) {
    static const char ending[] = " HTTP/1.1\r\n";
    enum { ENDING = sizeof ending - 1, DIGIT = 8 };
    size_t method = http_run(bytes, len, HTTP_TCHAR);
    if (method == 0 || method > HTTP_METHOD_MAX || method == len || bytes[method] != ' ') {
        return 0;
    }
    size_t at = method + 1;
    size_t target = http_run(bytes + at, len - at, HTTP_TARGET);
    at += target;
    if (target == 0 || len - at < ENDING || memcmp(bytes + at, ending, DIGIT) != 0 ||
        (bytes[at + DIGIT] != '1' && bytes[at + DIGIT] != '0') || memcmp(bytes + at + DIGIT + 1, "\r\n", 2) != 0) {
        return 0;
    }
    g->method_len = method;
    g->major = 1;
    g->minor = (uint8_t)(bytes[at + DIGIT] - '0');
    g->state = FIELD_START;
    return at + ENDING;
}

/* The same for a field line. */
static size_t whole_field_line(const char *bytes, size_t len) {
    size_t at = http_run(bytes, len, HTTP_TCHAR);
    if (at == 0 || at == len || bytes[at] != ':') {
        return 0;
    }
    at++;
    at += http_run(bytes + at, len - at, HTTP_FIELD);
    return len - at >= 2 && memcmp(bytes + at, "\r\n", 2) == 0 ? at + 2 : 0;
}

/* Passes over the sound lines that are whole, and the empty one: all of a head that arrives in one piece. */
static size_t skip_lines(struct http_guard *g, size_t most, const char *bytes, size_t len) {
    size_t at = g->state == METHOD && g->method_len == 0 ? whole_request_line(g, bytes, len) : 0;
    while (g->state == FIELD_START && g->lines < most) {
        size_t line = whole_field_line(bytes + at, len - at);
        if (line == 0) {
            break;
        }
        at += line;
        g->lines++;
    }
    if (g->state == FIELD_START && len - at >= 2 && memcmp(bytes + at, "\r\n", 2) == 0) {
        at += 2;
        g->state = WHOLE;
    }
    g->bytes += at;
    return at;
}

static size_t skip_run(const struct http_guard *g, const char *bytes, size_t len) {
    return g->state == TARGET  ? http_run(bytes, len, HTTP_TARGET)
           : g->state == NAME  ? http_run(bytes, len, HTTP_TCHAR)
           : g->state == VALUE ? http_run(bytes, len, HTTP_FIELD)
                               : 0;
}

static int over_limit(const struct http_guard *g, const char **why) {
    return g->state < FIELD_START ? refuse(414, "the request line is too long", why)
                                  : refuse(431, "the headers are too long", why);
}

int car_http_guard_scan(struct http_guard *g, const struct car_http_limits *limits, struct car_span in, size_t *skipped,
                        size_t *taken, const char **why) {
    size_t at = 0;
    int status = 0;
    while (at < in.len && g->state <= BEFORE_LF && status == 0) {
        status = step_before(g, in.ptr[at], why);
        at += g->state <= BEFORE_LF;
    }
    *skipped = at;
    size_t room = limits->header_bytes - g->bytes;
    size_t end = in.len - at <= room ? in.len : at + room;
    if (status == 0) {
        at += skip_lines(g, limits->header_count, in.ptr + at, end - at);
    }
    while (at < end && g->state != WHOLE && status == 0) {
        size_t run = skip_run(g, in.ptr + at, end - at);
        g->bytes += run;
        at += run;
        if (at < end) {
            char c = in.ptr[at++];
            g->bytes++;
            status = g->state < FIELD_START ? step_line(g, c, why) : step_field(g, limits->header_count, c, why);
        }
    }
    *taken = at;
    if (status == 0 && g->state == WHOLE) {
        return HTTP_GUARD_WHOLE;
    }
    return status == 0 && at < in.len ? over_limit(g, why) : status;
}
