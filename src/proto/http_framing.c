#include "http_chars.h"
#include "http_head.h"

static int refuse(int status, const char *reason, const char **why) {
    *why = reason;
    return status;
}

/* Reads one Transfer-Encoding line on: *chunked tells that the last coding so far was `chunked`, *others that there are
 * codings nobody here knows. Empty list elements are no help to anyone but smugglers. */
static bool read_codings(struct car_span value, bool *chunked, bool *others) {
    size_t start = 0;
    for (size_t i = 0; i <= value.len; i++) {
        if (i < value.len && value.ptr[i] != ',') {
            continue;
        }
        struct car_span coding = car_span_trim(car_span_of(value.ptr + start, i - start));
        start = i + 1;
        const char *mark = coding.len > 0 ? memchr(coding.ptr, ';', coding.len) : NULL;
        struct car_span name = coding;
        if (mark) {
            name = car_span_trim(car_span_of(coding.ptr, (size_t)(mark - coding.ptr)));
        }
        bool is_chunked = car_span_ieq(name, CAR_SPAN("chunked"));
        /* `chunked` has no parameters (RFC 9112, section 7.1) and comes once, at the end (section 6.1). */
        if (*chunked || !http_is_token(name) || (is_chunked && mark)) {
            return false;
        }
        *chunked = is_chunked;
        *others |= !is_chunked;
    }
    return true;
}

static int read_transfer_encoding(struct http_head *head, const char **why) {
    const struct car_http_request *request = &head->request;
    bool chunked = false;
    bool others = false;
    for (size_t i = 0; i < request->header_count; i++) {
        if (car_span_ieq(request->headers[i].name, CAR_SPAN("Transfer-Encoding")) &&
            !read_codings(request->headers[i].value, &chunked, &others)) {
            return refuse(400, "malformed Transfer-Encoding", why);
        }
    }
    if (request->minor == 0) {
        return refuse(400, "Transfer-Encoding in HTTP/1.0", why);
    }
    if (!chunked) {
        return refuse(400, "chunked is not the last transfer coding", why);
    }
    if (others) {
        return refuse(501, "a transfer coding other than chunked", why);
    }
    head->framing = HTTP_CHUNKED;
    return 0;
}

static int read_length(struct http_head *head, struct car_span value, const char **why) {
    if (car_span_u64(value, INT64_MAX, &head->length) != 0) {
        return refuse(400, "malformed Content-Length", why);
    }
    head->framing = head->length > 0 ? HTTP_LENGTH : HTTP_NO_BODY;
    return 0;
}

static void read_connection(struct http_head *head, const struct car_http_limits *limits) {
    struct car_http_request *request = &head->request;
    bool close = car_http_header_has_token(request, "Connection", "close");
    if (request->minor == 0) {
        request->keep_alive = !close && car_http_header_has_token(request, "Connection", "keep-alive");
        return; /* HTTP/1.0 has neither Upgrade nor Expect (RFC 9110, sections 7.8 and 10.1.1) */
    }
    request->keep_alive = !close;
    request->upgrade = request->verb == CAR_HTTP_GET && car_http_header_has_token(request, "Connection", "upgrade") &&
                       car_http_header_has_token(request, "Upgrade", "websocket");
    bool fits = head->framing == HTTP_CHUNKED || (head->framing == HTTP_LENGTH && head->length <= limits->body_bytes);
    request->expect_continue = fits && car_http_header_has_token(request, "Expect", "100-continue");
}

int car_http_framing_read(struct http_head *head, const struct car_http_limits *limits, const char **why) {
    size_t lengths = 0;
    size_t codings = 0;
    struct car_span length = car_http_header_get(&head->request, "Content-Length", &lengths);
    car_http_header_get(&head->request, "Transfer-Encoding", &codings);
    head->framing = HTTP_NO_BODY;
    head->length = 0;
    if (lengths > 1) {
        return refuse(400, "more than one Content-Length", why);
    }
    if (lengths > 0 && codings > 0) {
        return refuse(400, "both Content-Length and Transfer-Encoding", why);
    }
    int status = codings > 0 ? read_transfer_encoding(head, why) : lengths > 0 ? read_length(head, length, why) : 0;
    if (status == 0) {
        read_connection(head, limits);
    }
    return status;
}
